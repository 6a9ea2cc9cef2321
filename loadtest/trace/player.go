package trace

import (
	"sync/atomic"
	"time"
)

// Sample is a frame as it is to be sent: with one timestamp, the marker on the last
// packet. It belongs to the player.
type Sample struct {
	// Payloads are those of the packets. They may be written into, behind the heads,
	// and are good until the next call of Next.
	Payloads [][]byte
	// Heads tells of each payload how many bytes at its beginning have a meaning. The
	// rest is filler.
	Heads []int
	// Offsets tells of each packet when it followed the first as it was recorded.
	Offsets []time.Duration
	// Ticks of 90 kHz is how much later than the frame before this one is.
	Ticks uint32
	Key   bool
}

// Player plays a layer for ever. Next belongs to one goroutine; RequestKeyFrame may be
// called from any.
type Player struct {
	layer     *Layer
	next      int // frame
	keyWanted atomic.Bool

	// What is added to the numbers of the recording, so that they go on over jumps, and
	// those of the frame before.
	pictureShift, picture uint16
	tl0Shift, tl0         uint8
	played                bool

	sample Sample
	buffer []byte
}

// Player returns one that begins with a key frame: the start-th of the layer, counted
// round and round, so that many players need not have theirs at the same time.
func (l *Layer) Player(start int) *Player {
	p := &Player{layer: l}
	bytes, packets := 0, 0
	var keys []int
	for i := range l.Frames {
		f := &l.Frames[i]
		if f.Key {
			keys = append(keys, i)
		}
		sum := 0
		for j := range f.Packets {
			sum += f.Packets[j].Size
		}
		bytes, packets = max(bytes, sum), max(packets, len(f.Packets))
	}
	p.next = keys[(start%len(keys)+len(keys))%len(keys)]
	p.buffer = make([]byte, bytes)
	p.sample = Sample{
		Payloads: make([][]byte, 0, packets), Heads: make([]int, 0, packets), Offsets: make([]time.Duration, 0, packets),
	}
	return p
}

// RequestKeyFrame makes the next frame a key frame: the player jumps to the next one of
// the recording.
func (p *Player) RequestKeyFrame() { p.keyWanted.Store(true) }

// Next returns the next frame. What it returned before is overwritten. It does not
// allocate.
func (p *Player) Next() *Sample {
	frames := p.layer.Frames
	at := p.next
	if p.keyWanted.Swap(false) {
		for !frames[at].Key {
			at = (at + 1) % len(frames)
		}
	}
	f := &frames[at]
	p.renumber(f, at == 0 || at != p.next)
	p.next = (at + 1) % len(frames)

	s := &p.sample
	s.Payloads, s.Heads, s.Offsets = s.Payloads[:0], s.Heads[:0], s.Offsets[:0]
	s.Ticks, s.Key = f.Ticks, f.Key
	rest := p.buffer
	for i := range f.Packets {
		packet := &f.Packets[i]
		payload := rest[:packet.Size:packet.Size]
		rest = rest[packet.Size:]
		n := copy(payload, packet.Head)
		fill(payload[n:], at+i)
		packet.renumber(payload, p.picture, p.tl0)
		s.Payloads = append(s.Payloads, payload)
		s.Heads = append(s.Heads, n)
		s.Offsets = append(s.Offsets, packet.Offset)
	}
	return s
}

// renumber sets the numbers of the frame. At a jump the picture id goes on by one, and
// so does TL0PICIDX, for a key frame is of the lowest temporal layer.
func (p *Player) renumber(f *Frame, jump bool) {
	first := &f.Packets[0]
	id, _ := first.pictureID()
	var tl0 uint8
	if first.at.tl0 != 0 {
		tl0 = first.Head[first.at.tl0]
	}
	if jump && p.played {
		p.pictureShift = p.picture + 1 - id
		p.tl0Shift = p.tl0 + 1 - tl0
	}
	p.played = true
	p.picture, p.tl0 = id+p.pictureShift, tl0+p.tl0Shift
}

// filler is what the bodies are made of: bytes as even as those of a codec, which no
// compression on the way makes shorter. Always the same.
var filler = func() (b [1<<14 + maxSize]byte) {
	x := uint32(2463534242)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}()

// fill writes the filler of the n-th place.
func fill(b []byte, n int) {
	copy(b, filler[n*509&(1<<14-1):])
}
