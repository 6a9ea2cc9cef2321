package uptrack

import (
	"log/slog"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"diemcau/sfu/codec"
	"diemcau/sfu/fanout"
)

// FuzzPublisher feeds layers of every codec with what a publisher may send: RTP
// packets, one after the other in one piece.
func FuzzPublisher(f *testing.F) {
	rtp := func(first byte, rest ...byte) []byte {
		return append([]byte{first, 111, 0, 9, 0, 0, 3, 0xC0, 0, 0, 0, 7}, rest...)
	}
	f.Add(rtp(0x90, 0xBE, 0xDE, 0, 1, 0x10, 0x9e, 0, 0, 1, 2, 3), rtp(0x80, 0xEF, 0x0F, 0, 2, 111, 1, 2, 3))
	f.Add(rtp(0xA0, 1, 2, 3, 255), rtp(0x8F, 1, 2, 3))
	f.Add(rtp(0x90, 0xBE, 0xDE, 0xff, 0xff), rtp(0x90, 0x10, 0, 0, 2, 2, 4, 0x80, 0, 1, 0x80))
	f.Add(rtp(0x80, 0x90, 0x80, 1, 0x10, 0, 0, 0x9d, 1, 0x2a, 64, 1, 180, 0), rtp(0x80, 0x7C, 0x85, 0x88))
	f.Add(rtp(0x80, 0xA8, 0x85, 1, 0xE1, 7, 1), rtp(0x80, 0x18, 0x0A))
	pool := fanout.New(1, nil, slog.New(slog.DiscardHandler))
	packets := make(stream)
	var layers []*Layer
	for _, mime := range []string{codec.MimeVP8, codec.MimeVP9, codec.MimeAV1, codec.MimeH264, codec.MimeRED, codec.MimeOpus} {
		layers = append(layers, Start(Config{
			SSRC: 7, Mime: mime, ClockRate: 90000, LevelID: 1, DescriptorID: 2, Stream: packets, NACK: true,
			WriteRTCP: func([]rtcp.Packet) error { return nil },
			Ended:     func() {}, Onset: func() {}, Log: slog.New(slog.DiscardHandler),
		}, pool))
	}
	f.Cleanup(func() {
		close(packets)
		for _, l := range layers {
			l.Wait()
		}
		pool.Close()
	})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		for _, l := range layers {
			for _, p := range [][]byte{first, second} {
				if len(p) > maxPacket {
					continue // the stream gives no longer ones
				}
				before, _ := l.Counts()
				l.Take(append([]byte(nil), p...), time.Now())
				after, _ := l.Counts()
				h, ok := codec.ParseHeader(p)
				// One that came long ago may have made way for others that came late.
				if seq, known := l.Newest(); after > before && ok && known && seq == h.SequenceNumber && l.Get(seq, make([]byte, maxPacket)) == 0 {
					t.Fatalf("%s: the newest packet is not there", l.Mime())
				}
			}
			if r := l.TakeLevel(); r.DBov > 127 || r.Loud > r.Packets {
				t.Fatalf("%s: %+v", l.Mime(), r)
			}
		}
	})
}
