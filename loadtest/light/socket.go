package light

import (
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

const (
	// trainBytes is the most that one read brings: the largest UDP payload.
	trainBytes = 1 << 16
	// socketBytes is asked for as the receive buffer of a socket.
	socketBytes = 1 << 20
)

// socket is the UDP socket of a peer connection, read by the mux of pion/ice. RTP and
// RTCP do not get that far: media is called with them by the reading goroutine.
type socket struct {
	conn *net.UDPConn
	// media is given a packet, good until it returns, and its arrival in ns since 1970.
	media func(packet []byte, at int64)

	dropped atomic.Uint32 // trains or packets for which there was no room

	// Only the reading goroutine uses these.
	buffer []byte
	oob    []byte
	rest   []byte // of the train that was read
	size   int    // of its segments
	from   netip.AddrPort
	at     int64
}

// listen opens a socket on the address.
func listen(local netip.Addr, media func([]byte, int64)) (*socket, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0)))
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadBuffer(socketBytes) // the system may allow less
	if err := tune(conn); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &socket{conn: conn, media: media, buffer: make([]byte, trainBytes), oob: make([]byte, oobBytes)}, nil
}

// ReadFromAddrPort implements ice.AddrPortReaderWriter: it returns what is not media.
func (s *socket) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		for len(s.rest) > 0 {
			packet := s.rest[:min(s.size, len(s.rest))]
			s.rest = s.rest[len(packet):]
			if packet[0]>>6 != 2 { // RFC 7983: 128 to 191 is RTP and RTCP
				return copy(b, packet), s.from, nil
			}
			s.media(packet, s.at)
		}
		n, oobn, _, from, err := s.conn.ReadMsgUDPAddrPort(s.buffer, s.oob)
		if err != nil {
			return 0, from, err
		}
		s.rest, s.from = s.buffer[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		var dropped uint32
		s.size, s.at, dropped = control(s.oob[:oobn])
		if dropped > 0 {
			s.dropped.Store(dropped)
		}
		if s.size == 0 {
			s.size = n
		}
		if s.at == 0 {
			s.at = time.Now().UnixNano()
		}
	}
}

// WriteToAddrPort implements ice.AddrPortReaderWriter.
func (s *socket) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return s.conn.WriteToUDPAddrPort(b, to)
}

// ReadFrom implements net.PacketConn.
func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := s.ReadFromAddrPort(b)
	return n, net.UDPAddrFromAddrPort(from), err
}

// WriteTo implements net.PacketConn.
func (s *socket) WriteTo(b []byte, to net.Addr) (int, error) { return s.conn.WriteTo(b, to) }

// Close implements net.PacketConn.
func (s *socket) Close() error { return s.conn.Close() }

// LocalAddr implements net.PacketConn.
func (s *socket) LocalAddr() net.Addr { return s.conn.LocalAddr() }

// SetDeadline implements net.PacketConn.
func (s *socket) SetDeadline(t time.Time) error { return s.conn.SetDeadline(t) }

// SetReadDeadline implements net.PacketConn.
func (s *socket) SetReadDeadline(t time.Time) error { return s.conn.SetReadDeadline(t) }

// SetWriteDeadline implements net.PacketConn.
func (s *socket) SetWriteDeadline(t time.Time) error { return s.conn.SetWriteDeadline(t) }
