package uptrack

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestEachPacketIsNewOnce(t *testing.T) {
	var s seen
	came := map[uint16]bool{}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 60_000 { // no number comes round
		seq := uint16(i) - uint16(r.IntN(200))
		require.Equal(t, !came[seq], s.first(seq), "packet %d", seq)
		came[seq] = true
	}
}

func TestGapsInTheNumbers(t *testing.T) {
	var s seen
	require.True(t, s.first(65_000))
	require.True(t, s.first(300), "over the wrap, further than is remembered by half")
	require.True(t, s.first(65_001), "late")
	require.False(t, s.first(65_001))
	require.True(t, s.first(300+seenWindow-1))
	require.False(t, s.first(300), "the oldest that is remembered")
	require.True(t, s.first(300+3*seenWindow))
	require.True(t, s.first(300+3*seenWindow-1), "nothing is left of what was before the gap")
	require.False(t, s.first(300+2*seenWindow), "too old to say")
}

func TestASourceThatBeginsAnew(t *testing.T) {
	var s seen
	require.True(t, s.first(20_000))
	require.False(t, s.first(100))
	require.True(t, s.first(20_001))
	require.False(t, s.first(101), "the source went on meanwhile")
	require.True(t, s.first(102))
	require.True(t, s.first(103))
	require.False(t, s.first(102))
}

func TestWhatIsSentAgainUnaskedIsNotNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench("audio/opus")
		b.packets <- audio(t, 1, 20)
		b.packets <- audio(t, 2, 20)
		synctest.Wait()
		b.layer.ring.Clear() // as when it is long ago
		b.packets <- audio(t, 1, 20)
		synctest.Wait()
		var buf [1500]byte
		require.Zero(t, b.layer.Get(1, buf[:]))
		packets, _ := b.layer.Counts()
		require.Equal(t, uint64(2), packets)
		b.close()
	})
}
