package transport

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
	"github.com/pion/webrtc/v4"

	"diemcau/sfu/egress"
	"diemcau/sfu/udp"
)

// paths follows the way that ICE has chosen to one peer, for packets that are sealed
// outside of the peer connection. It stands between the ICE agent and the node's
// muxes and sees by which socket or connection the agent writes to whom.
//
// The agent tells which pair it selected, by candidates, whose local address may be
// one that a NAT maps; the socket behind it is the one by which the agent last wrote
// to the remote address. What it writes that is not STUN goes over the selected pair,
// and mends what that may have got wrong.
type paths struct {
	sockets map[netip.AddrPort]*udp.Conn // of the node, by local address
	// take is called with each packet from the peer; true: it is taken and the agent does
	// not get it.
	take func(b []byte) bool
	// moved is told that packets go another way from now on; both may be nil.
	moved func(from, to *egress.Route)

	route atomic.Pointer[egress.Route]

	mu     sync.Mutex
	closed bool                     // guarded by mu
	ufrag  string                   // of our side of the present ICE session; guarded by mu
	anew   bool                     // ICE was restarted and has not selected a pair; guarded by mu
	last   map[remote]*egress.Route // by which the agent wrote there last; guarded by mu
}

// remote is an address of the peer's.
type remote struct {
	addr netip.AddrPort
	tcp  bool
}

// maxRemotes bounds the addresses of a peer that are remembered.
const maxRemotes = 64

func newPaths(sockets map[netip.AddrPort]*udp.Conn, take func([]byte) bool, moved func(from, to *egress.Route)) *paths {
	return &paths{sockets: sockets, take: take, moved: moved, last: make(map[remote]*egress.Route)}
}

// attach has the engine's next peer connection send and receive through p.
func (p *paths) attach(engine *webrtc.SettingEngine, u ice.UDPMux, t ice.TCPMux) {
	if u != nil {
		engine.SetICEUDPMux(&pathUDP{UDPMux: u, paths: p})
	}
	if t != nil {
		engine.SetICETCPMux(&pathTCP{TCPMux: t, paths: p})
	}
}

// selected is told which pair ICE has chosen.
func (p *paths) selected(pair *webrtc.ICECandidatePair) {
	addr, err := netip.ParseAddr(pair.Remote.Address)
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	at := remote{netip.AddrPortFrom(addr.Unmap(), pair.Remote.Port), pair.Remote.Protocol == webrtc.ICEProtocolTCP}
	p.anew = false
	if r := p.last[at]; r != nil {
		p.takeLocked(r)
	}
}

// session is told for which ICE session a connection is.
func (p *paths) session(ufrag string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ufrag != "" && p.ufrag != ufrag {
		p.anew = true
	}
	p.ufrag = ufrag
}

// checked is told from where a check of the client's came, after it was verified. After
// a restart nothing may be left of the way before it, so until a pair is selected
// packets go where the first check came from (RFC 8445 section 12.1).
func (p *paths) checked(from ice.Candidate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.anew || p.closed {
		return
	}
	addr, err := netip.ParseAddr(from.Address())
	if err != nil {
		return
	}
	at := remote{netip.AddrPortFrom(addr.Unmap(), uint16(from.Port())), from.NetworkType().IsTCP()}
	if r := p.last[at]; r != nil {
		p.anew = false
		p.takeLocked(r)
	}
}

// takeLocked makes r the way.
func (p *paths) takeLocked(r *egress.Route) {
	if old := p.route.Swap(r); old != r {
		p.moved(old, r)
	}
}

// close has no way any more.
func (p *paths) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.takeLocked(nil)
}

