package rtc

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/livekit"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

func TestRequestsAndResponsesKeepTheirOrder(t *testing.T) {
	r := newRig(t)
	c, s := r.join("a")
	sids := []string{"TR_1", "TR_2", "TR_3"}
	for _, sid := range sids {
		c.send(muteRequest(sid))
		s.responses <- speakers(sid)
	}
	for _, sid := range sids {
		require.Equal(t, sid, s.request(t).GetMute().GetSid())
		require.Equal(t, sid, c.read().GetSpeakersChanged().GetSpeakers()[0].Sid)
	}
}

func TestPings(t *testing.T) {
	r := newRig(t)
	c, s := r.join("a")
	before := time.Now().UnixMilli()
	c.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Ping{Ping: 5}})
	require.GreaterOrEqual(t, c.read().GetPong(), before)
	c.send(pingRequest(77))
	pong := c.read().GetPongResp()
	require.Equal(t, int64(77), pong.GetLastPingTimestamp())
	require.GreaterOrEqual(t, pong.GetTimestamp(), before)
	require.Empty(t, s.requests, "pings are not the node's business")
}

func TestWebSocketPingIsAnswered(t *testing.T) {
	r := newRig(t)
	c, _ := r.join("a")
	pong := make(chan string, 1)
	c.ws.SetPongHandler(func(data string) error { pong <- data; return nil })
	require.NoError(t, c.ws.WriteControl(websocket.PingMessage, []byte("hi"), time.Now().Add(soon)))
	c.send(pingRequest(1))
	c.read() // reading is what runs the pong handler
	require.Equal(t, "hi", within(t, pong, "a pong"))
}

func TestJSONClientIsAnsweredInJSON(t *testing.T) {
	r := newRig(t)
	c, s := r.join("a")
	text := func(json string) { require.NoError(t, c.ws.WriteMessage(websocket.TextMessage, []byte(json))) }
	text(`{"mute":{"sid":"TR_1","muted":true,"fieldOf2050":1},"alsoNew":{}}`)
	require.Equal(t, "TR_1", s.request(t).GetMute().GetSid())
	s.responses <- speakers("TR_9")
	messageType, payload, err := c.ws.ReadMessage()
	require.NoError(t, err)
	require.Equal(t, websocket.TextMessage, messageType)
	require.JSONEq(t, `{"speakersChanged":{"speakers":[{"sid":"TR_9"}]}}`, string(payload))

	text(`{"mute":`)
	require.Equal(t, livekit.RequestResponse_UNCLASSIFIED_ERROR, c.read().GetRequestResponse().GetReason())
	text(`{"pingReq":{"timestamp":"12"}}`)
	require.Equal(t, int64(12), c.read().GetPongResp().GetLastPingTimestamp())
}

func TestMalformedMessageCostsOnlyItself(t *testing.T) {
	r := newRig(t)
	c, s := r.join("a")
	other, otherSession := r.join("b")
	for _, bad := range [][]byte{{0xff, 0xff, 0xff}, []byte("offer"), {0x0a, 0x05, 0x01}} {
		require.NoError(t, c.ws.WriteMessage(websocket.BinaryMessage, bad))
		res := c.read().GetRequestResponse()
		require.Equal(t, livekit.RequestResponse_UNCLASSIFIED_ERROR, res.GetReason())
		require.NotEmpty(t, res.GetMessage())
	}
	require.NoError(t, c.ws.WriteMessage(websocket.BinaryMessage, nil))
	require.Equal(t, livekit.RequestResponse_UNSUPPORTED_TYPE, c.read().GetRequestResponse().GetReason())
	c.send(muteRequest("TR_1"))
	require.Equal(t, "TR_1", s.request(t).GetMute().GetSid(), "the session must go on")
	r.requireLogNames("malformed signal message", "a")
	requireUndisturbed(t, other, otherSession)
}

// requireUndisturbed checks that a session works both ways and that its client
// was sent nothing meanwhile.
func requireUndisturbed(t *testing.T, c *client, s *fakeSession) {
	t.Helper()
	c.send(muteRequest("TR_ok"))
	require.Equal(t, "TR_ok", s.request(t).GetMute().GetSid())
	s.responses <- speakers("TR_ok")
	require.Equal(t, "TR_ok", c.read().GetSpeakersChanged().GetSpeakers()[0].GetSid())
}

