package live

import "diemcau/signaling/meeting"

// sharing is who sees what of one event.
type sharing struct {
	d          *delivery
	byAudience map[string]int    // of the chunks; -1: nothing
	byContent  map[string]uint32 // those whom an event is about mostly see what others see
}

func newSharing(d *delivery) *sharing {
	return &sharing{d: d, byAudience: make(map[string]int), byContent: make(map[string]uint32)}
}

// chunk is the chunk of an event for a viewer, false if it is not for them.
func (h *sharing) chunk(s *meeting.State, e meeting.Event, v meeting.Viewer) (uint32, bool) {
	audience := meeting.Audience(s, e, v)
	n, ok := h.byAudience[audience]
	if !ok {
		n = -1
		if seen, visible := meeting.Visible(s, e, v); visible {
			n = int(h.keep(encode(seen)))
		}
		h.byAudience[audience] = n
	}
	return uint32(max(n, 0)), n >= 0
}

func (h *sharing) keep(chunk []byte) uint32 {
	n, ok := h.byContent[string(chunk)]
	if !ok {
		n = uint32(len(h.d.chunks))
		h.d.chunks = append(h.d.chunks, chunk)
		h.byContent[string(chunk)] = n
	}
	return n
}
