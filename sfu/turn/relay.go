package turn

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/turn/v5"
	"golang.org/x/time/rate"
)

const socketBuffer = 1 << 20 // bytes, asked of the kernel

// peerTable leads from the addresses that clients are told to our sockets.
type peerTable struct {
	local  map[netip.AddrPort]netip.AddrPort // by offered address
	first  map[netip.AddrPort]*net.UDPAddr   // of those offered for a local one
	asAddr map[netip.AddrPort]*net.UDPAddr   // offered, as pion/turn wants it
	ips    map[netip.Addr]struct{}           // offered
}

func newPeerTable(peers []Peer) *peerTable {
	t := &peerTable{
		local: make(map[netip.AddrPort]netip.AddrPort), first: make(map[netip.AddrPort]*net.UDPAddr),
		asAddr: make(map[netip.AddrPort]*net.UDPAddr), ips: make(map[netip.Addr]struct{}),
	}
	for _, p := range peers {
		for _, o := range p.Offered {
			if _, ok := t.local[o]; ok {
				continue // one public address in front of several of ours: the first takes it
			}
			t.local[o] = p.Local
			t.asAddr[o] = net.UDPAddrFromAddrPort(o)
			t.ips[o.Addr()] = struct{}{}
			if t.first[p.Local] == nil {
				t.first[p.Local] = t.asAddr[o]
			}
		}
	}
	return t
}

// allows says whether a client may ask to reach an address. TURN permissions
// know no ports (RFC 8656 section 9): those are left to relay.WriteTo.
func (t *peerTable) allows(ip net.IP) bool {
	addr, ok := netip.AddrFromSlice(ip)
	if !ok {
		return false
	}
	_, ok = t.ips[addr.Unmap()]
	return ok
}

// relays makes relayed addresses, as pion/turn's RelayAddressGenerator.
type relays struct{ server *Server }

var errOnlyUDP = errors.New("only UDP is relayed")

// Validate implements turn.RelayAddressGenerator.
func (g *relays) Validate() error { return nil }

// AllocatePacketConn opens the socket of a relayed address, on loopback: it is
// for our own media sockets only. A client may not choose its port (EVEN-PORT,
// RESERVATION-TOKEN): nobody needs to since RTCP shares the port of RTP.
func (g *relays) AllocatePacketConn(c turn.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	if c.UserID == "" || c.RequestedPort != 0 {
		return nil, nil, errors.New("a client may not choose its relayed port")
	}
	ip := net.IPv4(127, 0, 0, 1)
	if c.Network == "udp6" {
		ip = net.IPv6loopback
	}
	r := &relay{server: g.server, used: make(map[netip.AddrPort]*net.UDPAddr)}
	if err := g.server.sessions.add(c.UserID, r); err != nil {
		return nil, nil, err
	}
	sock, err := net.ListenUDP(c.Network, &net.UDPAddr{IP: ip})
	if err != nil {
		g.server.sessions.remove(r)
		return nil, nil, err
	}
	_ = sock.SetReadBuffer(socketBuffer) // the kernel may grant less
	if !r.open(sock) {
		return nil, nil, errNoSession
	}
	return r, sock.LocalAddr(), nil
}

// AllocateListener refuses TCP relaying (RFC 6062).
func (g *relays) AllocateListener(turn.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	return nil, nil, errOnlyUDP
}

// AllocateConn refuses TCP relaying (RFC 6062).
func (g *relays) AllocateConn(turn.AllocateConnConfig) (net.Conn, error) { return nil, errOnlyUDP }

// relay is one relayed address: the socket between a client of ours and our
// media sockets. It is a net.PacketConn in which the media sockets have the
// addresses that the client knows.
type relay struct {
	server   *Server
	owner    *session
	up, down *rate.Limiter

	mu     sync.Mutex
	sock   *net.UDPConn
	closed bool
	used   map[netip.AddrPort]*net.UDPAddr // by local address: what the client calls it
}

// open gives the relay its socket, unless its participant left meanwhile.
func (r *relay) open(sock *net.UDPConn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		_ = sock.Close()
		return false
	}
	r.sock = sock
	return true
}

// WriteTo sends a client's packet to one of our media sockets. For any other
// address it drops it, as it does above the participant's rate.
func (r *relay) WriteTo(p []byte, addr net.Addr) (int, error) {
	udp, ok := addr.(*net.UDPAddr)
	if !ok {
		return len(p), nil
	}
	offered := udp.AddrPort()
	offered = netip.AddrPortFrom(offered.Addr().Unmap(), offered.Port())
	local, ok := r.server.peers.local[offered]
	if !ok || !r.up.AllowN(time.Now(), len(p)) {
		return len(p), nil
	}
	r.mu.Lock()
	r.used[local] = r.server.peers.asAddr[offered]
	r.mu.Unlock()
	return r.sock.WriteToUDPAddrPort(p, local)
}

// ReadFrom receives a packet from one of our media sockets and names it as the
// client does. What comes from elsewhere on this machine is dropped.
func (r *relay) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, from, err := r.sock.ReadFromUDPAddrPort(p)
		if err != nil {
			return 0, nil, err
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		first, ok := r.server.peers.first[from]
		if !ok || !r.down.AllowN(time.Now(), n) {
			continue
		}
		r.mu.Lock()
		used := r.used[from]
		r.mu.Unlock()
		if used == nil {
			used = first
		}
		return n, used, nil
	}
}

// Close gives the relayed address back. It may be called twice: by pion/turn
// and at the end of the participant.
func (r *relay) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	r.server.sessions.remove(r)
	if r.sock == nil {
		return nil
	}
	return r.sock.Close()
}

// LocalAddr is the relayed address.
func (r *relay) LocalAddr() net.Addr { return r.sock.LocalAddr() }

// SetDeadline implements net.PacketConn.
func (r *relay) SetDeadline(t time.Time) error { return r.sock.SetDeadline(t) }

// SetReadDeadline implements net.PacketConn.
func (r *relay) SetReadDeadline(t time.Time) error { return r.sock.SetReadDeadline(t) }

// SetWriteDeadline implements net.PacketConn.
func (r *relay) SetWriteDeadline(t time.Time) error { return r.sock.SetWriteDeadline(t) }
