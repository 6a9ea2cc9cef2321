//go:build linux && (amd64 || arm64)

package light

import (
	"encoding/binary"
	"net"

	"golang.org/x/sys/unix"
)

// Layout of a control message, cmsg(3), on 64-bit systems.
const (
	cmsgHeader = 16
	cmsgAlign  = 8
	oobBytes   = 128
)

// tune has the kernel hand over trains whole (UDP_GRO), each with the time of its
// arrival.
func tune(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		// Before Linux 5.0 there is no UDP_GRO; packets come one by one then. More buffer
		// than the system has for all is for those who may.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_GRO, 1)
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, socketBytes)
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1)
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	}); err != nil {
		return err
	}
	return failed
}

// control reads the size of the segments, 0 if there is one only, the time of arrival in
// ns since 1970, and how much the socket has dropped so far for want of room; 0: not told.
func control(oob []byte) (size int, at int64, dropped uint32) {
	for len(oob) >= cmsgHeader {
		length := int(binary.NativeEndian.Uint64(oob))
		level, kind := binary.NativeEndian.Uint32(oob[8:]), binary.NativeEndian.Uint32(oob[12:])
		if length < cmsgHeader || length > len(oob) {
			return size, at, dropped
		}
		data := oob[cmsgHeader:length]
		switch {
		case level == unix.IPPROTO_UDP && kind == unix.UDP_GRO && len(data) >= 4:
			size = int(int32(binary.NativeEndian.Uint32(data)))
		case level == unix.SOL_SOCKET && kind == unix.SO_RXQ_OVFL && len(data) >= 4:
			dropped = binary.NativeEndian.Uint32(data)
		case level == unix.SOL_SOCKET && kind == unix.SO_TIMESTAMPNS && len(data) >= 16:
			at = int64(binary.NativeEndian.Uint64(data))*1e9 + int64(binary.NativeEndian.Uint64(data[8:]))
		}
		oob = oob[min(len(oob), (length+cmsgAlign-1)&^(cmsgAlign-1)):]
	}
	return size, at, dropped
}
