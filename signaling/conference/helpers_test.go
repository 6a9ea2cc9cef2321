package conference

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/gorilla/websocket"
	lkauth "github.com/livekit/protocol/auth"
	"github.com/stretchr/testify/require"

	"diemcau/signaling/account"
	"diemcau/signaling/audit"
	"diemcau/signaling/auth"
	"diemcau/signaling/ballot"
	"diemcau/signaling/journal"
	"diemcau/signaling/live"
	"diemcau/signaling/meeting"
	"diemcau/signaling/store"
	"diemcau/signaling/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

type m map[string]any

const pass = "Cầu Hàm Rồng 1964"

// town is the directory: users, points, and what they may do.
type town struct {
	mu     sync.Mutex
	people map[string]meeting.PersonInfo    // guarded by mu
	rights map[string]meeting.PermissionSet // guarded by mu: by identity and unit
	units  map[string]string                // guarded by mu
}

func (d *town) add(id, name, unit, position string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.people[id] = meeting.PersonInfo{ID: id, Name: name, Unit: unit, Position: position}
}

func (d *town) may(id, unit string, ps ...meeting.Permission) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rights[id+" "+unit] = meeting.Permissions(ps...)
}

func (d *town) Person(_ context.Context, id string) (meeting.PersonInfo, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, ok := d.people[id]
	if !ok {
		return p, fmt.Errorf("person %q: %w", id, sql.ErrNoRows)
	}
	return p, nil
}

func (d *town) Permissions(_ context.Context, id, unit string) (meeting.PermissionSet, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rights[id+" "+unit], nil
}

func (d *town) UnitName(_ context.Context, id string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if name, ok := d.units[id]; ok {
		return name, nil
	}
	return "", sql.ErrNoRows
}

func (d *town) ByLogin(ctx context.Context, login string) (account.User, error) {
	return d.ByID(ctx, login)
}

func (d *town) ByID(_ context.Context, id string) (account.User, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, ok := d.people["user:"+id]
	if !ok {
		return account.User{}, account.ErrNoUser
	}
	return account.User{ID: id, Login: id, Name: p.Name, Unit: p.Unit, Enabled: true}, nil
}

func (d *town) FromClaims(context.Context, account.Claims) (account.User, error) {
	return account.User{}, account.ErrNoUser
}

func (d *town) Point(context.Context, string) (account.Point, error) {
	return account.Point{}, account.ErrNoPoint
}

func (d *town) Allows(context.Context, account.Principal, string, string) (bool, error) {
	return false, nil
}

func (d *town) Outranks(context.Context, account.Principal, string) (bool, error) { return false, nil }

// studio is the SFU: who is present and what each was last permitted.
type studio struct {
	mu      sync.Mutex
	present map[string]map[string]meeting.Grant // guarded by mu: by room and identity
	removed []string                            // guarded by mu
	fail    int                                 // guarded by mu: so many calls fail
	changed chan struct{}
}

func (d *studio) enter(room, identity string, g meeting.Grant) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.present[room] == nil {
		d.present[room] = map[string]meeting.Grant{}
	}
	d.present[room][identity] = g
}

func (d *studio) tell() {
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

func (d *studio) Permit(_ context.Context, room, identity string, g meeting.Grant) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.tell()
	if d.fail > 0 {
		d.fail--
		return fmt.Errorf("the SFU is away")
	}
	if _, ok := d.present[room][identity]; ok {
		d.present[room][identity] = g
	}
	return nil
}

func (d *studio) Remove(_ context.Context, room, identity string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.tell()
	delete(d.present[room], identity)
	d.removed = append(d.removed, identity)
	return nil
}

func (d *studio) Present(_ context.Context, room string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var ids []string
	for id := range d.present[room] {
		ids = append(ids, id)
	}
	return ids, nil
}

// until waits for what the SFU was told.
func (b *bench) until(what string, is func(d *studio) bool) {
	b.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		b.studio.mu.Lock()
		ok := is(b.studio)
		b.studio.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-b.studio.changed:
		case <-deadline:
			require.FailNow(b.t, "not told", what)
		}
	}
}

func (b *bench) publishes(room, identity string, sources ...string) {
	b.t.Helper()
	b.until(fmt.Sprintf("%s publishes %v", identity, sources), func(d *studio) bool {
		g, ok := d.present[room][identity]
		return ok && slices.Equal(g.Publish, sources)
	})
}

type minter struct{ v *auth.Verifier }

func (k minter) Mint(g *lkauth.ClaimGrants, ttl time.Duration) (string, error) {
	return k.v.Mint("devkey", g, ttl)
}

type lines struct {
	mu  sync.Mutex
	all []audit.Record // guarded by mu
}

func (l *lines) Note(r audit.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, r)
}

func (l *lines) has(action, result string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.all, func(r audit.Record) bool { return r.Action == action && r.Result == result })
}

// bench is a server under test.
type bench struct {
	t        *testing.T
	db       *store.DB
	dir      string
	town     *town
	studio   *studio
	lines    *lines
	verifier *auth.Verifier
	accounts *account.Service
	keys     []byte
	log      *slog.Logger
	now      atomic.Int64
	n        atomic.Int64

	heads   *journal.Heads
	journal *journal.Journal
	hub     *live.Hub
	s       *Service
	server  *httptest.Server
}

