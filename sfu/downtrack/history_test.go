package downtrack

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestTheHistoryHoldsTwoSeconds of what is sent, within its bound, and no more than it needs.
func TestTheHistoryHoldsTwoSeconds(t *testing.T) {
	for _, test := range []struct{ size, perSecond, want int }{
		{512, 10, 64}, {512, 28, 64}, {512, 60, 128}, {512, 200, 512}, {512, 2000, 512}, {128, 50, 128}, {32, 50, 32},
	} {
		h, now := history{size: test.size}, time.Unix(1000, 0)
		out := uint16(65_000)
		for range 10 * test.perSecond {
			h.put(sentPacket{out: out, layer: 1}, now)
			now, out = now.Add(time.Second/time.Duration(test.perSecond)), out+1
		}
		require.Len(t, h.ring, test.want, "%+v", test)
		for back := range uint16(min(2*test.perSecond, test.want)) {
			require.NotNil(t, h.get(out-1-back), "%+v: %d back", test, back)
		}
	}
}

// TestAKeyFrameFitsIntoTheHistory though it comes at once, and what was before it.
func TestAKeyFrameFitsIntoTheHistory(t *testing.T) {
	h, now := history{size: 512}, time.Unix(1000, 0)
	for out := range uint16(150) {
		h.put(sentPacket{out: out, layer: 1}, now)
	}
	for out := range uint16(150) {
		require.NotNil(t, h.get(out), out)
	}
}
