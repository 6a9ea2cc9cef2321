package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
)

var (
	// ErrHasData reports a database that Restore must not overwrite.
	ErrHasData = errors.New("store: the database has data already")
	// ErrBackup reports a file that is not a whole backup of this kind of database.
	ErrBackup = errors.New("store: not a usable backup")
)

// Backup writes a consistent picture of the database to path while others read
// and write. The file is its owner's alone (0600), must not be there before, and
// is whole and on disk as soon as it has its name. The package comment says what
// is in it.
func (d *DB) Backup(ctx context.Context, path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("store: backup %s: %w", path, errors.Join(err, fs.ErrExist))
	}
	part, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".part-*")
	if err != nil {
		return fmt.Errorf("store: backup: %w", err)
	}
	defer func() { _ = os.Remove(part.Name()) }() // after the rename it is not there
	if d.dialect == Postgres {
		err = d.backupPostgres(ctx, part)
	} else {
		err = d.backupSQLite(ctx, part.Name())
	}
	if err := errors.Join(err, part.Sync(), part.Close()); err != nil {
		return fmt.Errorf("store: backup: %w", err)
	}
	// A link, unlike a rename, never replaces a file that came meanwhile.
	if err := os.Link(part.Name(), path); err != nil {
		return fmt.Errorf("store: backup: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

func (d *DB) backupSQLite(ctx context.Context, part string) error {
	// The pools cannot do it: one cannot write, the other would block writers.
	db, err := sql.Open("sqlite", sqliteDSN(d.path, "_txlock", "deferred"))
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, `VACUUM INTO $1`, part); err != nil {
		return err
	}
	_, err = checkSQLiteFile(ctx, part)
	return err
}

// checkSQLiteFile tells the schema version of a SQLite backup that is whole.
func checkSQLiteFile(ctx context.Context, path string) (version int64, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return 0, err
	}
	db, err := sql.Open("sqlite", fileURL(path, "mode=ro&immutable=1"))
	if err != nil {
		return 0, err
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&verdict); err != nil {
		return 0, fmt.Errorf("%w: %s: %w", ErrBackup, path, err)
	}
	if verdict != "ok" {
		return 0, fmt.Errorf("%w: %s: %s", ErrBackup, path, verdict)
	}
	if err := db.QueryRowContext(ctx, `SELECT MAX(version_id) FROM `+versionTable).Scan(&version); err != nil {
		return 0, fmt.Errorf("%w: %s: %w", ErrBackup, path, err)
	}
	return version, nil
}

// Restore puts the backup at path into the database of url, which must be of the
// same dialect and without data, and migrates it forward. With an error the
// database is as it was.
func Restore(ctx context.Context, path, url string) error {
	d, err := connect(ctx, url)
	if err != nil {
		return err
	}
	if err := d.restore(ctx, path); err != nil {
		return errors.Join(err, d.Close())
	}
	return errors.Join(d.migrate(ctx, latest), d.Close())
}

func (d *DB) restore(ctx context.Context, path string) error {
	if err := d.checkEmpty(ctx); err != nil {
		return err
	}
	if d.dialect == Postgres {
		return d.restorePostgres(ctx, path)
	}
	version, err := checkSQLiteFile(ctx, path)
	if err != nil {
		return err
	}
	if newest, err := d.newest(); err != nil || version > newest {
		return errors.Join(err, fmt.Errorf("store: the backup is of schema %d, this program knows %d: %w", version, newest, ErrNewer))
	}
	return d.restoreSQLite(ctx, path)
}

// restoreSQLite copies the pages in one write transaction of SQLite's backup
// interface, which respects whoever else has the file open.
func (d *DB) restoreSQLite(ctx context.Context, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	conn, err := d.write.Conn(ctx)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	defer conn.Close()
	err = conn.Raw(func(driver any) error {
		restorer, ok := driver.(interface {
			NewRestore(string) (*sqlite.Backup, error)
		})
		if !ok {
			return errors.New("the driver cannot restore")
		}
		backup, err := restorer.NewRestore(fileURL(path, "mode=ro&immutable=1"))
		if err != nil {
			return err
		}
		_, err = backup.Step(-1)
		return errors.Join(err, backup.Finish())
	})
	if err != nil {
		return fmt.Errorf("store: restore: %w", err)
	}
	return nil
}

// checkEmpty fails with ErrHasData when a table of ours has a row.
func (d *DB) checkEmpty(ctx context.Context) error {
	query := `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'`
	if d.dialect == Postgres {
		query = `SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()`
	}
	tables, err := queryStrings(ctx, d.read, query)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	for _, table := range tables {
		if table == versionTable {
			continue
		}
		var one int
		err := d.read.QueryRowContext(ctx, `SELECT 1 FROM `+quote(table)+` LIMIT 1`).Scan(&one)
		if err == nil {
			return fmt.Errorf("%w: table %s; use a new database", ErrHasData, table)
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("store: %w", err)
		}
	}
	return nil
}

func queryStrings(ctx context.Context, db interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}, query string, args ...any) ([]string, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

// newest is the schema version that this program knows.
func (d *DB) newest() (int64, error) {
	p, err := d.provider()
	if err != nil {
		return 0, err
	}
	return newestOf(p), nil
}

func newestOf(p *goose.Provider) int64 {
	newest := int64(0)
	for _, source := range p.ListSources() {
		newest = max(newest, source.Version)
	}
	return newest
}
