package light

import (
	"container/heap"
	"sync"
	"time"
)

// Clock runs tasks at their times, one after the other in one goroutine: thousands of
// streams cost no timers and no switches of goroutines.
type Clock struct {
	mu    sync.Mutex
	tasks taskHeap // guarded by mu
	ended bool     // guarded by mu
	wake  chan struct{}
	wg    sync.WaitGroup
}

// task is something done again and again.
type task struct {
	at time.Time
	// run returns when it is to be called next; zero: never again.
	run func(now time.Time) time.Time

	running sync.Mutex // held while it runs
	stopped bool       // guarded by running
}

// NewClock starts a clock; Close ends it.
func NewClock() *Clock {
	c := &Clock{wake: make(chan struct{}, 1)}
	c.wg.Go(c.loop)
	return c
}

// add has run called at a time, and then when it says itself.
func (c *Clock) add(at time.Time, run func(now time.Time) time.Time) *task {
	t := &task{at: at, run: run}
	c.push(t)
	return t
}

func (c *Clock) push(t *task) {
	c.mu.Lock()
	heap.Push(&c.tasks, t)
	first := c.tasks[0] == t
	c.mu.Unlock()
	if first {
		c.rouse()
	}
}

func (c *Clock) rouse() {
	select {
	case c.wake <- struct{}{}:
	default: // it is about to look
	}
}

// stop ends the task. Once it has returned, the task does not run and will not. It is
// not to be called by the task itself. Of nil it does nothing.
func (t *task) stop() {
	if t == nil {
		return
	}
	t.running.Lock()
	t.stopped = true
	t.running.Unlock()
}

// Close ends the clock and waits for the task that runs.
func (c *Clock) Close() {
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	c.rouse()
	c.wg.Wait()
}

func (c *Clock) loop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		t, wait, ended := c.next()
		switch {
		case ended:
			return
		case t == nil:
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-c.wake:
			}
			continue
		}
		t.running.Lock()
		var again time.Time
		if !t.stopped {
			again = t.run(time.Now())
		}
		t.running.Unlock()
		if !again.IsZero() {
			t.at = again
			c.push(t)
		}
	}
}

// next takes the task that is due, or tells how long there is none.
func (c *Clock) next() (t *task, wait time.Duration, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil, 0, true
	}
	if len(c.tasks) == 0 {
		return nil, time.Hour, false
	}
	if wait = time.Until(c.tasks[0].at); wait > 0 {
		return nil, wait, false
	}
	t, _ = heap.Pop(&c.tasks).(*task)
	return t, 0, false
}

type taskHeap []*task

func (h taskHeap) Len() int           { return len(h) }
func (h taskHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h taskHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *taskHeap) Push(x any) {
	t, _ := x.(*task)
	*h = append(*h, t)
}

// Pop implements heap.Interface.
func (h *taskHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return t
}
