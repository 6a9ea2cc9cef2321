package codec

import (
	"bytes"
	"testing"

	"github.com/pion/rtp/codecs"
	"github.com/stretchr/testify/require"
)

// keyFrame854x480 is the start of a key frame as libvpx encodes it.
var keyFrame854x480 = []byte{0x70, 0xE8, 0x00, 0x9D, 0x01, 0x2A, 0x56, 0x03, 0xE0, 0x01, 0x00, 0x07, 0x08, 0x85}

func TestParseVP8(t *testing.T) {
	join := func(descriptor ...byte) []byte { return append(descriptor, keyFrame854x480...) }
	tests := map[string]struct {
		payload []byte
		want    VP8
	}{
		"shortest, inter frame": {
			[]byte{0x10, 0x01}, VP8{Start: true, HeaderSize: 1},
		},
		"continuation, non-reference": {
			[]byte{0x20, 0x00}, VP8{NonRef: true, HeaderSize: 1},
		},
		"start of another partition": {
			[]byte{0x11, 0x00}, VP8{HeaderSize: 1},
		},
		"key frame": {
			join(0x10), VP8{Start: true, HeaderSize: 1, KeyFrame: true, Width: 854, Height: 480},
		},
		"key frame, scaling bits": {
			[]byte{0x10, 0x70, 0xE8, 0x00, 0x9D, 0x01, 0x2A, 0x40, 0x41, 0xB4, 0x80},
			VP8{Start: true, HeaderSize: 1, KeyFrame: true, Width: 320, Height: 180},
		},
		"key frame without its start code": {
			[]byte{0x10, 0x70, 0xE8, 0x00, 0x9D, 0x01, 0x2B, 0x56, 0x03, 0xE0, 0x01},
			VP8{Start: true, HeaderSize: 1, KeyFrame: true},
		},
		"key frame with a short header": {
			[]byte{0x10, 0x70, 0xE8, 0x00, 0x9D, 0x01, 0x2A, 0x56, 0x03, 0xE0},
			VP8{Start: true, HeaderSize: 1, KeyFrame: true},
		},
		"extension without fields": {
			[]byte{0x90, 0x00, 0x01}, VP8{Start: true, X: true, HeaderSize: 2},
		},
		"7-bit picture id": {
			[]byte{0x90, 0x80, 0x7F, 0x01}, VP8{Start: true, X: true, I: true, PictureID: 127, HeaderSize: 3},
		},
		"15-bit picture id": {
			[]byte{0x90, 0x80, 0xFF, 0xFE, 0x01},
			VP8{Start: true, X: true, I: true, PictureID: 0x7FFE, PictureIDLong: true, HeaderSize: 4},
		},
		"TL0PICIDX alone": {
			[]byte{0x90, 0x40, 0xC8, 0x01}, VP8{Start: true, X: true, L: true, TL0PicIdx: 200, HeaderSize: 3},
		},
		"TID without KEYIDX": {
			[]byte{0x90, 0x20, 0xBF, 0x01}, VP8{Start: true, X: true, T: true, TID: 2, Y: true, HeaderSize: 3},
		},
		"KEYIDX without TID": {
			[]byte{0x90, 0x10, 0xFF, 0x01}, VP8{Start: true, X: true, K: true, KeyIdx: 31, HeaderSize: 3},
		},
		"everything": {
			join(0x90, 0xF0, 0x81, 0x02, 0x03, 0x44),
			VP8{
				Start: true, X: true, I: true, L: true, T: true, K: true,
				PictureID: 0x0102, PictureIDLong: true, TL0PicIdx: 3, TID: 1, KeyIdx: 4, HeaderSize: 6,
				KeyFrame: true, Width: 854, Height: 480,
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d, err := ParseVP8(tt.payload)
			require.NoError(t, err)
			require.Equal(t, tt.want, d)
		})
	}
}

func TestParseVP8Short(t *testing.T) {
	whole := []byte{0x90, 0xF0, 0x81, 0x02, 0x03, 0x44, 0x01}
	_, err := ParseVP8(whole)
	require.NoError(t, err)
	for n := range whole {
		d, err := ParseVP8(whole[:n])
		require.ErrorIs(t, err, ErrShort, "%d bytes", n)
		require.Zero(t, d, "%d bytes", n)
	}
	_, err = ParseVP8([]byte{0x10})
	require.ErrorIs(t, err, ErrShort, "a descriptor alone")
}

