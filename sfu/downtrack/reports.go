package downtrack

import (
	"time"

	"github.com/pion/rtcp"
)

// Report takes an RTCP packet of the subscriber's, compound or not, and copies it. It
// never blocks. Beyond 500 a second they are ignored.
func (l *Line) Report(packet []byte, now time.Time) {
	if !l.limiter.AllowN(now, 1) || !l.worker.Tell(l, packet, now) {
		l.tooMuch(now)
	}
}

func (l *Line) tooMuch(now time.Time) {
	if l.flooded.AllowN(now, 1) {
		l.cfg.Log.Warn("RTCP beyond the limit ignored", "perSecond", feedbackPerSecond)
	}
}

const (
	rtcpHeader  = 4  // bytes, RFC 3550 section 6.4.1
	maxCompound = 16 // packets of a compound that are acted on
)

// Told implements fanout.Line: it takes an RTCP packet apart, as far as it is one of a few.
func (l *Line) Told(packet []byte, at time.Time) {
	for n := 0; n < maxCompound && len(packet) >= rtcpHeader && packet[0]>>6 == 2; n++ {
		size := 4 * (1 + int(packet[2])<<8 + int(packet[3]))
		if size > len(packet) {
			break
		}
		l.told(packet[:size], at)
		packet = packet[size:]
	}
	if len(packet) > 0 {
		l.cfg.Log.Debug("RTCP of a subscriber is ignored", "bytes", len(packet))
	}
}

// told takes one packet of a compound.
func (l *Line) told(packet []byte, at time.Time) {
	kind, format := rtcp.PacketType(packet[1]), packet[0]&0x1F
	if kind == rtcp.TypeTransportSpecificFeedback && format == rtcp.FormatTCC { // they are the most
		l.estimate = true
		l.est.Feedback(packet, at)
		l.look(at)
		return
	}
	pkts, err := rtcp.Unmarshal(packet)
	if err != nil {
		l.cfg.Log.Debug("RTCP of a subscriber does not parse", "type", kind, "err", err)
		return
	}
	for _, pkt := range pkts {
		l.act(pkt, at)
	}
}

func (l *Line) act(pkt rtcp.Packet, at time.Time) {
	switch pkt := pkt.(type) {
	case *rtcp.ReceiverEstimatedMaximumBitrate:
		l.estimate = true
		l.est.REMB(int64(pkt.Bitrate), at)
	case *rtcp.PictureLossIndication:
		if d := l.stream(pkt.MediaSSRC); d != nil {
			d.wantsKeyFrame()
		}
	case *rtcp.FullIntraRequest:
		for _, e := range pkt.FIR {
			if d := l.stream(e.SSRC); d != nil {
				d.wantsKeyFrame()
			}
		}
	case *rtcp.TransportLayerNack:
		if d := l.stream(pkt.MediaSSRC); d != nil {
			d.resend(pkt.Nacks, at)
		}
	case *rtcp.ReceiverReport:
		l.received(pkt.Reports, at)
	case *rtcp.SenderReport:
		l.received(pkt.Reports, at)
	}
}

func (l *Line) received(reports []rtcp.ReceptionReport, at time.Time) {
	for _, r := range reports {
		if d := l.stream(r.SSRC); d != nil {
			d.received(r, at)
		}
	}
}

// stream finds the stream of an SSRC, nil if there is none.
func (l *Line) stream(ssrc uint32) *DownTrack {
	for _, d := range l.tracks {
		if d.out.ready && d.out.ssrc == ssrc {
			return d
		}
	}
	return nil
}
