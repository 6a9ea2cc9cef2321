package turn

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"
	"github.com/stretchr/testify/require"
)

const (
	waitFor = 5 * time.Second
	alice   = "PA_alice"
)

// offered is what clients are told of the media socket, as if a NAT mapped it.
var offered = netip.MustParseAddrPort("203.0.113.5:7882")

// echo is a media socket that sends everything back.
func echo(t *testing.T, ip net.IP) *net.UDPConn {
	t.Helper()
	sock, err := net.ListenUDP("udp", &net.UDPAddr{IP: ip})
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 2000)
		for {
			n, from, err := sock.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			_, _ = sock.WriteToUDPAddrPort(b[:n], from)
		}
	}()
	t.Cleanup(func() {
		_ = sock.Close()
		<-done
	})
	return sock
}

// freePort is a port free for UDP and TCP, below those that the system gives to clients:
// none of them takes it before the server does.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 10_000 + mathrand.IntN(20_000)
		if free(port) {
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

func free(port int) bool {
	addr := fmt.Sprintf(":%d", port)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	defer l.Close()
	c, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	return c.Close() == nil
}

// certificate is one for these names, signed by itself.
func certificate(t testing.TB, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: names[0]}, NotAfter: time.Now().AddDate(1, 0, 0), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// trust is the TLS of a client that trusts nothing else.
func trust(t testing.TB, name string, protocols []string, certs ...tls.Certificate) *tls.Config {
	t.Helper()
	pool := x509.NewCertPool()
	for _, c := range certs {
		leaf, err := x509.ParseCertificate(c.Certificate[0])
		require.NoError(t, err)
		pool.AddCert(leaf)
	}
	return &tls.Config{RootCAs: pool, ServerName: name, NextProtos: protocols, MinVersion: tls.VersionTLS12}
}

// start runs a server in front of one media socket that is offered as offered.
func start(t *testing.T, cfg Config, peers ...Peer) *Server {
	t.Helper()
	if len(peers) == 0 {
		media := echo(t, net.IPv4(127, 0, 0, 1))
		peers = []Peer{{Local: media.LocalAddr().(*net.UDPAddr).AddrPort(), Offered: []netip.AddrPort{offered}}}
	}
	s, err := New(cfg, Options{Peers: peers, Log: slog.New(slog.DiscardHandler), Pion: quiet()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func quiet() logging.LoggerFactory {
	f := logging.NewDefaultLoggerFactory()
	f.DefaultLogLevel = logging.LogLevelDisabled
	return f
}

// client is a TURN client over a connection to the server.
func client(t *testing.T, conn net.PacketConn, server, username, password string) *turn.Client {
	t.Helper()
	c, err := turn.NewClient(&turn.ClientConfig{
		TURNServerAddr: server, Conn: conn, Username: username, Password: password, Realm: realm,
		LoggerFactory: quiet(), RTO: 100 * time.Millisecond,
	})
	require.NoError(t, err)
	require.NoError(t, c.Listen())
	t.Cleanup(func() {
		c.Close()
		_ = conn.Close()
	})
	return c
}

// udpClient is a client over UDP with credentials of a participant.
func udpClient(t *testing.T, s *Server, participant string) *turn.Client {
	t.Helper()
	ice := s.ICEServers(participant)[0]
	return udpClientWith(t, s, ice.Username, ice.Credential)
}

func udpClientWith(t *testing.T, s *Server, username, password string) *turn.Client {
	t.Helper()
	sock, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	return client(t, sock, addr(s.cfg.UDPPort), username, password)
}

func addr(port int) string {
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port)).String()
}

// bounces sends over a relayed address until it comes back.
func bounces(t *testing.T, relay net.PacketConn, to netip.AddrPort) {
	t.Helper()
	message := []byte("0123456789abcdef")
	require.NoError(t, relay.SetReadDeadline(time.Now().Add(waitFor)))
	_, err := relay.WriteTo(message, net.UDPAddrFromAddrPort(to))
	require.NoError(t, err)
	b := make([]byte, 100)
	n, from, err := relay.ReadFrom(b)
	require.NoError(t, err)
	require.True(t, bytes.Equal(message, b[:n]))
	require.Equal(t, to.String(), from.String(), "the media socket has the address that clients know")
}

func udpOnly(t *testing.T) Config { return Config{UDPPort: freePort(t)} }

// allocate makes a relayed address that ends with the test.
func allocate(t *testing.T, c *turn.Client) net.PacketConn {
	t.Helper()
	relay, err := c.Allocate()
	require.NoError(t, err)
	t.Cleanup(func() { _ = relay.Close() })
	return relay
}
