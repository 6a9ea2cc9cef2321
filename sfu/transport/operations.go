package transport

import "sync"

// operations is the queue of a transport's goroutine. It takes memory only for what
// waits: a transport is idle for nearly all of its life.
type operations struct {
	mu   sync.Mutex
	list []func() // guarded by mu; at most maxOps
}

// add is false if the queue is full.
func (q *operations) add(op func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) >= maxOps {
		return false
	}
	q.list = append(q.list, op)
	return true
}

// take returns the oldest operation, nil if none waits.
func (q *operations) take() func() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == 0 {
		return nil
	}
	op := q.list[0]
	q.list[0] = nil
	if q.list = q.list[1:]; len(q.list) == 0 {
		q.list = nil
	}
	return op
}
