package light

import (
	"encoding/binary"
	"time"
)

// Payload and feedback types of RTCP.
const (
	rtcpSR    = 200
	rtcpRR    = 201
	rtcpRTPFB = 205 // RFC 4585
	rtcpPSFB  = 206
	fmtNACK   = 1
	fmtTWCC   = 15
	fmtPLI    = 1
	fmtFIR    = 4
)

// ourSSRC is what reports come from, as in Chromium.
const ourSSRC = 1

const (
	// feedbackMin is the least time between two transport-wide reports, and feedbackShare
	// the part of the bitrate that they may take; feedbackMax is the time as long as no
	// bitrate is known: Chromium's.
	feedbackMin   = 50 * time.Millisecond
	feedbackMax   = 100 * time.Millisecond
	feedbackShare = 0.05
	feedbackBytes = 68 // of one, as Chromium reckons
	// maxArrivals bounds what one report tells of.
	maxArrivals = 2048

	twccTick = 250_000    // ns
	twccUnit = 64_000_000 // ns, of the reference time
)

// feedbackInterval is the time until the next transport-wide report, given the bits
// received per second.
func feedbackInterval(bitrate float64) time.Duration {
	if bitrate <= 0 {
		return feedbackMax
	}
	interval := time.Duration(feedbackBytes * 8 / (feedbackShare * bitrate) * float64(time.Second))
	return min(max(interval, feedbackMin), feedbackMax)
}

// arrivals remembers when which transport-wide number came, for the reports of
// draft-holmer-rmcat-transport-wide-cc-extensions-01. It is not safe for concurrent use.
type arrivals struct {
	started bool
	base    uint16  // number of the first entry
	at      []int64 // ns, 0: it did not come
	reports uint8   // that were made
}

// add enters a packet.
func (a *arrivals) add(number uint16, at int64) {
	if !a.started {
		a.started, a.base = true, number
	}
	i := int(int16(number - a.base))
	switch {
	case i < 0 && -i <= 64 && len(a.at) > 0:
		// It changed places with one that came first since the report before.
		a.at = append(make([]int64, -i, -i+len(a.at)), a.at...)
		a.base, i = number, 0
	case i < 0 || i >= maxArrivals:
		if i >= maxArrivals {
			a.at = a.at[:0]
			a.base, i = number, 0
			break
		}
		return // its number was told of as not received, or is nonsense
	}
	for len(a.at) <= i {
		a.at = append(a.at, 0)
	}
	a.at[i] = at
}

// report appends a report to b and forgets what it tells of. With nothing to tell it
// appends nothing.
func (a *arrivals) report(b []byte, mediaSSRC uint32) []byte {
	if len(a.at) == 0 {
		return b
	}
	first := a.at[0]
	for _, at := range a.at { // entry 0 came, unless it is one that others overtook
		if first == 0 {
			first = at
		}
	}
	reference := first / twccUnit
	begin := len(b)
	b = append(b, 0x80|fmtTWCC, rtcpRTPFB, 0, 0)
	b = binary.BigEndian.AppendUint32(b, ourSSRC)
	b = binary.BigEndian.AppendUint32(b, mediaSSRC)
	b = binary.BigEndian.AppendUint16(b, a.base)
	b = binary.BigEndian.AppendUint16(b, uint16(len(a.at)))
	b = append(b, byte(reference>>16), byte(reference>>8), byte(reference), a.reports)
	b = a.chunks(b, reference)
	b = a.deltas(b, reference)
	for padded := (len(b) - begin) % 4; padded != 0 && padded < 4; padded++ {
		b = append(b, 0)
	}
	binary.BigEndian.PutUint16(b[begin+2:], uint16((len(b)-begin)/4-1))
	a.base += uint16(len(a.at))
	a.at = a.at[:0]
	a.reports++
	return b
}

// steps calls f for every entry with the symbol of the draft, section 3.1.1 (0: not
// received, 1 and 2: bytes of the delta), and the delta in ticks.
func (a *arrivals) steps(reference int64, f func(symbol uint16, delta int64)) {
	last := reference * twccUnit / twccTick
	for _, at := range a.at {
		if at == 0 {
			f(0, 0)
			continue
		}
		tick := at / twccTick
		delta := min(max(tick-last, -1<<15), 1<<15-1)
		last += delta
		if delta >= 0 && delta < 256 {
			f(1, delta)
		} else {
			f(2, delta)
		}
	}
}

