package transport

import (
	"strings"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
)

// RTP and RTCP share one ICE component here, as in every browser (RFC 8834 section 4.5).
// Firefox, which offers, still gathers and checks the second one for RTCP until it has
// taken up the answer. It may so nominate a pair of that component first, by a check
// of higher priority than those of the first; whoever then sends there reaches
// nobody, for the component is gone with the answer.

const rtcpComponentID = 2

// checksRTCP tells whether a datagram is a check for the component of RTCP: its
// priority says of which component it is (RFC 8445 section 5.1.2.1).
func checksRTCP(b []byte) bool {
	if !stun.IsMessage(b) {
		return false
	}
	m := stun.Message{Raw: b}
	var priority ice.PriorityAttr
	return m.Decode() == nil && m.Type == stun.BindingRequest && priority.GetFrom(&m) == nil &&
		256-uint32(priority)&0xff == rtcpComponentID
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
	var out strings.Builder
	kept := 0 // bytes of desc that are dealt with
	at := 0
	for line := range strings.Lines(desc) {
		end := at + len(line)
		if strings.HasPrefix(line, "a=candidate:") && isRTCPCandidate(line) {
			if kept == 0 {
				out.Grow(len(desc))
			}
			out.WriteString(desc[kept:at])
			kept = end
		}
		at = end
	}
	if kept == 0 {
		return desc // as it is from nearly everybody, and it is long
	}
	out.WriteString(desc[kept:])
	return out.String()
}
