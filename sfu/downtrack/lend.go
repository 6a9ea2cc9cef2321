package downtrack

import (
	"time"

	"diemcau/sfu/uptrack"
)

// A stream can be lent: for a moment it carries what another stream of the same
// line is to carry, until that one is negotiated. The receiver sees one continuous
// stream all the while.

// Carry makes the stream carry the given layers instead of its own, or its own
// again.
func (d *DownTrack) Carry(layers [MaxLayers]*uptrack.Layer, wish Wish) {
	d.worker.Do(func() { d.carry(layers, wish) })
}

// TakeOver has d go on where from, a stream lent to it, is; from carries its own
// layers again. Both must be of one line. What the worker has not come to yet is not
// left out, up to maxReplayed packets.
func (d *DownTrack) TakeOver(wish Wish, from *DownTrack, layers [MaxLayers]*uptrack.Layer, own Wish) {
	d.worker.Do(func() { d.takeOver(wish, from, layers, own) })
}

func (d *DownTrack) takeOver(wish Wish, from *DownTrack, layers [MaxLayers]*uptrack.Layer, own Wish) {
	d.replayed, d.replayedTo = from.replayed, from.replayedTo
	d.goesOn = from.replayed && from.current != None
	from.carry(layers, own)
	if !d.closed.Load() {
		d.wish = wish
		d.choose(time.Now())
	}
	d.goesOn = false
}

func (d *DownTrack) carry(layers [MaxLayers]*uptrack.Layer, wish Wish) {
	if d.closed.Load() {
		return
	}
	d.unplug()
	d.layers, d.wish = layers, wish
	d.choose(time.Now())
}
