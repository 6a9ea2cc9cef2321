package udp

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	unix.Msghdr
	n uint32 // bytes received
}

// mmsg calls sendmmsg or recvmmsg, without waiting. As the call is all work and no waiting, the
// runtime is not told of it: it would give the processor to another thread where the call takes
// some 20 us, and the caller would wait for one.
func mmsg(call, fd uintptr, m []mmsghdr) (int, syscall.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(m))), uintptr(len(m)), unix.MSG_DONTWAIT, 0, 0) //nolint:gosec // G103: the argument of the call
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// control is one control message of an integer.
type control struct {
	hdr  unix.Cmsghdr
	data [8]byte
}

// sockaddr is a struct sockaddr_in or sockaddr_in6 in its layout.
type sockaddr [unix.SizeofSockaddrInet6]byte

// put writes an address and returns the length of it.
func (n *sockaddr) put(a netip.AddrPort, z *zones) uint32 {
	binary.BigEndian.PutUint16(n[2:], a.Port())
	if a.Addr().Is4() {
		binary.NativeEndian.PutUint16(n[:], unix.AF_INET)
		ip := a.Addr().As4()
		copy(n[4:], ip[:])
		return unix.SizeofSockaddrInet4
	}
	binary.NativeEndian.PutUint16(n[:], unix.AF_INET6)
	binary.NativeEndian.PutUint32(n[4:], 0) // flow label
	ip := a.Addr().As16()
	copy(n[8:], ip[:])
	binary.NativeEndian.PutUint32(n[24:], z.index(a.Addr().Zone()))
	return unix.SizeofSockaddrInet6
}

// addr reads an address; the zero one if it is of another family.
func (n *sockaddr) addr(z *zones) netip.AddrPort {
	port := binary.BigEndian.Uint16(n[2:])
	switch binary.NativeEndian.Uint16(n[:]) {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(n[4:])), port)
	case unix.AF_INET6:
		a := netip.AddrFrom16([16]byte(n[8:])).Unmap()
		return netip.AddrPortFrom(z.with(a, binary.NativeEndian.Uint32(n[24:])), port)
	}
	return netip.AddrPort{}
}
