package codec

// ddReader reads unsigned numbers of a few bits, high bit first. Reading past
// the end gives 0 and sets short.
type ddReader struct {
	buf   []byte
	at    int // bits read
	short bool
}

// read is f(n) of the AV1 RTP specification, section A.8.2; n is at most 32.
func (r *ddReader) read(n int) uint32 {
	if r.short || n > 8*len(r.buf)-r.at {
		r.short = true
		return 0
	}
	v := uint32(0)
	for n > 0 {
		free := 8 - r.at&7
		take := min(n, free)
		v = v<<take | uint32(r.buf[r.at>>3]>>(free-take))&(1<<take-1)
		r.at += take
		n -= take
	}
	return v
}

func (r *ddReader) flag() bool { return r.read(1) != 0 }

// nonSymmetric is ns(n) of section A.8.2: a number below n.
func (r *ddReader) nonSymmetric(n uint32) uint32 {
	width := bitWidth(n)
	m := uint32(1)<<width - n
	v := r.read(width - 1)
	if v < m {
		return v
	}
	return v<<1 - m + r.read(1)
}

// ddWriter writes what ddReader reads. Writing past the end sets short.
type ddWriter struct {
	buf   []byte
	at    int // bits written
	short bool
}

func (w *ddWriter) write(v uint32, n int) {
	if w.short || n > 8*len(w.buf)-w.at {
		w.short = true
		return
	}
	for n > 0 {
		free := 8 - w.at&7
		take := min(n, free)
		if free == 8 {
			w.buf[w.at>>3] = 0
		}
		w.buf[w.at>>3] |= uint8(v>>(n-take)&(1<<take-1)) << (free - take)
		w.at += take
		n -= take
	}
}

func (w *ddWriter) flag(v bool) {
	if v {
		w.write(1, 1)
	} else {
		w.write(0, 1)
	}
}

func (w *ddWriter) nonSymmetric(v, n uint32) {
	width := bitWidth(n)
	m := uint32(1)<<width - n
	if v < m {
		w.write(v, width-1)
	} else {
		w.write(v+m, width)
	}
}

func bitWidth(n uint32) int {
	width := 0
	for ; n != 0; n >>= 1 {
		width++
	}
	return width
}
