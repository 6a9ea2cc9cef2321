package ballot

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

var (
	// ErrStale says that a later choice of the same ballot stands.
	ErrStale = errors.New("ballot: a later choice of this ballot has been recorded")
	// ErrConflict says that the same revision of the ballot came with another choice.
	ErrConflict = errors.New("ballot: this revision of the ballot has another choice")
	// ErrBusy says that too many casts wait already.
	ErrBusy = errors.New("ballot: too many casts are waiting")
	// ErrBatchClosed says that the vote takes no more casts.
	ErrBatchClosed = errors.New("ballot: no more casts are taken")
	// ErrCommit says that Commit answered for another number of casts than it got.
	ErrCommit = errors.New("ballot: the commit did not answer for every cast")
)

// Cast is a choice whose ballot was verified.
type Cast struct {
	ID        ID
	Signature []byte
	Choices   []string // sorted
	Revision  int
}

// Follows tells what becomes of a cast where one of the same ballot is recorded:
// true, it takes its place; false without an error, it is the same once more, and
// acknowledged as such; ErrStale, a later one stands; ErrConflict, two different
// choices claim to be the same revision. The voter's client counts revisions
// because an earlier choice may arrive after a later one: retries do that.
func (c Cast) Follows(recorded Cast) (bool, error) {
	switch {
	case c.Revision > recorded.Revision:
		return true, nil
	case c.Revision < recorded.Revision:
		return false, ErrStale
	case !slices.Equal(c.Choices, recorded.Choices):
		return false, ErrConflict
	}
	return false, nil
}

// Commit makes casts durable, sorted by ID, each ID once, all at the time at. A nil
// slice means that all are on disk; else there is one error or nil for each cast.
// The second error means that none is.
type Commit func(casts []Cast, at time.Time) ([]error, error)

// BatchConfig says when a batch is full. All fields are required.
type BatchConfig struct {
	// Max is the number of ballots at which a batch is committed without waiting on.
	Max int
	// Wait is how long the first cast of a batch waits for others at most.
	Wait time.Duration
	// Waiting is the number of callers of Add at one time; more get ErrBusy.
	Waiting int
	Commit  Commit
}

// Batch takes the order of arrival from casts: it holds them for a moment, sorts
// them by their IDs, which are hashes, and has them committed under one time. A
// batch of one hides nothing; docs/secret-votes.md says what else is done.
type Batch struct {
	config  BatchConfig
	in      chan entry
	stop    chan struct{}
	done    chan struct{}
	once    sync.Once
	waiting atomic.Int64
}

// entry is one caller of Add. Its channel has room for the one answer, so that a
// caller who left stops nobody.
type entry struct {
	cast   Cast
	answer chan error
}

// slot is what a batch holds of one ballot.
type slot struct {
	cast    Cast
	waiters []entry // those whose answer is that of cast
	stale   []entry // those whose choice made way for cast
}

// NewBatch starts a batch; Close ends it.
func NewBatch(config BatchConfig) (*Batch, error) {
	if config.Max < 1 || config.Wait <= 0 || config.Waiting < 1 || config.Commit == nil {
		return nil, errors.New("ballot: a batch needs Max, Wait, Waiting and Commit")
	}
	b := &Batch{
		config: config,
		in:     make(chan entry),
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
	}
	go b.collect()
	return b, nil
}

// Add hands in a verified cast and returns nil when it is committed. Other errors
// are those of Commit and Follows, ErrBusy and ErrBatchClosed: nothing was
// recorded. When ctx ends first, the cast may be recorded or not; handing it in
// again is safe.
func (b *Batch) Add(ctx context.Context, cast Cast) error {
	defer b.waiting.Add(-1)
	if b.waiting.Add(1) > int64(b.config.Waiting) {
		return ErrBusy
	}
	e := entry{cast: cast, answer: make(chan error, 1)}
	select {
	case b.in <- e:
	case <-b.stop:
		return ErrBatchClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-e.answer:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close commits what is held and returns when every caller of Add has his answer.
// It comes before the vote's end is recorded.
func (b *Batch) Close() {
	b.once.Do(func() { close(b.stop) })
	<-b.done
}

// collect owns the casts that are held. While Commit works it takes no further
// ones: their callers wait, at most Waiting of them.
func (b *Batch) collect() {
	defer close(b.done)
	for {
		select {
		case first := <-b.in:
			b.commit(b.gather(first))
		case <-b.stop:
			return
		}
	}
}

// crowd is how many casts of one batch's ballots are taken for each ballot it has room for.
const crowd = 16

// gather waits until the batch is full, its time is up or Close was called. It is
// full of ballots, not of casts: one voter who sends the same again and again would
// else have batches of one made of the others' choices.
func (b *Batch) gather(first entry) map[ID]*slot {
	held := map[ID]*slot{}
	place(held, first)
	deadline := time.NewTimer(b.config.Wait)
	defer deadline.Stop()
	for n := 1; len(held) < b.config.Max && n < crowd*b.config.Max; n++ {
		select {
		case e := <-b.in:
			place(held, e)
		case <-deadline.C:
			return held
		case <-b.stop:
			return held
		}
	}
	return held
}

// place puts an entry where its answer will come from. An impossible one is
// answered at once: nothing of it will be recorded.
func place(held map[ID]*slot, e entry) {
	s := held[e.cast.ID]
	if s == nil {
		held[e.cast.ID] = &slot{cast: e.cast, waiters: []entry{e}}
		return
	}
	later, err := e.cast.Follows(s.cast)
	switch {
	case errors.Is(err, ErrStale):
		s.stale = append(s.stale, e)
	case err != nil:
		e.answer <- err
	case later:
		s.stale = append(s.stale, s.waiters...)
		s.cast, s.waiters = e.cast, []entry{e}
	default:
		s.waiters = append(s.waiters, e)
	}
}

func (b *Batch) commit(held map[ID]*slot) {
	casts := make([]Cast, 0, len(held))
	for _, s := range held {
		casts = append(casts, s.cast)
	}
	slices.SortFunc(casts, func(x, y Cast) int { return bytes.Compare(x.ID[:], y.ID[:]) })
	ids := make([]ID, len(casts)) // Commit may keep and change its slice
	for i, c := range casts {
		ids[i] = c.ID
	}
	results, err := b.config.Commit(casts, time.Now().UTC().Truncate(time.Millisecond))
	if err == nil && results != nil && len(results) != len(ids) {
		err = ErrCommit
	}
	for i, id := range ids {
		answer := err
		if err == nil && results != nil {
			answer = results[i]
		}
		held[id].tell(answer)
	}
}

// tell answers everybody who waits for a ballot. A choice that made way is stale
// only if the one that replaced it was recorded.
func (s *slot) tell(err error) {
	for _, e := range s.waiters {
		e.answer <- err
	}
	if err == nil {
		err = ErrStale
	}
	for _, e := range s.stale {
		e.answer <- err
	}
}
