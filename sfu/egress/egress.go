// Package egress seals what is sent to subscribers and sends it in trains: the
// packets for one destination that are ready at the same time leave as segments of
// one buffer, and all trains of a worker in one system call.
//
// A packet's journey: a DownTrack writes header and payload to its Writer, which
// lays them, in the clear, into the buffer of its peer's Outlet. When the worker has
// nothing more to do at once, it flushes its Shard: every Outlet that has packets
// makes trains of them (packets that differ by a few bytes are padded to one size,
// RFC 3550 section 5.1, for all segments but the last must be equal), seals them in
// place, and hands them to the batch of the socket that its route names.
//
// All of it belongs to one fan-out worker and takes no locks.
package egress

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"

	"diemcau/sfu/udp"
)

const (
	bufferSize = 16 << 10  // bytes; one frame of a camera, mostly
	maxBuffers = 512       // kept for the next flush; more are left to the garbage collector
	maxPending = 256 << 10 // bytes after which a shard should be flushed; it waits for four times as many
)

// Errors of a Writer.
var (
	ErrClosed = errors.New("egress: closed")
	ErrSize   = errors.New("egress: packet too large")
)

// Route is the way to a peer: through a media socket, or through a connection of
// another kind (ICE-TCP), which takes packets one by one.
type Route struct {
	Socket *udp.Conn
	To     netip.AddrPort

	Packets net.PacketConn // instead of Socket
	Addr    net.Addr
}

// Counters are shared by all shards of a node.
type Counters struct {
	Packets atomic.Uint64 // sealed and handed to a socket
	Dropped atomic.Uint64 // not sent: no route, refused by the socket, or unsealable
	Trains  atomic.Uint64 // system-call entries that carried them
}

// Shard is what one fan-out worker sends by.
type Shard struct {
	log   *slog.Logger
	count *Counters

	dirty   []*Outlet
	batches map[*udp.Conn]*udp.Batch
	busy    []*udp.Batch // that have something to send
	used    [][]byte     // buffers of the flush under way
	free    [][]byte
	pending int // bytes
	failed  func(ref any, datagrams int, err error)
}

// NewShard makes what one worker sends by.
func NewShard(count *Counters, log *slog.Logger) *Shard {
	s := &Shard{log: log, count: count, batches: make(map[*udp.Conn]*udp.Batch)}
	s.failed = func(ref any, datagrams int, err error) {
		if o, ok := ref.(*Outlet); ok {
			o.lost(datagrams, err)
		}
	}
	return s
}

// Full tells whether so much waits that it should leave.
func (s *Shard) Full() bool { return s.pending > maxPending }

// Flush sends what was written since the last time.
func (s *Shard) Flush() {
	for i, o := range s.dirty {
		o.pack()
		o.dirty = false
		s.dirty[i] = nil
	}
	s.dirty = s.dirty[:0]
	for i, b := range s.busy {
		b.Flush(s.failed)
		s.busy[i] = nil
	}
	s.busy = s.busy[:0]
	for i, b := range s.used {
		if len(s.free) < maxBuffers {
			s.free = append(s.free, b)
		}
		s.used[i] = nil
	}
	s.used = s.used[:0]
	s.pending = 0
}

// buffer lends an empty buffer until the flush.
func (s *Shard) buffer() []byte {
	var b []byte
	if n := len(s.free); n > 0 {
		b, s.free = s.free[n-1], s.free[:n-1]
	} else {
		b = make([]byte, 0, bufferSize)
	}
	s.used = append(s.used, b)
	return b
}

// batch is that of a socket, to be flushed.
func (s *Shard) batch(c *udp.Conn) *udp.Batch {
	b := s.batches[c]
	if b == nil {
		b = c.NewBatch()
		s.batches[c] = b
	}
	for _, x := range s.busy {
		if x == b {
			return b
		}
	}
	s.busy = append(s.busy, b)
	return b
}
