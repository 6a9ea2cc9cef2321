package downtrack

import (
	"time"

	"github.com/pion/rtp"

	"diemcau/sfu/codec"
	"diemcau/sfu/fanout"
)

// Everything in this file runs on the worker's goroutine.
//
// A packet of the current layer is forwarded with its sequence number, time
// stamp and VP8 ids mapped. While another layer is the target, its packets are
// watched for a key frame; with it the target becomes current, and its numbers
// are joined to what was sent last. If a frame of the old layer is under way,
// the key frame is held, in its layer's ring, until that frame is whole.

// maxHold is how long a key frame waits for the old layer's frame to end.
const maxHold = 40 * time.Millisecond

// held is a key frame of the target that waits.
type held struct {
	on          bool
	first, last uint16 // sequence numbers that came meanwhile
	since       time.Time
}

// choose sets the target from what is wanted and what the publisher sends.
func (d *DownTrack) choose(now time.Time) {
	next := d.best(now)
	if next == d.target && (next == None || d.attached[next]) {
		return
	}
	d.target = next
	d.held = held{}
	if next == None {
		d.current = None
	}
	for i := range d.layers {
		if i == d.target || i == d.current {
			d.attach(i)
		} else {
			d.detach(i)
		}
	}
	if d.target != None && d.target != d.current {
		d.layers[d.target].RequestKeyFrame()
	}
}

// best is the wanted layer; if the publisher does not send it, the next lower
// one it sends, else the next higher one; None while paused, not bound or not started.
func (d *DownTrack) best(now time.Time) int {
	if d.wanted == None || !d.out.ready || !d.started {
		return None
	}
	live := func(i int) bool { return d.layers[i] != nil && d.layers[i].Live(now) }
	for i := d.wanted; i >= 0; i-- {
		if live(i) {
			return i
		}
	}
	for i := d.wanted + 1; i < MaxLayers; i++ {
		if live(i) {
			return i
		}
	}
	// None is live: stay with what there is, it may come back.
	if d.target != None && d.layers[d.target] != nil {
		return d.target
	}
	for i := d.wanted; i >= 0; i-- {
		if d.layers[i] != nil {
			return i
		}
	}
	for i := range d.layers {
		if d.layers[i] != nil {
			return i
		}
	}
	return None
}

func (d *DownTrack) attach(i int) {
	if !d.attached[i] && d.layers[i] != nil {
		d.attached[i] = true
		d.layers[i].Feed().Attach(d.worker, d)
	}
}

func (d *DownTrack) detach(i int) {
	if d.attached[i] {
		d.attached[i] = false
		d.layers[i].Feed().Detach(d.worker, d)
	}
}

func (d *DownTrack) layerOf(f *fanout.Feed) int {
	for i, l := range d.layers {
		if l != nil && d.attached[i] && l.Feed() == f {
			return i
		}
	}
	return None
}

// Forward implements fanout.Member.
func (d *DownTrack) Forward(p *fanout.Packet) {
	if !d.out.ready {
		return
	}
	i := d.layerOf(p.Feed)
	if i == None {
		return
	}
	if i != d.current {
		d.watch(i, p)
		return
	}
	if len(p.Payload) == 0 {
		d.seq.Drop(p.Header.SequenceNumber)
		return
	}
	d.send(p)
	if d.held.on && !d.midFrame {
		d.release()
	}
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
	case !p.KeyFrame || !p.Start:
		d.layers[i].RequestKeyFrame()
	case d.current != None && d.midFrame:
		d.held = held{on: true, first: p.Header.SequenceNumber, last: p.Header.SequenceNumber, since: p.Arrival}
	default:
		d.switchTo(i, p)
		d.send(p)
	}
}

// release makes the target current with the packets that were held.
func (d *DownTrack) release() {
	h := d.held
	d.held = held{}
	layer := d.layers[d.target]
	var p fanout.Packet
	for seq := h.first; int16(h.last-seq) >= 0; seq++ {
		n := layer.Get(seq, d.retryBuf[:])
		if n == 0 || !p.Parse(layer.Feed(), d.retryBuf[:n]) || len(p.Payload) == 0 {
			continue
		}
		p.Arrival = h.since
		if d.current != d.target {
			if !p.KeyFrame {
				return // the key frame is gone; another was asked for
			}
			d.switchTo(d.target, &p)
		}
		d.send(&p)
	}
}

// switchTo makes layer i current with p, the first packet of a key frame.
func (d *DownTrack) switchTo(i int, p *fanout.Packet) {
	d.clock.join(p.Header.Timestamp, d.layers[i].Report(), p.Arrival)
	d.held = held{}
	d.seq.Switch(p.Header.SequenceNumber)
	if p.VP8OK {
		d.munger.Switch(p.VP8)
	}
	old := d.current
	d.current = i
	if old != None && old != d.target {
		d.detach(old)
	}
}

func (d *DownTrack) send(p *fanout.Packet) {
	out, ok := d.seq.Map(p.Header.SequenceNumber)
	if !ok {
		return
	}
	e := sentPacket{
		out: out, src: p.Header.SequenceNumber, layer: int8(d.current),
		ts: d.clock.apply(p.Header.Timestamp, p.Arrival), marker: p.Header.Marker,
	}
	if p.VP8OK {
		e.pic, e.tl0, e.keyIdx = d.munger.Map(p.VP8)
	}
	if last, ok := d.seq.Last(); ok && last == out {
		d.midFrame = !e.marker
	}
	d.history.put(e)
	if d.write(e, p.Payload, p.VP8, p.VP8OK) {
		d.packets++
		d.octets += uint32(len(p.Payload))
		d.sent.Add(1)
	}
}

// write sends a packet as e says; the VP8 ids are patched into payload.
func (d *DownTrack) write(e sentPacket, payload []byte, vp8 codec.VP8, isVP8 bool) bool {
	if isVP8 {
		vp8.Rewrite(payload, payload, e.pic, e.tl0, e.keyIdx)
	}
	h := &d.out.header
	*h = rtp.Header{
		Version: 2, Marker: e.marker, PayloadType: d.out.pt,
		SequenceNumber: e.out, Timestamp: e.ts, SSRC: d.out.ssrc,
	}
	return d.out.egress.WriteRTP(h, payload) == nil
}

// Tick implements fanout.Member: layers come and go, and reports are due.
func (d *DownTrack) Tick(now time.Time) {
	d.choose(now)
	if d.target != None && d.target != d.current && d.layers[d.target].Live(now) {
		d.layers[d.target].RequestKeyFrame()
	}
	if d.out.ready && d.current != None && d.packets > 0 && now.Sub(d.lastReport) >= reportEvery {
		d.lastReport = now
		d.report(now)
	}
}
