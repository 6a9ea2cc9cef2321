package ballot

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func castOf(id byte, revision int, choice string) Cast {
	return Cast{ID: ID{id}, Choices: []string{choice}, Revision: revision}
}

// recorder is a Commit that keeps what it was given.
type recorder struct {
	mu      sync.Mutex
	batches [][]Cast
	times   []time.Time
	answer  func([]Cast) ([]error, error)
}

func (r *recorder) commit(casts []Cast, at time.Time) ([]error, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batches = append(r.batches, slices.Clone(casts))
	r.times = append(r.times, at)
	if r.answer == nil {
		return nil, nil
	}
	results, err := r.answer(casts)
	clear(casts) // the slice is Commit's own
	return results, err
}

// seen is what has been committed so far.
func (r *recorder) seen() [][]Cast {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.batches)
}

func newBatch(t *testing.T, limit int, commit Commit) *Batch {
	t.Helper()
	b, err := NewBatch(BatchConfig{Max: limit, Wait: 500 * time.Millisecond, Waiting: 100, Commit: commit})
	require.NoError(t, err)
	t.Cleanup(b.Close)
	return b
}

// add hands in and gives the answer later.
func add(ctx context.Context, b *Batch, cast Cast) <-chan error {
	answer := make(chan error, 1)
	go func() { answer <- b.Add(ctx, cast) }()
	synctest.Wait()
	return answer
}

func waits(t *testing.T, answers ...<-chan error) {
	t.Helper()
	synctest.Wait()
	for i, a := range answers {
		require.Empty(t, a, i)
	}
}

func TestBatchLosesTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		b := newBatch(t, 50, r.commit)
		start := time.Now()
		var answers []<-chan error
		for _, id := range rand.Perm(20) {
			answers = append(answers, add(t.Context(), b, castOf(byte(id), 1, "agree")))
			time.Sleep(10 * time.Millisecond)
		}
		waits(t, answers...)
		require.Empty(t, r.seen())
		time.Sleep(300 * time.Millisecond)
		for _, a := range answers {
			require.NoError(t, <-a)
		}
		require.Equal(t, 500*time.Millisecond, time.Since(start), "the first waits for half a second, no longer")
		require.Len(t, r.seen(), 1)
		for i, c := range r.seen()[0] {
			require.Equal(t, ID{byte(i)}, c.ID)
		}
		require.Equal(t, start.Add(500*time.Millisecond).UTC(), r.times[0], "one time for all")
	})
}

func TestBatchFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		b := newBatch(t, 3, r.commit)
		start := time.Now()
		answers := []<-chan error{
			add(t.Context(), b, castOf(3, 1, "agree")), add(t.Context(), b, castOf(1, 1, "agree")), add(t.Context(), b, castOf(2, 1, "agree")),
		}
		for _, a := range answers {
			require.NoError(t, <-a)
		}
		require.Zero(t, time.Since(start))
		require.Len(t, r.seen(), 1)
	})
}

// One voter who sends the same again and again makes no batches of one of the others.
func TestBatchIsFullOfBallots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		b := newBatch(t, 3, r.commit)
		start := time.Now()
		var answers []<-chan error
		for range 10 {
			answers = append(answers, add(t.Context(), b, castOf(1, 1, "agree")))
		}
		waits(t, answers...)
		answers = append(answers, add(t.Context(), b, castOf(2, 1, "disagree")))
		for _, a := range answers {
			require.NoError(t, <-a)
		}
		require.Equal(t, 500*time.Millisecond, time.Since(start))
		require.Equal(t, [][]Cast{{castOf(1, 1, "agree"), castOf(2, 1, "disagree")}}, r.seen())
	})
	// What one batch takes is bounded all the same.
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		b := newBatch(t, 2, r.commit)
		start := time.Now()
		var answers []<-chan error
		for range crowd * 2 {
			answers = append(answers, add(t.Context(), b, castOf(1, 1, "agree")))
		}
		for _, a := range answers {
			require.NoError(t, <-a)
		}
		require.Zero(t, time.Since(start))
	})
}

