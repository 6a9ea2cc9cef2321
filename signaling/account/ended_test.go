package account

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The owner of sockets is told of a session at the moment it expires.
func TestExpiryIsTold(t *testing.T) {
	told := make(chan []Over, 8)
	everywhere(t, func(t *testing.T, b *bench) {
		id := b.browser().signIn("lan.le", goodPass).text(t, "sessionId")
		other := b.browser()
		other.signIn("quantri", goodPass)
		require.NoError(t, b.service.db.Write(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.Exec(`UPDATE account_sessions SET expires = $1 WHERE id = $2`, millis(time.Now().Add(300*time.Millisecond)), id)
			return err
		}))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { b.service.Run(ctx); close(done) }()
		select {
		case over := <-told:
			require.Equal(t, []Over{{Session: id, Who: "user:lan", Expired: true}}, over)
		case <-time.After(20 * time.Second):
			require.Fail(t, "nobody was told")
		}
		cancel()
		<-done
		other.expect(http.StatusOK, "", "GET", "/whoami", nil)
	}, func(o *Options) { o.Now, o.Ended = time.Now, func(over []Over) { told <- over } })
}

// What an import disables or removes is signed out, whoever it names.
func TestEndGone(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		admin, lan, device := b.administrator(), b.browser(), b.browser()
		id := lan.signIn("lan.le", goodPass).text(t, "sessionId")
		point := device.expect(http.StatusCreated, "", "POST", "/devices/enrol", fields{"code": b.deviceCode(admin)}).text(t, "sessionId")
		require.NoError(t, b.service.EndGone(t.Context()))
		require.Empty(t, b.endedIDs())
		user := b.people.users["lan"]
		user.Enabled = false
		b.people.set(user)
		delete(b.service.options.Points.(places), "p1")
		require.NoError(t, b.service.EndGone(t.Context()))
		require.ElementsMatch(t, []Over{{Session: id, Who: "user:lan"}, {Session: point, Who: "point:p1"}}, b.ended)
		admin.expect(http.StatusOK, "", "GET", "/whoami", nil)
		b.people.down = errors.New("no directory")
		require.Error(t, b.service.EndGone(t.Context()), "whoever cannot be looked up is not signed out")
		require.Len(t, b.endedIDs(), 2)
	})
}
