package ballot

import (
	"context"
	"errors"
	"sync"
)

// maxKeys bounds how many keys wait in memory.
const maxKeys = 16

// ErrKeysClosed says that no more keys are made.
var ErrKeysClosed = errors.New("ballot: the keys have been closed")

// Keys makes keys ahead of time, so that opening a vote does not wait for one.
type Keys struct {
	ready chan made
	stop  chan struct{}
	done  chan struct{}
	once  sync.Once
}

type made struct {
	key *Key
	err error
}

// NewKeys keeps size keys ready, from 1 to 16 (others are cut to that), until Close.
func NewKeys(size int) *Keys { return newKeys(size, NewKey) }

func newKeys(size int, generate func() (*Key, error)) *Keys {
	size = min(max(size, 1), maxKeys)
	k := &Keys{
		ready: make(chan made, size-1), // the maker holds one more in its hand
		stop:  make(chan struct{}),
		done:  make(chan struct{}),
	}
	go k.make(generate)
	return k
}

// make runs until Close. A failure is handed out like a key: who waits is told,
// and a lasting failure does not become a busy loop.
func (k *Keys) make(generate func() (*Key, error)) {
	defer close(k.done)
	for {
		key, err := generate()
		select {
		case k.ready <- made{key, err}:
		case <-k.stop:
			if err == nil {
				key.Wipe()
			}
			return
		}
	}
}

// Take gives a key to the caller, who wipes it in the end. It waits when none is
// ready. Errors: of ctx, of the system's randomness, ErrKeysClosed.
func (k *Keys) Take(ctx context.Context) (*Key, error) {
	select {
	case <-k.stop:
		return nil, ErrKeysClosed
	default:
	}
	select {
	case m := <-k.ready:
		return m.key, m.err
	case <-k.stop:
		return nil, ErrKeysClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Close ends the making, waits for the key at work and wipes what nobody took.
func (k *Keys) Close() {
	k.once.Do(func() { close(k.stop) })
	<-k.done
	for {
		select {
		case m := <-k.ready:
			if m.err == nil {
				m.key.Wipe()
			}
		default:
			return
		}
	}
}
