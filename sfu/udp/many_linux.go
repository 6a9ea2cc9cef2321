package udp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// many is the path of many datagrams a system call.
//
// Its socket is not in the runtime's poller, which would have the kernel tell it
// of every packet sent that there is room for another, and wake a thread for it:
// a quarter of what sending costs. What reads and writes wait for is in two sets
// of their own, which are in the poller instead.
type many struct {
	conn     *Conn
	file     *os.File // the socket, in blocking mode, so that os leaves it out of the poller
	raw      syscall.RawConn
	fd       int // of it; open as long as a call on readable or writable is under way
	readable *ready
	writable *ready
	closed   atomic.Bool
	receiver receiver
	writer   writer
}

// newPath asks the kernel what it can do and takes the best path.
func newPath(c *Conn, sock *net.UDPConn) path {
	m, err := newMany(c, sock)
	if err != nil {
		c.log.Info("UDP with one system call a datagram", "local", c.local, "err", err)
		return plain{sock, c}
	}
	segments := unix.SetsockoptInt(m.fd, unix.SOL_UDP, unix.UDP_SEGMENT, 0) // each train says its own
	gro := unix.SetsockoptInt(m.fd, unix.SOL_UDP, unix.UDP_GRO, 1)
	if err = errors.Join(segments, gro); err != nil {
		c.log.Info("UDP with less than the kernel could do", "local", c.local,
			"send_trains", segments == nil, "receive_trains", gro == nil, "err", err)
	}
	c.segments.Store(segments == nil)
	return m
}

// newMany takes the socket over; if it fails, sock is as before.
func newMany(c *Conn, sock *net.UDPConn) (*many, error) {
	raw, err := sock.SyscallConn()
	if err != nil {
		return nil, err
	}
	m := &many{conn: c}
	var failed error
	if err = raw.Control(func(fd uintptr) { failed = m.take(int(fd)) }); err != nil {
		failed = err
	}
	if failed != nil {
		return nil, failed
	}
	_ = sock.Close() // m has a descriptor of its own
	m.receiver.init(m)
	m.writer.init(m)
	return m, nil
}

func (m *many) take(sock int) error {
	_, send := mmsg(unix.SYS_SENDMMSG, uintptr(sock), nil)
	_, receive := mmsg(unix.SYS_RECVMMSG, uintptr(sock), nil)
	if send != 0 || receive != 0 {
		return errors.Join(os.NewSyscallError("sendmmsg", noError(send)), os.NewSyscallError("recvmmsg", noError(receive)))
	}
	fd, err := unix.FcntlInt(uintptr(sock), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	if m.readable, err = newReady(); err == nil {
		if m.writable, err = newReady(); err == nil {
			if err = m.readable.add(fd, unix.EPOLLIN); err == nil {
				err = os.NewSyscallError("fcntl", unix.SetNonblock(fd, false))
			}
		}
	}
	if err == nil {
		m.fd, m.file = fd, os.NewFile(uintptr(fd), "udp")
		m.raw, err = m.file.SyscallConn()
		return err
	}
	for _, r := range []*ready{m.readable, m.writable} {
		if r != nil {
			_ = r.file.Close()
		}
	}
	_ = unix.Close(fd)
	return err
}

func (m *many) read(b []byte) (int, netip.AddrPort, error) { return m.receiver.read(b) }

func (m *many) write(b []byte, to netip.AddrPort) (int, error) { return m.writer.write(b, to) }

func (m *many) SetReadDeadline(t time.Time) error {
	if t.IsZero() {
		m.receiver.until.Store(nil)
	} else {
		m.receiver.until.Store(&t)
	}
	return m.opError("set", m.readable.file.SetReadDeadline(t))
}

func (m *many) SetWriteDeadline(t time.Time) error {
	return m.opError("set", m.writable.file.SetReadDeadline(t))
}

// Close ends reads and writes and waits until they are out of their calls, which
// use fd. A batch that is being sent keeps the socket open until it has left.
func (m *many) Close() error {
	if m.closed.Swap(true) {
		return m.opError("close", net.ErrClosed)
	}
	return errors.Join(m.readable.file.Close(), m.writable.file.Close(), m.file.Close())
}

// opError returns err as package net would.
func (m *many) opError(op string, err error) error {
	if err == nil {
		return nil
	}
	if m.closed.Load() { // that of the os package is not that of net
		err = net.ErrClosed
	}
	return &net.OpError{Op: op, Net: "udp", Source: m.conn.local, Err: err}
}

func noError(e syscall.Errno) error {
	if e == 0 {
		return nil
	}
	return e
}

// ready is a set (epoll) for one socket that the runtime's poller waits for: it
// is readable when the socket is what the set says.
type ready struct {
	fd   int
	file *os.File
	raw  syscall.RawConn
}

func newReady() (*ready, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err = unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	r := &ready{fd: fd, file: os.NewFile(uintptr(fd), "epoll")}
	if r.raw, err = r.file.SyscallConn(); err == nil {
		err = r.file.SetReadDeadline(time.Time{}) // fails if it is not in the poller
	}
	if err != nil {
		_ = r.file.Close()
		return nil, err
	}
	return r, nil
}

func (r *ready) add(sock int, events uint32) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(r.fd, unix.EPOLL_CTL_ADD, sock, &unix.EpollEvent{Events: events}))
}

func (r *ready) change(sock int, events uint32) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(r.fd, unix.EPOLL_CTL_MOD, sock, &unix.EpollEvent{Events: events}))
}

func (r *ready) remove(sock int) {
	_ = unix.EpollCtl(r.fd, unix.EPOLL_CTL_DEL, sock, nil)
}

// writer sends single datagrams, and waits for room.
type writer struct {
	many   *many
	mu     sync.Mutex
	run    func(fd uintptr) bool // w.try
	target target
	b      []byte
	to     unix.Sockaddr
	err    error
	waits  bool // the socket is in the set of writable ones: a writer found no room
}

func (w *writer) init(m *many) { w.many, w.run = m, w.try }

func (w *writer) write(b []byte, to netip.AddrPort) (int, error) {
	if !w.many.conn.reaches(to) {
		return 0, w.many.opError("write", unix.EAFNOSUPPORT)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.b, w.to = b, w.target.sockaddr(to)
	err := w.many.writable.raw.Read(w.run)
	w.b = nil
	if err == nil {
		err = os.NewSyscallError("sendto", w.err)
	}
	if err != nil {
		return 0, w.many.opError("write", err)
	}
	return len(b), nil
}

// try sends; false: there is no room yet.
func (w *writer) try(uintptr) bool {
	w.err = sendto(w.many.fd, w.b, unix.MSG_DONTWAIT, w.to)
	full := errors.Is(w.err, unix.EAGAIN)
	if full && !w.waits {
		if err := w.many.writable.add(w.many.fd, unix.EPOLLOUT); err != nil {
			w.err = err
			return true
		}
		w.waits = true
	}
	if !full && w.waits {
		w.many.writable.remove(w.many.fd)
		w.waits = false
	}
	return !full
}
