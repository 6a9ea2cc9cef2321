package light

import (
	"time"
)

const (
	// window is how many of the newest packets of a stream are known one by one.
	window = 1024
	// maxMissing bounds the packets of a stream that are asked for again.
	maxMissing = 512
	// jump is a step of the sequence number that a loss does not explain: the stream
	// begins anew.
	jump = 3000
	// maxAsks is how often a packet is asked for, askFirst the shortest time between.
	maxAsks  = 5
	askFirst = 20 * time.Millisecond
	// giveUp is when a packet that does not come is taken for lost.
	giveUp = time.Second
	// freezeWindow is how many frames the mean is of, and freezeExtra what a pause is
	// longer than it: those of totalFreezesDuration in W3C's webrtc-stats.
	freezeWindow = 30
	freezeExtra  = 150 * time.Millisecond
	// freezeAfter is how many frames make a mean.
	freezeAfter = 5
)

// StreamStats are the books of one received stream, or the sums of several.
type StreamStats struct {
	// Packets are the different ones, Bytes their payloads as sealed, padding included.
	Packets, Bytes uint64
	// Padded are those with the padding bit.
	Padded uint64
	// Lost never came, not as retransmissions either. Of them, those still asked for are
	// Open.
	Lost, Open uint64
	// Repaired came as a retransmission, on a stream of its own or not.
	Repaired uint64
	// Late came after newer ones, Duplicates more than once.
	Late, Duplicates uint64
	// Asked counts the requests for single packets, KeyAsked those for key frames.
	Asked, KeyAsked uint64
	// Frames are those with all of their packets, Broken the others.
	Frames, Broken uint64
	// Freezes are pauses between frames longer than three times the mean, and than the
	// mean and 150 ms; Frozen is their length. Video only.
	Freezes uint64
	Frozen  time.Duration
	// Excused are pauses that would be freezes, had the publisher not paused itself.
	Excused uint64
	// MaxGap is the longest time between two frames. Video only.
	MaxGap time.Duration
	// Faults count what a receiver could not make sense of: a frame without a marker, a
	// timestamp that goes back.
	Faults uint64
}

// Add makes sums.
func (s *StreamStats) Add(o StreamStats) {
	s.Packets += o.Packets
	s.Bytes += o.Bytes
	s.Padded += o.Padded
	s.Lost += o.Lost
	s.Open += o.Open
	s.Repaired += o.Repaired
	s.Late += o.Late
	s.Duplicates += o.Duplicates
	s.Asked += o.Asked
	s.KeyAsked += o.KeyAsked
	s.Frames += o.Frames
	s.Broken += o.Broken
	s.Freezes += o.Freezes
	s.Frozen += o.Frozen
	s.Excused += o.Excused
	s.MaxGap = max(s.MaxGap, o.MaxGap)
	s.Faults += o.Faults
}

// slot is what is known of one packet of the window.
type slot struct {
	timestamp uint32
	flags     uint8
}

const (
	slotHere   = 1 << iota // it came
	slotMarker             // with the marker
	slotPadded             // and maybe nothing but padding
)

// missing is a packet that has not come.
type missing struct {
	n     int64
	since int64 // ns
	next  int64 // when it is asked for again
	asks  int
}

// stream keeps the books of one RTP stream. Times are in ns since 1970. It is not safe
// for concurrent use.
type stream struct {
	ssrc  uint32
	video bool
	clock uint32 // ticks a second
	track string // its sid, "" as long as it is not known

	stats    StreamStats
	started  bool
	expected uint64 // packets that were sent, by their numbers
	base     int64  // extended number of the first packet
	highest  int64  // of the newest
	head     int64  // of the oldest that is not done with
	slots    [window]slot
	missing  []missing

	frames frames
	report report
	check  *decodable // of a sample; nil: not looked into
	replay replay     // likewise

	late       *lateness // of the publisher, nil if that is not known
	firstAt    int64     // when the first packet came
	keyWanted  bool
	keyAskedAt int64
}

