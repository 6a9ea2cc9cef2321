package store_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/store"
	"diemcau/signaling/store/storetest"
)

var ctx = context.Background()

func insertLease(tx *sql.Tx, meeting string, fence int) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO journal_leases (meeting, fence, owner, until) VALUES ($1, $2, 'a', 0)`, meeting, fence)
	return err
}

func fenceOf(t *testing.T, db *store.DB, meeting string) int {
	t.Helper()
	var fence int
	require.NoError(t, db.QueryRow(ctx, `SELECT fence FROM journal_leases WHERE meeting = $1`, meeting).Scan(&fence))
	return fence
}

func TestWriteAndRead(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		require.NoError(t, db.Ping(ctx))
		require.NoError(t, db.Write(ctx, func(tx *sql.Tx) error { return insertLease(tx, "m", 1) }))
		require.Equal(t, 1, fenceOf(t, db, "m"))

		err := db.QueryRow(ctx, `SELECT fence FROM journal_leases WHERE meeting = $1`, "none").Scan(new(int))
		require.ErrorIs(t, err, store.ErrNotFound)

		// Numbered parameters mean the same in any order and twice.
		var a, b, c string
		require.NoError(t, db.QueryRow(ctx, `SELECT CAST($2 AS TEXT), CAST($1 AS TEXT), CAST($2 AS TEXT)`, "x", "y").Scan(&a, &b, &c))
		require.Equal(t, "y x y", a+" "+b+" "+c)
	})
}

func TestAnErrorOrPanicUndoesAll(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		boom := errors.New("boom")
		require.ErrorIs(t, db.Write(ctx, func(tx *sql.Tx) error {
			require.NoError(t, insertLease(tx, "m", 1))
			return boom
		}), boom)
		require.PanicsWithValue(t, "boom", func() {
			_ = db.Write(ctx, func(tx *sql.Tx) error {
				require.NoError(t, insertLease(tx, "m", 1))
				panic("boom")
			})
		})
		ending, cancel := context.WithCancel(ctx)
		require.ErrorIs(t, db.Write(ending, func(tx *sql.Tx) error {
			require.NoError(t, insertLease(tx, "m", 1))
			cancel()
			return nil
		}), context.Canceled)
		var n int
		require.NoError(t, db.QueryRow(ctx, `SELECT COUNT(*) FROM journal_leases`).Scan(&n))
		require.Zero(t, n)
	})
}

func TestReadersCannotWrite(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		rows, err := db.Query(ctx, `INSERT INTO journal_leases (meeting, fence, owner, until) VALUES ('m', 1, 'a', 0) RETURNING fence`)
		if err == nil {
			rows.Next()
			err = errors.Join(rows.Err(), rows.Close())
		}
		require.Error(t, err)
		require.ErrorIs(t, db.QueryRow(ctx, `SELECT fence FROM journal_leases`).Scan(new(int)), store.ErrNotFound)
	})
}

func TestIsUnique(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		add := func() error {
			return db.Write(ctx, func(tx *sql.Tx) error { return insertLease(tx, "m", 1) })
		}
		require.NoError(t, add())
		require.True(t, store.IsUnique(add()))

		err := db.Write(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO journal_leases (meeting, fence, owner, until) VALUES ($1, 1, NULL, 0)`, "n")
			return err
		})
		require.Error(t, err)
		require.False(t, store.IsUnique(err))
		require.False(t, store.IsUnique(nil))
	})
}

// Read, add one, write: each of many at the same time must count.
func TestWritersDoNotLoseEachOther(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		require.NoError(t, db.Write(ctx, func(tx *sql.Tx) error { return insertLease(tx, "m", 0) }))
		const writers, each = 4, 25
		var wg sync.WaitGroup
		errs := make(chan error, writers*each)
		for range writers {
			wg.Go(func() {
				for range each {
					errs <- db.Write(ctx, func(tx *sql.Tx) error {
						var fence int
						if err := tx.QueryRowContext(ctx, `SELECT fence FROM journal_leases WHERE meeting = $1`, "m").Scan(&fence); err != nil {
							return err
						}
						_, err := tx.ExecContext(ctx, `UPDATE journal_leases SET fence = $1 WHERE meeting = $2`, fence+1, "m")
						return err
					})
				}
			})
		}
		wg.Wait()
		close(errs)
		for err := range errs {
			require.NoError(t, err)
		}
		require.Equal(t, writers*each, fenceOf(t, db, "m"))
	})
}

func TestProcessesThatStartTogether(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		var wg sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			wg.Go(func() {
				db, err := store.Open(ctx, url)
				if err == nil {
					err = db.Close()
				}
				errs[i] = err
			})
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
	})
}

func TestANewerSchemaIsRefused(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		db, err := store.Open(ctx, url)
		require.NoError(t, err)
		require.NoError(t, db.Write(ctx, func(tx *sql.Tx) error {
			if db.Dialect() == store.SQLite {
				_, err := tx.ExecContext(ctx, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
				return err
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`)
			return err
		}))
		require.NoError(t, db.Close())
		_, err = store.Open(ctx, url)
		require.ErrorIs(t, err, store.ErrNewer)
	})
}

func TestSQLiteIsSafeAndPrivate(t *testing.T) {
	url := storetest.SQLite(t)
	db := storetest.Open(t, url)
	require.NoError(t, db.Write(ctx, func(tx *sql.Tx) error {
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "10000"} {
			var got string
			require.NoError(t, tx.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(&got))
			require.Equal(t, want, got, pragma)
		}
		return nil
	}))
	path := strings.TrimPrefix(url, "sqlite:")
	for _, file := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), file)
	}
}

func TestPathsWithOddCharacters(t *testing.T) {
	for _, name := range []string{"a b.db", "họp?x=1.db", "50%25#1.db"} {
		path := t.TempDir() + "/" + name
		db, err := store.Open(ctx, "sqlite:"+path)
		require.NoError(t, err, name)
		require.NoError(t, db.Close())
		info, err := os.Stat(path)
		require.NoError(t, err, name)
		require.NotZero(t, info.Size(), name)
	}
}

func TestBadURLs(t *testing.T) {
	for _, url := range []string{"", "sqlite:", "mysql://x", "/a/b.db", "postgres://u:secret-word@h:bad/x"} {
		_, err := store.Open(ctx, url)
		require.ErrorIs(t, err, store.ErrURL, url)
		require.NotContains(t, err.Error(), "secret-word")
	}
	_, err := store.Open(ctx, "sqlite:/no/such/directory/x.db")
	require.ErrorIs(t, err, os.ErrNotExist)
}
