package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"

	"diemcau/signaling/store"
)

// readPage is how many entries are read at a time, so that a slow consumer keeps
// no connection.
const readPage = 64

// Read yields the entries of a meeting from sequence number from (0 and 1 mean the
// first) to the last that is there at the end. Each is checked against its hash
// and the one before; the iteration ends with an error, ErrTampered when an entry
// is damaged or missing.
func Read(ctx context.Context, db *store.DB, meeting string, from uint64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		next := max(from, 1)
		var last *Hash
		if next == 1 {
			last = &Hash{}
		}
		for {
			page, err := readEntries(ctx, db, meeting, next)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for i := range page {
				e := page[i]
				if e.Seq != next || e.Sum() != e.Hash || (last != nil && e.Prev != *last) {
					yield(Entry{}, fmt.Errorf("%w: at entry %d of meeting %q", ErrTampered, next, meeting))
					return
				}
				if !yield(e, nil) {
					return
				}
				last = &page[i].Hash
				next++
			}
			if len(page) < readPage {
				return
			}
		}
	}
}

// Exists tells whether a meeting has any entry.
func Exists(ctx context.Context, db *store.DB, meeting string) (bool, error) {
	var one int
	err := db.QueryRow(ctx, `SELECT 1 FROM journal_entries WHERE meeting = $1 LIMIT 1`, meeting).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

func readEntries(ctx context.Context, db *store.DB, meeting string, from uint64) ([]Entry, error) {
	rows, err := db.Query(ctx, `SELECT `+entryColumns+` FROM journal_entries WHERE meeting = $1 AND seq >= $2 ORDER BY seq LIMIT $3`,
		meeting, int64(min(from, 1<<62)), readPage)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	page := make([]Entry, 0, readPage)
	for rows.Next() {
		e, err := scanEntry(rows)
		if err != nil {
			return nil, err
		}
		page = append(page, e)
	}
	return page, rows.Err()
}