// requireLogNames looks for a log line with the message that names room and
// participant.
func (r *rig) requireLogNames(message, participant string) {
	r.t.Helper()
	for line := range strings.Lines(r.logs.String()) {
		if strings.Contains(line, message) {
			require.Contains(r.t, line, "participant="+participant+" ")
			require.Contains(r.t, line, "room=hop ")
			return
		}
	}
	require.FailNow(r.t, "no such log line", message)
}

// requireExpelled checks that client was sent away and its participant out of
// the room, and that nobody else notices.
func (r *rig) requireExpelled(c *client, s *fakeSession, code int, reason string) {
	r.t.Helper()
	messages, got := c.readUntilClosed()
	leave := lastLeave(r.t, messages)
	require.Equal(r.t, livekit.LeaveRequest_DISCONNECT, leave.Action)
	require.Equal(r.t, livekit.DisconnectReason_PARTICIPANT_REMOVED, leave.Reason)
	require.Equal(r.t, code, got)
	within(r.t, s.closed, "the session's end")
	var last *livekit.SignalRequest
	for len(s.requests) > 0 {
		last = <-s.requests
	}
	require.NotNil(r.t, last.GetLeave(), "the node must be told to remove the participant")
	r.requireLogNames("signal session dismissed", s.start.Identity)
	r.eventually(func() bool { return r.counter("diemcau_signal_sessions_closed_total", reason) == 1 })
}

func (r *rig) eventually(ok func() bool) {
	r.t.Helper()
	require.Eventually(r.t, ok, soon, time.Millisecond)
}

func TestFloodEndsOnlyItsClient(t *testing.T) {
	request, err := proto.Marshal(muteRequest("TR_1"))
	require.NoError(t, err)
	large, err := proto.Marshal(muteRequest(strings.Repeat("x", MaxMessageSize-100)))
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		least  int // messages that must pass before the limit
		number int
		send   func(*client) error
	}{
		"messages":  {messageBurst, 3000, func(c *client) error { return c.ws.WriteMessage(websocket.BinaryMessage, request) }},
		"malformed": {0, 30, func(c *client) error { return c.ws.WriteMessage(websocket.BinaryMessage, []byte{0xff}) }},
		"large":     {10, 40, func(c *client) error { return c.ws.WriteMessage(websocket.BinaryMessage, large) }},
		"WebSocket pings": {0, 3000, func(c *client) error {
			return c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(soon))
		}},
		"WebSocket pongs": {0, 3000, func(c *client) error {
			return c.ws.WriteControl(websocket.PongMessage, nil, time.Now().Add(soon))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			c, s := r.join("a")
			other, otherSession := r.join("b")
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				for range tc.number {
					if tc.send(c) != nil {
						return // cut off, which is what must happen
					}
				}
			}()
			r.requireExpelled(c, s, websocket.ClosePolicyViolation, closedFlood)
			within(t, sent, "the sender's end")
			received := r.counter("diemcau_signal_messages_total", "in")
			require.GreaterOrEqual(t, received, float64(tc.least))
			require.Less(t, received, float64(tc.number))
			requireUndisturbed(t, other, otherSession)
		})
	}
}

func TestOversizedMessage(t *testing.T) {
	r := newRig(t)
	c, s := r.join("a")
	other, otherSession := r.join("b")
	exact, err := proto.Marshal(muteRequest(strings.Repeat("x", MaxMessageSize-12)))
	require.NoError(t, err)
	exact = exact[:len(exact):len(exact)]
	require.LessOrEqual(t, len(exact), MaxMessageSize)
	require.NoError(t, c.ws.WriteMessage(websocket.BinaryMessage, exact))
	require.Len(t, s.request(t).GetMute().GetSid(), MaxMessageSize-12, "a message of the limit passes")

	sent := make(chan struct{})
	go func() {
		defer close(sent)
		// Far over the limit: the farewell must arrive although we still write.
		_ = c.ws.WriteMessage(websocket.BinaryMessage, bytes.Repeat([]byte{0}, 8<<20))
	}()
	r.requireExpelled(c, s, websocket.CloseMessageTooBig, closedOversize)
	within(t, sent, "the sender's end")
	requireUndisturbed(t, other, otherSession)
}

