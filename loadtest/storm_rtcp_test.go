package loadtest

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"
)

// feedbackStorm is a storm of a subscriber that sends RTCP.
type feedbackStorm struct {
	*storm
	mallory *peer
	got     *reception
	pc      *webrtc.PeerConnection
	ssrcs   []uint32 // of the streams that mallory receives
}

func newFeedbackStorm(t *testing.T) *feedbackStorm {
	s := &feedbackStorm{storm: newStorm(t)}
	s.mallory = join(t, s.room, offender)
	s.got = s.mallory.receives(s.video.pub.SID())
	sound := s.mallory.receives(s.sound.pub.SID())
	s.pc = s.mallory.room.LocalParticipant.GetSubscriberPeerConnection()
	s.ssrcs = []uint32{uint32(s.got.track.SSRC()), uint32(sound.track.SSRC())}
	s.got.flows(t, 25)
	s.watch()
	return s
}

// send writes packets as they are; once the server has hung up they go nowhere.
func (s *feedbackStorm) send(pkts ...rtcp.Packet) { _ = s.pc.WriteRTCP(pkts) }

// limited is what the server does and says of too much RTCP.
func (s *feedbackStorm) limited() {
	s.t.Helper()
	s.logged(offender, "RTCP beyond the limit ignored")
}

// nackOfAll is the n-th part of a NACK of every sequence number.
func nackOfAll(ssrc uint32, n int) *rtcp.TransportLayerNack {
	const pairs = 250
	nack := &rtcp.TransportLayerNack{SenderSSRC: 1, MediaSSRC: ssrc}
	for i := range pairs {
		nack.Nacks = append(nack.Nacks, rtcp.NackPair{PacketID: uint16((n*pairs + i) * 17), LostPackets: 0xffff})
	}
	return nack
}

// nackOfNewest asks for what was sent lately.
func nackOfNewest(ssrc uint32, newest uint16) *rtcp.TransportLayerNack {
	nack := &rtcp.TransportLayerNack{SenderSSRC: 1, MediaSSRC: ssrc}
	for i := range uint16(60) {
		nack.Nacks = append(nack.Nacks, rtcp.NackPair{PacketID: newest - 17*i, LostPackets: 0xffff})
	}
	return nack
}

func TestNACKStorm(t *testing.T) {
	s := newFeedbackStorm(t)
	const n = 5000
	before := s.got.account.Stats()
	s.blow(n, 2500, func(i int) {
		switch i % 4 {
		case 0, 1:
			s.send(nackOfNewest(s.ssrcs[i%2], s.got.newest()))
		case 2:
			s.send(nackOfAll(s.ssrcs[i/4%2], i/8))
		case 3: // streams of others, or of nobody
			s.send(nackOfAll(1000+uint32(i%512), i/4))
		}
	})
	s.got.flows(t, 25)
	st := s.got.account.Stats()
	t.Logf("%d NACKs: %d packets were sent again", n, st.Duplicates-before.Duplicates)
	require.Positive(t, st.Duplicates, "they are answered")
	require.LessOrEqual(t, st.Duplicates, 2*st.Packets, "in the long run")
	s.spared()
	s.limited()
	// Nothing is kept for who names streams without end.
	s.blow(n, 2500, func(i int) { s.send(nackOfAll(1<<20+uint32(i), 0)) })
	s.spared()
	s.bounded(40)
	s.limited()
}

func TestKeyFrameRequestStorm(t *testing.T) {
	s := newFeedbackStorm(t)
	const n = 5000
	before, began := s.looper.KeyFrameRequests(), time.Now()
	fir := &rtcp.FullIntraRequest{SenderSSRC: 1}
	s.blow(n, 2500, func(i int) {
		switch i % 4 {
		case 0, 1:
			s.send(&rtcp.PictureLossIndication{SenderSSRC: 1, MediaSSRC: s.ssrcs[0]})
		case 2:
			s.send(&rtcp.FullIntraRequest{SenderSSRC: 1, MediaSSRC: s.ssrcs[0], FIR: []rtcp.FIREntry{{SSRC: s.ssrcs[0], SequenceNumber: uint8(i)}}})
		case 3: // names very many streams that are nobody's
			fir.FIR = fir.FIR[:0]
			for k := range 140 {
				fir.FIR = append(fir.FIR, rtcp.FIREntry{SSRC: 1<<20 + uint32((i/4*140+k)%3500), SequenceNumber: uint8(i)})
			}
			s.send(fir)
		}
	})
	asked := s.looper.KeyFrameRequests() - before
	most := uint64(time.Since(began)/(300*time.Millisecond)) + 2
	t.Logf("%d requests in %v: the publisher was asked %d times", n, time.Since(began).Round(time.Millisecond), asked)
	require.Positive(t, asked, "they do reach the publisher")
	require.LessOrEqual(t, asked, most, "one in 300 ms")
	s.spared()
	s.bounded(40)
	s.limited()
}

