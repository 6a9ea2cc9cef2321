package account

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"

	"diemcau/signaling/store"
	"diemcau/signaling/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// cheapHash keeps tests quick.
var cheapHash = HashParams{MemoryKiB: 64, Passes: 1, Lanes: 1}

const goodPass = "Cầu Hàm Rồng 1964"

// clock is what the tests' time is.
type clock struct {
	mu  sync.Mutex
	now time.Time // guarded by mu
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// people is a directory.
type people struct {
	mu       sync.Mutex
	users    map[string]User // guarded by mu
	subjects map[string]User // guarded by mu; by issuer and subject
	claims   []Claims        // guarded by mu; what FromClaims was given
	down     error           // guarded by mu
}

func (p *people) ByLogin(_ context.Context, login string) (User, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down != nil {
		return User{}, p.down
	}
	for _, u := range p.users {
		if store.Fold(u.Login) == store.Fold(login) {
			return u, nil
		}
	}
	return User{}, ErrNoUser
}

func (p *people) ByID(_ context.Context, id string) (User, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u, ok := p.users[id]
	if !ok {
		return u, ErrNoUser
	}
	return u, p.down
}

func (p *people) FromClaims(_ context.Context, c Claims) (User, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.claims = append(p.claims, c)
	u, ok := p.subjects[c.Issuer+" "+c.Subject]
	if !ok {
		return u, ErrNoUser
	}
	return p.users[u.ID], nil
}

func (p *people) set(u User) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users[u.ID] = u
}

type places map[string]Point

func (p places) Point(_ context.Context, id string) (Point, error) {
	point, ok := p[id]
	if !ok {
		return point, ErrNoPoint
	}
	return point, nil
}

// rules: an administrator may everything in unit u1 and meeting m1.
type rules struct{}

func (rules) Allows(_ context.Context, p Principal, _, scope string) (bool, error) {
	return p.ID == "admin" && (scope == "u1" || scope == "m1"), nil
}

func (rules) Outranks(_ context.Context, _ Principal, userID string) (bool, error) {
	return userID != "boss", nil
}

// bench is a server under test.
type bench struct {
	t       *testing.T
	clock   *clock
	people  *people
	service *Service
	server  *httptest.Server

	mu      sync.Mutex
	records []Record // guarded by mu
	ended   []Over   // guarded by mu
	guests  []Guest  // guarded by mu
}

func newBench(t *testing.T, db *store.DB, change ...func(*Options)) *bench {
	t.Helper()
	b := &bench{t: t, clock: &clock{now: time.Date(2026, 3, 2, 7, 0, 0, 0, time.UTC)}}
	b.people = &people{users: map[string]User{
		"admin": {"admin", "quantri", "Nguyễn Thị Ánh", "u1", true},
		"lan":   {"lan", "lan.le", "Lê Thị Lan", "u1", true},
		"boss":  {"boss", "chutich", "Trần Văn Đức", "u1", true},
		"far":   {"far", "o.xa", "Hà Văn Xa", "u2", true},
		"sso":   {"sso", "mot.lan", "Đỗ Một Lần", "u1", true},
	}, subjects: map[string]User{}}
	secret := make([]byte, keyLength)
	_, _ = rand.Read(secret)
	key, err := NewKey(secret)
	require.NoError(t, err)
	options := Options{
		DB: db, Users: b.people, Access: rules{}, Key: key, Hash: cheapHash, Now: b.clock.Now,
		Points: places{"p1": {"p1", "Điểm cầu xã Quan Sơn", "u1"}, "p2": {"p2", "Điểm cầu Sở Nội vụ", "u2"}},
		Audit: func(_ context.Context, r Record) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.records = append(b.records, r)
		},
		Ended: func(over []Over) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.ended = append(b.ended, over...)
		},
		GuestChanged: func(g Guest) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.guests = append(b.guests, g)
		},
	}
	for _, f := range change {
		f(&options)
	}
	b.service, err = New(t.Context(), options)
	require.NoError(t, err)
	for _, id := range []string{"admin", "lan", "boss", "far"} {
		require.NoError(t, b.service.SetPassword(t.Context(), b.people.users[id], goodPass, false))
	}
	b.server = httptest.NewServer(b.handler())
	t.Cleanup(b.server.Close)
	return b
}