// add enters a packet that came at a time. repaired says that it came as a
// retransmission. It returns the extended number, and false for one that is not new.
func (s *stream) add(h *header, size int, at int64, repaired bool) (n int64, fresh bool) {
	if !s.started {
		if repaired {
			return 0, false
		}
		s.firstAt, s.started = at, true
		s.begin(h.sequence)
	}
	n = s.highest + int64(int16(h.sequence-uint16(s.highest))) // RFC 1982
	if n > s.highest+jump || n < s.highest-jump {
		if repaired {
			return n, false
		}
		s.stats.Faults++
		s.begin(h.sequence)
		s.frames.tear()
		n = s.base
	}
	switch {
	case n > s.highest:
		s.ahead(n, at)
		s.report.measure(h.timestamp, at, s.clock)
	case n < s.base:
		return n, false
	case n <= s.highest-window || s.slots[n&(window-1)].flags&slotHere != 0:
		s.stats.Duplicates++
		return n, false
	case repaired:
		s.stats.Repaired++
		s.found(n)
	default:
		s.stats.Late++
		s.found(n)
	}
	flags := uint8(slotHere)
	if h.marker {
		flags |= slotMarker
	}
	if h.padded {
		flags |= slotPadded
		s.stats.Padded++
	}
	s.slots[n&(window-1)] = slot{timestamp: h.timestamp, flags: flags}
	s.stats.Packets++
	s.stats.Bytes += uint64(size)
	s.advance(at)
	return n, true
}

// begin starts the numbers, at first or anew after a jump. What was counted stays, what
// was missing is lost.
func (s *stream) begin(sequence uint16) {
	s.base = int64(sequence) + 1<<16
	s.highest, s.head = s.base-1, s.base
	s.slots = [window]slot{}
	s.missing = s.missing[:0]
}

// ahead makes n the newest, and what is between missing.
func (s *stream) ahead(n, at int64) {
	s.expected += uint64(n - s.highest)
	for m := max(s.highest+1, n-window+1); m < n; m++ {
		s.slots[m&(window-1)] = slot{}
		s.miss(m, at)
	}
	s.highest = n
	if oldest := n - window + 1; s.head < oldest {
		s.skip(oldest, at)
	}
}

func (s *stream) miss(n, at int64) {
	if len(s.missing) < maxMissing {
		s.missing = append(s.missing, missing{n: n, since: at})
	}
}

func (s *stream) found(n int64) {
	for i := range s.missing {
		if s.missing[i].n == n {
			s.missing = append(s.missing[:i], s.missing[i+1:]...)
			return
		}
	}
}

// advance goes on over the packets that are there without a gap, and closes the frames
// that end with them.
func (s *stream) advance(at int64) {
	for s.head <= s.highest && s.slots[s.head&(window-1)].flags&slotHere != 0 {
		s.frames.pass(s.slots[s.head&(window-1)], at, s)
		s.head++
	}
}

// skip gives up what is before n and has not come.
func (s *stream) skip(n, at int64) {
	for ; s.head < n; s.head++ {
		// A number that has left the window, its slot being used again, is not there.
		if e := s.slots[s.head&(window-1)]; s.head > s.highest-window && e.flags&slotHere != 0 {
			s.frames.pass(e, at, s)
			continue
		}
		s.frames.tear()
		s.keyWanted = s.video
	}
	s.advance(at)
}

// ask tells which packets are to be asked for now, given the time of a round trip in ns,
// by appending them to list, and gives up those that do not come.
func (s *stream) ask(list []uint16, now, roundTrip int64) []uint16 {
	kept := s.missing[:0]
	gone := int64(-1)
	for _, m := range s.missing {
		switch {
		case m.n <= s.highest-window:
			continue
		case now-m.since > int64(giveUp) || m.asks == maxAsks && now >= m.next:
			gone = m.n
			continue
		case m.asks < maxAsks && now >= m.next:
			m.asks++
			m.next = now + max(roundTrip, int64(askFirst))
			s.stats.Asked++
			list = append(list, uint16(m.n))
		}
		kept = append(kept, m)
	}
	s.missing = kept
	if gone >= s.head {
		s.skip(gone+1, now)
	}
	return list
}

// snapshot returns the books as they stand.
func (s *stream) snapshot() StreamStats {
	c := s.stats
	c.Lost, c.Open = s.expected-c.Packets, uint64(len(s.missing))
	return c
}

// pause says that the sender pauses on purpose, which is no freeze.
func (s *stream) pause() { s.frames.last = 0 }
