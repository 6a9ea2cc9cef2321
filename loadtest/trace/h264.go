package trace

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

// inspectH264 reads the NAL header, and that of the fragment or the aggregated units.
func inspectH264(b []byte, size int) (places, error) {
	switch kind := b[0] & 0x1F; kind {
	case nalSlice, nalIDR:
		return places{descriptor: 1, first: true, last: true, key: kind == nalIDR}, nil
	case nalSEI, nalSPS, nalPPS, nalAUD:
		at := places{descriptor: 1, first: true, last: true, whole: true, key: kind == nalSPS}
		if kind == nalSPS {
			at.width, at.height = spsSize(b[1:])
		}
		return at, nil
	case nalFUA:
		if len(b) < 2 {
			return places{}, errHead
		}
		of := b[1] & 0x1F
		at := places{descriptor: 2, first: b[1]&0x80 != 0, last: b[1]&0x40 != 0}
		if at.first && at.last || of != nalSlice && of != nalIDR {
			return at, errH264
		}
		at.key = at.first && of == nalIDR
		return at, nil
	case nalSTAPA:
		at := places{descriptor: 1, first: true, last: true, whole: true}
		err := eachAggregated(b, size, func(unit []byte) {
			switch unit[0] & 0x1F {
			case nalSPS:
				at.key = true
				at.width, at.height = spsSize(unit[1:])
			case nalIDR:
				at.key = true
			}
		})
		return at, err
	}
	return places{}, errH264
}

// eachAggregated calls f with the units of a STAP-A (RFC 6184 section 5.7.1) of size
// bytes, as far as its beginning b has them: the last may be cut off.
func eachAggregated(b []byte, size int, f func(unit []byte)) error {
	for begin := 1; begin < len(b); {
		if len(b) < begin+3 {
			return errHead
		}
		end := begin + 2 + int(b[begin])<<8 + int(b[begin+1])
		if end <= begin+2 || end > size {
			return errH264
		}
		f(b[begin+2 : min(end, len(b))])
		begin = end
	}
	return nil
}

// aggregateHead tells how much of a packet that is not to be divided has a meaning:
// all of it, but of an aggregated slice only the beginning.
func aggregateHead(b []byte, size int) int {
	if b[0]&0x1F != nalSTAPA {
		return size
	}
	n, slice := 1, false
	_ = eachAggregated(b, size, func(unit []byte) { // inspect has found no error
		kind := unit[0] & 0x1F
		switch {
		case slice:
		case kind == nalSlice || kind == nalIDR:
			slice = true
			n += 2 + min(len(unit), 1+sliceLead)
		default:
			n += 2 + len(unit)
		}
	})
	return n
}

// spsSize reads the picture's size from a sequence parameter set of the baseline
// profile (ITU-T H.264 section 7.3.2.1.1), its NAL header taken off. 0, 0 if it is of
// another profile or cut off.
func spsSize(sps []byte) (width, height int) {
	const baseline = 66
	r := bitReader{data: unescape(sps)}
	if r.bits(8) != baseline {
		return 0, 0
	}
	r.bits(16) // constraint flags, level
	r.ue()     // seq_parameter_set_id
	r.ue()     // log2_max_frame_num_minus4
	switch r.ue() {
	case 0:
		r.ue() // log2_max_pic_order_cnt_lsb_minus4
	case 2:
	default:
		return 0, 0
	}
	r.ue()    // max_num_ref_frames
	r.bits(1) // gaps_in_frame_num_value_allowed_flag
	width, height = 16*(r.ue()+1), 16*(r.ue()+1)
	if r.bits(1) == 0 { // frame_mbs_only_flag is 1 in this profile
		return 0, 0
	}
	r.bits(1)           // direct_8x8_inference_flag
	if r.bits(1) == 1 { // frame_cropping_flag, in units of 2 pixels
		width -= 2 * (r.ue() + r.ue())
		height -= 2 * (r.ue() + r.ue())
	}
	if r.failed || width <= 0 || height <= 0 {
		return 0, 0
	}
	return width, height
}

// unescape takes out the emulation prevention bytes: section 7.4.1.
func unescape(b []byte) []byte {
	out := make([]byte, 0, len(b))
	zeros := 0
	for _, octet := range b {
		if zeros >= 2 && octet == 3 {
			zeros = 0
			continue
		}
		if zeros++; octet != 0 {
			zeros = 0
		}
		out = append(out, octet)
	}
	return out
}

// bitReader reads bits from the top of each byte. Behind the end it gives zeros and
// sets failed.
type bitReader struct {
	data   []byte
	next   int // bit
	failed bool
}

func (r *bitReader) bits(n int) int {
	v := 0
	for range n {
		bit := 0
		if r.next>>3 < len(r.data) {
			bit = int(r.data[r.next>>3] >> (7 - r.next&7) & 1)
		} else {
			r.failed = true
		}
		r.next++
		v = v<<1 | bit
	}
	return v
}

// ue reads ue(v), section 9.1, up to 16 bits of it, which no size exceeds.
func (r *bitReader) ue() int {
	zeros := 0
	for r.bits(1) == 0 {
		if zeros++; zeros > 16 || r.failed {
			r.failed = true
			return 0
		}
	}
	return 1<<zeros - 1 + r.bits(zeros)
}