// handler is the API as the server has it, with a page that asks who is there.
func (b *bench) handler() http.Handler {
	h := NewHandler(b.service)
	r := chi.NewRouter()
	r.Route("/api/v1", func(r chi.Router) {
		r.Use(h.Authenticate)
		h.Routes(r)
		whoami := func(w http.ResponseWriter, r *http.Request) {
			p, _ := From(r.Context())
			writeJSON(w, http.StatusOK, "application/json", p)
		}
		r.With(h.Require()).HandleFunc("/whoami", whoami)
		r.With(h.Require(KindUser)).HandleFunc("/users-only", whoami)
		r.HandleFunc("/ws", whoami)
	})
	return r
}

func (b *bench) audited() []Record {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Record(nil), b.records...)
}

// lastRecord is the latest audit line.
func (b *bench) lastRecord() Record {
	records := b.audited()
	require.NotEmpty(b.t, records)
	return records[len(records)-1]
}

func (b *bench) endedIDs() (ids []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, o := range b.ended {
		ids = append(ids, o.Session)
	}
	return ids
}

// browser is a client with cookies.
type browser struct {
	b      *bench
	http   *http.Client
	base   string
	csrf   string
	header http.Header
}

func (b *bench) browser() *browser {
	jar, err := cookiejar.New(nil)
	require.NoError(b.t, err)
	return &browser{b: b, base: b.server.URL, header: http.Header{}, http: &http.Client{Jar: jar, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// reply is an answer, read.
type reply struct {
	*http.Response
	body []byte
}

func (r reply) field(t *testing.T, name string) any {
	t.Helper()
	var all map[string]any
	require.NoError(t, json.Unmarshal(r.body, &all), "%s", r.body)
	return all[name]
}

func (r reply) text(t *testing.T, name string) string {
	t.Helper()
	text, ok := r.field(t, name).(string)
	require.True(t, ok, "%s in %s", name, r.body)
	return text
}

func (w *browser) do(method, path string, body any) reply {
	w.b.t.Helper()
	var reader io.Reader
	switch v := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(v)
	default:
		encoded, err := json.Marshal(v)
		require.NoError(w.b.t, err)
		reader = bytes.NewReader(encoded)
	}
	address := w.base + path
	if strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "/api") {
		address = w.base + "/api/v1" + path
	}
	request, err := http.NewRequestWithContext(w.b.t.Context(), method, address, reader)
	require.NoError(w.b.t, err)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if w.csrf != "" {
		request.Header.Set(CSRFHeader, w.csrf)
	}
	for name, values := range w.header {
		request.Header[name] = values
	}
	answer, err := w.http.Do(request)
	require.NoError(w.b.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(w.b.t, err)
	return reply{answer, text}
}

// expect is do with the status, and the code of a problem, that must come.
func (w *browser) expect(status int, code, method, path string, body any) reply {
	w.b.t.Helper()
	r := w.do(method, path, body)
	require.Equal(w.b.t, status, r.StatusCode, "%s %s: %s", method, path, r.body)
	if code != "" {
		require.Equal(w.b.t, code, r.field(w.b.t, "code"), "%s %s", method, path)
		require.Equal(w.b.t, "application/problem+json", r.Header.Get("Content-Type"))
	}
	return r
}

type fields map[string]any

// signIn signs in and keeps the CSRF token.
func (w *browser) signIn(login, password string) reply {
	w.b.t.Helper()
	r := w.expect(http.StatusCreated, "", "POST", "/session", fields{"login": login, "password": password})
	w.csrf = r.text(w.b.t, "csrfToken")
	return r
}

func (w *browser) try(login, password string) reply {
	w.b.t.Helper()
	return w.do("POST", "/session", fields{"login": login, "password": password})
}

// cookie is the value of a cookie of the browser.
func (w *browser) cookie(name string) string {
	request, err := http.NewRequest("GET", w.base, nil)
	require.NoError(w.b.t, err)
	for _, c := range w.http.Jar.Cookies(request.URL) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func (w *browser) setCookie(name, value string) {
	request, err := http.NewRequest("GET", w.base, nil)
	require.NoError(w.b.t, err)
	w.http.Jar.SetCookies(request.URL, []*http.Cookie{{Name: name, Value: value, Path: "/"}})
}

// count runs a query that answers a number.
func (b *bench) count(query string, args ...any) (n int) {
	b.t.Helper()
	require.NoError(b.t, b.service.db.QueryRow(b.t.Context(), query, args...).Scan(&n))
	return n
}

// everywhere runs a test on both databases.
func everywhere(t *testing.T, test func(t *testing.T, b *bench), change ...func(*Options)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) { test(t, newBench(t, db, change...)) })
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
