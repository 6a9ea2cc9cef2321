package downtrack

import (
	"encoding/binary"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"diemcau/sfu/codec"
	"diemcau/sfu/fanout"
	"diemcau/sfu/uptrack"
)

const (
	ntpEpoch      = 2208988800 // seconds from 1900 to 1970
	defaultRTT    = 100 * time.Millisecond
	maxNackedOnce = 64      // packets resent for one NACK message
	maxRepairable = 1 << 20 // bytes resent at once; what is sent makes up for them
	mostRepairs   = 2       // bytes resent for each byte sent: on a lossy path all of it goes twice
	padOnly       = 255
)

// sentPacket is how a packet was sent, so that it can be sent again alike.
type sentPacket struct {
	ts       uint32
	out, src uint16
	twcc     uint16 // transport-wide sequence number it was sent with
	pic      uint16
	dd       codec.DDMapping
	layer    uint8 // counted from 1; 0 in an entry that is not in use
	marker   bool
	tl0      uint8
	keyIdx   uint8
	resentAt int64 // unix nanoseconds
}

// history is a ring by outgoing sequence number, made when something is sent. It grows
// until it holds what is sent in two seconds.
type history struct {
	size   int // packets at most
	ring   []sentPacket
	lately int       // packets since then
	since  time.Time // at most a second ago
}

const firstHistory = 64 // packets

func (h *history) put(e sentPacket, now time.Time) {
	switch {
	case h.ring == nil:
		h.ring = make([]sentPacket, min(firstHistory, h.size))
	case now.Sub(h.since) > time.Second:
		h.lately, h.since = 0, now
	}
	if h.lately++; 2*h.lately > len(h.ring) && len(h.ring) < h.size {
		h.grow()
	}
	h.ring[int(e.out)%len(h.ring)] = e
}

func (h *history) grow() {
	old := h.ring
	h.ring = make([]sentPacket, min(2*len(old), h.size))
	for _, e := range old {
		if e.layer != 0 {
			h.ring[int(e.out)%len(h.ring)] = e
		}
	}
}

func (h *history) get(out uint16) *sentPacket {
	if h.ring == nil {
		return nil
	}
	e := &h.ring[int(out)%len(h.ring)]
	if e.layer == 0 || e.out != out {
		return nil
	}
	return e
}

func (h *history) clear() { clear(h.ring) }

// received takes a receiver's report of the stream.
func (d *DownTrack) received(r rtcp.ReceptionReport, now time.Time) {
	d.lost.Store(uint32(r.FractionLost))
	d.lostAt.Store(now.UnixNano())
	if at, ok := d.reports.at(r.LastSenderReport); ok {
		// RTT, RFC 3550 section 6.4.1: now - LSR - DLSR.
		rtt := now.Sub(at) - time.Duration(r.Delay)*time.Second/65536
		d.rtt.Store(int64(max(rtt, time.Millisecond)))
		d.line.est.SetRTT(max(rtt, time.Millisecond))
	}
}

// wantsKeyFrame answers a PLI or FIR.
func (d *DownTrack) wantsKeyFrame() {
	d.asked.Add(1)
	if d.current != None && d.layers[d.current] != nil {
		d.layers[d.current].RequestKeyFrame()
	}
}

// resend answers a NACK (RFC 4585 section 6.2.1), by RTX (RFC 4588) where it was
// negotiated. A packet already resent within the round-trip time is left out: the
// copy may still be on its way. In the long run no more than twice of what was sent
// is sent again: who asks for more does not repair a stream.
func (d *DownTrack) resend(pairs []rtcp.NackPair, now time.Time) {
	if !d.out.ready || d.video && d.line.behind {
		return // it would only lengthen the queue; who still wants it asks again
	}
	rtt := time.Duration(d.rtt.Load())
	if rtt == 0 {
		rtt = defaultRTT
	}
	rtt += d.line.est.Stats().QueueDelay
	budget := maxNackedOnce
	for _, pair := range pairs {
		for _, out := range pair.PacketList() {
			e := d.history.get(out)
			if e == nil || now.UnixNano()-e.resentAt < int64(rtt) {
				continue
			}
			if budget--; budget < 0 || d.repairable <= 0 {
				return
			}
			if !d.resendOne(*e, now) {
				continue
			}
			e.resentAt = now.UnixNano()
			d.resent.Add(1)
			if d.line.lossy {
				d.resendOne(*e, now) // the first may be lost as well, and be asked for a round trip later only
			}
		}
	}
}

func (d *DownTrack) resendOne(e sentPacket, now time.Time) bool {
	n := d.fetch(e, now)
	d.line.repairs += int64(n)
	d.repairable -= n
	return n > 0
}

