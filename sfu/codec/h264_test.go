package codec

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
)

// Sequence parameter sets as x264 writes them.
var spsSamples = map[string]struct {
	hex           string
	width, height int
}{
	"constrained baseline 1280x720":            {"6742c01fd9005005bb011000000300100000030320f1832480", 1280, 720},
	"high 1280x720":                            {"6764001facd9405005bb011000000300100000030320f1831960", 1280, 720},
	"constrained baseline 320x180, cropped":    {"6742c00cd901419f9f011000000300100000030320f142a480", 320, 180},
	"high 320x180, cropped":                    {"6764000cacd941419f9f011000000300100000030320f1429960", 320, 180},
	"constrained baseline 1920x1080, cropped":  {"6742c028d900780227e5c044000003000400000300c83c60c920", 1920, 1080},
	"high 1920x1080, cropped":                  {"67640028acd940780227e5c044000003000400000300c83c60c658", 1920, 1080},
	"high 4:4:4 1000x500, cropped":             {"67f4001f919b281f820f131b80880000030008000003019078c18cb0", 1000, 500},
	"high 4:2:2 1000x508, cropped":             {"677a001fbcd940fc107965c044000003000400000300c83c60c658", 1000, 508},
	"high 1920x1080 interlaced, field cropped": {"67640028acd94078044fde0220000003002000000643e2c5b2c0", 1920, 1080},
}

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(tb, err)
	return b
}

// stapA aggregates NAL units (RFC 6184 section 5.7.1).
func stapA(units ...[]byte) []byte {
	payload := []byte{0x78}
	for _, u := range units {
		payload = append(append(payload, byte(len(u)>>8), byte(len(u))), u...)
	}
	return payload
}

func TestH264Frames(t *testing.T) {
	var (
		idr      = []byte{0x65, 0x88, 0x84}
		idrLater = []byte{0x65, 0x40, 0x84} // first_mb_in_slice is not 0
		slice    = []byte{0x41, 0x9A, 0x24}
		later    = []byte{0x41, 0x40, 0x24}
		sps      = unhex(t, spsSamples["high 1280x720"].hex)
		pps      = []byte{0x68, 0xEB, 0xE3}
		sei      = []byte{0x06, 0x05, 0x01}
		aud      = []byte{0x09, 0xF0}
	)
	tests := map[string]struct {
		payload    []byte
		key, start bool
	}{
		"IDR":                            {idr, true, true},
		"IDR, not the first slice":       {idrLater, true, false},
		"slice":                          {slice, false, true},
		"slice, not the first":           {later, false, false},
		"SPS":                            {sps, true, true},
		"PPS":                            {pps, false, true},
		"SEI":                            {sei, false, true},
		"access unit delimiter":          {aud, false, true},
		"end of sequence":                {[]byte{0x0A, 0x00}, false, false},
		"STAP-A with SPS, PPS":           {stapA(sps, pps), true, true},
		"STAP-A with PPS, IDR":           {stapA(pps, idr), true, true},
		"STAP-A with slices":             {stapA(slice, later), false, true},
		"STAP-A, not the first slice":    {stapA(later, later), false, false},
		"STAP-A cut in the second":       {stapA(slice, idr)[:len(stapA(slice, idr))-1], false, true},
		"STAP-A with an empty unit":      {stapA(nil, idr), false, false},
		"STAP-A of nothing":              {[]byte{0x78, 0x00}, false, false},
		"FU-A, start of IDR":             {[]byte{0x7C, 0x85, 0x88}, true, true},
		"FU-A, start of a later IDR":     {[]byte{0x7C, 0x85, 0x40}, true, false},
		"FU-A, middle of IDR":            {[]byte{0x7C, 0x05, 0x88}, false, false},
		"FU-A, end of IDR":               {[]byte{0x7C, 0x45, 0x88}, false, false},
		"FU-A, start of slice":           {[]byte{0x5C, 0x81, 0x9A}, false, true},
		"FU-A, start without its data":   {[]byte{0x7C, 0x85}, true, false},
		"one byte":                       {[]byte{0x65}, false, false},
		"nothing":                        {nil, false, false},
		"type 0":                         {[]byte{0x60, 0xFF}, false, false},
		"reserved type with IDR's shape": {[]byte{0x7F, 0x85, 0x88}, false, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tt.key, H264KeyFrame(tt.payload), "key frame")
			require.Equal(t, tt.start, H264Start(tt.payload), "start")
			require.Equal(t, tt.key, KeyFrame("video/H264", tt.payload))
			require.Equal(t, tt.start, FrameStart("video/H264", tt.payload))
		})
	}
}

