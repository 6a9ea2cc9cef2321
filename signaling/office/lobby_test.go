package office

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/meeting"
	"diemcau/signaling/store/storetest"
)

// A guest waits, and is let in or turned away, in both places, whichever is told.
func TestLobbyIsOne(t *testing.T) {
	storetest.EachMigrated(t, func(t *testing.T, url string) {
		o := options(t, url)
		o.Demo = true
		b := serve(t, o)
		desk := b.browser(t)
		desk.signIn("thuky", DemoPassword)
		token := desk.expect(http.StatusCreated, "", "POST", "/guest-links", fields{"meeting": DemoMeeting, "maxUses": 9,
			"expires": time.Now().Add(time.Hour)}).text(t, "token")
		come := func() (*browser, string) {
			w := b.browser(t)
			r := w.expect(http.StatusCreated, "", "POST", "/guest-links/redeem", fields{"token": token, "name": "Lê Khách"})
			w.csrf = r.text(t, "csrfToken")
			return w, r.text(t, "id")
		}
		state := func(id string) (waits, in bool) {
			require.NoError(t, b.office.hub.Look(t.Context(), DemoMeeting, func(s *meeting.State) {
				_, waits = s.Lobby["guest:"+id]
				_, in = s.People["guest:"+id]
			}))
			return waits, in
		}
		becomes := func(id string, waits, in bool) {
			t.Helper()
			require.Eventually(t, func() bool { w, i := state(id); return w == waits && i == in }, 10*time.Second, 5*time.Millisecond)
		}
		settle := func(id string, admit bool) {
			t.Helper()
			desk.expect(http.StatusOK, "", "POST", "/meetings/"+DemoMeeting+"/commands", fields{"id": "s-" + id, "type": "lobby.settle",
				"body": fields{"guest": "guest:" + id, "admit": admit}})
		}
		w, id := come()
		becomes(id, true, false)
		w.expect(http.StatusForbidden, "in_lobby", "GET", "/meetings", nil)
		desk.expect(http.StatusOK, "", "POST", "/guests/"+id+"/admit", nil)
		becomes(id, false, true)
		w.expect(http.StatusOK, "", "GET", "/meetings/"+DemoMeeting, nil)
		desk.expect(http.StatusOK, "", "POST", "/guests/"+id+"/refuse", nil)
		becomes(id, false, false)
		w.expect(http.StatusUnauthorized, "not_signed_in", "GET", "/meetings/"+DemoMeeting, nil)

		w, id = come()
		becomes(id, true, false)
		settle(id, true)
		require.Eventually(t, func() bool {
			return w.do("GET", "/meetings/"+DemoMeeting, nil).StatusCode == http.StatusOK && w.do("GET", "/me", nil).fields(t)["lobby"] == nil
		},
			10*time.Second, 5*time.Millisecond)

		w, id = come()
		becomes(id, true, false)
		settle(id, false)
		require.Eventually(t, func() bool { return w.do("GET", "/me", nil).StatusCode == http.StatusUnauthorized }, 10*time.Second, 5*time.Millisecond)
	})
}
