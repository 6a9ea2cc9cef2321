package udp

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const benchPacket = 1116 // bytes: a packet of a 720p stream

// BenchmarkSend sends to 200 sockets on loopback that nobody reads, trains of so
// many packets to each in one flush. What a train costs there includes that the
// kernel cuts it for each receiver, which a network card may do by itself.
func BenchmarkSend(b *testing.B) {
	const receivers = 200
	for _, bench := range []struct {
		mode  mode
		train int
	}{
		{mode{name: "sendto", plain: true}, 1},
		{mode{name: "sendto", plain: true}, 4},
		{mode{name: "sendmmsg", uncut: true}, 1},
		{mode{name: "sendmmsg", uncut: true}, 4},
		{mode{name: "segments"}, 1},
		{mode{name: "segments"}, 2},
		{mode{name: "segments"}, 4},
		{mode{name: "segments"}, 8},
	} {
		b.Run(fmt.Sprintf("%s/train=%d", bench.mode.name, bench.train), func(b *testing.B) {
			c := bench.mode.listen(b, ips[0], Config{})
			var to [receivers]*net.UDPConn
			for i := range to {
				var err error
				to[i], err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
				require.NoError(b, err)
				defer to[i].Close()
			}
			batch, p, ref := c.NewBatch(), noise(benchPacket*bench.train, 1), new(int)
			b.ReportAllocs()
			b.SetBytes(int64(receivers * len(p)))
			for b.Loop() {
				for _, r := range to {
					batch.Add(r.LocalAddr().(*net.UDPAddr).AddrPort(), p, benchPacket, ref)
				}
				batch.Flush(nil)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*receivers*bench.train), "ns/packet")
			require.Zero(b, c.Stats().Failed)
		})
	}
}

// BenchmarkReceive reads 64 packets that are there, which were sent as trains of
// so many. Only reading is in ns/packet.
func BenchmarkReceive(b *testing.B) {
	const packets = 64
	for _, m := range []mode{{name: "recvfrom", plain: true}, {name: "recvmmsg"}} {
		for _, train := range []int{1, 4, 8} {
			b.Run(fmt.Sprintf("%s/train=%d", m.name, train), func(b *testing.B) {
				from, to := best.listen(b, ips[0], Config{}), m.listen(b, ips[0], Config{})
				batch, p, buf := from.NewBatch(), noise(benchPacket*train, 1), make([]byte, 1500)
				var reading time.Duration
				b.ReportAllocs()
				for b.Loop() {
					for range packets / train {
						batch.Add(at(to), p, benchPacket, nil)
					}
					batch.Flush(nil)
					start := time.Now()
					for range packets {
						if n, _, err := to.ReadFromAddrPort(buf); n != benchPacket || err != nil {
							b.Fatal(n, err)
						}
					}
					reading += time.Since(start)
				}
				b.ReportMetric(float64(reading.Nanoseconds())/float64(b.N*packets), "ns/packet")
			})
		}
	}
}

// BenchmarkRoundTrip sends one datagram back and forth, so that the reader waits
// for each.
func BenchmarkRoundTrip(b *testing.B) {
	for _, m := range []mode{{name: "plain", plain: true}, best} {
		b.Run(m.name, func(b *testing.B) {
			near, far := m.listen(b, ips[0], Config{}), m.listen(b, ips[0], Config{})
			done := make(chan struct{})
			go func() {
				defer close(done)
				buf := make([]byte, 1500)
				for {
					n, from, err := far.ReadFromAddrPort(buf)
					if err != nil {
						return
					}
					_, _ = far.WriteToAddrPort(buf[:n], from)
				}
			}()
			buf := make([]byte, benchPacket)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := near.WriteToAddrPort(buf, at(far)); err != nil {
					b.Fatal(err)
				}
				if _, _, err := near.ReadFromAddrPort(buf); err != nil {
					b.Fatal(err)
				}
			}
			require.NoError(b, far.Close())
			<-done
		})
	}
}
