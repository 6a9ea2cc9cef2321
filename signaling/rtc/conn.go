package rtc

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/livekit"
)

const (
	pingEvery  = 10 * time.Second // WebSocket pings
	deadAfter  = 30 * time.Second // without a message, a ping or a pong
	writeWait  = 5 * time.Second  // for one write, and for all of a farewell
	lingerWait = 2 * time.Second  // for the client's answer to our close
	pongWait   = time.Second      // for writing a pong
	// sessionEndWait is how long a node whose session takes no more requests
	// may need to say why, before we say something ourselves.
	sessionEndWait = time.Second
	// answerQueue holds what readLoop wants said; a full one makes readLoop
	// wait for the writer, which is to make the client wait.
	answerQueue = 16
	// flushLimit bounds how many queued responses a farewell sends first.
	flushLimit = 256
)

// farewell is how our side ends a session.
type farewell struct {
	reason string                // label of the closed metric
	leave  *livekit.LeaveRequest // sent unless the node has sent one; may be nil
	code   int                   // WebSocket close code, RFC 6455 section 7.4
	text   string                // for the close frame, at most 123 bytes
	expel  bool                  // take the participant out of the room, too
	grace  time.Duration         // wait for the node to end the session by itself first
}

// conn carries one session over one WebSocket. readLoop and writeLoop are its
// two goroutines; fields without a comment are set before they start.
type conn struct {
	ws       *websocket.Conn
	session  Session
	tokens   *tokenKeeper // of writeLoop
	draining <-chan struct{}
	metrics  *metrics
	log      *slog.Logger
	protocol string
	resumed  bool
	budget   *budget // of readLoop

	asJSON   atomic.Bool // the client's last message was a text one
	answers  chan *livekit.SignalResponse
	farewell chan farewell // from readLoop to writeLoop; at most one
	gone     chan struct{} // closed when readLoop has ended
	written  chan struct{} // closed when writeLoop has ended

	dismissed bool      // of readLoop: a farewell is under way
	left      bool      // of writeLoop: a Leave has been sent
	writeBy   time.Time // of writeLoop: end of a farewell

	mu        sync.Mutex
	lingering bool   // guarded by mu; the read deadline is final
	reason    string // guarded by mu; the first one counts
}

// run carries the session until both loops have ended, then closes it.
func (c *conn) run() {
	kind := "join"
	if c.resumed {
		kind = "resume"
	}
	c.metrics.opened.WithLabelValues(c.protocol, kind).Inc()
	c.metrics.open.Inc()
	c.log.Info("signal session opened", "protocol", c.protocol, "kind", kind)
	started := time.Now()

	go func() {
		defer close(c.written)
		c.writeLoop()
	}()
	c.readLoop()
	close(c.gone)
	<-c.written
	c.session.Close()
	_ = c.ws.Close()

	c.mu.Lock()
	reason := c.reason
	c.mu.Unlock()
	c.metrics.open.Dec()
	c.metrics.closed.WithLabelValues(reason).Inc()
	c.log.Info("signal session closed", "reason", reason, "after", time.Since(started).Round(time.Millisecond))
}

// because notes why the session ends; later reasons are consequences.
func (c *conn) because(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason == "" {
		c.reason = reason
	}
}

// alive moves the read deadline on: the client has shown itself. False means
// that the session is ending and the deadline stays.
func (c *conn) alive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.lingering {
		_ = c.ws.SetReadDeadline(time.Now().Add(deadAfter))
	}
	return !c.lingering
}

// linger gives the client a last while to read what was sent and to close. We
// go on reading (and discarding) meanwhile: closing a TCP connection with unread
// data resets it, and the reset can overtake the farewell.
func (c *conn) linger(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lingering = true
	_ = c.ws.SetReadDeadline(time.Now().Add(d))
}

// readLoop takes the client's messages until its socket ends.
func (c *conn) readLoop() {
	c.ws.SetPongHandler(func(string) error { c.control(); return nil })
	c.ws.SetPingHandler(func(data string) error {
		if c.control() {
			// A writer that is stuck is noticed by the writer.
			_ = c.ws.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(pongWait))
		}
		return nil
	})
	c.alive()
	for {
		messageType, reader, err := c.ws.NextReader()
		if err != nil {
			c.because(readFailure(err))
			return
		}
		if !c.alive() {
			continue // NextReader discards the rest
		}
		if err := c.read(messageType, reader); err != nil {
			c.because(readFailure(err))
			return
		}
	}
}

// messages are buffers of clients' messages. Descriptions are long, and come from
// everybody at once when the floor goes round.
var messages = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const maxSpareMessage = 128 << 10

