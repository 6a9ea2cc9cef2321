package trace

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/pion/rtp/codecs"
	"github.com/stretchr/testify/require"
)

// Frames as an encoder would make them, for what real recordings do not show.

// baselineSPS is a sequence parameter set of 1280×720, NAL header included:
// profile_idc 66, level 3.1, pic_order_cnt_type 2, one reference, 80×45 macroblocks, no
// cropping.
var baselineSPS = []byte{0x67, 66, 0xC0, 31, 0xDA, 0x01, 0x40, 0x16, 0xE4}

// croppedSPS is the same of 320×180: 20×12 macroblocks, of which 6 times 2 rows are cut
// off at the bottom.
var croppedSPS = []byte{0x67, 66, 0xC0, 31, 0xDA, 0x05, 0x06, 0x7E, 0x74}

const (
	synthFrames   = 120
	synthKeyEvery = 30
	synthLimit    = 1100 // bytes of a payload
)

// synthSize is that of the n-th frame without descriptors, in bytes.
func synthSize(n int) int {
	size := 300 + n*n%2900
	if n%synthKeyEvery == 0 {
		size += 9000
	}
	return size
}

type synth struct {
	packets  []Received
	sequence uint16
	began    time.Time
}

func (s *synth) frame(n int, payloads [][]byte) {
	for i, payload := range payloads {
		s.packets = append(s.packets, Received{
			Sequence: s.sequence, Timestamp: uint32(4_294_960_000 + n*3000), Marker: i == len(payloads)-1,
			At:   s.began.Add(time.Duration(n)*time.Second/30 + time.Duration(i)*1500*time.Microsecond),
			Size: len(payload), Payload: payload,
		})
		s.sequence++
	}
}

// synthesise makes the packets of 4 s. long: picture ids have 15 bits.
func synthesise(codec Codec, long bool) []Received {
	s := synth{sequence: 65_500, began: time.Unix(1000, 0)}
	h264 := codecs.H264Payloader{}
	tl0 := uint8(250)
	for n := range synthFrames {
		key := n%synthKeyEvery == 0
		tid := byte(n & 1)
		if tid == 0 {
			tl0++
		}
		picture := []byte{byte(120+n) & 0x7F}
		if long {
			picture = binary.BigEndian.AppendUint16(nil, uint16(32_700+n)|0x8000)
		}
		switch codec {
		case VP8:
			s.frame(n, vp8Frame(n, key, append(append([]byte{0xE0}, picture...), tl0, tid<<6)))
		case VP9:
			s.frame(n, vp9Picture(n, key, picture, tid, tl0))
		case H264:
			slice := append([]byte{0x41, 0x9A}, make([]byte, synthSize(n))...)
			if key {
				slice[0], slice[1] = 0x65, 0x88
			}
			for i := range slice[2:] {
				slice[2+i] = byte(i) | 1
			}
			annexB := append([]byte{0, 0, 0, 1}, slice...)
			if key {
				annexB = append(append(append([]byte{0, 0, 0, 1}, baselineSPS...), 0, 0, 0, 1, 0x68, 0xCE, 0x3C, 0x80), annexB...)
			}
			s.frame(n, h264.Payload(synthLimit, annexB))
		}
	}
	return s.packets
}

// chunks divides n bytes in such a way that none has more than most, as evenly as
// libwebrtc.
func chunks(n, most int) []int {
	var list []int
	for count := (n + most - 1) / most; count > 0; count-- {
		list = append(list, n/count)
		n -= n / count
	}
	return list
}

func vp8Frame(n int, key bool, extension []byte) [][]byte {
	var payloads [][]byte
	for i, size := range chunks(synthSize(n), synthLimit-1-len(extension)) {
		body := make([]byte, size)
		first := byte(0x80)
		if i == 0 {
			first |= 0x10
			body[0] = 1
		}
		if i == 0 && key {
			copy(body, []byte{0x10, 0, 0, 0x9D, 0x01, 0x2A, 0x00, 0x05, 0xD0, 0x02})
		}
		payloads = append(payloads, append(append([]byte{first}, extension...), body...))
	}
	return payloads
}

// vp9Picture has two spatial layers, not in flexible mode.
func vp9Picture(n int, key bool, picture []byte, tid, tl0 byte) [][]byte {
	var payloads [][]byte
	for spatial := range byte(2) {
		sizes := chunks(synthSize(n)/int(2-spatial), synthLimit-20)
		for i, size := range sizes {
			first, structure := byte(0xA0), []byte(nil)
			below := byte(0)
			if !key {
				first |= 0x40
			} else {
				below = spatial
			}
			if i == 0 {
				first |= 0x08
			}
			if i == 0 && key && spatial == 0 {
				first |= 0x02
				structure = []byte{0x20 | 0x10 | 0x08, 2, 128, 1, 104, 5, 0, 2, 208, 1, 0x04, 1}
			}
			if i == len(sizes)-1 {
				first |= 0x04
			}
			head := append([]byte{first}, picture...)
			head = append(append(head, tid<<5|spatial<<1|below, tl0), structure...)
			payloads = append(payloads, append(head, make([]byte, size)...))
		}
	}
	return payloads
}

// madeUp is a trace of one synthetic layer.
func madeUp(t testing.TB, codec Codec, long bool) *Trace {
	l, err := Make(codec, synthesise(codec, long), 2, 1280, 720, 3900*time.Millisecond)
	require.NoError(t, err)
	return &Trace{Codec: codec, Source: "made up", Layers: []*Layer{l}}
}

// everyTrace calls test with the recorded and the synthetic ones.
func everyTrace(t *testing.T, test func(t *testing.T, tr *Trace)) {
	names := Names()
	require.NotEmpty(t, names)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			tr, err := Load(name)
			require.NoError(t, err)
			test(t, tr)
		})
	}
	for _, codec := range []Codec{VP8, H264, VP9} {
		t.Run("made up "+codec.MimeType(), func(t *testing.T) { test(t, madeUp(t, codec, true)) })
	}
	for _, codec := range []Codec{VP8, VP9} {
		t.Run("made up short "+codec.MimeType(), func(t *testing.T) { test(t, madeUp(t, codec, false)) })
	}
}
