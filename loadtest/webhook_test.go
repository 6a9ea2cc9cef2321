package loadtest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/webhook"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/stretchr/testify/require"
	"github.com/twitchtv/twirp"
)

// ownServer starts a server for one test, with those variables over the
// demonstration's configuration.
func ownServer(t *testing.T, variables ...string) (url string) {
	t.Helper()
	binary, err := shared.serverBinary()
	require.NoError(t, err)
	dir := t.TempDir()
	address := fmt.Sprintf("127.0.0.1:%d", freePort("tcp"))
	cmd := serverCommand(binary, address, filepath.Join(dir, "data"))
	cmd.Env = append(cmd.Env, variables...)
	p, err := startProcess(cmd, filepath.Join(dir, "server.log"))
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := p.stop(); err != nil {
			t.Errorf("the server: %v\n%s", err, p.logTail(40))
		}
	})
	require.NoError(t, p.awaitReady(http.DefaultClient, "http://"+address))
	return "http://" + address
}

// joinAt is join at a server of the test's own.
func joinAt(t *testing.T, server, room, identity string) (*peer, error) {
	t.Helper()
	jwt, err := auth.NewAccessToken(demoKey, demoSecret).SetIdentity(identity).
		SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: room}).ToJWT()
	require.NoError(t, err)
	p := &peer{t: t, received: map[string]*reception{}}
	p.room, err = lksdk.ConnectToRoomWithToken(server, jwt, p.callbacks(), lksdk.WithConnectTimeout(15*time.Second))
	if err == nil {
		t.Cleanup(p.leave)
	}
	return p, err
}

// hook receives webhooks with LiveKit's own code. The first attempts fail.
type hook struct {
	t  *testing.T
	mu sync.Mutex
	// Guarded by mu.
	attempts int
	events   []*livekit.WebhookEvent
}

const failingAttempts = 3

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e, err := webhook.ReceiveWebhookEvent(r, auth.NewSimpleKeyProvider(demoKey, demoSecret))
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.t.Errorf("not a webhook of the server's: %v", err)
		return
	}
	if h.attempts++; h.attempts <= failingAttempts {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	h.events = append(h.events, e)
}

// names lists a room's events so far, with whom or what they are about.
func (h *hook) names(room string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var names []string
	for _, e := range h.events {
		if e.Room.GetName() != room {
			continue
		}
		names = append(names, strings.TrimSpace(e.Event+" "+e.Participant.GetIdentity()+" "+e.Track.GetName()))
	}
	return names
}

// TestWebhooksTellARoomsStory: a receiver that fails at first gets every event
// of a room, once, in order and signed.
func TestWebhooksTellARoomsStory(t *testing.T) {
	t.Parallel()
	h := &hook{t: t}
	receiver := httptest.NewServer(h)
	defer receiver.Close()
	at := ownServer(t, "DIEMCAU_WEBHOOK__URLS="+receiver.URL+"/events", "DIEMCAU_WEBHOOK__API_KEY="+demoKey, "DIEMCAU_ROOM__DEPARTURE_TIMEOUT=1s")
	rooms := lksdk.NewRoomServiceClient(at, demoKey, demoSecret)
	_, err := rooms.CreateRoom(t.Context(), &livekit.CreateRoomRequest{Name: "story", Metadata: "m"})
	require.NoError(t, err)
	an, err := joinAt(t, at, "story", "an")
	require.NoError(t, err)
	pub, _ := an.publishTone(30)
	story := []string{"room_started", "participant_joined an", "track_published an tone"}
	awaitStory(t, h, "story", story...)

	// Who leaves before its media connects has not joined.
	jwt, err := auth.NewAccessToken(demoKey, demoSecret).SetIdentity("bich").
		SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: "story"}).ToJWT()
	require.NoError(t, err)
	query := url.Values{"access_token": {jwt}, "protocol": {"16"}, "sdk": {"go"}}
	conn, _, err := websocket.DefaultDialer.Dial(strings.Replace(at, "http", "ws", 1)+"/rtc?"+query.Encode(), nil)
	require.NoError(t, err)
	raw := newRawClient(t, conn)
	raw.awaitJoin()
	raw.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Leave{Leave: &livekit.LeaveRequest{}}})
	story = append(story, "participant_connection_aborted bich")
	awaitStory(t, h, "story", story...)

	require.NoError(t, an.room.LocalParticipant.UnpublishTrack(pub.SID()))
	an.publishTone(30)
	story = append(story, "track_unpublished an tone", "track_published an tone")
	awaitStory(t, h, "story", story...)
	_, err = rooms.RemoveParticipant(t.Context(), &livekit.RoomParticipantIdentity{Room: "story", Identity: "an"})
	require.NoError(t, err)
	awaitStory(t, h, "story", append(story, "track_unpublished an tone", "participant_left an", "room_finished")...)

	h.mu.Lock()
	defer h.mu.Unlock()
	ids := map[string]bool{}
	for _, e := range h.events {
		require.False(t, ids[e.Id], "an event came twice")
		ids[e.Id] = true
		require.Equal(t, h.events[0].Room.Sid, e.Room.Sid)
		require.Equal(t, "m", e.Room.Metadata)
		require.InDelta(t, time.Now().Unix(), e.CreatedAt, 60)
	}
	left := h.events[len(h.events)-2].Participant
	require.Equal(t, livekit.DisconnectReason_PARTICIPANT_REMOVED, left.DisconnectReason)
	require.Equal(t, failingAttempts+len(h.events), h.attempts)
}

