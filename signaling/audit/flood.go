package audit

import (
	"fmt"
	"sync"
	"time"
)

// What nobody in particular may leave of lines of their own: so many at once and so
// many a second after that, from one address and from all. It is far more than people
// at their screens come to, and far less than fills a disk.
const (
	floodBurst, floodRate       = 300, 1
	floodAllBurst, floodAllRate = 5000, 20
	maxFlooding                 = 4096        // addresses; the rest share one
	floodEvery                  = time.Minute // how often what was left out is told
)

// flood counts, in place of a line each, the records of clients that nobody has
// signed in at, where there are too many: anybody can have such lines written, and a
// full disk ends every meeting.
type flood struct {
	now func() time.Time

	mu  sync.Mutex
	all tally             // guarded by mu
	by  map[string]*tally // guarded by mu: by address
}

// tally is a token bucket, and what found it empty.
type tally struct {
	tokens float64
	at     time.Time
	left   int
	since  time.Time
}

func newFlood(now func() time.Time) *flood {
	return &flood{now: now, all: tally{tokens: floodAllBurst, at: now()}, by: make(map[string]*tally)}
}

func (t *tally) fill(now time.Time, rate, burst float64) {
	if d := now.Sub(t.at).Seconds(); d > 0 {
		t.tokens = min(burst, t.tokens+d*rate)
	}
	t.at = now
}

// takes tells whether r gets a line of its own.
func (f *flood) takes(r Record) bool {
	if r.Who != "" || r.From == "" {
		return true
	}
	now := f.now()
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.tallyLocked(r.From, now)
	t.fill(now, floodRate, floodBurst)
	f.all.fill(now, floodAllRate, floodAllBurst)
	if t.tokens >= 1 && f.all.tokens >= 1 {
		t.tokens--
		f.all.tokens--
		return true
	}
	if t.left++; t.left == 1 {
		t.since = now
	}
	return false
}

func (f *flood) tallyLocked(address string, now time.Time) *tally {
	t := f.by[address]
	if t == nil && len(f.by) >= maxFlooding {
		address = "other addresses"
		t = f.by[address]
	}
	if t == nil {
		t = &tally{tokens: floodBurst, at: now}
		f.by[address] = t
	}
	return t
}

// told are the records that stand for those left out since it was asked last.
func (f *flood) told() (records []Record) {
	now := f.now()
	f.mu.Lock()
	defer f.mu.Unlock()
	for address, t := range f.by {
		if t.left > 0 {
			records = append(records, Record{At: now, From: address, Action: "audit.flood", Object: "unknown", Result: "left_out",
				Detail: fmt.Sprintf("%d records since %s", t.left, t.since.UTC().Format(time.RFC3339))})
			t.left = 0
		}
		if t.fill(now, floodRate, floodBurst); t.tokens >= floodBurst { // as good as new
			delete(f.by, address)
		}
	}
	return records
}
