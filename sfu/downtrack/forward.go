package downtrack

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/pion/rtp"

	"diemcau/sfu/codec"
	"diemcau/sfu/fanout"
	"diemcau/sfu/uptrack"
)

// Everything in this file runs on the worker's goroutine.
//
// A packet of the current layer is forwarded with its sequence number, time
// stamp and VP8 ids mapped. While another layer is the target, its packets are
// watched for a key frame; with it the target becomes current, and its numbers
// are joined to what was sent last. If a frame of the old layer is under way,
// the key frame is held, in its layer's ring, until that frame is whole.

// choose sets the target from what is wanted, what the bandwidth allows, and what
// the publisher sends.
func (d *DownTrack) choose(now time.Time) {
	next := d.best(now)
	if next != None {
		d.ending = time.Time{}
	}
	if next == d.target && (next == None || d.attached[next]) {
		return
	}
	d.target = next
	d.held, d.went = held{}, went{}
	switch {
	case next == None && d.current != None && d.video && d.midFrame && !d.line.behind:
		d.ending = now // half a frame is a stall
	case d.video && next < d.current && d.line.behind:
		d.abandon() // what is on its way is too much already
	case next == None:
		d.current = None
	}
	fresh := !d.video && next != None && next != d.current
	for i := range d.layers {
		if i == d.target || i == d.current {
			d.attach(i)
		} else {
			d.detach(i)
		}
	}
	if d.video && d.target != None && d.target != d.current {
		d.layers[d.target].RequestKeyFrame()
	}
	if fresh {
		d.catchUp(now)
	}
}

// finish ends a stream that was paused, its last frame being whole.
func (d *DownTrack) finish() {
	d.ending = time.Time{}
	d.current = None
	for i := range d.layers {
		d.detach(i)
	}
}

// abandon gives up what was sent of a layer: it is not sent again either, for a key
// frame is to follow.
func (d *DownTrack) abandon() {
	d.current = None
	d.history.clear()
}

// cut stops what is forwarded at once; the stream goes on with a key frame.
func (d *DownTrack) cut() {
	d.cfg.Log.Debug("video cut", "track", d.ID(), "layer", d.current, "target", d.target)
	d.abandon()
	d.held = held{}
	if d.target != None && d.layers[d.target] != nil {
		d.layers[d.target].RequestKeyFrame()
	}
}

