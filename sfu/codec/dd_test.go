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

func mustParse(t testing.TB, s *DependencyState, ext []byte) Descriptor {
	t.Helper()
	var d Descriptor
	require.NoError(t, s.Parse(ext, &d))
	return d
}

var _ = bytes.Equal
