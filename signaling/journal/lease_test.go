package journal

import (
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/store"
	"diemcau/signaling/store/storetest"
)

// The clock was a day ahead, and was set right: nobody waits a day for a lease of that
// time. Whoever still has it writes nothing more.
func TestALeaseOfAWrongClock(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		j, _ := startJournal(t, db, Options{})
		old := open(t, j, "m", "node1")
		until := func(ahead time.Duration) {
			require.NoError(t, db.Write(ctx, func(tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, `UPDATE journal_leases SET until = $1 WHERE meeting = $2`, time.Now().Add(ahead).UnixMilli(), "m")
				return err
			}))
		}
		until(10 * time.Second)
		_, err := j.Open(ctx, "m", "node2")
		require.ErrorIs(t, err, ErrHeld)
		until(24 * time.Hour)
		fresh := open(t, j, "m", "node2")
		_, err = old.Append(ctx, draft("old"))
		require.ErrorIs(t, err, ErrFenced)
		_, err = fresh.Append(ctx, draft("fresh"))
		require.NoError(t, err)
	})
}

func TestExists(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		j, _ := startJournal(t, db, Options{})
		w := open(t, j, "m", "node")
		there, err := Exists(ctx, db, "m")
		require.NoError(t, err)
		require.False(t, there, "a lease is no meeting")
		_, err = w.Append(ctx, draft("c"))
		require.NoError(t, err)
		there, err = Exists(ctx, db, "m")
		require.NoError(t, err)
		require.True(t, there)
		require.NoError(t, db.Close())
		_, err = Exists(ctx, db, "m")
		require.Error(t, err)
	})
}
