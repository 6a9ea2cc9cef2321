package impair

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// maxHeld bounds the packets in one pipe, waiting or delayed: 12 MiB.
const maxHeld = 8192

// never is a time that does not come.
const never = time.Duration(1<<63 - 1)

// Drops counts the packets of one direction that were lost, by cause.
type Drops struct {
	Blocked        uint64 `json:"blocked"`
	Blackout       uint64 `json:"blackout"`
	Burst          uint64 `json:"burst"`
	GilbertElliott uint64 `json:"gilbertElliott"`
	Random         uint64 `json:"random"`
	Queue          uint64 `json:"queue"`    // found the bottleneck's queue full
	Overflow       uint64 `json:"overflow"` // more than a pipe holds: the specification asks too much
	Device         uint64 `json:"device"`   // the other side's device was down
}

// held is a packet in a pipe.
type held struct {
	bytes   []byte
	release time.Duration // when it leaves the pipe
	order   uint64        // of those that leave at the same time
}

// pipe is one direction of a link, without a clock or a device of its own: times
// are handed in and never go back. One goroutine uses it.
//
// A packet waits in queue until the bottleneck has sent it, then in line for its
// delay.
type pipe struct {
	up    bool
	rng   *rand.Rand
	is    Impairment
	since time.Duration // start of the phase

	queue      []held // before the bottleneck, oldest first
	queueBytes int
	headSent   time.Duration // when the bottleneck has sent queue[0]
	line       releaseHeap
	lastInLine time.Duration // release of the last packet that was not held back
	entered    uint64
	bad        bool // state of the Gilbert-Elliott model

	drops Drops
}

func newPipe(seed, stream uint64, up bool) *pipe {
	return &pipe{up: up, rng: rand.New(rand.NewPCG(seed, stream))} //nolint:gosec // G404: reproducible on purpose
}

// set begins a phase. What is in the pipe already is sent at the new rate.
func (p *pipe) set(now time.Duration, is Impairment) {
	p.advance(now)
	if is.Rate == 0 && len(p.queue) > 0 {
		p.headSent = now
	}
	if is.GilbertElliott == nil {
		p.bad = false
	}
	p.is, p.since = is, now
	p.advance(now)
}

// push puts a packet in. It keeps bytes unless it says that the packet is lost.
func (p *pipe) push(now time.Duration, bytes []byte) (kept bool) {
	p.advance(now)
	if cause := p.lost(now, bytes); cause != nil {
		*cause++
		return false
	}
	if len(p.queue)+len(p.line) >= maxHeld {
		p.drops.Overflow++
		return false
	}
	p.entered++
	packet := held{bytes: bytes, order: p.entered}
	if p.is.Rate == 0 {
		p.delay(now, packet)
		return true
	}
	// One packet always finds room, or a slow line with a short queue would pass none.
	if len(p.queue) > 0 && p.sending(p.queueBytes+len(bytes)) > p.is.Queue.std() {
		p.drops.Queue++
		return false
	}
	if len(p.queue) == 0 {
		p.headSent = now + p.sending(len(bytes))
	}
	p.queue = append(p.queue, packet)
	p.queueBytes += len(bytes)
	return true
}

// lost decides on everything but the queue; it gives the counter of the cause.
func (p *pipe) lost(now time.Duration, bytes []byte) *uint64 {
	if blocked(p.is.block, bytes, p.up) {
		return &p.drops.Blocked
	}
	if p.is.Blackout {
		return &p.drops.Blackout
	}
	if b := p.is.Burst; b != nil && (now-p.since)%b.Every.std() >= (b.Every-b.For).std() && p.chance(orAll(b.Loss)) {
		return &p.drops.Burst
	}
	if g := p.is.GilbertElliott; g != nil {
		change, loss := g.ToBad, g.LossGood
		if p.bad {
			change = g.ToGood
		}
		if p.chance(change) {
			p.bad = !p.bad
		}
		if p.bad {
			loss = orAll(g.LossBad)
		}
		if p.chance(loss) {
			return &p.drops.GilbertElliott
		}
	}
	if p.chance(p.is.Loss) {
		return &p.drops.Random
	}
	return nil
}

// next is when the pipe has something to do, or never.
func (p *pipe) next() time.Duration {
	at := never
	if len(p.queue) > 0 {
		at = p.headSent
	}
	if len(p.line) > 0 {
		at = min(at, p.line[0].release)
	}
	return at
}

// pop gives the next packet that is due, and when it was.
func (p *pipe) pop(now time.Duration) (bytes []byte, due time.Duration, ok bool) {
	p.advance(now)
	if len(p.line) == 0 || p.line[0].release > now {
		return nil, 0, false
	}
	packet, _ := heap.Pop(&p.line).(held)
	return packet.bytes, packet.release, true
}

// advance moves what the bottleneck has sent by now.
func (p *pipe) advance(now time.Duration) {
	sent := 0
	for sent < len(p.queue) && p.headSent <= now {
		packet := p.queue[sent]
		sent++
		p.queueBytes -= len(packet.bytes)
		p.delay(p.headSent, packet)
		if sent < len(p.queue) {
			p.headSent += p.sending(len(p.queue[sent].bytes))
		}
	}
	if sent > 0 {
		kept := copy(p.queue, p.queue[sent:])
		clear(p.queue[kept:])
		p.queue = p.queue[:kept]
	}
}

// delay puts a packet in line that left the bottleneck at the given time.
func (p *pipe) delay(at time.Duration, packet held) {
	at += p.is.Delay.std()
	if j := int64(p.is.Jitter); j > 0 {
		at += time.Duration(p.rng.Int64N(2*j+1) - j)
	}
	at = max(at, p.lastInLine)
	if p.chance(p.is.Reorder) {
		at += p.is.ReorderBy.std()
	} else {
		p.lastInLine = at
	}
	packet.release = at
	heap.Push(&p.line, packet)
}

// sending is how long the bottleneck takes for so many bytes.
func (p *pipe) sending(bytes int) time.Duration {
	if p.is.Rate == 0 {
		return 0
	}
	return time.Duration(int64(bytes) * 8 * int64(time.Second) / int64(p.is.Rate))
}

// chance is true with the given probability. It leaves the random numbers alone
// where there is nothing to decide.
func (p *pipe) chance(s Share) bool {
	return s > 0 && (s >= 1 || p.rng.Float64() < float64(s))
}

func orAll(s *Share) Share {
	if s == nil {
		return 1
	}
	return *s
}

// releaseHeap has the packet that leaves first on top.
type releaseHeap []held

func (h releaseHeap) Len() int { return len(h) }
func (h releaseHeap) Less(i, j int) bool {
	if h[i].release != h[j].release {
		return h[i].release < h[j].release
	}
	return h[i].order < h[j].order
}
func (h releaseHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push is for container/heap.
func (h *releaseHeap) Push(x any) {
	packet, _ := x.(held)
	*h = append(*h, packet)
}

// Pop is for container/heap.
func (h *releaseHeap) Pop() any {
	last := len(*h) - 1
	packet := (*h)[last]
	(*h)[last] = held{}
	*h = (*h)[:last]
	return packet
}
