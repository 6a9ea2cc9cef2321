package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"diemcau/signaling/store"
)

// Writer appends to the chain of one meeting. Its methods may be called at the
// same time; appends of one goroutine are in the order of its calls.
type Writer struct {
	j       *Journal
	meeting string
	owner   string
	fence   uint64

	mu   sync.Mutex
	tail tail
	lost error // not nil: ErrFenced or ErrUncertain, for good
}

// tail is the end of a chain: the zero value is that of an empty one.
type tail struct {
	Seq  uint64
	Hash Hash
	At   int64 // Unix milliseconds
}

// Fence is the writer's fencing number.
func (w *Writer) Fence() uint64 { return w.fence }

// Tail is the sequence number and hash of the last entry, 0 and zeros when there
// is none.
func (w *Writer) Tail() (uint64, Hash) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tail.Seq, w.tail.Hash
}

func (w *Writer) snapshot() (tail, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tail, w.lost
}

func (w *Writer) advance(t tail) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tail = t
}

func (w *Writer) lose(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost == nil {
		w.lost = err
	}
}

// request is one Append on its way.
type request struct {
	w      *Writer
	drafts []Draft
	size   int // bytes of the bodies
	// state is given to the one who changes it first: the committer, or the caller
	// whose context has ended.
	state atomic.Int32
	done  chan result // has room for the one result
}

const (
	requestTaken     = 1
	requestWithdrawn = 2
)

type result struct {
	entries []Entry
	err     error
}

// Append adds the drafts, all or none, and returns their entries when they are on
// disk. With an error nothing was written, except that with ErrUncertain it is not
// known. A ctx that ends while the drafts wait in the queue withdraws them; once
// they are being committed the result is waited for.
func (w *Writer) Append(ctx context.Context, drafts ...Draft) ([]Entry, error) {
	drafts, err := checked(drafts)
	if err != nil {
		return nil, err
	}
	r := &request{w: w, drafts: drafts, done: make(chan result, 1)}
	for _, d := range drafts {
		r.size += len(d.Body)
	}
	select {
	case <-w.j.quit:
		return nil, ErrClosed
	default:
	}
	select {
	case w.j.queue <- r:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-w.j.quit:
		return nil, ErrClosed
	}
	select {
	case res := <-r.done:
		return res.entries, res.err
	case <-ctx.Done():
		if r.state.CompareAndSwap(0, requestWithdrawn) {
			return nil, ctx.Err()
		}
	case <-w.j.ended:
		if r.state.CompareAndSwap(0, requestWithdrawn) {
			return nil, ErrClosed
		}
	}
	res := <-r.done
	return res.entries, res.err
}

// clockSQL is the database's own clock in Unix milliseconds.
func clockSQL(d store.Dialect) string {
	if d == store.Postgres {
		return `CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)`
	}
	return `CAST(unixepoch('subsec') * 1000 AS INTEGER)`
}

// take makes w the newest writer of its meeting.
func (w *Writer) take(ctx context.Context, tx *sql.Tx) error {
	dialect := w.j.db.Dialect()
	var fence, until, now int64
	var owner string
	err := tx.QueryRowContext(ctx, `SELECT fence, owner, until, `+clockSQL(dialect)+` FROM journal_leases WHERE meeting = $1`, w.meeting).
		Scan(&fence, &owner, &until, &now)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		if err := tx.QueryRowContext(ctx, `SELECT `+clockSQL(dialect)).Scan(&now); err != nil {
			return err
		}
	case err != nil:
		return err
	case until > now && until <= now+w.j.lease.Milliseconds() && owner != w.owner:
		// One that lasts longer than a lease does was given before the clock was set
		// back. Whoever has it is fenced off, and loses nothing.
		return &HeldError{Owner: owner, Until: time.UnixMilli(until).UTC()}
	}
	w.tail = tail{}
	last, err := lastEntry(ctx, tx, w.meeting)
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return err
	case last.Sum() != last.Hash:
		return fmt.Errorf("%w: entry %d of meeting %q was changed", ErrTampered, last.Seq, w.meeting)
	default:
		w.tail = tail{Seq: last.Seq, Hash: last.Hash, At: last.At.UnixMilli()}
		fence = max(fence, int64(last.Fence)) // a lease may be lost, an entry not
	}
	w.fence = uint64(fence) + 1
	_, err = tx.ExecContext(ctx, `INSERT INTO journal_leases (meeting, fence, owner, until) VALUES ($1, $2, $3, $4)
		ON CONFLICT (meeting) DO UPDATE SET fence = excluded.fence, owner = excluded.owner, until = excluded.until`,
		w.meeting, fence+1, w.owner, now+w.j.lease.Milliseconds())
	return err
}

// Renew makes the lease last for its full time again. It fails with ErrFenced when
// another writer has taken over. A lease that has expired and that nobody took is
// renewed, too.
func (w *Writer) Renew(ctx context.Context) error {
	return w.setUntil(ctx, clockSQL(w.j.db.Dialect())+` + $3`, w.j.lease.Milliseconds())
}

// Release gives the lease back, so that another process may take over at once. The
// writer can go on until that happens; an owner appends no more before it calls
// Release.
func (w *Writer) Release(ctx context.Context) error {
	return w.setUntil(ctx, `$3`, 0)
}

func (w *Writer) setUntil(ctx context.Context, until string, arg int64) error {
	return w.j.db.Write(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE journal_leases SET until = `+until+` WHERE meeting = $1 AND fence = $2`, //nolint:gosec // G202: until is one of the two texts above
			w.meeting, int64(w.fence), arg)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err == nil && n == 0 {
			w.lose(ErrFenced)
			return ErrFenced
		}
		return err
	})
}
