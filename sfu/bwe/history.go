package bwe

import "github.com/pion/rtcp"

const (
	minHistory = 512  // packets; about 2 s of one 1.7 Mbps layer
	maxHistory = 8192 // packets; 4 s at 20 Mbps

	// keepSent is how long, in µs, a packet should be remembered for its report.
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
	seq       int64 // unrolled transport-wide sequence number
	sent      int64
	size      int32 // bytes
	predicted int32 // queueing delay the sending pattern alone explains, µs
	probe     int32 // 0: none
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
	if old := h.slot(ext); old.state != unused && old.seq != ext && now-old.sent < keepSent && len(h.ring) < maxHistory {
		h.grow()
	}
	p := h.slot(ext)
	*p = packet{seq: ext, sent: now, state: inFlight}
	return p
}

func (h *history) slot(ext int64) *packet { return &h.ring[int(ext)&(len(h.ring)-1)] }

func (h *history) grow() {
	old := h.ring
	h.ring = make([]packet, 2*len(old))
	for i := range old {
		if old[i].state != unused {
			*h.slot(old[i].seq) = old[i]
		}
	}
}

// find is nil if the packet was never sent, or is forgotten.
func (h *history) find(ext int64) *packet {
	if p := h.slot(ext); p.state != unused && p.seq == ext {
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
// e.reported. start is the report's reference time; arrival is the receiver's
// time in µs, valid if timed.
func (h *history) walk(fb *rtcp.TransportLayerCC, start int64, e *Estimator) {
	if h.ring == nil {
		return
	}
	w := walker{h: h, ext: h.at(fb.BaseSequenceNumber), left: min(int(fb.PacketStatusCount), maxSymbols),
		deltas: fb.RecvDeltas, arrival: start, e: e}
	for _, chunk := range fb.PacketChunks {
		if w.left <= 0 || w.ext > h.last {
			return
		}
		switch c := chunk.(type) {
		case *rtcp.RunLengthChunk:
			for range min(int(c.RunLength), w.left) {
				w.symbol(c.PacketStatusSymbol)
			}
		case *rtcp.StatusVectorChunk:
			for _, s := range c.SymbolList[:min(len(c.SymbolList), w.left)] {
				w.symbol(s)
			}
		default:
			return
		}
	}
}

type walker struct {
	h       *history
	ext     int64
	left    int
	deltas  []*rtcp.RecvDelta
	arrival int64
	e       *Estimator
}

func (w *walker) symbol(s uint16) {
	ext := w.ext
	w.ext++
	w.left--
	timed := false
	if s == rtcp.TypeTCCPacketReceivedSmallDelta || s == rtcp.TypeTCCPacketReceivedLargeDelta {
		if len(w.deltas) == 0 || w.deltas[0] == nil {
			w.left = 0 // a report that contradicts itself
			return
		}
		// Clamped to what the format can say: 16 bits of 250 µs.
		w.arrival += max(min(w.deltas[0].Delta, 8_191_750), -8_192_000)
		w.deltas = w.deltas[1:]
		timed = true
	}
	if ext > w.h.last {
		w.left = 0 // never sent, and so is the rest
		return
	}
	w.h.told = max(w.h.told, ext)
	if p := w.h.find(ext); p != nil {
		w.e.reported(p, s != rtcp.TypeTCCPacketNotReceived, timed, w.arrival)
	}
}
