package codec

import (
	"bytes"
	"testing"

	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"
)

// rawPacket puts an RTP packet together by hand: the first octet, the header
// extension (profile, words and elements) and what follows the header.
func rawPacket(first byte, extension, rest []byte) []byte {
	pkt := []byte{first, 0x80 | 96, 0x12, 0x34, 1, 2, 3, 4, 5, 6, 7, 8}
	for range first & 0x0F {
		pkt = append(pkt, 0xC5, 0xC5, 0xC5, 0xC5)
	}
	return append(append(pkt, extension...), rest...)
}

func TestParseHeader(t *testing.T) {
	h, ok := ParseHeader(rawPacket(0x80, nil, []byte{1, 2, 3}))
	require.True(t, ok)
	require.Equal(t, Header{
		Marker: true, PayloadType: 96, SequenceNumber: 0x1234, Timestamp: 0x01020304, SSRC: 0x05060708,
		PayloadStart: 12, PayloadEnd: 15,
	}, h)
}

func TestPayloadRange(t *testing.T) {
	tests := map[string]struct {
		pkt        []byte
		start, end int
		bad        bool
	}{
		"plain":                      {pkt: rawPacket(0x80, nil, []byte{1, 2, 3}), start: 12, end: 15},
		"empty payload":              {pkt: rawPacket(0x80, nil, nil), start: 12, end: 12},
		"CSRCs":                      {pkt: rawPacket(0x82, nil, []byte{1}), start: 20, end: 21},
		"extension":                  {pkt: rawPacket(0x90, []byte{0xBE, 0xDE, 0, 1, 0x10, 9, 0, 0}, []byte{1, 2}), start: 20, end: 22},
		"extension of no words":      {pkt: rawPacket(0x90, []byte{0xBE, 0xDE, 0, 0}, []byte{1}), start: 16, end: 17},
		"CSRC, extension, padding":   {pkt: rawPacket(0xB1, []byte{0x10, 0, 0, 1, 0, 0, 0, 0}, []byte{1, 2, 0, 2}), start: 24, end: 26},
		"padding only":               {pkt: rawPacket(0xA0, nil, []byte{0, 0, 3}), start: 12, end: 12},
		"nothing":                    {pkt: nil, bad: true},
		"cut in the fixed header":    {pkt: rawPacket(0x80, nil, nil)[:11], bad: true},
		"version 1":                  {pkt: rawPacket(0x40, nil, []byte{1}), bad: true},
		"CSRCs cut":                  {pkt: rawPacket(0x82, nil, nil)[:19], bad: true},
		"extension header cut":       {pkt: rawPacket(0x90, []byte{0xBE, 0xDE, 0}, nil), bad: true},
		"extension longer than all":  {pkt: rawPacket(0x90, []byte{0xBE, 0xDE, 0xFF, 0xFF}, []byte{1, 2}), bad: true},
		"padding of 0":               {pkt: rawPacket(0xA0, nil, []byte{1, 2, 0}), bad: true},
		"padding longer than it":     {pkt: rawPacket(0xA0, nil, []byte{1, 2, 4}), bad: true},
		"padding flag, nothing left": {pkt: rawPacket(0xA0, nil, nil), bad: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			start, end, ok := PayloadRange(tt.pkt)
			require.Equal(t, !tt.bad, ok)
			require.Equal(t, []int{tt.start, tt.end}, []int{start, end})
			h, ok := ParseHeader(tt.pkt)
			require.Equal(t, !tt.bad, ok)
			if ok {
				require.Equal(t, len(tt.pkt)-end, h.Padding)
			}
		})
	}
}

func TestHeaderExtension(t *testing.T) {
	one := func(elements ...byte) []byte {
		return rawPacket(0x90, append([]byte{0xBE, 0xDE, 0, byte(len(elements) / 4)}, elements...), []byte{0xFF, 0xFF})
	}
	two := func(elements ...byte) []byte {
		return rawPacket(0x90, append([]byte{0x10, 0x05, 0, byte(len(elements) / 4)}, elements...), []byte{0xFF, 0xFF})
	}
	tests := map[string]struct {
		pkt  []byte
		id   uint8
		want []byte
	}{
		"one byte, first":                   {one(0x10, 7, 0x32, 1, 2, 3, 0, 0), 1, []byte{7}},
		"one byte, second":                  {one(0x10, 7, 0x32, 1, 2, 3, 0, 0), 3, []byte{1, 2, 3}},
		"one byte, behind padding":          {one(0, 0, 0x20, 9), 2, []byte{9}},
		"one byte, absent":                  {one(0x10, 7, 0, 0), 2, nil},
		"one byte, id 0":                    {one(0x10, 7, 0, 0), 0, nil},
		"one byte, id 15 ends":              {one(0xF0, 7, 0x10, 7), 1, nil},
		"one byte, id 15 asked":             {one(0xF0, 7, 0, 0), 15, nil},
		"one byte, id 0 with length ends":   {one(0x01, 7, 0x10, 7), 1, nil},
		"one byte, cut by the header's end": {one(0x10, 7, 0x22, 1), 2, nil},
		"one byte, ends with its header":    {one(0x10, 7, 0, 0x20), 2, nil},
		"two bytes, first":                  {two(1, 1, 7, 200, 2, 8, 9, 0), 1, []byte{7}},
		"two bytes, large id":               {two(1, 1, 7, 200, 2, 8, 9, 0), 200, []byte{8, 9}},
		"two bytes, empty":                  {two(3, 0, 1, 0), 3, []byte{}},
		"two bytes, behind an empty one":    {two(3, 0, 0, 0, 4, 2, 5, 6), 4, []byte{5, 6}},
		"two bytes, absent":                 {two(1, 1, 7, 0), 9, nil},
		"two bytes, cut":                    {two(1, 3, 7, 0), 1, nil},
		"two bytes, length cut":             {two(0, 0, 0, 1), 1, nil},
		"another profile":                   {rawPacket(0x90, []byte{0x20, 0, 0, 1, 0x10, 7, 0, 0}, nil), 1, nil},
		"no extension":                      {rawPacket(0x80, nil, []byte{0xBE, 0xDE, 0, 1, 0x10, 7, 0, 0}), 1, nil},
		"not a packet":                      {one(0x10, 7, 0, 0)[:17], 1, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := HeaderExtension(tt.pkt, tt.id)
			require.Equal(t, tt.want, got)
			require.Equal(t, len(got), cap(got), "appending must not reach the rest of the packet")
		})
	}
}