func TestH264Size(t *testing.T) {
	for name, tt := range spsSamples {
		t.Run(name, func(t *testing.T) {
			sps := unhex(t, tt.hex)
			for _, payload := range [][]byte{sps, stapA([]byte{0x09, 0xF0}, sps, []byte{0x68, 0xEB})} {
				w, h, ok := H264Size(payload)
				require.True(t, ok)
				require.Equal(t, [2]int{tt.width, tt.height}, [2]int{w, h})
			}
			for n := range 9 { // the size is not before the 9th byte in any of them
				_, _, ok := H264Size(sps[:n])
				require.False(t, ok, "%d bytes", n)
			}
		})
	}
	for name, payload := range map[string][]byte{
		"nothing":                   nil,
		"IDR":                       {0x65, 0x88, 0x84},
		"STAP-A without SPS":        stapA([]byte{0x68, 0xEB}, []byte{0x65, 0x88}),
		"STAP-A cut":                stapA(unhex(t, spsSamples["high 1280x720"].hex))[:10],
		"FU-A of SPS":               {0x7C, 0x87, 0x42, 0xC0, 0x1F},
		"zeros, endless exp-golomb": append([]byte{0x67, 66, 0, 31}, make([]byte, 40)...),
	} {
		_, _, ok := H264Size(payload)
		require.False(t, ok, name)
	}
}

// bitWriter writes an RBSP without emulation prevention.
type bitWriter struct {
	data []byte
	n    int
}

func (w *bitWriter) bits(v uint64, n int) {
	for i := n - 1; i >= 0; i-- {
		if w.n%8 == 0 {
			w.data = append(w.data, 0)
		}
		w.data[w.n/8] |= byte(v>>i&1) << (7 - w.n%8)
		w.n++
	}
}

func (w *bitWriter) ue(values ...uint64) {
	for _, v := range values {
		length := 0
		for (v+1)>>(length+1) != 0 {
			length++
		}
		w.bits(v+1, 2*length+1)
	}
}

// escape puts the emulation prevention bytes in: H.264 section 7.4.1.
func escape(rbsp []byte) []byte {
	var out []byte
	zeros := 0
	for _, b := range rbsp {
		if zeros == 2 && b <= 3 {
			out, zeros = append(out, 3), 0
		}
		out = append(out, b)
		if b == 0 {
			zeros++
		} else {
			zeros = 0
		}
	}
	return out
}

// writeSPS writes the parts of a parameter set that no sample has.
func writeSPS(profile uint64, middle func(w *bitWriter), widthMbs, heightMaps uint64, tail ...uint64) []byte {
	var w bitWriter
	w.bits(0x67, 8)
	w.bits(profile, 8)
	w.bits(31, 16)
	w.ue(0)
	middle(&w)
	w.ue(1)      // max_num_ref_frames
	w.bits(0, 1) // gaps_in_frame_num_value_allowed_flag
	w.ue(widthMbs-1, heightMaps-1)
	for _, b := range tail {
		w.bits(b, 1)
	}
	w.bits(1, 1) // stop bit
	return escape(w.data)
}

