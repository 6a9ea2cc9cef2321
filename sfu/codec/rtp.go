package codec

import "encoding/binary"

const (
	rtpFixedHeader = 12 // bytes, RFC 3550 section 5.1
	rtpVersion     = 2

	profileOneByte = 0xBEDE // RFC 8285 section 4.2
	profileTwoByte = 0x1000 // RFC 8285 section 4.3; the low 4 bits are free
)

// Header is the fixed header of an RTP packet (RFC 3550 section 5.1) and where
// the payload lies in the packet.
type Header struct {
	Marker         bool
	PayloadType    uint8
	SequenceNumber uint16
	Timestamp      uint32
	SSRC           uint32
	PayloadStart   int // offset of the first payload byte
	PayloadEnd     int // offset after the last payload byte, where padding starts
	Padding        int // bytes of padding, its count included
}

// ParseHeader reads the header of an RTP packet. ok is false if buf is not a
// whole RTP packet: wrong version, or CSRCs, extension or padding longer than
// the packet. The payload may be empty, as in a packet of padding only.
func ParseHeader(buf []byte) (h Header, ok bool) {
	start, _, _, ok := headerEnd(buf)
	if !ok {
		return Header{}, false
	}
	end := len(buf)
	if buf[0]&0x20 != 0 { // P
		padding := 0
		if end > start {
			padding = int(buf[end-1])
		}
		if padding == 0 || padding > end-start {
			return Header{}, false
		}
		end -= padding
	}
	return Header{
		Marker:         buf[1]&0x80 != 0,
		PayloadType:    buf[1] & 0x7F,
		SequenceNumber: binary.BigEndian.Uint16(buf[2:]),
		Timestamp:      binary.BigEndian.Uint32(buf[4:]),
		SSRC:           binary.BigEndian.Uint32(buf[8:]),
		PayloadStart:   start,
		PayloadEnd:     end,
		Padding:        len(buf) - end,
	}, true
}

// PayloadRange returns where the payload of an RTP packet lies, without its
// padding: buf[start:end]. ok is as for ParseHeader.
func PayloadRange(buf []byte) (start, end int, ok bool) {
	h, ok := ParseHeader(buf)
	return h.PayloadStart, h.PayloadEnd, ok
}

// HeaderExtension returns the data of the header extension element with the
// given id (RFC 8285), or nil if the packet has none. The result is a part of
// buf; an element of length 0 is empty and not nil. Id 0 never is an element.
func HeaderExtension(buf []byte, id uint8) []byte {
	end, extension, profile, ok := headerEnd(buf)
	if !ok || extension == 0 || id == 0 {
		return nil
	}
	elements := buf[extension:end]
	switch {
	case profile == profileOneByte:
		return oneByteElement(elements, id)
	case profile&0xFFF0 == profileTwoByte:
		return twoByteElement(elements, id)
	}
	return nil
}

// headerEnd returns where the header of an RTP packet ends, and where the
// elements of its extension start with the extension's profile (0, 0 if it has
// no extension).
func headerEnd(buf []byte) (end, extension int, profile uint16, ok bool) {
	if len(buf) < rtpFixedHeader || buf[0]>>6 != rtpVersion {
		return 0, 0, 0, false
	}
	end = rtpFixedHeader + 4*int(buf[0]&0x0F) // CSRCs
	if buf[0]&0x10 != 0 {                     // X
		if len(buf) < end+4 {
			return 0, 0, 0, false
		}
		profile = binary.BigEndian.Uint16(buf[end:])
		words := int(binary.BigEndian.Uint16(buf[end+2:]))
		extension = end + 4
		end = extension + 4*words
	}
	if len(buf) < end {
		return 0, 0, 0, false
	}
	return end, extension, profile, true
}

// oneByteElement searches elements in the one-byte form, RFC 8285 section 4.2.
func oneByteElement(elements []byte, id uint8) []byte {
	for i := 0; i < len(elements); {
		if elements[i] == 0 { // padding between elements
			i++
			continue
		}
		found := elements[i] >> 4
		if found == 0 || found == 15 {
			return nil // ids the RFC reserves; they end the processing
		}
		start := i + 1
		end := start + int(elements[i]&0x0F) + 1
		if end > len(elements) {
			return nil
		}
		if found == id {
			return elements[start:end:end]
		}
		i = end
	}
	return nil
}

// twoByteElement searches elements in the two-byte form, RFC 8285 section 4.3.
func twoByteElement(elements []byte, id uint8) []byte {
	for i := 0; i < len(elements); {
		if elements[i] == 0 {
			i++
			continue
		}
		start := i + 2
		if start > len(elements) {
			return nil
		}
		end := start + int(elements[i+1])
		if end > len(elements) {
			return nil
		}
		if elements[i] == id {
			return elements[start:end:end]
		}
		i = end
	}
	return nil
}

// AudioLevel reads the data of the audio level extension (RFC 6464 section 3):
// the level in -dBov, 0 the loudest and 127 silence, and whether the sender
// takes the sound for voice. ok is false if ext is empty.
func AudioLevel(ext []byte) (level uint8, voice bool, ok bool) {
	if len(ext) == 0 {
		return 0, false, false
	}
	return ext[0] & 0x7F, ext[0]&0x80 != 0, true
}
