package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations
var migrations embed.FS

// latest as a version means all migrations there are.
const latest = -1

// versionTable is goose's own.
const versionTable = "goose_db_version"

// provider knows the migrations of the dialect.
func (d *DB) provider() (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations/"+d.dialect.String())
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	dialect, options := goose.DialectSQLite3, []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if d.dialect == Postgres {
		dialect = goose.DialectPostgres
		// Asked every second, for as long as by default: a process that starts beside
		// others should not stand still for the five between two attempts.
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
		if err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	p, err := goose.NewProvider(dialect, d.write, files, options...)
	if err != nil {
		return nil, fmt.Errorf("store: migrations: %w", err)
	}
	return p, nil
}

// migrate brings the schema forward to version. Processes that start at the same
// moment wait for each other: on PostgreSQL at an advisory lock, on SQLite
// at a lock on the directory of the file.
func (d *DB) migrate(ctx context.Context, version int64) error {
	if d.dialect == SQLite {
		unlock, err := lockDir(ctx, filepath.Dir(d.path))
		if err != nil {
			return fmt.Errorf("store: %w", err)
		}
		defer unlock()
	}
	provider, err := d.provider()
	if err != nil {
		return err
	}
	newest := newestOf(provider)
	now, err := provider.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("store: migrations: %w", err)
	}
	if now > newest || version > newest {
		return fmt.Errorf("store: the data is of schema %d, this program knows %d: %w", max(now, version), newest, ErrNewer)
	}
	if version == latest {
		version = newest
	}
	if _, err := provider.UpTo(ctx, version); err != nil {
		return fmt.Errorf("store: migrations: %w", err)
	}
	return nil
}

// ErrNewer reports a database or backup made by a later version of the program.
var ErrNewer = errors.New("made by a newer version of diemcau")
