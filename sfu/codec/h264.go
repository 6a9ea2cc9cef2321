package codec

// NAL unit types: ITU-T H.264 table 7-1 and, from 24 on, RFC 6184 table 1.
const (
	nalSlice = 1
	nalIDR   = 5
	nalSEI   = 6
	nalSPS   = 7
	nalPPS   = 8
	nalAUD   = 9
	nalSTAPA = 24
	nalFUA   = 28
)

// H264KeyFrame tells whether an RTP payload (RFC 6184) starts or contains an
// IDR slice or a sequence parameter set: as a single NAL unit, in an
// aggregation packet (STAP-A) or as the first fragment (FU-A).
func H264KeyFrame(payload []byte) bool {
	if len(payload) < 2 {
		return false
	}
	switch kind := payload[0] & 0x1F; kind {
	case nalSTAPA:
		for rest := payload[1:]; ; {
			unit, next, ok := nextUnit(rest)
			if !ok {
				return false
			}
			if opensKeyFrame(unit[0] & 0x1F) {
				return true
			}
			rest = next
		}
	case nalFUA:
		return payload[1]&0x80 != 0 && opensKeyFrame(payload[1]&0x1F)
	default:
		return opensKeyFrame(kind)
	}
}

func opensKeyFrame(kind uint8) bool { return kind == nalIDR || kind == nalSPS }

// H264Start tells whether an RTP payload can be the first of a frame: its first
// NAL unit starts here, and is a slice that holds the first macroblock, or one
// of the units that precede the slices (ITU-T H.264 section 7.4.1.2.3). A frame
// with parameter sets in packets of their own has several such packets; the
// first of them by sequence number is the start.
func H264Start(payload []byte) bool {
	if len(payload) < 2 {
		return false
	}
	switch kind := payload[0] & 0x1F; kind {
	case nalSTAPA:
		unit, _, ok := nextUnit(payload[1:])
		return ok && opensFrame(unit[0]&0x1F, unit[1:])
	case nalFUA:
		return payload[1]&0x80 != 0 && opensFrame(payload[1]&0x1F, payload[2:])
	default:
		return opensFrame(kind, payload[1:])
	}
}

// opensFrame judges a NAL unit by its type and what follows its header.
func opensFrame(kind uint8, body []byte) bool {
	switch kind {
	case nalSlice, nalIDR:
		// first_mb_in_slice is 0: as ue(v), a single bit 1.
		return len(body) > 0 && body[0]&0x80 != 0
	case nalSEI, nalSPS, nalPPS, nalAUD:
		return true
	}
	return false
}

// H264Size returns the picture size in pixels from the sequence parameter set
// in an RTP payload. ok is false if there is none (whole, as a single NAL unit
// or in a STAP-A), or it is damaged.
func H264Size(payload []byte) (w, h int, ok bool) {
	if len(payload) < 2 {
		return 0, 0, false
	}
	switch payload[0] & 0x1F {
	case nalSPS:
		return parseSPS(payload[1:])
	case nalSTAPA:
		for rest := payload[1:]; ; {
			unit, next, ok := nextUnit(rest)
			if !ok {
				return 0, 0, false
			}
			if unit[0]&0x1F == nalSPS {
				return parseSPS(unit[1:])
			}
			rest = next
		}
	}
	return 0, 0, false
}

// nextUnit takes the first NAL unit off an aggregation packet (RFC 6184 section
// 5.7.1): 16 bits of length, then the unit. ok is false at the end, or if the
// unit is empty or cut off.
func nextUnit(rest []byte) (unit, next []byte, ok bool) {
	if len(rest) < 2 {
		return nil, nil, false
	}
	end := 2 + int(rest[0])<<8 + int(rest[1])
	if end == 2 || end > len(rest) {
		return nil, nil, false
	}
	return rest[2:end], rest[end:], true
}