func TestRewrite(t *testing.T) {
	tests := map[string]struct{ payload, want []byte }{
		"no extension":     {[]byte{0x10, 0x01, 0x55}, []byte{0x10, 0x01, 0x55}},
		"no fields":        {[]byte{0x90, 0x00, 0x01}, []byte{0x90, 0x00, 0x01}},
		"7 bits":           {[]byte{0x90, 0x80, 0x05, 0x01}, []byte{0x90, 0x80, 0x45, 0x01}},
		"15 bits":          {[]byte{0x90, 0x80, 0x80, 0x05, 0x01}, []byte{0x90, 0x80, 0x92, 0xC5, 0x01}},
		"TL0PICIDX":        {[]byte{0x90, 0x40, 0x05, 0x01}, []byte{0x90, 0x40, 0xEE, 0x01}},
		"TID, no KEYIDX":   {[]byte{0x90, 0x20, 0xBF, 0x01}, []byte{0x90, 0x20, 0xBF, 0x01}},
		"TID and KEYIDX":   {[]byte{0x90, 0x30, 0xA0, 0x01}, []byte{0x90, 0x30, 0xBD, 0x01}},
		"all with 15 bits": {[]byte{0x90, 0xF0, 0x81, 2, 3, 0x44, 9}, []byte{0x90, 0xF0, 0x92, 0xC5, 0xEE, 0x5D, 9}},
		"all with 7 bits":  {[]byte{0x90, 0xF0, 0x01, 3, 0x44, 9}, []byte{0x90, 0xF0, 0x45, 0xEE, 0x5D, 9}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d, err := ParseVP8(tt.payload)
			require.NoError(t, err)
			dst := make([]byte, len(tt.payload)+3)
			require.Equal(t, len(tt.payload), d.Rewrite(dst, tt.payload, 0x92C5, 0xEE, 0xFD))
			require.Equal(t, tt.want, dst[:len(tt.payload)])
			require.Zero(t, d.Rewrite(make([]byte, len(tt.payload)-1), tt.payload, 1, 2, 3), "dst too short")
			require.Zero(t, d.Rewrite(dst, tt.payload[:d.HeaderSize-1], 1, 2, 3), "not this payload")

			inPlace := bytes.Clone(tt.payload)
			require.Equal(t, len(inPlace), d.Rewrite(inPlace, inPlace, 0x92C5, 0xEE, 0xFD))
			require.Equal(t, tt.want, inPlace)
		})
	}
}

func fuzzVP8Seeds(f *testing.F) {
	f.Add(append([]byte{0x90, 0xF0, 0x81, 0x02, 0x03, 0x44}, keyFrame854x480...), uint16(0x1234), uint8(5), uint8(6))
	f.Add([]byte{0x90, 0x80, 0x7F, 0x01}, uint16(0xFFFF), uint8(0xFF), uint8(0xFF))
	f.Add([]byte{0x10, 0x01}, uint16(0), uint8(0), uint8(0))
	f.Add([]byte{0xB0, 0x30, 0xA0, 0x01}, uint16(1), uint8(2), uint8(3))
	f.Add([]byte{0x90, 0xF0, 0x81}, uint16(1), uint8(2), uint8(3))
}

// FuzzVP8 compares with Pion's parser, and rewrites: the new values and nothing
// else are read back, and the old ones restore the payload.
func FuzzVP8(f *testing.F) {
	fuzzVP8Seeds(f)
	f.Fuzz(func(t *testing.T, payload []byte, pic uint16, tl0, keyIdx uint8) {
		d, err := ParseVP8(payload)
		if err != nil {
			if n := d.Rewrite(make([]byte, len(payload)), payload, pic, tl0, keyIdx); n != 0 && !bytes.Equal(payload[:n], payload) {
				t.Fatalf("rewrote %d bytes of %x", n, payload)
			}
			return
		}
		var p codecs.VP8Packet
		body, err := p.Unmarshal(payload)
		if err != nil {
			t.Fatalf("accepted, but: %v", err)
		}
		if !bytes.Equal(body, payload[d.HeaderSize:]) || d.PictureID != p.PictureID || d.TL0PicIdx != p.TL0PICIDX ||
			d.TID != p.TID || d.Y != (p.Y == 1) || d.KeyIdx != p.KEYIDX || d.Start != (p.S == 1 && p.PID == 0) ||
			d.NonRef != (p.N == 1) {
			t.Fatalf("%+v, want %+v", d, p)
		}

		out := make([]byte, len(payload))
		if n := d.Rewrite(out, payload, pic, tl0, keyIdx); n != len(payload) {
			t.Fatalf("rewrote %d bytes of %d", n, len(payload))
		}
		want := d
		if d.I {
			want.PictureID = pic & idMask(d)
		}
		if d.L {
			want.TL0PicIdx = tl0
		}
		if d.K {
			want.KeyIdx = keyIdx & keyIdxMask
		}
		got, err := ParseVP8(out)
		if err != nil || got != want {
			t.Fatalf("%+v %v, want %+v", got, err, want)
		}
		got.Rewrite(out, out, d.PictureID, d.TL0PicIdx, d.KeyIdx)
		if !bytes.Equal(out, payload) {
			t.Fatalf("restored %x, want %x", out, payload)
		}
	})
}

func BenchmarkParseVP8(b *testing.B) {
	payload := append([]byte{0x90, 0xF0, 0x81, 0x02, 0x03, 0x44}, make([]byte, 1100)...)
	b.ReportAllocs()
	for range b.N {
		if _, err := ParseVP8(payload); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRewriteVP8(b *testing.B) {
	payload := append([]byte{0x90, 0xF0, 0x81, 0x02, 0x03, 0x44}, make([]byte, 1100)...)
	d, err := ParseVP8(payload)
	require.NoError(b, err)
	dst := make([]byte, 1500)
	var m VP8Munger
	m.Switch(d)
	b.ReportAllocs()
	for range b.N {
		pic, tl0, keyIdx := m.Map(d)
		d.Rewrite(dst, payload, pic, tl0, keyIdx)
	}
}
