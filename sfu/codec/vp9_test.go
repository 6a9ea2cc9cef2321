package codec

import (
	"bytes"
	"testing"

	"github.com/pion/rtp/codecs"
	"github.com/stretchr/testify/require"
)

func TestParseVP9(t *testing.T) {
	tests := map[string]struct {
		payload []byte
		want    VP9
	}{
		"shortest": {
			[]byte{0x0C, 0x01}, VP9{B: true, E: true, HeaderSize: 1},
		},
		"7-bit picture id": {
			[]byte{0xC8, 0x05, 0x01}, VP9{I: true, P: true, B: true, PictureID: 5, HeaderSize: 2, pictureIDAt: 1},
		},
		"15-bit picture id": {
			[]byte{0xC4, 0xFF, 0xFE, 0x01},
			VP9{I: true, P: true, E: true, PictureID: 0x7FFE, PictureIDLong: true, HeaderSize: 3, pictureIDAt: 1},
		},
		"layers with TL0PICIDX": {
			[]byte{0x69, 0x55, 0x07, 0x01},
			VP9{P: true, L: true, B: true, Z: true, TID: 2, U: true, SID: 2, D: true, TL0PicIdx: 7, HeaderSize: 3, tl0At: 2},
		},
		"flexible, as Chromium sends it": {
			[]byte{0xFC, 0xE5, 0x8D, 0x30, 0x04, 0x87},
			VP9{
				I: true, P: true, L: true, F: true, B: true, E: true, PictureID: 0x658D, PictureIDLong: true,
				TID: 1, U: true, References: 1, PDiff: [3]uint8{2}, HeaderSize: 5, pictureIDAt: 1,
			},
		},
		"three references": {
			[]byte{0xD0, 0x01, 0x03, 0x05, 0x06, 0x01},
			VP9{I: true, P: true, F: true, PictureID: 1, References: 3, PDiff: [3]uint8{1, 2, 3}, HeaderSize: 5, pictureIDAt: 1},
		},
		"scalability structure": {
			[]byte{0x0A, 0x38, 0, 160, 0, 90, 1, 64, 0, 180, 2, 0x04, 9, 0x30, 0x01},
			VP9{
				B: true, V: true, SpatialLayers: 2, Pictures: 2, HasResolution: true,
				Resolution: [8]VP9Resolution{{160, 90}, {320, 180}}, HeaderSize: 14,
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d, err := ParseVP9(tt.payload)
			require.NoError(t, err)
			require.Equal(t, tt.want, d)
			for n := range d.HeaderSize + 1 {
				_, err := ParseVP9(tt.payload[:n])
				require.ErrorIs(t, err, ErrShort, "%d bytes", n)
			}
		})
	}
	for name, payload := range map[string][]byte{
		"four references":              {0xD0, 0x01, 0x03, 0x05, 0x07, 0x02, 0x01},
		"differences of no picture id": {0x50, 0x03, 0x01},
	} {
		_, err := ParseVP9(payload)
		require.ErrorIs(t, err, ErrVP9, name)
	}
}

func TestVP9KeyFrame(t *testing.T) {
	for payload, want := range map[string]bool{
		"\x08\x01": true, "\x48\x01": false, "\x28\x01\x00\x01": false, "\x28\x02\x00\x01": false, "\x28\x00\x00\x01": true,
	} {
		d, err := ParseVP9([]byte(payload))
		require.NoError(t, err)
		require.Equal(t, want, d.KeyFrame(), "%x", payload)
	}
}

func TestVP9State(t *testing.T) {
	var s VP9State
	long := func(id uint16, sid uint8) *VP9 { return &VP9{I: true, PictureID: id, PictureIDLong: true, SID: sid} }
	first := s.Frame(long(0x7FFE, 0), 100, false).Number
	require.Equal(t, first+2, s.Frame(long(0x7FFE, 2), 100, true).Number)
	require.Equal(t, first+16, s.Frame(long(0, 0), 200, false).Number)
	require.Equal(t, first+8, s.Frame(long(0x7FFF, 0), 150, false).Number, "late")
	require.Equal(t, first+17, s.Frame(long(0, 1), 200, false).Number)

	s = VP9State{}
	none := &VP9{}
	first = s.Frame(none, 1<<32-10, false).Number
	require.Equal(t, first, s.Frame(none, 1<<32-10, true).Number)
	require.Equal(t, first+8, s.Frame(none, 20, true).Number)
	require.Equal(t, first, s.Frame(none, 1<<32-10, true).Number)
}

