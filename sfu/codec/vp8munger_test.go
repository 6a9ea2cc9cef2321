package codec

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// picture is a descriptor with all fields and a 15-bit picture id.
func picture(id uint16, tl0, keyIdx uint8) VP8 {
	return VP8{
		X: true, I: true, L: true, T: true, K: true, PictureIDLong: true,
		PictureID: id, TL0PicIdx: tl0, KeyIdx: keyIdx,
	}
}

func shortPicture(id uint16) VP8 { return VP8{X: true, I: true, PictureID: id} }

func requireMapped(t *testing.T, m *VP8Munger, d VP8, pic uint16, tl0, keyIdx uint8) {
	t.Helper()
	gotPic, gotTL0, gotKey := m.Map(d)
	require.Equal(t, [3]int{int(pic), int(tl0), int(keyIdx)}, [3]int{int(gotPic), int(gotTL0), int(gotKey)})
}

func TestMungerFirstSource(t *testing.T) {
	for name, switched := range map[string]bool{"switched to": true, "mapped at once": false} {
		t.Run(name, func(t *testing.T) {
			var m VP8Munger
			if switched {
				m.Switch(picture(32766, 254, 30))
			}
			requireMapped(t, &m, picture(32766, 254, 30), 32766, 254, 30)
			requireMapped(t, &m, picture(32767, 255, 31), 32767, 255, 31)
			requireMapped(t, &m, picture(0, 0, 0), 0, 0, 0)
			requireMapped(t, &m, picture(32767, 255, 31), 32767, 255, 31)
			requireMapped(t, &m, picture(5, 2, 1), 5, 2, 1)
			requireMapped(t, &m, picture(3, 1, 0), 3, 1, 0)
		})
	}
}

func TestMungerSwitch(t *testing.T) {
	var m VP8Munger
	m.Switch(picture(100, 10, 3))
	requireMapped(t, &m, picture(100, 10, 3), 100, 10, 3)
	requireMapped(t, &m, picture(101, 11, 3), 101, 11, 3)
	requireMapped(t, &m, picture(100, 10, 3), 100, 10, 3) // late: does not move what follows

	m.Switch(picture(32767, 200, 31))
	for range 2 { // every packet of the picture
		requireMapped(t, &m, picture(32767, 200, 31), 102, 12, 4)
	}
	requireMapped(t, &m, picture(1, 202, 0), 104, 14, 5) // over the wrap of the source
	requireMapped(t, &m, picture(0, 201, 31), 103, 13, 4)

	m.Switch(picture(1, 202, 0)) // resumed after a pause
	requireMapped(t, &m, picture(1, 202, 0), 105, 15, 6)
}

func TestMungerOutputWraps(t *testing.T) {
	var m VP8Munger
	requireMapped(t, &m, picture(32767, 255, 31), 32767, 255, 31)
	m.Switch(picture(5, 5, 5))
	requireMapped(t, &m, picture(5, 5, 5), 0, 0, 0)
	requireMapped(t, &m, picture(6, 6, 5), 1, 1, 0)
}

func TestMungerShortPictureIDs(t *testing.T) {
	var m VP8Munger
	for id := range uint16(1000) {
		requireMapped(t, &m, shortPicture(id%128), id%128, 0, 0)
	}
	m.Switch(shortPicture(127))
	requireMapped(t, &m, shortPicture(127), 1000%128, 0, 0)
	requireMapped(t, &m, shortPicture(1), 1002%128, 0, 0)
	requireMapped(t, &m, shortPicture(0), 1001%128, 0, 0)
	m.Drop(shortPicture(2))
	requireMapped(t, &m, shortPicture(3), 1003%128, 0, 0)

	m.Switch(picture(20000, 9, 9)) // a source with long ids goes on from there
	requireMapped(t, &m, picture(20000, 9, 9), 1004, 9, 9)
}

// A field that a source does not have keeps its place until one has it again.
func TestMungerMissingFields(t *testing.T) {
	var m VP8Munger
	requireMapped(t, &m, picture(100, 10, 3), 100, 10, 3)
	m.Switch(VP8{})
	requireMapped(t, &m, VP8{}, 0, 0, 0)
	m.Drop(VP8{})
	m.Switch(picture(7, 7, 7))
	requireMapped(t, &m, picture(7, 7, 7), 101, 11, 4)
}

