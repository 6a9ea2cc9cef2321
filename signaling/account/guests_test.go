package account

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func (b *bench) link(admin *browser, uses int) (id, token string) {
	r := admin.expect(http.StatusCreated, "", "POST", "/guest-links",
		fields{"meeting": "m1", "label": "Chuyên gia", "expires": b.clock.Now().Add(time.Hour), "maxUses": uses})
	return r.text(b.t, "id"), r.text(b.t, "token")
}

func (w *browser) redeem(token, name string) reply {
	w.b.t.Helper()
	r := w.expect(http.StatusCreated, "", "POST", "/guest-links/redeem", fields{"token": token, "name": name})
	w.csrf = r.text(w.b.t, "csrfToken")
	return r
}

func TestGuests(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		admin, guest, lan := b.administrator(), b.browser(), b.browser()
		lan.signIn("lan.le", goodPass)
		_, token := b.link(admin, 5)
		r := guest.redeem(token, "  Bà Hoa\u0300  ")
		require.Equal(t, "Bà Hoà", r.text(t, "name"))
		require.Equal(t, "m1", r.text(t, "meeting"))
		require.Equal(t, true, r.field(t, "lobby"))
		id := r.text(t, "id")
		require.Equal(t, "guest:"+id, r.text(t, "identity"))
		guest.expect(http.StatusForbidden, "in_lobby", "GET", "/whoami", nil)
		guest.expect(http.StatusOK, "", "GET", "/session", nil)
		guest.expect(http.StatusForbidden, "forbidden", "POST", "/guests/"+id+"/admit", fields{})
		guest.expect(http.StatusForbidden, "forbidden", "POST", "/guest-links", fields{})

		var list []Guest
		require.NoError(t, json.Unmarshal(admin.expect(http.StatusOK, "", "GET", "/guests?meeting=m1", nil).body, &list))
		require.Len(t, list, 1)
		require.Equal(t, id, list[0].ID)
		admin.expect(http.StatusForbidden, "forbidden", "GET", "/guests?meeting=m2", nil)
		lan.expect(http.StatusForbidden, "forbidden", "GET", "/guests?meeting=m1", nil)
		lan.expect(http.StatusForbidden, "forbidden", "POST", "/guests/"+id+"/admit", nil)
		admin.expect(http.StatusForbidden, "forbidden", "POST", "/guests/none/admit", nil)
		admin.expect(http.StatusOK, "", "POST", "/guests/"+id+"/admit", nil)
		admin.expect(http.StatusConflict, "guest_decided", "POST", "/guests/"+id+"/admit", nil)
		guest.expect(http.StatusOK, "", "GET", "/whoami", nil)
		guest.expect(http.StatusForbidden, "forbidden", "GET", "/users-only", nil)
		admin.expect(http.StatusOK, "", "POST", "/guests/"+id+"/refuse", nil)
		guest.expect(http.StatusUnauthorized, "not_signed_in", "GET", "/whoami", nil)
		admin.expect(http.StatusConflict, "guest_decided", "POST", "/guests/"+id+"/refuse", nil)
		admin.expect(http.StatusConflict, "guest_decided", "POST", "/guests/"+id+"/admit", nil)
		require.Len(t, b.guests, 3)
		lan.expect(http.StatusConflict, "already_signed_in", "POST", "/guest-links/redeem", fields{"token": token, "name": "Lan"})

		var stored []byte
		require.NoError(t, b.service.db.QueryRow(t.Context(), `SELECT token FROM account_guest_links`).Scan(&stored))
		require.Equal(t, hashToken(token), stored)
		require.NotContains(t, string(admin.do("GET", "/guest-links?meeting=m1", nil).body), token)
	})
}

