package fanout

import "time"

// A worker takes the packets of a frame together: the state of a member is fetched
// once for all of them, and they can leave in one train. So a packet that is not
// the last of its frame waits for the others, though not long; sound never waits.

const (
	maxBundle = 32               // packets
	gatherFor = time.Millisecond // a packet waits no longer for the rest of its frame
)

// bundle is packets taken out of their rings and apart, to be forwarded together.
type bundle struct {
	n     int
	since time.Time // of the first; zero if there is none
	whole bool      // the newest is the last of its frame
	pkts  [maxBundle]Packet
	bufs  [maxBundle][maxPacket]byte
}

func (w *Worker) run() {
	defer w.pool.wg.Done()
	tick, pace, gather := time.NewTicker(tickEvery), time.NewTicker(paceEvery), time.NewTimer(gatherFor)
	defer tick.Stop()
	defer pace.Stop()
	defer gather.Stop()
	pacing := true
	for {
		if paced := len(w.awake) > 0; paced != pacing {
			if pacing = paced; paced {
				pace.Reset(paceEvery)
			} else {
				pace.Stop()
			}
		}
		media := true
		select {
		case fn := <-w.commands:
			fn()
			media = false // what it sent may wait for what others send
		case it := <-w.packets:
			if w.gather(it) {
				w.forward()
			} else {
				gather.Reset(gatherFor - time.Since(w.since))
				continue
			}
		case <-w.inbox.roused:
			w.hear()
		case now := <-pace.C:
			for l := range w.awake {
				if !l.Pace(now) {
					delete(w.awake, l)
				}
				w.flushIfFull()
			}
		case now := <-tick.C:
			for l := range w.lines {
				l.Tick(now)
				w.flushIfFull()
			}
		case <-gather.C:
			w.forward()
		case <-w.pool.done:
			return
		}
		if w.sender != nil && (media || len(w.commands) == 0) {
			w.sender.Flush()
		}
	}
}

// gather adds a packet and what waits behind it to the bundle, and tells whether to
// forward that now.
func (w *Worker) gather(it item) bool {
	for more := true; more; {
		w.take(it)
		if w.n == maxBundle {
			return true
		}
		select {
		case it = <-w.packets:
		default:
			more = false
		}
	}
	return w.n == 0 || w.whole || time.Since(w.since) >= gatherFor
}

// take adds a packet to the bundle, unless it is of no use.
func (w *Worker) take(it item) {
	if m := it.feed.members[w.index].Load(); m == nil || len(*m) == 0 {
		return
	}
	p, buf := &w.pkts[w.n], w.bufs[w.n][:]
	n, _ := it.feed.ring.At(it.slot, buf)
	if n == 0 {
		w.pool.Late.Add(1)
		return
	}
	if !w.Parse(it.feed, p, buf[:n]) {
		return
	}
	if w.n == 0 {
		w.since = time.Now()
	}
	p.Arrival = it.arrival
	w.whole = p.Whole
	w.n++
}

// forward gives the packets of the bundle to the members of their feeds.
func (w *Worker) forward() {
	if w.n == 0 {
		return
	}
	now := time.Now()
	for i := range w.n {
		w.pkts[i].Now = now
	}
	for i := range w.n {
		if feed := w.pkts[i].Feed; feed != nil {
			w.forwardFeed(feed, i)
		}
	}
	w.n, w.since = 0, time.Time{}
}

// forwardFeed gives its members all packets of a feed, of which the first is at i, and
// clears them.
func (w *Worker) forwardFeed(feed *Feed, i int) {
	if members := feed.members[w.index].Load(); members != nil {
		for _, m := range *members {
			for k := i; k < w.n; k++ {
				if p := &w.pkts[k]; p.Feed == feed {
					m.Forward(p)
				}
			}
			w.flushIfFull()
		}
	}
	for k := i; k < w.n; k++ {
		if p := &w.pkts[k]; p.Feed == feed {
			*p = Packet{} // or an idle worker keeps the ring of a stream that has ended
		}
	}
}

func (w *Worker) flushIfFull() {
	if w.sender != nil && w.sender.Full() {
		w.sender.Flush()
	}
}
