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

// receiver is the receiving half of many.
type receiver struct {
	mu    sync.Mutex // held by the reader
	many  *many
	run   func(fd uintptr) bool     // r.fill
	until atomic.Pointer[time.Time] // the deadline; nil: none
	errno syscall.Errno             // of the last call
	zones zones

	n, at int // messages there, and the one that is handed out
	off   int // bytes of it handed out
	size  int // bytes of each of its datagrams but the last
	from  netip.AddrPort

	hdr  [receiveMessages]mmsghdr
	iov  [receiveMessages]unix.Iovec
	ctl  [receiveMessages]control
	name [receiveMessages]sockaddr
	buf  []byte
}

func (r *receiver) init(m *many) {
	r.many, r.run = m, r.fill
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
	r.mu.Lock()
	defer r.mu.Unlock()
	tap := r.many.conn.tap
	for {
		if err := r.ended(); err != nil {
			return 0, netip.AddrPort{}, err
		}
		for r.at == r.n {
			if err := r.wait(); err != nil {
				return 0, netip.AddrPort{}, err
			}
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

// wait fetches messages, none if the call met the error of an earlier datagram.
func (r *receiver) wait() error {
	r.n, r.at = 0, 0
	err := r.many.readable.raw.Read(r.run)
	if err == nil && r.errno != 0 && !pendingErrno(r.errno) {
		err = os.NewSyscallError("recvmmsg", r.errno)
	}
	return r.many.opError("read", err)
}

// fill makes the call; false: there is nothing yet.
func (r *receiver) fill(uintptr) bool {
	for i := range r.hdr {
		r.hdr[i].Namelen = unix.SizeofSockaddrInet6
		r.hdr[i].SetControllen(int(unsafe.Sizeof(control{})))
	}
	n, errno := mmsg(unix.SYS_RECVMMSG, uintptr(r.many.fd), r.hdr[:])
	if r.errno = errno; errno == 0 {
		r.n = n
		r.many.conn.receiveCalls.Add(1)
	}
	return errno != unix.EAGAIN
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
	if r.off == 0 {
		r.begin()
	}
	first, length := r.at*receiveBytes, int(r.hdr[r.at].n)
	end := min(r.off+r.size, length)
	p := r.buf[first+r.off : first+end : first+end]
	if r.off = end; end == length {
		r.at, r.off = r.at+1, 0
	}
	return p
}
