package loadtest

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/livekit"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
)

// witnesses are two participants in the room of a hostile client; media
// between them must go on whatever the third does.
type witnesses struct {
	heard *reception
	bich  *peer
}

func newWitnesses(t *testing.T, room string) *witnesses {
	an := join(t, room, "witness-an")
	bich := join(t, room, "witness-bich")
	pub, _ := an.publishTone(30)
	w := &witnesses{heard: bich.receives(pub.SID()), bich: bich}
	w.heard.flows(t, 10)
	return w
}

// unaffected checks that sound between the witnesses went on without a pause.
func (w *witnesses) unaffected(t *testing.T) {
	t.Helper()
	w.heard.flows(t, 25)
	w.heard.whole(t)
	s := w.heard.account.Stats()
	require.Zero(t, s.Freezes, "%+v", s)
	require.Zero(t, w.bich.count("Disconnected", "", ""))
	require.Zero(t, w.bich.count("Reconnecting", "", ""))
}

func TestMalformedMessage(t *testing.T) {
	t.Parallel()
	w := newWitnesses(t, roomName(t))
	c := dialRoom(t, roomName(t), "hostile", nil)
	c.awaitJoin()
	c.sendBytes(websocket.BinaryMessage, []byte{0xff, 0xff, 0xff, 0xff, 0x01, 0x02})
	c.await("request_response", func(r *livekit.SignalResponse) bool {
		return r.GetRequestResponse() != nil && r.GetRequestResponse().GetReason() != livekit.RequestResponse_OK
	})
	c.awaitPong()
	w.unaffected(t)
}

func TestMalformedJSON(t *testing.T) {
	t.Parallel()
	c := dialRoom(t, roomName(t), "hostile", nil)
	c.awaitJoin()
	c.sendBytes(websocket.TextMessage, []byte(`{"noSuchMessage": {`))
	c.await("request_response", func(r *livekit.SignalResponse) bool {
		return r.GetRequestResponse() != nil && r.GetRequestResponse().GetReason() != livekit.RequestResponse_OK
	})
	c.awaitPong()
}

func TestOversizedMessage(t *testing.T) {
	t.Parallel()
	w := newWitnesses(t, roomName(t))
	c := dialRoom(t, roomName(t), "hostile", nil)
	c.awaitJoin()
	// The server may end the connection before all of it is written.
	_ = c.conn.WriteMessage(websocket.BinaryMessage, bytes.Repeat([]byte{0x0a}, 300<<10))
	leave := c.awaitEnd()
	require.NotNil(t, leave, "the server says leave")
	require.NotEqual(t, livekit.DisconnectReason_UNKNOWN_REASON, leave.GetReason())
	w.unaffected(t)
}

func TestUnparsableOffer(t *testing.T) {
	t.Parallel()
	for name, sdp := range map[string]string{
		"empty":     "",
		"text":      "this is not SDP",
		"truncated": "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio",
		"no ice":    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=rtpmap:111 opus/48000/2\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWitnesses(t, roomName(t))
			c := dialRoom(t, roomName(t), "hostile", nil)
			c.awaitJoin()
			c.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Offer{Offer: &livekit.SessionDescription{Type: "offer", Sdp: sdp, Id: 1}}})
			c.await("request_response or leave", func(r *livekit.SignalResponse) bool {
				require.Nil(t, r.GetAnswer(), "an answer to nonsense")
				if leave := r.GetLeave(); leave != nil {
					require.NotEqual(t, livekit.DisconnectReason_UNKNOWN_REASON, leave.GetReason())
					return true
				}
				return r.GetRequestResponse() != nil && r.GetRequestResponse().GetReason() != livekit.RequestResponse_OK
			})
			w.unaffected(t)
		})
	}
}

// TestUnknownTracks: requests about tracks that do not exist hurt nobody.
func TestUnknownTracks(t *testing.T) {
	t.Parallel()
	w := newWitnesses(t, roomName(t))
	c := dialRoom(t, roomName(t), "hostile", nil)
	j := c.awaitJoin()
	foreign := ""
	for _, p := range j.GetOtherParticipants() {
		for _, track := range p.GetTracks() {
			foreign = track.GetSid()
		}
	}
	require.NotEmpty(t, foreign)
	for _, sid := range []string{"", "TR_unknown", string(bytes.Repeat([]byte("x"), 4096)), foreign} {
		for _, r := range []*livekit.SignalRequest{
			{Message: &livekit.SignalRequest_Mute{Mute: &livekit.MuteTrackRequest{Sid: sid, Muted: true}}},
			{Message: &livekit.SignalRequest_TrackSetting{TrackSetting: &livekit.UpdateTrackSettings{TrackSids: []string{sid}, Quality: livekit.VideoQuality(99), Width: 1 << 31}}},
			{Message: &livekit.SignalRequest_Subscription{Subscription: &livekit.UpdateSubscription{Subscribe: sid != foreign, TrackSids: []string{sid},
				ParticipantTracks: []*livekit.ParticipantTracks{{ParticipantSid: "PA_unknown", TrackSids: []string{sid}}}}}},
			{Message: &livekit.SignalRequest_UpdateLayers{UpdateLayers: &livekit.UpdateVideoLayers{TrackSid: sid}}},
		} {
			c.send(r)
		}
	}
	c.awaitPong()
	require.Zero(t, w.bich.count("TrackMuted", "witness-an", ""), "a foreign track was muted")
	w.unaffected(t)
}

