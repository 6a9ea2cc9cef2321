package downtrack

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"diemcau/sfu/codec"
)

// FuzzForward has streams of every codec forward what a publisher may send, and
// asks for it again.
func FuzzForward(f *testing.F) {
	video := func(mime string) *streamBench {
		rtx := format(webrtc.MimeTypeRTX, 90000, testRTXPT)
		rtx.SDPFmtpLine = "apt=96"
		v := format(mime, 90000, testPT)
		return newStreamBench(f, Config{Kind: webrtc.RTPCodecTypeVideo, Codec: v.RTPCodecCapability}, mime, v, rtx)
	}
	sound := func(from string) *streamBench {
		opus := format(webrtc.MimeTypeOpus, 48000, testOpus)
		return newStreamBench(f, Config{Kind: webrtc.RTPCodecTypeAudio, Codec: opus.RTPCodecCapability}, from, opus, format(codec.MimeRED, 48000, testRED))
	}
	benches := []*streamBench{
		video(webrtc.MimeTypeVP8), video(webrtc.MimeTypeVP9), video(webrtc.MimeTypeAV1), video(webrtc.MimeTypeH264),
		sound(webrtc.MimeTypeOpus), sound(codec.MimeRED),
	}
	rtp := func(first, seq byte, rest ...byte) []byte {
		return append([]byte{first, testPT, 0, seq, 0, 0, seq, 0xC0, 0, 0, 0, 1}, rest...)
	}
	for _, b := range benches {
		b.plug()
		b.source.packets <- rtp(0x80, 0, 1) // it is live from now on
		b.source.packets <- []byte{0}
		b.tick()
	}
	f.Add(rtp(0x80, 1, 0x90, 0x80, 1, 0x10, 0, 0, 0x9d, 1, 0x2a, 64, 1, 180, 0), rtp(0x80, 2, 0x80, 0x80, 1, 1, 2, 3), rtp(0x80, 3, 0x90, 0x80, 2, 1, 2))
	f.Add(rtp(0x80, 1, 0xA8, 0x85, 1, 0xE1, 7, 1), rtp(0x80, 2, 0xE9, 5, 0x55, 7, 1), rtp(0xA0, 3, 0, 0, 3))
	f.Add(rtp(0x90, 1, 0xBE, 0xDE, 0, 1, 0x52, 0x80, 0, 1, 0x18, 0x0A), rtp(0x90, 2, 0x10, 0, 0, 1, 5, 0, 0, 0, 0x18), rtp(0x80, 3, 0x7C, 0x85, 0x88))
	f.Add(rtp(0x80, 1, 0xEF, 0x0F, 0, 2, 111, 1, 2, 3), rtp(0x80, 3, 111, 1), rtp(0x80, 200, 0xEF, 0, 4, 0, 111, 1))
	for _, name := range []string{"av1_l3t3", "vp9_l3t3_key"} {
		var raw [3][]byte
		for i, p := range capture(f, name)[:3] {
			var err error
			raw[i], err = p.Marshal()
			require.NoError(f, err)
		}
		f.Add(raw[0], raw[1], raw[2])
	}
	base := uint16(0)
	f.Fuzz(func(t *testing.T, first, second, third []byte) {
		base += 4 // the streams go on
		for _, b := range benches {
			b.t = t // f may not be used in here
			for _, p := range [][]byte{first, second, third} {
				if len(p) > maxPacket {
					continue // the stream gives no longer ones
				}
				if p = bytes.Clone(p); len(p) > 4 {
					binary.BigEndian.PutUint16(p[2:], base+uint16(p[3]))
				}
				b.source.packets <- p
			}
			b.source.packets <- []byte{0} // those before it are in the ring
			b.tick()
			all := &rtcp.TransportLayerNack{MediaSSRC: testSSRC}
			for _, p := range b.packets() {
				if own := p.SSRC == testSSRC || p.SSRC == testRTX; !own || len(p.Payload) > maxPacket {
					t.Fatalf("sent %d bytes as %d", len(p.Payload), p.SSRC)
				}
				all.Nacks = append(all.Nacks, rtcp.NackPair{PacketID: p.SequenceNumber})
			}
			b.worker.Do(func() { b.down.resend(all.Nacks, time.Now()) })
			b.settle()
			b.forget()
			for len(b.source.asked) > 0 {
				<-b.source.asked
			}
		}
	})
}
