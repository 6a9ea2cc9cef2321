package sfu

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/psrpc"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"diemcau/sfu/downtrack"
	"diemcau/sfu/transport"
)

// ended waits until nothing of a forward is left at the source.
func ended(t *testing.T, source *testClient) {
	t.Helper()
	require.Eventually(t, func() bool {
		forwards, members := 0, 0
		source.inRoom(func(_ *Room, p *participant) {
			forwards = len(p.forwards)
			for _, pub := range p.published {
				if l := pub.layers[downtrack.MaxLayers-1]; l != nil {
					members += l.Feed().Subscribers()
				}
			}
		})
		return forwards == 0 && members == 0
	}, waitFor, 10*time.Millisecond)
}

func TestAForwardEnds(t *testing.T) {
	t.Parallel()
	type scene struct {
		n          *Node
		alice, bob *testClient
	}
	leave := &livekit.SignalRequest{Message: &livekit.SignalRequest_Leave{Leave: &livekit.LeaveRequest{}}}
	for name, c := range map[string]struct {
		end    func(t *testing.T, s scene)
		reason livekit.DisconnectReason
		then   error // what forwarding it says then
	}{
		"the source leaves": {func(_ *testing.T, s scene) { s.alice.send(leave) },
			livekit.DisconnectReason_CLIENT_INITIATED, errNoParticipant},
		"the source is removed": {func(t *testing.T, s scene) {
			require.NoError(t, s.n.RemoveParticipant(t.Context(), "a", "alice"))
		}, livekit.DisconnectReason_PARTICIPANT_REMOVED, errNoParticipant},
		"the source's room is deleted": {func(t *testing.T, s scene) {
			require.NoError(t, s.n.DeleteRoom(t.Context(), "a"))
		}, livekit.DisconnectReason_ROOM_DELETED, errNoRoom},
		"the guest is removed": {func(t *testing.T, s scene) {
			require.NoError(t, s.n.RemoveParticipant(t.Context(), "b", "alice"))
		}, livekit.DisconnectReason_PARTICIPANT_REMOVED, nil},
		"somebody joins under its identity": {func(t *testing.T, s scene) { connect(t, s.n, "b", "alice", false) },
			livekit.DisconnectReason_DUPLICATE_IDENTITY, errTaken},
		"the destination is deleted": {func(t *testing.T, s scene) {
			require.NoError(t, s.n.DeleteRoom(t.Context(), "b"))
		}, livekit.DisconnectReason_ROOM_DELETED, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newTestNode(t)
			s := scene{n, connect(t, n, "a", "alice", false), connect(t, n, "b", "bob", false)}
			sid := s.alice.microphone()
			forwardToB(t, n, "alice")
			s.bob.until("sound", func() bool { return len(s.bob.media[sid]) > 5 })
			c.end(t, s)
			if name == "the destination is deleted" {
				s.bob.left(c.reason)
			} else {
				gone := s.bob.participantSeen("alice", state(livekit.ParticipantInfo_DISCONNECTED))
				require.Equal(t, c.reason, gone.DisconnectReason)
				s.bob.silent(sid)
			}
			if c.then == nil || errors.Is(c.then, errTaken) {
				ended(t, s.alice)
			} else {
				s.alice.until("the end of the session", func() bool { return s.alice.over })
			}
			if err := n.ForwardParticipant(t.Context(), "a", "alice", "b"); c.then == nil {
				require.NoError(t, err, "it can be forwarded again")
			} else {
				require.ErrorIs(t, err, c.then)
			}
		})
	}
}

// TestANodeClosesWithItsForwards: newTestNode checks that nothing is left.
func TestANodeClosesWithItsForwards(t *testing.T) {
	n := newTestNode(t)
	connect(t, n, "a", "alice", false).microphone()
	forwardToB(t, n, "alice")
	require.NoError(t, n.ForwardParticipant(t.Context(), "a", "alice", "c"))
}

// TestAForwardThatIsOverIsNotAdmitted: who holds one finds out that there may be a
// newer one.
func TestAForwardThatIsOverIsNotAdmitted(t *testing.T) {
	n := newTestNode(t)
	alice, bob := connect(t, n, "a", "alice", false), connect(t, n, "b", "bob", false)
	forwardToB(t, n, "alice")
	var old *forward
	alice.inRoom(func(_ *Room, p *participant) { old = p.forwards[0] })
	require.NoError(t, n.RemoveParticipant(t.Context(), "b", "alice"))
	admit := func() error {
		_, err := ask(t.Context(), bob.s.room, func() (struct{}, error) { return struct{}{}, old.admit() })
		return err
	}
	require.ErrorIs(t, admit(), errOver)
	forwardToB(t, n, "alice")
	require.ErrorIs(t, admit(), errOver)
	require.NoError(t, n.RemoveParticipant(t.Context(), "a", "alice"))
	bob.participantSeen("alice", state(livekit.ParticipantInfo_DISCONNECTED))
}

