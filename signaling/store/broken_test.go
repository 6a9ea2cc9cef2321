package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/store"
	"diemcau/signaling/store/storetest"
)

// within runs fn, which must not take for ever.
func within(t *testing.T, d time.Duration, what string, fn func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- fn() }()
	select {
	case err := <-done:
		return err
	case <-time.After(d):
		require.FailNow(t, "it does not return", what)
		return nil
	}
}

// TestALineThatBreaks: with an error of the COMMIT itself the transaction may be there or
// not, and the next one works.
func TestALineThatBreaks(t *testing.T) {
	wire, url := storetest.NewWire(t, storetest.Postgres(t))
	db := storetest.Open(t, url)
	add := func(meeting string) error {
		return within(t, 30*time.Second, meeting, func() error {
			return db.Write(ctx, func(tx *sql.Tx) error { return insertLease(tx, meeting, 7) })
		})
	}
	wire.LoseAnswer()
	require.Error(t, add("answer"))
	require.Equal(t, 7, fenceOf(t, db, "answer"), "it had arrived")
	wire.LoseCommit()
	require.Error(t, add("commit"))
	require.ErrorIs(t, db.QueryRow(ctx, `SELECT fence FROM journal_leases WHERE meeting = 'commit'`).Scan(new(int)), store.ErrNotFound)
	require.NoError(t, add("commit"))
	// Connections that were used a moment ago are not looked at before they are used again.
	for i := range 5 {
		require.NoError(t, add(fmt.Sprint("warm", i)))
	}
	wire.Cut()
	require.NoError(t, add("after"))
}

// TestALineThatStaysSilent does not hold a writer until the kernel gives up.
func TestALineThatStaysSilent(t *testing.T) {
	wire, url := storetest.NewWire(t, storetest.Postgres(t))
	db := storetest.Open(t, url)
	db.SetAnswerWithin(200 * time.Millisecond)
	wire.Swallow()
	err := within(t, 30*time.Second, "a COMMIT without an answer", func() error {
		return db.Write(ctx, func(tx *sql.Tx) error { return insertLease(tx, "m", 1) })
	})
	require.Error(t, err)
	require.NoError(t, db.Write(ctx, func(tx *sql.Tx) error { return insertLease(tx, "m", 2) }))
	require.Equal(t, 2, fenceOf(t, db, "m"))
	// What takes long by itself is not cut short.
	require.NoError(t, db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `SELECT pg_sleep(0.5)`)
		return errors.Join(err, insertLease(tx, "slow", 1))
	}))
}

// TestACommitThatIsRefused leaves SQLite's one writing connection as it was.
func TestACommitThatIsRefused(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	require.NoError(t, db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `CREATE TABLE child (id INTEGER PRIMARY KEY, of INTEGER REFERENCES child (id) DEFERRABLE INITIALLY DEFERRED) STRICT`)
		return err
	}))
	require.ErrorContains(t, db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO child (id, of) VALUES (1, 99)`)
		return err
	}), "FOREIGN KEY")
	require.NoError(t, db.Write(ctx, func(tx *sql.Tx) error { return insertLease(tx, "m", 1) }))
	var n int
	require.NoError(t, db.QueryRow(ctx, `SELECT COUNT(*) FROM child`).Scan(&n))
	require.Zero(t, n)
}

// TestAFullDisk: a write that finds no room is an error, nothing of it is there, and once
// there is room again the next one works.
func TestAFullDisk(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	pages := func(tx *sql.Tx, pragma string) (n int) {
		require.NoError(t, tx.QueryRowContext(ctx, `PRAGMA `+pragma).Scan(&n))
		return n
	}
	big := strings.Repeat("x", 1<<20)
	require.NoError(t, db.Write(ctx, func(tx *sql.Tx) error {
		_ = pages(tx, "max_page_count = 200")
		return nil
	}))
	err := db.Write(ctx, func(tx *sql.Tx) error {
		if err := insertLease(tx, "m", 1); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO journal_leases (meeting, fence, owner, until) VALUES ('full', 1, $1, 0)`, big)
		return err
	})
	require.ErrorContains(t, err, "full")
	require.ErrorIs(t, db.QueryRow(ctx, `SELECT fence FROM journal_leases WHERE meeting = 'm'`).Scan(new(int)), store.ErrNotFound)
	require.NoError(t, db.Write(ctx, func(tx *sql.Tx) error { return insertLease(tx, "small", 1) }))
	require.NoError(t, db.Write(ctx, func(tx *sql.Tx) error {
		_ = pages(tx, "max_page_count = 1000000")
		_, err := tx.ExecContext(ctx, `INSERT INTO journal_leases (meeting, fence, owner, until) VALUES ('full', 1, $1, 0)`, big)
		return err
	}))
}

// TestOpenExisting makes nothing, and leaves an earlier schema alone.
func TestOpenExisting(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.db")
	_, err := store.OpenExisting(ctx, "sqlite:"+missing)
	require.ErrorIs(t, err, store.ErrNoDatabase)
	_, err = os.Stat(missing)
	require.ErrorIs(t, err, os.ErrNotExist)
	storetest.EachURL(t, func(t *testing.T, url string) {
		if strings.HasPrefix(url, "postgres") { // the database is there, and has no tables
			_, err := store.OpenExisting(ctx, url)
			require.ErrorIs(t, err, store.ErrNoDatabase)
		}
		earlier, err := store.OpenAt(ctx, url, 1)
		require.NoError(t, err)
		require.NoError(t, earlier.Write(ctx, func(tx *sql.Tx) error { return insertLease(tx, "m", 7) }))
		db, err := store.OpenExisting(ctx, url)
		require.NoError(t, err)
		require.Equal(t, 7, fenceOf(t, db, "m"))
		backup := filepath.Join(t.TempDir(), "backup")
		require.NoError(t, db.Backup(ctx, backup))
		require.NoError(t, db.Close())
		var version int
		require.NoError(t, earlier.QueryRow(ctx, `SELECT MAX(version_id) FROM goose_db_version`).Scan(&version))
		require.Equal(t, 1, version, "nothing was migrated")
		require.NoError(t, earlier.Close())
		// The backup of an earlier version is taken in by this one.
		target := storetest.SQLite(t)
		if strings.HasPrefix(url, "postgres") {
			target = storetest.Postgres(t)
		}
		require.NoError(t, store.Restore(ctx, backup, target))
		require.Equal(t, 7, fenceOf(t, storetest.Open(t, target), "m"))
	})
	_, err = store.OpenExisting(ctx, "mysql://x")
	require.ErrorIs(t, err, store.ErrURL)
}

// TestABackupThatIsCutOff leaves no file of the name it was to have.
func TestABackupThatIsCutOff(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		dir := t.TempDir()
		ended, cancel := context.WithCancel(ctx)
		cancel()
		require.Error(t, db.Backup(ended, filepath.Join(dir, "backup")))
		files, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, files)
	})
}