// each runs a test on both databases.
func each(t *testing.T, test func(t *testing.T, b *bench)) {
	storetest.Each(t, func(t *testing.T, db *store.DB) { test(t, newBench(t, db)) })
}

func newBench(t *testing.T, db *store.DB) *bench {
	b := &bench{t: t, db: db, dir: t.TempDir(), lines: &lines{}, keys: make([]byte, 32), log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		town:   &town{people: map[string]meeting.PersonInfo{}, rights: map[string]meeting.PermissionSet{}, units: map[string]string{"hdnd": "Hội đồng nhân dân tỉnh"}},
		studio: &studio{present: map[string]map[string]meeting.Grant{}, changed: make(chan struct{}, 1)}}
	b.now.Store(time.Date(2026, 12, 9, 0, 0, 0, 0, time.UTC).UnixMilli())
	_, err := rand.Read(b.keys)
	require.NoError(t, err)
	b.verifier, err = auth.NewVerifier(map[string]string{"devkey": "devsecret-devsecret-devsecret-devsecret"})
	require.NoError(t, err)
	key, err := account.NewKey(b.keys)
	require.NoError(t, err)
	b.accounts, err = account.New(t.Context(), account.Options{DB: db, Users: b.town, Points: b.town, Access: b.town, Key: key,
		Hash: account.HashParams{MemoryKiB: 64, Passes: 1, Lanes: 1}, Log: b.log,
		Ended: func(over []account.Over) { b.s.SessionsEnded(over) }})
	require.NoError(t, err)
	b.start()
	t.Cleanup(func() { b.stop() })
	return b
}

func (b *bench) clock() time.Time { return time.UnixMilli(b.now.Load()) }

func (b *bench) wait(d time.Duration) { b.now.Add(d.Milliseconds()) }

func (b *bench) start() {
	var err error
	b.heads, err = journal.OpenHeads(b.dir)
	require.NoError(b.t, err)
	b.journal = journal.Start(b.db, b.heads, journal.Options{})
	b.s, err = New(Options{DB: b.db, People: b.town, Media: b.studio, Tokens: minter{b.verifier}, Audit: b.lines, Keys: b.keys, Log: b.log, Now: b.clock})
	require.NoError(b.t, err)
	b.hub, err = live.New(live.Options{DB: b.db, Journal: b.journal, Owner: "test", Log: b.log, Now: b.clock, Committed: b.s.Committed})
	require.NoError(b.t, err)
	b.s.SetHub(b.hub)
	h := account.NewHandler(b.accounts)
	r := chi.NewRouter()
	identify := func(next http.Handler) http.Handler { return h.Authenticate(pretend(next)) }
	r.Route("/api/v1", func(r chi.Router) {
		r.Method(http.MethodPost, "/ballots", b.s.BallotBox())
		r.Group(func(r chi.Router) {
			r.Use(identify)
			h.Routes(r)
			Register(humachi.New(r, huma.DefaultConfig("meetings", "1")), b.s)
		})
	})
	r.Handle("/ws/v1/meetings/*", identify(b.s.Socket()))
	b.server = httptest.NewUnstartedServer(r)
	b.server.Listener = narrow{b.server.Listener}
	b.server.Start()
}

// narrow makes the kernel keep little of what a client does not take.
type narrow struct{ net.Listener }

func (l narrow) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok {
		err = tcp.SetWriteBuffer(32 << 10)
	}
	return conn, err
}

func (b *bench) stop() {
	b.s.Close()
	b.server.Close()
	b.hub.Close()
	b.journal.Close()
	require.NoError(b.t, b.heads.Close())
}

// restart is a stop and a start on the same data.
func (b *bench) restart() {
	b.stop()
	b.start()
}

// pretend lets a test be a point's device or a guest, who come to their sessions by
// ways that package account tests.
func pretend(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if raw := r.Header.Get("X-Test-Principal"); raw != "" {
			var p account.Principal
			if err := json.Unmarshal([]byte(raw), &p); err != nil {
				panic(err)
			}
			r = r.WithContext(account.WithPrincipal(r.Context(), p))
		}
		next.ServeHTTP(w, r)
	})
}

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

func verified(b *bench) {
	b.t.Helper()
	log, err := journal.ReadHeads(b.dir)
	require.NoError(b.t, err)
	report, err := journal.Verify(b.t.Context(), b.db, log)
	require.NoError(b.t, err)
	require.True(b.t, report.OK(), "%+v", report)
}

func parsePublic(t *testing.T, key string) *ballot.Public {
	der, err := base64.RawURLEncoding.DecodeString(key)
	require.NoError(t, err)
	public, err := ballot.ParsePublic(der)
	require.NoError(t, err)
	return public
}

// execute is a statement for store.DB.Write.
func execute(query string, args ...any) func(tx *sql.Tx) error {
	return func(tx *sql.Tx) error {
		_, err := tx.Exec(query, args...)
		return err
	}
}

const (
	waitFor = 10 * time.Second
	tick    = 5 * time.Millisecond
)
