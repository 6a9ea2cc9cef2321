package codec

const (
	pictureIDMask      = 0x7FFF // RFC 7741 section 4.2
	pictureIDMaskShort = 0x7F
	keyIdxMask         = 0x1F

	// droppedHistory is how many runs of dropped pictures are remembered for
	// packets that come late.
	droppedHistory = 64
)

// pictureRun says which offset applies from one source picture id on. All ids
// in it are unrolled: they do not wrap around.
type pictureRun struct {
	dropped int64 // first of the dropped pictures directly before from; equal to from if none
	from    int64
	offset  int64 // outgoing id minus source id
}

// VP8Munger keeps PictureID, TL0PICIDX and KEYIDX of one subscriber's VP8
// stream continuous while its source changes, pauses, or loses the pictures of
// a temporal layer. Decoders need that: to libwebrtc a gap in the picture ids is
// a picture still to come, which it waits for.
//
// The zero value is ready for use: the values of the first source pass
// unchanged. Packets may come late, but not those of an earlier source.
// It is not safe for concurrent use.
type VP8Munger struct {
	runs   [droppedHistory]pictureRun // ring; the newest is runs[newest]
	newest int
	count  int // runs in use; 0 before the first picture id

	high    int64 // newest source picture id, mapped or dropped
	last    int64 // newest outgoing picture id, unrolled
	sentPic bool

	tl0    wrapping
	keyIdx wrapping
}

// wrapping continues a small counter over changes of its source.
type wrapping struct {
	offset uint8
	last   uint8 // newest outgoing value
	sent   bool
}

func (c *wrapping) switchTo(value uint8) {
	if c.sent {
		c.offset = c.last + 1 - value
	}
}

// apply maps a value and remembers the newest by serial arithmetic within mask.
func (c *wrapping) apply(value, mask uint8) uint8 {
	out := (value + c.offset) & mask
	if ahead := (out - c.last) & mask; !c.sent || ahead != 0 && ahead <= mask/2 {
		c.last, c.sent = out, true
	}
	return out
}

// Switch is called with the first packet to be forwarded of a new source, or of
// the same source after a pause: a key frame, whose values will follow the last
// ones that were sent. Map must be called for this packet as well.
func (m *VP8Munger) Switch(d VP8) {
	if d.I {
		m.start(d)
	}
	if d.L {
		m.tl0.switchTo(d.TL0PicIdx)
	}
	if d.K {
		m.keyIdx.switchTo(d.KeyIdx)
	}
}

// Map returns the values for the packet with descriptor d, to be given to
// Rewrite. Fields that d does not have come back as 0.
func (m *VP8Munger) Map(d VP8) (pic uint16, tl0, keyIdx uint8) {
	if d.I {
		pic = m.mapPicture(d)
	}
	if d.L {
		tl0 = m.tl0.apply(d.TL0PicIdx, 0xFF)
	}
	if d.K {
		keyIdx = m.keyIdx.apply(d.KeyIdx, keyIdxMask)
	}
	return pic, tl0, keyIdx
}

// Drop says that the picture of descriptor d is not forwarded, and that the ids
// of later pictures close the gap. It may be called for every packet of the
// picture, and does nothing once a packet of this or a later picture was mapped.
func (m *VP8Munger) Drop(d VP8) {
	if !d.I || m.count == 0 {
		return
	}
	id := m.unroll(d)
	if id <= m.high {
		return
	}
	r := &m.runs[m.newest]
	if r.from != id {
		offset := r.offset
		m.newest = (m.newest + 1) % droppedHistory
		m.count = min(m.count+1, droppedHistory)
		r = &m.runs[m.newest]
		*r = pictureRun{dropped: id, from: id, offset: offset}
	}
	r.from++
	r.offset--
	m.high = id
}

func (m *VP8Munger) start(d VP8) {
	id := int64(d.PictureID)
	offset := int64(0)
	if m.sentPic {
		offset = m.last + 1 - id
	}
	m.high = id - 1
	m.newest, m.count = 0, 1
	m.runs[0] = pictureRun{dropped: id, from: id, offset: offset}
}

func (m *VP8Munger) mapPicture(d VP8) uint16 {
	if m.count == 0 {
		m.start(d)
	}
	id := m.unroll(d)
	out := id + m.offsetAt(id)
	if id > m.high {
		m.high = id
		m.last, m.sentPic = out, true
	}
	return uint16(out) & idMask(d)
}

// unroll returns the id congruent to d's that is nearest to the newest one.
func (m *VP8Munger) unroll(d VP8) int64 {
	mask := idMask(d)
	ahead := (d.PictureID - uint16(m.high)) & mask
	if ahead > mask/2 {
		return m.high + int64(ahead) - int64(mask) - 1
	}
	return m.high + int64(ahead)
}

// offsetAt finds the offset that applied to picture id, newest first. Before
// everything remembered, the oldest offset is the best there is.
func (m *VP8Munger) offsetAt(id int64) int64 {
	offset := int64(0)
	for i := range m.count {
		r := &m.runs[(m.newest-i+droppedHistory)%droppedHistory]
		offset = r.offset
		if id >= r.dropped {
			break
		}
	}
	return offset
}

func idMask(d VP8) uint16 {
	if d.PictureIDLong {
		return pictureIDMask
	}
	return pictureIDMaskShort
}
