package trace

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestScaledComesToTheBitrate(t *testing.T) {
	everyTrace(t, func(t *testing.T, tr *Trace) {
		for _, l := range tr.Layers {
			for _, want := range []int{60_000, 120_000, 500_000, 3_000_000} {
				scaled := l.Scaled(want)
				f := scaled.Figures()
				require.InEpsilon(t, want, f.Bitrate, 0.02, "%d×%d at %d", l.Width, l.Height, want)
				require.LessOrEqual(t, f.Largest, l.limit)
				require.Len(t, scaled.Frames, len(l.Frames))
				require.Equal(t, l.Duration(), scaled.Duration())
				require.NoError(t, scaled.finish(), "the packets make up frames")
				checkFloor(t, scaled)
			}
			least := l.Scaled(1)
			checkFloor(t, least)
			require.Greater(t, least.Figures().Bitrate, 1.0)
		}
	})
}

// checkFloor checks the least sizes of all packets that were made.
func checkFloor(t *testing.T, l *Layer) {
	t.Helper()
	for _, f := range l.Frames {
		for _, p := range f.Packets {
			if p.at.whole {
				continue
			}
			require.GreaterOrEqual(t, p.Size, MinPayload)
			require.GreaterOrEqual(t, p.Room(), MinRoom)
		}
	}
}

func TestEvenPackets(t *testing.T) {
	everyTrace(t, func(t *testing.T, tr *Trace) {
		for _, l := range tr.Layers {
			even := l.Even()
			require.NoError(t, even.finish(), "the packets make up frames")
			require.Len(t, even.Frames, len(l.Frames))
			checkFloor(t, even)
			for i := range even.Frames {
				f := &even.Frames[i]
				require.Equal(t, l.Frames[i].Key, f.Key)
				require.Equal(t, l.Frames[i].Ticks, f.Ticks)
				was, is := bytesOf(&l.Frames[i]), bytesOf(f)
				require.InDelta(t, was, is, float64(MinPayload*len(f.Packets)), "frame %d", i)
				f.eachUnit(l.Codec, func(u *unit) {
					for _, p := range u.from {
						require.Equal(t, u.from[0].Size, p.Size, "frame %d", i)
					}
				})
			}
			require.InEpsilon(t, l.Figures().Packets, even.Figures().Packets, 0.02)
			if l.Codec == VP8 {
				require.Zero(t, even.Figures().Uneven)
			}
		}
	})
}

func bytesOf(f *Frame) int {
	sum := 0
	for _, p := range f.Packets {
		sum += p.Size
	}
	return sum
}

// TestSplitIsLikeChromiums: at the bitrate of the recording, Scaled makes the packets that
// were recorded.
func TestSplitIsLikeChromiums(t *testing.T) {
	for _, name := range Names() {
		tr, err := Load(name)
		require.NoError(t, err)
		for _, l := range tr.Layers {
			made := l.reshaped(1, aboutEqual)
			for i, f := range l.Frames {
				require.Equal(t, f.Packets, made.Frames[i].Packets, "%s %d×%d, frame %d", name, l.Width, l.Height, i)
			}
		}
	}
}
