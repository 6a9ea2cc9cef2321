package api

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"

	"diemcau/signaling/audit"
	"diemcau/signaling/directory"
	"diemcau/signaling/store/storetest"
)

// dial sends the head of a request, and the beginning of its body if any.
func dial(t *testing.T, s *httptest.Server, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, text)
	require.NoError(t, err)
	return conn
}

// TestABodyThatDoesNotCome ends at its deadline.
func TestABodyThatDoesNotCome(t *testing.T) {
	ended := make(chan error, 1)
	s := httptest.NewServer(deadlines(50*time.Millisecond, time.Minute)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		ended <- err
	})))
	conn := dial(t, s, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	select {
	case err := <-ended:
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	case <-time.After(20 * time.Second):
		_ = conn.Close()
		require.Fail(t, "the body is still waited for")
	}
	s.Close()
}

// TestAnAnswerThatIsNotTaken ends at its deadline.
func TestAnAnswerThatIsNotTaken(t *testing.T) {
	ended := make(chan error, 1)
	s := httptest.NewServer(deadlines(time.Minute, 50*time.Millisecond)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		piece := make([]byte, 1<<20)
		for {
			if _, err := w.Write(piece); err != nil {
				ended <- err
				return
			}
		}
	})))
	conn := dial(t, s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	select {
	case err := <-ended:
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	case <-time.After(20 * time.Second):
		_ = conn.Close()
		require.Fail(t, "the answer is still being written")
	}
	s.Close()
}

// TestTheConnectionGoesOn: deadlines of one request are not those of the next on the
// same connection.
func TestTheConnectionGoesOn(t *testing.T) {
	inside := deadlines(50*time.Millisecond, 50*time.Millisecond)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
	}))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/in" {
			inside.ServeHTTP(w, r)
			return
		}
		select {
		case <-r.Context().Done():
			w.WriteHeader(http.StatusInternalServerError)
		case <-time.After(200 * time.Millisecond): // longer than what would have ended it
			_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
		}
	}))
	defer s.Close()
	conn := dial(t, s, "POST /in HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
	r := bufio.NewReader(conn)
	first, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	require.NoError(t, first.Body.Close())
	_, err = io.WriteString(conn, "GET /out HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	second, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	text, err := io.ReadAll(second.Body)
	require.NoError(t, err)
	require.Len(t, text, 1<<20)
}

// TestALongOperation is not cut short by the deadline for its body, which has come.
func TestALongOperation(t *testing.T) {
	const within = 50 * time.Millisecond
	db := storetest.Open(t, storetest.SQLite(t))
	lines, err := audit.Start(audit.Options{DB: db})
	require.NoError(t, err)
	defer lines.Close()
	router := chi.NewRouter()
	_, err = New(Options{Router: router, Directory: directory.New(db), Accounts: accounts{}, Audit: lines, Log: slog.New(slog.DiscardHandler),
		Register: []func(huma.API){func(a huma.API) {
			op := huma.Operation{Method: http.MethodPost, Path: "/long", OperationID: "long", BodyReadTimeout: within, Security: []map[string][]string{}}
			huma.Register(a, op, func(ctx context.Context, _ *struct {
				Body struct {
					Text string `json:"text"`
				}
			}) (*struct{}, error) {
				select {
				case <-ctx.Done():
					return nil, ctx.Err()
				case <-time.After(6 * within):
					return nil, nil
				}
			})
		}}})
	require.NoError(t, err)
	s := httptest.NewServer(router)
	defer s.Close()
	answer, err := http.Post(s.URL+"/long", "application/json", strings.NewReader(`{"text":"x"}`))
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, answer.StatusCode, "%s", text)
}

// TestSpreadsheetsMayTakeTheirTime: 10 MB do not come in the 5 s that other bodies have.
func TestSpreadsheetsMayTakeTheirTime(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	lines, err := audit.Start(audit.Options{DB: db})
	require.NoError(t, err)
	defer lines.Close()
	a, err := New(Options{Router: chi.NewRouter(), Directory: directory.New(db), Accounts: accounts{}, Audit: lines})
	require.NoError(t, err)
	post := a.Huma().OpenAPI().Paths["/imports/{table}"].Post
	require.GreaterOrEqual(t, post.BodyReadTimeout, time.Minute, fmt.Sprint(post.BodyReadTimeout))
	require.EqualValues(t, maxImport, post.MaxBodyBytes)
	require.LessOrEqual(t, a.Huma().OpenAPI().Paths["/units"].Post.BodyReadTimeout, 5*time.Second)
}