// raw is an RTCP packet as it is, with a length that fits.
func raw(count, kind uint8, body ...byte) *rtcp.RawPacket {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	p := rtcp.RawPacket(append([]byte{0x80 | count, kind, byte(len(body) / 4 >> 8), byte(len(body) / 4)}, body...))
	return &p
}

// lyingTWCC is transport-wide feedback that cannot be true
// (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1).
func lyingTWCC(i int, ssrc uint32) *rtcp.RawPacket {
	const most = 0xffff
	base, reference := uint16(i*7919), uint32(i*104729)&0xffffff
	body := binary.BigEndian.AppendUint32(nil, 1)
	body = binary.BigEndian.AppendUint32(body, ssrc)
	head := func(status uint16) {
		body = binary.BigEndian.AppendUint16(body, base)
		body = binary.BigEndian.AppendUint16(body, status)
		body = append(body, byte(reference>>16), byte(reference>>8), byte(reference), byte(i))
	}
	run := func(symbol, n uint16) { body = binary.BigEndian.AppendUint16(body, symbol<<13|n) }
	switch i % 5 {
	case 0: // 65,535 packets, none of which came
		head(most)
		for range 9 {
			run(0, 8191)
		}
	case 1: // all of which came, without a word about when
		head(most)
		for range 9 {
			run(3, 8191)
		}
	case 2: // giant steps forwards
		head(500)
		run(2, 500)
		for range 500 {
			body = append(body, 0x7f, 0xff)
		}
	case 3: // and backwards
		head(500)
		run(2, 500)
		for range 500 {
			body = append(body, 0x80, 0)
		}
	case 4: // a thousand packets in no time, and no room for their deltas
		head(1000)
		run(1, 1000)
	}
	return raw(rtcp.FormatTCC, uint8(rtcp.TypeTransportSpecificFeedback), body...)
}

func TestFeedbackLies(t *testing.T) {
	s := newFeedbackStorm(t)
	const n = 4000
	s.blow(n, 2500, func(i int) {
		switch i % 6 {
		case 0, 1, 2, 3:
			s.send(lyingTWCC(i, s.ssrcs[0]))
		case 4: // up to 2^18 · 2^63 bit/s and down to nothing, for all and nobody
			s.send(raw(rtcp.FormatREMB, uint8(rtcp.TypePayloadSpecificFeedback), 0, 0, 0, 1, 0, 0, 0, 0,
				'R', 'E', 'M', 'B', 1, byte(i*43), 0xff, byte(i), byte(i>>8), 0, 0, 1))
		case 5: // another clock, and more lost than was sent
			s.send(&rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{
				SSRC: s.ssrcs[i/6%2], FractionLost: uint8(i), TotalLost: 0xffffff, LastSequenceNumber: uint32(i) << 20,
				LastSenderReport: uint32(i) << 16, Delay: 0xffffffff, Jitter: 0xffffffff,
			}}})
		}
	})
	s.spared()
	s.limited()
	// Mallory's own picture comes back when it tells the truth again.
	s.got.flows(t, 50)
	s.bounded(24)
}

// TestReportsThatDoNotParse: lengths that lie, and kinds that nobody knows.
func TestReportsThatDoNotParse(t *testing.T) {
	s := newFeedbackStorm(t)
	ssrc := binary.BigEndian.AppendUint32(nil, s.ssrcs[0])
	lie := func(words byte, p *rtcp.RawPacket) *rtcp.RawPacket {
		(*p)[3] = words
		return p
	}
	whole := append([]byte{0, 0, 0, 1}, ssrc...)
	kinds := []uint8{192, 200, 201, 202, 203, 204, 205, 206, 207, 208, 255}
	const n = 4000
	s.blow(n, 2500, func(i int) {
		kind := kinds[i%len(kinds)]
		count := uint8(i / len(kinds) % 32)
		switch i % 5 {
		case 0: // longer than the packet
			s.send(lie(0xff, raw(count, kind, whole...)))
		case 1: // shorter, so that the rest is another packet
			s.send(lie(0, raw(count, kind, whole...)))
		case 2: // more blocks than there are
			s.send(raw(31, kind, whole...))
		case 3: // padding that is longer than the packet
			p := raw(count|0x20, kind, append(whole, 0, 0, 0, 0xff)...)
			s.send(p)
		case 4: // an extended report (RFC 3611) of blocks that lie
			s.send(raw(count, 207, append(ssrc, 4, 0, 0xff, 0xff, 1, 2, 3, 4)...))
		}
	})
	s.spared()
	s.got.flows(t, 50)
	s.bounded(24)
}
