package conference

import (
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
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
