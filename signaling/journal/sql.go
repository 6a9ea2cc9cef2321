package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"diemcau/signaling/store"
)

const entryColumns = `meeting, seq, fence, at, command, author, body, prev, hash`

// statements are those of one group commit. SQLite is in this process, so a
// prepared statement for each row is quickest; PostgreSQL is a round trip away, so
// there one statement takes arrays of any length.
type statements struct {
	ctx      context.Context //nolint:containedctx // lives for one transaction
	tx       *sql.Tx
	postgres bool
	fence    *sql.Stmt // the rest is SQLite's
	command  *sql.Stmt
	add      *sql.Stmt
}

func openStatements(ctx context.Context, tx *sql.Tx, d store.Dialect) (*statements, error) {
	s := &statements{ctx: ctx, tx: tx, postgres: d == store.Postgres}
	if s.postgres {
		return s, nil
	}
	for _, p := range []struct {
		to    **sql.Stmt
		query string
	}{
		{&s.fence, `SELECT fence FROM journal_leases WHERE meeting = ?`},
		{&s.command, `SELECT ` + entryColumns + ` FROM journal_entries WHERE meeting = ? AND command = ? AND author = ?`},
		{&s.add, `INSERT INTO journal_entries (` + entryColumns + `) VALUES (?, ?, ?, ?, NULLIF(?, ''), ?, ?, ?, ?)`},
	} {
		stmt, err := tx.PrepareContext(ctx, p.query)
		if err != nil {
			s.close()
			return nil, err
		}
		*p.to = stmt
	}
	return s, nil
}

func (s *statements) close() {
	for _, stmt := range []*sql.Stmt{s.fence, s.command, s.add} {
		if stmt != nil {
			_ = stmt.Close() // the transaction's end closes it, too
		}
	}
}

// fences reads the newest fence of each meeting and keeps it from changing until
// the transaction ends.
func (s *statements) fences(meetings []string) (map[string]uint64, error) {
	found := make(map[string]uint64, len(meetings))
	if !s.postgres {
		for _, m := range meetings {
			var fence int64
			err := s.fence.QueryRowContext(s.ctx, m).Scan(&fence)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return nil, err
			}
			found[m] = uint64(fence)
		}
		return found, nil
	}
	rows, err := s.tx.QueryContext(s.ctx, `SELECT meeting, fence FROM journal_leases WHERE meeting = ANY($1::text[]) FOR SHARE`, meetings)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var m string
		var fence int64
		if err := rows.Scan(&m, &fence); err != nil {
			return nil, err
		}
		found[m] = uint64(fence)
	}
	return found, rows.Err()
}

// commands finds the entries that have one of the ids.
func (s *statements) commands(ids []commandID) (map[commandID]Entry, error) {
	found := make(map[commandID]Entry)
	if len(ids) == 0 {
		return found, nil
	}
	if !s.postgres {
		for _, id := range ids {
			e, err := scanEntry(s.command.QueryRowContext(s.ctx, id.meeting, id.command, id.author))
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return nil, err
			}
			found[id] = e
		}
		return found, nil
	}
	meetings, commands, authors := make([]string, len(ids)), make([]string, len(ids)), make([]string, len(ids))
	for i, id := range ids {
		meetings[i], commands[i], authors[i] = id.meeting, id.command, id.author
	}
	rows, err := s.tx.QueryContext(s.ctx, `SELECT e.meeting, e.seq, e.fence, e.at, e.command, e.author, e.body, e.prev, e.hash
		FROM unnest($1::text[], $2::text[], $3::text[]) AS want (meeting, command, author)
		JOIN journal_entries e ON e.meeting = want.meeting AND e.command = want.command AND e.author = want.author`,
		meetings, commands, authors)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		e, err := scanEntry(rows)
		if err != nil {
			return nil, err
		}
		found[commandID{e.Meeting, e.Command, e.Author}] = e
	}
	return found, rows.Err()
}

// insert adds the entries.
func (s *statements) insert(entries []Entry) error {
	if len(entries) == 0 {
		return nil
	}
	if !s.postgres {
		for i := range entries {
			e := &entries[i]
			if _, err := s.add.ExecContext(s.ctx, e.Meeting, int64(e.Seq), int64(e.Fence), e.At.UnixMilli(),
				e.Command, e.Author, e.Body, e.Prev[:], e.Hash[:]); err != nil {
				return err
			}
		}
		return nil
	}
	n := len(entries)
	meetings, commands, authors := make([]string, n), make([]string, n), make([]string, n)
	seqs, fences, ats := make([]int64, n), make([]int64, n), make([]int64, n)
	bodies, prevs, hashes := make([][]byte, n), make([][]byte, n), make([][]byte, n)
	for i := range entries {
		e := &entries[i]
		meetings[i], commands[i], authors[i] = e.Meeting, e.Command, e.Author
		seqs[i], fences[i], ats[i] = int64(e.Seq), int64(e.Fence), e.At.UnixMilli()
		bodies[i], prevs[i], hashes[i] = e.Body, e.Prev[:], e.Hash[:]
	}
	_, err := s.tx.ExecContext(s.ctx, `INSERT INTO journal_entries (`+entryColumns+`)
		SELECT m, s, f, t, NULLIF(c, ''), a, b, p, h
		FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bytea[], $8::bytea[], $9::bytea[])
			AS row (m, s, f, t, c, a, b, p, h)`,
		meetings, seqs, fences, ats, commands, authors, bodies, prevs, hashes)
	return err
}

// lastEntry reads the end of a chain. It fails with sql.ErrNoRows when there is
// none.
func lastEntry(ctx context.Context, tx *sql.Tx, meeting string) (Entry, error) {
	return scanEntry(tx.QueryRowContext(ctx,
		`SELECT `+entryColumns+` FROM journal_entries WHERE meeting = $1 ORDER BY seq DESC LIMIT 1`, meeting))
}

// scanEntry reads a row of entryColumns.
func scanEntry(row interface{ Scan(...any) error }) (Entry, error) {
	var e Entry
	var seq, fence, at int64
	var command sql.NullString
	var prev, hash []byte
	if err := row.Scan(&e.Meeting, &seq, &fence, &at, &command, &e.Author, &e.Body, &prev, &hash); err != nil {
		return Entry{}, err
	}
	if len(prev) != len(e.Prev) || len(hash) != len(e.Hash) {
		return Entry{}, fmt.Errorf("%w: entry %d has a hash of the wrong length", ErrTampered, seq)
	}
	e.Seq, e.Fence, e.At, e.Command = uint64(seq), uint64(fence), time.UnixMilli(at).UTC(), command.String
	copy(e.Prev[:], prev)
	copy(e.Hash[:], hash)
	return e, nil
}
