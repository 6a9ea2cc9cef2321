package codec

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// svcPacket is a packet with the frame it belongs to.
type svcPacket struct {
	seq   uint16
	frame Frame
}

// svcFrames reads a capture as frames: by descriptors, or by VP9 payloads alone.
func svcFrames(t testing.TB, name string, descriptors bool) []svcPacket {
	t.Helper()
	return framesOf(t, readCapture(t, name), descriptors)
}

// framesOf reads packets in the order given; what cannot be read is left out.
func framesOf(t testing.TB, packets []captured, descriptors bool) []svcPacket {
	t.Helper()
	var dd DependencyState
	var vp9 VP9State
	var out []svcPacket
	for _, p := range packets {
		if descriptors {
			d := new(Descriptor)
			if err := dd.Parse(p.dd, d); err != nil {
				require.NotErrorIs(t, err, ErrDescriptor)
				continue
			}
			out = append(out, svcPacket{p.seq, DescriptorFrame(d, p.ts, p.marker)})
			continue
		}
		v, err := ParseVP9(p.payload)
		require.NoError(t, err)
		out = append(out, svcPacket{p.seq, vp9.Frame(&v, p.ts, p.marker)})
	}
	return out
}

// svcReceiver checks what a receiver would get: each frame whole, each reference
// there, one marker at the end of each picture, layers as told.
type svcReceiver struct {
	t       testing.TB
	frames  map[int64]bool // received
	last    *Frame
	marked  bool
	count   map[Layer]int
	byTime  map[uint32]Layer // highest layer of each picture
	begins  int
	ordered bool // nothing is lost or late
	layer   Layer
}

func newSVCReceiver(t testing.TB) *svcReceiver {
	return &svcReceiver{t: t, frames: map[int64]bool{}, count: map[Layer]int{}, byTime: map[uint32]Layer{}, ordered: true}
}

func (r *svcReceiver) packet(f *Frame, d Decision) {
	if !d.Forward {
		require.False(r.t, d.Marker)
		return
	}
	require.LessOrEqual(r.t, f.Spatial, d.Layer.Spatial)
	require.LessOrEqual(r.t, f.Temporal, d.Layer.Temporal)
	if d.Begins {
		r.begins++
		require.True(r.t, f.Key, "begins at %+v", f)
		require.True(r.t, f.First)
	}
	require.Positive(r.t, r.begins, "a packet before the first")
	for _, n := range references(f) {
		require.True(r.t, r.frames[n], "frame %d %+v refers to %d", f.Number, f.Layer, f.Number-n)
	}
	if r.ordered && r.last != nil && r.last.Timestamp != f.Timestamp {
		require.True(r.t, r.marked, "picture before frame %d %+v has no marker", f.Number, f.Layer)
	} else if r.ordered && r.last != nil && r.layer == d.Layer {
		require.False(r.t, r.marked, "frame %d %+v follows the marker of its picture", f.Number, f.Layer)
	}
	if f.Last {
		r.frames[f.Number] = true
	}
	if f.First {
		r.count[f.Layer]++
		r.byTime[f.Timestamp] = Layer{max(r.byTime[f.Timestamp].Spatial, f.Spatial), f.Temporal}
	}
	copied := *f
	r.last, r.marked, r.layer = &copied, d.Marker, d.Layer
}

// references is the frames that f refers to.
func references(f *Frame) []int64 {
	var out []int64
	if d := f.Descriptor; d != nil {
		for i := range d.References() {
			out = append(out, f.Number-d.Reference(i))
		}
		return out
	}
	if f.InterLayer {
		out = append(out, f.Number-1)
	}
	if f.InterPicture {
		for _, diff := range f.PDiff[:f.References] {
			out = append(out, f.Number-8*int64(diff))
		}
	}
	return out
}

// svcStreams are the captures, each read in all ways there are.
func svcStreams(t testing.TB) map[string][]svcPacket {
	out := map[string][]svcPacket{}
	for name := range svcCaptures {
		out[name] = svcFrames(t, name, true)
		if name[0] == 'v' {
			out[name+" without descriptors"] = svcFrames(t, name, false)
		}
	}
	return out
}

