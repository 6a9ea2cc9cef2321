package api

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"

	"diemcau/signaling/account"
	"diemcau/signaling/audit"
	"diemcau/signaling/directory"
	"diemcau/signaling/live"
	"diemcau/signaling/store"
	"diemcau/signaling/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

type accounts struct{}

func (accounts) EndSessions(context.Context, string) error { return nil }
func (accounts) EndPoint(context.Context, string) error    { return nil }

// What other packages register: it fails, panics, is open, or takes a body.
func register(a huma.API) {
	add := func(path string, change func(*huma.Operation), err func() error) {
		op := huma.Operation{Method: http.MethodPost, Path: path, OperationID: strings.TrimPrefix(path, "/")}
		if change != nil {
			change(&op)
		}
		huma.Register(a, op, func(context.Context, *struct {
			Body struct {
				Text string `json:"text"`
			}
		}) (*struct{}, error) {
			return nil, err()
		})
	}
	add("/panics", nil, func() error { panic("a secret: 42") })
	add("/fails", nil, func() error { return errors.New("dial tcp 10.0.0.7: a secret") })
	add("/away", nil, func() error { return live.ErrUnavailable })
	add("/works", nil, func() error { return nil })
	add("/open", func(op *huma.Operation) { op.Security = []map[string][]string{} }, func() error { return nil })
	add("/large", func(op *huma.Operation) { op.MaxBodyBytes = 200 << 10 }, func() error { return nil })
}

func TestRegistered(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		lines, err := audit.Start(audit.Options{DB: db})
		require.NoError(t, err)
		defer lines.Close()
		var log bytes.Buffer
		router := chi.NewRouter()
		_, err = New(Options{Router: router, Directory: directory.New(db), Accounts: accounts{}, Audit: lines,
			Log: slog.New(slog.NewTextHandler(&log, nil)), Register: []func(huma.API){register}})
		require.NoError(t, err)
		someone := &account.Principal{Kind: account.KindUser, ID: "x", Identity: "user:x#1"}
		must := &account.Principal{Kind: account.KindUser, ID: "y", Identity: "user:y#1", MustChange: true}
		good := `{"text":"x"}`
		for _, c := range []struct {
			path, body string
			who        *account.Principal
			status     int
			code       string
		}{
			{"/works", good, someone, 204, ""},
			{"/works", good, nil, 401, "not_signed_in"},
			{"/works", good, must, 403, "password_must_change"},
			{"/open", good, nil, 204, ""},
			{"/panics", good, someone, 500, "internal"},
			{"/fails", good, someone, 500, "internal"},
			{"/away", good, someone, 503, "unavailable"},
			{"/works", `{"text":"` + strings.Repeat("x", 65<<10) + `"}`, someone, 413, "too_large"},
			{"/large", `{"text":"` + strings.Repeat("x", 65<<10) + `"}`, someone, 204, ""},
			{"/works", `{"text":"x","Text":"y","more":1}`, someone, 422, "invalid"},
			{"/nothing", good, someone, 404, "no_route"},
		} {
			r := httptest.NewRequest(http.MethodPost, c.path, strings.NewReader(c.body))
			r.Header.Set("Content-Type", "application/json")
			if c.who != nil {
				r = r.WithContext(account.WithPrincipal(r.Context(), *c.who))
			}
			w := httptest.NewRecorder()
			router.ServeHTTP(w, r)
			require.Equal(t, c.status, w.Code, "%s: %s", c.path, w.Body)
			if c.code != "" {
				require.Contains(t, w.Body.String(), `"code":"`+c.code+`"`)
				require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
				require.Equal(t, "vi", w.Header().Get("Content-Language"))
			}
			require.NotContains(t, w.Body.String(), "secret", c.path)
			if c.status == http.StatusServiceUnavailable {
				require.NotEmpty(t, w.Header().Get("Retry-After"))
			}
		}
		for _, method := range []string{http.MethodPatch, http.MethodOptions, http.MethodTrace, http.MethodHead} {
			w := httptest.NewRecorder()
			router.ServeHTTP(w, httptest.NewRequest(method, "/positions", nil))
			require.Equal(t, http.StatusMethodNotAllowed, w.Code, method)
			require.Equal(t, "GET, POST", w.Header().Get("Allow"), method)
		}
		require.Contains(t, log.String(), "a secret: 42", "the program's log has what the client does not see")
		require.Contains(t, log.String(), "10.0.0.7")
		page, err := lines.Search(t.Context(), audit.Filter{Who: "user:y"}, "", 10)
		require.NoError(t, err)
		require.Equal(t, "password_must_change", page.Records[0].Result)
	})
}

func TestOptionsAreRequired(t *testing.T) {
	_, err := New(Options{})
	require.Error(t, err)
}
