// Package fanout writes one received packet to many subscribers.
//
// A Feed is one received stream: a ring of packets, and the members that want
// them. A fixed number of Workers own the members; the reader of the stream
// posts the packet's slot to each worker that has members of the feed, and the
// worker takes the packet out of the ring once for all of them. A member's
// state is touched by its worker only, so the packet path takes no locks.
package fanout

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// Bounds of what waits for a worker.
const (
	maxPackets  = 8192 // packets; more are dropped and counted
	maxCommands = 4096 // commands; the caller waits for room
	tickEvery   = 50 * time.Millisecond
	paceEvery   = 2 * time.Millisecond
	maxPacket   = 1500 // bytes
)

// Egress takes the finished RTP and RTCP packets of one subscriber's stream and
// seals and sends them. It must not keep header or payload. Its methods are called
// by the worker of the stream only.
type Egress interface {
	WriteRTP(header *rtp.Header, payload []byte) error
	WriteRTCP(pkts []rtcp.Packet) error
	// UseRTX says, before the first packet and when it changes, which SSRC
	// retransmissions bear (RFC 4588); 0: a packet is sent again as it was.
	UseRTX(ssrc uint32)
	// Close is called after the last packet.
	Close()
}

// Sender is what a worker sends by: it gathers what the egresses of the worker's
// members take, and sends it when it is flushed.
type Sender interface {
	// Full tells whether so much waits that it should not wait for more.
	Full() bool
	Flush()
}

// Ring is where a feed's packets are: At copies the packet of a slot into buf
// and returns its length, 0 if it is gone.
type Ring interface {
	At(slot uint32, buf []byte) (n int, seq uint16)
}

// Member is one subscriber's stream. Its methods are called by its worker only.
type Member interface {
	Forward(p *Packet)
}

// Line is the way to one subscriber, shared by all its streams. Its methods are
// called by its worker only.
type Line interface {
	// Tick is called every 50 ms.
	Tick(now time.Time)
	// Pace is called every 2 ms from Wake on until it returns false.
	Pace(now time.Time) (again bool)
	// Told is given what Tell was, which it must not keep.
	Told(msg []byte, at time.Time)
}

// Feed is one received stream and its members.
type Feed struct {
	ring    Ring
	format  Format
	parsers []*Parser // by worker; each is its worker's own

	mu      sync.Mutex
	members []atomic.Pointer[[]Member] // by worker
}

// worker's queue entry: a packet of a feed.
type item struct {
	feed    *Feed
	slot    uint32
	arrival time.Time
}

// Pool is a fixed set of workers.
type Pool struct {
	workers []*Worker
	wg      sync.WaitGroup
	done    chan struct{}
	once    sync.Once

	Dropped atomic.Uint64 // packets dropped because a worker's queue was full
	Late    atomic.Uint64 // packets overwritten in the ring before the worker came to them
}

// Worker owns members. Its goroutine ends with the pool.
type Worker struct {
	pool     *Pool
	index    int
	packets  chan item
	commands chan func()
	load     atomic.Int32 // subscribers
	sender   Sender       // nil: what members send leaves at once
	inbox    inbox

	// Owned by run.
	lines map[Line]struct{}
	awake map[Line]struct{}
	bundle
	scratch Scratch
}

// New starts a pool of n workers. Each sends by what sender, if it is set, makes for
// it.
func New(n int, sender func() Sender, log *slog.Logger) *Pool {
	p := &Pool{done: make(chan struct{})}
	for i := range n {
		w := &Worker{
			pool: p, index: i,
			packets: make(chan item, maxPackets), commands: make(chan func(), maxCommands),
			lines: make(map[Line]struct{}), awake: make(map[Line]struct{}),
			inbox: inbox{roused: make(chan struct{}, 1)},
		}
		if sender != nil {
			w.sender = sender()
		}
		p.workers = append(p.workers, w)
		p.wg.Add(1)
		go w.run()
	}
	log.Debug("fan-out started", "workers", n)
	return p
}

