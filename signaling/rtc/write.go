package rtc

import (
	"time"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/livekit"
)

// writeLoop is the only writer of messages to the socket. It ends when the
// socket is gone, when it fails to write, or when it has said farewell.
func (c *conn) writeLoop() {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	refresh := time.NewTimer(refreshEvery)
	defer refresh.Stop()
	var (
		begun   bool // the node has answered; a token may not come before that
		pending farewell
		grace   <-chan time.Time
	)
	for {
		select {
		case <-c.draining: // however much else there is to write
			c.say(farewell{
				reason: closedByShutdown, code: websocket.CloseGoingAway, text: "server is shutting down",
				leave: &livekit.LeaveRequest{
					Action: livekit.LeaveRequest_RESUME, CanReconnect: true,
					Reason: livekit.DisconnectReason_SERVER_SHUTDOWN,
				},
			})
			return
		default:
		}
		ok := true
		select {
		case <-c.gone:
			return
		case res, open := <-c.session.Responses():
			if !open {
				c.say(farewell{reason: closedByNode, code: websocket.CloseNormalClosure})
				return
			}
			changed := c.tokens.observe(res)
			ok = c.write(res)
			switch {
			case ok && !begun && begins(res):
				ok = c.writeToken()
				begun = true
			case changed:
				refresh.Reset(refreshAfterChange)
			}
		case res := <-c.answers:
			ok = c.write(res)
		case <-ping.C:
			ok = c.writePing()
		case <-refresh.C:
			refresh.Reset(refreshEvery)
			ok = !begun || c.writeToken()
		case pending = <-c.farewell:
			if pending.grace == 0 {
				c.say(pending)
				return
			}
			grace = time.After(pending.grace)
		case <-grace:
			c.say(pending)
			return
		case <-c.draining:
		}
		if !ok {
			return
		}
	}
}

// begins reports whether res is a first message that starts a session.
func begins(res *livekit.SignalResponse) bool {
	switch res.Message.(type) {
	case *livekit.SignalResponse_Join, *livekit.SignalResponse_Reconnect:
		return true
	default:
		return false
	}
}

// say ends the session: what the node had queued, f's leave unless the node's
// own was among it, and the close frame, all within writeWait.
func (c *conn) say(f farewell) {
	c.because(f.reason)
	c.writeBy = time.Now().Add(writeWait)
	over, ok := c.flush()
	if ok && f.leave != nil && !c.left && !over {
		ok = c.write(&livekit.SignalResponse{Message: &livekit.SignalResponse_Leave{Leave: f.leave}})
	}
	if f.expel {
		if err := c.session.Send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Leave{Leave: f.leave}}); err != nil {
			c.log.Debug("session was over before its client was expelled", "error", err)
		}
	}
	if !ok {
		return
	}
	frame := websocket.FormatCloseMessage(f.code, f.text)
	if err := c.ws.WriteControl(websocket.CloseMessage, frame, c.writeBy); err != nil {
		c.cut(err)
		return
	}
	c.linger(lingerWait)
}

// flush writes what the node has queued. over means that the node has ended the
// session; ok is false if the socket failed.
func (c *conn) flush() (over, ok bool) {
	for range flushLimit {
		select {
		case res, open := <-c.session.Responses():
			if !open {
				return true, true
			}
			if !c.write(res) {
				return false, false
			}
		default:
			return false, true
		}
	}
	return false, true
}

// write sends one message; false means that the socket is of no more use.
func (c *conn) write(res *livekit.SignalResponse) bool {
	messageType, payload, err := encodeResponse(res, c.asJSON.Load())
	if err != nil {
		c.log.Error("signal response does not encode", "error", err)
		return true
	}
	if _, leave := res.Message.(*livekit.SignalResponse_Leave); leave {
		c.left = true
	}
	deadline := c.writeBy
	if deadline.IsZero() {
		deadline = time.Now().Add(writeWait)
	}
	_ = c.ws.SetWriteDeadline(deadline)
	if err := c.ws.WriteMessage(messageType, payload); err != nil {
		c.cut(err)
		return false
	}
	c.metrics.messages.WithLabelValues("out").Inc()
	c.metrics.bytes.WithLabelValues("out").Add(float64(len(payload)))
	return true
}

func (c *conn) writePing() bool {
	if err := c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeWait)); err != nil {
		c.cut(err)
		return false
	}
	return true
}

// writeToken sends a token for the participant's present grants. Failing to make
// one costs the client nothing yet, so the session goes on.
func (c *conn) writeToken() bool {
	token, err := c.tokens.mint()
	if err != nil {
		c.log.Error("no refresh token", "error", err)
		return true
	}
	return c.write(&livekit.SignalResponse{Message: &livekit.SignalResponse_RefreshToken{RefreshToken: token}})
}

// cut closes the socket after a failed write, which ends readLoop.
func (c *conn) cut(err error) {
	reason := readFailure(err)
	if reason == closedDead {
		reason = closedSlow
		c.log.Warn("client does not read; socket cut", "error", err)
	}
	c.because(reason)
	_ = c.ws.Close()
}
