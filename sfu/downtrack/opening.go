package downtrack

import (
	"time"

	"github.com/pion/rtp"
)

// A stream that is paused from the start sends nothing, and clients that make a
// track known with its first packet would not know that it is there (Pion's
// OnTrack). A few packets of padding only (RFC 3550 section 5.1) open it, but not
// before the client has taken in the description: Pion takes a stream that it does
// not know for one of a simulcast, and looks for its name in the packets that come,
// which the track then lacks.

const (
	openings   = 5 // packets, one a tick: some may be lost
	openingPad = 4 // bytes of padding
)

// open sends the next of them.
func (d *DownTrack) open(now time.Time) {
	if !d.out.ready || !d.started || !d.announced || d.opened == openings {
		return
	}
	d.opened++
	pad := d.worker.Scratch().Made[:openingPad]
	clear(pad)
	pad[openingPad-1] = openingPad
	h := rtp.Header{
		Version: 2, Padding: true, PayloadType: d.out.pt, SequenceNumber: d.seq.Skip(1),
		Timestamp: d.clock.apply(0, now), SSRC: d.out.ssrc,
	}
	if err := d.out.egress.WriteRTP(d.header(h, d.line.number(openingPad, now), nil), pad); err != nil {
		d.cfg.Log.Debug("opening a stream", "track", d.ID(), "err", err)
	}
}