// TestSVCFixedTarget asks for one layer all the time: the receiver gets all that
// the layer needs, and of the KEY modes nothing more.
func TestSVCFixedTarget(t *testing.T) {
	for name, packets := range svcStreams(t) {
		t.Run(name, func(t *testing.T) {
			top := svcCaptures[baseName(name)]
			for spatial := range top.Spatial + 1 {
				for temporal := range top.Temporal + 1 {
					var s SVC
					s.SetTarget(int(spatial), int(temporal))
					require.True(t, s.NeedKeyFrame())
					r := newSVCReceiver(t)
					want, begun := map[int64]bool{}, false
					for i := range packets {
						f := &packets[i].frame
						begun = begun || f.Key && f.First
						d := s.Select(f)
						r.packet(f, d)
						if begun {
							require.False(t, d.NeedKeyFrame, "packet %d", i)
							require.Equal(t, Layer{spatial, temporal}, d.Layer)
						}
						if begun && f.Temporal <= temporal && f.Spatial <= spatial && (f.Spatial == spatial || !keyMode(name) || isKeyPicture(packets, f)) {
							want[f.Number] = f.Last || want[f.Number]
						}
					}
					for n := range want {
						require.True(t, !want[n] || r.frames[n], "frame %d of S%d T%d", n, spatial, temporal)
					}
					for n := range r.frames {
						require.Contains(t, want, n, "of S%d T%d", spatial, temporal)
					}
					require.Equal(t, 1, r.begins)
				}
			}
		})
	}
}

func baseName(name string) string {
	for i := range name {
		if name[i] == ' ' {
			return name[:i]
		}
	}
	return name
}

func keyMode(name string) bool {
	base := baseName(name)
	return base[len(base)-4:] == "_key"
}

func isKeyPicture(packets []svcPacket, f *Frame) bool {
	for i := range packets {
		if p := &packets[i].frame; p.Timestamp == f.Timestamp && p.Key {
			return true
		}
	}
	return false
}

// TestSVCSwitching changes the target at random: what is forwarded stays
// decodable, and the target is reached by the next key frame.
func TestSVCSwitching(t *testing.T) {
	for name, packets := range svcStreams(t) {
		t.Run(name, func(t *testing.T) {
			top := svcCaptures[baseName(name)]
			for seed := range uint64(50) {
				rng := rand.New(rand.NewPCG(seed, 1))
				var s SVC
				r := newSVCReceiver(t)
				want, waited := NoLayer, 0 // pictures, up to the next of the lowest temporal layer
				for i := range packets {
					f := &packets[i].frame
					if rng.IntN(15) == 0 {
						want = Layer{int8(rng.IntN(int(top.Spatial)+2)) - 1, int8(rng.IntN(int(top.Temporal) + 1))}
						s.SetTarget(int(want.Spatial), int(want.Temporal))
						if want.Spatial < 0 {
							want = NoLayer
							r.marked, r.last = false, nil // paused amid a picture, perhaps
						}
						require.Equal(t, want, s.Target())
						waited = 0
					}
					d := s.Select(f)
					r.packet(f, d)
					if want == NoLayer {
						require.False(t, d.Forward)
						require.Equal(t, NoLayer, d.Layer)
						require.False(t, d.NeedKeyFrame)
					} else if f.Key && f.First {
						require.True(t, d.Forward)
						require.Equal(t, want, d.Layer)
						require.False(t, d.NeedKeyFrame)
					} else if d.Layer == want || d.NeedKeyFrame {
						waited = 0
					} else if newPictureAt(packets, i) {
						waited++
						require.Less(t, waited, 5, "at %+v, want %+v", d.Layer, want)
					}
				}
			}
		})
	}
}

func newPictureAt(packets []svcPacket, i int) bool {
	return i == 0 || packets[i].frame.Timestamp != packets[i-1].frame.Timestamp
}

// delay moves packets back at random, by up to 12 places.
func delay(rng *rand.Rand, packets []captured) []captured {
	out := append([]captured(nil), packets...)
	for i := range out {
		if rng.IntN(15) == 0 {
			to := min(i+1+rng.IntN(12), len(out)-1)
			late := out[i]
			copy(out[i:to], out[i+1:to+1])
			out[to] = late
		}
	}
	return out
}

