package light

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"

	"diemcau/loadtest/trace"
)

const (
	// ringTime is what a publisher keeps to send again, about that of Chromium.
	ringTime  = time.Second
	ringLeast = 32
	ringMost  = 1024
	// late is when a publisher is behind its times, and resync when it leaves out what it
	// is behind with.
	late   = 20 * time.Millisecond
	resync = 200 * time.Millisecond
	// paceOver is how many frames the mean pace of a publisher is of, about.
	paceOver = 16
	// senderReportEvery is the time between two sender reports of a stream.
	senderReportEvery = time.Second
)

// layer sends one RTP stream, and what is asked for of it again.
type layer struct {
	pub           *Publication
	o             LayerOptions
	source        Source
	rid           string
	ssrc, rtxSSRC uint32
	clock         uint32
	link          *link

	known    atomic.Bool // the server has reported on it: it needs no mid and rid any more
	keyAsked atomic.Uint64
	wanted   atomic.Bool // by dynacast
	run      *task
	report   *task

	mu          sync.Mutex // guards all below
	terms       agreement
	sequence    uint16
	rtxSequence uint16
	timestamp   uint32
	ring        []kept
	stats       PublishStats
	plain       []byte
	header      rtp.Header
	reported    PublishStats
	sentAt      time.Time // of the newest frame

	// Only run uses these.
	sample  *trace.Sample
	next    int
	frameAt time.Time
	paused  bool // until a key frame
	endedAt time.Time
	pace    time.Duration // mean time between two frames
}

// kept is a packet of the ring.
type kept struct {
	sequence  uint16
	timestamp uint32
	marker    bool
	used      bool
	payload   []byte
}

func newLayer(t *Publication, o LayerOptions, rid string) *layer {
	y := &layer{
		pub: t, o: o, source: o.Source, rid: rid, clock: clockVideo,
		ssrc: rand.Uint32() | 1, rtxSSRC: rand.Uint32() | 1, //nolint:gosec // no secrets
		sequence: uint16(rand.Uint32() >> 17), timestamp: rand.Uint32(), //nolint:gosec // nor these
	}
	if _, ok := o.Source.(*Voice); ok {
		y.clock = clockAudio
	}
	y.wanted.Store(true)
	return y
}

// start sends from then on, by the terms of the answer.
func (y *layer) start(terms agreement, at time.Time) {
	y.terms, y.link = terms, y.pub.p.pub
	size := min(max(ringLeast, int(float64(y.o.Bitrate)/8/800*ringTime.Seconds())), ringMost)
	y.ring = make([]kept, size)
	y.frameAt = at
	y.sample = y.source.Next()
	y.run = y.pub.p.group.media.add(at, y.step)
	y.report = y.pub.p.group.reports.add(at.Add(senderReportEvery/2), y.senderReport)
}

func (y *layer) stop() {
	y.run.stop()
	y.report.stop()
}

// enable is what dynacast says.
func (y *layer) enable(on bool) {
	if on && !y.wanted.Swap(on) {
		y.source.RequestKeyFrame()
	}
	y.wanted.Store(on)
}

// step sends a packet and returns when the next is to be sent.
func (y *layer) step(now time.Time) time.Time {
	s := y.sample
	if y.next == 0 {
		y.beginFrame(now)
	}
	if !y.paused && y.next < len(s.Payloads) {
		room := len(s.Payloads[y.next]) - s.Heads[y.next]
		y.send(s.Payloads[y.next], room >= stampBytes, y.next == len(s.Payloads)-1)
	}
	if y.next++; y.next < len(s.Payloads) && !y.paused {
		return y.frameAt.Add(s.Offsets[y.next])
	}
	y.endFrame(now)
	y.sample, y.next = y.source.Next(), 0
	y.frameAt = y.frameAt.Add(time.Duration(y.sample.Ticks) * time.Second / time.Duration(y.clock))
	if now.Sub(y.frameAt) > resync {
		y.frameAt = now // the time stamps go on as if nothing had been left out
	}
	return y.frameAt
}

// beginFrame gives the frame its timestamp, and leaves it out if nobody wants it.
func (y *layer) beginFrame(now time.Time) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.timestamp += y.sample.Ticks
	y.sentAt = now
	switch {
	case !y.wanted.Load():
		y.paused = true
	case y.sample.Key || y.clock == clockAudio:
		y.paused = false
	}
	if now.Sub(y.frameAt) > late {
		y.stats.Behind++
	}
	if y.sample.Key && !y.paused {
		y.stats.KeyFrames++
	}
}

// endFrame notes a pause of our own.
func (y *layer) endFrame(now time.Time) {
	took := now.Sub(y.endedAt)
	if !y.endedAt.IsZero() {
		if y.pace == 0 {
			y.pace = took
		}
		if took-y.pace > late && !y.paused {
			y.pub.late.note(now.Add(y.pace-took).UnixNano(), now.UnixNano())
		}
		y.pace += (took - y.pace) / paceOver
	}
	y.endedAt = now
}

