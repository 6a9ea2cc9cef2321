// Package udp is the media sockets: datagrams in and out with few system calls.
//
// On Linux a Conn receives with recvmmsg and UDP_GRO and sends with sendmmsg and
// UDP_SEGMENT: one call takes datagrams for many destinations, and a train of
// equal datagrams for one of them passes the network stack as one packet. Where
// the kernel or the network card cannot, it does with less by itself; other
// systems have the plain path, one call a datagram.
package udp

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
)

// Config of a Conn.
type Config struct {
	Buffer int  // bytes asked of the kernel for each direction; 0: what it gives by itself. It may grant less
	Plain  bool // take the plain path even where the kernel can do more

	// Tap, if set, sees each datagram before ReadFromAddrPort returns it; if it
	// returns true, the datagram is taken and ReadFromAddrPort goes on to the
	// next. One that it does not take it may see again. It runs on the reader's
	// goroutine or a timer's, never twice at once, and must neither block nor read
	// from the Conn. It may overwrite b but not keep it.
	Tap func(b []byte, from netip.AddrPort) (taken bool)

	Log *slog.Logger // nil: nothing is logged
}

// Stats counts since Listen.
type Stats struct {
	Received        uint64 // datagrams that came, taken ones too
	ReceiveCalls    uint64 // system calls that brought datagrams
	Sent            uint64 // datagrams that left
	SendCalls       uint64 // system calls that tried to send
	Failed          uint64 // datagrams that did not leave
	SegmentsRefused uint64 // trains that the kernel would not cut, sent as single datagrams
}

// Conn is a UDP socket. It is a net.PacketConn, and reads and writes with
// netip.AddrPort without allocating. Addresses of IPv4 are never mapped into
// IPv6 ones. All methods may be called by any goroutine at any time; of several
// readers one reads while the others wait.
type Conn struct {
	path  path
	local net.Addr
	tap   func(b []byte, from netip.AddrPort) bool
	log   *slog.Logger
	v4    bool

	segments atomic.Bool // trains are cut by the kernel

	received, receiveCalls                   atomic.Uint64
	sent, sendCalls, failed, segmentsRefused atomic.Uint64
}

// path is one of the two ways through the kernel.
type path interface {
	read(b []byte) (int, netip.AddrPort, error)
	write(b []byte, to netip.AddrPort) (int, error)
	newSender() sender
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
	Close() error
}

// Listen opens a socket at addr, for IPv4 only or IPv6 only as addr is; port 0
// takes a free one. Errors are those of net.ListenUDP.
func Listen(addr netip.AddrPort, cfg Config) (*Conn, error) {
	addr = unmap(addr)
	network := "udp6"
	if addr.Addr().Is4() {
		network = "udp4"
	}
	sock, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, err
	}
	if cfg.Buffer > 0 {
		_ = sock.SetReadBuffer(cfg.Buffer)
		_ = sock.SetWriteBuffer(cfg.Buffer)
	}
	c := &Conn{local: sock.LocalAddr(), tap: cfg.Tap, log: cfg.Log, v4: addr.Addr().Is4()}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if cfg.Plain {
		c.path = plain{sock, c}
	} else {
		c.path = newPath(c, sock)
	}
	return c, nil
}

// Segments tells whether the kernel cuts trains into datagrams at present
// (UDP_SEGMENT), so that a train costs about as much as one datagram.
func (c *Conn) Segments() bool { return c.segments.Load() }

// Stats returns the counts so far.
func (c *Conn) Stats() Stats {
	return Stats{
		Received:        c.received.Load(),
		ReceiveCalls:    c.receiveCalls.Load(),
		Sent:            c.sent.Load(),
		SendCalls:       c.sendCalls.Load(),
		Failed:          c.failed.Load(),
		SegmentsRefused: c.segmentsRefused.Load(),
	}
}

// ReadFromAddrPort waits for a datagram that the tap does not take and copies it
// to b; what does not fit is lost. An ICMP error that an earlier datagram of ours
// met does not end it. It fails with net.ErrClosed or os.ErrDeadlineExceeded.
func (c *Conn) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) { return c.path.read(b) }

// WriteToAddrPort sends one datagram. As that of net.UDPConn it waits while the
// socket's buffer is full, until the write deadline.
func (c *Conn) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	n, err := c.write(b, to)
	if pending(err) {
		n, err = c.write(b, to)
	}
	if err != nil {
		c.failed.Add(1)
		return n, err
	}
	c.sent.Add(1)
	return n, nil
}

func (c *Conn) write(b []byte, to netip.AddrPort) (int, error) {
	c.sendCalls.Add(1)
	return c.path.write(b, unmap(to))
}

// ReadFrom is ReadFromAddrPort for a net.PacketConn; it allocates.
func (c *Conn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromAddrPort(b)
	if err != nil {
		return n, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// WriteTo is WriteToAddrPort for a net.PacketConn; addr must be a *net.UDPAddr.
func (c *Conn) WriteTo(b []byte, addr net.Addr) (int, error) {
	to, ok := addr.(*net.UDPAddr)
	if !ok || to == nil {
		return 0, &net.OpError{Op: "write", Net: "udp", Source: c.LocalAddr(), Addr: addr, Err: syscall.EINVAL}
	}
	return c.WriteToAddrPort(b, to.AddrPort())
}

// Close ends reads and writes that wait.
func (c *Conn) Close() error { return c.path.Close() }

// LocalAddr returns the *net.UDPAddr that the socket is bound to.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// SetDeadline sets the deadlines of reads and writes.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline sets when reads fail from; zero: never.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.path.SetReadDeadline(t) }

// SetWriteDeadline sets when writes fail from; zero: never. Batches, which never
// wait, heed none.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.path.SetWriteDeadline(t) }

// reaches tells whether to is an address of the socket's family.
func (c *Conn) reaches(to netip.AddrPort) bool { return to.IsValid() && to.Addr().Is4() == c.v4 }

func unmap(a netip.AddrPort) netip.AddrPort {
	if a.Addr().Is4In6() {
		return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	}
	return a
}

// pending tells whether err may be an ICMP error that an earlier datagram met,
// to whatever destination: the kernel reports it to the next call on the socket,
// once, and does not do what that call asked for.
func pending(err error) bool {
	if err == nil {
		return false
	}
	var errno syscall.Errno
	return errors.As(err, &errno) && pendingErrno(errno)
}

func pendingErrno(errno syscall.Errno) bool {
	switch errno {
	case syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN,
		syscall.ENOPROTOOPT, syscall.EOPNOTSUPP, syscall.EPROTO:
		return true
	}
	return false
}