func awaitStory(t *testing.T, h *hook, room string, want ...string) {
	t.Helper()
	until(t, 15*time.Second, func() bool { return len(h.names(room)) >= len(want) }, func() string { return fmt.Sprint(want, " but had ", h.names(room)) })
	require.Equal(t, want, h.names(room))
}

// TestRoomsAsConfigured: no room is made by joining, and what was created ends
// when nobody comes, or after all have left.
func TestRoomsAsConfigured(t *testing.T) {
	t.Parallel()
	at := ownServer(t, "DIEMCAU_ROOM__AUTO_CREATE=false", "DIEMCAU_ROOM__EMPTY_TIMEOUT=30s", "DIEMCAU_ROOM__DEPARTURE_TIMEOUT=1s",
		"DIEMCAU_ROOM__MAX_PARTICIPANTS=7", "DIEMCAU_ROOM__ENABLE_REMOTE_UNMUTE=true")
	ctx, rooms := t.Context(), lksdk.NewRoomServiceClient(at, demoKey, demoSecret)
	_, err := joinAt(t, at, "meeting", "an")
	require.Error(t, err)
	jwt, err := auth.NewAccessToken(demoKey, demoSecret).SetIdentity("an").
		SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: "meeting"}).ToJWT()
	require.NoError(t, err)
	resp, err := http.Get(at + "/rtc/validate?access_token=" + jwt)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
	require.Equal(t, "requested room does not exist", string(body))
	made, err := rooms.CreateRoom(ctx, &livekit.CreateRoomRequest{Name: "meeting"})
	require.NoError(t, err)
	require.Equal(t, []uint32{30, 1, 7}, []uint32{made.EmptyTimeout, made.DepartureTimeout, made.MaxParticipants})
	_, err = rooms.CreateRoom(ctx, &livekit.CreateRoomRequest{Name: "short", EmptyTimeout: 1})
	require.NoError(t, err)
	an, err := joinAt(t, at, "meeting", "an")
	require.NoError(t, err)
	pub, _ := an.publishTone(30)
	for _, muted := range []bool{true, false} {
		_, err = rooms.MutePublishedTrack(ctx, &livekit.MuteRoomTrackRequest{Room: "meeting", Identity: "an", TrackSid: pub.SID(), Muted: muted})
		require.NoError(t, err)
		until(t, 5*time.Second, func() bool { return pub.IsMuted() == muted }, func() string { return fmt.Sprint("muted: ", muted) })
	}
	open := func() (names []string) {
		list, err := rooms.ListRooms(ctx, &livekit.ListRoomsRequest{})
		require.NoError(t, err)
		for _, r := range list.Rooms {
			names = append(names, r.Name)
		}
		return names
	}
	until(t, 10*time.Second, func() bool { return len(open()) == 1 }, func() string { return fmt.Sprint("a room that nobody joins ends; open: ", open()) })
	require.Equal(t, []string{"meeting"}, open())
	_, err = rooms.MoveParticipant(ctx, &livekit.MoveParticipantRequest{Room: "meeting", Identity: "an", DestinationRoom: "short"})
	requireCode(t, twirp.NotFound, err)
	an.leave()
	until(t, 10*time.Second, func() bool { return len(open()) == 0 }, func() string { return fmt.Sprint("a room that all have left ends; open: ", open()) })
}
