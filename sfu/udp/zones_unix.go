//go:build unix

package udp

import (
	"math"
	"net"
	"net/netip"
	"strconv"
)

// zones translates between the zones of IPv6 link-local addresses and interface
// indices, and remembers the last: there is hardly ever more than one.
type zones struct {
	name string
	id   uint32
}

// index returns 0 for no zone, and one that no interface has, so that the kernel
// refuses it, if there is no such zone.
func (z *zones) index(name string) uint32 {
	if name == "" {
		return 0
	}
	if name == z.name {
		return z.id
	}
	id, err := strconv.ParseUint(name, 10, 31)
	if err != nil {
		ifi, err := net.InterfaceByName(name)
		if err != nil {
			return math.MaxInt32
		}
		id = uint64(ifi.Index)
	}
	z.name, z.id = name, uint32(id)
	return z.id
}

// with returns a in the zone of that index; 0: in none.
func (z *zones) with(a netip.Addr, id uint32) netip.Addr {
	if id == 0 {
		return a
	}
	if z.name == "" || id != z.id {
		z.name, z.id = strconv.FormatUint(uint64(id), 10), id
		if ifi, err := net.InterfaceByIndex(int(id)); err == nil {
			z.name = ifi.Name
		}
	}
	return a.WithZone(z.name)
}