// wrote is told of each packet that the agent sends.
func (p *paths) wrote(b []byte, conn net.PacketConn, socket *udp.Conn, to netip.AddrPort, addr net.Addr) {
	chosen := !stun.IsMessage(b)
	if r := p.route.Load(); chosen && r != nil && r.To == to && r.Socket == socket && (socket != nil || r.Packets == conn) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, tcp := addr.(*net.TCPAddr)
	at := remote{to, tcp}
	r := p.last[at]
	if r == nil || r.Socket != socket || socket == nil && r.Packets != conn {
		if len(p.last) >= maxRemotes {
			clear(p.last)
		}
		r = &egress.Route{Socket: socket, To: to}
		if socket == nil {
			if addr == nil {
				addr = net.UDPAddrFromAddrPort(to)
			}
			r.Packets, r.Addr = conn, addr
		}
		p.last[at] = r
	}
	if chosen && !p.closed {
		p.takeLocked(r)
	}
}

// pathUDP hands out the connections of a UDP mux.
type pathUDP struct {
	ice.UDPMux
	paths *paths
}

// GetConn implements ice.UDPMux.
func (m *pathUDP) GetConn(ufrag string, addr net.Addr) (net.PacketConn, error) {
	m.paths.session(ufrag)
	c, err := m.UDPMux.GetConn(ufrag, addr)
	if err != nil {
		return nil, err
	}
	fast, ok := c.(ice.AddrPortReaderWriter)
	if !ok {
		return c, nil // without addresses that can be compared there is no route
	}
	var socket *udp.Conn
	if a, ok := addr.(*net.UDPAddr); ok {
		socket = m.paths.sockets[unmapped(a.AddrPort())]
	}
	return &pathConn{PacketConn: c, fast: fast, socket: socket, paths: m.paths}, nil
}

func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// pathConn is a peer's share of a UDP socket.
type pathConn struct {
	net.PacketConn
	fast   ice.AddrPortReaderWriter
	socket *udp.Conn
	paths  *paths
}

// ReadFromAddrPort implements ice.AddrPortReaderWriter.
func (c *pathConn) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		n, from, err := c.fast.ReadFromAddrPort(b)
		if tooLong(err) {
			continue
		}
		if err != nil || !c.paths.take(b[:n]) {
			return n, from, err
		}
	}
}

// WriteToAddrPort implements ice.AddrPortReaderWriter.
func (c *pathConn) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	c.paths.wrote(b, c, c.socket, unmapped(to), nil)
	return c.fast.WriteToAddrPort(b, to)
}

// WriteTo implements net.PacketConn.
func (c *pathConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	if a, ok := addr.(*net.UDPAddr); ok {
		c.paths.wrote(b, c, c.socket, unmapped(a.AddrPort()), addr)
	}
	return c.PacketConn.WriteTo(b, addr)
}

// pathTCP hands out the connections of a TCP mux.
type pathTCP struct {
	ice.TCPMux
	paths *paths
}

// LocalAddr is that of the mux.
func (m *pathTCP) LocalAddr() net.Addr {
	if l, ok := m.TCPMux.(interface{ LocalAddr() net.Addr }); ok {
		return l.LocalAddr()
	}
	return nil
}

// GetConnByUfrag implements ice.TCPMux.
func (m *pathTCP) GetConnByUfrag(ufrag string, isIPv6 bool, local net.IP) (net.PacketConn, error) {
	m.paths.session(ufrag)
	c, err := m.TCPMux.GetConnByUfrag(ufrag, isIPv6, local)
	if err != nil {
		return nil, err
	}
	return &pathStream{PacketConn: c, paths: m.paths}, nil
}

// pathStream is a peer's TCP connections.
type pathStream struct {
	net.PacketConn
	paths *paths
}

// ReadFrom implements net.PacketConn.
func (c *pathStream) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.PacketConn.ReadFrom(b)
		if tooLong(err) || err == nil && checksRTCP(b[:n]) {
			continue
		}
		if err != nil || !c.paths.take(b[:n]) {
			return n, from, err
		}
	}
}

// WriteTo implements net.PacketConn.
func (c *pathStream) WriteTo(b []byte, addr net.Addr) (int, error) {
	if a, ok := addr.(*net.TCPAddr); ok {
		c.paths.wrote(b, c.PacketConn, nil, unmapped(a.AddrPort()), addr)
	}
	return c.PacketConn.WriteTo(b, addr)
}