// send seals and sends one packet, and keeps it.
func (y *layer) send(payload []byte, roomy, marker bool) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.sequence++
	b, twcc := y.head(y.terms.pt, y.sequence, y.timestamp, y.ssrc, marker, y.terms.rid)
	begin := len(b)
	b = append(b, payload...)
	y.plain = b
	var at func()
	if roomy {
		run := y.pub.p.group.run
		at = func() { stamp(b[begin:], run, time.Now().UnixNano()) }
	}
	if y.link.sendRTP(b, twcc, &y.header, at) != nil {
		y.sequence-- // the path is not there; what was not sent is not lost
		return
	}
	y.stats.Packets++
	y.stats.Bytes += uint64(len(payload))
	k := &y.ring[int(y.sequence)%len(y.ring)]
	*k = kept{sequence: y.sequence, timestamp: y.timestamp, marker: marker, used: true, payload: append(k.payload[:0], b[begin:]...)}
}

// head writes an RTP header with its extensions into the buffer, and returns where the
// transport-wide number is to stand, 0 for nowhere.
func (y *layer) head(pt uint8, sequence uint16, timestamp, ssrc uint32, marker bool, rid uint8) (b []byte, twcc int) {
	b = append(y.plain[:0], 0x80, pt, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	if marker {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], sequence)
	binary.BigEndian.PutUint32(b[4:], timestamp)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	b = append(b, 0xBE, 0xDE, 0, 0)
	const begin = 16
	if y.terms.twcc != 0 {
		b = append(b, y.terms.twcc<<4|1, 0, 0)
		twcc = len(b) - 2
	}
	if voice := y.pub.silent; voice != nil && y.terms.level != 0 {
		b = append(b, y.terms.level<<4, voice.level())
	}
	if !y.known.Load() {
		b = appendExtension(b, y.terms.mid, y.pub.mid)
		b = appendExtension(b, rid, y.rid)
	}
	if len(b) == begin {
		b[0] = 0x80
		return b[:12], 0
	}
	for (len(b)-begin)%4 != 0 {
		b = append(b, 0)
	}
	b[0] |= 0x10
	binary.BigEndian.PutUint16(b[14:], uint16((len(b)-begin)/4))
	return b, twcc
}

// appendExtension appends text in the one-byte form (RFC 8285 section 4.2).
func appendExtension(b []byte, id uint8, text string) []byte {
	if id == 0 || text == "" || len(text) > 16 {
		return b
	}
	return append(append(b, id<<4|uint8(len(text)-1)), text...)
}

// resend sends again what a NACK names: a packet and those of the 16 behind it whose
// bits are set.
func (y *layer) resend(first, mask uint16) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.ring == nil {
		return
	}
	y.resendOne(first)
	for i := uint16(1); mask != 0; i, mask = i+1, mask>>1 {
		if mask&1 != 0 {
			y.resendOne(first + i)
		}
	}
}

func (y *layer) resendOne(sequence uint16) {
	k := &y.ring[int(sequence)%len(y.ring)]
	if !k.used || k.sequence != sequence {
		y.stats.Gone++
		return
	}
	var b []byte
	var twcc int
	if y.terms.rtx != 0 {
		y.rtxSequence++
		b, twcc = y.head(y.terms.rtx, y.rtxSequence, k.timestamp, y.rtxSSRC, k.marker, y.terms.rrid)
		b = binary.BigEndian.AppendUint16(b, k.sequence)
	} else {
		b, twcc = y.head(y.terms.pt, k.sequence, k.timestamp, y.ssrc, k.marker, y.terms.rid)
	}
	b = append(b, k.payload...)
	y.plain = b
	if y.link.sendRTP(b, twcc, &y.header, nil) == nil {
		y.stats.Resent++
	}
}

// senderReport tells at which time of the clock which timestamp was (RFC 3550 section
// 6.4.1).
func (y *layer) senderReport(now time.Time) time.Time {
	y.mu.Lock()
	stats := y.stats
	timestamp := y.timestamp + uint32(now.Sub(y.sentAt).Seconds()*float64(y.clock))
	sending := stats.Packets > y.reported.Packets
	y.reported = stats
	y.mu.Unlock()
	if sending {
		b := append(make([]byte, 0, 28), 0x80, rtcpSR, 0, 6)
		b = binary.BigEndian.AppendUint32(b, y.ssrc)
		b = binary.BigEndian.AppendUint64(b, ntpTime(now))
		b = binary.BigEndian.AppendUint32(b, timestamp)
		b = binary.BigEndian.AppendUint32(b, uint32(stats.Packets))
		b = binary.BigEndian.AppendUint32(b, uint32(stats.Bytes))
		_ = y.link.sendRTCP(b) // lost like others are
	}
	return now.Add(senderReportEvery)
}

// ntpTime is in 1/2^32 s since 1900.
func ntpTime(t time.Time) uint64 {
	const since1900 = 2208988800
	ns := uint64(t.UnixNano())
	return (ns/1e9+since1900)<<32 | (ns%1e9)<<32/1e9
}

func (y *layer) sum() PublishStats {
	y.mu.Lock()
	defer y.mu.Unlock()
	s := y.stats
	s.KeyAsked = y.keyAsked.Load()
	return s
}
