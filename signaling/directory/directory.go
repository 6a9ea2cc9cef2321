package directory

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"diemcau/signaling/store"
)

// Bounds of what one directory holds.
const (
	MaxDepth     = 16 // levels of units, the root included
	MaxUnits     = 10_000
	MaxPoints    = 20_000
	MaxUsers     = 100_000
	MaxPositions = 1_000
	MaxRoles     = 50  // of one user
	MaxPage      = 200 // entries of a page
)

// Directory is the stored directory. Its methods may be called at the same time.
type Directory struct {
	db      *store.DB
	now     func() time.Time
	changed func()
}

// New makes a Directory over db, whose migrations made the tables.
func New(db *store.DB) *Directory {
	return &Directory{db: db, now: time.Now, changed: func() {}}
}

// OnChange has fn called after each change that is on disk; it must not block. To be
// set before anything is changed.
func (d *Directory) OnChange(fn func()) { d.changed = fn }

// Query selects entries of a list. The zero value asks for the first page of
// everything.
type Query struct {
	Text    string // words that entries must have the beginnings of; marks and case count for nothing
	UnitID  string // only entries of this unit
	Below   bool   // and of the units below it
	Role    Role   // users only: who holds this role in any unit
	Enabled *bool  // points and users only
	Limit   int    // at most MaxPage; 0: 50
	Cursor  string // Next of the page before
}

// Page is a part of a list. Next is the Cursor of the following page, "" at the end.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"`
}

// reader is what the reading pool and a transaction have in common.
type reader interface {
	Query(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRow(ctx context.Context, query string, args ...any) *sql.Row
}

type txReader struct{ *sql.Tx }

func (t txReader) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.QueryContext(ctx, query, args...)
}

func (t txReader) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return t.QueryRowContext(ctx, query, args...)
}

type scanner interface{ Scan(dest ...any) error }

