package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
)

// connectSQLite opens the file at path and makes it when it is not there.
func connectSQLite(ctx context.Context, path string) (*DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if err := createFile(path); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	write, err := sql.Open("sqlite", sqliteDSN(path, "_txlock", "immediate"))
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	write.SetMaxOpenConns(1)
	// The first connection turns WAL on; readers come after it.
	if err := write.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("store: %s: %w", path, err), write.Close())
	}
	read, err := sql.Open("sqlite", sqliteDSN(path, "_pragma", "query_only(1)"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("store: %w", err), write.Close())
	}
	readers := max(4, runtime.GOMAXPROCS(0))
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	return &DB{dialect: SQLite, path: path, read: read, write: write}, nil
}

// sqliteDSN is the driver's name of the file with our pragmas and one more pair.
func sqliteDSN(path, key, value string) string {
	q := url.Values{"_pragma": {
		"busy_timeout(10000)", // another process: a backup, a command line
		"journal_mode(WAL)",
		"synchronous(FULL)",
		"foreign_keys(1)",
		"journal_size_limit(67108864)",
	}}
	q.Add(key, value)
	return fileURL(path, q.Encode())
}

// fileURL is SQLite's form of an absolute path, whatever characters are in it.
func fileURL(path, query string) string {
	return (&url.URL{Scheme: "file", Path: path, RawQuery: query}).String()
}

// createFile makes an empty file at path that its owner alone may read, unless it
// is there. SQLite syncs the directory for its journal, and with it this entry; what
// Open promises does not depend on that.
func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // G304: the operator names the file
	if errors.Is(err, os.ErrExist) {
		// A crash may have come between making the file and syncing its directory.
		return syncDir(filepath.Dir(path))
	}
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir puts the entries of a directory on disk.
func syncDir(dir string) error {
	f, err := os.Open(dir) //nolint:gosec // G304: the operator names the directory
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
