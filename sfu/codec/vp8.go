package codec

import (
	"encoding/binary"
	"errors"
)

// ErrShort is returned for a payload that ends before its descriptor does, or
// that has nothing after it.
var ErrShort = errors.New("codec: payload too short")

const vp8KeyFrameHeader = 10 // bytes, RFC 6386 section 9.1

// VP8 is the VP8 payload descriptor (RFC 7741 section 4.2) and what the first
// packet of a key frame tells of the picture.
type VP8 struct {
	Start  bool // first packet of a frame: S is set and the partition index is 0
	NonRef bool // N: no other frame refers to this one

	X bool // extension octet present
	I bool // PictureID present
	L bool // TL0PICIDX present
	T bool // TID and Y present
	K bool // KEYIDX present

	PictureID     uint16 // 7 or 15 bits
	PictureIDLong bool   // 15 bits (M)
	TL0PicIdx     uint8
	TID           uint8 // temporal layer, 0 the lowest
	Y             bool  // layer sync: refers to no frame above layer 0
	KeyIdx        uint8 // 5 bits

	HeaderSize int // bytes of the descriptor

	KeyFrame bool   // first packet of a key frame
	Width    uint16 // pixels; 0 unless KeyFrame and the frame header is whole
	Height   uint16 // pixels, likewise
}

// ParseVP8 reads the descriptor at the start of an RTP payload. The error is
// ErrShort.
func ParseVP8(payload []byte) (VP8, error) {
	var d VP8
	if len(payload) == 0 {
		return VP8{}, ErrShort
	}
	first := payload[0]
	d.X = first&0x80 != 0
	d.NonRef = first&0x20 != 0
	d.Start = first&0x10 != 0 && first&0x07 == 0
	d.HeaderSize = 1
	if d.X && !d.parseExtension(payload) {
		return VP8{}, ErrShort
	}
	if len(payload) <= d.HeaderSize {
		return VP8{}, ErrShort
	}
	d.parseFrame(payload[d.HeaderSize:])
	return d, nil
}

// parseExtension reads the optional octets; false if they are not all there.
func (d *VP8) parseExtension(payload []byte) bool {
	if len(payload) < 2 {
		return false
	}
	flags := payload[1]
	d.I, d.L = flags&0x80 != 0, flags&0x40 != 0
	d.T, d.K = flags&0x20 != 0, flags&0x10 != 0
	d.PictureIDLong = d.I && len(payload) > 2 && payload[2]&0x80 != 0
	at := d.offsets()
	if len(payload) < at.end {
		return false
	}
	d.HeaderSize = at.end
	if d.PictureIDLong {
		d.PictureID = binary.BigEndian.Uint16(payload[at.pictureID:]) & 0x7FFF
	} else if d.I {
		d.PictureID = uint16(payload[at.pictureID])
	}
	if d.L {
		d.TL0PicIdx = payload[at.tl0]
	}
	if d.T {
		d.TID = payload[at.layer] >> 6
		d.Y = payload[at.layer]&0x20 != 0
	}
	if d.K {
		d.KeyIdx = payload[at.layer] & 0x1F
	}
	return true
}

// parseFrame reads the frame header (RFC 6386 section 9.1) behind the descriptor.
func (d *VP8) parseFrame(body []byte) {
	d.KeyFrame = d.Start && body[0]&0x01 == 0
	if !d.KeyFrame || len(body) < vp8KeyFrameHeader {
		return
	}
	if body[3] != 0x9D || body[4] != 0x01 || body[5] != 0x2A {
		return
	}
	d.Width = binary.LittleEndian.Uint16(body[6:]) & 0x3FFF
	d.Height = binary.LittleEndian.Uint16(body[8:]) & 0x3FFF
}

// vp8Offsets is where the optional octets of a descriptor stand. An octet that
// is not there has no meaningful offset.
type vp8Offsets struct{ pictureID, tl0, layer, end int }

func (d *VP8) offsets() vp8Offsets {
	if !d.X {
		return vp8Offsets{end: 1}
	}
	at := vp8Offsets{pictureID: 2, end: 2}
	if d.I {
		at.end++
	}
	if d.PictureIDLong {
		at.end++
	}
	at.tl0 = at.end
	if d.L {
		at.end++
	}
	at.layer = at.end
	if d.T || d.K {
		at.end++
	}
	return at
}

// Rewrite copies payload, whose descriptor is d, to dst with other values in
// the descriptor, and returns the bytes written: as many as payload has, since
// the descriptor keeps its form. A picture id of 7 bits takes the low 7 bits of
// pictureID, and values for which d has no field are ignored. dst may be
// payload itself. The result is 0 if dst is shorter than payload or payload is
// shorter than the descriptor.
func (d VP8) Rewrite(dst, payload []byte, pictureID uint16, tl0 uint8, keyIdx uint8) int {
	at := d.offsets()
	if len(dst) < len(payload) || len(payload) < at.end {
		return 0
	}
	n := copy(dst, payload)
	if !d.X {
		return n
	}
	switch {
	case d.I && d.PictureIDLong:
		binary.BigEndian.PutUint16(dst[at.pictureID:], pictureID|0x8000)
	case d.I:
		dst[at.pictureID] = uint8(pictureID) & 0x7F
	}
	if d.L {
		dst[at.tl0] = tl0
	}
	if d.K {
		dst[at.layer] = dst[at.layer]&0xE0 | keyIdx&0x1F
	}
	return n
}
