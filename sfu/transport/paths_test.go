package transport

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"github.com/pion/ice/v4"
	"github.com/pion/rtcp"
	"github.com/pion/srtp/v3"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"diemcau/sfu/egress"
	"diemcau/sfu/seal"
	"diemcau/sfu/udp"
)

// agentConns stands for the muxes: its connections swallow what is written.
type agentConns struct{}

func (agentConns) Close() error                   { return nil }
func (agentConns) RemoveConnByUfrag(string)       {}
func (agentConns) GetListenAddresses() []net.Addr { return nil }
func (agentConns) GetConn(string, net.Addr) (net.PacketConn, error) {
	return &packets{}, nil
}
func (agentConns) GetConnByUfrag(string, bool, net.IP) (net.PacketConn, error) {
	return &swallow{}, nil
}

type swallow struct{ net.PacketConn }

func (*swallow) WriteTo(b []byte, _ net.Addr) (int, error) { return len(b), nil }

var (
	stunPacket = []byte{0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	dtlsPacket = []byte{22, 0xfe, 0xfd, 0}
)

func pairTo(protocol webrtc.ICEProtocol, to netip.AddrPort) *webrtc.ICECandidatePair {
	return webrtc.NewICECandidatePair(&webrtc.ICECandidate{}, &webrtc.ICECandidate{
		Protocol: protocol, Address: to.Addr().String(), Port: to.Port(),
	})
}

func TestTheRouteIsWhatICEHasSelected(t *testing.T) {
	local, one, two := netip.MustParseAddrPort("10.0.0.1:7882"), netip.MustParseAddrPort("10.0.0.2:5000"), netip.MustParseAddrPort("10.0.0.3:5000")
	sock := &udp.Conn{}
	var moves []*egress.Route
	p := newPaths(map[netip.AddrPort]*udp.Conn{local: sock}, func([]byte) bool { return false }, func(_, to *egress.Route) { moves = append(moves, to) })
	c, err := (&pathUDP{UDPMux: agentConns{}, paths: p}).GetConn("u", net.UDPAddrFromAddrPort(local))
	require.NoError(t, err)
	udpConn, ok := c.(*pathConn)
	require.True(t, ok)

	write := func(b []byte, to netip.AddrPort) {
		_, err := udpConn.WriteToAddrPort(b, to)
		require.NoError(t, err)
	}
	write(stunPacket, one)
	write(stunPacket, two)
	require.Nil(t, p.route.Load(), "checks choose nothing")
	p.selected(pairTo(webrtc.ICEProtocolUDP, one))
	require.Equal(t, egress.Route{Socket: sock, To: one}, *p.route.Load())
	p.selected(pairTo(webrtc.ICEProtocolTCP, two))
	require.Equal(t, one, p.route.Load().To, "nothing was sent there over TCP")
	p.selected(pairTo(webrtc.ICEProtocolUDP, netip.MustParseAddrPort("10.9.9.9:1")))
	require.Equal(t, one, p.route.Load().To, "nothing was sent there at all")
	write(dtlsPacket, two)
	require.Equal(t, two, p.route.Load().To, "what is no check goes over the selected pair")
	mapped := netip.AddrPortFrom(netip.AddrFrom16(one.Addr().As16()), one.Port())
	write(dtlsPacket, mapped)
	require.Equal(t, one, p.route.Load().To)

	stream, err := (&pathTCP{TCPMux: agentConns{}, paths: p}).GetConnByUfrag("u", false, nil)
	require.NoError(t, err)
	tcpAddr := net.TCPAddrFromAddrPort(one)
	_, err = stream.WriteTo(stunPacket, tcpAddr)
	require.NoError(t, err)
	p.selected(pairTo(webrtc.ICEProtocolTCP, one))
	r := p.route.Load()
	require.Nil(t, r.Socket)
	require.Equal(t, net.Addr(tcpAddr), r.Addr)
	n, err := r.Packets.WriteTo(dtlsPacket, r.Addr)
	require.NoError(t, err)
	require.Equal(t, len(dtlsPacket), n)
	require.Len(t, moves, 4)

	candidate := func(a netip.AddrPort) ice.Candidate {
		c, err := ice.NewCandidateHost(&ice.CandidateHostConfig{Network: "udp", Address: a.Addr().String(), Port: int(a.Port()), Component: 1})
		require.NoError(t, err)
		return c
	}
	p.checked(candidate(two))
	require.Nil(t, p.route.Load().Socket, "a pair is selected")
	_, err = (&pathUDP{UDPMux: agentConns{}, paths: p}).GetConn("v", net.UDPAddrFromAddrPort(local))
	require.NoError(t, err)
	p.checked(candidate(netip.MustParseAddrPort("10.9.9.9:1")))
	require.Nil(t, p.route.Load().Socket, "nothing was sent there")
	p.checked(candidate(two))
	require.Equal(t, two, p.route.Load().To, "after a restart it goes where the client is heard")
	p.checked(candidate(one))
	require.Equal(t, two, p.route.Load().To, "and stays there until a pair is selected")
	p.selected(pairTo(webrtc.ICEProtocolUDP, one))
	require.Equal(t, one, p.route.Load().To)

	p.close()
	require.Nil(t, p.route.Load())
	write(dtlsPacket, two)
	require.Nil(t, p.route.Load(), "closed")
}

func TestAPeerWithManyAddressesIsRememberedByFew(t *testing.T) {
	p := newPaths(nil, nil, func(_, _ *egress.Route) {})
	for i := range 10 * maxRemotes {
		p.wrote(stunPacket, nil, &udp.Conn{}, netip.AddrPortFrom(netip.MustParseAddr("10.0.0.2"), uint16(i)), nil)
	}
	require.LessOrEqual(t, len(p.last), maxRemotes)
}

// feedbackOutlet is an outlet whose keys are known, with the peer's sealing.
func feedbackOutlet(t *testing.T) (o *outlet, got *[][]byte, protect func(rtcp.Packet) []byte) {
	t.Helper()
	got = new([][]byte)
	o = &outlet{report: func(b []byte) { *got = append(*got, bytes.Clone(b)) }}
	k := seal.Keys{Profile: srtp.ProtectionProfileAeadAes128Gcm,
		Key: make([]byte, 16), Salt: make([]byte, 12), PeerKey: []byte("0123456789abcdef"), PeerSalt: make([]byte, 12)}
	o.keys.exported = &k
	peer, err := srtp.CreateContext(k.PeerKey, k.PeerSalt, k.Profile)
	require.NoError(t, err)
	return o, got, func(pkt rtcp.Packet) []byte {
		raw, err := pkt.Marshal()
		require.NoError(t, err)
		sealed, err := peer.EncryptRTCP(nil, raw, nil)
		require.NoError(t, err)
		return sealed
	}
}

func feedbackPacket(base uint16) *rtcp.TransportLayerCC {
	return &rtcp.TransportLayerCC{
		Header:             rtcp.Header{Count: rtcp.FormatTCC, Type: rtcp.TypeTransportSpecificFeedback, Length: 5, Padding: true},
		BaseSequenceNumber: base, PacketStatusCount: 1,
		PacketChunks: []rtcp.PacketStatusChunk{&rtcp.RunLengthChunk{Type: rtcp.TypeTCCRunLengthChunk, PacketStatusSymbol: rtcp.TypeTCCPacketReceivedSmallDelta, RunLength: 1}},
		RecvDeltas:   []*rtcp.RecvDelta{{Type: rtcp.TypeTCCPacketReceivedSmallDelta, Delta: 250}},
	}
}

func TestReportsAreTaken(t *testing.T) {
	o, got, protect := feedbackOutlet(t)
	sealed := protect(feedbackPacket(7))
	require.True(t, o.reports(sealed))
	require.Len(t, *got, 1)
	require.True(t, o.reports(sealed), "a replay is not for the peer connection either")
	forged := protect(feedbackPacket(8))
	forged[len(forged)-10] ^= 1
	require.True(t, o.reports(forged))
	require.Len(t, *got, 1)
	require.True(t, o.reports(protect(&rtcp.PictureLossIndication{MediaSSRC: 1})))
	require.Len(t, *got, 2)
	for n := range len(sealed) {
		o.reports(sealed[:n])
	}
	require.Len(t, *got, 2)
	require.False(t, o.reports(dtlsPacket))
	unknown := &outlet{}
	require.False(t, unknown.reports(sealed), "without keys the peer connection has it")
}

func TestFeedbackIsFoundByItsAddress(t *testing.T) {
	o, got, protect := feedbackOutlet(t)
	other, othersGot, _ := feedbackOutlet(t)
	var p peers
	sock := &udp.Conn{}
	at := func(s string) *egress.Route { return &egress.Route{Socket: sock, To: netip.MustParseAddrPort(s)} }
	one, two := at("10.0.0.2:1"), at("10.0.0.3:1")
	p.move(o, nil, one)
	require.True(t, p.tap(protect(feedbackPacket(1)), one.To))
	require.False(t, p.tap(protect(feedbackPacket(2)), two.To), "nobody is there")
	require.False(t, p.tap(dtlsPacket, one.To))
	p.move(o, one, two)
	require.False(t, p.tap(protect(feedbackPacket(3)), one.To))
	require.True(t, p.tap(protect(feedbackPacket(4)), two.To))
	p.move(other, nil, two) // a NAT gave the address to somebody else
	p.move(o, two, nil)
	require.Len(t, p.byAddr, 1, "the other's stays")
	p.move(other, two, &egress.Route{Packets: &swallow{}})
	require.Empty(t, p.byAddr, "over TCP it comes another way")
	require.Len(t, *got, 2)
	require.Empty(t, *othersGot)
}
