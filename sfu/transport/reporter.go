package transport

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/pion/rtcp"
)

// Reports to publishers are due at times of their own. One goroutine looks after all of
// them, in turns, so that not all are sent at once.
const (
	reportTick  = 10 * time.Millisecond
	reportTurns = 2
)

// ErrAsked says that a publisher, or all of them, was asked for so much lately that this is not
// asked for.
var ErrAsked = errors.New("transport: too much was asked of the publisher")

// asked is what a publisher is asked for at once.
type asked struct {
	of   *receiving
	pkts []rtcp.Packet
}

const maxAsked = 1024 // that wait; beyond, they are dropped, and asked again when overdue

// reporter has publishers told what is due. It sleeps while there are none.
type reporter struct {
	mu    sync.Mutex
	turns [reportTurns][]*receiving // guarded by mu; a list is not changed, but replaced
	n     int                       // guarded by mu

	asked  chan asked
	roused chan struct{}
	done   chan struct{}
	once   sync.Once
	wg     sync.WaitGroup
}

func newReporter() *reporter {
	r := &reporter{asked: make(chan asked, maxAsked), roused: make(chan struct{}, 1), done: make(chan struct{})}
	r.wg.Add(1)
	go r.run()
	return r
}

func (r *reporter) close() {
	r.once.Do(func() { close(r.done) })
	r.wg.Wait()
}

func (r *reporter) add(p *receiving) {
	r.mu.Lock()
	defer r.mu.Unlock()
	turn := &r.turns[0]
	for i := range r.turns {
		if len(r.turns[i]) < len(*turn) {
			turn = &r.turns[i]
		}
	}
	*turn = append(slices.Clone(*turn), p)
	r.n++
	select {
	case r.roused <- struct{}{}:
	default:
	}
}

func (r *reporter) remove(p *receiving) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, list := range r.turns {
		if k := slices.Index(list, p); k >= 0 {
			r.turns[i] = slices.Delete(slices.Clone(list), k, k+1)
			r.n--
		}
	}
}

// ask sends packets to a publisher soon, or returns ErrAsked.
func (r *reporter) ask(of *receiving, pkts []rtcp.Packet) error {
	if !of.asks.Allow() {
		return ErrAsked
	}
	select {
	case r.asked <- asked{of, pkts}:
		return nil
	default:
		return ErrAsked
	}
}

// turn gives those who are told now, and whether there is anybody at all.
func (r *reporter) turn(i int) (list []*receiving, some bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.turns[i%reportTurns], r.n > 0
}

func (r *reporter) run() {
	defer r.wg.Done()
	tick := time.NewTicker(reportTick)
	defer tick.Stop()
	next, ticking := 0, true
	for {
		select {
		case a := <-r.asked:
			a.of.write(a.pkts)
		case <-r.roused:
			if !ticking {
				tick.Reset(reportTick)
				ticking = true
			}
		case now := <-tick.C:
			list, some := r.turn(next)
			next++
			for _, p := range list {
				p.tell(now)
			}
			if !some {
				tick.Stop()
				ticking = false
			}
		case <-r.done:
			return
		}
	}
}
