package trace

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// spare leaves out what an SFU spares the subscriber of a spatial layer in the KEY modes,
// and numbers the rest; the marker is on the last packet that is left of a picture.
func spare(packets []Received, spatial int) []Received {
	var kept []Received
	for _, p := range packets {
		at, _ := inspect(VP9, p.Payload, p.Size)
		if inKey := p.Payload[0]&0x40 == 0; at.spatial == spatial || inKey && at.spatial < spatial {
			p.Sequence, p.Marker = uint16(60_000+1000*spatial+len(kept)), at.spatial == spatial && at.last
			kept = append(kept, p)
		}
	}
	return kept
}

func TestMergeRestoresTheStream(t *testing.T) {
	sent := synthesise(VP9, true)
	low, high := spare(sent, 0), spare(sent, 1)
	require.Less(t, len(high), len(sent))
	got, err := Merge([][]Received{low, high})
	require.NoError(t, err)
	last := sent[len(sent)-1].Timestamp // at which the streams end
	want := slices.DeleteFunc(slices.Clone(sent), func(p Received) bool { return p.Timestamp == last })
	require.Len(t, got, len(want))
	for i := range got {
		require.Equal(t, uint16(i), got[i].Sequence)
		require.Equal(t, want[i].Payload, got[i].Payload)
		require.Equal(t, want[i].Marker, got[i].Marker)
		require.Equal(t, want[i].Timestamp, got[i].Timestamp)
	}
	_, err = Make(VP9, got, 2, 1280, 720, 3*time.Second)
	require.NoError(t, err)

	// One who comes later sets the beginning.
	late := slices.IndexFunc(high, func(p Received) bool { return p.Timestamp != high[0].Timestamp })
	got, err = Merge([][]Received{low, high[late:]})
	require.NoError(t, err)
	require.Equal(t, sent[0].Timestamp+synthKeyEvery*3000, got[0].Timestamp)
}

func TestMergeRefuses(t *testing.T) {
	sent := synthesise(VP9, true)
	low, high := spare(sent, 0), spare(sent, 1)
	renumbered := slices.Delete(slices.Clone(high), 50, 51)
	whole := func(p Received) bool { return p.Timestamp == sent[0].Timestamp+50*3000 }
	without := func(packets []Received) []Received {
		packets = slices.DeleteFunc(slices.Clone(packets), whole)
		for i := range packets {
			packets[i].Sequence = uint16(i)
		}
		return packets
	}
	other := slices.Clone(low)
	for i := range other {
		other[i].Timestamp += 3000
	}
	for name, test := range map[string]struct {
		streams [][]Received
		want    string
	}{
		"nothing":                  {nil, "nothing"},
		"nothing of one":           {[][]Received{low, nil}, "no key frame"},
		"no key frame of a layer":  {[][]Received{low, low}, "no key frame"},
		"a packet is missing":      {[][]Received{low, renumbered}, "1 packets are missing"},
		"a lower layer is missing": {[][]Received{without(low), high}, "lower spatial layer"},
		"other times":              {[][]Received{other, high}, "the same time"},
	} {
		_, err := Merge(test.streams)
		require.ErrorIs(t, err, ErrRecording, name)
		require.ErrorContains(t, err, test.want, name)
	}

	merged, err := Merge([][]Received{low, without(high)})
	require.NoError(t, err, "without an upper layer")
	at := slices.IndexFunc(merged, whole)
	require.True(t, whole(merged[at]))
	last := at + slices.IndexFunc(merged[at:], func(p Received) bool { return p.Marker })
	require.True(t, whole(merged[last]), "the marker is on the last layer that is there")
}
