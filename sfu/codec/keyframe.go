package codec

import "strings"

// Media types of the codecs known here, in lower case.
const (
	MimeVP8  = "video/vp8"
	MimeVP9  = "video/vp9"
	MimeH264 = "video/h264"
	MimeAV1  = "video/av1"
)

// KeyFrame tells whether an RTP payload of the given media type (in any case)
// is the first packet of a key frame, or for H.264 any packet that H264KeyFrame
// accepts. It is false for every other media type.
func KeyFrame(mime string, payload []byte) bool {
	switch {
	case strings.EqualFold(mime, MimeVP8):
		d, err := ParseVP8(payload)
		return err == nil && d.KeyFrame
	case strings.EqualFold(mime, MimeH264):
		return H264KeyFrame(payload)
	case strings.EqualFold(mime, MimeVP9):
		start, key := vp9Frame(payload)
		return start && key
	case strings.EqualFold(mime, MimeAV1):
		start, key := av1Frame(payload)
		return start && key
	}
	return false
}

// FrameStart tells whether an RTP payload of the given media type (in any case)
// can be the first packet of a frame. VP8 and VP9 say so exactly (for VP9, a
// frame here is the picture with all its spatial layers); for H.264 see
// H264Start; for AV1 it means that no OBU is continued from the packet before.
// It is false for every other media type.
func FrameStart(mime string, payload []byte) bool {
	switch {
	case strings.EqualFold(mime, MimeVP8):
		d, err := ParseVP8(payload)
		return err == nil && d.Start
	case strings.EqualFold(mime, MimeH264):
		return H264Start(payload)
	case strings.EqualFold(mime, MimeVP9):
		start, _ := vp9Frame(payload)
		return start
	case strings.EqualFold(mime, MimeAV1):
		start, _ := av1Frame(payload)
		return start
	}
	return false
}

// vp9Frame reads the VP9 payload descriptor (RFC 9628 section 4.2) as far as
// the layer indices: start if a frame of the lowest spatial layer starts here
// (B, and SID 0 if there are layer indices), key if it is not inter-picture
// predicted (P is 0).
func vp9Frame(payload []byte) (start, key bool) {
	if len(payload) < 2 {
		return false, false
	}
	first := payload[0]
	at := 1
	if first&0x80 != 0 { // I: picture id, of two octets if M is set
		if payload[at]&0x80 != 0 {
			at++
		}
		at++
	}
	sid := uint8(0)
	if first&0x20 != 0 { // L
		if at >= len(payload) {
			return false, false
		}
		sid = payload[at] >> 1 & 0x07
		at++
	}
	if at >= len(payload) {
		return false, false
	}
	return first&0x08 != 0 && sid == 0, first&0x40 == 0
}

// av1Frame tells whether the first OBU of a payload is not a continuation
// (start) and whether the packet is the first of a coded video sequence (key).
func av1Frame(payload []byte) (start, key bool) {
	h, err := ParseAV1(payload)
	return err == nil && !h.Continues, err == nil && h.NewSequence
}
