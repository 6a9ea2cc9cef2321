package transport

import (
	"errors"
	"io"
	"sync"
	_ "unsafe" // for go:linkname
)

// agentBuffers is where ICE agents take the buffers from into which they read, one for
// each address that is offered to each peer, 8 KB each and never less.
//
// Nothing that a peer may send is longer than receiveMTU, so they can be shorter. If
// a later version of the agent has no such pool, this names a pool that nobody uses.
//
//go:linkname agentBuffers github.com/pion/ice/v4.bufferPool
var agentBuffers sync.Pool

var shortBuffers sync.Once

// shortenBuffers has agents read into short buffers.
func shortenBuffers() {
	shortBuffers.Do(func() {
		agentBuffers.New = func() any {
			b := make([]byte, receiveMTU)
			return &b
		}
	})
}

// tooLong tells that a packet did not fit. It is dropped: an agent would read no more.
func tooLong(err error) bool { return errors.Is(err, io.ErrShortBuffer) }