// TestSVCLate brings packets late: nothing is forwarded that refers to a frame
// that was refused.
func TestSVCLate(t *testing.T) {
	for name := range svcStreams(t) {
		t.Run(name, func(t *testing.T) {
			top := svcCaptures[baseName(name)]
			capture := readCapture(t, baseName(name))
			for seed := range uint64(20) {
				rng := rand.New(rand.NewPCG(seed, 2))
				packets := framesOf(t, delay(rng, capture), name == baseName(name))
				var s SVC
				s.SetTarget(rng.IntN(int(top.Spatial)+1), rng.IntN(int(top.Temporal)+1))
				got := map[int64]bool{}
				for i := range packets {
					f := &packets[i].frame
					d := s.Select(f)
					if forward, seen := got[f.Number]; seen && d.Layer != NoLayer {
						require.Equal(t, forward, d.Forward, "frame %d is cut", f.Number)
					}
					got[f.Number] = got[f.Number] || d.Forward
					if d.Begins {
						require.True(t, f.Key && f.First)
					}
				}
				for i := range packets {
					f := &packets[i].frame
					for _, n := range references(f) {
						forward, seen := got[n]
						require.True(t, !got[f.Number] || forward || !seen, "frame %d refers to %d", f.Number, n)
					}
				}
			}
		})
	}
}

// TestSVCGivesUp loses one frame of the highest layer for good. 30 pictures later
// it is given up: full SVC goes on with the layer below, whose chain is whole, a
// KEY mode has nothing to go on with. Both ask for a key frame.
func TestSVCGivesUp(t *testing.T) {
	for name, want := range map[string]Layer{"av1_l3t3": {1, 2}, "vp9_l3t3": {1, 2}, "av1_l3t3_key": NoLayer, "vp9_l1t3": NoLayer} {
		packets := svcFrames(t, name, true)
		var s SVC
		s.SetTarget(2, 2)
		top := svcCaptures[name].Spatial
		lost, after, keys := int64(0), 0, map[int64]bool{}
		for i := range packets {
			f := packets[i].frame
			if f.Key && s.begun {
				keys[f.Number] = true
			}
			if keys[f.Number] {
				continue // no other key frame comes
			}
			if lost == 0 && s.begun && f.Number > s.since+3 && f.Layer == (Layer{top, 0}) {
				lost = f.Number
			}
			if f.Number == lost {
				continue
			}
			if lost != 0 && s.timestamp != f.Timestamp {
				after++
			}
			if d := s.Select(&f); lost != 0 && d.NeedKeyFrame {
				require.Equal(t, want, d.Layer, name)
				break
			}
		}
		require.NotZero(t, lost, name)
		require.True(t, s.NeedKeyFrame(), name)
		require.InDelta(t, patience, after, 5, name)
	}
}

// FuzzSVC feeds frames that no encoder would make: nothing before SetTarget, no
// packet above the target, and one fate for the packets of a frame.
func FuzzSVC(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 64, 65, 66, 128, 1, 200, 7, 7}, true)
	f.Add([]byte{255, 0, 255, 0, 9, 8, 7, 6, 5, 4, 3, 2, 1}, false)
	capture := svcFrames(f, "av1_l3t3_key", true)
	plain := svcFrames(f, "vp9_l3t3", false)
	f.Fuzz(func(t *testing.T, script []byte, descriptors bool) {
		packets := plain
		if descriptors {
			packets = capture
		}
		var s SVC
		target := NoLayer
		at := 0
		for _, c := range script {
			if c >= 240 {
				target = Layer{int8(c&3) - 1, int8(c >> 2 & 3)}
				s.SetTarget(int(target.Spatial), int(target.Temporal))
				continue
			}
			at = (at + int(c)) % len(packets)
			fr := packets[at].frame
			fr.Timestamp += uint32(c & 1)
			d := s.Select(&fr)
			if target.Spatial < 0 && d.Forward {
				t.Fatal("forwarded without a target")
			}
			if d.Forward && (d.Layer == NoLayer || fr.Spatial > d.Layer.Spatial && s.seen.newest(fr.Number)) {
				t.Fatalf("%+v at %+v", fr, d)
			}
			if !d.Forward && (d.Marker || d.Begins) {
				t.Fatalf("%+v", d)
			}
			if again := s.Select(&fr); again.Forward != d.Forward || again.Layer != d.Layer {
				t.Fatalf("%+v, then %+v", d, again)
			}
		}
	})
}

func BenchmarkSVC(b *testing.B) {
	for name, descriptors := range map[string]bool{"descriptors": true, "VP9": false} {
		b.Run(name, func(b *testing.B) {
			packets := svcFrames(b, "vp9_l3t3_key", descriptors)
			var s SVC
			s.SetTarget(2, 1)
			b.ReportAllocs()
			for i := range b.N {
				f := packets[i%len(packets)].frame
				f.Number += int64(i / len(packets) * 8192)
				f.Timestamp += uint32(i / len(packets) * 8192)
				s.Select(&f)
			}
		})
	}
}