// TestOddMessages sends well-formed messages at the wrong time.
func TestOddMessages(t *testing.T) {
	t.Parallel()
	w := newWitnesses(t, roomName(t))
	c := dialRoom(t, roomName(t), "hostile", nil)
	c.awaitJoin()
	for _, r := range []*livekit.SignalRequest{
		{},
		{Message: &livekit.SignalRequest_Trickle{Trickle: &livekit.TrickleRequest{CandidateInit: "{", Target: livekit.SignalTarget_PUBLISHER}}},
		{Message: &livekit.SignalRequest_Trickle{Trickle: &livekit.TrickleRequest{CandidateInit: `{"candidate":"candidate:nonsense"}`, Target: livekit.SignalTarget_SUBSCRIBER}}},
		{Message: &livekit.SignalRequest_AddTrack{AddTrack: &livekit.AddTrackRequest{}}},
		{Message: &livekit.SignalRequest_SubscriptionPermission{SubscriptionPermission: &livekit.SubscriptionPermission{}}},
		{Message: &livekit.SignalRequest_SyncState{SyncState: &livekit.SyncState{}}},
	} {
		c.send(r)
	}
	c.awaitPong()
	w.unaffected(t)
}

// TestFloodEndsOnlyTheFlooder sends without pause until the server hangs up.
func TestFloodEndsOnlyTheFlooder(t *testing.T) {
	t.Parallel()
	w := newWitnesses(t, roomName(t))
	c := dialRoom(t, roomName(t), "hostile", nil)
	sid := c.awaitJoin().GetParticipant().GetSid()
	w.bich.told("ParticipantConnected", "hostile", sid)
	flood := &livekit.SignalRequest{Message: &livekit.SignalRequest_UpdateMetadata{UpdateMetadata: &livekit.UpdateParticipantMetadata{Metadata: "x"}}}
	stop := make(chan struct{})
	writer := make(chan int, 1)
	go func() {
		n := 0
		for ; n < 200_000; n++ {
			select {
			case <-stop:
				writer <- n
				return
			default:
			}
			b := mustMarshal(flood)
			if c.conn.WriteMessage(websocket.BinaryMessage, b) != nil {
				break
			}
		}
		writer <- n
	}()
	leave := c.awaitEnd()
	close(stop)
	t.Logf("ended after at most %d messages", <-writer)
	require.NotNil(t, leave, "the server says leave")
	require.NotEqual(t, livekit.DisconnectReason_UNKNOWN_REASON, leave.GetReason())
	w.unaffected(t)
	w.bich.told("ParticipantDisconnected", "hostile", sid)
}

// TestJSONJoin: a client whose first word is text is answered in JSON.
func TestJSONJoin(t *testing.T) {
	t.Parallel()
	room := roomName(t)
	an := join(t, room, "an")
	c := dialRoom(t, room, "json", nil)
	c.awaitJoin()
	now := time.Now().UnixMilli()
	b, err := protojson.Marshal(&livekit.SignalRequest{Message: &livekit.SignalRequest_PingReq{PingReq: &livekit.Ping{Timestamp: now}}})
	require.NoError(t, err)
	c.sendBytes(websocket.TextMessage, b)
	c.await("pong", func(r *livekit.SignalResponse) bool { return r.GetPongResp().GetLastPingTimestamp() == now })
	require.Equal(t, websocket.TextMessage, int(c.lastKind.Load()), "text is answered with text")
	an.told("ParticipantConnected", "json", "")

	c.sendBytes(websocket.TextMessage, []byte(`{"addTrack": {"cid": "c1", "type": "AUDIO", "source": "MICROPHONE", "name": "mic"}}`))
	c.await("track_published", func(r *livekit.SignalResponse) bool {
		return r.GetTrackPublished().GetCid() == "c1" && r.GetTrackPublished().GetTrack().GetSid() != ""
	})
	leave, err := protojson.Marshal(&livekit.SignalRequest{Message: &livekit.SignalRequest_Leave{Leave: &livekit.LeaveRequest{Reason: livekit.DisconnectReason_CLIENT_INITIATED}}})
	require.NoError(t, err)
	c.sendBytes(websocket.TextMessage, leave)
	an.told("ParticipantDisconnected", "json", "")
}

// TestUnknownSessionIsNotResumed: the client is told to start again.
func TestUnknownSessionIsNotResumed(t *testing.T) {
	t.Parallel()
	query := url.Values{"access_token": {mint(t, roomName(t), "an", nil)}, "reconnect": {"1"}, "sid": {"PA_unknown"}}
	conn, _, err := websocket.DefaultDialer.Dial(signalURL(t, "ws", "/rtc", query), nil)
	require.NoError(t, err)
	leave := newRawClient(t, conn).awaitEnd()
	require.Equal(t, livekit.LeaveRequest_RECONNECT, leave.GetAction())
	require.Equal(t, livekit.DisconnectReason_STATE_MISMATCH, leave.GetReason())
}

// TestBadJoinRequest: what cannot be read is refused before the upgrade.
func TestBadJoinRequest(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/rtc", "/rtc/v1"} {
		for _, request := range []string{"%%%", "AAAA", "CAESBAAAAAA="} {
			query := url.Values{"access_token": {mint(t, roomName(t), "an", nil)}, "join_request": {request}}
			conn, resp, err := websocket.DefaultDialer.Dial(signalURL(t, "ws", path, query), nil)
			if err == nil {
				conn.Close()
			}
			require.ErrorIs(t, err, websocket.ErrBadHandshake, "%s %q", path, request)
			require.Equal(t, http.StatusBadRequest, resp.StatusCode, fmt.Sprintf("%s %q", path, request))
		}
	}
}

// TestOnlineCheck: browsers probe the server with HEAD from another origin.
func TestOnlineCheck(t *testing.T) {
	t.Parallel()
	req, err := http.NewRequest(http.MethodHead, server(t).URL+"/", nil)
	require.NoError(t, err)
	req.Header.Set("Origin", "https://another.example")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.NotEmpty(t, resp.Header.Get("Access-Control-Allow-Origin"))
}