// chunks appends the packet chunks: a run where it takes less, else vectors of seven.
func (a *arrivals) chunks(b []byte, reference int64) []byte {
	var pending [7]uint16
	n, run := 0, 0
	var symbol uint16
	vector := func() {
		chunk := uint16(0xC000)
		for i := range n {
			chunk |= pending[i] << (12 - 2*i)
		}
		b = binary.BigEndian.AppendUint16(b, chunk)
		n = 0
	}
	flush := func() { // of the run
		for run > 0 && (n > 0 || run < 7) {
			pending[n] = symbol
			n, run = n+1, run-1
			if n == len(pending) {
				vector()
			}
		}
		for run > 0 {
			length := min(run, 1<<13-1)
			b = binary.BigEndian.AppendUint16(b, symbol<<13|uint16(length))
			run -= length
		}
	}
	a.steps(reference, func(next uint16, _ int64) {
		if run > 0 && next != symbol {
			flush()
		}
		symbol, run = next, run+1
	})
	flush()
	if n > 0 {
		vector()
	}
	return b
}

func (a *arrivals) deltas(b []byte, reference int64) []byte {
	a.steps(reference, func(symbol uint16, delta int64) {
		switch symbol {
		case 1:
			b = append(b, byte(delta))
		case 2:
			b = binary.BigEndian.AppendUint16(b, uint16(int16(delta)))
		}
	})
	return b
}

// appendNACK asks for packets (RFC 4585 section 6.2.1), whose numbers rise.
func appendNACK(b []byte, ssrc uint32, numbers []uint16) []byte {
	if len(numbers) == 0 {
		return b
	}
	begin := len(b)
	b = append(b, 0x80|fmtNACK, rtcpRTPFB, 0, 0)
	b = binary.BigEndian.AppendUint32(b, ourSSRC)
	b = binary.BigEndian.AppendUint32(b, ssrc)
	for len(numbers) > 0 {
		first, mask := numbers[0], uint16(0)
		numbers = numbers[1:]
		for len(numbers) > 0 && numbers[0]-first-1 < 16 {
			mask |= 1 << (numbers[0] - first - 1)
			numbers = numbers[1:]
		}
		b = binary.BigEndian.AppendUint16(b, first)
		b = binary.BigEndian.AppendUint16(b, mask)
	}
	binary.BigEndian.PutUint16(b[begin+2:], uint16((len(b)-begin)/4-1))
	return b
}

// appendPLI asks for a key frame (RFC 4585 section 6.3.1).
func appendPLI(b []byte, ssrc uint32) []byte {
	b = append(b, 0x80|fmtPLI, rtcpPSFB, 0, 2)
	b = binary.BigEndian.AppendUint32(b, ourSSRC)
	return binary.BigEndian.AppendUint32(b, ssrc)
}

// maxBlocks is how many streams one receiver report tells of (RFC 3550 section 6.4.2).
const maxBlocks = 31

// appendRR reports on at most maxBlocks streams.
func appendRR(b []byte, streams []*stream, now int64) []byte {
	b = append(b, 0x80|byte(len(streams)), rtcpRR)
	b = binary.BigEndian.AppendUint16(b, uint16(1+6*len(streams)))
	b = binary.BigEndian.AppendUint32(b, ourSSRC)
	for _, s := range streams {
		b = s.appendBlock(b, now)
	}
	return b
}

func (s *stream) appendBlock(b []byte, now int64) []byte {
	r := &s.report
	expected, received := s.expected-r.expected, s.stats.Packets-r.received
	r.expected, r.received = s.expected, s.stats.Packets
	fraction := uint64(0)
	if expected > received {
		fraction = min((expected-received)*256/expected, 255)
	}
	lost := min(s.expected-s.stats.Packets, 1<<23-1)
	b = binary.BigEndian.AppendUint32(b, s.ssrc)
	b = binary.BigEndian.AppendUint32(b, uint32(fraction)<<24|uint32(lost))
	b = binary.BigEndian.AppendUint32(b, uint32(s.highest-1<<16)) // see stream.begin
	b = binary.BigEndian.AppendUint32(b, uint32(r.jitter))
	b = binary.BigEndian.AppendUint32(b, r.sr)
	delay := uint32(0)
	if r.sr != 0 {
		delay = uint32((now - r.srAt) * 65536 / int64(time.Second))
	}
	return binary.BigEndian.AppendUint32(b, delay)
}
