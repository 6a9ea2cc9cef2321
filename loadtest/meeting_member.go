package loadtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

const (
	dialTimeout   = 60 * time.Second
	answerTimeout = 30 * time.Second
	cachedFrames  = 64
)

// meetingFrame is a message of the server, as far as it is looked at.
type meetingFrame struct {
	Type   string `json:"type"`
	Seq    uint64 `json:"seq"`
	ID     string `json:"id"`
	Vote   string `json:"vote"`
	Cast   int    `json:"cast"`
	Events []struct {
		Seq  uint64          `json:"seq"`
		Type string          `json:"type"`
		Body json.RawMessage `json:"body"`
	} `json:"events"`
	Problem *struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	} `json:"problem"`
}

// frameCache decodes what many receive alike only once: otherwise it would be this
// program that is slow.
type frameCache struct {
	seed maphash.Seed

	mu    sync.Mutex
	known map[uint64]*meetingFrame // guarded by mu
}

func newFrameCache() *frameCache {
	return &frameCache{seed: maphash.MakeSeed(), known: make(map[uint64]*meetingFrame)}
}

func (c *frameCache) decode(raw []byte) (*meetingFrame, error) {
	if !bytes.HasPrefix(raw, []byte(`{"type":"events"`)) {
		f := &meetingFrame{}
		return f, json.Unmarshal(raw, f)
	}
	key := maphash.Bytes(c.seed, raw)
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.known[key]; f != nil {
		return f, nil
	}
	f := &meetingFrame{}
	if err := json.Unmarshal(bytes.Clone(raw), f); err != nil {
		return nil, err
	}
	if len(c.known) >= cachedFrames {
		clear(c.known)
	}
	c.known[key] = f
	return f, nil
}

// arrival is an event that came.
type arrival struct {
	seq uint64
	at  time.Time
}

// answer is what became of a command.
type answer struct {
	id   string
	seq  uint64
	at   time.Time
	fail error
}

// ledger are the books of the events that one member was sent. All whom the same
// concerns must have equal ones, but for snapshots.
type ledger struct {
	events    uint64 // that everybody sees, after the first
	sum       uint64 // of their numbers, in order
	snapshots int    // after the first
	twice     int    // events that came again or late
	own       int    // ballots of one's own
}

// member is somebody with a socket.
type member struct {
	api     *apiClient
	session apiSession
	cache   *frameCache
	watch   func(f *meetingFrame, at time.Time) // of a few, before the books are kept; may be nil

	conn    *websocket.Conn
	ended   chan struct{} // closed when nothing more comes
	answers chan answer
	seq     atomic.Uint64 // up to which all is known

	mu       sync.Mutex
	last     uint64    // guarded by mu: the last event
	begun    bool      // guarded by mu: the books have
	early    []uint64  // guarded by mu: what everybody sees of the time before
	books    ledger    // guarded by mu
	arrivals []arrival // guarded by mu
	closed   error     // guarded by mu: why it ended
}

func newMember(api *apiClient, s apiSession, cache *frameCache) *member {
	return &member{api: api, session: s, cache: cache, answers: make(chan answer, 16)}
}

// connect opens the socket; resume says that it goes on where it was.
func (m *member) connect(ctx context.Context, meeting string, resume bool) error {
	at := *m.api.base
	at.Scheme = strings.Replace(at.Scheme, "http", "ws", 1)
	at.Path, at.RawQuery = "/ws/v1/meetings/"+meeting, ""
	if resume {
		at.RawQuery = url.Values{"from": {strconv.FormatUint(m.seq.Load(), 10)}}.Encode()
	}
	dialer := websocket.Dialer{HandshakeTimeout: dialTimeout, ReadBufferSize: 4096, WriteBufferSize: 1024}
	conn, response, err := dialer.DialContext(ctx, at.String(), http.Header{"Cookie": {m.session.Cookie}})
	if err != nil {
		if response != nil {
			return fmt.Errorf("%w: %s", err, response.Status)
		}
		return err
	}
	m.conn, m.ended = conn, make(chan struct{})
	go m.read(conn, m.ended, !resume)
	return nil
}

// drop cuts the connection, as a network that is gone does.
func (m *member) drop() {
	if m.conn == nil {
		return
	}
	_ = m.conn.NetConn().Close() // the reader hears of it
	<-m.ended
}

