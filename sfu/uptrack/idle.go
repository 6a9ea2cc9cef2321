package uptrack

import (
	"sync/atomic"
	"time"
)

// How long packets are kept that nobody is likely to ask for any more.
const (
	keepSilent    = 5 * time.Second // the layer is muted, paused or at its end
	keepUnwatched = 3 * time.Second // it is a picture that nobody is sent
)

// keepFor is for how many calls of Tidy, and so seconds, packets are kept at least. Who
// still lacks one then has long asked for a key frame.
const keepFor = 4

// idle is a picture that comes and is not kept, for it has no subscribers.
type idle struct {
	on    atomic.Bool
	since time.Time // it has none; zero if it has. Of who calls Tidy
}

// Tidy gives back the memory of packets that nobody is likely to ask for any more. Its
// track's room calls it once a second.
func (l *Layer) Tidy(now time.Time) {
	if now.UnixNano()-l.arrival.Load() > int64(keepSilent) {
		l.ring.Clear()
	}
	oldest := &l.seconds[l.tidied%keepFor]
	if l.tidied >= keepFor {
		l.ring.Forget(*oldest)
	}
	*oldest = l.ring.Next()
	l.tidied++
	switch {
	case !l.video:
		// What was said is sent when the speaker is let through.
	case l.feed.Subscribers() > 0:
		l.idle.since = time.Time{}
	case l.idle.since.IsZero():
		l.idle.since = now
	case now.Sub(l.idle.since) > keepUnwatched && !l.idle.on.Swap(true):
		l.ring.Clear()
	}
}

// unwanted tells the reader that a packet need not be kept.
func (l *Layer) unwanted() bool {
	if !l.idle.on.Load() {
		return false
	}
	if l.feed.Subscribers() == 0 {
		return true
	}
	l.idle.on.Store(false)
	return false
}
