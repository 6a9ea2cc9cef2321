package codec

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDescriptorCaptures(t *testing.T) {
	for name, top := range svcCaptures {
		t.Run(name, func(t *testing.T) {
			var s DependencyState
			var vp9 VP9State
			parsed, structures := 0, 0
			last := Descriptor{Last: true}
			for i, p := range readCapture(t, name) {
				var d Descriptor
				if err := s.Parse(p.dd, &d); err != nil {
					require.ErrorIs(t, err, ErrNoStructure, "packet %d", i)
					require.Zero(t, parsed)
					continue
				}
				parsed++
				if d.Attached {
					structures++
					require.Equal(t, top, d.Structure.MaxLayer())
					t.Logf("packet %d: %d targets, %d chains, active %b of %d", i, d.Structure.DecodeTargets(), d.Structure.Chains(), d.Active, d.Structure.DecodeTargets())
				}
				require.Equal(t, last.Last, d.First, "packet %d", i)
				if d.First && parsed > 1 {
					require.Equal(t, last.Number+1, d.Number)
				} else if parsed > 1 {
					require.Equal(t, last.Number, d.Number)
					require.Equal(t, last.frameDependencies, d.frameDependencies)
				}
				if p.marker {
					require.True(t, d.Last)
				}
				if v, err := ParseVP9(p.payload); name[0] == 'v' {
					require.NoError(t, err)
					f := vp9.Frame(&v, p.ts, p.marker)
					require.Equal(t, d.Layer, f.Layer)
					require.Equal(t, d.First, f.First)
					require.Equal(t, d.Last, f.Last)
					require.Equal(t, d.KeyFrame(), f.Key && f.First, "packet %d %+v", i, v)
				}
				buf := make([]byte, MaxDescriptorSize)
				n, err := d.Marshal(buf)
				require.NoError(t, err)
				require.Equal(t, p.dd, buf[:n], "packet %d", i)
				last = d
			}
			require.Greater(t, parsed, 250)
			require.Greater(t, structures, 1)
		})
	}
}

// bits makes bytes of binary digits, filled up with zeros.
func bits(fields ...string) []byte {
	var out []byte
	n := 0
	for _, f := range fields {
		for _, c := range f {
			if c == ' ' {
				continue
			}
			if n%8 == 0 {
				out = append(out, 0)
			}
			if c == '1' {
				out[n/8] |= 0x80 >> (n % 8)
			}
			n++
		}
	}
	return out
}

// keyDescriptor is a key frame of one spatial and two temporal layers, written by
// hand after section A.8.2.
func keyDescriptor() []byte {
	return bits(
		"1 1 000101 0000000000000111", // first, last, template 5, frame 7
		"1 0 0 0 0", "000101 00001",   // a structure: templates from 5 on, 2 decode targets
		"00 01 11",                                  // layers of the templates: S0T0, S0T0, S0T1
		"10 10  10 11  00 01",                       // indications
		"0  1 0001 0  1 0000 0",                     // differences: none; 2; 1
		"10",                                        // ns(3) of 1: one chain; which of one protects a target takes no bits
		"0000 0010 0001",                            // chain differences of the templates
		"1", "0000000100111111", "0000000010110011", // 320x180
	)
}

