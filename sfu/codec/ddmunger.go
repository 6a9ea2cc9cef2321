package codec

import "encoding/binary"

// DDMapping is what a descriptor gets in place of its own values.
type DDMapping struct {
	Active      uint32 // decode targets that are sent, if Targets is not 0
	FrameNumber uint16
	Shift       uint8 // added to template ids, modulo 64
	Targets     uint8 // how many decode targets there are; 0 leaves the mask as it came
}

// DDMunger keeps the frame numbers of one subscriber's stream going forward
// while its source changes or pauses. Frame numbers have 16 bits: behind a jump
// of half their range, which a long pause makes as well, a new key frame looks
// older than the last, and libwebrtc drops it. Template ids are moved so that
// those of the new source differ from those of the last (section A.8.3 wants it,
// for packets that come late). Gaps in the frame numbers are no harm, and nothing
// is rewritten for frames that are dropped. It also tells the subscriber which
// decode targets it is sent; see activeTargets.
//
// The zero value leaves the first source unchanged. Packets may come late, but
// not those of an earlier source. It is not safe for concurrent use.
type DDMunger struct {
	offset int64 // outgoing frame number minus that of the source
	shift  uint8
	last   int64 // newest outgoing frame number, unrolled
	next   uint8 // outgoing template id behind those in use
	sent   bool
	active activeTargets
}

// Switch is called with the first packet to be forwarded of a new source, or of
// the same source after a pause: a key frame. Map must be called for it as well.
func (m *DDMunger) Switch(d *Descriptor) {
	if !m.sent {
		return
	}
	m.offset = m.last + 1 - d.Number
	m.shift = (m.next - d.Structure.offset) & (maxTemplates - 1)
}

// Map returns what to give to RewriteDescriptor for the packet of d. active is the
// bit mask of the decode targets that can be decoded from what is forwarded, as of
// Decision.Targets.
func (m *DDMunger) Map(d *Descriptor, active uint32) DDMapping {
	out := d.Number + m.offset
	late := m.sent && out < m.last
	if !m.sent || out > m.last {
		m.last, m.sent = out, true
		m.next = (d.Structure.offset + d.Structure.templates + m.shift) & (maxTemplates - 1)
	}
	if !late {
		m.active.follow(d, out, active)
	}
	to := DDMapping{FrameNumber: uint16(out), Shift: m.shift}
	if m.active.due(d, out) {
		to.Active, to.Targets = m.active.mask, d.Structure.targets
	}
	return to
}

// RewriteDescriptor copies a descriptor to dst with other values in it, and
// returns the bytes written. A mask that ext has not makes it longer; where there
// is no room for that, in dst or in a header extension, it is left out. dst may
// begin with ext itself. The result is 0 if dst is shorter than ext, or ext is no
// descriptor.
func RewriteDescriptor(dst, ext []byte, to DDMapping) int {
	if len(ext) < ddMandatory || len(dst) < len(ext) {
		return 0
	}
	n := copy(dst, ext)
	dst[0] = dst[0]&0xC0 | (dst[0]+to.Shift)&0x3F
	binary.BigEndian.PutUint16(dst[1:], to.FrameNumber)
	if n > ddMandatory+1 && dst[3]&ddAttached != 0 { // a structure: its first 6 bits follow 5 flags
		offset := (dst[3]&0x07<<3 | dst[4]>>5) + to.Shift
		dst[3] = dst[3]&0xF8 | offset>>3&0x07
		dst[4] = dst[4]&0x1F | offset<<5
	}
	if to.Targets > 0 {
		n = writeActive(dst[:min(len(dst), MaxDescriptorSize)], n, to.Active, int(to.Targets))
	}
	return n
}