func TestH264SizeRareForms(t *testing.T) {
	progressive := []uint64{1, 0, 0, 0} // frame_mbs_only, direct_8x8, cropping, VUI
	tests := map[string]struct {
		sps           []byte
		width, height int // 0: refused
	}{
		"picture order type 1": {writeSPS(66, func(w *bitWriter) {
			w.ue(0, 1)
			w.bits(1, 1)
			w.ue(5, 6, 3, 1, 0, 1<<20)
		}, 20, 15, progressive...), 320, 240},
		"picture order type 1, cycle too long": {writeSPS(66, func(w *bitWriter) {
			w.ue(0, 1)
			w.bits(1, 1)
			w.ue(5, 6, 256)
			for range 256 {
				w.ue(0)
			}
		}, 20, 15, progressive...), 0, 0},
		"picture order type 3": {writeSPS(66, func(w *bitWriter) { w.ue(0, 3) }, 20, 15, progressive...), 0, 0},
		"scaling lists": {writeSPS(100, func(w *bitWriter) {
			w.ue(1, 0, 0)
			w.bits(0b01, 2) // bypass; matrix present
			w.bits(1, 1)    // first list: 8 -> 0 at once, ends
			w.ue(16)        // se(-8)
			w.bits(1, 1)    // second list: 16 values
			for range 16 {
				w.ue(1) // se(1)
			}
			w.bits(0, 4)
			w.bits(1, 1) // seventh list: 64 values
			for range 64 {
				w.ue(0)
			}
			w.bits(0, 1)
			w.ue(0, 2)
		}, 20, 15, progressive...), 320, 240},
		"4:4:4 in separate planes, twelve lists": {writeSPS(244, func(w *bitWriter) {
			w.ue(3)
			w.bits(1, 1)
			w.ue(0, 0)
			w.bits(0b01, 2)
			w.bits(0, 12)
			w.ue(0, 2)
		}, 20, 15, progressive...), 320, 240},
		"monochrome": {writeSPS(100, func(w *bitWriter) {
			w.ue(0, 0, 0)
			w.bits(0, 2)
			w.ue(0, 2)
		}, 20, 15, 1, 0, 1, 1, 0b0, 1, 0, 1, 1, 0), 319, 240}, // crop ue: 0, 1, 0, 0
		"chroma format 4":    {writeSPS(100, func(w *bitWriter) { w.ue(4, 0, 0); w.bits(0, 2); w.ue(0, 2) }, 20, 15, progressive...), 0, 0},
		"largest":            {writeSPS(66, func(w *bitWriter) { w.ue(0, 2) }, 1024, 1024, progressive...), 16384, 16384},
		"too wide":           {writeSPS(66, func(w *bitWriter) { w.ue(0, 2) }, 1025, 15, progressive...), 0, 0},
		"too high":           {writeSPS(66, func(w *bitWriter) { w.ue(0, 2) }, 20, 1025, progressive...), 0, 0},
		"all cropped away":   {writeSPS(66, func(w *bitWriter) { w.ue(0, 2) }, 1, 1, 1, 0, 1, 0, 0, 0, 1, 0, 0, 1, 1, 1, 1, 0), 0, 0}, // crop ue: 8, 0, 0, 0
		"cropping above all": {writeSPS(66, func(w *bitWriter) { w.ue(0, 2) }, 20, 15, append([]uint64{1, 0, 1}, make([]uint64, 40)...)...), 0, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w, h, ok := H264Size(tt.sps)
			require.Equal(t, tt.width != 0, ok)
			require.Equal(t, [2]int{tt.width, tt.height}, [2]int{w, h})
		})
	}
}

