package light

import "time"

// Delays are from sending to arrival at the socket of a subscriber.
type Delays struct {
	Forwarded Histogram // of packets that came at the first go
	Repaired  Histogram // of those that came as retransmissions
	// Replayed is of what a speaker had said before the server let its sound through, so that
	// the first syllable is whole: it comes at once, and is old.
	Replayed Histogram
}

// Merge adds those of others.
func (d *Delays) Merge(o *Delays) {
	d.Forwarded.Merge(&o.Forwarded)
	d.Repaired.Merge(&o.Repaired)
	d.Replayed.Merge(&o.Replayed)
}

const (
	speechGap = 200 * time.Millisecond // without a packet of a sound, whose speech begins after it
	replayLag = 20 * time.Millisecond  // the least age of what is replayed: one packet of sound
)

// replay follows the beginnings of speech in a stream of sound.
type replay struct {
	heardAt int64 // when its last packet came, ns since 1970
	on      bool  // what comes now may be replayed
}

// of enters a packet of a stream that came at the first go, and when.
func (d *Delays) of(s *stream, at int64, delay time.Duration) {
	if s.video {
		d.Forwarded.Add(delay)
		return
	}
	r := &s.replay
	r.on = r.on || time.Duration(at-r.heardAt) > speechGap
	r.on = r.on && delay > replayLag
	r.heardAt = at
	if r.on {
		d.Replayed.Add(delay)
	} else {
		d.Forwarded.Add(delay)
	}
}
