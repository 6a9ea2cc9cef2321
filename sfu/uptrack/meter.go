package uptrack

import (
	"sync/atomic"
	"time"
)

// MaxSpatial and MaxTemporal bound the layers of one received stream: spatial
// ones by scalable coding, temporal ones by any.
const (
	MaxSpatial  = 4
	MaxTemporal = 4
)

// WireOverhead is the bytes a packet takes beside its payload: RTP with extensions,
// SRTP, UDP and IP.
const WireOverhead = 64

const (
	meterSlot  = 250 * time.Millisecond
	meterSlots = 24 // slots that the rate is taken over
	meterLeast = 4  // slots without which nothing is told: a key frame would count for much more than it costs
	meterGap   = time.Second
)

// meter measures what a stream costs, layer by layer. add is called by the
// stream's reader alone, the results are read by anyone.
type meter struct {
	slots  *[meterSlots][MaxSpatial][MaxTemporal]count // nil before the first packet
	filled int                                         // slots in use
	at     int                                         // the slot being filled
	begun  time.Time

	bits   [MaxSpatial][MaxTemporal]atomic.Int64 // per second
	frames [MaxSpatial][MaxTemporal]atomic.Int64 // per 1000 seconds
}

type count struct{ bytes, frames uint32 }

func (m *meter) add(now time.Time, spatial, temporal uint8, payload int, frameEnd bool) {
	if m.begun.IsZero() || now.Sub(m.begun) > meterGap {
		// What was before a silence says nothing of what comes now.
		if m.slots == nil {
			m.slots = new([meterSlots][MaxSpatial][MaxTemporal]count)
		}
		clear(m.slots[:])
		m.begun, m.filled, m.at = now, 1, 0
	}
	for now.Sub(m.begun) >= meterSlot {
		m.next()
	}
	c := &m.slots[m.at][min(spatial, MaxSpatial-1)][min(temporal, MaxTemporal-1)]
	c.bytes += uint32(payload + WireOverhead)
	if frameEnd {
		c.frames++
	}
}

// next closes a slot and publishes the rates over the last ones.
func (m *meter) next() {
	m.begun = m.begun.Add(meterSlot)
	if m.filled < meterLeast {
		m.at, m.filled = m.at+1, m.filled+1
		return
	}
	took := int64(m.filled) * int64(meterSlot/time.Millisecond)
	for s := range MaxSpatial {
		for t := range MaxTemporal {
			var bytes, frames int64
			for i := range m.slots {
				bytes += int64(m.slots[i][s][t].bytes)
				frames += int64(m.slots[i][s][t].frames)
			}
			m.bits[s][t].Store(bytes * 8 * 1000 / took)
			m.frames[s][t].Store(frames * 1000 * 1000 / took)
		}
	}
	m.at = (m.at + 1) % meterSlots
	m.filled = min(m.filled+1, meterSlots)
	m.slots[m.at] = [MaxSpatial][MaxTemporal]count{}
}

// Rate is what the layer's temporal layers up to temporal cost on the wire, in
// bits per second over the last six seconds: of a stream without scalable coding all
// of it, else of that spatial layer alone.
func (l *Layer) Rate(spatial, temporal int) (sum int64) {
	for t := range min(temporal+1, MaxTemporal) {
		sum += l.meter.bits[spatial][t].Load()
	}
	return sum
}

// FrameRate is how many frames a second the temporal layers up to temporal have.
func (l *Layer) FrameRate(spatial, temporal int) float64 {
	var sum int64
	for t := range min(temporal+1, MaxTemporal) {
		sum += l.meter.frames[spatial][t].Load()
	}
	return float64(sum) / 1000
}