// read keeps the books of what comes. fresh says that a snapshot is to be expected.
func (m *member) read(conn *websocket.Conn, ended chan struct{}, fresh bool) {
	defer close(ended)
	defer conn.Close()
	var buffer bytes.Buffer
	for {
		_, r, err := conn.NextReader()
		if err == nil {
			buffer.Reset()
			_, err = buffer.ReadFrom(io.LimitReader(r, 256))
		}
		var f *meetingFrame
		if err == nil {
			f, err = m.decode(&buffer, r)
		}
		if err != nil {
			m.mu.Lock()
			m.closed = err
			m.mu.Unlock()
			return
		}
		m.take(f, time.Now(), &fresh)
	}
}

// decode reads the rest of a message. Of a snapshot, which may be large, only the number
// is looked at.
func (m *member) decode(buffer *bytes.Buffer, rest io.Reader) (*meetingFrame, error) {
	if number, ok := bytes.CutPrefix(buffer.Bytes(), []byte(`{"type":"snapshot","seq":`)); ok {
		digits, _, _ := bytes.Cut(number, []byte(","))
		seq, err := strconv.ParseUint(string(digits), 10, 64)
		if err != nil {
			return nil, err
		}
		_, err = io.Copy(io.Discard, rest)
		return &meetingFrame{Type: "snapshot", Seq: seq}, err
	}
	if _, err := buffer.ReadFrom(rest); err != nil {
		return nil, err
	}
	return m.cache.decode(buffer.Bytes())
}

func (m *member) take(f *meetingFrame, at time.Time, fresh *bool) {
	if m.watch != nil {
		m.watch(f, at)
	}
	switch f.Type {
	case "ack", "error":
		a := answer{id: f.ID, seq: f.Seq, at: at}
		if f.Type == "error" && f.Problem != nil {
			a.fail = fmt.Errorf("%s: %s", f.Problem.Code, f.Problem.Detail)
		}
		select {
		case m.answers <- a:
		default: // nobody waits for so many
		}
		return
	case "snapshot":
		m.mu.Lock()
		if !*fresh {
			m.books.snapshots++
		}
		*fresh = false
		m.last = max(m.last, f.Seq)
		m.mu.Unlock()
	case "events":
		m.enter(f, at)
	default:
		return
	}
	m.seq.Store(max(m.seq.Load(), f.Seq))
}

// enter puts events into the books.
func (m *member) enter(f *meetingFrame, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range f.Events {
		if e.Seq <= m.last {
			m.books.twice++
			continue
		}
		m.last = e.Seq
		switch {
		case e.Type == "ballot.given":
			m.books.own++
			continue
		case !everybodySees(e.Type):
			continue
		case !m.begun:
			m.early = append(m.early, e.Seq)
			continue
		}
		m.books.add(e.Seq)
		if e.Type == "meeting.paused" || e.Type == "meeting.resumed" {
			m.arrivals = append(m.arrivals, arrival{e.Seq, at})
		}
	}
}

// everybodySees says of an event that chair and delegates see it alike.
func everybodySees(kind string) bool {
	switch kind {
	case "vote.opened", "vote.closed", "vote.published":
		return true
	}
	before, _, _ := strings.Cut(kind, ".")
	return before == "meeting" || before == "agenda" || before == "presence"
}

// begin has the books start after event number seq.
func (m *member) begin(seq uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.begun = true
	for _, n := range m.early {
		if n > seq {
			m.books.add(n)
		}
	}
	m.early = nil
}

func (l *ledger) add(seq uint64) {
	l.events++
	l.sum = l.sum*1_000_003 + seq
}

func (m *member) state() (ledger, []arrival, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.books, m.arrivals, m.closed
}

// command gives a command over the socket and waits for its answer.
func (m *member) command(ctx context.Context, kind string, body any) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	id := m.api.commandID()
	if err := m.conn.WriteJSON(meetingCommand{id, kind, body}); err != nil {
		return answer{}, fmt.Errorf("%s: %w", kind, err)
	}
	for {
		select {
		case a := <-m.answers:
			if a.id != id {
				continue
			}
			if a.fail != nil {
				return a, fmt.Errorf("%s: %w", kind, a.fail)
			}
			return a, nil
		case <-m.ended:
			_, _, err := m.state()
			return answer{}, fmt.Errorf("%s: the socket ended: %w", kind, errors.Join(err))
		case <-ctx.Done():
			return answer{}, fmt.Errorf("%s: no answer: %w", kind, ctx.Err())
		}
	}
}
