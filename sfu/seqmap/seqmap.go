// Package seqmap maps the RTP sequence numbers of whatever source is being
// forwarded to the one continuous numbering a subscriber sees.
//
// A subscriber's stream is cut together from several sources: simulcast
// layers, gaps where packets were left out on purpose, packets of our own such
// as padding. Its receiver must see none of that. It must however see real
// loss, because it asks for lost packets again (RFC 4585 section 6.2.1), so a
// number that is missing at the source stays missing on the way out.
//
// The mapping is one offset, and every Drop or Skip changes the offset from
// some source number on. The last changes are remembered, so that a packet
// that comes late gets the number it would have had in time.
package seqmap

const (
	// Window is how far behind the newest number, in packets, a late packet may
	// be and still be mapped. It is counted at the source and on the way out.
	Window = 2048

	// history is how many changes of the offset are remembered. Numbers from
	// before the oldest remembered change count as too old.
	history = 64
)

// change says which offset applies from one source number on.
// All numbers are unrolled: they do not wrap around.
type change struct {
	dropped int64 // first of the dropped numbers directly before from; equal to from if none
	from    int64 // first source number the offset applies to
	offset  int64 // outgoing number minus source number
}

// Map is the numbering of one subscriber. The zero value is ready for use.
// It is not safe for concurrent use.
type Map struct {
	changes [history]change // ring; the newest is changes[newest]
	newest  int
	count   int // changes in use; 0 until the first Switch

	high int64 // newest source number that was mapped or dropped
	last int64 // newest outgoing number; high + newest offset once there is a source
	used bool  // an outgoing number was handed out
}

// Switch makes packet src the start of the next source: it will get the number
// after the last one handed out, or its own number if none ever was. Numbers
// of the earlier source must not be given to Map any more.
func (m *Map) Switch(src uint16) {
	start := int64(src)
	if !m.used {
		m.last = start - 1
	}
	m.high = start - 1
	m.newest, m.count = 0, 1
	m.changes[0] = change{dropped: start, from: start, offset: m.last - m.high}
}

// Map returns the outgoing number of packet src of the present source. The
// same packet gets the same number every time.
//
// ok is false if src was dropped, precedes the switch, is too old to tell
// (see Window), or if there was no Switch yet.
func (m *Map) Map(src uint16) (out uint16, ok bool) {
	if m.count == 0 {
		return 0, false
	}
	ext := m.unroll(src)
	if ext > m.high {
		m.high = ext
		m.last = ext + m.changes[m.newest].offset
		m.used = true
		return uint16(m.last), true
	}
	if m.high-ext > Window {
		return 0, false
	}
	offset, ok := m.offsetAt(ext)
	if !ok || m.last-(ext+offset) > Window {
		return 0, false
	}
	return uint16(ext + offset), true
}

// Drop leaves packet src out, and the numbers after it close the gap. It is
// accepted only if src directly follows the newest number mapped or dropped;
// otherwise Drop returns false, nothing changes, and if src is not mapped
// later either, the subscriber sees a lost packet.
func (m *Map) Drop(src uint16) bool {
	if m.count == 0 {
		return false
	}
	ext := m.unroll(src)
	if ext != m.high+1 {
		return false
	}
	c := m.changeAtNext()
	c.from++
	c.offset--
	m.high = ext
	return true
}

// Skip reserves n outgoing numbers for packets that come from no source, and
// returns the first. They follow the last number handed out.
func (m *Map) Skip(n uint16) (first uint16) {
	first = uint16(m.last + 1)
	if n == 0 {
		return first
	}
	m.last += int64(n)
	m.used = true
	if m.count > 0 {
		m.changeAtNext().offset += int64(n)
	}
	return first
}

// Last returns the newest outgoing number, by Map or by Skip. ok is false if
// there is none yet.
func (m *Map) Last() (out uint16, ok bool) {
	return uint16(m.last), m.used
}

// unroll returns the number congruent to src that is nearest to the newest one.
func (m *Map) unroll(src uint16) int64 {
	return m.high + int64(int16(src-uint16(m.high)))
}

// changeAtNext returns the change that applies from the next number on; it
// makes one, forgetting the oldest, if the present offset is already in use.
func (m *Map) changeAtNext() *change {
	c := &m.changes[m.newest]
	next := m.high + 1
	if c.from == next {
		return c
	}
	offset := c.offset
	m.newest = (m.newest + 1) % history
	m.count = min(m.count+1, history)
	c = &m.changes[m.newest]
	*c = change{dropped: next, from: next, offset: offset}
	return c
}

// offsetAt finds the offset that applied to source number ext, newest first.
func (m *Map) offsetAt(ext int64) (offset int64, ok bool) {
	for i := range m.count {
		c := &m.changes[(m.newest-i+history)%history]
		if ext >= c.from {
			return c.offset, true
		}
		if ext >= c.dropped {
			return 0, false
		}
	}
	return 0, false
}
