package bwe

const (
	minHistory = 64   // packets; about 1 s of sound
	maxHistory = 8192 // packets; 4 s at 20 Mbps

	// keepSent is how long, in µs, a packet should be remembered for its report, if
	// that has not come.
	keepSent = 2_000_000

	// maxSymbols is how many packet statuses of one report are looked at.
	maxSymbols = maxHistory
)

type packetState uint8

const (
	unused packetState = iota
	inFlight
	received
	lost
)

// packet is one that was sent. Times are µs since the estimator began.
type packet struct {
	sent      int64
	seq       uint32 // of the unrolled transport-wide sequence number
	predicted int32  // queueing delay the sending pattern alone explains, µs
	size      uint16 // bytes
	probe     uint16 // 0: none
	state     packetState
}

// history remembers what was sent, until it is reported or too old.
type history struct {
	ring []packet // a power of two long
	last int64    // newest unrolled sequence number; 0 until the first packet
	told int64    // newest that a report spoke of
}

// add notes a packet and returns its place.
func (h *history) add(seq uint16, now int64) *packet {
	if h.ring == nil {
		h.ring = make([]packet, minHistory)
		h.last = 1<<16 + int64(seq) - 1
	}
	ext := h.last + int64(int16(seq-uint16(h.last)))
	h.last = max(h.last, ext)
	if old := h.slot(ext); (old.state == inFlight || old.state == lost) && old.seq != uint32(ext) && now-old.sent < keepSent && len(h.ring) < maxHistory {
		h.grow()
	}
	p := h.slot(ext)
	*p = packet{seq: uint32(ext), sent: now, state: inFlight}
	return p
}

func (h *history) slot(ext int64) *packet { return &h.ring[int(ext)&(len(h.ring)-1)] }

func (h *history) grow() {
	old := h.ring
	h.ring = make([]packet, 2*len(old))
	for i := range old {
		if old[i].state != unused {
			*h.slot(int64(old[i].seq)) = old[i]
		}
	}
}

// find is nil if the packet was never sent, or is forgotten.
func (h *history) find(ext int64) *packet {
	if p := h.slot(ext); p.state != unused && p.seq == uint32(ext) {
		return p
	}
	return nil
}

// at unrolls a sequence number of a report: the newest packet or an older one.
func (h *history) at(seq uint16) int64 { return h.last - int64(uint16(h.last)-seq) }

// arrivals unrolls the reference times of reports.
type arrivals struct {
	reference int64 // of the newest report, in 64 ms
	started   bool
}

// unroll returns the receiver's time, in µs, of a 24 bit reference time
// (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1).
func (a *arrivals) unroll(reference uint32) int64 {
	if !a.started {
		a.started = true
		a.reference = int64(reference & 0xffffff)
	}
	step := int64(int32((reference-uint32(a.reference))<<8) >> 8)
	ref := a.reference + step
	a.reference = max(a.reference, ref)
	if step < -1<<16 { // more than an hour back: another clock
		a.reference = ref
	}
	return ref * 64_000
}

// skips tells that packets before base were never reported on: a report is lost.
func (h *history) skips(base uint16) bool {
	return h.ring != nil && h.told > 0 && h.at(base) > h.told+1
}

// walk hands each packet of the report that was sent and is still remembered to
// e.reported. start is the report's reference time in µs, the receiver's.
func (h *history) walk(r *report, start int64, e *Estimator) {
	if h.ring == nil {
		return
	}
	w := walker{h: h, ext: h.at(r.base), left: min(r.count, maxSymbols), deltas: r.deltas, arrival: start, e: e}
	for chunks := r.chunks; len(chunks) >= 2 && w.left > 0 && w.ext <= h.last; chunks = chunks[2:] {
		chunk := uint16(chunks[0])<<8 | uint16(chunks[1])
		switch {
		case chunk&0x8000 == 0: // a run
			for range min(int(chunk&0x1fff), w.left) {
				w.symbol(chunk >> 13 & 3)
			}
		case chunk&0x4000 == 0: // a vector of 14 symbols of one bit
			for i := 13; i >= 0 && w.left > 0; i-- {
				w.symbol(chunk >> i & 1)
			}
		default: // of 7 symbols of two bits
			for i := 12; i >= 0 && w.left > 0; i -= 2 {
				w.symbol(chunk >> i & 3)
			}
		}
	}
}

type walker struct {
	h       *history
	ext     int64
	left    int
	deltas  []byte
	arrival int64
	e       *Estimator
}

// delta takes the next arrival, of size bytes, in units of 250 µs.
func (w *walker) delta(size int) bool {
	if len(w.deltas) < size {
		w.left = 0 // a report that contradicts itself
		return false
	}
	d := int64(w.deltas[0])
	if size == 2 {
		d = int64(int16(uint16(w.deltas[0])<<8 | uint16(w.deltas[1])))
	}
	w.arrival += d * 250
	w.deltas = w.deltas[size:]
	return true
}

func (w *walker) symbol(s uint16) {
	ext := w.ext
	w.ext++
	w.left--
	timed := s == receivedSmall || s == receivedLarge
	if timed && !w.delta(int(s)) {
		return
	}
	if ext > w.h.last {
		w.left = 0 // never sent, and so is the rest
		return
	}
	w.h.told = max(w.h.told, ext)
	if p := w.h.find(ext); p != nil {
		w.e.reported(p, s != notReceived, timed, w.arrival)
	}
}