// FuzzH264 checks what must hold between the answers, and that a packet alone
// and the same as a single unit of an aggregation packet say the same.
func FuzzH264(f *testing.F) {
	for _, s := range spsSamples {
		f.Add(unhex(f, s.hex))
	}
	f.Add(stapA(unhex(f, spsSamples["high 1280x720"].hex), []byte{0x68, 0xEB}, []byte{0x65, 0x88}))
	f.Add([]byte{0x7C, 0x85, 0x88})
	f.Add([]byte{0x41, 0x9A, 0x24})
	f.Fuzz(func(t *testing.T, payload []byte) {
		before := bytes.Clone(payload)
		key, start := H264KeyFrame(payload), H264Start(payload)
		w, h, ok := H264Size(payload)
		if !bytes.Equal(before, payload) {
			t.Fatal("the payload was changed")
		}
		if ok && (!key || w < 1 || h < 1 || w > 16*maxMacroblocks || h > 32*maxMacroblocks) {
			t.Fatalf("size %d x %d, key frame %v", w, h, key)
		}
		if !ok && (w != 0 || h != 0) {
			t.Fatalf("no size, but %d x %d", w, h)
		}
		if len(payload) < 2 || len(payload) > 65535 || payload[0]&0x1F >= nalSTAPA {
			return
		}
		single := stapA(payload)
		w2, h2, ok2 := H264Size(single)
		if H264KeyFrame(single) != key || H264Start(single) != start || w2 != w || h2 != h || ok2 != ok {
			t.Fatalf("aggregated: %v %v %d %d %v, alone: %v %v %d %d %v",
				H264KeyFrame(single), H264Start(single), w2, h2, ok2, key, start, w, h, ok)
		}
	})
}

// FuzzSPS writes parameter sets with any size and cropping, and reads them.
func FuzzSPS(f *testing.F) {
	f.Add(uint16(80), uint16(45), uint16(0), uint16(0), false)
	f.Add(uint16(120), uint16(68), uint16(0), uint16(4), false)
	f.Add(uint16(120), uint16(34), uint16(3), uint16(2), true)
	f.Add(uint16(1023), uint16(1023), uint16(8000), uint16(8000), false)
	f.Fuzz(func(t *testing.T, widthMbs, heightMaps, cropX, cropY uint16, interlaced bool) {
		widthMbs, heightMaps = widthMbs%maxMacroblocks+1, heightMaps%maxMacroblocks+1
		cropX, cropY = cropX%8192, cropY%8192
		var w bitWriter
		w.bits(0x6742C01F, 32)
		w.ue(0, 0, 2, 1)
		w.bits(0, 1)
		w.ue(uint64(widthMbs)-1, uint64(heightMaps)-1)
		fields := 1
		if interlaced {
			w.bits(0b00, 2)
			fields = 2
		} else {
			w.bits(1, 1)
		}
		w.bits(0b11, 2) // direct_8x8_inference_flag, frame_cropping_flag
		w.ue(uint64(cropX)/3, uint64(cropX)-uint64(cropX)/3, uint64(cropY), 0)
		w.bits(0b01, 2)

		width, height := 16*int(widthMbs)-2*int(cropX), (16*int(heightMaps)-2*int(cropY))*fields
		gotW, gotH, ok := H264Size(escape(w.data))
		if want := width > 0 && height > 0; ok != want || ok && (gotW != width || gotH != height) {
			t.Fatalf("%d x %d %v, want %d x %d", gotW, gotH, ok, width, height)
		}
	})
}

func BenchmarkH264KeyFrame(b *testing.B) {
	payload := stapA([]byte{0x68, 0xEB}, []byte{0x06, 0x05}, []byte{0x65, 0x88})
	b.ReportAllocs()
	for range b.N {
		if !H264KeyFrame(payload) || !H264Start(payload) {
			b.Fatal("wrong answer")
		}
	}
}

func BenchmarkH264Size(b *testing.B) {
	sps := unhex(b, spsSamples["high 1920x1080, cropped"].hex)
	b.ReportAllocs()
	for range b.N {
		if _, _, ok := H264Size(sps); !ok {
			b.Fatal("not parsed")
		}
	}
}
