package egress

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"diemcau/sfu/udp"
)

// BenchmarkLimit is what this machine can send at all, for comparison: every packet
// sealed for its destination with AES-128-GCM and nothing else done to it, in trains of
// so many segments to 200 sockets, many trains a system call.
func BenchmarkLimit(b *testing.B) {
	const destinations, size, header, tag = 200, 1100, 20, 16
	for _, segments := range []int{1, 4, 8} {
		b.Run(fmt.Sprintf("%d segments", segments), func(b *testing.B) {
			conn, err := udp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), udp.Config{Buffer: 4 << 20, Log: slog.New(slog.DiscardHandler)})
			require.NoError(b, err)
			defer func() { _ = conn.Close() }()
			var to []netip.AddrPort
			var gcm []cipher.AEAD
			for i := range destinations {
				sock, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}) // what it does not read is dropped
				require.NoError(b, err)
				defer func() { _ = sock.Close() }()
				to = append(to, sock.LocalAddr().(*net.UDPAddr).AddrPort())
				block, err := aes.NewCipher([]byte{byte(i), 15: 1})
				require.NoError(b, err)
				g, err := cipher.NewGCM(block)
				require.NoError(b, err)
				gcm = append(gcm, g)
			}
			clear := make([]byte, size)
			buf := make([]byte, destinations*segments*(header+size+tag))
			batch := conn.NewBatch()
			nonce, n := make([]byte, 12), uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				at := 0
				for d := range destinations {
					start := at
					for range segments {
						n++
						binary.BigEndian.PutUint64(nonce, n)
						gcm[d].Seal(buf[at+header:at+header], nonce, clear, buf[at:at+header])
						at += header + size + tag
					}
					batch.Add(to[d], buf[start:at], header+size+tag, nil)
				}
				batch.Flush(nil)
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "packets/core-s")
		})
	}
}
