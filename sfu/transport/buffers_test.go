package transport

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/transport/v4/packetio"
	"github.com/stretchr/testify/require"
)

func TestWhatMediaGrewToIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &buffers{}
		m, ok := b.make(packetio.RTPBufferPacket, 1).(*media)
		require.True(t, ok)
		out := make([]byte, receiveMTU)
		next, read := byte(0), byte(0)
		burst := func(n int) {
			for range n {
				_, err := m.Write(append([]byte{next}, make([]byte, 999)...))
				require.NoError(t, err)
				next++
			}
			for range n {
				n, err := m.Read(out)
				require.NoError(t, err)
				require.Equal(t, 1000, n)
				require.Equal(t, read, out[0])
				read++
			}
		}
		burst(100)
		grown := m.buf
		time.Sleep(shrinksIn - time.Second)
		burst(1)
		require.Same(t, grown, m.buf, "bursts that follow one another find it grown")
		burst(100)
		time.Sleep(shrinksIn + time.Second)
		burst(1)
		require.NotSame(t, grown, m.buf)
		shrunk := m.buf
		burst(3)
		time.Sleep(shrinksIn + time.Second)
		burst(1)
		require.Same(t, shrunk, m.buf, "a small one stays")

		require.NoError(t, m.SetReadDeadline(time.Now().Add(time.Second)))
		_, err := m.Read(out)
		require.Error(t, err)
		require.NoError(t, m.SetReadDeadline(time.Time{}))
		ended := make(chan error)
		go func() {
			_, err := m.Read(out)
			ended <- err
		}()
		synctest.Wait()
		require.NoError(t, m.Close())
		require.ErrorIs(t, <-ended, io.EOF)
		require.Zero(t, b.waiting.Load())
		require.Zero(t, b.count.Load())
	})
}
