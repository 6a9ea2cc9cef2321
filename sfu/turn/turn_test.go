package turn

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pion/turn/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestUDPTCPAndTLSReachOurMedia(t *testing.T) {
	cert := certificate(t, "turn.tinh.gov.vn")
	for name, external := range map[string]bool{"TLS ended here": false, "TLS ended in front": true} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{Domain: "turn.tinh.gov.vn", UDPPort: freePort(t), TCPPort: freePort(t), TLSPort: freePort(t), PublicTLSPort: 443, ExternalTLS: external}
			if !external {
				cfg.Certificate = &cert
			}
			s := start(t, cfg)
			ice := s.ICEServers(alice)[0]
			require.Equal(t, []string{
				"turns:turn.tinh.gov.vn:443?transport=tcp",
				"turn:turn.tinh.gov.vn:" + strconv.Itoa(s.cfg.TCPPort) + "?transport=tcp",
				"turn:turn.tinh.gov.vn:" + strconv.Itoa(s.cfg.UDPPort) + "?transport=udp",
			}, ice.Urls)
			tcp, err := net.Dial("tcp", addr(s.cfg.TCPPort))
			require.NoError(t, err)
			var secure net.Conn
			if external {
				secure, err = net.Dial("tcp", addr(s.cfg.TLSPort))
			} else {
				secure, err = tls.Dial("tcp", addr(s.cfg.TLSPort), trust(t, "turn.tinh.gov.vn", nil, cert))
			}
			require.NoError(t, err)
			for _, c := range []*turn.Client{
				udpClient(t, s, alice),
				client(t, turn.NewSTUNConn(tcp), tcp.RemoteAddr().String(), ice.Username, ice.Credential),
				client(t, turn.NewSTUNConn(secure), secure.RemoteAddr().String(), ice.Username, ice.Credential),
			} {
				relay := allocate(t, c)
				require.True(t, relay.LocalAddr().(*net.UDPAddr).IP.IsLoopback(), "no port is open to others")
				bounces(t, relay, offered)
				require.NoError(t, relay.Close())
			}
			require.Eventually(t, func() bool { return s.sessions.count() == 0 }, waitFor, 10*time.Millisecond)
		})
	}
}

// TestSeveralAddressesAndFamilies: two local addresses, one of them offered as
// itself and as two public ones; and IPv6.
func TestSeveralAddressesAndFamilies(t *testing.T) {
	one, two, six := echo(t, net.IPv4(127, 0, 0, 1)), echo(t, net.IPv4(127, 0, 0, 2)), echo(t, net.IPv6loopback)
	local := func(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }
	wan, inner := netip.MustParseAddrPort("172.16.9.9:7882"), netip.MustParseAddrPort("198.51.100.2:7882")
	public6 := netip.MustParseAddrPort("[2001:db8::7]:7882")
	s := start(t, udpOnly(t),
		Peer{Local: local(one), Offered: []netip.AddrPort{local(one), offered, wan}},
		Peer{Local: local(two), Offered: []netip.AddrPort{inner}},
		Peer{Local: local(six), Offered: []netip.AddrPort{public6}})
	relay := allocate(t, udpClient(t, s, alice))
	for _, to := range []netip.AddrPort{offered, wan, local(one), inner, offered} {
		bounces(t, relay, to)
	}
	sock, err := net.ListenPacket("udp6", "[::1]:0")
	require.NoError(t, err)
	ice := s.ICEServers(alice)[0]
	c := client(t, sock, net.JoinHostPort("::1", strconv.Itoa(s.cfg.UDPPort)), ice.Username, ice.Credential)
	relay6 := allocate(t, c)
	require.Nil(t, relay6.LocalAddr().(*net.UDPAddr).IP.To4())
	bounces(t, relay6, public6)
}

