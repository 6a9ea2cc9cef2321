package codec

const (
	maxREDRedundancy = 3
	maxREDPayload    = 1200 // bytes
	redSlots         = 4    // a power of 2 above maxREDRedundancy
)

// redSlot holds one packet that may become redundancy.
type redSlot struct {
	used bool
	seq  uint16
	ts   uint32
	n    int
	data [maxREDLength - 1]byte
}

// REDEncoder makes RED payloads (RFC 2198) of the packets of one stream, each
// with up to three packets before it. It takes only packets that truly precede:
// their sequence numbers run up to the present one without a gap and their
// timestamps are older. It is not safe for concurrent use.
type REDEncoder struct {
	payloadType uint8
	redundancy  int
	slots       [redSlots]redSlot
}

// NewREDEncoder returns an encoder that adds up to redundancy packets, 1 to 3,
// and gives blocks payloadType.
func NewREDEncoder(payloadType uint8, redundancy int) *REDEncoder {
	return &REDEncoder{
		payloadType: payloadType & 0x7F,
		redundancy:  min(max(redundancy, 1), maxREDRedundancy),
	}
}

// Encode writes the RED payload of a packet to dst and returns the bytes
// written; no more than 1200, unless the packet alone is longer. The result is 0
// if payload is empty or dst is too short. dst must not overlap payload.
func (e *REDEncoder) Encode(dst []byte, seq uint16, timestamp uint32, payload []byte) int {
	if len(payload) == 0 {
		return 0
	}
	size := 1 + len(payload)
	if size > len(dst) {
		return 0
	}
	limit := min(len(dst), maxREDPayload)
	var blocks [maxREDRedundancy]*redSlot // newest first
	n, newer := 0, timestamp
	for n < e.redundancy {
		s := &e.slots[(seq-uint16(n)-1)%redSlots]
		if !s.used || s.seq != seq-uint16(n)-1 || int32(newer-s.ts) <= 0 || timestamp-s.ts >= maxREDOffset ||
			size+redHeaderSize+s.n > limit {
			break
		}
		blocks[n], newer = s, s.ts
		size += redHeaderSize + s.n
		n++
	}
	at, data := 0, redHeaderSize*n+1
	for i := n - 1; i >= 0; i-- {
		s := blocks[i]
		offset := timestamp - s.ts
		dst[at] = 0x80 | e.payloadType
		dst[at+1] = uint8(offset >> 6)
		dst[at+2] = uint8(offset<<2) | uint8(s.n>>8)
		dst[at+3] = uint8(s.n)
		at += redHeaderSize
		data += copy(dst[data:], s.data[:s.n])
	}
	dst[at] = e.payloadType
	copy(dst[data:], payload)
	e.keep(seq, timestamp, payload)
	return size
}

// keep remembers a packet, unless a newer one has its place or it is too long
// for a redundant block.
func (e *REDEncoder) keep(seq uint16, timestamp uint32, payload []byte) {
	s := &e.slots[seq%redSlots]
	if s.used && int16(seq-s.seq) < 0 && int16(seq-s.seq) > -maxLate {
		return
	}
	s.used, s.seq, s.ts = len(payload) < maxREDLength, seq, timestamp
	s.n = copy(s.data[:], payload)
}

// maxLate is how many sequence numbers late a packet can be; beyond, the stream
// has started again.
const maxLate = 1000
