//go:build unix

package udp

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

// plainSender sends with sendto. The socket is non-blocking, as all of package
// net are; but it goes through RawConn.Control and not net.UDPConn, which would
// wait for room, for writers that wait, and heed the write deadline.
type plainSender struct {
	c      *Conn
	run    func(fd uintptr)                   // s.flush
	one    func([]byte, netip.AddrPort) error // s.sendto
	trains []train
	calls  int
	fd     int
	v4     unix.SockaddrInet4
	v6     unix.SockaddrInet6
	zones  zones
}

func (p plain) newSender() sender {
	s := &plainSender{c: p.c}
	s.run, s.one = s.flush, s.sendto
	return s
}

func (s *plainSender) send(trains []train) (calls int, err error) {
	s.trains, s.calls = trains, 0
	err = s.c.raw.Control(s.run)
	s.trains = nil
	return s.calls, err
}

func (s *plainSender) flush(fd uintptr) {
	s.fd = int(fd)
	s.calls = each(s.trains, s.one)
}

func (s *plainSender) sendto(p []byte, to netip.AddrPort) error {
	var sa unix.Sockaddr
	if s.c.v4 {
		s.v4.Addr, s.v4.Port = to.Addr().As4(), int(to.Port())
		sa = &s.v4
	} else {
		s.v6.Addr, s.v6.Port, s.v6.ZoneId = to.Addr().As16(), int(to.Port()), s.zones.index(to.Addr().Zone())
		sa = &s.v6
	}
	for {
		if err := unix.Sendto(s.fd, p, 0, sa); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