func TestAudioLevel(t *testing.T) {
	level, voice, ok := AudioLevel([]byte{0x80 | 30})
	require.Equal(t, []any{uint8(30), true, true}, []any{level, voice, ok})
	level, voice, ok = AudioLevel([]byte{127, 0})
	require.Equal(t, []any{uint8(127), false, true}, []any{level, voice, ok})
	_, _, ok = AudioLevel(nil)
	require.False(t, ok)
}

// rtpPacket is a packet as browsers send it.
func rtpPacket(tb testing.TB, payload []byte) []byte {
	tb.Helper()
	p := rtp.Packet{
		Header:  rtp.Header{Version: 2, Marker: true, PayloadType: 111, SequenceNumber: 77, Timestamp: 960, SSRC: 5},
		Payload: payload,
	}
	require.NoError(tb, p.SetExtension(1, []byte{0x80 | 30}))
	require.NoError(tb, p.SetExtension(4, []byte("mid")))
	require.NoError(tb, p.SetExtension(3, []byte{0, 1}))
	buf, err := p.Marshal()
	require.NoError(tb, err)
	return buf
}

// FuzzHeader compares with Pion's parser, which accepts the same packets but
// for a few it reads more leniently.
func FuzzHeader(f *testing.F) {
	f.Add(rtpPacket(f, []byte{1, 2, 3}), uint8(4))
	f.Add(rawPacket(0xB1, []byte{0x10, 0, 0, 1, 3, 1, 9, 0}, []byte{1, 2, 0, 2}), uint8(3))
	f.Add(rawPacket(0x90, []byte{0xBE, 0xDE, 0, 1, 0x10, 9, 0xF0, 0}, []byte{1}), uint8(1))
	f.Add(rawPacket(0xA0, nil, []byte{0, 0, 3}), uint8(1))
	f.Fuzz(func(t *testing.T, pkt []byte, id uint8) {
		h, ok := ParseHeader(pkt)
		ext := HeaderExtension(pkt, id)
		if ok && (h.PayloadStart < rtpFixedHeader || h.PayloadStart > h.PayloadEnd || h.PayloadEnd+h.Padding != len(pkt)) {
			t.Fatalf("payload %d to %d and %d of %d", h.PayloadStart, h.PayloadEnd, h.Padding, len(pkt))
		}
		if ext != nil && !bytes.Contains(pkt, ext) {
			t.Fatalf("extension %x is not in %x", ext, pkt)
		}
		AudioLevel(ext)
		var p rtp.Packet
		if !ok || p.Unmarshal(bytes.Clone(pkt)) != nil {
			return
		}
		if h.Marker != p.Marker || h.PayloadType != p.PayloadType || h.SequenceNumber != p.SequenceNumber ||
			h.Timestamp != p.Timestamp || h.SSRC != p.SSRC || !bytes.Equal(pkt[h.PayloadStart:h.PayloadEnd], p.Payload) {
			t.Fatalf("%+v, want %+v", h, p.Header)
		}
		// Pion knows the two-byte form with appbits 0 only (RFC 8285 section 4.3).
		known := p.ExtensionProfile == rtp.ExtensionProfileOneByte || p.ExtensionProfile == rtp.ExtensionProfileTwoByte
		if id != 0 && ext != nil && known && !bytes.Equal(ext, p.GetExtension(id)) {
			t.Fatalf("extension %d: %x, want %x", id, ext, p.GetExtension(id))
		}
	})
}

func BenchmarkParseHeader(b *testing.B) {
	pkt := rtpPacket(b, make([]byte, 160))
	b.ReportAllocs()
	for range b.N {
		if _, ok := ParseHeader(pkt); !ok {
			b.Fatal("not parsed")
		}
	}
}

func BenchmarkAudioLevel(b *testing.B) {
	pkt := rtpPacket(b, make([]byte, 160))
	b.ReportAllocs()
	for range b.N {
		if level, _, ok := AudioLevel(HeaderExtension(pkt, 1)); !ok || level != 30 {
			b.Fatal("wrong level")
		}
	}
}
