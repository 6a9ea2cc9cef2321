package codec

// VP9Munger keeps PictureID and TL0PICIDX of one subscriber's VP9 stream going
// forward when its source changes or pauses. It closes no gaps: a receiver
// resolves references by differences of picture ids (P_DIFF, or the group of
// pictures), so within a source the distances must stay. A receiver that gets the
// dependency descriptor as well takes that, and these ids do not matter to it.
//
// The zero value leaves the first source unchanged. Packets may come late, but
// not those of an earlier source. It is not safe for concurrent use.
type VP9Munger struct {
	offset uint16
	last   uint16 // newest outgoing picture id
	sent   bool
	tl0    wrapping
}

// Switch is called with the first packet to be forwarded of a new source, or of
// the same source after a pause: a key frame. Map must be called for it as well.
func (m *VP9Munger) Switch(d *VP9) {
	if d.I && m.sent {
		m.offset = m.last + 1 - d.PictureID
	}
	if d.L && !d.F {
		m.tl0.switchTo(d.TL0PicIdx)
	}
}

// Map returns the values for the packet with descriptor d, to be given to
// Rewrite. Fields that d does not have come back as 0.
func (m *VP9Munger) Map(d *VP9) (pic uint16, tl0 uint8) {
	if d.I {
		mask := uint16(pictureIDMaskShort)
		if d.PictureIDLong {
			mask = pictureIDMask
		}
		pic = (d.PictureID + m.offset) & mask
		if ahead := (pic - m.last) & mask; !m.sent || ahead != 0 && ahead <= mask/2 {
			m.last, m.sent = pic, true
		}
	}
	if d.L && !d.F {
		tl0 = m.tl0.apply(d.TL0PicIdx, 0xFF)
	}
	return pic, tl0
}
