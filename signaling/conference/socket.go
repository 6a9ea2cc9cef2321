package conference

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"diemcau/signaling/account"
	"diemcau/signaling/live"
	"diemcau/signaling/meeting"
	"diemcau/signaling/problem"
)

const (
	pingEvery      = 20 * time.Second
	pongWithin     = 50 * time.Second
	writeWithin    = 20 * time.Second
	commandWithin  = 30 * time.Second
	maxPerSession  = 8
	maxSockets     = 20000
	maxMalformed   = 5         // in a row
	socketLifetime = time.Hour // then the session is looked up anew
	socketPath     = "/ws/v1/meetings/"
)

// Close codes beside those of RFC 6455 section 7.4.1.
const (
	closeSlow      = 4001 // frames were not taken: come back with the last number seen
	closeReload    = 4002 // come back at once with the last number seen
	closeSignedOut = 4003 // sign in first
	closeNotFound  = 4004 // no such meeting, or not for this caller (any more)
	closeTooMany   = 4008 // of this session, or of this server
)

var upgrader = websocket.Upgrader{
	HandshakeTimeout: 10 * time.Second,
	// No ReadBufferSize: the buffer of net/http, which is kept anyway, is read with.
	WriteBufferSize: 1024,
	WriteBufferPool: &sync.Pool{},
	// account.Authenticate has refused what other sites' pages open.
	CheckOrigin: func(*http.Request) bool { return true },
}

// sockets are all that are open.
type sockets struct {
	over    *endings
	running sync.WaitGroup

	mu        sync.Mutex
	bySession map[string]map[*socket]struct{} // guarded by mu
	n         int                             // guarded by mu
	closed    bool                            // guarded by mu
}

func newSockets(over *endings) *sockets {
	return &sockets{over: over, bySession: make(map[string]map[*socket]struct{})}
}

func (a *sockets) add(c *socket) (code int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	mine := a.bySession[c.session]
	switch {
	case a.closed:
		return websocket.CloseGoingAway
	case a.over.has(c.session): // it ended while the socket was opened
		return closeSignedOut
	case len(mine) >= maxPerSession, a.n >= maxSockets:
		return closeTooMany
	case mine == nil:
		mine = make(map[*socket]struct{})
		a.bySession[c.session] = mine
	}
	mine[c] = struct{}{}
	a.n++
	a.running.Add(1)
	return 0
}

func (a *sockets) remove(c *socket) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.bySession[c.session], c)
	if len(a.bySession[c.session]) == 0 {
		delete(a.bySession, c.session)
	}
	a.n--
	a.running.Done()
}

func (a *sockets) closeAll() {
	a.mu.Lock()
	a.closed = true
	for _, mine := range a.bySession {
		for c := range mine {
			c.end(websocket.CloseGoingAway, "server stops")
		}
	}
	a.mu.Unlock()
	a.running.Wait()
}

// close closes the sockets of sessions that are over.
func (a *sockets) close(over []account.Over) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, o := range over {
		for c := range a.bySession[o.Session] {
			c.end(closeSignedOut, "signed out")
		}
	}
}

// socket is one connection. Its reader is the handler's goroutine, which applies
// commands one after the other; its writer is the only one that sends.
type socket struct {
	s       *Service
	conn    *websocket.Conn
	meeting string
	session string
	viewer  meeting.Viewer // guarded by sockets.mu
	english bool
	answers chan []byte // to commands

	once   sync.Once
	ended  chan struct{} // closed by end
	code   int           // set before ended is closed
	reason string
}

// end has the socket closed with a reason, once.
func (c *socket) end(code int, reason string) {
	c.once.Do(func() {
		c.code, c.reason = code, reason
		close(c.ended)
	})
}

// Socket serves /ws/v1/meetings/{id}?from=SEQ behind account.Authenticate.
func (s *Service) Socket() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, ok := strings.CutPrefix(r.URL.Path, socketPath)
		if !ok || r.Method != http.MethodGet || !websocket.IsWebSocketUpgrade(r) {
			problem.Write(w, r, problem.NoRoute)
			return
		}
		var from uint64
		fresh := !r.URL.Query().Has("from")
		if !fresh {
			var err error
			if from, err = strconv.ParseUint(r.URL.Query().Get("from"), 10, 64); err != nil {
				problem.Write(w, r, badValue.In("from"))
				return
			}
		}
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return // answered
		}
		defer conn.Close()
		c := &socket{s: s, conn: conn, meeting: id, english: problem.English(r.Header.Get("Accept-Language")),
			answers: make(chan []byte, 4), ended: make(chan struct{})}
		c.serve(context.WithoutCancel(r.Context()), from, fresh)
	})
}

func (c *socket) serve(ctx context.Context, from uint64, fresh bool) {
	s := c.s
	p, err := enter(ctx, c.meeting)
	if err != nil {
		c.refuse(err)
		return
	}
	c.session = p.SessionID
	if code := s.sockets.add(c); code != 0 {
		c.goodbye(code, map[int]string{closeTooMany: "too many connections", closeSignedOut: "signed out",
			websocket.CloseGoingAway: "server stops"}[code])
		return
	}
	defer s.sockets.remove(c)
	s.metrics.sockets.Inc()
	defer s.metrics.sockets.Dec()
	w, err := c.watch(ctx, p, from, fresh)
	if err != nil {
		c.refuse(err)
		return
	}
	defer w.Close()
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.write(w)
	}()
	c.read(ctx)
	c.end(websocket.CloseNormalClosure, "")
	<-written
}

