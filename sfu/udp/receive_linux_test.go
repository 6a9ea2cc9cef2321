package udp

import (
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tapped keeps what a tap took: all that begins with a one.
type tapped struct {
	mu  sync.Mutex
	all []byte // the second byte of each
}

func (k *tapped) tap(b []byte, _ netip.AddrPort) bool {
	if b[0] != 1 {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = append(k.all, b[1])
	return true
}

func (k *tapped) has(n int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.all) >= n
}

// looking tells whether the timer of a socket is set.
func looking(c *Conn) bool {
	r := &c.path.(*many).receiver
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.looks
}

// TestTheTimerLooks: while packets come, the tap has them though the reader is not there; what
// is the reader's waits for it, and all that came after that.
func TestTheTimerLooks(t *testing.T) {
	m, ip := mode{name: "best"}, netip.MustParseAddr("127.0.0.1")
	var kept tapped
	c := m.listen(t, ip, Config{Tap: kept.tap})
	from := m.listen(t, ip, Config{})
	send := func(bytes ...byte) {
		_, err := from.WriteToAddrPort(bytes, at(c))
		require.NoError(t, err)
	}
	read := func(want byte) {
		b := make([]byte, 100)
		n, _, err := c.ReadFromAddrPort(b)
		require.NoError(t, err)
		require.Equal(t, []byte{0, want}, b[:n])
	}
	send(0, 1)
	read(1)
	for i := range byte(100) {
		send(1, i)
		require.Eventually(t, func() bool {
			if kept.has(int(i) + 1) {
				return true
			}
			if !looking(c) { // it rests: this test was held up
				send(0, i)
				read(i)
			}
			return false
		}, 20*time.Second, time.Millisecond/4, "without a reader")
	}
	send(0, 2)
	send(1, 100)
	send(0, 3)
	send(1, 101)
	read(2)
	read(3)
	send(0, 4)
	read(4)
	require.True(t, kept.has(102))
	for i, b := range kept.all {
		require.Equal(t, byte(i), b, "in the order in which they came")
	}
}

// TestTheTimerWakesTheReader for a datagram that is the reader's, though it has emptied the
// socket by the time at which the poller would have told it.
func TestTheTimerWakesTheReader(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // the reader runs when this test waits
	m, ip := mode{name: "best"}, netip.MustParseAddr("127.0.0.1")
	var kept tapped
	c := m.listen(t, ip, Config{Tap: kept.tap})
	from := m.listen(t, ip, Config{})
	came := make(chan byte)
	go func() {
		defer close(came)
		b := make([]byte, 100)
		for {
			n, _, err := c.ReadFromAddrPort(b)
			if err != nil {
				return
			}
			came <- b[n-1]
		}
	}()
	r := &c.path.(*many).receiver
	for i := range 1000 {
		_, err := from.WriteToAddrPort([]byte{0, byte(i)}, at(c))
		require.NoError(t, err)
		r.look()
		select {
		case got, ok := <-came:
			require.True(t, ok)
			require.Equal(t, byte(i), got)
		case <-time.After(20 * time.Second):
			require.FailNow(t, "nobody told the reader", "datagram %d", i)
		}
	}
	require.NoError(t, c.Close())
	_, ok := <-came
	require.False(t, ok)
}

// TestTheTimerRests when nothing comes, and begins again.
func TestTheTimerRests(t *testing.T) {
	m, ip := mode{name: "best"}, netip.MustParseAddr("127.0.0.1")
	var kept tapped
	c := m.listen(t, ip, Config{Tap: kept.tap})
	b := make([]byte, 100)
	for range 3 {
		_, err := c.WriteToAddrPort([]byte{0, 1}, at(c))
		require.NoError(t, err)
		_, _, err = c.ReadFromAddrPort(b)
		require.NoError(t, err)
		require.Eventually(t, func() bool { return !looking(c) }, 20*time.Second, time.Millisecond)
	}
}
