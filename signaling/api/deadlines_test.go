package api

import (
	"bufio"
	"io"
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

// clocked is an answer that remembers its deadlines.
type clocked struct {
	*httptest.ResponseRecorder
	read, write []time.Time
}

func (c *clocked) SetReadDeadline(t time.Time) error {
	c.read = append(c.read, t)
	return nil
}

func (c *clocked) SetWriteDeadline(t time.Time) error {
	c.write = append(c.write, t)
	return nil
}

// TestEveryRouteHasDeadlines, those of huma and others; a spreadsheet of 10 MB has
// longer to come than other bodies, and not for ever.
func TestEveryRouteHasDeadlines(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	lines, err := audit.Start(audit.Options{DB: db})
	require.NoError(t, err)
	defer lines.Close()
	router := chi.NewRouter()
	a, err := New(Options{Router: router, Directory: directory.New(db), Accounts: accounts{}, Audit: lines})
	require.NoError(t, err)
	router.Post("/raw", func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) })
	for _, path := range []string{"/raw", "/units", "/imports/users"} {
		w := &clocked{ResponseRecorder: httptest.NewRecorder()}
		began := time.Now()
		router.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader("{}")))
		require.Len(t, w.write, 2, path)
		require.WithinDuration(t, began.Add(answerWithin), w.write[0], time.Minute, path)
		require.True(t, w.write[1].IsZero(), path)
		require.NotEmpty(t, w.read, path)
		require.WithinDuration(t, began.Add(bodyWithin), w.read[0], 20*time.Second, path)
	}
	of := func(path string) *huma.Operation { return a.Huma().OpenAPI().Paths[path].Post }
	require.Equal(t, sheetWithin, of("/imports/{table}").BodyReadTimeout)
	require.EqualValues(t, maxImport, of("/imports/{table}").MaxBodyBytes)
	require.LessOrEqual(t, of("/units").BodyReadTimeout, 5*time.Second)
}
