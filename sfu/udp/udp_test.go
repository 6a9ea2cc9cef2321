package udp

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	_ net.PacketConn           = (*Conn)(nil)
	_ ice.AddrPortReaderWriter = (*Conn)(nil)
)

// mode is a way of sending and receiving.
type mode struct {
	name  string
	plain bool
	uncut bool // the kernel is not asked to cut trains
}

var (
	best  = mode{name: "best"}
	modes = []mode{best, {name: "uncut", uncut: true}, {name: "plain", plain: true}}
	ips   = []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()}
)

// forEach runs a test over the modes and the families.
func forEach(t *testing.T, f func(t *testing.T, m mode, ip netip.Addr)) {
	for _, m := range modes {
		for _, ip := range ips {
			t.Run(fmt.Sprintf("%s %s", m.name, ip), func(t *testing.T) { f(t, m, ip) })
		}
	}
}

func (m mode) listen(t testing.TB, ip netip.Addr, cfg Config) *Conn {
	t.Helper()
	if cfg.Plain = m.plain; cfg.Buffer == 0 {
		cfg.Buffer = 1 << 20
	}
	c, err := Listen(netip.AddrPortFrom(ip, 0), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.Equal(t, runtime.GOOS == "linux" && !m.plain, c.Segments())
	if m.uncut {
		c.segments.Store(false)
	}
	require.NoError(t, c.SetReadDeadline(time.Now().Add(20*time.Second)))
	return c
}

func at(c *Conn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

// noise returns n bytes that are the same for the same seed.
func noise(n, seed int) []byte {
	b := make([]byte, n)
	rng := rand.New(rand.NewPCG(uint64(seed), 0))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// want reads the datagrams of a train.
func want(t *testing.T, c *Conn, from netip.AddrPort, p []byte, size int) {
	t.Helper()
	b := make([]byte, 1<<16)
	for k := 0; len(p) > 0; k++ {
		d := p[:min(size, len(p))]
		p = p[len(d):]
		n, addr, err := c.ReadFromAddrPort(b)
		require.NoError(t, err, "datagram %d", k)
		require.Equal(t, from, addr)
		require.True(t, bytes.Equal(d, b[:n]), "datagram %d: %d bytes of something else, want %d", k, n, len(d))
	}
}

// failure is one call of the function given to Flush.
type failure struct {
	ref       any
	datagrams int
	err       error
}

func flush(b *Batch) (all []failure) {
	b.Flush(func(ref any, datagrams int, err error) { all = append(all, failure{ref, datagrams, err}) })
	return all
}

func TestTrains(t *testing.T) {
	trains := []struct{ length, size int }{
		{1, 1}, {5, 1}, {1200, 1200}, {1200, 0}, {800, 1200}, {2400, 1200}, {2401, 1200}, {8400, 1200},
		{64 * 500, 500}, {64*500 + 1, 500}, {200 * 300, 300}, {65_000, 1300}, {70_000, 1400}, {65_507, 65_507}, {66_000, 40_000},
	}
	forEach(t, func(t *testing.T, m mode, ip netip.Addr) {
		for _, into := range []mode{best, {name: "plain", plain: true}} {
			t.Run("into "+into.name, func(t *testing.T) {
				from, to := m.listen(t, ip, Config{}), into.listen(t, ip, Config{})
				batch, sent := from.NewBatch(), 0
				for i, tr := range trains {
					p, size := noise(tr.length, i), tr.size
					batch.Add(at(to), p, size, nil)
					require.Empty(t, flush(batch))
					if size == 0 {
						size = len(p)
					}
					want(t, to, at(from), p, size)
					sent += (len(p) + size - 1) / size
				}
				s, r := from.Stats(), to.Stats()
				require.Equal(t, uint64(sent), s.Sent)
				require.Equal(t, uint64(sent), r.Received)
				require.Zero(t, s.Failed+s.SegmentsRefused)
				if from.Segments() {
					require.Less(t, s.SendCalls, s.Sent/8)
				}
			})
		}
	})
}

// Two trains to the same destination in one flush keep their order, and the
// kernel hands over trains whole where it can.
func TestReceiveTrains(t *testing.T) {
	forEach(t, func(t *testing.T, m mode, ip netip.Addr) {
		from, to := best.listen(t, ip, Config{}), m.listen(t, ip, Config{})
		batch := from.NewBatch()
		for i := range 10 {
			batch.Add(at(to), noise(20*400-i, i), 400, nil)
		}
		require.Empty(t, flush(batch))
		for i := range 10 {
			want(t, to, at(from), noise(20*400-i, i), 400)
		}
		s := to.Stats()
		require.Equal(t, uint64(200), s.Received)
		if m.plain {
			require.Equal(t, uint64(200), s.ReceiveCalls)
		} else if runtime.GOOS == "linux" {
			require.LessOrEqual(t, s.ReceiveCalls, uint64(10))
		}
	})
}

func TestManyDestinations(t *testing.T) {
	const receivers = 300
	forEach(t, func(t *testing.T, m mode, ip netip.Addr) {
		from := m.listen(t, ip, Config{})
		batch := from.NewBatch()
		var to []*Conn
		for i := range receivers {
			to = append(to, mode{plain: true}.listen(t, ip, Config{Buffer: 1 << 16}))
			batch.Add(at(to[i]), noise(1000*(1+i%4)-i%3, i), 1000, nil)
		}
		require.Empty(t, flush(batch))
		for i, c := range to {
			want(t, c, at(from), noise(1000*(1+i%4)-i%3, i), 1000)
		}
		sent, calls := uint64(receivers*5/2), from.Stats().SendCalls
		require.Equal(t, sent, from.Stats().Sent)
		switch {
		case m.plain:
			require.Equal(t, sent, calls)
		case runtime.GOOS == "linux" && m.uncut:
			require.Equal(t, (sent+127)/128, calls)
		case runtime.GOOS == "linux":
			require.Equal(t, uint64(3), calls)
		}
		require.Empty(t, flush(batch), "flushed twice")
		require.Equal(t, sent, from.Stats().Sent)
	})
}

func TestTap(t *testing.T) {
	forEach(t, func(t *testing.T, m mode, ip netip.Addr) {
		seen := make([]int, 99) // how often, by datagram
		var from *Conn
		to := m.listen(t, ip, Config{Tap: func(b []byte, addr netip.AddrPort) bool {
			require.Equal(t, at(from), addr)
			require.Len(t, b, cap(b), "what follows is not the tap's")
			seen[b[0]]++
			b[1]++
			return b[0]%3 == 0
		}})
		from = best.listen(t, ip, Config{})
		batch := from.NewBatch()
		p := make([]byte, 99*10)
		for i := range 99 {
			p[10*i] = byte(i)
		}
		batch.Add(at(to), p, 10, nil)
		require.Empty(t, flush(batch))
		b := make([]byte, 100)
		for i := range 99 {
			if i%3 == 0 {
				continue
			}
			n, _, err := to.ReadFromAddrPort(b)
			require.NoError(t, err)
			require.Equal(t, 10, n)
			// What it did not take when the timer looked it sees again, how often depends
			// on when the reader comes.
			require.Equal(t, []byte{byte(i), byte(seen[i])}, b[:2])
			require.Positive(t, seen[i])
		}
		require.Equal(t, uint64(99), to.Stats().Received)
		for i := 0; i < 99; i += 3 {
			require.Equal(t, 1, seen[i], "datagram %d, which the tap took", i)
		}
	})
}

func TestDatagramsOfOddLength(t *testing.T) {
	forEach(t, func(t *testing.T, m mode, ip netip.Addr) {
		from, to := m.listen(t, ip, Config{}), m.listen(t, ip, Config{})
		for _, n := range []int{0, 50, 0, 3} {
			sent, err := from.WriteToAddrPort(make([]byte, n), at(to))
			require.NoError(t, err)
			require.Equal(t, n, sent)
		}
		batch := from.NewBatch()
		batch.Add(at(to), nil, 10, nil)
		require.Empty(t, flush(batch))
		require.Equal(t, uint64(4), from.Stats().Sent, "an empty train is nothing")
		b := make([]byte, 10)
		for _, n := range []int{0, 10, 0, 3} {
			got, addr, err := to.ReadFromAddrPort(b)
			require.NoError(t, err)
			require.Equal(t, n, got)
			require.Equal(t, at(from), addr)
		}
	})
}

func TestPacketConn(t *testing.T) {
	forEach(t, func(t *testing.T, m mode, ip netip.Addr) {
		from, to := m.listen(t, ip, Config{}), m.listen(t, ip, Config{})
		_, err := from.WriteTo([]byte("hello"), to.LocalAddr())
		require.NoError(t, err)
		b := make([]byte, 100)
		n, addr, err := to.ReadFrom(b)
		require.NoError(t, err)
		require.Equal(t, "hello", string(b[:n]))
		require.Equal(t, at(from), addr.(*net.UDPAddr).AddrPort())
		_, err = from.WriteTo(b, &net.TCPAddr{IP: ip.AsSlice(), Port: 1})
		require.ErrorIs(t, err, syscall.EINVAL)
		_, err = Listen(at(to), Config{Plain: m.plain})
		require.ErrorIs(t, err, syscall.EADDRINUSE)
	})
}

func TestFamilies(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			v4, v6 := m.listen(t, ips[0], Config{}), m.listen(t, ips[1], Config{})
			mapped := netip.AddrPortFrom(netip.AddrFrom16(ips[0].As16()), at(v4).Port())
			require.True(t, mapped.Addr().Is4In6())
			x, y, z := new(int), new(int), new(int)
			batch := v4.NewBatch()
			batch.Add(at(v6), make([]byte, 300), 100, x)
			batch.Add(mapped, []byte("train"), 3, y)
			batch.Add(netip.AddrPort{}, make([]byte, 100_000), 1000, z)
			require.Equal(t, []failure{{x, 3, syscall.EAFNOSUPPORT}, {z, 100, syscall.EAFNOSUPPORT}}, flush(batch))
			require.Equal(t, Stats{Sent: 2, Failed: 103, SendCalls: v4.Stats().SendCalls}, v4.Stats())
			want(t, v4, at(v4), []byte("train"), 3)
			_, err := v4.WriteToAddrPort([]byte("one"), mapped)
			require.NoError(t, err)
			want(t, v4, at(v4), []byte("one"), 3)
			_, err = v6.WriteToAddrPort([]byte("one"), mapped)
			require.Error(t, err)
			require.Equal(t, uint64(1), v6.Stats().Failed)
		})
	}
	c, err := Listen(netip.AddrPortFrom(netip.AddrFrom16(ips[0].As16()), 0), Config{})
	require.NoError(t, err)
	defer c.Close()
	require.True(t, c.v4)
}