// all reads every row of a query.
func all[T any](ctx context.Context, r reader, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := r.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := []T{}
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

// one reads one row; none is ErrNotFound.
func one[T any](scan func(scanner) (T, error), row *sql.Row) (T, error) {
	v, err := scan(row)
	if errors.Is(err, sql.ErrNoRows) {
		return v, ErrNotFound
	}
	return v, err
}

func count(ctx context.Context, r reader, query string, args ...any) (int, error) {
	var n int
	err := r.QueryRow(ctx, query, args...).Scan(&n)
	return n, err
}

// newID makes a UUIDv7, so that ids grow with time. It can fail only where the
// runtime ends the program: without a random source.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

func (d *Directory) millis() int64 { return d.now().UnixMilli() }

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// known gives id if it has the form of our ids, else "", which is nobody's:
// PostgreSQL takes some texts for an error rather than for unknown.
func known(id string) string {
	if len(id) != idLength || uuid.Validate(id) != nil {
		return ""
	}
	return id
}

// nullable stores "" as NULL.
func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// updated tells whether an UPDATE or DELETE with "id = and version =" met its
// row; table is one of our own names, never input.
func updated(ctx context.Context, r reader, res sql.Result, table, id string) error {
	n, err := res.RowsAffected()
	if err != nil || n == 1 {
		return err
	}
	found, err := count(ctx, r, "SELECT count(*) FROM "+table+" WHERE id = $1", known(id))
	switch {
	case err != nil:
		return err
	case found == 0:
		return ErrNotFound
	default:
		return ErrConflict
	}
}

// write runs fn in a transaction and refuses the outcome if it would leave no
// enabled administrator at the root where there was one. A broken UNIQUE
// constraint is a duplicate of field key.
func (d *Directory) write(ctx context.Context, key string, fn func(tx txReader) error) error {
	err := d.db.Write(ctx, func(tx *sql.Tx) error {
		r := txReader{tx}
		before, err := administrators(ctx, r)
		if err != nil {
			return err
		}
		if err := fn(r); err != nil || before == 0 {
			return err
		}
		after, err := administrators(ctx, r)
		if err == nil && after == 0 {
			return ErrLastAdministrator
		}
		return err
	})
	if err != nil && store.IsUnique(err) {
		return fail("duplicate", key)
	}
	if err == nil {
		d.changed()
	}
	return err
}

// administrators counts who can manage everything.
func administrators(ctx context.Context, r reader) (int, error) {
	return count(ctx, r, `SELECT count(*) FROM units n
		JOIN role_assignments a ON a.unit_id = n.id AND a.role = $1
		JOIN users u ON u.id = a.user_id AND u.enabled = $2
		WHERE n.parent_id IS NULL`, string(Administrator), true)
}

// conditions builds the WHERE of a list.
type conditions struct {
	parts []string
	args  []any
}

// arg keeps a value and gives its placeholder.
func (c *conditions) arg(v any) string {
	c.args = append(c.args, v)
	return "$" + strconv.Itoa(len(c.args))
}

func (c *conditions) add(part string) { c.parts = append(c.parts, part) }

func (c *conditions) String() string {
	if len(c.parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.parts, " AND ")
}

const unitsBelow = `(WITH RECURSIVE below(id) AS (SELECT id FROM units WHERE id = %s
	UNION ALL SELECT u.id FROM units u JOIN below b ON u.parent_id = b.id) SELECT id FROM below)`

// conditions checks q and turns it into SQL; unitColumn is a name of ours.
func (q *Query) conditions(unitColumn string) (*conditions, error) {
	if q.Limit < 0 || q.Limit > MaxPage {
		return nil, fail("invalid_number", "limit", 1, MaxPage)
	}
	if q.Limit == 0 {
		q.Limit = 50
	}
	c := &conditions{}
	text, err := cleanText("query", q.Text, maxQuery, false)
	if err != nil {
		return nil, err
	}
	for _, w := range searchWords(text) {
		// A word has letters and digits only: nothing to escape for LIKE.
		c.add("search LIKE " + c.arg("% "+w+"%"))
	}
	switch {
	case q.UnitID != "" && q.Below:
		c.add(unitColumn + " IN " + fmt.Sprintf(unitsBelow, c.arg(known(q.UnitID))))
	case q.UnitID != "":
		c.add(unitColumn + " = " + c.arg(known(q.UnitID)))
	}
	if q.Cursor != "" {
		key, id, err := parseCursor(q.Cursor)
		if err != nil {
			return nil, err
		}
		c.add("(sort_key, id) > (" + c.arg(key) + ", " + c.arg(id) + ")")
	}
	return c, nil
}

// A cursor is the sort key and the id of the last entry, so it stays right
// when entries before it come and go.
const idLength = 36

func makeCursor(key []byte, id string) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte(id), key...))
}

func parseCursor(s string) (key []byte, id string, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(raw) < idLength || len(raw) > 64<<10 || known(string(raw[:idLength])) == "" {
		return nil, "", fail("bad_cursor", "cursor")
	}
	return raw[idLength:], string(raw[:idLength]), nil
}

// keyed is an entry with its place in the order.
type keyed[T any] struct {
	item T
	key  []byte
	id   string
}

// page reads one entry more than asked for, to know whether there are others.
func page[T any](ctx context.Context, r reader, scan func(scanner) (keyed[T], error), columns, table string, q *Query, c *conditions) (Page[T], error) {
	query := "SELECT " + columns + " FROM " + table + c.String() + " ORDER BY sort_key, id LIMIT " + strconv.Itoa(q.Limit+1)
	list, err := all(ctx, r, scan, query, c.args...)
	if err != nil {
		return Page[T]{}, fmt.Errorf("directory: list %s: %w", table, err)
	}
	p := Page[T]{Items: make([]T, 0, len(list))}
	if len(list) > q.Limit {
		list = list[:q.Limit]
		last := list[len(list)-1]
		p.Next = makeCursor(last.key, last.id)
	}
	for _, e := range list {
		p.Items = append(p.Items, e.item)
	}
	return p, nil
}
