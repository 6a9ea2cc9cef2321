package audit

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"diemcau/signaling/store"
)

// MaxPage is the most records of a page.
const MaxPage = 200

// ErrCursor reports a Cursor that Search did not give.
var ErrCursor = errors.New("audit: not a valid page position")

// Filter selects records; the zero value selects all.
type Filter struct {
	Who     string // identity without device, exact
	Object  string // exact
	Action  string // exact, or all that begin with it when it ends in a dot: "unit."
	Result  string // exact, or "refused": all but "ok"
	SignIns bool   // only those of signing in and out
	From    time.Time
	Until   time.Time // not included
}

// Page is a part of the log, newest first. Next is the cursor of the following
// page, "" at the end.
type Page struct {
	Records []Record
	Next    string
}

// signIns are the actions by which sessions begin and end, and their secrets
// change.
const signIns = `(action LIKE 'session.%' OR action LIKE 'totp.%' OR action LIKE 'account.%'
	OR action IN ('password.change', 'device.enrol', 'device.revoke', 'guest.redeem'))`

// Search gives a page of at most limit records (1 to MaxPage), newest first.
func (l *Log) Search(ctx context.Context, f Filter, cursor string, limit int) (Page, error) {
	query, args, err := f.sql(cursor)
	if err != nil {
		return Page{}, err
	}
	limit = max(1, min(limit, MaxPage))
	args = append(args, limit+1)
	rows, err := l.db.Query(ctx, `SELECT id, at, who, device, address, action, object, result, detail FROM audit_records `+
		query+` ORDER BY at DESC, id DESC LIMIT $`+strconv.Itoa(len(args)), args...)
	if err != nil {
		return Page{}, fmt.Errorf("audit: %w", err)
	}
	defer rows.Close()
	page := Page{Records: []Record{}}
	for rows.Next() {
		var r Record
		var at int64
		if err := rows.Scan(&r.ID, &at, &r.Who, &r.Device, &r.From, &r.Action, &r.Object, &r.Result, &r.Detail); err != nil {
			return Page{}, fmt.Errorf("audit: %w", err)
		}
		r.At = time.UnixMilli(at).UTC()
		page.Records = append(page.Records, r)
	}
	if err := rows.Err(); err != nil {
		return Page{}, fmt.Errorf("audit: %w", err)
	}
	if len(page.Records) > limit {
		page.Records = page.Records[:limit]
		last := page.Records[limit-1]
		page.Next = base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(last.At.UnixMilli(), 10) + " " + last.ID))
	}
	return page, nil
}

func (f Filter) sql(cursor string) (where string, args []any, err error) {
	var parts []string
	add := func(format string, values ...any) {
		names := make([]any, len(values))
		for i, v := range values {
			args = append(args, v)
			names[i] = "$" + strconv.Itoa(len(args))
		}
		parts = append(parts, fmt.Sprintf(format, names...))
	}
	for _, exact := range []struct{ column, value string }{{"who", f.Who}, {"object", f.Object}} {
		if exact.value != "" {
			add(exact.column+" = %s", sure(exact.value))
		}
	}
	switch {
	case strings.HasSuffix(f.Action, "."):
		add(`action LIKE %s ESCAPE '\'`, strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(sure(f.Action))+"%")
	case f.Action != "":
		add("action = %s", sure(f.Action))
	}
	switch f.Result {
	case "":
	case "refused":
		add("result <> %s", OK)
	default:
		add("result = %s", sure(f.Result))
	}
	if f.SignIns {
		parts = append(parts, signIns)
	}
	if !f.From.IsZero() {
		add("at >= %s", f.From.UnixMilli())
	}
	if !f.Until.IsZero() {
		add("at < %s", f.Until.UnixMilli())
	}
	if cursor != "" {
		at, id, ok := readCursor(cursor)
		if !ok {
			return "", nil, ErrCursor
		}
		add("(at < %s OR at = %s AND id < %s)", at, at, id)
	}
	if len(parts) == 0 {
		return "", nil, nil
	}
	return "WHERE " + strings.Join(parts, " AND "), args, nil
}

// sure replaces what PostgreSQL refuses as text by a character that no record has.
func sure(s string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", "\uFFFD"), "\uFFFD")
}

func readCursor(cursor string) (at int64, id string, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(raw) > 80 {
		return 0, "", false
	}
	number, id, _ := strings.Cut(string(raw), " ")
	at, err = strconv.ParseInt(number, 10, 64)
	return at, id, err == nil && uuid.Validate(id) == nil && len(id) == 36
}

// Count tells how many records there are, for tests and reports.
func Count(ctx context.Context, db *store.DB) (n int, err error) {
	err = db.QueryRow(ctx, `SELECT count(*) FROM audit_records`).Scan(&n)
	return n, err
}
