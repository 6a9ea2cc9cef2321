package codec

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSVCInactive switches off the upper layer amid a stream and on again: it is
// left at once, and had again only by a key frame.
func TestSVCInactive(t *testing.T) {
	var s SVC
	s.SetTarget(2, 2)
	pictures := 0
	packets := svcFrames(t, "av1_l3t3", true)
	for i := range packets {
		f := packets[i].frame
		if s.begun && f.Key {
			break
		}
		if s.begun && s.timestamp != f.Timestamp {
			pictures++
		}
		d := *f.Descriptor
		if pictures >= 2 && pictures < 4 {
			d.Active = upTo(d.Structure, Layer{1, 2})
		}
		f.Descriptor = &d
		got := s.Select(&f)
		if pictures >= 2 {
			require.Equal(t, Layer{1, 2}, got.Layer)
			require.Equal(t, f.Spatial <= 1, got.Forward)
			require.Equal(t, pictures >= 4, got.NeedKeyFrame)
		}
	}
	require.Greater(t, pictures, 5)
}

// TestSVCKeyModeStays asks for the lowest layer of a KEY mode: the present one
// goes on until the key frame comes.
func TestSVCKeyModeStays(t *testing.T) {
	for _, descriptors := range []bool{true, false} {
		packets := svcFrames(t, "vp9_l3t3_key", descriptors)
		var s SVC
		s.SetTarget(2, 2)
		stayed := 0
		for i := range packets {
			f := &packets[i].frame
			if s.begun && f.Number > s.since+40 {
				s.SetTarget(0, 2)
			}
			d := s.Select(f)
			if s.target.Spatial == 0 && d.NeedKeyFrame {
				require.EqualValues(t, 2, d.Layer.Spatial)
				require.Equal(t, f.Spatial == 2, d.Forward)
				stayed++
			}
		}
		require.Greater(t, stayed, 5)
		require.EqualValues(t, 0, s.Current().Spatial)
	}
}

// TestSVCRestart lets the frame numbers fall far back, as of an encoder that
// starts again: its key frame begins a new run.
func TestSVCRestart(t *testing.T) {
	packets := svcFrames(t, "av1_l1t3", true)
	var s SVC
	s.SetTarget(0, 2)
	begins := 0
	for _, back := range []int64{0, 10000} {
		for i := range packets {
			f := packets[i].frame
			f.Number -= back
			if s.Select(&f).Begins {
				begins++
			}
		}
	}
	require.Equal(t, 2, begins)
}

// TestDescriptorsAfterNone: frames come without descriptors first, then with them,
// under numbers that were used.
func TestDescriptorsAfterNone(t *testing.T) {
	var s SVC
	s.SetTarget(0, 0)
	for _, f := range vp9Picture(1, 1, true, true) {
		require.True(t, s.Select(&f).Forward, "%+v", f)
	}
	var state DependencyState
	var d Descriptor
	require.NoError(t, state.Parse(keyDescriptor(), &d))
	f := DescriptorFrame(&d, 3000, true)
	f.Number, f.Key = vp9Step, false
	got := s.Select(&f)
	require.Equal(t, Layer{0, 0}, got.Layer, "it is taken for a frame that was forwarded")
	require.Zero(t, got.Targets)
}

// vp9Picture is the frames of a picture without flexible mode.
func vp9Picture(number int64, layers int8, key, full bool) []Frame {
	var out []Frame
	for sid := range layers {
		last := sid == layers-1
		out = append(out, Frame{
			Layer: Layer{sid, 0}, First: true, Last: true, Marker: last, Key: key && sid == 0,
			Number: number*vp9Step + int64(sid), Timestamp: uint32(number) * 3000,
			InterPicture: !key, InterLayer: sid > 0 && (key || full), NotForUpper: last || !key && !full,
		})
	}
	return out
}

// TestSVCLayerGone ends the highest layer of a VP9 stream without descriptors.
func TestSVCLayerGone(t *testing.T) {
	for name, full := range map[string]bool{"full": true, "KEY": false} {
		var s SVC
		s.SetTarget(2, 0)
		forward := map[int64]int{}
		var d Decision
		for n := int64(1); n <= 30; n++ {
			layers := int8(3)
			if n > 10 {
				layers = 2
			}
			for _, f := range vp9Picture(n, layers, n == 1, full) {
				if d = s.Select(&f); d.Forward {
					forward[n]++
				}
			}
		}
		require.Equal(t, 3, forward[1])
		if full {
			require.Equal(t, []int{3, 2, 2}, []int{forward[10], forward[11], forward[30]}, name)
			require.Equal(t, Layer{1, 0}, d.Layer)
			require.False(t, d.NeedKeyFrame, "there is nothing above")
			continue
		}
		require.Equal(t, []int{1, 0, 0}, []int{forward[10], forward[11], forward[30]}, name)
		require.Equal(t, NoLayer, d.Layer)
		require.True(t, d.NeedKeyFrame)
	}
}

// TestSVCFewerLayers asks for more than the key frame has, and does not tell:
// the stream is taken for what it had.
func TestSVCFewerLayers(t *testing.T) {
	var s SVC
	s.SetTarget(2, 0)
	for n := int64(1); n <= 6; n++ {
		key, layers := n == 1 || n == 4, int8(3)
		if n >= 4 {
			layers = 2
		}
		for _, f := range vp9Picture(n, layers, key, false) {
			d := s.Select(&f)
			require.Equal(t, key || f.Spatial == layers-1, d.Forward)
			require.False(t, d.NeedKeyFrame && !key, "picture %d", n)
			require.True(t, key || d.Layer == Layer{layers - 1, 0})
		}
	}
}

func TestREDCertain(t *testing.T) {
	red := func(offset uint16, more ...byte) []byte {
		return append([]byte{0xEF, byte(offset >> 6), byte(offset << 2), 1}, more...)
	}
	start := func() *REDRecovery {
		r := new(REDRecovery)
		for n := range uint16(5) {
			r.Recover(n, uint32(n)*960, []byte{111, 1}, nil)
		}
		return r
	}
	var got []uint32
	emit := func(seq uint16, ts uint32, _ []byte) { got = append(got, uint32(seq), ts) }
	never := func(uint16, uint32, []byte) { t.Fatal("emitted") }

	start().Recover(6, 9600, red(1920, 111, 1, 2), emit)
	require.Equal(t, []uint32{5, 7680}, got, "only 5 is missing, after a pause")
	start().Recover(7, 9600, red(1920, 111, 1, 2), never)
	got = nil
	start().Recover(7, 6720, red(960, 111, 1, 2), emit)
	require.Equal(t, []uint32{6, 5760}, got, "the regular step")

	r := start()
	r.Recover(6, 5760, []byte{111, 1}, nil)
	two := append([]byte{0xEF, 500 >> 6, 500 << 2 & 0xFF, 1}, red(400, 111, 1, 2, 3)...)
	r.Recover(7, 6720, two, never)                        // newer than packet 6
	start().Recover(6, 9600, red(6000, 111, 1, 2), never) // older than packet 4
}