// TestNothingElseIsReached: TURN servers are searched for as a way into networks.
func TestNothingElseIsReached(t *testing.T) {
	s := start(t, udpOnly(t))
	c := udpClient(t, s, alice)
	relay := allocate(t, c)
	for _, peer := range []string{
		"127.0.0.1:6379", "127.0.0.1:" + strconv.Itoa(s.cfg.UDPPort), "169.254.169.254:80", "10.0.0.1:22", "0.0.0.0:7882",
		"203.0.113.6:7882", "255.255.255.255:7882", "224.0.0.1:7882",
	} {
		err := c.CreatePermission(net.UDPAddrFromAddrPort(netip.MustParseAddrPort(peer)))
		require.ErrorContains(t, err, "403", peer)
	}
	err := c.CreatePermission(net.UDPAddrFromAddrPort(netip.MustParseAddrPort("[::1]:6379")))
	require.ErrorContains(t, err, "443", "another family (RFC 6156 section 4.3)")
	_, err = relay.WriteTo([]byte("SET a b\r\n"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:6379")))
	require.Error(t, err)

	// Another port of an address that is ours is not refused, as permissions know no
	// ports, but nothing arrives. What was sent after it shows that it had time to.
	victim, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer victim.Close()
	other := netip.AddrPortFrom(offered.Addr(), uint16(victim.LocalAddr().(*net.UDPAddr).Port))
	_, err = relay.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(other))
	require.NoError(t, err)
	bounces(t, relay, offered)
	require.NoError(t, victim.SetReadDeadline(time.Now()))
	_, err = victim.Read(make([]byte, 1))
	require.Error(t, err)

	// Other processes of this machine reach no client through its relayed address.
	_, err = victim.WriteTo([]byte("from another socket"), relay.LocalAddr())
	require.NoError(t, err)
	bounces(t, relay, offered) // reads what arrives first
}

func TestTCPIsNotRelayed(t *testing.T) {
	s := start(t, udpOnly(t))
	_, err := udpClient(t, s, alice).AllocateTCP()
	require.ErrorContains(t, err, "508")
}

func TestCredentialsBelongToAParticipant(t *testing.T) {
	s := start(t, udpOnly(t))
	ice := s.ICEServers(alice)[0]
	until := strings.Split(ice.Username, ":")[0]
	for name, c := range map[string][2]string{
		"another password":        {ice.Username, ice.Credential + "x"},
		"later expiry":            {"9999999999:" + alice, ice.Credential},
		"another participant":     {until + ":PA_bob", s.password(until + ":PA_bob")},
		"no expiry":               {":" + alice, s.password(":" + alice)},
		"no participant":          {until, s.password(until)},
		"long name":               {until + ":" + strings.Repeat("a", 500), "x"},
		"made by another process": {ice.Username, (&Server{}).password(ice.Username)},
	} {
		_, err := udpClientWith(t, s, c[0], c[1]).Allocate()
		require.Error(t, err, name)
	}
	expired := strconv.FormatInt(time.Now().Add(-time.Second).Unix(), 10) + ":" + alice
	_, err := udpClientWith(t, s, expired, s.password(expired)).Allocate()
	require.Error(t, err, "expired")
	require.Zero(t, s.sessions.count())

	// Expiry does not end what exists: permissions and channels go on.
	almost := strconv.FormatInt(time.Now().Add(2*time.Second).Unix(), 10) + ":" + alice
	c := udpClientWith(t, s, almost, s.password(almost))
	relay := allocate(t, c)
	require.Eventually(t, func() bool { return time.Now().Unix() >= mustInt(t, strings.Split(almost, ":")[0]) }, waitFor, 20*time.Millisecond)
	bounces(t, relay, offered)

	// The end of the participant does.
	s.End(alice)
	require.Eventually(t, func() bool { return s.sessions.count() == 0 && s.turn.AllocationCount() == 0 }, waitFor, 10*time.Millisecond)
	_, err = udpClientWith(t, s, ice.Username, ice.Credential).Allocate()
	require.Error(t, err)
}

func mustInt(t *testing.T, text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err)
	return n
}

func TestAllocationsOfAParticipantAreBounded(t *testing.T) {
	s := start(t, udpOnly(t))
	var relays []net.PacketConn
	for range maxPerSession {
		r := allocate(t, udpClient(t, s, alice))
		relays = append(relays, r)
	}
	_, err := udpClient(t, s, alice).Allocate()
	require.ErrorContains(t, err, "486")
	bob := allocate(t, udpClient(t, s, "PA_bob"))
	bounces(t, bob, offered)
	require.NoError(t, relays[0].Close())
	require.Eventually(t, func() bool { return s.sessions.hasRoom(alice) }, waitFor, 10*time.Millisecond)
	allocate(t, udpClient(t, s, alice))

	// Past the handler that is asked first, too: two requests at once.
	require.ErrorIs(t, s.sessions.add(alice, &relay{}), errQuota)
	require.ErrorIs(t, s.sessions.add("PA_carol", &relay{}), errNoSession)
	all := func(n int) {
		s.sessions.mu.Lock()
		defer s.sessions.mu.Unlock()
		s.sessions.total += n
	}
	all(maxRelays)
	require.ErrorIs(t, s.sessions.add("PA_bob", &relay{}), errQuota)
	require.False(t, s.sessions.hasRoom("PA_bob"))
	all(-maxRelays)
}

