package loadtest

import (
	"sync"
	"time"

	"github.com/pion/rtp"
)

const (
	// accountWindow is how many of the newest sequence numbers an Account
	// remembers one by one; a packet older than that counts as a duplicate.
	accountWindow = 4096
	// FreezeGap is the pause between two pictures that a viewer calls a freeze.
	FreezeGap = 500 * time.Millisecond
)

// Account keeps the books of one received RTP stream. It is fed every packet
// that the receiver got after repair (retransmissions included) and is safe
// for concurrent use.
type Account struct {
	mu sync.Mutex
	// The fields below are guarded by mu.
	stats     StreamStats
	started   bool
	base      int64 // extended number of the first packet
	highest   int64 // extended number of the newest packet
	seen      [accountWindow]bool
	timestamp uint32 // of the newest frame
	frameAt   time.Time
}

// StreamStats is what an Account counted.
type StreamStats struct {
	// Packets is the number of distinct packets received.
	Packets uint64 `json:"packets"`
	// Bytes is the sum of their RTP payload sizes.
	Bytes uint64 `json:"bytes"`
	// Lost is the number of packets between the first and the newest that never came.
	Lost uint64 `json:"lost"`
	// Late is the number of packets that came after a newer one.
	Late uint64 `json:"late"`
	// Duplicates is the number of packets that came more than once.
	Duplicates uint64 `json:"duplicates"`
	// Frames is the number of timestamps seen.
	Frames uint64 `json:"frames"`
	// Freezes is the number of pauses between frames longer than FreezeGap.
	Freezes uint64 `json:"freezes"`
	// MaxGap is the longest pause between the first packets of two frames.
	MaxGap time.Duration `json:"max_gap_ns"`
	// First and Last are the arrival times of the first and the newest packet.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

// Add enters a packet that arrived at now.
func (a *Account) Add(h *rtp.Header, payloadBytes int, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.started {
		a.startLocked(h, payloadBytes, now)
		return
	}
	ext := a.highest + int64(int16(h.SequenceNumber-uint16(a.highest))) // RFC 1982 distance
	switch {
	case ext <= a.highest-accountWindow || ext <= a.highest && a.seen[slot(ext)]:
		a.stats.Duplicates++
		return
	case ext < a.base:
		// Reordered across the start: the stream began earlier than thought.
		a.base = ext
		a.stats.Late++
	case ext < a.highest:
		a.stats.Late++
	default:
		for n := a.highest + 1; n < ext; n++ {
			a.seen[slot(n)] = false
		}
		a.highest = ext
		a.stats.Last = now
	}
	a.seen[slot(ext)] = true
	a.stats.Packets++
	a.stats.Bytes += uint64(payloadBytes)
	a.frameLocked(h.Timestamp, now)
}

func (a *Account) startLocked(h *rtp.Header, payloadBytes int, now time.Time) {
	a.started = true
	// Leave room below, so that earlier packets keep positive extended numbers.
	a.base = int64(h.SequenceNumber) + 1<<16
	a.highest = a.base
	a.seen[slot(a.base)] = true
	a.timestamp = h.Timestamp
	a.frameAt = now
	a.stats = StreamStats{Packets: 1, Bytes: uint64(payloadBytes), Frames: 1, First: now, Last: now}
}

func (a *Account) frameLocked(timestamp uint32, now time.Time) {
	if int32(timestamp-a.timestamp) <= 0 {
		return
	}
	a.timestamp = timestamp
	a.stats.Frames++
	gap := now.Sub(a.frameAt)
	a.frameAt = now
	a.stats.MaxGap = max(a.stats.MaxGap, gap)
	if gap > FreezeGap {
		a.stats.Freezes++
	}
}

// Stats returns what was counted so far.
func (a *Account) Stats() StreamStats {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.stats
	if a.started {
		s.Lost = uint64(a.highest-a.base) + 1 - s.Packets
	}
	return s
}

func slot(ext int64) int { return int(ext & (accountWindow - 1)) }
