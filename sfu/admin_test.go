package sfu

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/psrpc"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"diemcau/sfu/uptrack"
)

// newNodeWith is newTestNode with options and an observer.
func newNodeWith(t *testing.T, rooms RoomOptions, events func(*livekit.WebhookEvent)) *Node {
	t.Helper()
	n, err := NewNode(Config{
		UDPPort: freePort(t), TCPPort: freePort(t), UseLoopback: true, NodeIPs: []string{"127.0.0.1"},
		Log: slog.New(slog.DiscardHandler), Rooms: rooms, Events: events,
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), waitFor)
		defer cancel()
		require.NoError(t, n.Close(ctx))
	})
	return n
}

func requireCode(t *testing.T, code psrpc.ErrorCode, err error) {
	t.Helper()
	var e psrpc.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.Code(), "%v", err)
}

func (c *testClient) left(reason livekit.DisconnectReason) {
	c.t.Helper()
	m := c.await("leave", func(m *livekit.SignalResponse) bool { return m.GetLeave() != nil })
	require.Equal(c.t, reason, m.GetLeave().Reason)
}

// TestWhoMayPublishNoMoreIsHeardNoMore: whatever a client goes on sending.
func TestWhoMayPublishNoMoreIsHeardNoMore(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, single bool) {
		n := newTestNode(t)
		mallory := connect(t, n, "room", "mallory", single)
		alice := connect(t, n, "room", "alice", single)
		sid, layers := mallory.simulcast()
		defer play(t, layers)() // and nothing stops it
		alice.until("media", func() bool { return len(alice.media[sid]) > 20 })
		layer, err := inRoom(t.Context(), n, "room", func(r *Room) (*uptrack.Layer, error) { return r.tracks[sid].layers[2], nil })
		require.NoError(t, err)
		perm := proto.CloneOf(mallory.join.Participant.Permission)
		perm.CanPublish = false
		info, err := n.UpdateParticipant(t.Context(), &livekit.UpdateParticipantRequest{Room: "room", Identity: "mallory", Permission: perm})
		require.NoError(t, err)
		require.Empty(t, info.Tracks)
		require.False(t, info.IsPublisher)
		mallory.await("track_unpublished", func(m *livekit.SignalResponse) bool { return m.GetTrackUnpublished().GetTrackSid() == sid })
		alice.participantSeen("mallory", func(p *livekit.ParticipantInfo) bool { return !p.Permission.CanPublish && len(p.Tracks) == 0 })
		alice.silent(sid)
		ended := make(chan struct{})
		go func() {
			layer.Wait()
			close(ended)
		}()
		select {
		case <-ended:
		case <-time.After(waitFor):
			t.Fatal("the node goes on reading")
		}
		mallory.forget()
		mallory.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_AddTrack{AddTrack: &livekit.AddTrackRequest{
			Cid: "again", Type: livekit.TrackType_VIDEO, Source: livekit.TrackSource_CAMERA}}})
		mallory.await("a refusal", func(m *livekit.SignalResponse) bool {
			return m.GetRequestResponse().GetReason() == livekit.RequestResponse_NOT_ALLOWED
		})
		// What it was given once gives nothing back when permission returns.
		perm = proto.CloneOf(perm)
		perm.CanPublish = true
		_, err = n.UpdateParticipant(t.Context(), &livekit.UpdateParticipantRequest{Room: "room", Identity: "mallory", Permission: perm})
		require.NoError(t, err)
		alice.silent(sid)
		rooms, err := n.ListRooms(t.Context(), nil)
		require.NoError(t, err)
		require.Zero(t, rooms[0].NumPublishers)
	})
}

