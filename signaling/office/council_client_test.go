package office

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// member is somebody in the session: a person or a point's device, with the browser
// that they signed in or were enrolled with.
type member struct {
	*browser
	identity, name string
	rank           rank
	personal       bool // a point that is a laptop or a phone
	socket         *peer
}

// event is an event as a client gets it.
type event struct {
	Seq  uint64
	Type string
	By   string
	Body json.RawMessage
}

// frame is any frame of a meeting's socket.
type frame struct {
	Type    string
	ID      string
	Seq     uint64
	State   *seen // nil also when the meeting is no longer for them
	Events  []event
	Problem struct{ Code string }
}

// answer is the answer to a command.
type answer struct {
	seq  uint64
	code string // of the problem, "" if there is none
}

// peer is somebody's connection to the meeting's events. Its reader goes on until the
// connection ends, and notes whatever was shown that must not be.
type peer struct {
	*board
	t       *testing.T
	who     *member
	secrets *secrets
	conn    *websocket.Conn

	// guarded by mu:
	seq     uint64
	shown   []byte // the last snapshot
	events  []event
	answers map[string]answer // by command id
	faults  []string
	ended   error // why the reader ended
}

// connect opens somebody's socket; again continues where the one before ended.
func (c *council) connect(m *member) {
	c.t.Helper()
	p, query := m.socket, url.Values{}
	if p == nil {
		p = &peer{board: newBoard(), t: c.t, who: m, secrets: c.secrets, answers: map[string]answer{}}
	} else {
		query.Set("from", strconv.FormatUint(p.seq, 10))
	}
	conn, response, err := c.dial(m.browser, "/ws/v1/meetings/"+c.id, query)
	require.NoError(c.t, err, m.name)
	response.Body.Close()
	p.conn, p.ended, m.socket = conn, nil, p
	go p.read(conn)
	c.t.Cleanup(func() { conn.Close() })
}

func (p *peer) read(conn *websocket.Conn) {
	for {
		_, raw, err := conn.ReadMessage()
		if err != nil {
			p.note(func() { p.ended = err })
			return
		}
		var f frame
		err = json.Unmarshal(raw, &f)
		p.note(func() {
			if err != nil {
				p.faults = append(p.faults, fmt.Sprintf("%v: %s", err, raw))
				return
			}
			p.take(f, raw)
		})
	}
}

// take notes a frame, with mu held.
func (p *peer) take(f frame, raw []byte) {
	p.faults = append(p.faults, p.secrets.shown(p.who, raw)...)
	switch f.Type {
	case "snapshot":
		p.seq, p.shown = f.Seq, raw
		p.faults = append(p.faults, wrongState(p.who, f.State)...)
	case "events":
		for _, e := range f.Events {
			if e.Seq <= p.seq {
				p.faults = append(p.faults, fmt.Sprintf("event %d %s comes after %d", e.Seq, e.Type, p.seq))
			}
			p.faults = append(p.faults, wrongEvent(p.who, e)...)
			p.seq = e.Seq
		}
		p.seq, p.events = f.Seq, append(p.events, f.Events...)
	case "ack", "error":
		p.answers[f.ID] = answer{f.Seq, f.Problem.Code}
	}
}