func TestWhatCannotBeForwarded(t *testing.T) {
	n := newTestNode(t)
	alice := connect(t, n, "a", "alice", false)
	connect(t, n, "b", "alice", false)
	forward := func(room, identity, destination string) error {
		return n.ForwardParticipant(t.Context(), room, identity, destination)
	}
	requireCode(t, psrpc.InvalidArgument, forward("a", "alice", "a"))
	requireCode(t, psrpc.NotFound, forward("nowhere", "alice", "new"))
	requireCode(t, psrpc.NotFound, forward("a", "nobody", "new"))
	rooms, err := n.ListRooms(t.Context(), []string{"new", "nowhere"})
	require.NoError(t, err)
	require.Empty(t, rooms, "no room is made for nobody")
	requireCode(t, psrpc.AlreadyExists, forward("a", "alice", "b"))
	ended(t, alice)

	require.NoError(t, forward("a", "alice", "new"), "the room is made")
	requireCode(t, psrpc.FailedPrecondition, forward("new", "alice", "further"))
	requireCode(t, psrpc.FailedPrecondition, forward("new", "alice", "a"))
	_, err = n.CreateRoom(t.Context(), &livekit.CreateRoomRequest{Name: "small", MaxParticipants: 1})
	require.NoError(t, err)
	require.NoError(t, forward("a", "alice", "small"))
	s, err := n.Open(t.Context(), startSession("small", "dan", false))
	require.NoError(t, err)
	require.Equal(t, livekit.DisconnectReason_JOIN_FAILURE, (<-s.Responses()).GetLeave().GetReason(), "a guest takes a place")
	connect(t, n, "a", "bob", false)
	requireCode(t, psrpc.ResourceExhausted, forward("a", "bob", "small"))
	for i := range maxForwards - 2 {
		require.NoError(t, forward("a", "alice", fmt.Sprint("room ", i)))
	}
	requireCode(t, psrpc.ResourceExhausted, forward("a", "alice", "one more"))
	require.NoError(t, forward("a", "alice", "small"), "what there is already")
	require.NoError(t, n.RemoveParticipant(t.Context(), "small", "alice"))
	require.Eventually(t, func() bool { return forward("a", "alice", "one more") == nil }, waitFor, 10*time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, n.ForwardParticipant(ctx, "a", "bob", "b"), context.Canceled)
}

func TestTheGuestsOfARoomAreBounded(t *testing.T) {
	n := newTestNode(t)
	alice, bob := connect(t, n, "a", "alice", false), connect(t, n, "b", "bob", false)
	forwards := make([]*forward, maxGuests+1)
	alice.inRoom(func(r *Room, p *participant) {
		for i := range forwards {
			forwards[i] = &forward{from: r, to: bob.s.room, identity: fmt.Sprint("guest ", i), source: p}
			forwards[i].likeness.Store(p.portray())
		}
	})
	refused := make(map[int]error)
	bob.inRoom(func(*Room, *participant) {
		for i, f := range forwards {
			if err := f.admit(); err != nil {
				refused[i] = err
			}
		}
	})
	require.Equal(t, map[int]error{maxGuests: errRoomFull}, refused)
}

func TestNoRoomIsMadeWhereRoomsMustBeCreated(t *testing.T) {
	n := newNodeWith(t, RoomOptions{CreateOnly: true}, nil)
	for _, name := range []string{"a", "b"} {
		_, err := n.CreateRoom(t.Context(), &livekit.CreateRoomRequest{Name: name})
		require.NoError(t, err)
	}
	connect(t, n, "a", "alice", false)
	requireCode(t, psrpc.NotFound, n.ForwardParticipant(t.Context(), "a", "alice", "c"))
	forwardToB(t, n, "alice")
}

