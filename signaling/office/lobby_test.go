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
		waiting := w.watch(DemoMeeting)
		desk.expect(http.StatusOK, "", "POST", "/guests/"+id+"/admit", nil)
		becomes(id, false, true)
		require.NoError(t, waiting.WriteJSON(fields{"id": "c", "type": "chat.send", "body": fields{"text": "xin chào"}}))
		require.NotEqual(t, "in_lobby", answered(t, waiting, "c"))
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

		out := func(w *browser) {
			t.Helper()
			require.Eventually(t, func() bool { return w.do("GET", "/me", nil).StatusCode == http.StatusUnauthorized }, 10*time.Second, 5*time.Millisecond)
		}
		// Let in before, and taken out of the meeting: that is the end of the session.
		desk.expect(http.StatusOK, "", "POST", "/meetings/"+DemoMeeting+"/commands", fields{"id": "r-" + id, "type": "person.remove",
			"body": fields{"person": "guest:" + id, "note": "xong việc"}})
		becomes(id, false, false)
		out(w)

		w, id = come()
		becomes(id, true, false)
		settle(id, false)
		out(w)

		// Who leaves, or comes anew, does not go on waiting.
		w, id = come()
		becomes(id, true, false)
		again := w.expect(http.StatusCreated, "", "POST", "/guest-links/redeem", fields{"token": token, "name": "Lê Khách"})
		w.csrf = again.text(t, "csrfToken")
		becomes(again.text(t, "id"), true, false)
		becomes(id, false, false)
		w.expect(http.StatusOK, "", "DELETE", "/session", nil)
		becomes(again.text(t, "id"), false, false)

		// The same while the session runs, when the list of people is fixed.
		chair := b.browser(t)
		chair.signIn("chutoa", DemoPassword)
		chair.expect(http.StatusOK, "", "POST", "/meetings/"+DemoMeeting+"/commands", fields{"id": "start", "type": "meeting.start", "body": fields{}})
		w, id = come()
		becomes(id, true, false)
		desk.expect(http.StatusOK, "", "POST", "/guests/"+id+"/admit", nil)
		becomes(id, false, true)
		desk.expect(http.StatusOK, "", "POST", "/guests/"+id+"/refuse", nil)
		becomes(id, false, false)
		out(w)
	})
}
