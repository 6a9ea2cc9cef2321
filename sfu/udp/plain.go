package udp

import (
	"net"
	"net/netip"
)

// plain is the path of one system call a datagram.
type plain struct {
	*net.UDPConn
	c *Conn
}

func (p plain) read(b []byte) (int, netip.AddrPort, error) {
	for {
		n, from, err := p.ReadFromUDPAddrPort(b)
		if pending(err) {
			continue
		}
		if err != nil {
			return n, from, err
		}
		p.c.received.Add(1)
		p.c.receiveCalls.Add(1)
		from = unmap(from)
		if p.c.tap != nil && p.c.tap(b[:n:n], from) {
			continue
		}
		return n, from, nil
	}
}

func (p plain) write(b []byte, to netip.AddrPort) (int, error) { return p.WriteToUDPAddrPort(b, to) }

// each calls send with the datagrams of the trains one by one, a second time if
// the error may be that of an earlier datagram. It returns how many calls it made.
func each(trains []train, send func(p []byte, to netip.AddrPort) error) (calls int) {
	for i := range trains {
		t := &trains[i]
		if t.err != nil {
			continue
		}
		for at := 0; at < len(t.p); at += t.size {
			p := t.p[at:min(at+t.size, len(t.p))]
			calls++
			err := send(p, t.to)
			if pending(err) {
				calls++
				err = send(p, t.to)
			}
			if err != nil {
				t.fail(1, err)
			}
		}
	}
	return calls
}