func TestMungerDrop(t *testing.T) {
	var m VP8Munger
	m.Drop(picture(99, 0, 0)) // before anything: nothing to close up to
	requireMapped(t, &m, picture(100, 10, 3), 100, 10, 3)
	for range 3 { // every packet of the picture
		m.Drop(picture(101, 10, 3))
	}
	m.Drop(picture(102, 10, 3))
	requireMapped(t, &m, picture(103, 11, 3), 101, 11, 3)
	m.Drop(picture(103, 11, 3)) // already on its way
	m.Drop(picture(102, 10, 3)) // late packet of a dropped picture
	requireMapped(t, &m, picture(104, 11, 3), 102, 11, 3)

	m.Drop(picture(106, 11, 3)) // 105 is lost and keeps its place
	requireMapped(t, &m, picture(107, 12, 3), 104, 12, 3)
	requireMapped(t, &m, picture(105, 11, 3), 103, 11, 3)
	requireMapped(t, &m, picture(100, 10, 3), 100, 10, 3)

	m.Switch(picture(9, 9, 9))
	m.Drop(picture(9, 9, 9))
	requireMapped(t, &m, picture(10, 10, 9), 105, 14, 4)
}

// Every second picture is dropped, for longer than ids and memory last.
func TestMungerDropForLong(t *testing.T) {
	var m VP8Munger
	for i := range 3 << 15 {
		requireMapped(t, &m, picture(uint16(2*i)&pictureIDMask, 0, 0), uint16(i)&pictureIDMask, 0, 0)
		m.Drop(picture(uint16(2*i+1)&pictureIDMask, 0, 0))
		if i >= droppedHistory-2 {
			back := droppedHistory - 2
			requireMapped(t, &m, picture(uint16(2*(i-back))&pictureIDMask, 0, 0), uint16(i-back)&pictureIDMask, 0, 0)
		}
	}
}

// FuzzVP8Munger plays sources in order against a count: each forwarded picture
// gets the next id whatever is switched, lost or dropped between (what is lost
// right before a switch leaves no gap), and the ids of the pictures seen since the
// switch do not change afterwards.
func FuzzVP8Munger(f *testing.F) {
	f.Add(uint16(100), []byte{1, 1, 2, 1, 0, 50, 1, 1, 3, 2, 1})
	f.Add(uint16(32767), []byte{1, 2, 2, 2, 1, 0, 255, 2, 1, 0, 0, 1, 1})
	f.Add(uint16(98), []byte{3, 0, 48, 1})
	f.Fuzz(func(t *testing.T, first uint16, calls []byte) {
		type sent struct {
			id, out uint16
			at      int // calls left
		}
		var m VP8Munger
		id := first & pictureIDMask
		requireMapped(t, &m, picture(id, 0, 0), id, 0, 0)
		recent := []sent{{id, id, len(calls)}}
		next, last := id, id // id given next minus 1, and newest id given
		for len(calls) > 0 {
			call := calls[0] % 4
			calls = calls[1:]
			if call == 0 && len(calls) > 0 { // another source, wherever its ids are
				id = uint16(calls[0]) * 129 & pictureIDMask
				m.Switch(picture(id, 0, 0))
				recent, next = nil, last
				continue
			}
			if recent != nil {
				id = (id + 1) & pictureIDMask
			}
			switch call {
			case 2:
				m.Drop(picture(id, 0, 0))
			case 3: // lost
				next = (next + 1) & pictureIDMask
			default:
				next = (next + 1) & pictureIDMask
				last = next
				if out, _, _ := m.Map(picture(id, 0, 0)); out != next {
					t.Fatalf("picture %d: %d, want %d", id, out, next)
				}
			}
			if recent == nil {
				recent = []sent{}
			}
			if call == 1 {
				recent = append(recent, sent{id, next, len(calls)})
			}
			for len(recent) > 0 && recent[0].at-len(calls) >= droppedHistory {
				recent = recent[1:]
			}
			for _, s := range recent {
				if out, _, _ := m.Map(picture(s.id, 0, 0)); out != s.out {
					t.Fatalf("picture %d again: %d, want %d", s.id, out, s.out)
				}
			}
		}
	})
}

func BenchmarkVP8Munger(b *testing.B) {
	var m VP8Munger
	b.ReportAllocs()
	for i := range b.N {
		m.Map(picture(uint16(i)&pictureIDMask, uint8(i), 0))
	}
}