// TestVP9Munger goes over the encodings of a simulcast: the ids go on by one at
// each switch and keep their distances between.
func TestVP9Munger(t *testing.T) {
	var m VP9Munger
	source, next := "", map[string]string{"": "q", "q": "h", "h": "f", "f": "q"}
	last, switches, offset := uint16(0), 0, uint16(0)
	for _, p := range readCapture(t, "vp9_simulcast") {
		d, err := ParseVP9(p.payload)
		require.NoError(t, err)
		switched := false
		if d.KeyFrame() && d.B && p.rid == next[source] {
			source, switched = p.rid, true
			m.Switch(&d)
			switches++
		}
		if p.rid != source {
			continue
		}
		pic, tl0 := m.Map(&d)
		out := bytes.Clone(p.payload)
		require.Equal(t, len(out), d.Rewrite(out, out, pic, tl0))
		got, err := ParseVP9(out)
		require.NoError(t, err)
		if switched {
			if switches > 1 {
				require.Equal(t, (last+1)&0x7FFF, got.PictureID)
			}
			offset = got.PictureID - d.PictureID
		}
		require.Equal(t, (d.PictureID+offset)&0x7FFF, got.PictureID)
		last = got.PictureID
		got.PictureID = d.PictureID
		require.Equal(t, d, got)
	}
	require.Greater(t, switches, 3)

	m = VP9Munger{}
	d := VP9{I: true, L: true, PictureID: 100, PictureIDLong: true, TL0PicIdx: 9}
	pic, tl0 := m.Map(&d)
	require.Equal(t, []uint16{100, 9}, []uint16{pic, uint16(tl0)}, "the first source stays as it is")
	d.PictureID, d.TL0PicIdx = 5, 250
	m.Switch(&d)
	pic, tl0 = m.Map(&d)
	require.Equal(t, []uint16{101, 10}, []uint16{pic, uint16(tl0)})
	d.PictureID = 8
	pic, _ = m.Map(&d)
	require.EqualValues(t, 104, pic, "gaps stay")
	d.PictureID = 7
	pic, _ = m.Map(&d)
	require.EqualValues(t, 103, pic, "late")
	d.PictureID = 60
	m.Switch(&d)
	pic, _ = m.Map(&d)
	require.EqualValues(t, 105, pic)
}

// FuzzVP9 compares with Pion's parser, and rewrites: the new values and nothing
// else are read back, and the old ones restore the payload.
func FuzzVP9(f *testing.F) {
	for _, p := range readCapture(f, "vp9_l3t3")[:40] {
		f.Add(p.payload, uint16(0x1234), uint8(5))
	}
	f.Add([]byte{0x0A, 0x38, 0, 160, 0, 90, 1, 64, 0, 180, 2, 0x04, 9, 0x30, 0x01}, uint16(1), uint8(2))
	f.Add([]byte{0xE9, 0x05, 0x55, 0x07, 0x01}, uint16(0xFFFF), uint8(0xFF))
	f.Fuzz(func(t *testing.T, payload []byte, pic uint16, tl0 uint8) {
		d, err := ParseVP9(payload)
		if err != nil {
			return
		}
		var p codecs.VP9Packet
		body, err := p.Unmarshal(payload)
		if err == nil {
			if !bytes.Equal(body, payload[d.HeaderSize:]) || d.PictureID != p.PictureID || d.TID != p.TID || d.U != p.U ||
				d.SID != p.SID || d.D != p.D || d.TL0PicIdx != p.TL0PICIDX || d.References != len(p.PDiff) ||
				!bytes.Equal(d.PDiff[:d.References], p.PDiff) || d.Z != p.Z || d.B != p.B || d.E != p.E {
				t.Fatalf("%+v, want %+v", d, p)
			}
			if d.V && (d.SpatialLayers != int(p.NS)+1 || d.Pictures != int(p.NG) || d.HasResolution != p.Y) {
				t.Fatalf("%+v, want %+v", d, p)
			}
		}
		if start, key := vp9Frame(payload); start != (d.B && d.SID == 0) || key != !d.P {
			t.Fatal("vp9Frame is of another mind")
		}
		out := bytes.Clone(payload)
		if d.Rewrite(out, out, pic, tl0) != len(payload) {
			t.Fatal("not rewritten")
		}
		got, err := ParseVP9(out)
		want := d
		if d.I {
			want.PictureID = pic & 0x7FFF
			if !d.PictureIDLong {
				want.PictureID = pic & 0x7F
			}
		}
		if d.L && !d.F {
			want.TL0PicIdx = tl0
		}
		if err != nil || got != want {
			t.Fatalf("%+v %v, want %+v", got, err, want)
		}
		got.Rewrite(out, out, d.PictureID, d.TL0PicIdx)
		if !bytes.Equal(out, payload) {
			t.Fatalf("restored %x, want %x", out, payload)
		}
	})
}

func TestParseAV1(t *testing.T) {
	h, err := ParseAV1([]byte{0xE8, 1})
	require.NoError(t, err)
	require.Equal(t, AV1{Continues: true, Continued: true, Elements: 2, NewSequence: true}, h)
	_, err = ParseAV1([]byte{0xE8})
	require.ErrorIs(t, err, ErrShort)
}

func BenchmarkParseVP9(b *testing.B) {
	payload := append([]byte{0xFC, 0xE5, 0x8D, 0x30, 0x04}, make([]byte, 1100)...)
	b.ReportAllocs()
	for range b.N {
		if _, err := ParseVP9(payload); err != nil {
			b.Fatal(err)
		}
	}
}