// Nobody is told that his choice counts before it is on disk.
func TestBatchAcknowledgesAfterCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		onDisk := make(chan struct{})
		var commits atomic.Int32
		b := newBatch(t, 2, func([]Cast, time.Time) ([]error, error) {
			commits.Add(1)
			<-onDisk
			return nil, nil
		})
		first := add(t.Context(), b, castOf(1, 1, "agree"))
		second := add(t.Context(), b, castOf(2, 1, "agree"))
		third := add(t.Context(), b, castOf(3, 1, "agree"))
		time.Sleep(time.Hour)
		waits(t, first, second, third)
		require.EqualValues(t, 1, commits.Load(), "one batch at a time")
		onDisk <- struct{}{}
		require.NoError(t, <-first)
		require.NoError(t, <-second)
		waits(t, third)
		close(onDisk)
		require.NoError(t, <-third)
	})
}

func TestBatchFails(t *testing.T) {
	full, over := errors.New("disk full"), errors.New("vote over")
	tests := []struct {
		name   string
		answer func([]Cast) ([]error, error)
		want   []error
	}{
		{"all", func([]Cast) ([]error, error) { return nil, full }, []error{full, full, full}},
		{"one", func([]Cast) ([]error, error) { return []error{nil, over, nil}, nil }, []error{nil, over, nil}},
		{"too few answers", func([]Cast) ([]error, error) { return []error{nil}, nil }, []error{ErrCommit, ErrCommit, ErrCommit}},
		{"no answers", func([]Cast) ([]error, error) { return []error{}, nil }, []error{ErrCommit, ErrCommit, ErrCommit}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{answer: tt.answer}
				b := newBatch(t, 3, r.commit)
				var answers []<-chan error
				for id := range 3 {
					answers = append(answers, add(t.Context(), b, castOf(byte(id), 1, "agree")))
				}
				for i, a := range answers {
					require.Equal(t, tt.want[i], <-a)
				}
				r.mu.Lock()
				r.answer = nil
				r.mu.Unlock()
				require.NoError(t, b.Add(t.Context(), castOf(9, 1, "agree")), "the next batch is taken")
			})
		})
	}
}

func TestBatchOneBallotTwice(t *testing.T) {
	tests := []struct {
		name   string
		casts  []Cast
		want   []error
		stands Cast
	}{
		{"changed", []Cast{castOf(1, 1, "agree"), castOf(1, 2, "disagree")}, []error{ErrStale, nil}, castOf(1, 2, "disagree")},
		{"overtaken", []Cast{castOf(1, 2, "disagree"), castOf(1, 1, "agree")}, []error{nil, ErrStale}, castOf(1, 2, "disagree")},
		{"sent twice", []Cast{castOf(1, 1, "agree"), castOf(1, 1, "agree")}, []error{nil, nil}, castOf(1, 1, "agree")},
		{"contradicting", []Cast{castOf(1, 1, "agree"), castOf(1, 1, "disagree")}, []error{nil, ErrConflict}, castOf(1, 1, "agree")},
		{
			"changed twice, an old one again", []Cast{castOf(1, 1, "agree"), castOf(1, 2, "disagree"), castOf(1, 1, "agree"), castOf(1, 3, "other")},
			[]error{ErrStale, ErrStale, ErrStale, nil}, castOf(1, 3, "other"),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{}
				b := newBatch(t, 10, r.commit)
				var answers []<-chan error
				for _, c := range tt.casts {
					answers = append(answers, add(t.Context(), b, c))
				}
				for i, a := range answers {
					require.Equal(t, tt.want[i], <-a, i)
				}
				require.Equal(t, [][]Cast{{tt.stands}}, r.seen())
			})
		})
	}
}

// A choice that made way for one that was not recorded is not called outdated.
func TestBatchReplacedThenFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("disk full")
		r := &recorder{answer: func([]Cast) ([]error, error) { return nil, full }}
		b := newBatch(t, 10, r.commit)
		first := add(t.Context(), b, castOf(1, 1, "agree"))
		second := add(t.Context(), b, castOf(1, 2, "disagree"))
		require.ErrorIs(t, <-first, full)
		require.ErrorIs(t, <-second, full)
	})
}

func TestBatchClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		b := newBatch(t, 10, r.commit)
		start := time.Now()
		held := add(t.Context(), b, castOf(1, 1, "agree"))
		b.Close()
		b.Close()
		require.Zero(t, time.Since(start), "the end of a vote does not wait for a batch to fill")
		synctest.Wait()
		require.Len(t, held, 1, "answered when Close returns")
		require.NoError(t, <-held)
		require.Len(t, r.seen(), 1)
		require.ErrorIs(t, b.Add(t.Context(), castOf(2, 1, "agree")), ErrBatchClosed)
		require.Len(t, r.seen(), 1)
	})
}

// Close while a commit works: who waits behind it is told that it is too late.
func TestBatchCloseBehindCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		onDisk := make(chan struct{})
		b := newBatch(t, 1, func([]Cast, time.Time) ([]error, error) { <-onDisk; return nil, nil })
		first := add(t.Context(), b, castOf(1, 1, "agree"))
		behind := add(t.Context(), b, castOf(2, 1, "agree"))
		closed := make(chan struct{})
		go func() { b.Close(); close(closed) }()
		require.ErrorIs(t, <-behind, ErrBatchClosed)
		waits(t, first)
		close(onDisk)
		require.NoError(t, <-first)
		<-closed
	})
}

func TestBatchLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		b, err := NewBatch(BatchConfig{Max: 10, Wait: time.Second, Waiting: 2, Commit: r.commit})
		require.NoError(t, err)
		defer b.Close()
		ctx, cancel := context.WithCancel(t.Context())
		first := add(ctx, b, castOf(1, 1, "agree"))
		second := add(t.Context(), b, castOf(2, 1, "agree"))
		require.ErrorIs(t, b.Add(t.Context(), castOf(3, 1, "agree")), ErrBusy)
		cancel()
		require.ErrorIs(t, <-first, context.Canceled, "who leaves waits no longer")
		third := add(t.Context(), b, castOf(3, 1, "agree"))
		require.NoError(t, <-second)
		require.NoError(t, <-third, "and makes room")
		require.Len(t, r.seen()[0], 3, "but his choice was handed in")
	})
	for _, bad := range []BatchConfig{{}, {Max: 1, Wait: 1, Waiting: 1}, {Max: 1, Waiting: 1, Commit: (&recorder{}).commit}} {
		_, err := NewBatch(bad)
		require.Error(t, err)
	}
}

// 2,000 ballots, each sent twice and half of them changed, by as many callers at
// once: every one is recorded once per revision and the last revision stands.
func TestBatchMany(t *testing.T) {
	const ballots = 2000
	var mu sync.Mutex
	state := map[ID]Cast{}
	b, err := NewBatch(BatchConfig{Max: 256, Wait: time.Millisecond, Waiting: 2 * ballots, Commit: func(casts []Cast, _ time.Time) ([]error, error) {
		mu.Lock()
		defer mu.Unlock()
		results := make([]error, len(casts))
		for i, c := range casts {
			old, known := state[c.ID]
			if !known {
				state[c.ID] = c
				continue
			}
			later, err := c.Follows(old)
			if results[i] = err; later {
				state[c.ID] = c
			}
		}
		return results, nil
	}})
	require.NoError(t, err)
	var callers sync.WaitGroup
	var wrong atomic.Value
	for n := range ballots {
		id := ID{byte(n), byte(n >> 8)}
		callers.Go(func() {
			if err := b.Add(t.Context(), Cast{ID: id, Choices: []string{"agree"}, Revision: 1}); err != nil && !errors.Is(err, ErrStale) {
				wrong.Store(err)
			}
		})
		callers.Go(func() {
			last := Cast{ID: id, Choices: []string{"agree"}, Revision: 1}
			if n%2 == 0 {
				last = Cast{ID: id, Choices: []string{"disagree"}, Revision: 2}
			}
			if err := b.Add(t.Context(), last); err != nil {
				wrong.Store(fmt.Errorf("ballot %d: %w", n, err))
			}
		})
	}
	callers.Wait()
	b.Close()
	require.Nil(t, wrong.Load())
	tally := map[string]int{}
	for _, c := range state {
		tally[c.Choices[0]]++
	}
	require.Equal(t, map[string]int{"agree": ballots / 2, "disagree": ballots / 2}, tally)
}
