package transport

import (
	"time"

	"github.com/pion/rtcp"
)

// received is what is known of a stream that is received.
type received struct {
	ssrc     uint32
	rate     uint32    // Hz
	twcc     uint8     // header extension of the transport-wide sequence number; 0: none
	repair   bool      // it repairs another (RTX)
	repaired *received // which, once that is known
	pt       uint8     // of the newest packet

	told      func(ntp uint64, rtp uint32, at time.Time) // of sender reports; may be nil
	reportNTP uint64                                     // of the last sender report
	reportRTP uint32
	reportOn  time.Time

	counts
}

// counts is what was counted since the stream began (RFC 3550 appendix A.1, A.3 and A.8).
type counts struct {
	begun          bool
	fresh          bool   // something came since the last report
	base, top      uint32 // extended sequence numbers: of the first packet, and the highest
	packets        int64
	expectedBefore int64 // at the last report
	packetsBefore  int64
	transit        int64 // of the newest packet, in units of the clock
	jitter         float64
	again          int // packets put among those of the stream because they were sent again
	badSeq         uint32
}

const (
	maxDropout  = 3000
	maxMisorder = 1024
	noBadSeq    = 1 << 16
)

// count counts a packet. What was sent again does not count as received: the report tells of
// the path.
func (s *received) count(seq uint16, ts uint32, pt uint8, now time.Time) {
	ahead := int16(seq - uint16(s.top))
	switch {
	case !s.begun:
		s.counts = begin(seq)
	case ahead <= 0 && s.again > 0:
		s.again--
		return
	case ahead > 0 && ahead < maxDropout:
		s.top += uint32(ahead)
	case ahead <= 0 && ahead > -maxMisorder:
	case uint32(seq) == s.badSeq:
		s.counts = begin(seq)
	default:
		s.badSeq = uint32(seq + 1)
		return
	}
	s.fresh, s.pt = true, pt
	s.packets++
	if s.rate == 0 {
		return
	}
	// The difference of transit times, whatever the clocks show.
	transit := now.UnixNano()/1000*int64(s.rate)/1e6 - int64(ts)
	d := int64(int32(transit - s.transit))
	if s.packets > 1 {
		s.jitter += (float64(max(d, -d)) - s.jitter) / 16
	}
	s.transit = transit
}

func begin(seq uint16) counts {
	return counts{begun: true, base: uint32(seq), top: uint32(seq), badSeq: noBadSeq}
}

// report makes a block of a receiver report.
func (s *received) report(now time.Time) rtcp.ReceptionReport {
	expected := int64(s.top-s.base) + 1
	lost := min(max(expected-s.packets, 0), 0x7FFFFF)
	var fraction uint8
	if due := expected - s.expectedBefore; due > 0 {
		if missing := due - (s.packets - s.packetsBefore); missing > 0 {
			fraction = uint8(min(missing*256/due, 255))
		}
	}
	s.expectedBefore, s.packetsBefore, s.fresh = expected, s.packets, false
	b := rtcp.ReceptionReport{
		SSRC: s.ssrc, FractionLost: fraction, TotalLost: uint32(lost), LastSequenceNumber: s.top, Jitter: uint32(s.jitter),
	}
	if !s.reportOn.IsZero() {
		b.LastSenderReport = uint32(s.reportNTP >> 16)
		b.Delay = uint32(now.Sub(s.reportOn) * 65536 / time.Second)
	}
	return b
}
