//go:build !linux

package udp

import "net"

func newPath(c *Conn, sock *net.UDPConn) path { return plain{sock, c} }