func TestDeadlines(t *testing.T) {
	forEach(t, func(t *testing.T, m mode, ip netip.Addr) {
		c := m.listen(t, ip, Config{})
		batch := c.NewBatch()
		require.NoError(t, c.SetWriteDeadline(time.Now()))
		_, err := c.WriteToAddrPort([]byte("late"), at(c))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		batch.Add(at(c), noise(30, 1), 10, nil)
		require.Empty(t, flush(batch), "a batch heeds no deadline")
		require.NoError(t, c.SetWriteDeadline(time.Time{}))

		want(t, c, at(c), noise(30, 1)[:10], 10)
		require.NoError(t, c.SetDeadline(time.Now()))
		b := make([]byte, 100)
		_, _, err = c.ReadFromAddrPort(b)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, "though two are there")
		var ne net.Error
		require.True(t, errors.As(err, &ne) && ne.Timeout())
		require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
		want(t, c, at(c), noise(30, 1)[10:], 10)

		require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Millisecond)))
		_, _, err = c.ReadFromAddrPort(b)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, c.SetReadDeadline(time.Time{}))
		batch.Add(at(c), noise(5, 2), 10, nil)
		require.Empty(t, flush(batch))
		want(t, c, at(c), noise(5, 2), 10)
	})
}

func TestClose(t *testing.T) {
	forEach(t, func(t *testing.T, m mode, ip netip.Addr) {
		c := m.listen(t, ip, Config{})
		require.NoError(t, c.SetReadDeadline(time.Time{}))
		batch := c.NewBatch()
		first, ended := make(chan struct{}), make(chan error, 2)
		for range 2 {
			go func() {
				b := make([]byte, 100)
				for {
					_, _, err := c.ReadFromAddrPort(b)
					if err != nil {
						ended <- err
						return
					}
					close(first)
				}
			}()
		}
		batch.Add(at(c), []byte("x"), 0, nil)
		require.Empty(t, flush(batch))
		<-first
		require.NoError(t, c.Close())
		require.ErrorIs(t, <-ended, net.ErrClosed)
		require.ErrorIs(t, <-ended, net.ErrClosed)

		ref := new(int)
		batch.Add(at(c), make([]byte, 30), 10, ref)
		failed := flush(batch)
		require.Len(t, failed, 1)
		require.Equal(t, failure{ref, 3, failed[0].err}, failed[0])
		require.ErrorIs(t, failed[0].err, net.ErrClosed)
		batch.Add(at(c), make([]byte, 30), 10, ref)
		batch.Flush(nil)
		require.Equal(t, uint64(6), c.Stats().Failed)
		_, err := c.WriteToAddrPort([]byte("x"), at(c))
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

// What the kernel has handed over already does not outlive Close.
func TestCloseWithDatagramsLeft(t *testing.T) {
	forEach(t, func(t *testing.T, m mode, ip netip.Addr) {
		c := m.listen(t, ip, Config{})
		batch := c.NewBatch()
		batch.Add(at(c), noise(30, 1), 10, nil)
		require.Empty(t, flush(batch))
		want(t, c, at(c), noise(30, 1)[:10], 10)
		require.NoError(t, c.Close())
		_, _, err := c.ReadFromAddrPort(make([]byte, 100))
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

// Batches of several goroutines and single datagrams, all at once.
func TestSendersAtOnce(t *testing.T) {
	const senders, rounds = 4, 50
	forEach(t, func(t *testing.T, m mode, ip netip.Addr) {
		from, to := m.listen(t, ip, Config{}), best.listen(t, ip, Config{})
		var wg sync.WaitGroup
		counts := make(chan int)
		b := make([]byte, 1000)
		for s := range senders {
			wg.Go(func() {
				batch := from.NewBatch()
				for range rounds {
					batch.Add(at(to), noise(7*100, s), 100, nil)
					if s == 0 {
						_, err := from.WriteToAddrPort(noise(100, 99), at(to))
						assert.NoError(t, err)
					}
					assert.Empty(t, flush(batch))
					counts <- 7
				}
			})
		}
		go func() { wg.Wait(); close(counts) }()
		all := rounds
		for n := range counts {
			all += n
			for range n {
				_, _, err := to.ReadFromAddrPort(b)
				require.NoError(t, err)
			}
		}
		require.Equal(t, uint64(all), from.Stats().Sent)
		for range rounds {
			_, _, err := to.ReadFromAddrPort(b)
			require.NoError(t, err)
		}
		require.Equal(t, uint64(all), to.Stats().Received)
	})
}

func TestNoAllocations(t *testing.T) {
	forEach(t, func(t *testing.T, m mode, ip netip.Addr) {
		c := m.listen(t, ip, Config{Tap: func(b []byte, _ netip.AddrPort) bool { return b[0] == 1 }})
		batch, ref, to := c.NewBatch(), new(int), at(c)
		taken, train, b := append([]byte{1}, noise(99, 1)...), append([]byte{0}, noise(2999, 2)...), make([]byte, 2000)
		train[1000], train[2000] = 0, 0
		failed := func(any, int, error) { t.Error("failed") }
		require.Zero(t, testing.AllocsPerRun(100, func() {
			batch.Add(to, taken, 0, ref)
			batch.Add(to, train, 1000, ref)
			batch.Flush(failed)
			for range 3 {
				if n, from, err := c.ReadFromAddrPort(b); n != 1000 || from != to || err != nil {
					t.Error(n, from, err)
				}
			}
			if _, err := c.WriteToAddrPort(train[:500], to); err != nil {
				t.Error(err)
			}
			if n, _, err := c.ReadFromAddrPort(b); n != 500 || err != nil {
				t.Error(n, err)
			}
		}))
	})
}
