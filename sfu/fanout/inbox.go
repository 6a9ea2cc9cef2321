package fanout

import (
	"sync"
	"time"
)

// maxInbox is how many bytes of what subscribers say may wait for a worker.
const maxInbox = 1 << 20

// roomyInbox is how many bytes are kept for what will be said next.
const roomyInbox = 64 << 10

// inbox is what subscribers said and their worker has not yet heard. It comes in small
// pieces, thousands a second from a large room, so a worker is woken once for all that
// came meanwhile, and nothing is allocated.
type inbox struct {
	roused chan struct{}

	mu      sync.Mutex
	letters []letter // guarded by mu
	text    []byte   // guarded by mu

	// Of the worker, in turn with the others.
	spareLetters []letter
	spareText    []byte
}

// letter is one piece, of the text up to end.
type letter struct {
	to  Line
	at  time.Time
	end int
}

// Tell has the worker hand msg, which it copies, to l, with when it came; false if too
// much waits already. It never blocks, and may be called by anybody.
func (w *Worker) Tell(l Line, msg []byte, at time.Time) bool {
	b := &w.inbox
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.text)+len(msg) > maxInbox {
		return false
	}
	b.text = append(b.text, msg...)
	b.letters = append(b.letters, letter{l, at, len(b.text)})
	if len(b.letters) == 1 {
		select {
		case b.roused <- struct{}{}:
		default: // it has not looked since the last time
		}
	}
	return true
}

// hear hands out what waits.
func (w *Worker) hear() {
	b := &w.inbox
	b.mu.Lock()
	letters, text := b.letters, b.text
	b.letters, b.text = b.spareLetters[:0], b.spareText[:0]
	b.mu.Unlock()
	from := 0
	for i, l := range letters {
		l.to.Told(text[from:l.end], l.at)
		from = l.end
		letters[i] = letter{}
	}
	b.spareLetters, b.spareText = letters, text
	if cap(text) > roomyInbox {
		b.spareLetters, b.spareText = nil, nil
	}
}