// TestAGuestIsNobodysSession: what is for clients does not reach one that has none,
// and nobody becomes it.
func TestAGuestIsNobodysSession(t *testing.T) {
	n := newTestNode(t)
	alice, bob := connect(t, n, "a", "alice", false), connect(t, n, "b", "bob", false)
	bob.openData()
	forwardToB(t, n, "alice")
	sid := alice.microphone()
	bob.until("sound", func() bool { return len(bob.media[sid]) > 0 })
	for _, id := range []string{"", bob.participantSeen("alice", tracks(1)).Sid} {
		start := startSession("b", "alice", false)
		start.Reconnect, start.ParticipantId = true, id
		s, err := n.Open(t.Context(), start)
		require.NoError(t, err)
		require.Equal(t, livekit.DisconnectReason_STATE_MISMATCH, (<-s.Responses()).GetLeave().GetReason())
	}
	_, err := n.UpdateParticipant(t.Context(), &livekit.UpdateParticipantRequest{Room: "b", Identity: "alice", Name: "Mallory"})
	requireCode(t, psrpc.FailedPrecondition, err)
	requireCode(t, psrpc.FailedPrecondition, n.MoveParticipant(t.Context(), "b", "alice", "c", "token"))
	_, err = n.PerformRpc(t.Context(), &livekit.PerformRpcRequest{Room: "b", DestinationIdentity: "alice", Method: "m"})
	requireCode(t, psrpc.FailedPrecondition, err)
	own := bob.microphone()
	bob.participantSeen("bob", tracks(1))
	requireCode(t, psrpc.FailedPrecondition, n.UpdateSubscriptions(t.Context(), &livekit.UpdateSubscriptionsRequest{
		Room: "b", Identity: "alice", TrackSids: []string{own}, Subscribe: true}))
	require.NoError(t, n.SendData(t.Context(), &livekit.SendDataRequest{Room: "b", Data: []byte("x"), DestinationIdentities: []string{"alice"}}))
	bob.sendUser(1)
	body, err := proto.Marshal(&livekit.DataPacket{Sequence: 2, DestinationIdentities: []string{"alice"},
		Value: &livekit.DataPacket_User{User: &livekit.UserPacket{Payload: []byte("for alice")}}})
	require.NoError(t, err)
	require.NoError(t, bob.reliable().Send(body))
	bob.inRoom(func(r *Room, _ *participant) { r.participants["alice"].sendData(transport.Lossy, nil) })
	bob.mu.Lock()
	before := len(bob.media[sid])
	bob.mu.Unlock()
	bob.until("sound as before", func() bool { return len(bob.media[sid]) > before+20 })
	alice.mu.Lock()
	defer alice.mu.Unlock()
	require.Empty(t, alice.data)
}

// heardInB has alice of room a forwarded to b, where bob hears the track sid of hers.
func heardInB(t *testing.T) (n *Node, alice, bob *testClient, sid string) {
	t.Helper()
	n = newTestNode(t)
	alice, bob = connect(t, n, "a", "alice", false), connect(t, n, "b", "bob", false)
	forwardToB(t, n, "alice")
	sid = alice.microphone()
	bob.until("sound", func() bool { return len(bob.media[sid]) > 5 })
	return n, alice, bob, sid
}

// TestARoomThatIsBusyCatchesUp: it holds nobody up, and misses nothing in the end.
func TestARoomThatIsBusyCatchesUp(t *testing.T) {
	t.Parallel()
	n, alice, bob, sid := heardInB(t)
	release := jam(t, n, "b")
	alice.muteOwn(sid, true)
	for i := range 200 {
		alice.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_UpdateMetadata{
			UpdateMetadata: &livekit.UpdateParticipantMetadata{Name: fmt.Sprint("alice ", i)}}})
	}
	// Her own room goes on, and tells her.
	alice.participantSeen("alice", func(p *livekit.ParticipantInfo) bool { return p.Name == "alice 199" })
	require.NoError(t, n.ForwardParticipant(t.Context(), "a", "alice", "c"))
	release()
	bob.participantSeen("alice", func(p *livekit.ParticipantInfo) bool {
		return p.Name == "alice 199" && len(p.Tracks) == 1 && p.Tracks[0].Muted
	})
	bob.silent(sid)
}

// jam stops a room's loop and fills its queue.
func jam(t *testing.T, n *Node, room string) (release func()) {
	t.Helper()
	r, err := n.find(room)
	require.NoError(t, err)
	stuck := make(chan struct{})
	require.True(t, r.post(func() { <-stuck }))
	for r.tryPost(func() {}) == nil {
		continue
	}
	return func() { close(stuck) }
}

// TestWhoHasGivenUpDoesNotComeAfterAll: a caller who does not wait for a busy room
// leaves nothing behind.
func TestWhoHasGivenUpDoesNotComeAfterAll(t *testing.T) {
	n := newTestNode(t)
	alice, bob := connect(t, n, "a", "alice", false), connect(t, n, "b", "bob", false)
	stuck := make(chan struct{})
	require.True(t, bob.s.room.post(func() { <-stuck }))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.ForwardParticipant(ctx, "a", "alice", "b") }()
	require.Eventually(t, func() bool {
		proposed := 0
		alice.inRoom(func(_ *Room, p *participant) { proposed = len(p.forwards) })
		return proposed == 1 && len(bob.s.room.inbox) > 0
	}, waitFor, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	close(stuck)
	bob.inRoom(func(*Room, *participant) {}) // what waited is done
	_, err := n.GetParticipant(t.Context(), "b", "alice")
	requireCode(t, psrpc.NotFound, err)
	ended(t, alice)
	forwardToB(t, n, "alice")
}

