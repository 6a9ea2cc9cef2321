package trace

import (
	"encoding/binary"
	"errors"
)

// Bounds of what is kept of a payload.
const (
	maxHead = 256 // bytes
	// lead is how much of the codec's own header is kept where a frame starts: a VP8
	// key frame has 10 bytes (RFC 6386 section 9.1).
	lead = 10
	// sliceLead is the same of an H.264 slice: first_mb_in_slice, slice_type and so on.
	sliceLead = 4
)

var (
	errHead  = errors.New("trace: the head of a packet is cut off")
	errVP8   = errors.New("trace: not a VP8 payload as it is sent by libwebrtc")
	errVP9   = errors.New("trace: not a VP9 payload")
	errH264  = errors.New("trace: an H.264 payload that is not known")
	errShape = errors.New("trace: the packets do not make up frames")
)

// places is what is known of a packet by its head.
type places struct {
	descriptor int // bytes of the payload descriptor, or of the NAL (and FU) header
	structure  int // of those, bytes of the VP9 scalability structure, at the end

	picture int  // where the picture id stands; 0: there is none
	long    bool // it has 15 bits, not 7
	tl0     int  // where TL0PICIDX stands; 0: there is none
	base    bool // temporal layer 0
	spatial int  // VP9: spatial layer, 0 the lowest

	// first and last tell whether a unit begins and ends here: a frame (VP8; its end is
	// not told), a frame of one spatial layer (VP9), or a NAL unit (H.264).
	first, last bool
	// whole packets are not to be divided in another way: parameter sets, aggregates.
	whole bool

	key           bool // begins a key frame
	width, height int  // of the key frame, 0 if it is not told here
}

// inspect looks at the head of a payload of size bytes.
func inspect(codec Codec, head []byte, size int) (places, error) {
	if len(head) > size || len(head) == 0 {
		return places{}, errHead
	}
	var at places
	var err error
	switch codec {
	case VP8:
		at, err = inspectVP8(head)
	case VP9:
		at, err = inspectVP9(head)
	case H264:
		at, err = inspectH264(head, size)
	default:
		return places{}, errShape
	}
	if err == nil && (at.descriptor > len(head) || at.descriptor == size) {
		err = errHead
	}
	return at, err
}

// headLength tells how many bytes of a payload of size bytes, of which b is the
// beginning, are worth keeping.
func headLength(codec Codec, b []byte, size int) (int, error) {
	at, err := inspect(codec, b, size)
	if err != nil {
		return 0, err
	}
	n := at.descriptor
	switch {
	case codec != H264 && at.first:
		n += lead
	case codec != H264:
	case at.whole:
		n = aggregateHead(b, size)
	case at.first:
		n += sliceLead
	}
	if n = min(n, size); n > maxHead || n > len(b) {
		return 0, errHead
	}
	return n, nil
}

// inspectVP8 reads the descriptor of RFC 7741 section 4.2. One partition only, and no
// KEYIDX, which libwebrtc does not send.
func inspectVP8(b []byte) (places, error) {
	at := places{descriptor: 1, base: true, first: b[0]&0x10 != 0}
	if b[0]&0x07 != 0 {
		return at, errVP8
	}
	if b[0]&0x80 != 0 { // X
		if len(b) < 3 {
			return at, errHead
		}
		flags := b[1]
		if flags&0x10 != 0 {
			return at, errVP8
		}
		at.descriptor = 2
		if flags&0x80 != 0 { // I
			at.picture, at.long = at.descriptor, b[2]&0x80 != 0
			at.descriptor++
			if at.long {
				at.descriptor++
			}
		}
		if flags&0x40 != 0 { // L
			at.tl0 = at.descriptor
			at.descriptor++
		}
		if flags&0x20 != 0 { // T
			if len(b) <= at.descriptor {
				return at, errHead
			}
			at.base = b[at.descriptor]&0xC0 == 0
			at.descriptor++
		}
	}
	if len(b) < at.descriptor {
		return at, errHead
	}
	if body := b[at.descriptor:]; at.first && len(body) > 0 && body[0]&0x01 == 0 {
		if len(body) < lead || body[3] != 0x9D || body[4] != 0x01 || body[5] != 0x2A {
			return at, errVP8
		}
		at.key = true
		at.width = int(binary.LittleEndian.Uint16(body[6:]) & 0x3FFF)
		at.height = int(binary.LittleEndian.Uint16(body[8:]) & 0x3FFF)
	}
	return at, nil
}

// inspectVP9 reads the descriptor of RFC 9628 section 4.2.
func inspectVP9(b []byte) (places, error) {
	flags := b[0]
	at := places{descriptor: 1, base: true, first: flags&0x08 != 0, last: flags&0x04 != 0}
	take := func() byte { // 0 behind the end, which is noticed below
		at.descriptor++
		if at.descriptor > len(b) {
			return 0
		}
		return b[at.descriptor-1]
	}
	if flags&0x80 != 0 { // I
		at.picture = at.descriptor
		if at.long = take()&0x80 != 0; at.long {
			take()
		}
	}
	below := false
	if flags&0x20 != 0 { // L
		octet := take()
		at.base, at.spatial, below = octet>>5 == 0, int(octet>>1&0x07), octet&0x01 != 0
		if flags&0x10 == 0 { // not F
			at.tl0 = at.descriptor
			take()
		}
	}
	if flags&0x50 == 0x50 { // F and P
		for n := 1; take()&0x01 != 0; n++ {
			if n == 3 {
				return at, errVP9
			}
		}
	}
	if flags&0x02 != 0 { // V
		before := at.descriptor
		at.width, at.height = readStructure(take)
		at.structure = at.descriptor - before
	}
	if at.descriptor > len(b) {
		return at, errHead
	}
	at.key = at.first && flags&0x40 == 0 && at.spatial == 0 && !below
	return at, nil
}

// readStructure reads the scalability structure and returns the largest size in it.
func readStructure(take func() byte) (width, height int) {
	octet := take()
	if octet&0x10 != 0 { // Y
		for range int(octet>>5) + 1 {
			w := int(take())<<8 | int(take())
			h := int(take())<<8 | int(take())
			width, height = max(width, w), max(height, h)
		}
	}
	if octet&0x08 != 0 { // G
		for range take() {
			for range take() >> 2 & 0x03 {
				take()
			}
		}
	}
	return width, height
}

// pictureID returns the id and the number after which it wraps; the mask is 0 if
// there is none.
func (p *Packet) pictureID() (id, mask uint16) {
	switch {
	case p.at.picture == 0:
		return 0, 0
	case p.at.long:
		return binary.BigEndian.Uint16(p.Head[p.at.picture:]) & 0x7FFF, 0x7FFF
	}
	return uint16(p.Head[p.at.picture]) & 0x7F, 0x7F
}

// renumber writes other numbers into a payload that begins with the packet's head.
func (p *Packet) renumber(payload []byte, picture uint16, tl0 uint8) {
	switch {
	case p.at.picture == 0:
	case p.at.long:
		binary.BigEndian.PutUint16(payload[p.at.picture:], picture|0x8000)
	default:
		payload[p.at.picture] = uint8(picture) & 0x7F
	}
	if p.at.tl0 != 0 {
		payload[p.at.tl0] = tl0
	}
}
