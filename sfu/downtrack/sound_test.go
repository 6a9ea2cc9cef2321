package downtrack

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"diemcau/sfu/codec"
	"diemcau/sfu/uptrack"
)

const (
	sourceOpus               = 111 // payload types: the publisher's
	testOpus, testRED        = 109, 64
	soundTicks        uint32 = 960 // 20 ms
)

// speech makes the packets of an audio source, in RED or not.
type speech struct {
	rng  *rand.Rand
	enc  *codec.REDEncoder // nil: plain Opus
	seq  uint16
	ts   uint32
	said [][]byte // the Opus payloads so far
}

func newSpeech(red bool) *speech {
	s := &speech{rng: rand.New(rand.NewPCG(1, 2)), seq: 65530, ts: 1 << 31}
	if red {
		s.enc = codec.NewREDEncoder(sourceOpus, 1)
	}
	return s
}

func (s *speech) next(size int) *rtp.Packet {
	opus := make([]byte, size)
	for i := range opus {
		opus[i] = byte(s.rng.Uint32())
	}
	s.said = append(s.said, opus)
	payload := opus
	if s.enc != nil {
		buf := make([]byte, maxPacket)
		payload = buf[:s.enc.Encode(buf, s.seq, s.ts, opus)]
	}
	p := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: s.seq, Timestamp: s.ts, SSRC: 1}, Payload: payload}
	s.seq++
	s.ts += soundTicks
	return p
}

func soundBench(t *testing.T, from string, red bool) *streamBench {
	formats := []webrtc.RTPCodecParameters{format(webrtc.MimeTypeOpus, 48000, testOpus)}
	if red {
		formats = append(formats, format("audio/red", 48000, testRED))
	}
	return newStreamBench(t, Config{
		Kind: webrtc.RTPCodecTypeAudio, Codec: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000},
	}, from, formats...)
}

// say feeds packets and returns the last sent.
func (b *streamBench) say(s *speech, n, size int) *rtp.Packet {
	for range n {
		b.feedPacket(s.next(size))
	}
	got := b.packets()
	require.NotEmpty(b.t, got)
	return got[len(got)-1]
}

func TestSoundAsTheSubscriberTakesIt(t *testing.T) {
	for _, c := range []struct {
		name           string
		from, red      bool // RED at the publisher, at the subscriber
		lost           uint8
		size           int
		payloadType    uint8
		redundantOnces int
	}{
		{"RED passes through", true, true, 0, 80, testRED, 1},
		{"RED is taken apart", true, false, 0, 80, testOpus, 0},
		{"RED is taken apart, whatever is lost", true, false, 100, 80, testOpus, 0},
		{"RED becomes more redundant", true, true, 30, 80, testRED, 3},
		{"Opus stays plain", false, true, 0, 80, testOpus, 0},
		{"Opus is made redundant", false, true, 3, 80, testRED, 1},
		{"Opus is made more redundant", false, true, 10, 80, testRED, 2},
		{"Opus for who takes no RED", false, false, 100, 80, testOpus, 0},
		{"long RED is taken apart for all", true, true, 0, longSound + 1, testOpus, 0},
		{"long RED is taken apart", true, false, 0, longSound + 1, testOpus, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			mime := codec.MimeOpus
			if c.from {
				mime = codec.MimeRED
			}
			b := soundBench(t, mime, c.red)
			b.plug()
			b.down.lost.Store(uint32(c.lost))
			s := newSpeech(c.from)
			b.feedPacket(s.next(c.size))
			b.tick()
			last := b.say(s, 10, c.size)
			require.Equal(t, c.payloadType, last.PayloadType)
			said := s.said[len(s.said)-1]
			if c.payloadType == testOpus {
				require.Equal(t, said, last.Payload)
				return
			}
			var blocks [codec.MaxREDBlocks]codec.REDBlock
			n, err := codec.ParseRED(last.Payload, &blocks)
			require.NoError(t, err)
			require.Equal(t, c.redundantOnces+1, n)
			for i, block := range blocks[:n] {
				back := n - 1 - i
				require.Equal(t, s.said[len(s.said)-1-back], block.Data)
				require.Equal(t, uint8(testOpus), block.PayloadType, "as the subscriber calls it")
			}
		})
	}
}