func TestGuestLinkLimits(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		admin := b.administrator()
		now := b.clock.Now()
		for name, body := range map[string]fields{
			"past":         {"meeting": "m1", "expires": now, "maxUses": 1},
			"far":          {"meeting": "m1", "expires": now.Add(longestLink + time.Hour), "maxUses": 1},
			"no expiry":    {"meeting": "m1", "maxUses": 1},
			"no uses":      {"meeting": "m1", "expires": now.Add(time.Hour)},
			"many uses":    {"meeting": "m1", "expires": now.Add(time.Hour), "maxUses": maxLinkUses + 1},
			"odd meeting":  {"meeting": "m1' OR ''='", "expires": now.Add(time.Hour), "maxUses": 1},
			"bidi in text": {"meeting": "m1", "expires": now.Add(time.Hour), "maxUses": 1, "label": "a\u202eb"},
		} {
			r := admin.do("POST", "/guest-links", body)
			require.Equal(t, "invalid_field", r.text(t, "code"), name)
		}
		admin.expect(http.StatusForbidden, "forbidden", "POST", "/guest-links",
			fields{"meeting": "m2", "expires": now.Add(time.Hour), "maxUses": 1})

		_, token := b.link(admin, 1)
		for _, name := range []string{"", "   ", "a\u202eb", "a\nb", "\u200d", "\u0007", string(make([]rune, 61))} {
			b.browser().expect(http.StatusUnprocessableEntity, "invalid_name", "POST", "/guest-links/redeem", fields{"token": token, "name": name})
		}
		b.browser().redeem(token, "<script>alert(1)</script>") // text, for the client to show as text
		refused := func(token string) {
			t.Helper()
			b.browser().expect(http.StatusForbidden, "bad_guest_link", "POST", "/guest-links/redeem", fields{"token": token, "name": "Khách"})
		}
		refused(token) // used up
		refused("")
		refused(encode(make([]byte, 32)))
		refused("' OR 1=1 --")

		_, token = b.link(admin, 5)
		b.clock.forward(time.Hour)
		refused(token)
	})
}

func TestRevokedLink(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		admin, waiting, admitted, other := b.administrator(), b.browser(), b.browser(), b.browser()
		id, token := b.link(admin, 5)
		_, otherToken := b.link(admin, 5)
		waiting.redeem(token, "Người chờ")
		other.redeem(otherToken, "Khách khác")
		inside := admitted.redeem(token, "Người trong phòng").text(t, "id")
		admin.expect(http.StatusOK, "", "POST", "/guests/"+inside+"/admit", nil)
		lan := b.browser()
		lan.signIn("lan.le", goodPass)
		lan.expect(http.StatusForbidden, "forbidden", "DELETE", "/guest-links/"+id, nil)
		admin.expect(http.StatusNoContent, "", "DELETE", "/guest-links/"+id, nil)
		admin.expect(http.StatusNotFound, "not_found", "DELETE", "/guest-links/"+id, nil)
		waiting.expect(http.StatusUnauthorized, "not_signed_in", "GET", "/session", nil)
		admitted.expect(http.StatusOK, "", "GET", "/whoami", nil)
		other.expect(http.StatusOK, "", "GET", "/session", nil)
		b.browser().expect(http.StatusForbidden, "bad_guest_link", "POST", "/guest-links/redeem", fields{"token": token, "name": "Khách"})
		var links []GuestLink
		require.NoError(t, json.Unmarshal(admin.expect(http.StatusOK, "", "GET", "/guest-links?meeting=m1", nil).body, &links))
		require.Len(t, links, 2)
	})
}

func TestLobbyIsBounded(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		_, token := b.link(b.administrator(), maxLinkUses)
		var last session
		for i := range maxLobby {
			var err error
			_, _, last, err = b.service.redeem(t.Context(), token, fmt.Sprint("Khách ", i), client{}, "")
			require.NoError(t, err)
		}
		_, _, _, err := b.service.redeem(t.Context(), token, "Khách nữa", client{}, "")
		require.ErrorIs(t, err, problemLobbyFull)
		require.Equal(t, maxLobby, b.count(`SELECT uses FROM account_guest_links`), "who was not let in used nothing up")
		_, err = b.service.endSessions(t.Context(), `id = $1`, last.ID) // one leaves
		require.NoError(t, err)
		_, _, _, err = b.service.redeem(t.Context(), token, "Khách nữa", client{}, "")
		require.NoError(t, err)
	})
}

func TestLastUseOfALinkAtOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		_, token := b.link(b.administrator(), 1)
		right := make(chan bool, 2)
		var group sync.WaitGroup
		for range cap(right) {
			group.Go(func() {
				_, _, _, err := b.service.redeem(t.Context(), token, "Khách", client{}, "")
				right <- err == nil
			})
		}
		group.Wait()
		require.NotEqual(t, <-right, <-right)
		require.Equal(t, 1, b.count(`SELECT COUNT(*) FROM account_guests`))
	})
}

// A browser that comes back by the link has one place in the lobby.
func TestRedeemAgain(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		_, token := b.link(b.administrator(), 5)
		guest := b.browser()
		guest.redeem(token, "Khách")
		guest.redeem(token, "Khách tên khác")
		lobby, err := b.service.Lobby(t.Context(), "m1")
		require.NoError(t, err)
		require.Len(t, lobby, 1)
		require.Equal(t, "Khách tên khác", lobby[0].Name)
	})
}
