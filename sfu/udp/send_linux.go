package udp

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const sendMessages = 128 // of a call, which costs little compared to so many

// manySender sends with sendmmsg. Senders need not take turns; they only keep the
// socket from being closed while they send.
type manySender struct {
	many   *many
	run    func(fd uintptr) // s.flush
	trains []train
	calls  int
	zones  zones
	out    *messages
	single *messages // for the datagrams of a train that the kernel would not cut; nil until there is one
}

func (m *many) newSender() sender {
	s := &manySender{many: m, out: newMessages()}
	s.run = s.flush
	return s
}

func (s *manySender) send(trains []train) (calls int, err error) {
	s.trains, s.calls = trains, 0
	err = s.many.raw.Control(s.run)
	s.trains = nil
	return s.calls, s.many.opError("write", err)
}

func (s *manySender) flush(fd uintptr) {
	for i := range s.trains {
		t := &s.trains[i]
		switch {
		case t.err != nil:
		case len(t.p) > t.size && s.many.conn.segments.Load():
			if s.out.n == sendMessages {
				s.transmit(fd, s.out)
			}
			s.out.put(t, t.p, &s.zones)
		default:
			s.singles(fd, s.out, t)
		}
	}
	s.transmit(fd, s.out)
}

// singles puts each datagram of a train into a message of its own, and transmits
// what is in front when there is no room.
func (s *manySender) singles(fd uintptr, m *messages, t *train) {
	for at := 0; at < len(t.p); at += t.size {
		if m.n == sendMessages {
			s.transmit(fd, m)
		}
		m.put(t, t.p[at:min(at+t.size, len(t.p))], &s.zones)
	}
}

// transmit sends the messages. The kernel stops at one that fails and tells its
// error to the next call, which begins there.
func (s *manySender) transmit(fd uintptr, m *messages) {
	again := false // the message at `at` has been tried
	for at := 0; at < m.n; {
		n, errno := mmsg(unix.SYS_SENDMMSG, fd, m.hdr[at:m.n])
		s.calls++
		switch {
		case errno == 0 && n > 0:
			at, again = at+n, false
		case pendingErrno(errno) && !again:
			again = true
		default:
			s.refused(fd, m.train[at], m.hdr[at].Controllen != 0, errno)
			at, again = at+1, false
		}
	}
	m.clear()
}

// refused deals with a message that the kernel did not take: a datagram of the
// train, or all of it.
func (s *manySender) refused(fd uintptr, t *train, whole bool, errno syscall.Errno) {
	switch {
	case !whole:
		t.fail(1, errno)
		return
	case errno == unix.EMSGSIZE || errno == unix.EINVAL: // a datagram is larger than this destination's MTU
	case errno == unix.EIO || errno == unix.ENOPROTOOPT || errno == unix.EOPNOTSUPP || errno == unix.ENOSYS:
		if s.many.conn.segments.CompareAndSwap(true, false) {
			s.many.conn.log.Info("the kernel does not cut trains of datagrams, they are sent one by one from now on",
				"local", s.many.conn.LocalAddr(), "to", t.to, "err", errno)
		}
	default:
		t.fail(t.datagrams(), errno)
		return
	}
	s.many.conn.segmentsRefused.Add(1)
	if s.single == nil {
		s.single = newMessages()
	}
	s.singles(fd, s.single, t)
	s.transmit(fd, s.single)
}

// messages is the argument of sendmmsg.
type messages struct {
	n     int
	hdr   [sendMessages]mmsghdr
	iov   [sendMessages]unix.Iovec
	ctl   [sendMessages]control
	name  [sendMessages]sockaddr
	train [sendMessages]*train
}

func newMessages() *messages {
	m := new(messages)
	for i := range m.hdr {
		h, c := &m.hdr[i], &m.ctl[i]
		h.Name = &m.name[i][0]
		h.Iov = &m.iov[i]
		h.SetIovlen(1)
		h.Control = (*byte)(unsafe.Pointer(c)) //nolint:gosec // G103: the kernel reads it
		c.hdr.Level, c.hdr.Type = unix.SOL_UDP, unix.UDP_SEGMENT
		c.hdr.SetLen(unix.CmsgLen(2))
	}
	return m
}

// put adds a message; p is all of the train, or one datagram of it.
func (m *messages) put(t *train, p []byte, z *zones) {
	i := m.n
	m.n++
	m.train[i] = t
	m.iov[i].Base = unsafe.SliceData(p) //nolint:gosec // G103: p is not empty
	m.iov[i].SetLen(len(p))
	h := &m.hdr[i]
	h.Namelen = m.name[i].put(t.to, z)
	h.SetControllen(0)
	if len(p) > t.size {
		binary.NativeEndian.PutUint16(m.ctl[i].data[:], uint16(t.size))
		h.SetControllen(unix.CmsgSpace(2))
	}
}

// clear forgets the messages.
func (m *messages) clear() {
	clear(m.iov[:m.n])
	clear(m.train[:m.n])
	m.n = 0
}
