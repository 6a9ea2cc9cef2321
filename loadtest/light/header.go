package light

import (
	"encoding/binary"
	"errors"
)

var errHeader = errors.New("light: no RTP packet")

// header is what of a packet stands in the clear: the RTP header and its extensions.
type header struct {
	pt        uint8
	marker    bool
	padded    bool // the last octet tells how many octets of padding there are, encrypted
	sequence  uint16
	timestamp uint32
	ssrc      uint32
	size      int // of the header with its extensions, in bytes
	hasTWCC   bool
	twcc      uint16 // transport-wide number
}

// read parses a packet (RFC 3550 section 5.1, RFC 8285 section 4). twccID is the number
// of that header extension, 0 if there is none.
func (h *header) read(b []byte, twccID uint8) error {
	if len(b) < 12 || b[0]>>6 != 2 {
		return errHeader
	}
	*h = header{
		pt: b[1] & 0x7F, marker: b[1]&0x80 != 0, padded: b[0]&0x20 != 0,
		sequence: binary.BigEndian.Uint16(b[2:]), timestamp: binary.BigEndian.Uint32(b[4:]), ssrc: binary.BigEndian.Uint32(b[8:]),
		size: 12 + 4*int(b[0]&0x0F),
	}
	if b[0]&0x10 == 0 {
		if h.size > len(b) {
			return errHeader
		}
		return nil
	}
	if h.size+4 > len(b) {
		return errHeader
	}
	profile, words := binary.BigEndian.Uint16(b[h.size:]), int(binary.BigEndian.Uint16(b[h.size+2:]))
	begin := h.size + 4
	if h.size = begin + 4*words; h.size > len(b) {
		return errHeader
	}
	if twccID != 0 {
		h.extensions(b[begin:h.size], profile, twccID)
	}
	return nil
}

// extensions looks for the transport-wide number, in the one-byte and two-byte forms.
func (h *header) extensions(b []byte, profile uint16, twccID uint8) {
	long := profile&0xFFF0 == 0x1000
	if !long && profile != 0xBEDE {
		return
	}
	for len(b) > 0 {
		if b[0] == 0 { // padding
			b = b[1:]
			continue
		}
		id, n, begin := b[0]>>4, int(b[0]&0x0F)+1, 1
		if long {
			if len(b) < 2 {
				return
			}
			id, n, begin = b[0], int(b[1]), 2
		} else if id == 15 {
			return
		}
		if begin+n > len(b) {
			return
		}
		if id == twccID && n >= 2 {
			h.hasTWCC, h.twcc = true, binary.BigEndian.Uint16(b[begin:])
			return
		}
		b = b[begin+n:]
	}
}

// isRTCP tells RTCP from RTP (RFC 5761 section 4).
func isRTCP(b []byte) bool { return len(b) >= 8 && b[1] >= 192 && b[1] <= 223 }

// unpad takes the padding off a decrypted payload.
func unpad(payload []byte, padded bool) []byte {
	if !padded || len(payload) == 0 {
		return payload
	}
	n := int(payload[len(payload)-1])
	if n == 0 || n > len(payload) {
		return nil // RFC 3550 section 5.1: not as it must be
	}
	return payload[:len(payload)-n]
}
