package trace

import (
	"fmt"
	"io/fs"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// figureLine is a line of the table in the package's comment.
func figureLine(name string, l *Layer) string {
	f := l.Figures()
	return fmt.Sprintf("//	%-4s  %4d×%-3d  %5.2f  %5.1f  %4d  %5.0f  %5.1f  %5.2f  %5.0f  %6.0f  %7d  %7d",
		name, l.Width, l.Height, f.Duration.Seconds(), f.FrameRate, f.KeyFrames, f.Bitrate/1000, f.PacketRate, f.PacketsPerFrame,
		100*f.Split, 100*f.Uneven, f.Largest, f.Cramped)
}

// TestCommentTellsTheFigures: after a new recording, the table that this prints goes into
// doc.go.
func TestCommentTellsTheFigures(t *testing.T) {
	comment, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	for _, name := range Names() {
		tr, err := Load(name)
		require.NoError(t, err)
		for _, l := range tr.Layers {
			line := figureLine(name, l)
			t.Log("\n" + line)
			require.Contains(t, string(comment), line+"\n")
		}
	}
}

func TestTracesAreSmall(t *testing.T) {
	var all int64
	for _, name := range Names() {
		info, err := fs.Stat(files, "data/"+name+extension)
		require.NoError(t, err)
		require.LessOrEqual(t, info.Size(), int64(60<<10), name)
		all += info.Size()
	}
	require.LessOrEqual(t, all, int64(500<<10))
}

// TestRecordingsHoldWhatTheyShould: enough time, key frames and layers, and a time stamp
// fits into all packets but the parameter sets.
func TestRecordingsHoldWhatTheyShould(t *testing.T) {
	layers := map[string]int{"h264": 3, "vp8": 3, "vp9": 1}
	require.Len(t, Names(), len(layers))
	for name, n := range layers {
		tr, err := Load(name)
		require.NoError(t, err)
		require.Len(t, tr.Layers, n)
		require.Contains(t, tr.Source, "Chromium")
		for i, l := range tr.Layers {
			f := l.Figures()
			require.InDelta(t, 10, f.Duration.Seconds(), 0.2, name)
			require.GreaterOrEqual(t, f.KeyFrames, 4, name)
			require.Positive(t, f.Uneven, name)
			require.NoError(t, l.continuous(), name)
			whole := 0
			for j := range l.Frames {
				for _, p := range l.Frames[j].Packets {
					whole += int(bit(p.at.whole))
				}
			}
			require.Equal(t, whole, f.Cramped, name)
			if n == 3 {
				require.Equal(t, uint8(i), l.Quality)
				require.Equal(t, [2]int{320 << i, 180 << i}, [2]int{l.Width, l.Height})
			}
		}
		top := tr.Layers[n-1]
		require.Equal(t, [3]int{1280, 720, 2}, [3]int{top.Width, top.Height, int(top.Quality)})
	}
	vp9, err := Load("vp9")
	require.NoError(t, err)
	var pictures [3]int // by how many layers they have
	for i := range vp9.Layers[0].Frames {
		units := 0
		vp9.Layers[0].Frames[i].eachUnit(VP9, func(u *unit) {
			require.Equal(t, units, u.from[0].at.spatial, "picture %d", i)
			units++
		})
		pictures[units-1]++
	}
	require.Zero(t, pictures[0]+pictures[1]/10, "nearly all have the three spatial layers")
	vp8, err := Load("vp8")
	require.NoError(t, err)
	first := vp8.Layers[0].Frames[0].Packets[0]
	require.True(t, first.at.long && first.at.tl0 != 0, "picture id and TL0PICIDX are there to be rewritten")
}