func TestDescriptorByHand(t *testing.T) {
	var s DependencyState
	var d Descriptor
	require.ErrorIs(t, s.Parse([]byte{0xC5, 0, 6}, &d), ErrNoStructure)
	require.NoError(t, s.Parse(keyDescriptor(), &d))
	require.True(t, d.First && d.Last && d.Attached && d.KeyFrame() && !d.ActivePresent)
	require.Equal(t, Layer{0, 0}, d.Layer)
	require.EqualValues(t, 7, d.FrameNumber)
	require.Equal(t, 2, d.Structure.DecodeTargets())
	require.Equal(t, Layer{0, 1}, d.Structure.MaxLayer())
	require.Equal(t, Layer{0, 0}, d.Structure.TargetLayer(0))
	require.Equal(t, Layer{0, 1}, d.Structure.TargetLayer(1))
	require.Equal(t, 1, d.Structure.Chains())
	require.Equal(t, 0, d.Structure.TargetChain(1))
	require.EqualValues(t, 3, d.Active)
	require.EqualValues(t, 1, d.Structure.within(0))
	require.EqualValues(t, 3, d.Structure.within(1))
	size, ok := d.Resolution()
	require.True(t, ok)
	require.Equal(t, Resolution{320, 180}, size)
	key := d

	require.NoError(t, s.Parse([]byte{0x87, 0, 8}, &d))
	require.True(t, d.First && !d.Last && !d.Attached && !d.KeyFrame())
	require.Equal(t, Layer{0, 1}, d.Layer)
	require.Equal(t, key.Number+1, d.Number)
	require.Same(t, key.Structure, d.Structure)
	require.Equal(t, []Indication{NotPresent, Discardable}, []Indication{d.DTI(0), d.DTI(1)})
	require.Equal(t, 1, d.References())
	require.EqualValues(t, 1, d.Reference(0))
	require.EqualValues(t, 1, d.ChainDiff(0))

	require.NoError(t, s.Parse(bits("0 1 000110 0000000000001001", "0 1 1 1 1", // all of its own
		"01", "11 01", "01 0011 10 11111111 11 000100000000 00", "11001000"), &d))
	require.Equal(t, []Indication{Required, Discardable}, []Indication{d.DTI(0), d.DTI(1)})
	require.EqualValues(t, 1, d.Active)
	require.True(t, d.ActivePresent)
	require.Equal(t, []int64{4, 256, 257}, []int64{d.Reference(0), d.Reference(1), d.Reference(2)})
	require.EqualValues(t, 200, d.ChainDiff(0))

	require.NoError(t, s.Parse([]byte{0x87, 0, 10}, &d))
	require.EqualValues(t, 1, d.Active, "the mask holds on")
	require.False(t, d.ActivePresent)
	require.EqualValues(t, 1, s.Active())

	require.NoError(t, s.Parse(keyDescriptor(), &d), "once more")
	require.Same(t, key.Structure, d.Structure)
}

func TestDescriptorRefused(t *testing.T) {
	ready := func() *DependencyState {
		s := new(DependencyState)
		var d Descriptor
		require.NoError(t, s.Parse(keyDescriptor(), &d))
		return s
	}
	notFirst := keyDescriptor()
	notFirst[0] &^= 0x80
	stale := keyDescriptor()
	stale[2]--
	otherTemplate := keyDescriptor()
	otherTemplate[0]++
	otherTemplate[0] += 2
	tests := map[string]struct {
		ext  []byte
		want error
	}{
		"nothing":               {nil, ErrDescriptor},
		"two bytes":             {[]byte{0xC5, 0}, ErrDescriptor},
		"256 bytes":             {make([]byte, 256), ErrDescriptor},
		"template below":        {[]byte{0xC4, 0, 8}, ErrTemplate},
		"template above":        {[]byte{0xC8, 0, 8}, ErrTemplate},
		"template of none":      {otherTemplate, ErrTemplate},
		"not in the first":      {notFirst, ErrDescriptor},
		"older structure":       {stale, ErrStale},
		"nine references":       {bits("1 1 000101 0000000000001000", "0 0 0 1 0", "01 0000 01 0000 01 0000 01 0000 01 0000 01 0000 01 0000 01 0000 01 0000 00"), ErrDescriptor},
		"references cut":        {bits("1 1 000101 0000000000001000", "0 0 0 1 0", "11 0"), ErrDescriptor},
		"five spatial layers":   {bits("1 1 000101 0000000000001000", "1 0 0 0 0", "000101 00000", "10 10 10 10 11"), ErrDescriptor},
		"nine temporal layers":  {bits("1 1 000101 0000000000001000", "1 0 0 0 0", "000101 00000", "01 01 01 01 01 01 01 01 11"), ErrDescriptor},
		"templates without end": {append(bits("1 1 000101 0000000000001000", "1 0 0 0 0", "000101 00000"), make([]byte, 100)...), ErrDescriptor},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := ready()
			before := *s
			var d Descriptor
			require.ErrorIs(t, s.Parse(tt.ext, &d), tt.want)
			before.scratch = s.scratch
			require.Equal(t, before, *s, "the state has changed")
		})
	}
	whole := keyDescriptor()
	for n := 4; n < len(whole); n++ {
		var s DependencyState
		var d Descriptor
		require.ErrorIs(t, s.Parse(whole[:n], &d), ErrDescriptor, "%d bytes", n)
	}
}

