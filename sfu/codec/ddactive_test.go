package codec

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// upTo is the bit mask of the decode targets that are not above layer.
func upTo(s *Structure, layer Layer) uint32 {
	mask := uint32(0)
	for t := range s.DecodeTargets() {
		if at := s.TargetLayer(t); at.Spatial <= layer.Spatial && at.Temporal <= layer.Temporal {
			mask |= 1 << t
		}
	}
	return mask
}

// subscription forwards a capture to one subscriber, who reads what it gets.
type subscription struct {
	t        testing.TB
	svc      SVC
	munger   DDMunger
	source   DependencyState
	receiver DependencyState
	sent     Descriptor // of the packet forwarded last

	masks, attached int // descriptors that carried a mask, and a structure
	packets         int
	grown           int // most bytes that a descriptor became longer by
}

// forward gives the subscriber a packet, unless the packet is not for it or is lost
// on the way. got is nil then.
func (s *subscription) forward(p captured, lost bool) (sent Decision, got *Descriptor) {
	var d Descriptor
	if err := s.source.Parse(p.dd, &d); err != nil {
		require.NotErrorIs(s.t, err, ErrDescriptor)
		return sent, nil
	}
	f := DescriptorFrame(&d, p.ts, p.marker)
	if sent = s.svc.Select(&f); !sent.Forward {
		return sent, nil
	}
	s.sent = d
	if sent.Begins {
		s.munger.Switch(&d)
	}
	to := s.munger.Map(&d, sent.Targets)
	var buf, again [MaxDescriptorSize]byte
	n := RewriteDescriptor(buf[:], p.dd, to)
	require.Equal(s.t, buf[:n], again[:RewriteDescriptor(again[:], p.dd, to)], "sent again alike")
	s.packets++
	s.grown = max(s.grown, n-len(p.dd))
	if lost {
		return sent, nil
	}
	got = new(Descriptor)
	require.NoError(s.t, s.receiver.Parse(buf[:n], got))
	require.Equal(s.t, d.frameDependencies, got.frameDependencies)
	require.Equal(s.t, []any{d.First, d.Last, d.Attached, d.Layer}, []any{got.First, got.Last, got.Attached, got.Layer})
	if got.ActivePresent {
		s.masks++
	}
	if got.Attached {
		s.attached++
		require.Equal(s.t, sent.Targets != got.Structure.AllTargets(), got.ActivePresent, "each structure tells it, where not all are sent")
	}
	return sent, got
}

// targetsOf is what is decodable of a capture at a fixed layer.
func targetsOf(s *Structure, name string, layer Layer) uint32 {
	mask := upTo(s, layer)
	if keyMode(name) { // the upper layers go on without the lower ones
		mask &^= upTo(s, Layer{layer.Spatial - 1, layer.Temporal})
	}
	return mask
}

// TestSubscribersAreToldTheirTargets asks for each layer all the time: after every
// packet the receiver knows what it is sent, and hardly any packet had to tell it.
func TestSubscribersAreToldTheirTargets(t *testing.T) {
	for name, top := range svcCaptures {
		t.Run(name, func(t *testing.T) {
			for spatial := range top.Spatial + 1 {
				for temporal := range top.Temporal + 1 {
					layer := Layer{spatial, temporal}
					s := subscription{t: t}
					s.svc.SetTarget(int(spatial), int(temporal))
					for i, p := range readCapture(t, name) {
						if _, got := s.forward(p, false); got != nil {
							require.Equal(t, targetsOf(got.Structure, name, layer), s.receiver.Active(), "packet %d of %v", i, layer)
						}
					}
					t.Logf("%v: %d packets, %d structures, %d masks, at most %d bytes more", layer, s.packets, s.attached, s.masks, s.grown)
					require.LessOrEqual(t, s.grown, 3)
					require.Greater(t, s.attached, 1)
					if targetsOf(s.receiver.Structure(), name, layer) == s.receiver.Structure().AllTargets() {
						require.Zero(t, s.masks, "all is sent")
					} else {
						require.GreaterOrEqual(t, s.masks, s.attached)
						require.Less(t, s.masks, s.packets/3)
					}
				}
			}
		})
	}
}

