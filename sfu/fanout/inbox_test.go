package fanout

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWhatIsToldIsHeardInOrder(t *testing.T) {
	p := New(1, nil, slog.New(slog.DiscardHandler))
	defer p.Close()
	w := p.Worker()
	lines := []*counter{{}, {}}
	var want [2][]string
	for i := range 1000 {
		msg := fmt.Appendf(nil, "%d%s", i, strings.Repeat("x", i%90))
		require.True(t, w.Tell(lines[i%2], msg, time.Now()))
		want[i%2] = append(want[i%2], string(msg))
		clear(msg) // it is the caller's
	}
	for i, l := range lines {
		require.Eventually(t, func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return len(l.told) == len(want[i])
		}, 5*time.Second, time.Millisecond)
		require.Equal(t, want[i], l.told)
	}
}

func TestWhatIsToldIsBounded(t *testing.T) {
	p := New(1, nil, slog.New(slog.DiscardHandler))
	defer p.Close()
	w, line := p.Worker(), &counter{}
	held, release := make(chan struct{}), make(chan struct{})
	w.Do(func() { close(held); <-release })
	<-held
	msg := make([]byte, 1000)
	n := 0
	for w.Tell(line, msg, time.Now()) {
		n++
		require.Less(t, n, 2*maxInbox/len(msg))
	}
	require.Greater(t, n, maxInbox/len(msg)/2)
	close(release)
	require.Eventually(t, func() bool { return w.Tell(line, msg, time.Now()) }, 5*time.Second, time.Millisecond)
	require.Eventually(t, func() bool {
		line.mu.Lock()
		defer line.mu.Unlock()
		return len(line.told) == n+1
	}, 5*time.Second, time.Millisecond)
}

func TestTellingDoesNotAllocate(t *testing.T) {
	p := New(1, nil, slog.New(slog.DiscardHandler))
	p.Close() // no worker hears
	w, line, msg, now := p.Worker(), &quiet{}, make([]byte, 60), time.Now()
	round := func() {
		for range 100 {
			w.Tell(line, msg, now)
		}
		w.hear()
	}
	round()
	round() // two buffers take turns
	require.Zero(t, testing.AllocsPerRun(100, round))
	require.Equal(t, 103, line.heard/100)
}

// quiet is a line that counts what it is told.
type quiet struct{ heard int }

func (*quiet) Tick(time.Time)           {}
func (*quiet) Pace(time.Time) bool      { return false }
func (q *quiet) Told([]byte, time.Time) { q.heard++ }