// TestDescriptorNumbers goes over the wrap of the frame number, back and forth.
func TestDescriptorNumbers(t *testing.T) {
	var s DependencyState
	var d Descriptor
	key := keyDescriptor()
	key[1], key[2] = 0xFF, 0xF0
	require.NoError(t, s.Parse(key, &d))
	first := d.Number
	for _, ahead := range []int64{3, 20, 1, 18, 32000, 31990, 64000, 90000} {
		n := uint16(first + ahead)
		require.NoError(t, s.Parse([]byte{0xC5, byte(n >> 8), byte(n)}, &d))
		require.Equal(t, first+ahead, d.Number)
	}
}

func TestDescriptorMask(t *testing.T) {
	for _, name := range []string{"av1_l3t3", "vp9_l3t3_key"} {
		var s, out DependencyState
		for _, p := range readCapture(t, name) {
			var d, got Descriptor
			if s.Parse(p.dd, &d) != nil {
				continue
			}
			changed := d
			changed.ActivePresent, changed.Active = true, upTo(d.Structure, Layer{1, 1})
			buf := make([]byte, MaxDescriptorSize)
			n, err := changed.Marshal(buf)
			require.NoError(t, err)
			require.LessOrEqual(t, n, len(p.dd)+3)
			_, err = changed.Marshal(buf[:n-1])
			require.ErrorIs(t, err, ErrBuffer)
			require.NoError(t, out.Parse(buf[:n], &got))
			require.EqualValues(t, 0b11011, got.Active)
			require.Equal(t, *changed.Structure, *got.Structure)
			changed.Structure = got.Structure
			require.Equal(t, changed, got)
		}
		require.EqualValues(t, 0b11011, out.Active())
	}
}

// TestDDMunger sends the encodings of a simulcast one after the other, and pauses
// for more frames than 16 bits tell apart.
func TestDDMunger(t *testing.T) {
	for _, name := range []string{"av1_simulcast", "vp9_simulcast"} {
		states := map[string]*DependencyState{"q": {}, "h": {}, "f": {}}
		var receiver DependencyState
		var m DDMunger
		source, next := "", map[string]string{"": "q", "q": "h", "h": "f", "f": "q"}
		switches, last := 0, Descriptor{}
		for _, p := range readCapture(t, name) {
			var d, got Descriptor
			if states[p.rid].Parse(p.dd, &d) != nil {
				continue
			}
			switched := false
			if d.KeyFrame() && p.rid == next[source] {
				source, switched = p.rid, true
				m.Switch(&d)
				switches++
			}
			if p.rid != source {
				continue
			}
			ext := bytes.Clone(p.dd)
			require.Equal(t, len(ext), RewriteDescriptor(ext, ext, m.Map(&d, d.Active)))
			require.NoError(t, receiver.Parse(ext, &got))
			require.Equal(t, d.frameDependencies, got.frameDependencies)
			require.Equal(t, d.Layer, got.Layer)
			if switched && switches > 1 {
				require.Equal(t, last.Number+1, got.Number)
				require.Equal(t, last.Structure.offset+last.Structure.templates, got.Structure.offset)
				require.NotEqual(t, last.Structure, got.Structure)
			}
			if got.Number > last.Number {
				last = got
			}
		}
		require.Greater(t, switches, 3, name)
	}

	var m DDMunger
	var s DependencyState
	var d Descriptor
	key := keyDescriptor()
	require.NoError(t, s.Parse(key, &d))
	require.Equal(t, DDMapping{FrameNumber: 7}, m.Map(&d, 3), "the first source stays as it is")
	d.Number += 40000
	m.Switch(&d)
	require.Equal(t, DDMapping{FrameNumber: 8, Shift: 3}, m.Map(&d, 3))
	d.Number--
	require.EqualValues(t, 7, m.Map(&d, 3).FrameNumber, "late")
	require.Zero(t, RewriteDescriptor(make([]byte, 2), []byte{1, 2, 3}, DDMapping{}))
	require.Zero(t, RewriteDescriptor(make([]byte, 2), []byte{1, 2}, DDMapping{}))
}

