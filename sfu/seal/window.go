package seal

// remembered is how many indices below the highest are told apart; older ones count
// as used.
const remembered = 1024

// use is what is known of an index.
type use int

const (
	fresh use = iota
	known     // used, and its tag is kept
	spent     // used, or too old to say
)

// window knows the indices that were used lately.
type window struct {
	begun   bool
	top     uint64 // highest index used
	tagFrom uint64 // tags are kept from this index on
	bits    [remembered / 64]uint64
}

// index is the packet index (RFC 3711 section 3.3.1) of a sequence number: the one
// nearest to the highest so far. There is none below 0 (false).
func (w *window) index(seq uint16) (uint64, bool) {
	if !w.begun {
		return uint64(seq), true
	}
	i := int64(w.top) + int64(int16(seq-uint16(w.top)))
	return uint64(i), i >= 0
}

// state tells whether an index may be used, if so many tags are kept.
func (w *window) state(index uint64, tags int) use {
	switch {
	case !w.begun || index > w.top:
		return fresh
	case w.top-index >= remembered:
		return spent
	case w.bits[index%remembered/64]&(1<<(index%64)) == 0:
		return fresh
	case tags > 0 && index >= w.tagFrom && w.top-index < uint64(tags):
		return known
	}
	return spent
}

func (w *window) mark(index uint64) {
	if !w.begun {
		w.begun, w.top = true, index
	}
	if index > w.top {
		if index-w.top >= remembered {
			clear(w.bits[:])
		} else {
			for i := w.top + 1; i <= index; i++ {
				w.bits[i%remembered/64] &^= 1 << (i % 64)
			}
		}
		w.top = index
	}
	w.bits[index%remembered/64] |= 1 << (index % 64)
}

// forgetTags says that no tag of what was used is kept.
func (w *window) forgetTags() {
	w.tagFrom = 0
	if w.begun {
		w.tagFrom = w.top + 1
	}
}