// TestRecordersTakeNoPlace: a recorder is in nobody's way and keeps no room open.
func TestRecordersTakeNoPlace(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var events []string
	n := newNodeWith(t, RoomOptions{MaxParticipants: 1, DepartureTimeout: time.Second}, func(e *livekit.WebhookEvent) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, e.Event+" "+e.Participant.GetIdentity())
	})
	recorder := connect(t, n, "room", "recorder", false, withGrant(func(g *auth.VideoGrant) { g.Recorder, g.Hidden = true, true }))
	alice := connect(t, n, "room", "alice", false)
	require.True(t, alice.join.Room.ActiveRecording)
	require.EqualValues(t, 1, alice.join.Room.MaxParticipants)
	s, err := n.Open(t.Context(), startSession("room", "bob", false))
	require.NoError(t, err)
	refusal := <-s.Responses()
	require.Equal(t, livekit.DisconnectReason_JOIN_FAILURE, refusal.GetLeave().GetReason())
	require.Equal(t, livekit.LeaveRequest_DISCONNECT, refusal.GetLeave().GetAction())
	again := connect(t, n, "room", "alice", false) // takes the place it had
	alice.left(livekit.DisconnectReason_DUPLICATE_IDENTITY)
	again.participantSeen("alice", state(livekit.ParticipantInfo_ACTIVE))
	again.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Leave{Leave: &livekit.LeaveRequest{}}})
	recorder.left(livekit.DisconnectReason_ROOM_CLOSED)
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return events[len(events)-1] == "room_finished "
	}, waitFor, 10*time.Millisecond)
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, "room_started ", events[0])
	require.Contains(t, events, "participant_left alice")
	require.Contains(t, events, "participant_joined alice")
}

func TestRoomsMustBeCreated(t *testing.T) {
	t.Parallel()
	n := newNodeWith(t, RoomOptions{CreateOnly: true, EmptyTimeout: time.Second}, nil)
	start := startSession("room", "alice", false)
	_, err := n.Open(t.Context(), start)
	require.ErrorIs(t, err, ErrNoRoom)
	require.ErrorIs(t, n.Probe(start), ErrNoRoom)
	requireCode(t, psrpc.NotFound, n.DeleteRoom(t.Context(), "room"))
	room, err := n.CreateRoom(t.Context(), &livekit.CreateRoomRequest{Name: "room", Metadata: "m", EmptyTimeout: 600})
	require.NoError(t, err)
	require.Equal(t, "m", room.Metadata)
	require.NoError(t, n.Probe(start))
	require.Equal(t, room.Sid, connect(t, n, "room", "alice", false).join.Room.Sid)
	_, err = n.CreateRoom(t.Context(), &livekit.CreateRoomRequest{Name: "short"})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		rooms, err := n.ListRooms(t.Context(), []string{"short"})
		return err == nil && len(rooms) == 0
	}, waitFor, 20*time.Millisecond, "nobody joined it")
}

// TestMovedParticipantGetsItsToken: token first, then the order to come anew.
func TestMovedParticipantGetsItsToken(t *testing.T) {
	n := newTestNode(t)
	alice, bob := connect(t, n, "room", "alice", false), connect(t, n, "room", "bob", false)
	alice.forget()
	require.NoError(t, n.MoveParticipant(t.Context(), "room", "alice", "other", "the token"))
	alice.until("the end of the session", func() bool { return alice.over })
	var told []string
	for _, m := range alice.seen {
		switch {
		case m.GetRefreshToken() != "":
			told = append(told, m.GetRefreshToken())
		case m.GetLeave() != nil:
			told = append(told, m.GetLeave().Action.String())
		}
	}
	require.Equal(t, []string{"the token", "RECONNECT"}, told)
	bob.participantSeen("alice", state(livekit.ParticipantInfo_DISCONNECTED))
	bob.s.Close()
	bob.until("the end of the session", func() bool { return bob.over })
	requireCode(t, psrpc.Unavailable, n.MoveParticipant(t.Context(), "room", "bob", "other", "the token"))
}

// rpcRequest waits for the request of a call and returns its id.
func (c *testClient) rpcRequest(payload string) (id string) {
	c.t.Helper()
	c.until("a call", func() bool {
		for _, d := range c.data {
			if r := d.GetRpcRequest(); r.GetPayload() == payload {
				id = r.Id
				return d.ParticipantIdentity == id
			}
		}
		return false
	})
	return id
}

func rpcAnswer(id, payload string) *livekit.DataPacket {
	return &livekit.DataPacket{Kind: livekit.DataPacket_RELIABLE, DestinationIdentities: []string{id},
		Value: &livekit.DataPacket_RpcResponse{RpcResponse: &livekit.RpcResponse{
			RequestId: id, Value: &livekit.RpcResponse_Payload{Payload: payload}}}}
}

