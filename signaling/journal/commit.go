package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Bounds of one group commit.
const (
	maxBatchRequests = 1024
	maxBatchBytes    = 8 << 20
	commitTimeout    = 30 * time.Second
)

// commitLoop is the committer: it gathers what is queued and commits it, until the
// journal is closed and the queue is empty.
func (j *Journal) commitLoop() {
	defer close(j.ended)
	for {
		var first *request
		select {
		case first = <-j.queue:
		default:
			select {
			case first = <-j.queue:
			case <-j.quit:
				select {
				case first = <-j.queue:
				default:
					return
				}
			}
		}
		if batch := j.gather(first); len(batch) > 0 {
			j.commit(batch)
		}
	}
}

// gather takes what waits behind first, without waiting itself: while one batch is
// being committed the next one collects in the queue.
func (j *Journal) gather(first *request) []*request {
	var batch []*request
	bytes := 0
	for r := first; ; {
		if r.state.CompareAndSwap(0, requestTaken) {
			batch = append(batch, r)
			bytes += r.size
		}
		if len(batch) >= maxBatchRequests || bytes >= maxBatchBytes {
			return batch
		}
		select {
		case r = <-j.queue:
		default:
			return batch
		}
	}
}

// commit writes a batch and answers its requests. When a statement fails, each
// meeting is tried alone, so that one does not fail the others. When the database
// does not answer at all, that would only multiply the wait.
func (j *Journal) commit(batch []*request) {
	results, tails, err := j.write(batch)
	if err == nil {
		j.acknowledge(batch, results, tails)
		return
	}
	var order []*Writer
	parts := make(map[*Writer][]*request)
	for _, r := range batch {
		if parts[r.w] == nil {
			order = append(order, r.w)
		}
		parts[r.w] = append(parts[r.w], r)
	}
	if len(order) == 1 || !errors.Is(err, errStatement) {
		fail(batch, err)
		return
	}
	for _, w := range order {
		part := parts[w]
		results, tails, err := j.write(part)
		if err != nil {
			fail(part, err)
			continue
		}
		j.acknowledge(part, results, tails)
	}
}

// fail answers all requests with err.
func fail(batch []*request, err error) {
	for _, r := range batch {
		if errors.Is(err, ErrUncertain) {
			r.w.lose(ErrUncertain)
		}
		r.done <- result{err: err}
	}
}

// errStatement marks the error of a transaction that the database refused.
var errStatement = errors.New("journal: not written")

// write runs the transaction of a batch. An error that is not ErrUncertain means
// that nothing was written.
func (j *Journal) write(batch []*request) ([]result, map[*Writer]tail, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	var p *plan
	begun, inserted := false, false
	err := j.db.Write(ctx, func(tx *sql.Tx) error {
		begun, inserted = true, false
		s, err := openStatements(ctx, tx, j.db.Dialect())
		if err != nil {
			return err
		}
		defer s.close()
		if p, err = j.plan(s, batch); err != nil {
			return err
		}
		if err := s.insert(p.entries); err != nil {
			return err
		}
		inserted = true
		return nil
	})
	switch {
	case err == nil:
	case inserted: // the COMMIT failed, and may have arrived all the same
		return nil, nil, fmt.Errorf("%w: %w", ErrUncertain, err)
	case begun && ctx.Err() == nil:
		return nil, nil, fmt.Errorf("%w: %w", errStatement, err)
	default:
		return nil, nil, fmt.Errorf("journal: %w", err)
	}
	return p.results, p.tails, nil
}

// acknowledge signs the heads of what was committed, and only then answers.
func (j *Journal) acknowledge(batch []*request, results []result, tails map[*Writer]tail) {
	if j.heads != nil && len(tails) > 0 {
		heads := make([]Head, 0, len(tails))
		for w, t := range tails {
			heads = append(heads, Head{Meeting: w.meeting, Seq: t.Seq, Hash: t.Hash})
		}
		if err := j.heads.Append(heads); err != nil {
			fail(batch, fmt.Errorf("%w: signing the head: %w", ErrUncertain, err))
			return
		}
	}
	for w, t := range tails {
		w.advance(t)
	}
	for i, r := range batch {
		if errors.Is(results[i].err, ErrFenced) {
			r.w.lose(ErrFenced)
		}
		r.done <- results[i]
	}
}

// plan is what a batch becomes.
type plan struct {
	results []result         // of each request
	entries []Entry          // to insert
	tails   map[*Writer]tail // of the writers that add entries
}

// commandID is what makes a command one.
type commandID struct{ meeting, command, author string }

// plan numbers and hashes the entries of a batch, after it has looked for writers
// that are fenced off and commands that are there already.
func (j *Journal) plan(s *statements, batch []*request) (*plan, error) {
	var meetings []string
	var ids []commandID
	seen := make(map[string]bool)
	for _, r := range batch {
		if !seen[r.w.meeting] {
			seen[r.w.meeting] = true
			meetings = append(meetings, r.w.meeting)
		}
		for _, d := range r.drafts {
			if d.Command != "" {
				ids = append(ids, commandID{r.w.meeting, d.Command, d.Author})
			}
		}
	}
	fences, err := s.fences(meetings)
	if err != nil {
		return nil, err
	}
	there, err := s.commands(ids)
	if err != nil {
		return nil, err
	}
	p := &plan{results: make([]result, len(batch)), tails: make(map[*Writer]tail)}
	now := j.now().UnixMilli()
	for i, r := range batch {
		p.results[i] = p.add(r, fences[r.w.meeting], there, now)
	}
	return p, nil
}

// add plans one request.
func (p *plan) add(r *request, fence uint64, there map[commandID]Entry, now int64) result {
	t, lost := r.w.snapshot()
	if lost != nil {
		return result{err: lost}
	}
	if fence != r.w.fence {
		return result{err: ErrFenced}
	}
	for _, d := range r.drafts {
		if e, ok := there[commandID{r.w.meeting, d.Command, d.Author}]; ok && d.Command != "" {
			return result{err: &DuplicateError{Entry: e}}
		}
	}
	if planned, ok := p.tails[r.w]; ok {
		t = planned
	}
	first := len(p.entries)
	for _, d := range r.drafts {
		t.Seq++
		t.At = max(t.At, now) // a clock that was set back does not turn the meeting back
		e := Entry{
			Meeting: r.w.meeting, Seq: t.Seq, Fence: r.w.fence, At: time.UnixMilli(t.At).UTC(),
			Command: d.Command, Author: d.Author, Body: d.Body, Prev: t.Hash,
		}
		e.Hash = e.Sum()
		t.Hash = e.Hash
		p.entries = append(p.entries, e)
		if d.Command != "" {
			there[commandID{r.w.meeting, d.Command, d.Author}] = e
		}
	}
	p.tails[r.w] = t
	return result{entries: append([]Entry(nil), p.entries[first:]...)}
}