// TestTargetsSurviveLoss changes the layer at random and loses packets: whoever has
// all frames of a chain that matters since the last change knows what it is sent.
func TestTargetsSurviveLoss(t *testing.T) {
	for name, top := range svcCaptures {
		t.Run(name, func(t *testing.T) {
			packets := readCapture(t, name)
			checked, changes := 0, 0
			for seed := range uint64(60) {
				rng := rand.New(rand.NewPCG(seed, 3))
				s := subscription{t: t}
				s.svc.SetTarget(int(top.Spatial), int(top.Temporal))
				whole := map[int64]bool{} // frames of which all came
				broken := uint32(0)       // chains that miss a frame since the last change
				last, since := uint32(0), int64(0)
				for i, p := range packets {
					if rng.IntN(25) == 0 {
						s.svc.SetTarget(rng.IntN(int(top.Spatial)+1), rng.IntN(int(top.Temporal)+1))
					}
					// A structure that is lost is asked for again: that is not what is looked at here.
					sent, got := s.forward(p, len(p.dd) < 20 && rng.IntN(8) == 0)
					if !sent.Forward {
						continue
					}
					number, d := s.munger.last, &s.sent
					if sent.Targets != last || d.Attached {
						last, since, broken = sent.Targets, number, 0
						changes++
					}
					if came, seen := whole[number]; got == nil || !seen || !came {
						whole[number] = got != nil && !seen
					}
					for c := range d.Structure.Chains() {
						diff := d.ChainDiff(c)
						if d.Structure.chainsOf(last)>>c&1 == 0 || diff == 0 || number-diff < since {
							continue
						}
						if !whole[number-diff] {
							broken |= 1 << c
						}
						if got != nil && broken>>c&1 == 0 {
							checked++
							require.Equal(t, last, s.receiver.Active(), "seed %d, packet %d, chain %d", seed, i, c)
						}
					}
				}
			}
			require.Greater(t, checked, 1000)
			require.Greater(t, changes, 300)
		})
	}
}

// TestTargetsWithoutChains: nothing tells whether a packet was lost, so all tell.
func TestTargetsWithoutChains(t *testing.T) {
	key := bits("1 1 000000 0000000000000001", "1 0 0 0 0", "000000 00001", "01 11", "10 10  00 01", "0  1 0000 0", "00", "0")
	var s DependencyState
	var d Descriptor
	require.NoError(t, s.Parse(key, &d))
	require.Zero(t, d.Structure.Chains())
	var m DDMunger
	require.EqualValues(t, 2, m.Map(&d, 1).Targets)
	for n := byte(2); n < 200; n++ {
		require.NoError(t, s.Parse([]byte{0xC0, 0, n}, &d))
		require.Equal(t, DDMapping{Active: 1, FrameNumber: uint16(n), Targets: 2}, m.Map(&d, 1))
	}
	require.NoError(t, s.Parse([]byte{0xC0, 0, 5}, &d))
	require.NotZero(t, m.Map(&d, 1).Targets, "late")
	require.NoError(t, s.Parse(append(key[:1:1], append([]byte{0, 201}, key[3:]...)...), &d))
	require.Zero(t, m.Map(&d, 3).Targets, "all of a new structure")
}

// TestAMaskThatDoesNotFit is left out, and nothing else changes.
func TestAMaskThatDoesNotFit(t *testing.T) {
	to := DDMapping{FrameNumber: 9, Active: 1, Targets: 2}
	plain := []byte{0xC5, 0, 8}
	require.Equal(t, 3, RewriteDescriptor(make([]byte, 3), plain, to))
	buf := make([]byte, 4)
	require.Equal(t, 4, RewriteDescriptor(buf, plain, to))
	require.Equal(t, bits("1 1 000101 0000000000001001", "0 1 0 0 0", "01"), buf)
	long := append(bits("1 1 000101 0000000000001000", "0 0 0 1 0"), make([]byte, MaxDescriptorSize-4)...)
	got := make([]byte, 300)
	require.Equal(t, len(long), RewriteDescriptor(got, long, to))
	require.Equal(t, long[3:], got[3:len(long)])
	// The structure that is attached has two targets, not three.
	to.Targets = 3
	key := keyDescriptor()
	require.Equal(t, len(key), RewriteDescriptor(got, key, to))
	require.Equal(t, key[3:], got[3:len(key)])
}

func TestRewriteDescriptorDoesNotAllocate(t *testing.T) {
	key, buf := keyDescriptor(), make([]byte, MaxDescriptorSize)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		RewriteDescriptor(buf, key, DDMapping{Active: 1, Targets: 2})
		RewriteDescriptor(buf, key[:3], DDMapping{Active: 1, Targets: 2})
	}))
}

func BenchmarkRewriteDescriptor(b *testing.B) {
	key := keyDescriptor()
	for name, c := range map[string]struct {
		ext []byte
		to  DDMapping
	}{
		"plain": {key[:3], DDMapping{Shift: 3}}, "mask": {key[:3], DDMapping{Active: 1, Targets: 2}},
		"structure": {key, DDMapping{Active: 1, Targets: 2}},
	} {
		b.Run(name, func(b *testing.B) {
			var buf [MaxDescriptorSize]byte
			b.ReportAllocs()
			for range b.N {
				RewriteDescriptor(buf[:], c.ext, c.to)
			}
		})
	}
}
