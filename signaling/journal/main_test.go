package journal

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/store"
	"diemcau/signaling/store/storetest"
)

var ctx = context.Background()

// The test binary is also the process that the crash tests kill and trace.
func TestMain(m *testing.M) {
	if kind := os.Getenv("JOURNAL_CHILD"); kind != "" {
		if err := child(kind); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	storetest.Main(m)
}

// startJournal starts a journal with heads in a new directory.
func startJournal(t testing.TB, db *store.DB, o Options) (*Journal, string) {
	t.Helper()
	dir := t.TempDir()
	heads, err := OpenHeads(dir)
	require.NoError(t, err)
	j := Start(db, heads, o)
	t.Cleanup(func() {
		j.Close()
		require.NoError(t, heads.Close())
	})
	return j, dir
}

func open(t testing.TB, j *Journal, meeting, owner string) *Writer {
	t.Helper()
	w, err := j.Open(ctx, meeting, owner)
	require.NoError(t, err)
	return w
}

func draft(command string) Draft {
	return Draft{Command: command, Author: "user:a", Body: []byte(`{"n": "` + command + `"}`)}
}

func readAll(t testing.TB, db *store.DB, meeting string) []Entry {
	t.Helper()
	var all []Entry
	for e, err := range Read(ctx, db, meeting, 1) {
		require.NoError(t, err)
		all = append(all, e)
	}
	return all
}

// expire makes a lease look as if its holder had slept too long.
func expire(t testing.TB, db *store.DB, meeting string) {
	t.Helper()
	require.NoError(t, db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE journal_leases SET until = 1 WHERE meeting = $1`, meeting)
		return err
	}))
}

func verify(t testing.TB, db *store.DB, dir string) *Report {
	t.Helper()
	log, err := ReadHeads(dir)
	require.NoError(t, err)
	report, err := Verify(ctx, db, log)
	require.NoError(t, err)
	return report
}

// frozen is a clock that stands.
func frozen(at time.Time) func() time.Time { return func() time.Time { return at } }
