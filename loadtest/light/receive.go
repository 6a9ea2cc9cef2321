package light

import (
	"encoding/binary"
	"time"

	"github.com/livekit/protocol/livekit"
)

// maxStreams bounds the streams that come unannounced.
const maxStreams = 4096

// receive enters a packet of media; the reading goroutine of the link calls it.
func (p *Participant) receive(l *link, packet []byte, at int64) {
	if isRTCP(packet) {
		p.receiveRTCP(l, packet, at)
		return
	}
	b := &p.books
	b.mu.Lock()
	defer b.mu.Unlock()
	var h header
	if h.read(packet, b.twccID) != nil {
		return
	}
	if h.hasTWCC {
		b.arrivals.add(h.twcc, at)
	}
	b.bytes += uint64(len(packet))
	c := b.codecs[h.pt]
	if c.name == nameRTX {
		b.repaired(l, &h, packet, at)
		return
	}
	s := b.streams[h.ssrc]
	if s == nil {
		if c.name == "" || len(b.list) >= maxStreams {
			b.unknown++
			return
		}
		s = b.assign(h.ssrc, c.clock == clockVideo, "") // its description is on the way
	}
	gaps := len(s.missing)
	n, fresh := s.add(&h, len(packet)-h.size-b.tag, at, false)
	if b.firstFrame == 0 && s.video {
		b.firstFrame = s.frames.first
		if b.firstVideo == 0 {
			b.firstVideo = at
		}
	}
	if len(s.missing) > gaps {
		b.numbers = s.ask(b.numbers[:0], at, b.roundTrip)
		b.out = appendNACK(b.out[:0], s.ssrc, b.numbers)
		_ = l.sendRTCP(b.out) // asked for again by makeReports if it does not get through
	}
	if p.o.Sample && fresh {
		b.sample(l, s, &h, packet, n, at)
	}
}

// decrypt opens a packet and returns its payload without padding, good until the next
// call. It fails for want of keys, which come a moment after the first packets may.
func (b *books) decrypt(l *link, h *header, packet []byte) ([]byte, bool) {
	open := l.open.Load()
	if open == nil {
		return nil, false
	}
	plain, err := open.DecryptRTP(b.plain[:0], packet, &b.header)
	if err != nil {
		b.refused++
		return nil, false
	}
	b.plain = plain
	if len(plain) < h.size {
		b.refused++
		return nil, false
	}
	return unpad(plain[h.size:], h.padded), true
}

// sample looks into a packet.
func (b *books) sample(l *link, s *stream, h *header, packet []byte, n, at int64) {
	payload, ok := b.decrypt(l, h, packet)
	if s.check == nil {
		s.check = &decodable{codec: b.codecs[h.pt].name, any: !ok} // what begins the stream may go unseen
	}
	if !ok {
		return
	}
	s.check.look(payload, n, h.marker)
	if sent, ok := stamped(payload, b.group.run); ok {
		b.measured.of(s, at, time.Duration(at-sent))
	}
}

// repaired enters what came on an RTX stream: the original's sequence number, then its
// payload (RFC 4588 section 4). Without a payload it is padding that probes.
func (b *books) repaired(l *link, h *header, packet []byte, at int64) {
	s := b.repairs[h.ssrc]
	if s == nil {
		b.unknown++
		return
	}
	payload, ok := b.decrypt(l, h, packet)
	if !ok || len(payload) < 2 {
		return
	}
	original := *h
	original.ssrc, original.sequence, original.padded = s.ssrc, binary.BigEndian.Uint16(payload), false
	_, fresh := s.add(&original, len(payload)-2, at, true)
	if fresh && b.measured != nil {
		if sent, ok := stamped(payload[2:], b.group.run); ok {
			b.measured.Repaired.Add(time.Duration(at - sent))
		}
	}
}

// receiveRTCP heeds reports and requests.
func (p *Participant) receiveRTCP(l *link, packet []byte, at int64) {
	open := l.open.Load()
	if open == nil {
		return
	}
	plain, err := open.DecryptRTCP(l.rtcp[:0], packet, nil)
	if err != nil {
		p.books.mu.Lock()
		p.books.refused++
		p.books.mu.Unlock()
		return
	}
	l.rtcp = plain
	for len(plain) >= 8 {
		size := 4 * (int(binary.BigEndian.Uint16(plain[2:])) + 1)
		if size < 8 || size > len(plain) {
			return
		}
		p.heedRTCP(plain[:size], at)
		plain = plain[size:]
	}
}

