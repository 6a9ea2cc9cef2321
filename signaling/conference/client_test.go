package conference

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"diemcau/signaling/account"
)

// client is somebody's browser.
type client struct {
	b      *bench
	http   *http.Client
	header http.Header
	csrf   string
}

func (b *bench) nobody() *client {
	jar, err := cookiejar.New(nil)
	require.NoError(b.t, err)
	return &client{b: b, header: http.Header{}, http: &http.Client{Jar: jar, Timeout: 60 * time.Second}}
}

// user signs in as a user of the directory.
func (b *bench) user(id string) *client {
	b.t.Helper()
	u, err := b.town.ByID(b.t.Context(), id)
	require.NoError(b.t, err)
	require.NoError(b.t, b.accounts.SetPassword(b.t.Context(), u, pass, false))
	c := b.nobody()
	var answer struct{ CSRFToken string }
	c.into(http.StatusCreated, &answer, "POST", "/api/v1/session", m{"login": id, "password": pass})
	c.csrf = answer.CSRFToken
	return c
}

func (b *bench) as(p account.Principal) *client {
	c := b.nobody()
	raw, err := json.Marshal(p)
	require.NoError(b.t, err)
	c.header.Set("X-Test-Principal", string(raw))
	return c
}

func (b *bench) point(id string) *client {
	return b.as(account.Principal{Kind: account.KindPoint, ID: id, Identity: "point:" + id, SessionID: "s-" + id})
}

func (c *client) do(method, path string, body any) (int, []byte, http.Header) {
	c.b.t.Helper()
	var reader io.Reader
	switch v := body.(type) {
	case nil:
	case []byte:
		reader = bytes.NewReader(v)
	default:
		raw, err := json.Marshal(v)
		require.NoError(c.b.t, err)
		reader = bytes.NewReader(raw)
	}
	r, err := http.NewRequestWithContext(c.b.t.Context(), method, c.b.server.URL+path, reader)
	require.NoError(c.b.t, err)
	r.Header = c.header.Clone()
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.csrf != "" {
		r.Header.Set(account.CSRFHeader, c.csrf)
	}
	answer, err := c.http.Do(r)
	require.NoError(c.b.t, err)
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	require.NoError(c.b.t, err)
	return answer.StatusCode, raw, answer.Header
}

func (c *client) into(status int, v any, method, path string, body any) {
	c.b.t.Helper()
	got, raw, _ := c.do(method, path, body)
	require.Equal(c.b.t, status, got, "%s %s: %s", method, path, raw)
	if v != nil {
		require.NoError(c.b.t, json.Unmarshal(raw, v), "%s", raw)
	}
}

// refused is a request that must fail with a code.
func (c *client) refused(status int, code, method, path string, body any) {
	c.b.t.Helper()
	got, raw, h := c.do(method, path, body)
	var p struct{ Code, Detail string }
	require.NoError(c.b.t, json.Unmarshal(raw, &p), "%s %s: %s", method, path, raw)
	require.Equal(c.b.t, code, p.Code, "%s %s: %s", method, path, raw)
	require.Equal(c.b.t, status, got)
	require.Equal(c.b.t, "application/problem+json", h.Get("Content-Type"))
	require.NotEmpty(c.b.t, p.Detail)
}

func path(id, rest string) string { return "/api/v1/meetings/" + id + rest }

func (b *bench) commandID() string { return fmt.Sprintf("c%d", b.n.Add(1)) }

// give gives a command and returns the number of its last event.
func (c *client) give(id, kind string, body any) uint64 {
	c.b.t.Helper()
	var a struct{ Seq uint64 }
	c.into(http.StatusOK, &a, "POST", path(id, "/commands"), m{"id": c.b.commandID(), "type": kind, "body": body})
	return a.Seq
}

func (c *client) not(status int, code, id, kind string, body any) {
	c.b.t.Helper()
	c.refused(status, code, "POST", path(id, "/commands"), m{"id": c.b.commandID(), "type": kind, "body": body})
}

// make makes a meeting of unit hdnd.
func (c *client) make(details m) string {
	c.b.t.Helper()
	details["id"] = c.b.commandID()
	if details["unit"] == nil {
		details["unit"] = "hdnd"
	}
	var a struct{ Meeting string }
	c.into(http.StatusCreated, &a, "POST", "/api/v1/meetings", details)
	return a.Meeting
}

// open opens a socket; query is "" or "?from=…".
func (c *client) open(id, query string) *peer {
	c.b.t.Helper()
	h := c.header.Clone()
	dialer := websocket.Dialer{Jar: c.http.Jar, NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if tcp, ok := conn.(*net.TCPConn); ok {
			err = tcp.SetReadBuffer(32 << 10)
		}
		return conn, err
	}}
	conn, answer, err := dialer.DialContext(c.b.t.Context(), "ws"+strings.TrimPrefix(c.b.server.URL, "http")+"/ws/v1/meetings/"+id+query, h)
	require.NoError(c.b.t, err)
	answer.Body.Close()
	c.b.t.Cleanup(func() { conn.Close() })
	return &peer{b: c.b, conn: conn}
}

// peer is a client's side of a socket.
type peer struct {
	b    *bench
	conn *websocket.Conn
	seq  uint64 // last event seen
}

type frame struct {
	Type   string
	ID     string
	Seq    uint64
	State  json.RawMessage
	Events []struct {
		Seq  uint64
		Type string
		Body json.RawMessage
	}
	Problem struct{ Code string }
	raw     string
}

func (p *peer) read() (frame, error) {
	_ = p.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	_, raw, err := p.conn.ReadMessage()
	if err != nil {
		return frame{}, err
	}
	var f frame
	require.NoError(p.b.t, json.Unmarshal(raw, &f), "%s", raw)
	f.raw = string(raw)
	if f.Type == "snapshot" || f.Type == "events" {
		p.seq = f.Seq
	}
	return f, nil
}

// next reads up to a frame of a type.
func (p *peer) next(kind string) frame {
	p.b.t.Helper()
	for {
		f, err := p.read()
		require.NoError(p.b.t, err)
		if f.Type == kind {
			return f
		}
	}
}

// event reads up to an event of a type.
func (p *peer) event(kind string) json.RawMessage {
	p.b.t.Helper()
	for {
		f := p.next("events")
		for _, e := range f.Events {
			if e.Type == kind {
				return e.Body
			}
		}
	}
}

// closed reads up to the end and checks why it ended.
func (p *peer) closed(code int) {
	p.b.t.Helper()
	for {
		if _, err := p.read(); err != nil {
			require.True(p.b.t, websocket.IsCloseError(err, code), "%v where %d was due", err, code)
			return
		}
	}
}

func (p *peer) send(v any) {
	p.b.t.Helper()
	require.NoError(p.b.t, p.conn.WriteJSON(v))
}
