package bwe

const (
	// afterDrain is what of a path's measured rate is used once its queue is
	// gone; while it drains less is claimed.
	afterDrain  = 0.94
	whileDrains = 0.88
)

// judgeDelay looks at the queue after each report. threshold and calm are of
// before the report: a queue that grows must not pass for jitter.
func (e *Estimator) judgeDelay(now, threshold int64, calm spread) {
	queue, unexplained, packets := e.delays.least(detectSpan, detectMost, detectCount)
	switch {
	case e.state == draining:
		e.delays.spread = calm
		e.drain(now)
	case packets >= 3 && unexplained > threshold, e.delays.steep(threshold):
		e.congest(now, queue, calm)
	case queue < drained && !e.probe.active:
		e.raise(int64(headroom*float64(e.delays.rate(500*ms))), now)
	}
}

// congest begins a congestion: the target falls below what has arrived while
// the queue grew.
func (e *Estimator) congest(now, queue int64, calm spread) {
	e.congestions++
	e.state, e.delays.spread = draining, calm
	e.congestedAt, e.congestedBy = now, e.delays.newest().last
	e.before, e.queue = e.target, queue
	e.losses.ignore(now)
	rate, span := e.delays.busyRate(now)
	if span < 40*ms {
		if r := e.delays.rate(200 * ms); r > 0 {
			rate = r
		}
	}
	share := e.cautious()
	if rate == 0 {
		rate, share = e.target, 0.7
	}
	e.capacity = rate
	e.set(min(int64(share*float64(rate)), e.before*95/100))
}

// cautious is the share of the measured rate that is used while the queue
// drains: less where jitter makes the measurement uncertain.
func (e *Estimator) cautious() float64 {
	if e.delays.jitter > 2*ms {
		return whileDrains - 0.06
	}
	return whileDrains
}

// drain follows the queue until it is gone, and measures meanwhile.
func (e *Estimator) drain(now int64) {
	e.losses.ignore(now)
	queue, _, _ := e.delays.least(50*ms, detectMost, 2)
	e.queue = queue
	rate, span := e.delays.busyRate(e.congestedAt)
	if span >= 100*ms {
		e.capacity = rate
		e.set(min(int64(e.cautious()*float64(rate)), e.before*95/100))
	}
	if queue <= drained+min(int64(e.delays.jitter), 15*ms) {
		if span >= 150*ms {
			e.set(min(int64(afterDrain*float64(e.capacity)), e.before*95/100))
		}
		e.reopen(now)
		return
	}
	// Nothing of ours is left to wait behind, and yet the delay stays: it is the
	// path's, or somebody else's queue.
	since := e.congestedBy + e.rtt + 150*ms
	late, ok1 := e.delays.between(300*ms, 0, since)
	early, ok2 := e.delays.between(600*ms, 300*ms, since)
	if ok1 && ok2 && e.delays.newest().last-since > 500*ms && early-late < 10*ms {
		e.delays.rebase(e.delays.base+min(early, late), now)
		if now-e.restored > 10_000*ms {
			e.restored = now
			e.set(e.before * 9 / 10)
		}
		e.reopen(now)
	}
}

// reopen ends the congestion. The next probes wait, and go up gently.
func (e *Estimator) reopen(now int64) {
	e.state = open
	e.queue, e.backlog = 0, 0
	if e.probe.active {
		e.probe.failed(now)
	}
	e.probe.fast = false
	e.probe.fails = max(e.probe.fails, 1)
	e.probe.next = max(e.probe.next, now+backoff[0])
}