// FuzzDescriptor parses two descriptors, writes them again, and reads the same.
func FuzzDescriptor(f *testing.F) {
	for _, name := range []string{"av1_l3t3", "vp9_l3t3_key", "av1_l1t3"} {
		for _, p := range readCapture(f, name) {
			if len(p.dd) > 20 {
				f.Add(p.dd, p.dd[:3], uint8(3), uint16(9))
				f.Add(p.dd, []byte{p.dd[0], 0, 9, 0x78, 0xFF, 0x55, 0x01, 0x02}, uint8(200), uint16(9))
			}
		}
	}
	f.Add(keyDescriptor(), bits("0 1 000110 0000000000001001", "0 1 1 1 1", "01", "11 01", "01 0011 00", "11001000"), uint8(1), uint16(65535))
	f.Fuzz(func(t *testing.T, first, second []byte, shift uint8, number uint16) {
		var s, again, moved DependencyState
		for _, ext := range [][]byte{first, second} {
			var d, got Descriptor
			if s.Parse(ext, &d) != nil {
				continue
			}
			var buf [MaxDescriptorSize]byte
			n, err := d.Marshal(buf[:])
			if err != nil {
				if len(ext) < 200 {
					t.Fatalf("marshal of %x: %v", ext, err)
				}
				return
			}
			if err := again.Parse(buf[:n], &got); err != nil {
				t.Fatalf("%x of %x: %v", buf[:n], ext, err)
			}
			if *got.Structure != *d.Structure {
				t.Fatalf("structure of %x: %+v, want %+v", buf[:n], *got.Structure, *d.Structure)
			}
			want := d
			want.Structure = got.Structure
			if got != want {
				t.Fatalf("%x of %x: %+v, want %+v", buf[:n], ext, got, want)
			}
			rewritten := make([]byte, len(ext))
			RewriteDescriptor(rewritten, ext, DDMapping{FrameNumber: d.FrameNumber, Shift: shift})
			if err := moved.Parse(rewritten, &got); err != nil {
				t.Fatalf("rewritten %x of %x: %v", rewritten, ext, err)
			}
			if got.frameDependencies != d.frameDependencies || got.Layer != d.Layer || got.Active != d.Active ||
				got.Structure.offset != (d.Structure.offset+shift)&63 {
				t.Fatalf("rewritten %x of %x: %+v, want %+v", rewritten, ext, got, d)
			}
			RewriteDescriptor(rewritten, rewritten, DDMapping{FrameNumber: number, Shift: -shift})
			if string(rewritten[3:]) != string(ext[3:]) || rewritten[0] != ext[0] {
				t.Fatalf("moved back: %x, want %x", rewritten, ext)
			}
			checkMasked(t, ext, &d, uint32(number)<<16|uint32(number)*uint32(shift))
		}
	})
}

// checkMasked gives the descriptor ext, which is d, a mask: with it nothing else
// changes, and one more makes it no longer.
func checkMasked(t *testing.T, ext []byte, d *Descriptor, mask uint32) {
	mask &= d.Structure.AllTargets()
	to := DDMapping{FrameNumber: d.FrameNumber, Active: mask, Targets: d.Structure.targets}
	var one, two [MaxDescriptorSize]byte
	n := RewriteDescriptor(one[:], ext, to)
	const most = 1 + MaxDecodeTargets/8 // the flags and the mask
	if n > len(ext)+most {
		t.Fatalf("%d bytes of %d", n, len(ext))
	}
	if len(ext)+most > MaxDescriptorSize {
		return // there may be no room
	}
	want := *d
	want.Active, want.ActivePresent = mask, true
	s := DependencyState{structure: d.Structure, since: d.Number, high: d.Number, started: true}
	var got Descriptor
	if err := s.Parse(one[:n], &got); err != nil {
		t.Fatalf("masked %x of %x: %v", one[:n], ext, err)
	}
	if *got.Structure != *d.Structure {
		t.Fatalf("structure of masked %x of %x", one[:n], ext)
	}
	if want.Structure = got.Structure; got != want {
		t.Fatalf("masked %x of %x: %+v, want %+v", one[:n], ext, got, want)
	}
	if m := RewriteDescriptor(two[:], one[:n], to); string(two[:m]) != string(one[:n]) {
		t.Fatalf("masked again: %x, want %x", two[:m], one[:n])
	}
}

func BenchmarkParseDescriptor(b *testing.B) {
	var s DependencyState
	var d Descriptor
	if err := s.Parse(keyDescriptor(), &d); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for range b.N {
		if err := s.Parse([]byte{0x87, 0, 8}, &d); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMarshalDescriptor(b *testing.B) {
	var s DependencyState
	var d Descriptor
	if err := s.Parse(keyDescriptor(), &d); err != nil {
		b.Fatal(err)
	}
	d.Attached, d.ActivePresent = false, true
	buf := make([]byte, MaxDescriptorSize)
	b.ReportAllocs()
	for range b.N {
		if _, err := d.Marshal(buf); err != nil {
			b.Fatal(err)
		}
	}
}