func TestRateOfAParticipantIsBounded(t *testing.T) {
	s := start(t, udpOnly(t))
	c := udpClient(t, s, alice)
	r := allocate(t, c)
	bounces(t, r, offered)
	s.sessions.mu.Lock()
	e := s.sessions.byID[alice]
	s.sessions.mu.Unlock()
	e.up.SetBurst(100)
	_, err := r.WriteTo(make([]byte, 1400), net.UDPAddrFromAddrPort(offered))
	require.NoError(t, err)
	require.NoError(t, c.CreatePermission(net.UDPAddrFromAddrPort(offered)), "answered after that packet was dealt with")
	e.up.SetBurst(sessionBurst)
	bounces(t, r, offered) // and not the 1400 bytes before it
}

func TestConfigurations(t *testing.T) {
	options := Options{Log: slog.New(slog.DiscardHandler), Pion: quiet(), Peers: []Peer{
		{Local: netip.MustParseAddrPort("127.0.0.1:7882"), Offered: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:7882")}},
		{Local: netip.MustParseAddrPort("10.0.0.5:7882"), Offered: []netip.AddrPort{offered}},
	}}
	s, err := New(Config{}, options)
	require.NoError(t, err)
	require.Nil(t, s)
	require.Nil(t, s.ICEServers(alice))
	require.False(t, s.Shares())
	s.End(alice)
	require.NoError(t, s.Close())

	web := func(names ...string) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{certificate(t, names...)}}
	}
	for _, test := range []struct {
		name string
		cfg  Config
		urls string
		err  string
	}{
		{"the web server's names", Config{Web: web("*.vn", "localhost", "host", "cau.tinh.gov.vn", "b.vn"), WebPort: 443},
			"turns:cau.tinh.gov.vn:443?transport=tcp turns:b.vn:443?transport=tcp", ""},
		{"the web server's addresses", Config{Web: web("127.0.0.1", "203.0.113.5", "10.0.0.5"), WebPort: 7443}, "turns:203.0.113.5:7443?transport=tcp", ""},
		{"a wildcard only", Config{Web: web("*.tinh.gov.vn"), WebPort: 443}, "", ""},
		{"a wildcard and a domain", Config{Web: web("*.tinh.gov.vn"), WebPort: 443, Domain: "cau.tinh.gov.vn"}, "turns:cau.tinh.gov.vn:443?transport=tcp", ""},
		{"another name", Config{Web: web("a.vn"), WebPort: 443, Domain: "b.vn"}, "", "turn.domain: the certificate does not cover it"},
		{"no certificate", Config{TLSPort: 1, Domain: "b.vn"}, "", "turn.tls_port: needs a certificate"},
		{"a certificate that changes", Config{WebPort: 443, Web: &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			c := certificate(t, "a.vn")
			return &c, nil
		}}}, "turns:a.vn:443?transport=tcp", ""},
		{"none at all", Config{WebPort: 443, Web: &tls.Config{}}, "", "TLS has no certificate"},
		{"TLS fails", Config{WebPort: 443, Web: &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return nil, errors.New("lost")
		}}}, "", "lost"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := New(test.cfg, options)
			if test.err != "" {
				require.ErrorContains(t, err, test.err)
				return
			}
			require.NoError(t, err)
			defer s.Close()
			require.Equal(t, test.urls, strings.Join(s.urls, " "))
			require.Equal(t, test.urls == "", s.ICEServers(alice) == nil)
		})
	}
	taken := freePort(t)
	l, err := net.Listen("tcp", ":"+strconv.Itoa(taken))
	require.NoError(t, err)
	defer l.Close()
	_, err = New(Config{TCPPort: taken}, options)
	require.ErrorContains(t, err, "turn.tcp_port")
}
