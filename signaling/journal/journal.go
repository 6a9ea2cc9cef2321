package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"diemcau/signaling/store"
)

var (
	// ErrFenced reports that a later writer has taken over the meeting. Nothing was
	// written; this writer will never write again.
	ErrFenced = errors.New("journal: another writer has taken over the meeting")
	// ErrDuplicate reports a command id that is in the journal already. The error is
	// a *DuplicateError. Nothing was written.
	ErrDuplicate = errors.New("journal: the command is in the journal already")
	// ErrHeld reports that somebody else holds the lease. The error is a *HeldError.
	ErrHeld = errors.New("journal: another process writes this meeting")
	// ErrUncertain reports that the entries may be in the journal or not: the
	// database or the heads file failed in the middle. The writer is of no more
	// use; Open again and read from the last entry that was acknowledged.
	ErrUncertain = errors.New("journal: it is not known whether the entries were written")
	// ErrTampered reports a chain that does not fit itself or its signed head.
	ErrTampered = errors.New("journal: the chain is damaged")
	// ErrClosed reports a journal that has been closed.
	ErrClosed = errors.New("journal: closed")
)

// DuplicateError carries the entry that has the command id already. It may have
// another body: then the client used one id for two commands.
type DuplicateError struct{ Entry Entry }

func (e *DuplicateError) Error() string {
	return fmt.Sprintf("%v: entry %d", ErrDuplicate, e.Entry.Seq)
}

// Unwrap makes errors.Is(err, ErrDuplicate) hold.
func (e *DuplicateError) Unwrap() error { return ErrDuplicate }

// HeldError says who holds a lease and until when, by the database's clock.
type HeldError struct {
	Owner string
	Until time.Time
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("%v: %q until %s", ErrHeld, e.Owner, e.Until.Format(time.RFC3339))
}

// Unwrap makes errors.Is(err, ErrHeld) hold.
func (e *HeldError) Unwrap() error { return ErrHeld }

// Options of a journal. The zero value is usable.
type Options struct {
	Lease time.Duration    // how long a lease lasts without Renew; 0 means 15 s
	Queue int              // appends that wait before Append blocks; 0 means 4096
	Now   func() time.Time // the clock of the entries; nil means time.Now
}

// Journal commits the appends of all meetings of one database.
type Journal struct {
	db    *store.DB
	heads *Heads
	lease time.Duration
	now   func() time.Time

	queue chan *request
	quit  chan struct{} // closed: take no more
	ended chan struct{} // closed: the committer has ended
	once  sync.Once
}

// Start begins to commit. Heads are signed into heads, which the caller closes
// after the journal; with nil none are signed.
func Start(db *store.DB, heads *Heads, o Options) *Journal {
	j := &Journal{
		db: db, heads: heads, lease: o.Lease, now: o.Now,
		quit: make(chan struct{}), ended: make(chan struct{}),
	}
	if j.lease <= 0 {
		j.lease = 15 * time.Second
	}
	if j.now == nil {
		j.now = time.Now
	}
	if o.Queue <= 0 {
		o.Queue = 4096
	}
	j.queue = make(chan *request, o.Queue)
	go j.commitLoop()
	return j
}

// Close commits what is queued and stops. Later appends fail with ErrClosed.
func (j *Journal) Close() {
	j.once.Do(func() { close(j.quit) })
	<-j.ended
}

// Open takes the lease of meeting for owner, a name of this process, and reads
// the tail of the chain. A lease of the same owner is taken over at once, so an
// owner's second Open ends its first writer. It fails with a *HeldError while
// somebody else holds the lease, and with ErrTampered when the chain does not end
// in, or go on from, its signed head.
func (j *Journal) Open(ctx context.Context, meeting, owner string) (*Writer, error) {
	if err := checkName("meeting", meeting); err != nil {
		return nil, err
	}
	if err := checkName("owner", owner); err != nil {
		return nil, err
	}
	w := &Writer{j: j, meeting: meeting, owner: owner}
	if err := j.db.Write(ctx, func(tx *sql.Tx) error { return w.take(ctx, tx) }); err != nil {
		return nil, err
	}
	if err := j.bindHead(ctx, w); err != nil {
		return nil, errors.Join(err, w.Release(ctx))
	}
	return w, nil
}

// bindHead holds the chain against the last head that was signed here. Entries
// behind that head, which a crash or another process left, are checked and signed.
func (j *Journal) bindHead(ctx context.Context, w *Writer) error {
	if j.heads == nil {
		return nil
	}
	head, ok := j.heads.Last(w.meeting)
	if !ok && w.tail.Seq == 0 {
		return nil
	}
	if w.tail.Seq < head.Seq {
		return fmt.Errorf("%w: meeting %q ends at entry %d and its signed head is %d", ErrTampered, w.meeting, w.tail.Seq, head.Seq)
	}
	last := Entry{}
	for e, err := range Read(ctx, j.db, w.meeting, max(head.Seq, 1)) {
		if err != nil {
			return err
		}
		if e.Seq == head.Seq && e.Hash != head.Hash {
			return fmt.Errorf("%w: entry %d of meeting %q is not the one that was signed", ErrTampered, e.Seq, w.meeting)
		}
		last = e
		if e.Seq == w.tail.Seq {
			break // what is behind it is a successor's
		}
	}
	if last.Seq != w.tail.Seq || last.Hash != w.tail.Hash {
		return fmt.Errorf("%w: meeting %q has no entry %d", ErrTampered, w.meeting, last.Seq+1)
	}
	if last.Seq == head.Seq {
		return nil
	}
	return j.heads.Append([]Head{{Meeting: w.meeting, Seq: last.Seq, Hash: last.Hash}})
}