// read reads a message and takes it.
func (c *conn) read(messageType int, reader io.Reader) error {
	buf, _ := messages.Get().(*bytes.Buffer) // nothing else is put there
	buf.Reset()
	if _, err := buf.ReadFrom(io.LimitReader(reader, MaxMessageSize+1)); err != nil {
		return err
	}
	// A ping amid the fragments may have been one too many.
	if !c.dismissed {
		c.take(messageType, buf.Bytes())
	}
	if buf.Cap() <= maxSpareMessage {
		messages.Put(buf)
	}
	return nil
}

func readFailure(err error) string {
	var netErr net.Error
	if errors.Is(err, os.ErrDeadlineExceeded) || (errors.As(err, &netErr) && netErr.Timeout()) {
		return closedDead
	}
	return closedByClient
}

// control accounts for a WebSocket ping or pong; false means that the client is
// being dismissed.
func (c *conn) control() bool {
	switch {
	case c.dismissed:
		return false
	case !c.budget.spend(1):
		c.dismissFlood()
		return false
	default:
		return c.alive()
	}
}

// take handles one message, and keeps nothing of it.
func (c *conn) take(messageType int, payload []byte) {
	c.metrics.messages.WithLabelValues("in").Inc()
	c.metrics.bytes.WithLabelValues("in").Add(float64(len(payload)))
	if len(payload) > MaxMessageSize {
		c.dismiss(farewell{
			reason: closedOversize, expel: true, code: websocket.CloseMessageTooBig, text: "message too big",
			leave: removal(),
		})
		return
	}
	if !c.budget.spend(messageCost(len(payload))) {
		c.dismissFlood()
		return
	}
	c.asJSON.Store(messageType == websocket.TextMessage)
	req, err := decodeRequest(messageType, payload)
	if err != nil {
		c.reject(err)
		return
	}
	switch m := req.Message.(type) {
	case *livekit.SignalRequest_Ping:
		// Milliseconds: JavaScript clients cannot hold more.
		c.answer(&livekit.SignalResponse{Message: &livekit.SignalResponse_Pong{Pong: time.Now().UnixMilli()}})
	case *livekit.SignalRequest_PingReq:
		c.answer(&livekit.SignalResponse{Message: &livekit.SignalResponse_PongResp{PongResp: &livekit.Pong{
			LastPingTimestamp: m.PingReq.GetTimestamp(),
			Timestamp:         time.Now().UnixMilli(),
		}}})
	default:
		if err := c.session.Send(req); err != nil {
			c.log.Info("session takes no more requests", "error", err)
			c.dismiss(farewell{
				reason: closedOverrun, grace: sessionEndWait, code: websocket.CloseTryAgainLater, text: "session overrun",
				leave: &livekit.LeaveRequest{
					Action: livekit.LeaveRequest_RECONNECT, CanReconnect: true,
					Reason: livekit.DisconnectReason_STATE_MISMATCH,
				},
			})
		}
	}
}

// reject tells the client that its message was no good. The session goes on.
func (c *conn) reject(err error) {
	reason := livekit.RequestResponse_UNSUPPORTED_TYPE
	if errors.Is(err, errMalformed) {
		reason = livekit.RequestResponse_UNCLASSIFIED_ERROR
		c.log.Warn("malformed signal message", "error", err)
		err = errMalformed // the parser's own words stay here
		if !c.budget.spend(malformedCost) {
			c.dismissFlood()
			return
		}
	}
	c.answer(&livekit.SignalResponse{Message: &livekit.SignalResponse_RequestResponse{
		RequestResponse: &livekit.RequestResponse{Reason: reason, Message: err.Error()},
	}})
}

// answer has the writer send res; it waits while the client is slow to read.
func (c *conn) answer(res *livekit.SignalResponse) {
	select {
	case c.answers <- res:
	case <-c.written:
	}
}

func (c *conn) dismissFlood() {
	c.dismiss(farewell{
		reason: closedFlood, expel: true, code: websocket.ClosePolicyViolation, text: "too many messages",
		leave: removal(),
	})
}

// dismiss ends the session from our side, because of this client.
func (c *conn) dismiss(f farewell) {
	c.dismissed = true
	c.because(f.reason)
	c.log.Warn("signal session dismissed", "reason", f.reason)
	c.linger(f.grace + writeWait + lingerWait)
	c.farewell <- f // never blocks: one at most, dismissed sees to that
}

func removal() *livekit.LeaveRequest {
	return &livekit.LeaveRequest{
		Action: livekit.LeaveRequest_DISCONNECT,
		Reason: livekit.DisconnectReason_PARTICIPANT_REMOVED,
	}
}
