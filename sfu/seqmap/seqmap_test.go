package seqmap

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// step is one call on a Map and what it must answer.
type step struct {
	call string // switch, map, lost (map refuses), drop, keep (drop refuses), skip
	arg  uint16
	want uint16
}

func run(t *testing.T, m *Map, steps []step) {
	t.Helper()
	for i, s := range steps {
		switch s.call {
		case "switch":
			m.Switch(s.arg)
		case "map":
			out, ok := m.Map(s.arg)
			require.True(t, ok, "step %d: map %d", i, s.arg)
			require.Equal(t, s.want, out, "step %d: map %d", i, s.arg)
		case "lost":
			_, ok := m.Map(s.arg)
			require.False(t, ok, "step %d: map %d", i, s.arg)
		case "drop", "keep":
			require.Equal(t, s.call == "drop", m.Drop(s.arg), "step %d: drop %d", i, s.arg)
		case "skip":
			require.Equal(t, s.want, m.Skip(s.arg), "step %d: skip %d", i, s.arg)
		default:
			t.Fatalf("step %d: unknown call %q", i, s.call)
		}
	}
}

func TestMap(t *testing.T) {
	tests := map[string][]step{
		"nothing before the first switch": {
			{"lost", 5, 0}, {"keep", 5, 0}, {"switch", 5, 0}, {"map", 5, 5},
		},
		"first source keeps its numbers": {
			{"switch", 1000, 0}, {"map", 1000, 1000}, {"map", 1001, 1001},
		},
		"wraparound": {
			{"switch", 65534, 0}, {"map", 65534, 65534}, {"map", 65535, 65535},
			{"map", 0, 0}, {"map", 65535, 65535}, {"map", 1, 1},
		},
		"loss stays visible and can be filled": {
			{"switch", 10, 0}, {"map", 10, 10}, {"map", 14, 14}, {"map", 12, 12}, {"map", 15, 15}, {"map", 11, 11},
		},
		"first packets of a source lost": {
			{"switch", 10, 0}, {"map", 12, 12}, {"map", 10, 10}, {"map", 11, 11}, {"lost", 9, 0},
		},
		"a duplicate gets the same number": {
			{"switch", 10, 0}, {"map", 10, 10}, {"map", 11, 11}, {"map", 10, 10}, {"map", 11, 11},
		},
		"switch continues": {
			{"switch", 10, 0}, {"map", 10, 10}, {"map", 11, 11},
			{"switch", 50000, 0}, {"map", 50000, 12}, {"map", 50001, 13}, {"lost", 49999, 0},
			{"switch", 3, 0}, {"map", 3, 14}, {"lost", 2, 0}, {"map", 5, 16}, {"map", 4, 15},
		},
		"switch twice before a packet": {
			{"switch", 10, 0}, {"map", 10, 10}, {"switch", 900, 0}, {"switch", 700, 0}, {"map", 700, 11},
		},
		"first switch twice before a packet": {
			{"switch", 10, 0}, {"switch", 700, 0}, {"map", 700, 700},
		},
		"switch in front of the wrap": {
			{"switch", 65535, 0}, {"map", 65535, 65535}, {"switch", 0, 0}, {"map", 0, 0}, {"lost", 65535, 0},
		},
		"drop closes the gap": {
			{"switch", 10, 0}, {"map", 10, 10}, {"drop", 11, 0}, {"drop", 12, 0}, {"map", 13, 11},
			{"lost", 11, 0}, {"lost", 12, 0}, {"map", 10, 10}, {"map", 13, 11}, {"map", 14, 12},
		},
		"late packets across drops": {
			{"switch", 10, 0}, {"map", 10, 10}, {"map", 12, 12}, {"drop", 13, 0}, {"map", 15, 14}, {"drop", 16, 0},
			{"map", 17, 15}, {"map", 14, 13}, {"map", 11, 11}, {"lost", 13, 0}, {"lost", 16, 0}, {"map", 18, 16},
		},
		"drop of the first packet of a source": {
			{"switch", 10, 0}, {"map", 10, 10}, {"switch", 70, 0}, {"drop", 70, 0}, {"map", 71, 11}, {"lost", 70, 0},
		},
		"drop only in order": {
			{"switch", 10, 0}, {"map", 10, 10}, {"keep", 12, 0}, {"keep", 10, 0}, {"keep", 9, 0},
			{"map", 13, 13}, {"keep", 11, 0}, {"map", 12, 12},
		},
		"drop over the wrap": {
			{"switch", 65534, 0}, {"map", 65534, 65534}, {"drop", 65535, 0}, {"drop", 0, 0}, {"map", 1, 65535}, {"map", 2, 0},
		},
		"skip": {
			{"switch", 10, 0}, {"map", 10, 10}, {"skip", 3, 11}, {"map", 11, 14}, {"map", 10, 10},
			{"skip", 0, 15}, {"map", 12, 15}, {"skip", 1, 16}, {"skip", 2, 17}, {"map", 14, 20}, {"map", 13, 19},
		},
		"skip behind a gap": {
			{"switch", 10, 0}, {"map", 10, 10}, {"map", 13, 13}, {"skip", 2, 14}, {"map", 14, 16}, {"map", 12, 12},
		},
		"skip and drop at one place": {
			{"switch", 10, 0}, {"map", 10, 10}, {"skip", 2, 11}, {"drop", 11, 0}, {"skip", 1, 13}, {"drop", 12, 0},
			{"map", 13, 14}, {"lost", 11, 0}, {"lost", 12, 0}, {"map", 10, 10},
		},
		"skip before the first source": {
			{"skip", 2, 1}, {"switch", 500, 0}, {"map", 500, 3},
		},
		"skip before the first packet of a source": {
			{"switch", 500, 0}, {"skip", 2, 500}, {"map", 500, 502}, {"switch", 9, 0}, {"skip", 1, 503}, {"map", 9, 504},
		},
		"too far behind at the source": {
			{"switch", 0, 0}, {"map", 0, 0}, {"map", Window, Window}, {"map", 0, 0}, {"map", Window + 1, Window + 1},
			{"lost", 0, 0}, {"map", 1, 1},
		},
		"too far behind on the way out": {
			{"switch", 0, 0}, {"map", 0, 0}, {"map", 1, 1}, {"skip", Window, 2}, {"lost", 0, 0}, {"map", 1, 1},
			{"skip", 60000, Window + 2}, {"lost", 1, 0},
		},
		"half the number space is behind": {
			{"switch", 0, 0}, {"map", 0, 0}, {"lost", 32768, 0}, {"map", 32767, 32767},
		},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			var m Map
			run(t, &m, steps)
		})
	}
}