// heedRTCP takes one packet of a compound.
func (p *Participant) heedRTCP(b []byte, at int64) {
	count := b[0] & 0x1F
	switch kind := b[1]; {
	case kind == rtcpSR && len(b) >= 28:
		p.books.mu.Lock()
		if s := p.books.streams[binary.BigEndian.Uint32(b[4:])]; s != nil {
			s.report.sr, s.report.srAt = binary.BigEndian.Uint32(b[10:]), at
		}
		p.books.mu.Unlock()
		p.blocks(b[28:], int(count))
	case kind == rtcpRR:
		p.blocks(b[8:], int(count))
	case kind == rtcpRTPFB && count == fmtNACK && len(b) >= 12:
		if y := p.layer(binary.BigEndian.Uint32(b[8:])); y != nil {
			for b = b[12:]; len(b) >= 4; b = b[4:] {
				y.resend(binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]))
			}
		}
	case kind == rtcpPSFB && count == fmtPLI && len(b) >= 12:
		p.keyFrame(binary.BigEndian.Uint32(b[8:]))
	case kind == rtcpPSFB && count == fmtFIR:
		for b = b[min(12, len(b)):]; len(b) >= 8; b = b[8:] {
			p.keyFrame(binary.BigEndian.Uint32(b))
		}
	}
}

// blocks are the report blocks: the server knows the streams that they name.
func (p *Participant) blocks(b []byte, count int) {
	for ; count > 0 && len(b) >= 24; count-- {
		if y := p.layer(binary.BigEndian.Uint32(b)); y != nil {
			y.known.Store(true)
		}
		b = b[24:]
	}
}

func (p *Participant) keyFrame(ssrc uint32) {
	if y := p.layer(ssrc); y != nil {
		y.keyAsked.Add(1)
		y.source.RequestKeyFrame()
	}
}

// Times of the reports.
const (
	receiverReportEvery = time.Second
	askAgain            = 20 * time.Millisecond // while packets are missing
	keyAgain            = time.Second
)

// makeReports sends what a receiver has to tell, and returns when to go on.
func (p *Participant) makeReports(now time.Time) time.Time {
	b := &p.books
	at := now.UnixNano()
	b.mu.Lock()
	next := feedbackInterval(b.rate)
	ssrc, waiting := uint32(0), false
	out := b.out[:0]
	for _, s := range b.list {
		if !s.started {
			continue
		}
		ssrc = s.ssrc
		if len(s.missing) > 0 {
			b.numbers = s.ask(b.numbers[:0], at, b.roundTrip)
			out = appendNACK(out, s.ssrc, b.numbers)
			waiting = waiting || len(s.missing) > 0
		}
		if s.keyWanted && at-s.keyAskedAt > int64(keyAgain) {
			s.keyWanted, s.keyAskedAt = false, at
			s.stats.KeyAsked++
			out = appendPLI(out, s.ssrc)
		}
	}
	out = b.arrivals.report(out, ssrc)
	if len(out) > 0 {
		_ = p.sub.sendRTCP(out) // lost like others are
	}
	full := at-b.reportAt >= int64(receiverReportEvery)
	if full {
		b.reportAt = at
		b.rate = float64(b.bytes-b.rateBytes) * 8 / (float64(at-b.rateAt) / 1e9)
		b.rateAt, b.rateBytes = at, b.bytes
		out = b.receiverReports(p.sub, out[:0], at)
	}
	b.out = out
	ping := at-b.pingAt > int64(pingInterval)
	if ping {
		b.pingAt = at
	}
	b.mu.Unlock()
	if full {
		trip := p.sub.roundTrip()
		b.mu.Lock()
		b.roundTrip = int64(trip)
		b.mu.Unlock()
	}
	if ping {
		_ = p.request(&livekit.SignalRequest{Message: &livekit.SignalRequest_PingReq{
			PingReq: &livekit.Ping{Timestamp: now.UnixMilli(), Rtt: int64(p.books.roundTrip / 1e6)},
		}}) // the reader notices if it is broken
	}
	if waiting {
		next = min(next, askAgain)
	}
	return now.Add(next)
}

// receiverReports sends one packet for every maxBlocks streams.
func (b *books) receiverReports(l *link, out []byte, at int64) []byte {
	var streams []*stream
	send := func() {
		if len(streams) > 0 {
			out = appendRR(out[:0], streams, at)
			_ = l.sendRTCP(out) // lost like others are
			streams = streams[:0]
		}
	}
	for _, s := range b.list {
		if s.started && b.streams[s.ssrc] == s {
			if streams = append(streams, s); len(streams) == maxBlocks {
				send()
			}
		}
	}
	send()
	return out
}
