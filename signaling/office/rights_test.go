package office

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"diemcau/signaling/directory"
	"diemcau/signaling/meeting"
	"diemcau/signaling/store/storetest"
)

// hall is the media: who is in, and who was sent out.
type hall struct {
	mu   sync.Mutex
	in   []string // guarded by mu
	gone []string // guarded by mu
}

func (h *hall) Permit(context.Context, string, string, meeting.Grant) error { return nil }

func (h *hall) Remove(_ context.Context, _, identity string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.in = slices.DeleteFunc(h.in, func(other string) bool { return other == identity })
	h.gone = append(h.gone, identity)
	return nil
}

func (h *hall) Present(context.Context, string) ([]string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.in), nil
}

func (h *hall) enter(identity string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.in = append(h.in, identity)
}

func (h *hall) sentOut() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.gone)
}

// watch opens a socket and reads the first frame.
func (w *browser) watch(id string) *websocket.Conn {
	w.t.Helper()
	dialer := websocket.Dialer{Jar: w.http.Jar}
	address := "ws" + strings.TrimPrefix(strings.TrimSuffix(w.base, "/api/v1"), "http") + "/ws/v1/meetings/" + id
	conn, answer, err := dialer.DialContext(w.t.Context(), address, nil)
	require.NoError(w.t, err)
	answer.Body.Close()
	w.t.Cleanup(func() { conn.Close() })
	_, _, err = conn.ReadMessage()
	require.NoError(w.t, err)
	return conn
}

// closed reads to the end of a socket, and tells its code.
func closed(t *testing.T, conn *websocket.Conn) int {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	for {
		if _, _, err := conn.ReadMessage(); err != nil {
			var end *websocket.CloseError
			require.ErrorAs(t, err, &end)
			return end.Code
		}
	}
}

// answered reads to the answer of a command, and gives the code of its problem.
func answered(t *testing.T, conn *websocket.Conn, id string) string {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	for {
		var f struct {
			ID      string
			Problem struct{ Code string }
		}
		require.NoError(t, conn.ReadJSON(&f))
		if f.ID == id {
			return f.Problem.Code
		}
	}
}

// Whatever changes the directory reaches those who are signed in: sockets and media
// end with the account, and what was seen by a role ends with the role.
func TestChangesOfTheDirectoryAreFelt(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		o := options(t, url)
		o.Demo = true
		media := &hall{}
		o.Media = media
		b := serve(t, o)
		ctx, d := t.Context(), b.office.directory
		sit := func(login string) (w *browser, conn *websocket.Conn, identity string) {
			w = b.browser(t)
			w.signIn(login, DemoPassword)
			conn = w.watch(DemoMeeting)
			identity = w.expect(http.StatusOK, "", "POST", "/meetings/"+DemoMeeting+"/join", fields{"device": "may-ban"}).text(t, "identity")
			media.enter(identity)
			return w, conn, identity
		}
		member, memberSocket, memberSeat := sit("daibieu01")
		other, _, otherSeat := sit("daibieu02")
		desk, deskSocket, deskSeat := sit("thuky")

		// As an import does it: nobody is told whom it concerns.
		u, err := d.UserByLogin(ctx, "daibieu01")
		require.NoError(t, err)
		u.Enabled = false
		_, err = d.UpdateUser(ctx, u)
		require.NoError(t, err)
		require.Equal(t, 4003, closed(t, memberSocket))
		member.expect(http.StatusUnauthorized, "not_signed_in", "GET", "/me", nil)
		require.Eventually(t, func() bool { return slices.Contains(media.sentOut(), memberSeat) }, 10*time.Second, 5*time.Millisecond)

		u, err = d.UserByLogin(ctx, "thuky")
		require.NoError(t, err)
		require.NoError(t, d.SetRoles(ctx, u.ID, u.Version, []directory.RoleIn{}))
		require.Equal(t, 4002, closed(t, deskSocket))
		desk.expect(http.StatusOK, "", "GET", "/me", nil)
		other.expect(http.StatusOK, "", "GET", "/me", nil)
		require.NotContains(t, media.sentOut(), otherSeat)
		require.NotContains(t, media.sentOut(), deskSeat)
	})
}

// A look that fails is repeated, and changes that come together are looked at once.
func TestRightsLookAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks atomic.Int64
		r := newRights(slog.New(slog.DiscardHandler), func(context.Context) error {
			if looks.Add(1) <= 2 {
				return errors.New("no directory")
			}
			return nil
		})
		after := func(d time.Duration, want int64) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			require.Equal(t, want, looks.Load())
		}
		for range 50 {
			r.changed()
		}
		after(rightsGather-time.Millisecond, 0)
		after(time.Millisecond, 1)
		after(rightsRetry, 2)
		after(rightsRetry, 3)
		after(time.Hour, 3)
		r.changed()
		after(rightsGather, 4)
		r.changed()
		r.close() // in the middle
		require.EqualValues(t, 4, looks.Load())
	})
}