// best is the highest layer wanted and allowed; if the publisher does not send
// it, the next lower one it sends, else the next higher one; None while paused,
// not bound or not started.
func (d *DownTrack) best(now time.Time) int {
	limit := min(d.wish.Layer, d.allowed.layer)
	if limit == None || !d.out.ready || !d.started {
		return None
	}
	live := func(i int) bool { return d.layers[i] != nil && d.layers[i].Live(now) }
	for i := limit; i >= 0; i-- {
		if live(i) {
			return i
		}
	}
	for i := limit + 1; i < MaxLayers; i++ {
		if live(i) {
			return i
		}
	}
	// None is live: stay with what there is, it may come back.
	if d.target != None && d.layers[d.target] != nil {
		return d.target
	}
	for i := limit; i >= 0; i-- {
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
	// What comes of a layer before its key frame does not leave, and need not wait.
	idle := i != d.current && d.paced == 0 && !d.held.on && (!p.KeyFrame || !p.Start)
	if idle || !d.video || d.line.pass(d, i, p) {
		d.take(i, p)
	}
}

// forwardAgain is Forward for a packet whose time to leave has come.
func (d *DownTrack) forwardAgain(w waiting, now time.Time) {
	layer := d.layers[w.layer]
	if layer == nil || !d.out.ready || int(w.layer) != d.current && int(w.layer) != d.target {
		return
	}
	s := d.worker.Scratch()
	n := layer.Get(w.seq, s.Read[:])
	if n == 0 || !d.worker.Parse(layer.Feed(), &s.Packet, s.Read[:n]) {
		return
	}
	s.Packet.Arrival, s.Packet.Now = w.arrival, now
	d.take(int(w.layer), &s.Packet)
	s.Packet = fanout.Packet{} // or an idle worker keeps the ring of a stream that has ended
}

// take deals with a packet of layer i.
func (d *DownTrack) take(i int, p *fanout.Packet) {
	switch {
	case i != d.current:
		d.watch(i, p)
		return
	case len(p.Payload) == 0:
		d.seq.Drop(p.Header.SequenceNumber)
		return
	case p.Unreadable:
		d.seq.Drop(p.Header.SequenceNumber)
		d.layers[i].RequestKeyFrame()
		return
	case !d.inTime(p):
		return
	}
	d.send(p)
	if d.midFrame {
		return
	}
	if !d.ending.IsZero() {
		d.finish()
	} else if d.held.on {
		d.release()
	}
}

// inTime leaves out the packets of temporal and spatial layers that are not
// wanted. A higher temporal layer is entered where it refers to nothing left out
// (layer sync, RFC 7741).
func (d *DownTrack) inTime(p *fanout.Packet) bool {
	if p.Scalable {
		return d.selected(p)
	}
	if !p.VP8OK || !p.VP8.T {
		return true
	}
	tid := int(p.VP8.TID)
	if p.VP8.Start {
		limit := d.temporalLimit()
		switch {
		case limit < d.temporal:
			d.temporal = limit
		case tid == d.temporal+1 && tid <= limit && p.VP8.Y:
			d.temporal = tid
		case p.KeyFrame:
			d.temporal = limit
		}
	}
	if tid <= d.temporal {
		return true
	}
	if d.seq.Drop(p.Header.SequenceNumber) {
		d.ids.vp8.Drop(p.VP8)
	}
	return false
}

// temporalLimit is the highest temporal layer to forward of the current layer: the
// bandwidth was shared out for the layer allowed, others are there in its stead.
func (d *DownTrack) temporalLimit() int {
	if d.current == d.allowed.layer {
		return d.allowed.temporal
	}
	return allTemporal
}

// selected is inTime for a scalable stream.
func (d *DownTrack) selected(p *fanout.Packet) bool {
	spatial, temporal := codec.MaxSpatial, d.temporalLimit()
	if d.stream() {
		spatial, temporal = min(d.wish.Layer, d.allowed.layer), d.allowed.temporal
	}
	d.svc.SetTarget(spatial, temporal)
	choice := d.svc.Select(&p.Frame)
	if choice.NeedKeyFrame {
		d.layers[d.current].RequestKeyFrame()
	}
	if !choice.Forward {
		d.seq.Drop(p.Header.SequenceNumber)
		return false
	}
	if choice.Begins {
		d.ids.begin(p)
	}
	d.spatial = int(choice.Layer.Spatial)
	if !p.KeyFrame && !p.Frame.Key && p.Frame.Spatial < choice.Layer.Spatial {
		d.nested = true
	}
	p.Header.Marker = choice.Marker
	d.ids.active = choice.Targets
	return true
}

// stream tells whether all layers of the track come in one stream (SVC).
func (d *DownTrack) stream() bool {
	return d.scalable && d.layers[MaxLayers-1] != nil && d.layers[0] == nil && d.layers[1] == nil
}

func (d *DownTrack) send(p *fanout.Packet) {
	out, ok := d.seq.Map(p.Header.SequenceNumber)
	if !ok {
		return
	}
	if e := d.history.get(out); !d.video && e != nil && e.src == p.Header.SequenceNumber {
		return // caught up with, and it was on its way too
	}
	e := sentPacket{
		out: out, src: p.Header.SequenceNumber, layer: uint8(d.current + 1),
		ts: d.clock.apply(p.Header.Timestamp, p.Arrival), marker: p.Header.Marker,
	}
	d.ids.next(&e, p)
	if last, ok := d.seq.Last(); ok && last == out {
		d.midFrame = !e.marker
	}
	payload, pt := p.Payload, d.out.pt
	if d.video {
		d.ids.patch(&e, p)
	} else {
		if payload, pt = d.sound(&e, p); len(payload) == 0 {
			return
		}
		d.line.audioNow += int64(len(payload) + uptrack.WireOverhead)
		d.replayed, d.replayedTo = true, p.Header.SequenceNumber
	}
	e.twcc = d.line.number(len(payload), p.Now)
	d.history.put(e, p.Now)
	descriptor := d.ids.descriptor(&e, p.Desc)
	if n := d.write(&e, pt, descriptor, payload); n > 0 {
		if !d.video && d.line.soundTwice {
			d.line.audioNow += int64(d.write(&e, pt, descriptor, payload))
		}
		d.packets++
		d.octets += uint32(len(payload))
		d.repairable = min(d.repairable+mostRepairs*n, maxRepairable)
		d.sent.Add(1)
	}
}

// write sends a packet of the stream as e says; it returns its size on the wire, 0 if
// that failed.
func (d *DownTrack) write(e *sentPacket, pt uint8, descriptor, payload []byte) int {
	h := rtp.Header{
		Version: 2, Marker: e.marker, PayloadType: pt, SequenceNumber: e.out, Timestamp: e.ts, SSRC: d.out.ssrc,
	}
	if d.out.egress.WriteRTP(d.header(h, e.twcc, descriptor), payload) != nil {
		return 0
	}
	return len(payload) + uptrack.WireOverhead
}

// header completes a packet's header with its extensions. It is valid until the
// next one is made.
func (d *DownTrack) header(h rtp.Header, twcc uint16, descriptor []byte) *rtp.Header {
	out := &d.out.header
	h.Extensions = out.Extensions[:0]
	*out = h
	var err error
	if d.out.descriptor != 0 && len(descriptor) > 0 {
		if len(descriptor) > 16 { // RFC 8285 section 4.2: the one-byte form has no longer elements
			out.Extension, out.ExtensionProfile = true, rtp.ExtensionProfileTwoByte
		}
		err = out.SetExtension(d.out.descriptor, descriptor)
	}
	if d.out.midID != 0 {
		err = errors.Join(err, out.SetExtension(d.out.midID, d.out.mid))
	}
	if d.out.twcc != 0 {
		binary.BigEndian.PutUint16(d.line.ext[:], twcc)
		err = errors.Join(err, out.SetExtension(d.out.twcc, d.line.ext[:]))
	}
	if err != nil {
		d.cfg.Log.Debug("header extension", "err", err)
	}
	return out
}

// tick is called every 200 ms: layers come and go, and reports are due.
func (d *DownTrack) tick(now time.Time) {
	d.choose(now)
	if !d.ending.IsZero() && now.Sub(d.ending) > maxHold {
		d.finish()
	}
	if d.video && d.target != None && d.target != d.current && d.layers[d.target].Live(now) {
		d.layers[d.target].RequestKeyFrame()
	}
	if d.wish.Layer == None && d.packets == 0 {
		d.open(now)
	}
	if d.out.ready && d.current != None && d.packets > 0 && now.Sub(d.lastReport) >= reportEvery {
		d.lastReport = now
		d.report(now)
	}
}
