package uptrack

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"
	"github.com/stretchr/testify/require"
)

func TestWhatIsMissingIsAskedForUntilItComes(t *testing.T) {
	var m missing
	now := time.Unix(100, 0)
	require.Empty(t, m.due(now))
	require.True(t, m.gap(65_534, 2))
	require.Equal(t, []uint16{65_535, 0, 1}, m.due(now), "at once")
	require.Empty(t, m.due(now.Add(firstAnswer-1)))
	m.came(0, now.Add(20*time.Millisecond))
	m.came(7, now.Add(20*time.Millisecond)) // was not missing
	require.Empty(t, m.due(now.Add(leastAnswer-1)))
	require.Equal(t, []uint16{65_535, 1}, m.due(now.Add(leastAnswer)), "an answer takes 20 ms")
	m.forget(1)
	asked := 2
	for at := leastAnswer; at < askedFor; at += 5 * time.Millisecond {
		due := m.due(now.Add(at))
		require.NotContains(t, due, uint16(1))
		asked += len(due)
	}
	require.Equal(t, mostAsked, asked)
	require.Empty(t, m.list)
}

func TestAnswersAreAwaitedAsLongAsTheyTake(t *testing.T) {
	var m missing
	now := time.Unix(100, 0)
	for seq := range uint16(40) {
		m.gap(10*seq, 10*seq+2)
		for range 20 { // 200 ms
			m.due(now)
			now = now.Add(10 * time.Millisecond)
		}
		m.came(10*seq+1, now)
	}
	require.Equal(t, 200*time.Millisecond, m.rtt)
	m.gap(1000, 1002)
	require.Len(t, m.due(now), 1)
	require.Empty(t, m.due(now.Add(205*time.Millisecond)))
	require.Len(t, m.due(now.Add(210*time.Millisecond)), 1)
	require.Empty(t, m.due(now.Add(askedFor+1)))
}

func TestWhereTooMuchIsMissingNothingIsAskedFor(t *testing.T) {
	var m missing
	require.True(t, m.gap(0, maxMissing+1))
	require.False(t, m.gap(1000, 1002))
	require.Empty(t, m.due(time.Unix(100, 0)))
	require.True(t, m.gap(2000, 2002))
}

func TestALayerAsksForWhatItLacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench("video/vp8")
		send := func(seqs ...uint16) {
			for _, seq := range seqs {
				b.packets <- audio(t, seq, 20)
			}
			synctest.Wait()
		}
		nacked := func() (all [][]uint16) {
			for _, p := range b.sent {
				if nack, ok := p.(*rtcp.TransportLayerNack); ok {
					require.Equal(t, uint32(7), nack.MediaSSRC)
					var seqs []uint16
					for _, pair := range nack.Nacks {
						seqs = append(seqs, pair.PacketList()...)
					}
					slices.Sort(seqs)
					all = append(all, seqs)
				}
			}
			b.sent = nil
			return all
		}
		send(10, 11, 15, 16)
		require.Equal(t, [][]uint16{{12, 13, 14}}, nacked())
		send(13)
		time.Sleep(firstAnswer)
		send(17)
		require.Equal(t, [][]uint16{{12, 14}}, nacked())
		send(12, 14)
		time.Sleep(askedFor)
		send(18, 20)
		require.Equal(t, [][]uint16{{19}}, nacked())
		require.Equal(t, 2, b.found, "and not again")
		time.Sleep(askedFor)
		send(2000)
		require.Empty(t, nacked())
		require.Len(t, b.asked, 4, "the last of them for a key frame")
		b.close()
	})
}
