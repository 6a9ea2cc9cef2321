package office

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	lkauth "github.com/livekit/protocol/auth"
	"github.com/stretchr/testify/require"

	"diemcau/signaling/account"
	"diemcau/signaling/directory"
	"diemcau/signaling/store/storetest"
)

func TestMain(m *testing.M) {
	account.DefaultHash = cheapHash // the commands' too
	storetest.Main(m)
}

// cheapHash keeps tests quick: none here is about what a password costs.
var cheapHash = account.HashParams{MemoryKiB: 64, Passes: 1, Lanes: 1}

const goodPass = "Cầu Hàm Rồng 1964"

// mint signs nothing.
type mint struct{}

func (mint) Mint(*lkauth.ClaimGrants, time.Duration) (string, error) { return "token", nil }

// bench is an office behind a web server.
type bench struct {
	t      *testing.T
	office *Office
	router chi.Router
	server *httptest.Server
}

func options(t *testing.T, url string) Options {
	t.Helper()
	return Options{DatabaseURL: url, DataDir: t.TempDir(), Mint: mint{}, Hash: cheapHash, Log: slog.New(slog.DiscardHandler)}
}

func serve(t *testing.T, o Options) *bench {
	t.Helper()
	f, err := Open(t.Context(), o)
	require.NoError(t, err)
	b := &bench{t: t, office: f, router: chi.NewRouter()}
	b.router.Route("/api/v1", func(r chi.Router) { require.NoError(t, f.API(r)) })
	b.router.Handle("/ws/v1/*", f.Socket())
	b.server = httptest.NewServer(b.router)
	t.Cleanup(func() {
		b.server.Close()
		require.NoError(t, f.Close())
	})
	return b
}

// everywhere runs a test on an empty office with one administrator, "goc", on both
// databases.
func everywhere(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	storetest.EachMigrated(t, func(t *testing.T, url string) {
		o := options(t, url)
		require.NoError(t, CreateAdministrator(t.Context(), url, o.DataDir, NewAdministrator{Login: "goc", Name: "Trần Văn Gốc", Password: goodPass}, o.Log))
		test(t, serve(t, o))
	})
}

// browser is a client with cookies.
type browser struct {
	t      *testing.T
	base   string
	http   *http.Client
	csrf   string
	header http.Header
}

func (b *bench) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &browser{t: t, base: b.server.URL + "/api/v1", header: http.Header{}, http: &http.Client{Jar: jar, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// reply is an answer, read.
type reply struct {
	*http.Response
	body []byte
}

func (r reply) into(t *testing.T, v any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(r.body, v), "%s", r.body)
}

type fields = map[string]any

func (r reply) fields(t *testing.T) fields {
	t.Helper()
	var all fields
	r.into(t, &all)
	return all
}

func (r reply) text(t *testing.T, name string) string {
	t.Helper()
	text, ok := r.fields(t)[name].(string)
	require.True(t, ok, "%s in %s", name, r.body)
	return text
}

// do sends body: nil, a string as it is, or anything else as JSON.
func (w *browser) do(method, path string, body any) reply {
	w.t.Helper()
	var reader io.Reader
	kind := "application/json"
	switch v := body.(type) {
	case nil:
		kind = ""
	case string:
		reader = strings.NewReader(v)
	default:
		encoded, err := json.Marshal(v)
		require.NoError(w.t, err)
		reader = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(context.Background(), method, w.base+path, reader)
	require.NoError(w.t, err)
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	if w.csrf != "" {
		request.Header.Set(account.CSRFHeader, w.csrf)
	}
	for name, values := range w.header {
		request.Header[name] = values
	}
	answer, err := w.http.Do(request)
	require.NoError(w.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(w.t, err)
	return reply{answer, text}
}

// with is the browser with a header for its next requests.
func (w *browser) with(name, value string) *browser {
	c := *w
	c.header = w.header.Clone()
	c.header.Set(name, value)
	return &c
}

// expect is do with the status, and the code of a problem, that must come.
func (w *browser) expect(status int, code, method, path string, body any) reply {
	w.t.Helper()
	r := w.do(method, path, body)
	require.Equal(w.t, status, r.StatusCode, "%s %s: %s", method, path, r.body)
	if code != "" {
		all := r.fields(w.t)
		require.Equal(w.t, code, all["code"], "%s %s: %s", method, path, r.body)
		require.Equal(w.t, "application/problem+json", r.Header.Get("Content-Type"))
		require.EqualValues(w.t, status, all["status"])
	}
	return r
}

func (w *browser) signIn(login, password string) reply {
	w.t.Helper()
	r := w.expect(http.StatusCreated, "", "POST", "/session", fields{"login": login, "password": password})
	w.csrf = r.text(w.t, "csrfToken")
	return r
}

// admin is a browser in which the administrator has signed in.
func (b *bench) admin(t *testing.T) *browser {
	t.Helper()
	w := b.browser(t)
	w.signIn("goc", goodPass)
	return w
}

// root is the id of the root unit.
func (b *bench) root(t *testing.T) string {
	t.Helper()
	units, err := b.office.directory.Units(t.Context())
	require.NoError(t, err)
	return units[0].ID
}

// member makes a user of a unit with roles and a password.
func (b *bench) member(t *testing.T, login, unit string, roles ...directory.RoleIn) directory.User {
	t.Helper()
	ctx := t.Context()
	u, err := b.office.directory.CreateUser(ctx, directory.User{Login: login, FullName: "Lê Văn " + login, UnitID: unit, Enabled: true})
	require.NoError(t, err)
	for _, r := range roles {
		require.NoError(t, b.office.directory.Assign(ctx, directory.Assignment{UserID: u.ID, Role: r.Role, UnitID: r.UnitID}))
	}
	user, err := accountUser(u, nil)
	require.NoError(t, err)
	require.NoError(t, b.office.accounts.SetPassword(ctx, user, goodPass, false))
	u, err = b.office.directory.User(ctx, u.ID)
	require.NoError(t, err)
	return u
}
