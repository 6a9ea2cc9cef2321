package conference

import (
	"sync"
	"time"
)

// maxKept bounds how many keys a limiter remembers.
const maxKept = 20000

// limiter lets each key through at a rate, with some more at once.
type limiter struct {
	rate  float64 // per second
	burst float64
	now   func() time.Time

	mu      sync.Mutex
	buckets map[string]bucket // guarded by mu
}

type bucket struct {
	left float64
	at   time.Time
}

func newLimiter(rate, burst float64, now func() time.Time) *limiter {
	return &limiter{rate: rate, burst: burst, now: now, buckets: make(map[string]bucket)}
}

// allow takes one for key, or says no.
func (l *limiter) allow(key string) bool {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.buckets[key]
	if !ok {
		if len(l.buckets) >= maxKept {
			l.sweep(now)
		}
		b = bucket{l.burst, now}
	}
	if d := now.Sub(b.at).Seconds(); d > 0 {
		b.left = min(l.burst, b.left+d*l.rate)
	}
	b.at = now
	allowed := b.left >= 1
	if allowed {
		b.left--
	}
	l.buckets[key] = b
	return allowed
}

// sweep forgets the buckets that are full again; when all are in use, all of them:
// that is kinder than refusing whoever comes next.
func (l *limiter) sweep(now time.Time) {
	for key, b := range l.buckets {
		if b.left+now.Sub(b.at).Seconds()*l.rate >= l.burst {
			delete(l.buckets, key)
		}
	}
	if len(l.buckets) >= maxKept {
		clear(l.buckets)
	}
}
