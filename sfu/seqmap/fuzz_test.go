package seqmap

import "testing"

// model numbers packets the obvious way: a dictionary that is filled for every
// source number, lost ones included, as soon as a newer one is seen.
type model struct {
	numbered map[int64]given // by source number of the present source
	dropped  map[int64]bool
	started  bool
	high     int64 // newest source number
	next     int64 // next outgoing number
	used     bool
	changes  int // places where the numbering stopped being a plain count
	pending  bool
}

type given struct {
	out     int64
	changes int
}

func (m *model) switchTo(src uint16) {
	m.numbered, m.dropped = map[int64]given{}, map[int64]bool{}
	m.started = true
	m.high = int64(src) - 1
	if !m.used {
		m.next = int64(src)
	}
	m.changes, m.pending = 0, false
}

// at is the unrolled number: at most half the number space from the newest.
func (m *model) at(src uint16) int64 {
	ext := m.high - 32768
	return ext + int64(src-uint16(ext))
}

func (m *model) mapped(src uint16) (out int64, ok bool, excused bool) {
	if !m.started {
		return 0, false, false
	}
	ext := m.at(src)
	if ext > m.high {
		if m.pending {
			m.changes++
			m.pending = false
		}
		if lost := ext - m.high - 2*Window; lost > 0 { // too old as soon as they are known
			m.high += lost
			m.next += lost
		}
		for m.high < ext {
			m.high++
			m.numbered[m.high] = given{m.next, m.changes}
			m.next++
		}
		m.used = true
	}
	g, ok := m.numbered[ext]
	changes := m.changes
	if m.pending {
		changes++
	}
	excused = m.high-ext > Window || m.next-1-g.out > Window || changes-g.changes >= history
	return g.out, ok, excused
}

func (m *model) drop(src uint16) bool {
	if !m.started || m.at(src) != m.high+1 {
		return false
	}
	m.high++
	m.dropped[m.high] = true
	m.pending = true
	return true
}

func (m *model) skip(n uint16) (first int64) {
	if n == 0 {
		return m.next
	}
	first = m.next
	m.next += int64(n)
	m.used = true
	m.pending = m.started
	return first
}

// FuzzMap plays calls against the model. Each call is three bytes: which one,
// and its argument, relative to the newest source number for Map and Drop.
func FuzzMap(f *testing.F) {
	f.Add([]byte{0, 0, 10, 1, 0, 1, 1, 0, 2, 1, 0, 3})                                     // in order
	f.Add([]byte{0, 255, 254, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1})                         // over the wrap
	f.Add([]byte{0, 0, 10, 1, 0, 1, 2, 0, 1, 2, 0, 1, 1, 0, 1, 1, 255, 255, 1, 255, 253})  // drops, late
	f.Add([]byte{0, 0, 10, 1, 0, 3, 3, 0, 2, 1, 0, 1, 1, 255, 254, 0, 1, 0, 1, 0, 1})      // skip, switch
	f.Add([]byte{3, 0, 1, 0, 0, 0, 1, 127, 255, 1, 128, 0, 1, 0, 1, 3, 255, 255, 1, 0, 1}) // extremes
	f.Fuzz(func(t *testing.T, calls []byte) {
		var m Map
		ref := model{next: 1}
		calls = calls[:min(len(calls), 3*500)]
		jumps := 4 // the model is slow at them
		for ; len(calls) >= 3; calls = calls[3:] {
			arg := uint16(calls[1])<<8 | uint16(calls[2])
			relative := uint16(ref.high) + arg
			switch calls[0] % 4 {
			case 0:
				m.Switch(arg)
				ref.switchTo(arg)
			case 1:
				if arg >= 256 && arg < 1<<15 {
					if jumps--; jumps < 0 {
						return
					}
				}
				checkMap(t, &m, &ref, relative)
			case 2:
				if got, want := m.Drop(relative), ref.drop(relative); got != want {
					t.Fatalf("drop %d: %v, want %v", relative, got, want)
				}
			case 3:
				if got, want := m.Skip(arg), uint16(ref.skip(arg)); got != want {
					t.Fatalf("skip %d: %d, want %d", arg, got, want)
				}
			}
			last, ok := m.Last()
			if ok != ref.used || ok && last != uint16(ref.next-1) {
				t.Fatalf("last %d %v, want %d %v", last, ok, uint16(ref.next-1), ref.used)
			}
		}
	})
}

func checkMap(t *testing.T, m *Map, ref *model, src uint16) {
	t.Helper()
	out, ok := m.Map(src)
	want, known, excused := ref.mapped(src)
	switch {
	case ok && !known:
		t.Fatalf("map %d: %d, but it has no number", src, out)
	case ok && out != uint16(want):
		t.Fatalf("map %d: %d, want %d", src, out, uint16(want))
	case !ok && known && !excused:
		t.Fatalf("map %d: refused, want %d", src, uint16(want))
	case ok && excused && ref.next-1-want > Window:
		t.Fatalf("map %d: %d is more than %d behind", src, out, Window)
	}
}
