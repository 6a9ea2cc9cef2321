package uptrack

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"diemcau/sfu/fanout"
)

type watcher struct{}

func (*watcher) Forward(*fanout.Packet) {}

// flow has packets first to last come, ten a second, and the room look every second.
func (b *bench) flow(t *testing.T, first, last uint16) {
	for seq := first; seq <= last; seq++ {
		b.packets <- audio(t, seq, 127)
		synctest.Wait()
		if seq%10 == 0 {
			b.layer.Tidy(time.Now())
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (b *bench) has(seq uint16) bool { return b.layer.Get(seq, make([]byte, maxPacket)) > 0 }

func TestAPictureWithoutViewersIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench("video/vp8")
		defer b.close()
		w, m := b.pool.Worker(), &watcher{}
		b.layer.Feed().Attach(w, m)
		b.flow(t, 1, 100)
		require.True(t, b.has(61))
		b.layer.Feed().Detach(w, m)
		b.flow(t, 101, 120)
		require.True(t, b.has(100), "what was sent just now may be asked for again")
		require.True(t, b.has(120))
		b.flow(t, 121, 200)
		require.False(t, b.has(120))
		require.False(t, b.has(200))
		b.layer.Feed().Attach(w, m)
		b.flow(t, 201, 201)
		require.True(t, b.has(201), "the first packet after somebody came")
		b.flow(t, 202, 240)
		require.True(t, b.has(201))
	})
}

func TestSoundIsKeptForWhoIsLetThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench("audio/opus")
		defer b.close()
		b.flow(t, 1, 100)
		require.True(t, b.has(61))
	})
}

func TestOldPacketsAreNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench("audio/opus")
		defer b.close()
		b.flow(t, 1, 40)
		require.True(t, b.has(1), "four seconds are kept")
		b.flow(t, 41, 50)
		require.False(t, b.has(10))
		require.True(t, b.has(11))
		b.flow(t, 51, 100)
		require.False(t, b.has(60))
		require.True(t, b.has(61))
	})
}

func TestWhatIsSilentKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench("audio/opus")
		defer b.close()
		b.flow(t, 1, 20)
		time.Sleep(keepSilent - time.Second)
		b.layer.Tidy(time.Now())
		require.True(t, b.has(20))
		time.Sleep(2 * time.Second)
		b.layer.Tidy(time.Now())
		require.False(t, b.has(20))
		b.flow(t, 21, 30)
		require.True(t, b.has(21))
	})
}