func TestLast(t *testing.T) {
	var m Map
	_, ok := m.Last()
	require.False(t, ok)
	m.Switch(100)
	_, ok = m.Last()
	require.False(t, ok, "a switch hands out nothing")

	requireLast := func(want uint16) {
		t.Helper()
		last, ok := m.Last()
		require.True(t, ok)
		require.Equal(t, want, last)
	}
	run(t, &m, []step{{"map", 102, 102}, {"map", 101, 101}})
	requireLast(102)
	require.True(t, m.Drop(103))
	requireLast(102)
	require.Equal(t, uint16(103), m.Skip(5))
	requireLast(107)
	m.Switch(9)
	requireLast(107)
}

// A packet that comes late by fewer changes than are remembered is mapped, and
// refused, not misnumbered, beyond that.
func TestHistoryEnds(t *testing.T) {
	var m Map
	m.Switch(0)
	for i := range uint16(history) {
		src := 2 * i
		out, ok := m.Map(src)
		require.True(t, ok)
		require.Equal(t, i, out)
		require.True(t, m.Drop(src+1))
	}
	_, ok := m.Map(0)
	require.False(t, ok, "its offset was forgotten")
	out, ok := m.Map(2)
	require.True(t, ok)
	require.Equal(t, uint16(1), out)
}

// Numbers from before a switch are not looked up among the changes of the
// source before.
func TestHistoryOfEarlierSource(t *testing.T) {
	var m Map
	m.Switch(100)
	for i := range uint16(history) {
		_, ok := m.Map(100 + 2*i)
		require.True(t, ok)
		require.True(t, m.Drop(100+2*i+1))
	}
	m.Switch(150)
	run(t, &m, []step{{"map", 150, 100 + history}, {"drop", 151, 0}, {"map", 152, 101 + history}})
	for src := range uint16(150) {
		_, ok := m.Map(src)
		require.False(t, ok, "%d", src)
	}
}

// Age counts at the source too: a long run of dropped packets makes those
// before it too old, though few numbers were handed out.
func TestWindowOverDroppedRun(t *testing.T) {
	var m Map
	run(t, &m, []step{{"switch", 0, 0}, {"map", 0, 0}})
	for src := range uint16(Window - 1) {
		require.True(t, m.Drop(src+1))
	}
	run(t, &m, []step{{"map", Window, 1}, {"map", 0, 0}, {"map", Window + 1, 2}, {"lost", 0, 0}})
}

// An offset that has not changed for longer than the number space applies still.
func TestLongRun(t *testing.T) {
	var m Map
	m.Switch(7)
	require.True(t, m.Drop(7))
	for src := 8; src < 5<<16; src++ {
		out, ok := m.Map(uint16(src))
		require.True(t, ok)
		require.Equal(t, uint16(src-1), out)
	}
}

func BenchmarkMap(b *testing.B) {
	var m Map
	m.Switch(0)
	b.ReportAllocs()
	for i := range b.N {
		m.Map(uint16(i))
	}
}

// BenchmarkMapLate maps packets from before all remembered changes but one.
func BenchmarkMapLate(b *testing.B) {
	var m Map
	m.Switch(0)
	for i := range uint16(history - 1) {
		m.Map(2 * i)
		m.Drop(2*i + 1)
	}
	b.ReportAllocs()
	for range b.N {
		if _, ok := m.Map(0); !ok {
			b.Fatal("not mapped")
		}
	}
}
