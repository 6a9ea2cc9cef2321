package codec

import (
	"testing"

	"github.com/pion/rtp/codecs"
	"github.com/stretchr/testify/require"
)

func TestKeyFrameAndStart(t *testing.T) {
	tests := map[string]struct {
		mime       string
		payload    []byte
		key, start bool
	}{
		"VP8 key frame":                      {"video/VP8", append([]byte{0x10}, keyFrame854x480...), true, true},
		"VP8 key frame, lower case":          {"video/vp8", append([]byte{0x10}, keyFrame854x480...), true, true},
		"VP8 inter frame":                    {"video/VP8", []byte{0x10, 0x01}, false, true},
		"VP8 continuation":                   {"video/VP8", []byte{0x00, 0x00}, false, false},
		"VP8 broken":                         {"video/VP8", []byte{0x90}, false, false},
		"VP9 key frame":                      {"video/VP9", []byte{0x08, 0x01}, true, true},
		"VP9 key frame, end":                 {"video/VP9", []byte{0x04, 0x01}, false, false},
		"VP9 inter frame":                    {"video/VP9", []byte{0x48, 0x01}, false, true},
		"VP9 short picture id":               {"video/VP9", []byte{0x88, 0x05, 0x01}, true, true},
		"VP9 long picture id, lowest layer":  {"video/VP9", []byte{0xA8, 0x85, 0x01, 0xE1, 0x07, 0x01}, true, true},
		"VP9 long picture id, upper layer":   {"video/VP9", []byte{0xA8, 0x85, 0x01, 0xE3, 0x07, 0x01}, false, false},
		"VP9 layers without picture id":      {"video/VP9", []byte{0x28, 0x10, 0x07, 0x01}, true, true},
		"VP9 inter frame in the lowest":      {"video/VP9", []byte{0x68, 0x10, 0x07, 0x01}, false, true},
		"VP9 cut before the layers":          {"video/VP9", []byte{0xA8, 0x85, 0x01}, false, false},
		"VP9 cut in the picture id":          {"video/VP9", []byte{0x88, 0x85}, false, false},
		"VP9 cut behind the descriptor":      {"video/VP9", []byte{0x88, 0x05}, false, false},
		"VP9 nothing":                        {"video/VP9", nil, false, false},
		"AV1 coded video sequence":           {"video/AV1", []byte{0x18, 0x0A}, true, true},
		"AV1 inter frame":                    {"video/AV1", []byte{0x10, 0x32}, false, true},
		"AV1 continuation":                   {"video/AV1", []byte{0x90, 0x32}, false, false},
		"AV1 continuation cannot be the one": {"video/AV1", []byte{0x98, 0x32}, false, false},
		"AV1 header alone":                   {"video/AV1", []byte{0x18}, false, false},
		"Opus":                               {"audio/opus", []byte{0x18, 0x0A}, false, false},
		"no media type":                      {"", []byte{0x10, 0x00}, false, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tt.key, KeyFrame(tt.mime, tt.payload), "key frame")
			require.Equal(t, tt.start, FrameStart(tt.mime, tt.payload), "start")
		})
	}
}

// FuzzKeyFrame checks all media types: a key frame starts a frame (but for
// H.264, where any slice of it counts), and VP9 is compared with Pion's parser.
func FuzzKeyFrame(f *testing.F) {
	f.Add([]byte{0xA8, 0x85, 0x01, 0xE1, 0x07, 0x01})
	f.Add([]byte{0x28, 0x10, 0x07, 0x01})
	f.Add([]byte{0x18, 0x0A})
	f.Add(append([]byte{0x90, 0x80, 0x01}, keyFrame854x480...))
	f.Add([]byte{0x7C, 0x85, 0x88})
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, mime := range []string{MimeVP8, MimeVP9, MimeAV1} {
			if KeyFrame(mime, payload) && !FrameStart(mime, payload) {
				t.Fatalf("%s: a key frame that does not start", mime)
			}
		}
		if KeyFrame(MimeH264, payload) != H264KeyFrame(payload) || FrameStart(MimeH264, payload) != H264Start(payload) {
			t.Fatal("H.264 is answered otherwise")
		}
		var p codecs.VP9Packet
		if _, err := p.Unmarshal(payload); err != nil {
			return
		}
		if len(p.Payload) == 0 {
			return
		}
		start := p.B && p.SID == 0
		if FrameStart(MimeVP9, payload) != start || KeyFrame(MimeVP9, payload) != (start && !p.P) {
			t.Fatalf("VP9 start %v, key frame %v of %+v", FrameStart(MimeVP9, payload), KeyFrame(MimeVP9, payload), p)
		}
	})
}

func BenchmarkKeyFrame(b *testing.B) {
	for mime, payload := range map[string][]byte{
		"video/VP8":  append([]byte{0x10}, keyFrame854x480...),
		"video/H264": {0x7C, 0x85, 0x88},
		"video/VP9":  {0xA8, 0x85, 0x01, 0xE1, 0x07, 0x01},
		"video/AV1":  {0x18, 0x0A},
	} {
		b.Run(mime, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if !KeyFrame(mime, payload) {
					b.Fatal("not a key frame")
				}
			}
		})
	}
}
