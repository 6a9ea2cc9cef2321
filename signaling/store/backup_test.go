package store_test

import (
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/store"
	"diemcau/signaling/store/storetest"
)

const insertEntry = `INSERT INTO journal_entries (meeting, seq, fence, at, command, author, body, prev, hash)
	VALUES ($1, $2, 1, 2, $3, 'Nguyễn "A" \ tab	x', $4, $5, $6)`

func TestBackupAndRestore(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url)
		odd := []byte("\x00\\\n\t\xff")
		require.NoError(t, db.Write(ctx, func(tx *sql.Tx) error {
			for seq := range 20 {
				if _, err := tx.ExecContext(ctx, insertEntry, "m", seq, sql.NullString{}, odd, []byte{1}, []byte{2}); err != nil {
					return err
				}
			}
			return insertLease(tx, "m", 7)
		}))

		// Two rows go in together while the backup runs: it has both or none.
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				err := db.Write(ctx, func(tx *sql.Tx) error {
					if _, err := tx.ExecContext(ctx, insertEntry, "w", i, fmt.Sprint(i), odd, []byte{1}, []byte{2}); err != nil {
						return err
					}
					return insertLease(tx, fmt.Sprint("w", i), 1)
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
		path := filepath.Join(t.TempDir(), "sao lưu?.bak")
		err := db.Backup(ctx, path)
		close(stop)
		wg.Wait()
		require.NoError(t, err)
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		files, err := os.ReadDir(filepath.Dir(path))
		require.NoError(t, err)
		require.Len(t, files, 1, "nothing is left beside it")
		require.ErrorIs(t, db.Backup(ctx, path), fs.ErrExist)

		require.ErrorIs(t, store.Restore(ctx, path, url), store.ErrHasData)
		target := storetest.SQLite(t)
		if db.Dialect() == store.Postgres {
			target = storetest.Postgres(t)
		}
		require.NoError(t, store.Restore(ctx, path, target))
		require.ErrorIs(t, store.Restore(ctx, path, target), store.ErrHasData)
		back := storetest.Open(t, target)
		var n, both int
		var author string
		var body []byte
		require.NoError(t, back.QueryRow(ctx, `SELECT COUNT(*) FROM journal_entries WHERE meeting = 'm' AND command IS NULL`).Scan(&n))
		require.Equal(t, 20, n)
		require.NoError(t, back.QueryRow(ctx, `SELECT author, body FROM journal_entries WHERE meeting = 'm' AND seq = 3`).Scan(&author, &body))
		require.Equal(t, "Nguyễn \"A\" \\ tab\tx", author)
		require.Equal(t, odd, body)
		require.NoError(t, back.QueryRow(ctx, `SELECT COUNT(*) FROM journal_entries WHERE meeting = 'w'`).Scan(&n))
		require.NoError(t, back.QueryRow(ctx, `SELECT COUNT(*) FROM journal_leases WHERE meeting <> 'm'`).Scan(&both))
		require.Equal(t, n, both)
		require.Equal(t, 7, fenceOf(t, back, "m"))

		// The restored database is as good as the first.
		require.Error(t, back.Write(ctx, func(tx *sql.Tx) error { _, err := tx.ExecContext(ctx, `DELETE FROM journal_entries`); return err }))
		require.NoError(t, back.Write(ctx, func(tx *sql.Tx) error { return insertLease(tx, "new", 1) }))
		require.NoError(t, back.Backup(ctx, path+"2"))
	})
}

func TestRestoreRefusesDamage(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		dir := t.TempDir()
		good := filepath.Join(dir, "good")
		db := storetest.Open(t, url)
		require.NoError(t, db.Write(ctx, func(tx *sql.Tx) error { return insertLease(tx, "m", 7) }))
		require.NoError(t, db.Backup(ctx, good))
		raw, err := os.ReadFile(good)
		require.NoError(t, err)
		fresh := func() string {
			if db.Dialect() == store.Postgres {
				return storetest.Postgres(t)
			}
			return storetest.SQLite(t)
		}
		target := fresh()
		bad := filepath.Join(dir, "bad")
		for name, content := range map[string][]byte{
			"empty": {}, "text": []byte("not a backup"), "half": raw[:len(raw)/2],
		} {
			require.NoError(t, os.WriteFile(bad, content, 0o600))
			require.ErrorIs(t, store.Restore(ctx, bad, target), store.ErrBackup, name)
		}
		require.ErrorIs(t, store.Restore(ctx, filepath.Join(dir, "none"), fresh()), store.ErrBackup)
		require.NoError(t, store.Restore(ctx, good, target), "a refused backup left nothing behind")
		require.Equal(t, 7, fenceOf(t, storetest.Open(t, target), "m"))
	})
}