// watch begins to follow the meeting, for who may.
func (c *socket) watch(ctx context.Context, p account.Principal, from uint64, fresh bool) (*live.Watcher, error) {
	v, err := c.s.viewerOf(ctx, p, c.meeting)
	if err != nil {
		return nil, err
	}
	if !c.s.reads.allow(c.session) {
		return nil, tooFast
	}
	c.s.sockets.looks(c, v)
	may := false
	if err := c.s.hub.Look(ctx, c.meeting, func(st *meeting.State) {
		in, waits := sees(st, v)
		may = in && !p.Lobby || waits
	}); err != nil {
		return nil, err
	}
	if !may {
		return nil, problem.NotFound
	}
	return c.s.hub.Watch(ctx, c.meeting, v, from, fresh)
}

// refuse closes a socket that was not admitted.
func (c *socket) refuse(err error) {
	switch d := problem.Of(err, true); d.Status {
	case http.StatusUnauthorized:
		c.goodbye(closeSignedOut, "not signed in")
	case http.StatusNotFound, http.StatusForbidden:
		c.goodbye(closeNotFound, d.Code)
	default:
		if d.Code == "internal" {
			c.s.o.Log.Error("socket refused", "meeting", c.meeting, "error", err)
		}
		c.goodbye(websocket.CloseTryAgainLater, d.Code)
	}
}

func (c *socket) goodbye(code int, reason string) {
	c.s.metrics.closed.WithLabelValues(strconv.Itoa(code)).Inc()
	_ = c.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(writeWithin))
}

// read applies what the client sends until the connection breaks or is closed.
func (c *socket) read(ctx context.Context) {
	c.conn.SetReadLimit(maxMessage)
	alive := func(string) error { return c.conn.SetReadDeadline(time.Now().Add(pongWithin)) }
	c.conn.SetPongHandler(alive)
	_ = alive("")
	malformed := 0
	for {
		kind, raw, err := c.conn.ReadMessage()
		if err != nil {
			return
		}
		_ = alive("")
		var m message
		if kind != websocket.TextMessage {
			err = badJSON
		} else {
			m, err = parseMessage(raw)
		}
		if err != nil {
			c.s.unread(ctx, c.meeting, err)
			if malformed++; malformed >= maxMalformed {
				c.end(websocket.CloseInvalidFramePayloadData, "malformed messages")
				return
			}
			if !c.answer(m.ID, 0, err) {
				return
			}
			continue
		}
		malformed = 0
		select {
		case <-c.ended: // signed out, perhaps, while a peer that does not read holds the writer up
			return
		default:
		}
		within, cancel := context.WithTimeout(ctx, commandWithin)
		seq, err := c.s.do(within, c.meeting, m)
		cancel()
		if !c.answer(m.ID, seq, err) {
			return
		}
	}
}

// ack and refusal are the answers to a command.
type ack struct {
	Type string `json:"type"` // ack
	ID   string `json:"id"`
	Seq  uint64 `json:"seq"`
}

type refusal struct {
	Type    string           `json:"type"` // error
	ID      string           `json:"id"`
	Problem *problem.Details `json:"problem"`
}

// answer queues the answer to a command; false when the socket is closing.
func (c *socket) answer(id string, seq uint64, err error) bool {
	var frame any = ack{"ack", id, seq}
	if err != nil {
		d := problem.Of(err, c.english)
		if d.Code == "internal" {
			c.s.o.Log.Error("command failed", "meeting", c.meeting, "error", err)
		}
		frame = refusal{"error", id, d}
	}
	raw, e := json.Marshal(frame)
	if e != nil {
		c.s.o.Log.Error("answer not encoded", "error", e)
		return false
	}
	select {
	case c.answers <- raw:
		return true
	case <-c.ended:
		return false
	}
}

// write sends frames, answers and pings, and closes the connection in the end.
func (c *socket) write(w *live.Watcher) {
	defer c.conn.Close() // ends the reader, too
	ping, life := time.NewTicker(pingEvery), time.NewTimer(socketLifetime)
	defer ping.Stop()
	defer life.Stop()
	for {
		var err error
		select {
		case f := <-w.Frames():
			if err = c.show(f); err == nil && f.Last() {
				c.end(closeNotFound, "not admitted any more")
			}
		case raw := <-c.answers:
			err = c.send(raw)
		case <-ping.C:
			err = c.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeWithin))
		case <-life.C:
			c.end(closeReload, "reload")
		case <-w.Gone():
			c.end(goneCode(w.Why()), string(w.Why()))
		case <-c.ended:
			if c.code != websocket.CloseNormalClosure {
				c.goodbye(c.code, c.reason)
			}
			return
		}
		if err != nil {
			c.end(websocket.CloseNormalClosure, "")
			return
		}
	}
}

func goneCode(why live.Reason) int {
	switch why {
	case live.ReasonSlow:
		return closeSlow
	case live.ReasonServer:
		return websocket.CloseGoingAway
	}
	return closeReload
}

// show sends a frame; its long parts, which it shares with others', are not copied.
func (c *socket) show(f live.Frame) error {
	if len(f) == 1 {
		return c.send(f[0])
	}
	_ = c.conn.SetWriteDeadline(time.Now().Add(writeWithin))
	w, err := c.conn.NextWriter(websocket.TextMessage)
	if err != nil {
		return err
	}
	for _, part := range f {
		if _, err := w.Write(part); err != nil {
			return errors.Join(err, w.Close())
		}
	}
	return w.Close()
}

func (c *socket) send(frame []byte) error {
	_ = c.conn.SetWriteDeadline(time.Now().Add(writeWithin))
	return c.conn.WriteMessage(websocket.TextMessage, frame)
}
