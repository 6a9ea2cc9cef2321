package light

import "encoding/binary"

// DecodeStats tell of streams whose payloads were looked at whether a decoder could go
// on.
type DecodeStats struct {
	// Packets were decrypted and looked at, Refused could not be decrypted.
	Packets, Refused uint64
	// KeyFrames began here.
	KeyFrames uint64
	// NoKey are streams whose first packet did not begin a key frame.
	NoKey uint64
	// Skips are picture numbers that do not follow on (VP8), or go back (VP9), though no
	// packet is missing between.
	Skips uint64
	// Bad are payloads whose descriptor or fragment does not fit.
	Bad uint64
}

// Add makes sums.
func (d *DecodeStats) Add(o DecodeStats) {
	d.Packets += o.Packets
	d.Refused += o.Refused
	d.KeyFrames += o.KeyFrames
	d.NoKey += o.NoKey
	d.Skips += o.Skips
	d.Bad += o.Bad
}

// Faults are what a decoder would not have put up with.
func (d *DecodeStats) Faults() uint64 { return d.Refused + d.NoKey + d.Skips + d.Bad }

// decodable follows the payloads of one stream in the order in which they came. A packet
// that came out of order breaks the chain, which starts anew behind it.
type decodable struct {
	codec   string
	stats   DecodeStats
	any     bool
	next    int64 // extended number that continues the chain
	picture uint16
	known   bool // picture is that of the packet before
	begins  bool // the packet before ended a frame
	partial bool // an H.264 fragment is not ended
}

// look at a payload without its padding.
func (d *decodable) look(payload []byte, n int64, marker bool) {
	d.stats.Packets++
	if len(payload) == 0 {
		if n == d.next {
			d.next++ // padding alone
		}
		return
	}
	chained := d.any && n == d.next
	if !chained {
		d.known, d.begins, d.partial = false, false, false
	}
	var key, ok bool
	switch d.codec {
	case "vp8":
		key, ok = d.vp8(payload, chained)
	case "vp9":
		key, ok = d.vp9(payload, chained)
	case "h264":
		key, ok = d.h264(payload, chained)
	default:
		d.any = true
		return
	}
	if !ok {
		d.stats.Bad++
	}
	if key {
		d.stats.KeyFrames++
	}
	if !d.any && !key {
		d.stats.NoKey++
	}
	d.any, d.next, d.begins = true, n+1, marker
}

// follow checks a picture number against the one before.
func (d *decodable) follow(id, mask uint16, chained bool) {
	if chained && d.known {
		step := (id - d.picture) & mask
		switch {
		case !d.begins && step == 0, d.begins && step == 1:
		case d.begins && d.codec == "vp9" && step != 0 && step <= mask/2:
			// References are by differences (RFC 9628 section 4.2): pictures may be left out.
		default:
			d.stats.Skips++
		}
	}
	d.picture, d.known = id, true
}

// pictureNumber reads one of 7 or 15 bits.
func pictureNumber(b []byte) (id, mask uint16, size int) {
	switch {
	case len(b) >= 2 && b[0]&0x80 != 0:
		return binary.BigEndian.Uint16(b) & 0x7FFF, 0x7FFF, 2
	case len(b) >= 1 && b[0]&0x80 == 0:
		return uint16(b[0]), 0x7F, 1
	}
	return 0, 0, 0
}

// vp8 reads the descriptor of RFC 7741 section 4.2.
func (d *decodable) vp8(b []byte, chained bool) (key, ok bool) {
	first, rest := b[0]&0x10 != 0 && b[0]&0x07 == 0, b[1:]
	if b[0]&0x80 != 0 {
		if len(rest) == 0 {
			return false, false
		}
		flags := rest[0]
		rest = rest[1:]
		if flags&0x80 != 0 {
			id, mask, n := pictureNumber(rest)
			if n == 0 {
				return false, false
			}
			d.follow(id, mask, chained)
			rest = rest[n:]
		}
		if flags&0x40 != 0 && len(rest) > 0 {
			rest = rest[1:]
		}
		if flags&0x30 != 0 && len(rest) > 0 {
			rest = rest[1:]
		}
	}
	if len(rest) == 0 || chained && d.begins != first {
		return false, false
	}
	return first && rest[0]&0x01 == 0, true // RFC 6386 section 9.1
}

// vp9 reads the descriptor of RFC 9628 section 4.2.
func (d *decodable) vp9(b []byte, chained bool) (key, ok bool) {
	flags, rest := b[0], b[1:]
	if flags&0x80 != 0 {
		id, mask, n := pictureNumber(rest)
		if n == 0 {
			return false, false
		}
		d.follow(id, mask, chained)
		rest = rest[n:]
	}
	base := true
	if flags&0x20 != 0 {
		if len(rest) == 0 {
			return false, false
		}
		base = rest[0]>>1&0x07 == 0
	}
	if chained && d.begins && flags&0x08 == 0 {
		return false, false // a picture begins with a frame
	}
	return flags&0x48 == 0x08 && base, true // B, not P
}

// NAL unit types, ITU-T H.264 table 7-1 and RFC 6184 table 1.
const (
	nalSPS   = 7
	nalSTAPA = 24
	nalFUA   = 28
)

// h264 reads the NAL or fragment header (RFC 6184 section 5). A key frame begins with
// its sequence parameter set.
func (d *decodable) h264(b []byte, chained bool) (key, ok bool) {
	switch kind := b[0] & 0x1F; kind {
	case 0, 30, 31:
		return false, false
	case nalFUA:
		if len(b) < 3 {
			return false, false
		}
		start, end := b[1]&0x80 != 0, b[1]&0x40 != 0
		ok = (!start || !end) && (!chained || start != d.partial)
		d.partial = !end
		return false, ok
	case nalSTAPA:
		ok = !d.partial && len(b) > 3
		d.partial = false
		return ok && b[3]&0x1F == nalSPS, ok
	default:
		ok = !d.partial
		d.partial = false
		return kind == nalSPS, ok
	}
}
