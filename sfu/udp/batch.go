package udp

import (
	"net/netip"
	"syscall"
)

// Bounds of a train that the kernel cuts: UDP_MAX_SEGMENTS of older kernels, and
// a length that fits an IP packet with its headers (65,507 bytes are left in IPv4).
const (
	maxSegments = 64
	maxTrain    = 65_000 // bytes
)

// train is datagrams for one destination, which leave together if possible.
type train struct {
	to   netip.AddrPort
	p    []byte
	size int // bytes of each datagram but the last, which may have fewer
	ref  any
	rest bool // goes on with the train before it, which was too long
	lost int  // datagrams that did not leave
	err  error
}

func (t *train) datagrams() int { return (len(t.p) + t.size - 1) / t.size }

func (t *train) fail(datagrams int, err error) {
	t.lost += datagrams
	if t.err == nil {
		t.err = err
	}
}

// sender sends trains, each tried whatever becomes of the others, without ever
// waiting; it skips those that have failed already and records what fails. It
// returns how many system calls it made, or an error if it could not begin.
type sender interface {
	send(trains []train) (calls int, err error)
}

// Batch gathers datagrams that one goroutine sends. Several batches of one Conn
// may be flushed at the same time. What it holds is bounded by its user, who
// flushes it.
type Batch struct {
	conn   *Conn
	sender sender
	trains []train
}

// NewBatch returns an empty batch.
func (c *Conn) NewBatch() *Batch { return &Batch{conn: c, sender: c.path.newSender()} }

// Add queues a train: p is sent to the destination as datagrams of size bytes,
// the last of which may be shorter; size 0 or above len(p): as one datagram. An
// empty p is nothing. p must stay as it is until Flush returns. ref comes back if
// datagrams fail; it should be a pointer, which does not allocate.
func (b *Batch) Add(to netip.AddrPort, p []byte, size int, ref any) {
	if len(p) == 0 {
		return
	}
	if size <= 0 || size > len(p) {
		size = len(p)
	}
	t := train{to: unmap(to), size: size, ref: ref}
	most := size * min(maxSegments, max(1, maxTrain/size))
	for ; len(p) > 0; t.rest = true {
		t.p = p[:min(most, len(p))]
		p = p[len(t.p):]
		if t.err, t.lost = nil, 0; !b.conn.reaches(t.to) {
			t.fail(t.datagrams(), syscall.EAFNOSUPPORT)
		}
		b.trains = append(b.trains, t)
	}
}

// Flush sends what was added, without waiting for room in the socket's buffer.
// failed, if not nil, is called for each train of which datagrams did not leave,
// with the train's ref, how many they were, and why the first of them failed: a
// syscall.Errno, EAGAIN if the buffer was full, or net.ErrClosed. It must not use
// the batch.
func (b *Batch) Flush(failed func(ref any, datagrams int, err error)) {
	if len(b.trains) == 0 {
		return
	}
	calls, err := b.sender.send(b.trains)
	all, lost, of := 0, 0, 0 // datagrams; of: lost ones of the train that is summed up
	var cause error
	for i := range b.trains {
		t := &b.trains[i]
		if err != nil && t.err == nil {
			t.fail(t.datagrams(), err)
		}
		all += t.datagrams()
		lost += t.lost
		if of += t.lost; cause == nil {
			cause = t.err
		}
		if i+1 < len(b.trains) && b.trains[i+1].rest {
			continue
		}
		if of > 0 && failed != nil {
			failed(t.ref, of, cause)
		}
		of, cause = 0, nil
	}
	clear(b.trains)
	b.trains = b.trains[:0]
	b.conn.sendCalls.Add(uint64(calls))
	b.conn.sent.Add(uint64(all - lost))
	if lost > 0 {
		b.conn.failed.Add(uint64(lost))
	}
}
