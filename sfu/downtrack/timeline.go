package downtrack

import (
	"time"

	"diemcau/sfu/uptrack"
)

// timeline maps the time stamps of whichever layer is forwarded to the one
// time line of the subscriber. Layers of a track have unrelated time stamps;
// their sender reports (RFC 3550 section 6.4.1) tie each to the publisher's
// clock, and before those are there, arrival times have to do.
type timeline struct {
	rate   uint32 // Hz
	offset uint32 // out = in + offset
	used   bool

	last    uint32 // newest time stamp sent
	lastAt  time.Time
	base    *uptrack.Report // of the layer that offset belongs to
	baseOff uint32
	ahead   uint32 // how far the source's time stamps are ahead of when its packets came
}

// join sets the offset for a new source whose first packet has time stamp ts and came at
// the given time, so long ago. That puts the source ahead of its time: a receiver that
// got what was said a while ago with time stamps of then would take its path for a slow
// one, and play everything later from then on (NetEq's delay grew to 300 ms in a
// conference of many short speeches). Ahead, it plays the beginning at once, and catches
// up.
func (t *timeline) join(ts uint32, sr *uptrack.Report, now time.Time, ago time.Duration) {
	defer func() { t.base, t.baseOff = sr, t.offset }()
	if !t.used {
		return
	}
	elapsed := now.Sub(t.lastAt)
	byArrival := t.last - t.ahead + t.ticks(elapsed)
	due := byArrival
	if sr != nil && t.base != nil {
		// The time stamp, at the publisher's clock, in the old layer's line.
		delta := int64(sr.NTP-t.base.NTP) * int64(t.rate) >> 32
		byReport := ts - sr.RTP + uint32(delta) + t.base.RTP + t.baseOff - t.ahead
		if diff := int32(byReport - byArrival); abs32(diff) < int32(t.rate/2) {
			due = byReport
		}
	}
	want := due + t.ticks(ago)
	// Never at or before what was sent: that would be the same frame again.
	if least := t.last + t.rate/100; int32(want-least) < 0 {
		want = least
	}
	t.offset, t.ahead = want-ts, want-due
}

// rebase keeps the newest report of the current layer for the next join.
func (t *timeline) rebase(sr *uptrack.Report) {
	if sr != nil {
		t.base, t.baseOff = sr, t.offset
	}
}

func (t *timeline) apply(ts uint32, now time.Time) uint32 {
	out := ts + t.offset
	if !t.used || int32(out-t.last) > 0 {
		t.last, t.lastAt, t.used = out, now, true
	}
	return out
}

func (t *timeline) ticks(d time.Duration) uint32 {
	return uint32(int64(d) * int64(t.rate) / int64(time.Second))
}

func abs32(v int32) int32 {
	if v < 0 {
		return -v
	}
	return v
}