// TestCallsAreAnsweredByTheCalledOnly also ends a call by the called's leaving.
func TestCallsAreAnsweredByTheCalledOnly(t *testing.T) {
	n := newTestNode(t)
	alice, mallory := connect(t, n, "room", "alice", false), connect(t, n, "room", "mallory", false)
	alice.openData()
	mallory.openData()
	type result struct {
		payload string
		err     error
	}
	call := func(ctx context.Context, payload string) chan result {
		done := make(chan result, 1)
		go func() {
			p, err := n.PerformRpc(ctx, &livekit.PerformRpcRequest{Room: "room", DestinationIdentity: "alice", Method: "m", Payload: payload})
			done <- result{p, err}
		}()
		return done
	}
	answer := func(c *testClient, pkt *livekit.DataPacket) {
		body, err := proto.Marshal(pkt)
		require.NoError(t, err)
		require.NoError(t, c.reliable().Send(body))
	}
	first := call(t.Context(), "first")
	id := alice.rpcRequest("first")
	answer(mallory, rpcAnswer(id, "forged"))
	// Its packet has been dealt with when the next has.
	answer(mallory, &livekit.DataPacket{Value: &livekit.DataPacket_User{User: &livekit.UserPacket{Payload: []byte("after")}}})
	alice.until("what followed it", func() bool { return string(alice.data[len(alice.data)-1].GetUser().GetPayload()) == "after" })
	answer(alice, rpcAnswer(id, "genuine"))
	r := <-first
	require.NoError(t, r.err)
	require.Equal(t, "genuine", r.payload)

	ctx, cancel := context.WithCancel(t.Context())
	second := call(ctx, "second")
	alice.rpcRequest("second")
	cancel()
	require.ErrorIs(t, (<-second).err, context.Canceled)
	third := call(t.Context(), "third")
	alice.rpcRequest("third")
	require.NoError(t, n.RemoveParticipant(t.Context(), "room", "alice"))
	requireCode(t, psrpc.Unavailable, (<-third).err)
	alice.left(livekit.DisconnectReason_PARTICIPANT_REMOVED)
	_, err := inRoom(t.Context(), n, "room", func(r *Room) (int, error) {
		if len(r.admin.calls) != 0 {
			return 0, fmt.Errorf("%d calls are left", len(r.admin.calls))
		}
		return 0, nil
	})
	require.NoError(t, err)
	_, err = n.PerformRpc(t.Context(), &livekit.PerformRpcRequest{Room: "room", DestinationIdentity: "mallory", Payload: string(make([]byte, 20_000))})
	requireCode(t, psrpc.MalformedRequest, err)
}

// TestRoomsEndUnderRequests: nobody hangs who asks a room that is being deleted
// and made again.
func TestRoomsEndUnderRequests(t *testing.T) {
	n := newTestNode(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				_, err := n.CreateRoom(t.Context(), &livekit.CreateRoomRequest{Name: "room"})
				if err != nil {
					t.Errorf("create: %v", err)
				}
			}
		})
		wg.Go(func() {
			for range 100 {
				if err := n.DeleteRoom(t.Context(), "room"); err != nil && !errors.Is(err, ErrNoRoom) {
					t.Errorf("delete: %v", err)
				}
				if _, err := n.ListRooms(t.Context(), nil); err != nil {
					t.Errorf("list: %v", err)
				}
			}
		})
	}
	wg.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := n.CreateRoom(t.Context(), &livekit.CreateRoomRequest{Name: "stuck"})
	require.NoError(t, err)
	release := make(chan struct{})
	r, err := n.find("stuck")
	require.NoError(t, err)
	require.True(t, r.post(func() { <-release }))
	_, err = n.ListParticipants(ctx, "stuck")
	require.ErrorIs(t, err, context.Canceled, "a caller that has gone does not wait")
	close(release)
}

func TestClosedNodeTakesNoOrders(t *testing.T) {
	n, err := NewNode(Config{UDPPort: freePort(t), TCPPort: freePort(t), UseLoopback: true, NodeIPs: []string{"127.0.0.1"}, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.NoError(t, n.Close(t.Context()))
	_, err = n.CreateRoom(t.Context(), &livekit.CreateRoomRequest{Name: "room"})
	requireCode(t, psrpc.Unavailable, err)
	requireCode(t, psrpc.Unavailable, n.DeleteRoom(t.Context(), "room"))
	require.ErrorIs(t, n.Probe(startSession("room", "alice", false)), ErrShuttingDown)
}
