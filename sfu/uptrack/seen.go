package uptrack

// seen knows which packets of a stream came already. A publisher sends packets again
// unasked: libwebrtc fills its probes with what it sent a while ago, when the ring may have
// given that back. Taken for new, the beginning of an old key frame would be one to switch
// to, and what followed it is gone.
type seen struct {
	begun bool
	top   uint16 // the newest
	bits  [seenWindow / 64]uint64
	stray uint16 // the last that was too old to say
	odd   bool   // there is one
}

// seenWindow is how far behind the newest, in packets, a late one may be. At the rate of a
// low layer that is a minute, at that of a large picture some seconds.
const seenWindow = 1024

// first tells whether a packet comes for the first time. One that is too old to say does not,
// but if the next follows it, the source has begun anew (RFC 3550 appendix A.1).
func (s *seen) first(seq uint16) bool {
	ahead := int16(seq - s.top)
	switch {
	case !s.begun:
		*s = seen{begun: true, top: seq}
	case ahead > 0:
		if ahead >= seenWindow {
			clear(s.bits[:])
		} else {
			for i := s.top + 1; i != seq; i++ {
				s.bits[i%seenWindow/64] &^= 1 << (i % 64)
			}
		}
		s.top = seq
	case int(ahead) <= -seenWindow:
		if !s.odd || seq != s.stray+1 {
			s.odd, s.stray = true, seq
			return false
		}
		*s = seen{begun: true, top: seq}
	case s.bits[seq%seenWindow/64]&(1<<(seq%64)) != 0:
		return false
	}
	s.odd = false
	s.bits[seq%seenWindow/64] |= 1 << (seq % 64)
	return true
}
