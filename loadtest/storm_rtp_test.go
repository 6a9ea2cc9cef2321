package loadtest

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// rtpBytes is an RTP packet; first is the first byte, V and flags, and after it
// comes what follows the fixed header.
func rtpBytes(first byte, pt uint8, seq uint16, ts, ssrc uint32, rest ...byte) []byte {
	b := []byte{first, pt}
	b = binary.BigEndian.AppendUint16(b, seq)
	b = binary.BigEndian.AppendUint32(b, ts)
	b = binary.BigEndian.AppendUint32(b, ssrc)
	return append(b, rest...)
}

// rtpStorm makes the packets of a publisher that does not behave.
type rtpStorm struct {
	p    *rawPublisher
	rand *rand.Rand
	seq  uint16
	kept [][]byte // sealed before
}

// honest sends the next packet of the stream.
func (s *rtpStorm) honest() {
	s.seq++
	level := []byte{0xBE, 0xDE, 0, 1, rawLevelID << 4, 0x80 | 30, 0, 0}
	b := s.p.sealed(rtpBytes(0x90, rawPayload, s.seq, uint32(s.seq)*960, rawSSRC, append(level, opusFrame...)...))
	s.p.write(b)
	if s.kept = append(s.kept, b); len(s.kept) > 200 {
		s.kept = s.kept[1:]
	}
}

// foreign sends a packet of a stream that was not announced.
func (s *rtpStorm) foreign(ssrc uint32) {
	s.p.write(s.p.sealed(rtpBytes(0x80, rawPayload, uint16(ssrc), 0, ssrc, make([]byte, 1000)...)))
}

// hostile sends the i-th kind of thing that ought not to be sent.
func (s *rtpStorm) hostile(i int) {
	p, payload := s.p, make([]byte, 60)
	next := uint16(0x4000 + i) // far from the honest ones
	switch i % 12 {
	case 0, 1: // the same bytes again
		p.write(s.kept[s.rand.IntN(len(s.kept))])
	case 2: // streams of nobody
		s.foreign(1000 + uint32(s.rand.IntN(500)))
	case 3: // padding longer than the packet, or of no length
		payload[len(payload)-1] = byte(255 * (i / 12 % 2))
		p.write(p.sealed(rtpBytes(0xA0, rawPayload, next, 0, rawSSRC, payload...)))
	case 4: // padding and nothing else, not even its length
		p.write(p.sealed(rtpBytes(0xA0, rawPayload, next, 0, rawSSRC)))
	case 5: // more contributing sources than the packet holds
		b := p.sealed(rtpBytes(0x80, rawPayload, next, 0, rawSSRC, payload[:8]...))
		b[0] |= 0x0F
		p.write(b)
	case 6: // an extension longer than the packet
		b := p.sealed(rtpBytes(0x90, rawPayload, next, 0, rawSSRC, append([]byte{0xBE, 0xDE, 0, 1, rawLevelID << 4, 30, 0, 0}, payload...)...))
		b[14], b[15] = 0xff, 0xff
		p.write(b)
	case 7: // elements that are not what was agreed: a level of 16 bytes, a mid of nobody's, a number cut short
		elements := [][]byte{
			append([]byte{rawLevelID<<4 | 0x0F}, make([]byte, 19)...),
			{rawMidID<<4 | 2, 'n', 'o', 't'}, {rawTwccID << 4, 1, 0, 0}, {0x50, 1, 2, 3}, {0xF0, 0, 0, 0}, {0, 0, 0, 0},
		}
		e := elements[i/12%len(elements)]
		head := []byte{0xBE, 0xDE, 0, byte(len(e) / 4)}
		b := p.sealed(rtpBytes(0x90, rawPayload, next, 0, rawSSRC, slices.Concat(head, e, payload)...))
		if e[0] == 0x50 {
			b[16] = 0x5F // longer than the extension
		}
		p.write(b)
	case 8: // another codec's payload type, the numbers far ahead and back
		p.write(p.sealed(rtpBytes(0x80, uint8(96+i/12%16), uint16(i)*16384+1, uint32(i)<<28, rawSSRC, payload...)))
	case 9: // cut short
		b := s.kept[0]
		p.write(b[:s.rand.IntN(len(b))])
	case 10: // reports that lie about their length and count
		kind, words := uint8(200+i/12%8), byte(s.rand.IntN(256))
		b := append([]byte{0x9F, kind, 0, words}, payload[:48]...)
		binary.BigEndian.PutUint32(b[4:], rawSSRC)
		p.write(p.sealedRTCP(b))
	case 11: // noise, also such as looks like STUN or DTLS
		for k := range payload {
			payload[k] = byte(s.rand.Uint32())
		}
		payload[0] = []byte{0, 1, 20, 22, 63, 64, 0x80, 0xBF, 0xFF}[i/12%9]
		p.write(payload)
	}
}

func TestRTPStorm(t *testing.T) {
	s := newStorm(t)
	p := publishRaw(t, s.room, offender)
	mallory := &rtpStorm{p: p, rand: rand.New(rand.NewPCG(1, 2))}
	for range 50 {
		mallory.honest()
	}
	s.bich.told("TrackPublished", offender, p.sid)
	s.blow(50, 100, func(int) { mallory.honest() })
	heard := s.bich.receives(p.sid)
	s.watch()
	const n = 3000
	s.blow(n, 2500, func(i int) {
		if i%50 == 0 {
			mallory.honest()
		}
		mallory.hostile(i)
	})
	s.spared()
	require.Zero(t, heard.account.Stats().Duplicates, "what is sent again does not get through")
	// Who sends streams without end is cut off.
	s.blow(n, 2500, func(i int) { mallory.foreign(1<<20 + uint32(i)) })
	s.logged(offender, "peer exceeds a limit")
	s.spared()
	s.bounded(32)
}
