package downtrack

import (
	"time"

	"diemcau/sfu/fanout"
)

// maxHold is how long a key frame waits for the old layer's frame to end.
const maxHold = 40 * time.Millisecond

// held is a key frame of the target that waits.
type held struct {
	on          bool
	first, last uint16 // sequence numbers that came meanwhile
	since       time.Time
}

// went is what came of the target before the beginning of a key frame.
type went struct {
	any  bool
	last uint16 // the newest sequence number
}

// maxOvertaken is by how many packets the beginning of a key frame may be overtaken, and still
// be one to switch to: so many are sent at once then.
const maxOvertaken = 128

func (w *went) add(seq uint16) {
	if !w.any || int16(seq-w.last) > 0 {
		w.any, w.last = true, seq
	}
}

// before tells by how many packets seq was overtaken, 0 if by none.
func (w *went) before(seq uint16) int {
	if !w.any {
		return 0
	}
	return max(0, int(int16(w.last-seq)))
}

// watch looks for the key frame with which layer i can become current.
func (d *DownTrack) watch(i int, p *fanout.Packet) {
	switch {
	case i != d.target || len(p.Payload) == 0:
	case d.held.on:
		if int16(p.Header.SequenceNumber-d.held.last) > 0 {
			d.held.last = p.Header.SequenceNumber
		}
		if p.Arrival.Sub(d.held.since) > maxHold {
			d.release()
		}
	case !p.KeyFrame || !p.Start || d.went.before(p.Header.SequenceNumber) > maxOvertaken:
		d.went.add(p.Header.SequenceNumber)
		d.layers[i].RequestKeyFrame()
	case d.current != None && d.midFrame || d.went.before(p.Header.SequenceNumber) > 0:
		d.hold(p)
	default:
		d.switchTo(i, p)
		if d.inTime(p) {
			d.send(p)
		}
	}
}

// hold keeps a key frame until the old layer's frame is whole. If its first packet was
// overtaken, as one that was lost on the way here, what came before is a part of it too.
func (d *DownTrack) hold(p *fanout.Packet) {
	seq := p.Header.SequenceNumber
	d.held = held{on: true, first: seq, last: seq + uint16(d.went.before(seq)), since: p.Arrival}
	if d.current == None || !d.midFrame {
		d.release()
	}
}

// release makes the target current with the packets that were held.
func (d *DownTrack) release() {
	h := d.held
	d.held = held{}
	layer := d.layers[d.target]
	var p fanout.Packet
	buf := d.worker.Scratch().Read[:]
	now := time.Now()
	for seq := h.first; int16(h.last-seq) >= 0; seq++ {
		n := layer.Get(seq, buf)
		if n == 0 || !d.worker.Parse(layer.Feed(), &p, buf[:n]) || len(p.Payload) == 0 {
			continue
		}
		p.Arrival, p.Now = h.since, now
		if d.current != d.target {
			if !p.KeyFrame {
				return // the key frame is gone; another was asked for
			}
			d.switchTo(d.target, &p)
		}
		if d.inTime(&p) {
			d.send(&p)
		}
	}
}

// switchTo makes layer i current with p, the first packet of a key frame.
func (d *DownTrack) switchTo(i int, p *fanout.Packet) {
	var ago time.Duration
	if !d.video {
		ago = p.Now.Sub(p.Arrival)
	}
	d.clock.join(p.Header.Timestamp, d.layers[i].Report(), p.Arrival, ago)
	d.held, d.went = held{}, went{}
	d.seq.Switch(p.Header.SequenceNumber)
	d.ids.begin(p)
	d.svc.Restart()
	old := d.current
	d.current = i
	d.cfg.Log.Debug("layer", "track", d.ID(), "from", old, "to", i, "wished", d.wish.Layer, "allowed", d.allowed.layer)
	if old != None && i > old {
		d.line.raisedAt = p.Now
	}
	d.temporal = d.temporalLimit()
	if old != None && old != d.target {
		d.detach(old)
	}
}