// Close ends the workers and waits for them.
func (p *Pool) Close() {
	p.once.Do(func() { close(p.done) })
	p.wg.Wait()
}

// NewFeed makes the feed of a stream of the given format.
func (p *Pool) NewFeed(ring Ring, format Format) *Feed {
	return &Feed{
		ring: ring, format: format,
		members: make([]atomic.Pointer[[]Member], len(p.workers)), parsers: make([]*Parser, len(p.workers)),
	}
}

// Worker returns the worker with the fewest subscribers and counts one more on
// it, until Release.
func (p *Pool) Worker() *Worker {
	w := slices.MinFunc(p.workers, func(a, b *Worker) int { return int(a.load.Load() - b.load.Load()) })
	w.load.Add(1)
	return w
}

// Post hands a stored packet to every worker that has members of the feed. It
// never blocks.
func (p *Pool) Post(f *Feed, slot uint32, arrival time.Time) {
	for i := range f.members {
		if m := f.members[i].Load(); m == nil || len(*m) == 0 {
			continue
		}
		select {
		case p.workers[i].packets <- item{f, slot, arrival}:
		default:
			p.Dropped.Add(1)
		}
	}
}

// Do runs fn on the worker's goroutine; false if the pool is closed.
func (w *Worker) Do(fn func()) bool {
	select {
	case <-w.pool.done:
		return false
	default:
	}
	select {
	case w.commands <- fn:
		return true
	case <-w.pool.done:
		return false
	}
}

// Sender is what the worker sends by, nil if it has none.
func (w *Worker) Sender() Sender { return w.sender }

// Idle tells whether no packet waits for the worker or in it. Call it on the worker's
// goroutine.
func (w *Worker) Idle() bool { return len(w.packets) == 0 && w.n == 0 }

// Add makes l known to its worker, which ticks it from then on. Call it on the
// worker's goroutine.
func (w *Worker) Add(l Line) { w.lines[l] = struct{}{} }

// Remove forgets l. Call it on the worker's goroutine.
func (w *Worker) Remove(l Line) {
	delete(w.lines, l)
	delete(w.awake, l)
}

// Wake has l paced. Call it on the worker's goroutine.
func (w *Worker) Wake(l Line) { w.awake[l] = struct{}{} }

// Release gives back what Worker counted.
func (w *Worker) Release() { w.load.Add(-1) }

// Attach has m get the feed's packets from w.
func (f *Feed) Attach(w *Worker, m Member) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var next []Member
	if old := f.members[w.index].Load(); old != nil {
		if slices.Contains(*old, m) {
			return
		}
		next = slices.Clone(*old)
	}
	next = append(next, m)
	f.members[w.index].Store(&next)
}

// Detach ends that; a packet already on its way may still come.
func (f *Feed) Detach(w *Worker, m Member) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.members[w.index].Load()
	if old == nil {
		return
	}
	next := slices.DeleteFunc(slices.Clone(*old), func(x Member) bool { return x == m })
	f.members[w.index].Store(&next)
}

// Subscribers counts the members of the feed.
func (f *Feed) Subscribers() (n int) {
	for i := range f.members {
		if m := f.members[i].Load(); m != nil {
			n += len(*m)
		}
	}
	return n
}

// Parse takes buf apart, a packet of f; false if it is no RTP packet. Call it on
// the worker's goroutine.
func (w *Worker) Parse(f *Feed, p *Packet, buf []byte) bool {
	r := f.parsers[w.index]
	if r == nil {
		r = NewParser(f.format)
		f.parsers[w.index] = r
	}
	p.Feed = f
	return r.Parse(p, buf)
}

// DescriptorID is the header extension id of the dependency descriptors of the
// feed's packets, 0 if there are none.
func (f *Feed) DescriptorID() uint8 { return f.format.DescriptorID }