// TestWhatIsWantedReachesARoomThatIsBusy, and an end of the guest's.
func TestWhatIsWantedReachesARoomThatIsBusy(t *testing.T) {
	t.Parallel()
	n := newTestNode(t)
	alice, bob := connect(t, n, "a", "alice", false), connect(t, n, "b", "bob", false)
	sid := alice.microphone()
	forwardToB(t, n, "alice")
	bob.until("sound", func() bool { return len(bob.media[sid]) > 5 })
	release := jam(t, n, "a")
	bob.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Subscription{
		Subscription: &livekit.UpdateSubscription{TrackSids: []string{sid}, Subscribe: false}}})
	bob.silent(sid)
	release()
	heeded := func() (w wanted) {
		alice.inRoom(func(_ *Room, p *participant) { w = p.forwards[0].heeded.track(sid) })
		return w
	}
	require.Eventually(t, func() bool { return !heeded().received && heeded().layers[0] == downtrack.None }, waitFor, 10*time.Millisecond)
	release = jam(t, n, "a")
	require.NoError(t, n.RemoveParticipant(t.Context(), "b", "alice"))
	release()
	ended(t, alice)
}

// TestAnEndReachesARoomThatIsBusy once it has time.
func TestAnEndReachesARoomThatIsBusy(t *testing.T) {
	t.Parallel()
	n, _, bob, _ := heardInB(t)
	release := jam(t, n, "b")
	require.NoError(t, n.RemoveParticipant(t.Context(), "a", "alice"))
	release()
	gone := bob.participantSeen("alice", state(livekit.ParticipantInfo_DISCONNECTED))
	require.Equal(t, livekit.DisconnectReason_PARTICIPANT_REMOVED, gone.DisconnectReason)
}

// TestTwoRoomsForwardToEachOther at the same time, with changes, ends and rooms that
// are deleted between, and all is as it was when it is over.
func TestTwoRoomsForwardToEachOther(t *testing.T) {
	n := newTestNode(t)
	alice, bob := connect(t, n, "a", "alice", false), connect(t, n, "b", "bob", false)
	alice.microphone()
	bob.microphone()
	const rounds = 40
	var wg sync.WaitGroup
	expect := func(err error) {
		var coded psrpc.Error
		if err != nil && (!errors.As(err, &coded) || coded.Code() != psrpc.NotFound) {
			t.Errorf("unexpected: %v", err)
		}
	}
	for _, way := range [][3]string{{"a", "alice", "b"}, {"b", "bob", "a"}, {"a", "alice", "c"}, {"b", "bob", "c"}} {
		for range 2 {
			wg.Go(func() {
				for range rounds {
					if err := n.ForwardParticipant(t.Context(), way[0], way[1], way[2]); err != nil {
						t.Errorf("forward: %v", err)
					}
					expect(n.RemoveParticipant(t.Context(), way[2], way[1]))
				}
			})
		}
	}
	for _, way := range [][2]string{{"a", "alice"}, {"b", "bob"}} {
		wg.Go(func() {
			for i := range rounds {
				_, err := n.UpdateParticipant(t.Context(), &livekit.UpdateParticipantRequest{Room: way[0], Identity: way[1], Name: fmt.Sprint(i)})
				expect(err)
				expect(n.DeleteRoom(t.Context(), "c"))
			}
		})
	}
	wg.Wait()
	ended(t, alice)
	ended(t, bob)
	forwardToB(t, n, "alice")
	require.NoError(t, n.ForwardParticipant(t.Context(), "b", "bob", "a"))
	fromAlice, fromBob := bob.participantSeen("alice", tracks(1)).Tracks[0].Sid, alice.participantSeen("bob", tracks(1)).Tracks[0].Sid
	heard := func(c *testClient, sid string) {
		c.mu.Lock()
		before := len(c.media[sid])
		c.mu.Unlock()
		c.until("sound", func() bool { return len(c.media[sid]) > before+5 })
	}
	heard(bob, fromAlice)
	heard(alice, fromBob)
	bob.participantSeen("alice", func(p *livekit.ParticipantInfo) bool { return p.Name == fmt.Sprint(rounds-1) })
}

// TestAForwardedAgentTakesNoPlace, as where it is from.
func TestAForwardedAgentTakesNoPlace(t *testing.T) {
	n := newTestNode(t)
	connect(t, n, "a", "agent", false, withGrant(func(g *auth.VideoGrant) { g.Agent = true }))
	_, err := n.CreateRoom(t.Context(), &livekit.CreateRoomRequest{Name: "b", MaxParticipants: 1})
	require.NoError(t, err)
	connect(t, n, "b", "bob", false)
	forwardToB(t, n, "agent")
}
