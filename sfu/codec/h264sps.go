package codec

// Bounds that no real sequence parameter set exceeds; they keep the arithmetic
// small whatever the input.
const (
	maxMacroblocks = 1024 // on one side: 16384 pixels
	maxCycle       = 255  // num_ref_frames_in_pic_order_cnt_cycle, H.264 section 7.4.2.1.1
)

// parseSPS reads the picture size from a sequence parameter set, its NAL header
// taken off: ITU-T H.264 section 7.3.2.1.1.
func parseSPS(rbsp []byte) (w, h int, ok bool) {
	r := bitReader{data: rbsp}
	profile := r.bits(8)
	r.bits(16) // constraint flags, level
	r.ue()     // seq_parameter_set_id
	chroma, separate := uint32(1), false
	if hasChromaFormat(profile) {
		chroma = r.ue()
		if chroma > 3 {
			return 0, 0, false
		}
		separate = chroma == 3 && r.flag()
		r.ue()    // bit_depth_luma_minus8
		r.ue()    // bit_depth_chroma_minus8
		r.bits(1) // qpprime_y_zero_transform_bypass_flag
		if r.flag() {
			r.skipScalingMatrix(chroma)
		}
	}
	r.ue() // log2_max_frame_num_minus4
	if !r.skipPicOrder() {
		return 0, 0, false
	}
	r.ue()    // max_num_ref_frames
	r.bits(1) // gaps_in_frame_num_value_allowed_flag
	widthMbs, heightMaps := r.ue(), r.ue()
	if widthMbs >= maxMacroblocks || heightMaps >= maxMacroblocks {
		return 0, 0, false
	}
	fields := 1 // 2 if a map unit may be a pair of field macroblocks
	if !r.flag() {
		fields = 2
		r.bits(1) // mb_adaptive_frame_field_flag
	}
	r.bits(1) // direct_8x8_inference_flag
	w = 16 * (int(widthMbs) + 1)
	h = 16 * (int(heightMaps) + 1) * fields
	if r.flag() { // frame_cropping_flag
		unitX, unitY := cropUnits(chroma, separate)
		left, right, top, bottom := r.ue(), r.ue(), r.ue(), r.ue()
		if max(left, right, top, bottom) > 16*maxMacroblocks {
			return 0, 0, false
		}
		w -= int(left+right) * unitX
		h -= int(top+bottom) * unitY * fields
	}
	if r.failed || w <= 0 || h <= 0 {
		return 0, 0, false
	}
	return w, h, true
}

// hasChromaFormat lists the profiles whose parameter sets carry chroma_format_idc
// and what follows it.
func hasChromaFormat(profile uint32) bool {
	switch profile {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135:
		return true
	}
	return false
}

// cropUnits is CropUnitX and, for frames, CropUnitY: H.264 section 7.4.2.1.1.
func cropUnits(chroma uint32, separate bool) (x, y int) {
	switch {
	case separate || chroma == 0 || chroma == 3:
		return 1, 1
	case chroma == 2: // 4:2:2
		return 2, 1
	}
	return 2, 2 // 4:2:0
}

// bitReader reads an RBSP bit by bit and leaves out the emulation prevention
// bytes (H.264 section 7.4.1). Beyond the end it reads zeros and sets failed.
type bitReader struct {
	data   []byte
	pos    int  // next byte
	zeros  int  // zero bytes directly before it
	cur    byte // bits of the present byte, from the top
	left   int  // how many of them are unread
	failed bool
}

func (r *bitReader) bit() uint32 {
	if r.left == 0 {
		if r.zeros >= 2 && r.pos < len(r.data) && r.data[r.pos] == 3 {
			r.pos++
			r.zeros = 0
		}
		if r.pos >= len(r.data) {
			r.failed = true
			return 0
		}
		r.cur, r.left = r.data[r.pos], 8
		r.pos++
		if r.cur == 0 {
			r.zeros++
		} else {
			r.zeros = 0
		}
	}
	bit := uint32(r.cur >> 7)
	r.cur <<= 1
	r.left--
	return bit
}

func (r *bitReader) flag() bool { return r.bit() == 1 }

func (r *bitReader) bits(n int) uint32 {
	var v uint32
	for range n {
		v = v<<1 | r.bit()
	}
	return v
}

// ue reads ue(v), section 9.1: up to 31 leading zeros are valid.
func (r *bitReader) ue() uint32 {
	zeros := 0
	for !r.flag() {
		zeros++
		if zeros > 31 || r.failed {
			r.failed = true
			return 0
		}
	}
	return 1<<zeros - 1 + r.bits(zeros)
}

// se reads se(v), section 9.1.1.
func (r *bitReader) se() int32 {
	v := r.ue()
	if v&1 == 1 {
		return int32(v/2 + 1)
	}
	return -int32(v / 2)
}

// skipPicOrder reads over pic_order_cnt_type and what belongs to it.
func (r *bitReader) skipPicOrder() bool {
	switch r.ue() {
	case 0:
		r.ue() // log2_max_pic_order_cnt_lsb_minus4
	case 1:
		r.bits(1) // delta_pic_order_always_zero_flag
		r.se()    // offset_for_non_ref_pic
		r.se()    // offset_for_top_to_bottom_field
		cycle := r.ue()
		if cycle > maxCycle {
			return false
		}
		for range cycle {
			r.se()
		}
	case 2:
	default:
		return false
	}
	return !r.failed
}

// skipScalingMatrix reads over the scaling lists, section 7.3.2.1.1.1.
func (r *bitReader) skipScalingMatrix(chroma uint32) {
	lists := 8
	if chroma == 3 {
		lists = 12
	}
	for i := range lists {
		if !r.flag() {
			continue
		}
		size := 64
		if i < 6 {
			size = 16
		}
		last, next := int32(8), int32(8)
		for range size {
			if next != 0 {
				next = int32(uint8(last + r.se()))
			}
			if next != 0 {
				last = next
			}
		}
	}
}
