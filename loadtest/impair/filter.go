package impair

import "encoding/binary"

// Protocol numbers of IP.
const (
	protocolTCP = 6
	protocolUDP = 17
)

// transportOf finds the transport protocol of an IP packet and its ports. Ports
// are 0 where there are none to be seen: in a later fragment or behind an IPv6
// extension header, which no sender here makes.
func transportOf(packet []byte) (protocol byte, source, destination uint16) {
	if len(packet) < 20 {
		return 0, 0, 0
	}
	header := 40
	switch packet[0] >> 4 {
	case 4: // RFC 791, section 3.1
		protocol, header = packet[9], int(packet[0]&0x0f)*4
		if binary.BigEndian.Uint16(packet[6:])&0x1fff != 0 {
			return protocol, 0, 0
		}
	case 6: // RFC 8200, section 3
		protocol = packet[6]
	default:
		return 0, 0, 0
	}
	if protocol != protocolTCP && protocol != protocolUDP || len(packet) < header+4 {
		return protocol, 0, 0
	}
	return protocol, binary.BigEndian.Uint16(packet[header:]), binary.BigEndian.Uint16(packet[header+2:])
}

// blocked reports whether a rule drops the packet. The port meant is that of the
// machine's side: the destination on the way up, the source on the way down.
func blocked(rules []rule, packet []byte, up bool) bool {
	if len(rules) == 0 {
		return false
	}
	protocol, port, destination := transportOf(packet)
	if up {
		port = destination
	}
	for _, r := range rules {
		if r.protocol == protocol && (r.port == 0 || r.port == port) {
			return true
		}
	}
	return false
}
