package udp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A message received may be a train of datagrams that the kernel joined (UDP_GRO),
// so each needs room for 64 KiB. Eight of them share the fixed cost of a call, and
// bring up to 512 datagrams; more of them would save little and cost memory for
// each socket, though pages that no datagram ever reached are not resident.
const (
	receiveMessages = 8
	receiveBytes    = 1 << 16
)

// Where every processor is busy the runtime looks at its poller every 10 ms only, and a reader
// that was woken then waits for all who can run before it: when 215 clients negotiate at once,
// 50 to 130 ms. Whom a timer wakes runs next. So while packets come a timer looks, too, and has
// the tap take what it finds.
const (
	lookEvery = time.Millisecond
	lookFor   = 16 // times in vain
)

// receiver is the receiving half of many.
type receiver struct {
	many  *many
	run   func(fd uintptr) bool     // r.fill
	find  func(fd uintptr)          // r.found
	timer *time.Timer               // runs look
	until atomic.Pointer[time.Time] // the deadline; nil: none

	mu     sync.Mutex    // held by who takes datagrams, not while waiting for them
	errno  syscall.Errno // of the reader's last call
	zones  zones
	looks  bool // the timer is set
	inVain int  // looks
	roused bool // the reader is being woken for what the timer left to it

	n, at int  // messages there, and the one that is handed out
	begun bool // it is; what follows is of it
	off   int  // bytes of it handed out
	size  int  // bytes of each of its datagrams but the last
	from  netip.AddrPort

	hdr  [receiveMessages]mmsghdr
	iov  [receiveMessages]unix.Iovec
	ctl  [receiveMessages]control
	name [receiveMessages]sockaddr
	buf  []byte
}

func (r *receiver) init(m *many) {
	r.many, r.run, r.find = m, r.fill, r.found
	r.timer = time.AfterFunc(time.Hour, r.look)
	r.timer.Stop()
	r.buf = make([]byte, receiveMessages*receiveBytes)
	for i := range r.hdr {
		r.iov[i].Base = &r.buf[i*receiveBytes]
		r.iov[i].SetLen(receiveBytes)
		h := &r.hdr[i]
		h.Iov = &r.iov[i]
		h.SetIovlen(1)
		h.Name = &r.name[i][0]
		h.Control = (*byte)(unsafe.Pointer(&r.ctl[i])) //nolint:gosec // G103: the kernel writes it
	}
}

func (r *receiver) read(b []byte) (int, netip.AddrPort, error) {
	for {
		if n, from, err := r.take(b); n >= 0 || err != nil {
			return max(n, 0), from, err
		}
		if err := r.wait(); err != nil {
			return 0, netip.AddrPort{}, err
		}
	}
}

// take copies the first datagram to b that the tap does not take; -1: there is none.
func (r *receiver) take(b []byte) (int, netip.AddrPort, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tap := r.many.conn.tap
	for {
		if err := r.ended(); err != nil {
			return 0, netip.AddrPort{}, err
		}
		if r.at == r.n {
			return -1, netip.AddrPort{}, nil
		}
		p := r.next()
		if tap != nil && tap(p, r.from) {
			continue
		}
		return copy(b, p), r.from, nil
	}
}

// ended says what ends reading even if datagrams are there.
func (r *receiver) ended() error {
	if r.many.closed.Load() {
		return r.many.opError("read", net.ErrClosed)
	}
	if until := r.until.Load(); until != nil && !time.Now().Before(*until) {
		return r.many.opError("read", os.ErrDeadlineExceeded)
	}
	return nil
}

// wait fetches messages; none if the call met the error of an earlier datagram, or if they
// are taken already.
func (r *receiver) wait() error {
	err := r.many.readable.raw.Read(r.run)
	r.mu.Lock()
	errno := r.errno
	r.mu.Unlock()
	if err == nil && errno != 0 && !pendingErrno(errno) {
		err = os.NewSyscallError("recvmmsg", errno)
	}
	return r.many.opError("read", err)
}

// fill makes the call; false: there is nothing yet.
func (r *receiver) fill(uintptr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.errno = 0; r.roused {
		r.roused = false
		if err := r.many.readable.change(r.many.fd, unix.EPOLLIN); err != nil {
			r.many.conn.log.Error("UDP socket watched in vain", "local", r.many.conn.local, "err", err)
		}
	}
	if r.at < r.n {
		return true // left by look
	}
	if r.errno = r.receive(); r.errno == 0 && r.many.conn.tap != nil && !r.looks {
		r.looks, r.inVain = true, 0
		r.timer.Reset(lookEvery)
	}
	return r.errno != unix.EAGAIN
}

// receive fetches messages, with mu held.
func (r *receiver) receive() syscall.Errno {
	for i := range r.hdr {
		r.hdr[i].Namelen = unix.SizeofSockaddrInet6
		r.hdr[i].SetControllen(int(unsafe.Sizeof(control{})))
	}
	n, errno := mmsg(unix.SYS_RECVMMSG, uintptr(r.many.fd), r.hdr[:])
	if errno == 0 {
		r.n, r.at = n, 0
		r.many.conn.receiveCalls.Add(1)
	}
	return errno
}

// look has the tap take what is there, up to what it does not take: that is the reader's,
// which is woken for it. It looks again as long as packets come.
func (r *receiver) look() {
	if !r.mu.TryLock() { // the reader is at it
		r.timer.Reset(lookEvery)
		return
	}
	defer r.mu.Unlock()
	r.inVain++
	if r.many.readable.raw.Control(r.find) != nil || r.ended() != nil || r.inVain > lookFor {
		r.looks = false
		return
	}
	r.timer.Reset(lookEvery)
}

// found lets the tap take, with mu held and the socket open.
func (r *receiver) found(uintptr) {
	for r.ended() == nil {
		if r.at == r.n && r.receive() != 0 {
			return
		}
		at, off := r.at, r.off
		if !r.many.conn.tap(r.next(), r.from) {
			r.at, r.off, r.begun = at, off, true
			r.rouse()
			return
		}
		r.inVain = 0
	}
}

// rouse wakes the reader, with mu held. That there is something in the socket may not: the
// poller looks again when it comes to telling, and then nothing is. That there is room may.
func (r *receiver) rouse() {
	if !r.roused {
		r.roused = r.many.readable.change(r.many.fd, unix.EPOLLIN|unix.EPOLLOUT) == nil
	}
}

// begin prepares for handing out message at.
func (r *receiver) begin() {
	h, c := &r.hdr[r.at], &r.ctl[r.at]
	r.from = r.name[r.at].addr(&r.zones)
	r.size = int(h.n)
	if int(h.Controllen) >= unix.CmsgLen(4) && c.hdr.Level == unix.SOL_UDP && c.hdr.Type == unix.UDP_GRO {
		if size := int(int32(binary.NativeEndian.Uint32(c.data[:]))); size > 0 {
			r.size = size
		}
	}
	datagrams := 1
	if r.size > 0 {
		datagrams = max(1, (int(h.n)+r.size-1)/r.size)
	}
	r.many.conn.received.Add(uint64(datagrams))
}

// next returns the next datagram; there must be one.
func (r *receiver) next() []byte {
	if !r.begun {
		r.begin()
	}
	first, length := r.at*receiveBytes, int(r.hdr[r.at].n)
	end := min(r.off+r.size, length)
	p := r.buf[first+r.off : first+end : first+end]
	if r.off, r.begun = end, true; end == length {
		r.at, r.off, r.begun = r.at+1, 0, false
	}
	return p
}