func TestNodeEndsSession(t *testing.T) {
	r := newRig(t)
	c, s := r.join("a")
	s.responses <- speakers("TR_1")
	s.responses <- &livekit.SignalResponse{Message: &livekit.SignalResponse_Leave{Leave: &livekit.LeaveRequest{
		Reason: livekit.DisconnectReason_DUPLICATE_IDENTITY,
	}}}
	close(s.responses)
	messages, code := c.readUntilClosed()
	require.Len(t, messages, 2)
	require.Equal(t, livekit.DisconnectReason_DUPLICATE_IDENTITY, lastLeave(t, messages).Reason)
	require.Equal(t, websocket.CloseNormalClosure, code)
	within(t, s.closed, "the session's end")
	r.eventually(func() bool { return r.counter("diemcau_signal_sessions_closed_total", closedByNode) == 1 })
}

func TestClientEndsSession(t *testing.T) {
	r := newRig(t)
	c, s := r.join("a")
	c.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Leave{Leave: &livekit.LeaveRequest{}}})
	require.NoError(t, c.ws.Close())
	require.NotNil(t, s.request(t).GetLeave())
	within(t, s.closed, "the session's end")
	r.eventually(func() bool { return r.counter("diemcau_signal_sessions_closed_total", closedByClient) == 1 })
}

func TestOverrunReconnectsClient(t *testing.T) {
	r := newRig(t)
	c, s := r.join("a")
	s.failSends(errors.New("queue is full"))
	c.send(muteRequest("TR_1"))
	messages, code := c.readUntilClosed()
	require.Equal(t, livekit.LeaveRequest_RECONNECT, lastLeave(t, messages).Action)
	require.Equal(t, websocket.CloseTryAgainLater, code)
	within(t, s.closed, "the session's end")
}

// A request that finds its session over must not hide from the client why the
// node has ended it.
func TestNodesLeaveWinsOverOurs(t *testing.T) {
	r := newRig(t)
	c, s := r.join("a")
	s.failSends(errors.New("session is over"))
	c.send(muteRequest("TR_1"))
	r.eventually(func() bool { return strings.Contains(r.logs.String(), "session takes no more requests") })
	s.responses <- &livekit.SignalResponse{Message: &livekit.SignalResponse_Leave{Leave: &livekit.LeaveRequest{
		Reason: livekit.DisconnectReason_DUPLICATE_IDENTITY,
	}}}
	close(s.responses)
	messages, code := c.readUntilClosed()
	require.Len(t, messages, 1)
	require.Equal(t, livekit.DisconnectReason_DUPLICATE_IDENTITY, lastLeave(t, messages).Reason)
	require.Equal(t, websocket.CloseNormalClosure, code)
}

func TestShutdownResumesClients(t *testing.T) {
	r := newRig(t)
	a, sa := r.join("a")
	b, sb := r.join("b")
	sa.responses <- speakers("TR_1")
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.shutdown()
	}()
	for _, c := range []*client{a, b} {
		messages, code := c.readUntilClosed()
		leave := lastLeave(t, messages)
		require.Equal(t, livekit.LeaveRequest_RESUME, leave.Action)
		require.Equal(t, livekit.DisconnectReason_SERVER_SHUTDOWN, leave.Reason)
		require.Equal(t, websocket.CloseGoingAway, code)
		require.Equal(t, c == a, len(messages) == 2, "what the node had queued comes first")
	}
	within(t, stopped, "Shutdown's return")
	for _, s := range []*fakeSession{sa, sb} {
		within(t, s.closed, "the session's end")
	}
	_, res, err := r.dial("/rtc", r.query("c"))
	require.Error(t, err)
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	status, _ := r.get("/rtc/validate", r.query("c"))
	require.Equal(t, http.StatusServiceUnavailable, status)
}
