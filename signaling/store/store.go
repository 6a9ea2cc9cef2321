package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Dialect says which database is behind a DB.
type Dialect int

// The dialects.
const (
	SQLite Dialect = iota
	Postgres
)

func (d Dialect) String() string {
	if d == Postgres {
		return "postgres"
	}
	return "sqlite"
}

var (
	// ErrNotFound is sql.ErrNoRows; callers wrap it as they like.
	ErrNotFound = sql.ErrNoRows
	// ErrURL reports a database URL of no known form.
	ErrURL = errors.New(`store: the database URL must be "sqlite:PATH" or "postgres://…"`)
	// ErrNoDatabase reports that there is no database, or one that is not ours.
	ErrNoDatabase = errors.New("store: there is no database of diemcau")
)

// answerWithin is how long PostgreSQL has to answer a BEGIN, a COMMIT or a ROLLBACK. A
// line that is silently dead would otherwise hold the caller for a quarter of an hour.
const answerWithin = 30 * time.Second

// attempts bounds how often Write calls its function on PostgreSQL.
const attempts = 12

// DB is the database of meetings. All its methods may be called at the same time.
type DB struct {
	dialect Dialect
	path    string  // of the SQLite file
	read    *sql.DB // cannot write
	write   *sql.DB // on SQLite one connection

	answerWithin time.Duration // of PostgreSQL; 0: no bound
}

// Open opens the database of url, "sqlite:PATH" or "postgres://…", and migrates
// it forward. A SQLite file is created with mode 0600 in a directory that must
// exist, and is on disk, directory entry included, when Open returns.
func Open(ctx context.Context, url string) (*DB, error) {
	d, err := connect(ctx, url)
	if err != nil {
		return nil, err
	}
	if err := d.migrate(ctx, latest); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// OpenExisting opens a database as it is, for who only looks or copies: it makes none,
// and leaves a schema of an earlier version as a server of that version knows it.
// ErrNoDatabase says that there is none.
func OpenExisting(ctx context.Context, url string) (*DB, error) {
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok && path != "" {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoDatabase, err)
		}
	}
	d, err := connect(ctx, url)
	if err != nil {
		return nil, err
	}
	var version sql.NullInt64
	err = d.QueryRow(ctx, `SELECT MAX(version_id) FROM `+versionTable).Scan(&version)
	if err == nil && version.Int64 > 0 {
		return d, nil
	}
	if err == nil || isNoTable(err) {
		err = errors.Join(ErrNoDatabase, err)
	}
	return nil, errors.Join(err, d.Close())
}

// isNoTable tells whether a query failed because a table is not there.
func isNoTable(err error) bool {
	return pgCode(err) == "42P01" || strings.Contains(err.Error(), "no such table")
}

// connect opens the pools without touching the schema.
func connect(ctx context.Context, url string) (*DB, error) {
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok && path != "" {
		return connectSQLite(ctx, path)
	}
	if strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://") {
		return connectPostgres(ctx, url)
	}
	return nil, ErrURL
}

// Dialect tells which database this is.
func (d *DB) Dialect() Dialect { return d.dialect }

// Query reads. A statement that writes fails.
func (d *DB) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return d.read.QueryContext(ctx, query, args...)
}

// QueryRow reads one row. A statement that writes fails.
func (d *DB) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return d.read.QueryRowContext(ctx, query, args...)
}

// Write runs fn in one transaction, which is on disk when Write returns nil. An
// error or panic of fn undoes it all. On PostgreSQL fn is called again, up to 12
// times in all, when the transaction met another one (40001, 40P01) or a connection
// was dead before it began, so fn must start from nothing each time and do nothing that cannot be undone. fn must
// not call Write itself: on SQLite it would wait for its own connection. A ctx
// that ends before fn has returned undoes the transaction, too; after that it has
// no influence. An error of the COMMIT itself, as when the line to PostgreSQL breaks
// or stays silent, leaves open whether the transaction is on disk.
func (d *DB) Write(ctx context.Context, fn func(tx *sql.Tx) error) error {
	for try := 1; ; try++ {
		err := d.writeOnce(ctx, fn)
		var idle *notBegun
		if err == nil || d.dialect != Postgres || !isConflict(err) && !errors.As(err, &idle) {
			return err
		}
		if try == attempts {
			return fmt.Errorf("store: gave up after %d attempts: %w", attempts, err)
		}
		pause := time.NewTimer(rand.N(time.Millisecond << min(try, 7))) //nolint:gosec // G404: jitter is no secret
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		}
	}
}

func (d *DB) writeOnce(ctx context.Context, fn func(tx *sql.Tx) error) error {
	conn, err := d.write.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	options := &sql.TxOptions{}
	if d.dialect == Postgres {
		options.Isolation = sql.LevelSerializable
	}
	// A COMMIT that is cut short by ctx would leave the caller in doubt. Only an answer
	// that does not come at all does that.
	whole, patience := context.WithoutCancel(ctx), &patience{}
	if d.answerWithin > 0 {
		var end context.CancelFunc
		whole, end = context.WithCancel(whole)
		defer end()
		patience.begin(d.answerWithin, end)
		defer patience.rest()
	}
	tx, err := conn.BeginTx(whole, options)
	patience.rest()
	if err != nil {
		return &notBegun{err}
	}
	defer func() {
		patience.again()
		_ = tx.Rollback() // after a commit it does nothing
	}()
	if err := fn(tx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	patience.again()
	return tx.Commit()
}

// notBegun is an error of BEGIN: of a connection of the pool that has died since it was
// used, as all have when PostgreSQL was started anew.
type notBegun struct{ error }

func (e *notBegun) Unwrap() error { return e.error }

// patience ends what takes too long; the zero value never does.
type patience struct {
	timer *time.Timer
	d     time.Duration
}

func (p *patience) begin(d time.Duration, end func()) { p.timer, p.d = time.AfterFunc(d, end), d }

func (p *patience) again() {
	if p.timer != nil {
		p.timer.Reset(p.d)
	}
}

func (p *patience) rest() {
	if p.timer != nil {
		p.timer.Stop()
	}
}

// Close ends all connections. Queries that run are waited for.
func (d *DB) Close() error {
	return errors.Join(d.read.Close(), d.write.Close())
}

// Ping tells whether the database answers.
func (d *DB) Ping(ctx context.Context) error {
	var one int
	return d.read.QueryRowContext(ctx, "SELECT 1").Scan(&one)
}

// IsUnique tells whether err says that a UNIQUE or PRIMARY KEY constraint was
// violated.
func IsUnique(err error) bool {
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		switch lite.Code() {
		case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
			return true
		}
		return false
	}
	return pgCode(err) == "23505"
}

// isConflict tells whether PostgreSQL asks to try a transaction again.
func isConflict(err error) bool {
	code := pgCode(err)
	return code == "40001" || code == "40P01"
}

func pgCode(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}
