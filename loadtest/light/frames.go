package light

import (
	"sync"
	"time"
)

// frames follows the frames of a stream, whose packets it is given in order.
type frames struct {
	open      bool // a frame has begun and not ended
	torn      bool // a packet of it is gone
	timestamp uint32
	closed    bool   // a frame has ended
	before    uint32 // its timestamp

	first int64 // ns; when the first frame was whole
	last  int64 // when the newest was; 0: there is nothing to compare with
	gaps  [freezeWindow]int64
	count int
	sum   int64
}

// pass takes the next packet.
func (f *frames) pass(p slot, at int64, s *stream) {
	if p.flags&slotPadded != 0 && p.flags&slotMarker == 0 && (!f.open || p.timestamp != f.timestamp) {
		return // padding alone, which may carry any time
	}
	if f.open && p.timestamp != f.timestamp {
		if s.video && !f.torn {
			s.stats.Faults++ // its marker is missing
			s.stats.Broken++
		}
		f.open, f.torn = false, false
	}
	if !f.open {
		f.open, f.timestamp = true, p.timestamp
		if f.closed && int32(p.timestamp-f.before) <= 0 && s.video {
			s.stats.Faults++ // time goes back
		}
	}
	if p.flags&slotMarker == 0 && s.video {
		return
	}
	f.open, f.closed, f.before = false, true, f.timestamp
	if f.torn {
		f.torn = false
		s.stats.Broken++
		return
	}
	s.stats.Frames++
	if f.first == 0 {
		f.first = at
	}
	if s.video {
		f.pace(at, s)
	}
}

// tear says that a packet is gone.
func (f *frames) tear() { f.torn = true }

// pace measures the time since the frame before, as W3C's webrtc-stats define a freeze.
func (f *frames) pace(at int64, s *stream) {
	last := f.last
	f.last = at
	if last == 0 || at < last {
		return
	}
	gap := at - last
	s.stats.MaxGap = max(s.stats.MaxGap, time.Duration(gap))
	if f.count >= freezeAfter {
		mean := f.sum / int64(min(f.count, freezeWindow))
		switch limit := max(3*mean, mean+int64(freezeExtra)); {
		case gap <= limit:
		case gap-s.late.between(last, at) <= limit:
			s.stats.Excused++
		default:
			s.stats.Freezes++
			s.stats.Frozen += time.Duration(gap)
		}
	}
	i := f.count % freezeWindow
	f.sum += gap - f.gaps[i]
	f.gaps[i] = gap
	f.count++
}

// report keeps what a receiver report tells of a stream (RFC 3550 section 6.4).
type report struct {
	jitter   float64 // ticks
	transit  int64
	measured bool
	sr       uint32 // middle of the NTP time of the last sender report
	srAt     int64  // ns

	expected, received uint64 // at the last report
}

// measure follows the jitter (RFC 3550 section 6.4.1).
func (r *report) measure(timestamp uint32, at int64, clock uint32) {
	arrival := at / 1000 * int64(clock) / 1_000_000
	transit := int64(int32(uint32(arrival) - timestamp))
	if r.measured {
		d := transit - r.transit
		if d < 0 {
			d = -d
		}
		if d < 1<<30 {
			r.jitter += (float64(d) - r.jitter) / 16
		}
	}
	r.transit, r.measured = transit, true
}

// lateness remembers when a publisher of this program paused itself, because the
// recording does or the tester was busy, so that it is not taken for the server's doing.
// It is safe for concurrent use. Of nil there is nothing to know.
type lateness struct {
	mu      sync.Mutex
	periods [32]period // the newest; guarded by mu
	next    int        // guarded by mu
}

// period is from when a frame would have been sent in full, at an even pace, until it
// was, in ns since 1970.
type period struct{ from, to int64 }

// note enters one.
func (l *lateness) note(from, to int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.periods[l.next%len(l.periods)] = period{from, to}
	l.next++
}

// between is the longest of those that ended in the time given.
func (l *lateness) between(from, to int64) int64 {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	longest := int64(0)
	for _, p := range l.periods {
		if p.to > from && p.to <= to {
			longest = max(longest, p.to-p.from)
		}
	}
	return longest
}