// first waits for the first event of a type after which, of all that came, and gives its body.
func (p *peer) first(kind string, after uint64) event {
	p.t.Helper()
	var found event
	p.until(p.t, p.who.name+" sees "+kind, func() bool {
		for _, e := range p.events {
			if e.Type == kind && e.Seq > after {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

// at waits for the event of a number.
func (p *peer) at(seq uint64) event {
	p.t.Helper()
	var found event
	p.until(p.t, fmt.Sprintf("%s sees event %d", p.who.name, seq), func() bool {
		for _, e := range p.events {
			if e.Seq == seq {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

// snapshot waits for the first snapshot.
func (p *peer) snapshot() {
	p.t.Helper()
	p.until(p.t, p.who.name+" sees the meeting", func() bool { return p.shown != nil })
}

// closed waits for the end of the connection, by a code.
func (p *peer) closed(code int) {
	p.t.Helper()
	p.until(p.t, p.who.name+" is disconnected", func() bool { return p.ended != nil })
	require.True(p.t, websocket.IsCloseError(p.ended, code), "%s: %v where %d was due", p.who.name, p.ended, code)
}

// say gives a command over the socket, as the web client does, and waits for its answer.
func (p *peer) say(id, kind string, body any) answer {
	p.t.Helper()
	_ = p.conn.SetWriteDeadline(time.Now().Add(patience))
	require.NoError(p.t, p.conn.WriteJSON(fields{"id": id, "type": kind, "body": body}), p.who.name)
	var a answer
	p.until(p.t, p.who.name+" is answered "+kind, func() (ok bool) {
		a, ok = p.answers[id]
		return ok || p.ended != nil
	})
	return a
}

func (c *council) commandID() string { return fmt.Sprintf("c%d", c.commands.Add(1)) }

// tells gives a command over the socket; it must be taken.
func (c *council) tells(m *member, kind string, body any) uint64 {
	c.t.Helper()
	a := m.socket.say(c.commandID(), kind, body)
	require.Empty(c.t, a.code, "%s: %s", m.name, kind)
	require.NotZero(c.t, a.seq, "%s: %s", m.name, kind)
	return a.seq
}

// mayNotTell gives a command over the socket; it must be refused.
func (c *council) mayNotTell(m *member, code, kind string, body any) {
	c.t.Helper()
	require.Equal(c.t, answer{code: code}, m.socket.say(c.commandID(), kind, body), "%s: %s", m.name, kind)
}

// path is the path of something of the meeting.
func (c *council) path(rest string) string { return "/meetings/" + c.id + rest }

// give gives a command by POST and gives the number of its last event.
func (c *council) give(m *member, kind string, body any) uint64 {
	c.t.Helper()
	return c.giveAs(m, c.commandID(), kind, body)
}

func (c *council) giveAs(m *member, id, kind string, body any) uint64 {
	c.t.Helper()
	var a struct {
		ID  string
		Seq uint64
	}
	m.expect(http.StatusOK, "", "POST", c.path("/commands"), fields{"id": id, "type": kind, "body": body}).into(c.t, &a)
	require.Equal(c.t, id, a.ID)
	return a.Seq
}

// mayNot gives a command by POST; it must be refused.
func (c *council) mayNot(m *member, status int, code, kind string, body any) {
	c.t.Helper()
	m.expect(status, code, "POST", c.path("/commands"), fields{"id": c.commandID(), "type": kind, "body": body})
}

// made gives the id of what a command made, from its event at the secretary's socket
// or, before there is one, from the state.
func (c *council) made(m *member, kind string, body any, where ...string) string {
	c.t.Helper()
	seq := c.give(m, kind, body)
	return c.idIn(c.secretary.socket.at(seq), where...)
}

func (c *council) idIn(e event, where ...string) string {
	c.t.Helper()
	raw := e.Body
	for _, name := range where {
		var all map[string]json.RawMessage
		require.NoError(c.t, json.Unmarshal(raw, &all), "%s", raw)
		require.Contains(c.t, all, name, "%s", raw)
		raw = all[name]
	}
	var id string
	require.NoError(c.t, json.Unmarshal(raw, &id), "%s in %s", strings.Join(where, "."), e.Body)
	return id
}

// state is the meeting as somebody may see it now.
func (c *council) state(m *member) *seen {
	c.t.Helper()
	var s seen
	m.expect(http.StatusOK, "", "GET", c.path(""), nil).into(c.t, &s)
	return &s
}

// everybody is who has a socket.
func (c *council) everybody() []*member {
	var all []*member
	for _, list := range [][]*member{c.desk(), c.delegates, c.points, {c.guest}} {
		for _, m := range list {
			if m != nil && m.socket != nil {
				all = append(all, m)
			}
		}
	}
	return all
}

// desk is who conducts and works the session, and the observer.
func (c *council) desk() []*member {
	return []*member{c.chair, c.secretary, c.operator, c.observer}
}

// clean checks that nobody was shown what is not for them, nor anything twice or out
// of order.
func (c *council) clean() {
	c.t.Helper()
	for _, m := range c.everybody() {
		m.socket.mu.Lock()
		faults := m.socket.faults
		m.socket.mu.Unlock()
		require.Empty(c.t, faults, m.name)
	}
}

// allSee waits until everybody's socket has come to an event of a type.
func (c *council) allSee(kind string, after uint64) {
	c.t.Helper()
	for _, m := range c.everybody() {
		m.socket.first(kind, after)
	}
}
