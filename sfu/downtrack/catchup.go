package downtrack

import (
	"time"

	"diemcau/sfu/fanout"
	"diemcau/sfu/uptrack"
)

// What an audio stream that is let through said before is sent too: from so long
// before its speech began, or from so long ago if it speaks on. What it took to act
// on the beginning comes on top, within a bound. It takes longest until an encrypted
// track is negotiated, for which no other stream can stand in.
const (
	replayFor   = 60 * time.Millisecond
	replayMost  = 260 * time.Millisecond
	replayFirst = time.Second // at most, of an encrypted track that was not sent before
	maxReplayed = 60          // packets
)

// catchUp sends what an audio stream said shortly before it was let through, so
// that the first syllable is whole.
func (d *DownTrack) catchUp(now time.Time) {
	layer := d.layers[d.target]
	newest, ok := layer.Newest()
	if !ok || !layer.Live(now) {
		return
	}
	first, newestTS := d.since(layer, newest, now)
	var p fanout.Packet
	for seq := first; int16(newest-seq) >= 0; seq++ {
		n := layer.Get(seq, d.retryBuf[:])
		if n == 0 || !d.worker.Parse(layer.Feed(), &p, d.retryBuf[:n]) {
			continue
		}
		late := time.Duration(newestTS-p.Header.Timestamp) * time.Second / time.Duration(d.clock.rate)
		p.Arrival, p.Now = now.Add(-late), now
		d.take(d.target, &p)
	}
}

// since finds the packet from which on an audio layer is to be sent, and the time
// stamp of its newest.
func (d *DownTrack) since(layer *uptrack.Layer, newest uint16, now time.Time) (first uint16, newestTS uint32) {
	var p fanout.Packet
	least, most := replayFor, replayMost
	if d.cfg.Encrypted && d.packets == 0 {
		most = replayFirst
	}
	if onset, ok := layer.Onset(now, most-replayFor); ok {
		least += onset
	}
	first = newest
	for back := range uint16(maxReplayed) {
		n := layer.Get(newest-back, d.retryBuf[:])
		if n == 0 || !d.worker.Parse(layer.Feed(), &p, d.retryBuf[:n]) {
			break
		}
		if back == 0 {
			newestTS = p.Header.Timestamp
		}
		if newestTS-p.Header.Timestamp > uint32(least.Milliseconds())*d.clock.rate/1000 {
			break
		}
		first = newest - back
	}
	switch {
	case !d.replayed:
	case int16(first-d.replayedTo) <= 0, // sent before the pause
		d.goesOn && newest-d.replayedTo <= maxReplayed: // there was none
		first = d.replayedTo + 1
	}
	return first, newestTS
}