// TestEncryptedSoundPassesThrough: a client that decrypts a payload as a whole could
// make nothing of RED, whatever is lost.
func TestEncryptedSoundPassesThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opus := format(webrtc.MimeTypeOpus, 48000, testOpus)
		b := newStreamBench(t, Config{
			Kind: webrtc.RTPCodecTypeAudio, Codec: opus.RTPCodecCapability, Encrypted: true,
		}, codec.MimeOpus, opus, format(codec.MimeRED, 48000, testRED))
		b.plug()
		b.down.lost.Store(100)
		s := newSpeech(false)
		b.feedPacket(s.next(80))
		b.tick()
		last := b.say(s, 10, 80)
		require.Equal(t, uint8(testOpus), last.PayloadType)
		require.Equal(t, s.said[len(s.said)-1], last.Payload)
		before := len(b.packets())
		b.worker.Do(func() {
			b.down.resend([]rtcp.NackPair{{PacketID: last.SequenceNumber}}, time.Now())
		})
		b.settle()
		again := b.packets()[before:]
		require.Len(t, again, 1)
		require.Equal(t, last.Payload, again[0].Payload)
	})
}

func TestSoundIsSentAgainBitByBit(t *testing.T) {
	for _, from := range []string{codec.MimeRED, codec.MimeOpus} {
		t.Run(from, func(t *testing.T) {
			b := soundBench(t, from, true)
			b.plug()
			b.down.lost.Store(12)
			s := newSpeech(from == codec.MimeRED)
			b.feedPacket(s.next(80))
			b.tick()
			lost := b.say(s, 5, 80)
			b.down.lost.Store(0) // now the same packet would be made otherwise
			b.say(s, 5, 80)
			before := len(b.packets())
			nack, err := rtcp.Marshal([]rtcp.Packet{&rtcp.TransportLayerNack{
				MediaSSRC: testSSRC, Nacks: []rtcp.NackPair{{PacketID: lost.SequenceNumber}},
			}})
			require.NoError(t, err)
			b.hear(nack)
			got := b.packets()
			require.Len(t, got, before+1)
			want, err := lost.Marshal()
			require.NoError(t, err)
			again, err := got[before].Marshal()
			require.NoError(t, err)
			require.Equal(t, want, again)
		})
	}
}

// TestAStreamThatTakesOverLeavesNothingOut: what the other stream was to send, and the
// worker has not come to, is sent by the one that takes over, and nothing twice.
func TestAStreamThatTakesOverLeavesNothingOut(t *testing.T) {
	for _, waiting := range []int{0, 1, 10, maxReplayed} {
		t.Run(fmt.Sprint(waiting), func(t *testing.T) {
			b := soundBench(t, codec.MimeOpus, false)
			b.plug()
			s := newSpeech(false)
			b.feedPacket(s.next(80))
			b.tick()
			own := New(b.down.cfg, b.line, Wish{Layer: None})
			defer own.Close()
			own.SetLayer(MaxLayers-1, b.source.layer)
			_, err := own.Bind(b)
			require.NoError(t, err)
			own.Start()
			b.say(s, 5, 80)
			fed := make(chan struct{})
			b.worker.Do(func() {
				<-fed
				own.takeOver(b.down.wish, b.down, [MaxLayers]*uptrack.Layer{}, Wish{Layer: None})
			})
			for range waiting {
				b.hand(s.next(80))
			}
			close(fed)
			b.drain()
			b.say(s, 5, 80)
			got := b.packets()
			for i, p := range got {
				require.Equal(t, s.said[i], p.Payload, "packet %d", i)
			}
			require.Len(t, got, len(s.said))
		})
	}
}

func TestSoundGoesTwiceWhereMuchGetsLost(t *testing.T) {
	b := soundBench(t, codec.MimeOpus, false)
	b.plug()
	s := newSpeech(false)
	b.feedPacket(s.next(40))
	b.tick()
	b.say(s, 3, 40)
	b.forget()
	b.worker.Do(func() { b.line.soundTwice = true })
	b.say(s, 3, 40)
	got := b.packets()
	require.Len(t, got, 6)
	for i := 0; i < len(got); i += 2 {
		require.Equal(t, got[i], got[i+1], "the very packet")
	}
	require.Equal(t, got[0].SequenceNumber+1, got[2].SequenceNumber)
}
