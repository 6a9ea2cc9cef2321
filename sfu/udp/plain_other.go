//go:build !unix

package udp

import "net/netip"

// plainSender sends with net.UDPConn. On Windows that waits only while the
// system is short of memory for datagrams, and reports after that.
type plainSender struct{ plain }

func (p plain) newSender() sender { return plainSender{p} }

func (s plainSender) send(trains []train) (calls int, err error) {
	return each(trains, func(p []byte, to netip.AddrPort) error {
		_, err := s.WriteToUDPAddrPort(p, to)
		return err
	}), nil
}
