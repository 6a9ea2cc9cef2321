//go:build unix

package udp

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

// plainSender sends with sendto. The socket does not block, as none of package
// net does; but it goes through RawConn.Control and not net.UDPConn, which would
// wait for room, behind writers that wait, and heed the write deadline.
type plainSender struct {
	plain
	target target
	run    func(fd uintptr)                        // s.flush
	one    func(b []byte, to netip.AddrPort) error // s.sendto
	fd     int                                     // within flush
	trains []train                                 // within send
	calls  int
}

func (p plain) newSender() sender {
	s := &plainSender{plain: p}
	s.run, s.one = s.flush, s.sendto
	return s
}

func (s *plainSender) send(trains []train) (calls int, err error) {
	raw, err := s.SyscallConn()
	if err != nil {
		return 0, err
	}
	s.trains, s.calls = trains, 0
	err = raw.Control(s.run)
	s.trains = nil
	return s.calls, err
}

func (s *plainSender) flush(fd uintptr) {
	s.fd = int(fd)
	s.calls = each(s.trains, s.one)
}

func (s *plainSender) sendto(b []byte, to netip.AddrPort) error {
	return sendto(s.fd, b, 0, s.target.sockaddr(to))
}

func sendto(fd int, b []byte, flags int, to unix.Sockaddr) error {
	for {
		if err := unix.Sendto(fd, b, flags, to); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// target makes addresses for sendto without allocating.
type target struct {
	v4    unix.SockaddrInet4
	v6    unix.SockaddrInet6
	zones zones
}

// sockaddr returns an address that is good until the next call.
func (t *target) sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		t.v4.Addr, t.v4.Port = a.Addr().As4(), int(a.Port())
		return &t.v4
	}
	t.v6.Addr, t.v6.Port, t.v6.ZoneId = a.Addr().As16(), int(a.Port()), t.zones.index(a.Addr().Zone())
	return &t.v6
}