// fetch reads a packet from its layer's ring and sends it again; it returns its
// size on the wire, 0 if that was not possible.
func (d *DownTrack) fetch(e sentPacket, now time.Time) int {
	if !d.video {
		return d.soundAgain(e)
	}
	layer := d.layers[e.layer-1]
	if layer == nil {
		return 0
	}
	s := d.worker.Scratch()
	n := layer.Get(e.src, s.Read[:])
	p := fanout.Packet{}
	start, end, ok := codec.PayloadRange(s.Read[:n])
	if !ok || start == end {
		return 0
	}
	p.Payload = s.Read[start:end]
	if id := layer.Feed().DescriptorID(); id != 0 && d.scalable {
		p.Desc = codec.HeaderExtension(s.Read[:n], id)
	}
	d.ids.read(&p, d.mime)
	d.ids.patch(&e, &p)
	descriptor := d.ids.descriptor(&e, p.Desc)
	if d.out.rtxSSRC == 0 || len(p.Payload)+2 > len(s.Made) {
		// The very packet again, with its old transport-wide number: the same index
		// must not be sealed with other bytes (RFC 7714 section 8.3).
		return d.write(&e, d.out.pt, descriptor, p.Payload)
	}
	// RFC 4588 section 4: the original sequence number, then the payload.
	binary.BigEndian.PutUint16(s.Made[:], e.out)
	copy(s.Made[2:], p.Payload)
	return d.writeRTX(rtp.Header{Marker: e.marker, Timestamp: e.ts}, s.Made[:2+len(p.Payload)], descriptor, now)
}

func (d *DownTrack) writeRTX(h rtp.Header, payload, descriptor []byte, now time.Time) int {
	h.Version, h.PayloadType, h.SSRC, h.SequenceNumber = 2, d.out.rtxPT, d.out.rtxSSRC, d.out.rtxSeq
	d.out.rtxSeq++
	twcc := d.line.number(len(payload), now)
	if d.out.egress.WriteRTP(d.header(h, twcc, descriptor), payload) != nil {
		return 0
	}
	return len(payload) + uptrack.WireOverhead
}

// canPad tells whether padding can be sent in the stream.
func (d *DownTrack) canPad() bool {
	return d.video && d.out.ready && d.started && d.out.rtxSSRC != 0 && d.out.twcc != 0 && d.packets > 0
}

// padding sends a packet that the receiver needs not: one of padding only, on the
// RTX stream, where it counts neither as media nor as loss. (Recent packets sent
// again would be larger, but libwebrtc takes those of frames that it has yet to
// decode for new ones.)
func (d *DownTrack) padding(now time.Time) bool {
	if !d.canPad() {
		return false
	}
	pad := d.worker.Scratch().Made[:padOnly]
	clear(pad)
	pad[padOnly-1] = padOnly // RFC 3550 section 5.1
	return d.writeRTX(rtp.Header{Padding: true, Timestamp: d.clock.last}, pad, nil, now) > 0
}

// reportLog remembers when the last sender reports left, by the middle 32 bits
// of their NTP time, which receivers send back.
type reportLog struct {
	sent [8]struct {
		mid uint32
		at  time.Time
	}
	next int
}

func (l *reportLog) add(ntp uint64, at time.Time) {
	l.sent[l.next].mid, l.sent[l.next].at = uint32(ntp>>16), at
	l.next = (l.next + 1) % len(l.sent)
}

func (l *reportLog) at(mid uint32) (time.Time, bool) {
	for _, s := range l.sent {
		if mid != 0 && s.mid == mid {
			return s.at, true
		}
	}
	return time.Time{}, false
}

// report sends a sender report. Where the publisher reported, its clock is
// kept, so that sound and picture of one publisher stay in step at the
// subscriber; else ours stands in.
func (d *DownTrack) report(now time.Time) {
	sr := rtcp.SenderReport{SSRC: d.out.ssrc, PacketCount: d.packets, OctetCount: d.octets}
	if base := d.layers[d.current].Report(); base != nil {
		d.clock.rebase(base)
		since := now.Sub(base.Arrival)
		sr.NTPTime = base.NTP + ntpDuration(since)
		sr.RTPTime = base.RTP + d.clock.offset + d.clock.ticks(since)
	} else {
		sr.NTPTime = ntpTime(now)
		sr.RTPTime = d.clock.last + d.clock.ticks(now.Sub(d.clock.lastAt))
	}
	d.reports.add(sr.NTPTime, now)
	if err := d.out.egress.WriteRTCP([]rtcp.Packet{&sr}); err != nil {
		d.cfg.Log.Debug("sender report", "track", d.cfg.TrackID, "err", err)
	}
}

// ntpTime is t as 32.32 fixed-point seconds since 1900 (RFC 5905 section 6).
func ntpTime(t time.Time) uint64 {
	return ntpDuration(time.Duration(t.UnixNano())) + ntpEpoch<<32
}

// ntpDuration is d, not negative, as 32.32 fixed-point seconds.
func ntpDuration(d time.Duration) uint64 {
	sec, frac := uint64(d/time.Second), uint64(d%time.Second)
	return sec<<32 + frac<<32/uint64(time.Second)
}
