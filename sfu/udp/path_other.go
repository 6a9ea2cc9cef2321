//go:build !linux

package udp

func newPath(c *Conn) path { return plain{c} }
