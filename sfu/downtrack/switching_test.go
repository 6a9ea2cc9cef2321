package downtrack

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"diemcau/sfu/codec"
)

func TestTheBeginningOfAKeyFrameMayBeOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.feed(frame{layer: 2, seq: 11, ts: 3900, pic: 6, mk: true})
		b.feed(frame{layer: 2, seq: 12, ts: 6900, pic: 7, start: true, mk: true})
		require.Empty(t, b.packets())
		b.feed(frame{layer: 2, seq: 10, ts: 3900, pic: 6, start: true, key: true}) // it was lost, and sent again
		b.feed(frame{layer: 2, seq: 13, ts: 9900, pic: 8, start: true, mk: true})
		got := b.packets()
		require.Len(t, got, 4)
		for i, p := range got {
			require.Equal(t, got[0].SequenceNumber+uint16(i), p.SequenceNumber)
			d, err := codec.ParseVP8(p.Payload)
			require.NoError(t, err)
			require.Equal(t, []uint16{6, 6, 7, 8}[i], d.PictureID)
		}
	})
}

func TestAKeyFrameOfLongAgoIsNotSwitchedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.feed(frame{layer: 2, seq: 11 + maxOvertaken, ts: 300_000, pic: 90, start: true, mk: true})
		b.feed(frame{layer: 2, seq: 10, ts: 3900, pic: 6, start: true, key: true, mk: true})
		require.Empty(t, b.packets())
		b.feed(frame{layer: 2, seq: 12 + maxOvertaken, ts: 303_000, pic: 91, start: true, key: true, mk: true})
		require.Len(t, b.packets(), 1)
	})
}
