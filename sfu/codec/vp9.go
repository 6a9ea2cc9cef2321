package codec

import (
	"encoding/binary"
	"errors"
)

// ErrVP9 is returned for a VP9 descriptor that contradicts RFC 9628.
var ErrVP9 = errors.New("codec: malformed VP9 payload descriptor")

const (
	maxVP9References    = 3 // RFC 9628 section 4.2: P_DIFF, up to 3 times
	maxVP9SpatialLayers = 8 // N_S has 3 bits
)

// VP9 is the VP9 payload descriptor (RFC 9628 section 4.2).
type VP9 struct {
	I bool // picture id present
	P bool // predicted from earlier pictures
	L bool // layer indices present
	F bool // flexible mode: every packet names its references
	B bool // first packet of a frame; a picture has one in each spatial layer
	E bool // last packet of a frame
	V bool // scalability structure present
	Z bool // no reference for upper spatial layers of the picture

	PictureID     uint16 // 7 or 15 bits
	PictureIDLong bool   // 15 bits (M)

	TID       uint8 // temporal layer, 0 the lowest
	U         bool  // switching up point
	SID       uint8 // spatial layer, 0 the lowest
	D         bool  // predicted from the spatial layer below, of the same picture
	TL0PicIdx uint8 // with L, unless F

	References int                     // entries of PDiff in use
	PDiff      [maxVP9References]uint8 // how many picture ids before this the references are

	// The scalability structure, with V.
	SpatialLayers int // N_S + 1
	Pictures      int // N_G: pictures in the group of pictures; 0 if none is told
	HasResolution bool
	Resolution    [maxVP9SpatialLayers]VP9Resolution

	HeaderSize int // bytes of the descriptor

	pictureIDAt, tl0At int // where they stand in the payload
}

// VP9Resolution is the size of the frames of a spatial layer in pixels.
type VP9Resolution struct{ Width, Height uint16 }

// KeyFrame tells whether the packet is one of a key frame: of the lowest spatial
// layer, and without any reference. With B set it is the first.
func (d *VP9) KeyFrame() bool { return !d.P && !d.D && d.SID == 0 }

// ParseVP9 reads the descriptor at the start of an RTP payload. The error is
// ErrShort or ErrVP9.
func ParseVP9(payload []byte) (VP9, error) {
	if len(payload) == 0 {
		return VP9{}, ErrShort
	}
	first := payload[0]
	d := VP9{
		I: first&0x80 != 0, P: first&0x40 != 0, L: first&0x20 != 0, F: first&0x10 != 0,
		B: first&0x08 != 0, E: first&0x04 != 0, V: first&0x02 != 0, Z: first&0x01 != 0,
		HeaderSize: 1,
	}
	if d.I {
		d.parsePictureID(payload)
	}
	if d.L {
		d.parseLayers(payload)
	}
	if d.F && d.P {
		if err := d.parseReferences(payload); err != nil {
			return VP9{}, err
		}
	}
	if d.V {
		d.parseStructure(payload)
	}
	if d.HeaderSize >= len(payload) {
		return VP9{}, ErrShort
	}
	return d, nil
}

// take returns the next octet, or 0 behind the end, which ParseVP9 notices by
// HeaderSize.
func (d *VP9) take(payload []byte) uint8 {
	d.HeaderSize++
	if d.HeaderSize > len(payload) {
		return 0
	}
	return payload[d.HeaderSize-1]
}

func (d *VP9) take16(payload []byte) uint16 {
	high := d.take(payload)
	return uint16(high)<<8 | uint16(d.take(payload))
}

func (d *VP9) parsePictureID(payload []byte) {
	d.pictureIDAt = d.HeaderSize
	octet := d.take(payload)
	d.PictureID = uint16(octet & 0x7F)
	if d.PictureIDLong = octet&0x80 != 0; d.PictureIDLong {
		d.PictureID = d.PictureID<<8 | uint16(d.take(payload))
	}
}

func (d *VP9) parseLayers(payload []byte) {
	octet := d.take(payload)
	d.TID, d.U = octet>>5, octet&0x10 != 0
	d.SID, d.D = octet>>1&0x07, octet&0x01 != 0
	if !d.F {
		d.tl0At = d.HeaderSize
		d.TL0PicIdx = d.take(payload)
	}
}

func (d *VP9) parseReferences(payload []byte) error {
	if !d.I {
		return ErrVP9 // differences of what?
	}
	for {
		if d.References == maxVP9References {
			return ErrVP9
		}
		octet := d.take(payload)
		d.PDiff[d.References] = octet >> 1
		d.References++
		if octet&0x01 == 0 { // N
			return nil
		}
	}
}

// parseStructure reads the scalability structure. Of the pictures of a group it
// only counts the octets: forwarding needs no more.
func (d *VP9) parseStructure(payload []byte) {
	octet := d.take(payload)
	d.SpatialLayers = int(octet>>5) + 1
	d.HasResolution = octet&0x10 != 0
	if d.HasResolution {
		for i := range d.SpatialLayers {
			d.Resolution[i].Width = d.take16(payload)
			d.Resolution[i].Height = d.take16(payload)
		}
	}
	if octet&0x08 == 0 { // G
		return
	}
	d.Pictures = int(d.take(payload))
	for range d.Pictures {
		references := d.take(payload) >> 2 & 0x03
		d.HeaderSize += int(references)
	}
}

// Rewrite copies payload, whose descriptor is d, to dst with other values in
// the descriptor, and returns the bytes written: as many as payload has. It is
// as VP8.Rewrite otherwise.
func (d *VP9) Rewrite(dst, payload []byte, pictureID uint16, tl0 uint8) int {
	if len(dst) < len(payload) || len(payload) < d.HeaderSize {
		return 0
	}
	n := copy(dst, payload)
	switch {
	case d.I && d.PictureIDLong:
		binary.BigEndian.PutUint16(dst[d.pictureIDAt:], pictureID|0x8000)
	case d.I:
		dst[d.pictureIDAt] = uint8(pictureID) & pictureIDMaskShort
	}
	if d.L && !d.F {
		dst[d.tl0At] = tl0
	}
	return n
}
