package transport

import (
	"encoding/binary"
	"strings"
)

// RTP and RTCP share one ICE component here, as in every browser (RFC 8834 section 4.5).
// Firefox, which offers, still gathers and checks the second one for RTCP until it has
// taken up the answer. It may so nominate a pair of that component first, by a check
// of higher priority than those of the first; whoever then sends there reaches
// nobody, for the component is gone with the answer.

const (
	stunHeader       = 20
	stunCookie       = 0x2112a442
	bindingRequest   = 0x0001
	attrIntegrity    = 0x0008
	attrIntegrity256 = 0x001c
	attrPriority     = 0x0024
	rtcpComponentID  = 2
)

// checksRTCP tells whether a datagram is a check for the component of RTCP: its
// priority says of which component it is (RFC 8445 section 5.1.2.1).
func checksRTCP(b []byte) bool {
	if len(b) < stunHeader || binary.BigEndian.Uint16(b) != bindingRequest || binary.BigEndian.Uint32(b[4:]) != stunCookie {
		return false
	}
	length := int(binary.BigEndian.Uint16(b[2:]))
	if stunHeader+length > len(b) {
		return false
	}
	for b = b[stunHeader : stunHeader+length]; len(b) >= 4; {
		size := int(binary.BigEndian.Uint16(b[2:]))
		switch binary.BigEndian.Uint16(b) {
		case attrPriority:
			return size == 4 && len(b) >= 8 && b[7] == 256-rtcpComponentID
		case attrIntegrity, attrIntegrity256:
			return false // what comes after it counts for nothing (RFC 8489 section 14.5)
		}
		next := 4 + (size+3)&^3
		if next > len(b) {
			return false
		}
		b = b[next:]
	}
	return false
}

// isRTCPCandidate tells whether a candidate ("candidate:...", RFC 8839 section 5.1) is
// of the component of RTCP.
func isRTCPCandidate(candidate string) bool {
	_, rest, _ := strings.Cut(candidate, " ")
	component, _, ok := strings.Cut(rest, " ")
	return ok && component == "2"
}

// withoutRTCP takes the candidates of the component of RTCP out of a description.
func withoutRTCP(desc string) string {
	if !strings.Contains(desc, "a=candidate:") {
		return desc
	}
	var out strings.Builder
	for line := range strings.Lines(desc) {
		if !strings.HasPrefix(line, "a=candidate:") || !isRTCPCandidate(line) {
			out.WriteString(line)
		}
	}
	return out.String()
}
