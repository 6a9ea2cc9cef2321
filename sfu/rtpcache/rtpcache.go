// Package rtpcache keeps the last packets of one RTP stream, so that each
// subscriber can read them when it is its turn, and again when it reports one
// lost (RFC 4585 section 6.2.1).
//
// A packet is copied in once and is afterwards known by its slot, a small
// number that is cheap to pass between goroutines. Memory is fixed: it is taken
// in chunks as the ring first fills and never grows beyond that.
package rtpcache

import (
	"math/bits"
	"sync"
)

const (
	// MaxPacket is the largest packet a ring accepts, in bytes: the payload of
	// an Ethernet frame.
	MaxPacket = 1500

	// maxPackets bounds a ring, so that a sequence number that comes round
	// again (2^16) is a new packet and not one still kept.
	maxPackets = 1 << 15

	chunkPackets = 32 // packets whose memory is taken at once
)

// entry describes the packet in one place of the ring.
type entry struct {
	slot uint32
	prev uint32 // slot of the packet stored before in the same bucket
	seq  uint16
	size uint16 // bytes
}

// Ring holds the last packets stored. One goroutine stores; any number of
// others read at the same time.
type Ring struct {
	mask uint32

	mu      sync.RWMutex
	next    uint32   // slot of the packet stored next
	count   uint32   // packets held
	entries []entry  // by slot & mask
	buckets []uint32 // by seq & mask: slot of the newest packet, the others follow by prev
	chunks  [][]byte // by (slot & mask) / chunkPackets; nil until first used
}

// New makes a ring of at least the given number of packets: the next power of
// two, between 1 and 32768.
func New(packets int) *Ring {
	packets = min(max(packets, 1), maxPackets)
	size := 1 << bits.Len(uint(packets-1))
	return &Ring{
		mask:    uint32(size - 1),
		next:    1,
		entries: make([]entry, size),
		buckets: make([]uint32, size),
		chunks:  make([][]byte, (size+chunkPackets-1)/chunkPackets),
	}
}

// Store copies pkt into the ring in place of the oldest packet and returns its
// slot. The first slot is 1, each later one is one more (modulo 2^32). ok is
// false, and nothing is stored, if pkt is empty or larger than MaxPacket, or if
// a packet with this sequence number is still in the ring.
func (r *Ring) Store(seq uint16, pkt []byte) (slot uint32, ok bool) {
	if len(pkt) == 0 || len(pkt) > MaxPacket {
		return 0, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.findLocked(seq) != nil {
		return 0, false
	}
	slot = r.next
	bucket := &r.buckets[uint32(seq)&r.mask]
	r.entries[slot&r.mask] = entry{slot: slot, prev: *bucket, seq: seq, size: uint16(len(pkt))}
	*bucket = slot
	copy(r.memoryLocked(slot), pkt)
	r.next++
	r.count = min(r.count+1, r.mask+1)
	return slot, true
}

// At copies the packet in slot to buf and returns its length in bytes and its
// sequence number. n is 0 if the packet was overwritten, if there never was
// one, or if it does not fit into buf (MaxPacket bytes always suffice).
func (r *Ring) At(slot uint32, buf []byte) (n int, seq uint16) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if !r.heldLocked(slot) {
		return 0, 0
	}
	e := &r.entries[slot&r.mask]
	return r.copyLocked(e, buf), e.seq
}

// Get copies the packet with the given sequence number to buf and returns its
// length in bytes: 0 if the ring does not hold it or it does not fit into buf.
func (r *Ring) Get(seq uint16, buf []byte) (n int) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	e := r.findLocked(seq)
	if e == nil {
		return 0
	}
	return r.copyLocked(e, buf)
}

// ageLocked is how many packets were stored after the one in slot.
func (r *Ring) ageLocked(slot uint32) uint32 { return r.next - 1 - slot }

func (r *Ring) heldLocked(slot uint32) bool { return r.ageLocked(slot) < r.count }

// findLocked follows the bucket's packets from new to old. A slot number from
// before 2^32 others can look like a present one, so each step must lead to an
// older packet; that also bounds the walk.
func (r *Ring) findLocked(seq uint16) *entry {
	slot := r.buckets[uint32(seq)&r.mask]
	for r.heldLocked(slot) {
		e := &r.entries[slot&r.mask]
		if e.seq == seq {
			return e
		}
		if r.ageLocked(e.prev) <= r.ageLocked(slot) {
			return nil
		}
		slot = e.prev
	}
	return nil
}

func (r *Ring) copyLocked(e *entry, buf []byte) int {
	size := int(e.size)
	if len(buf) < size {
		return 0
	}
	return copy(buf, r.memoryLocked(e.slot)[:size])
}

// memoryLocked returns the MaxPacket bytes of a slot. Only Store, which holds
// the write lock, meets a chunk that is not there yet.
func (r *Ring) memoryLocked(slot uint32) []byte {
	at := slot & r.mask
	chunk := &r.chunks[at/chunkPackets]
	if *chunk == nil {
		*chunk = make([]byte, min(chunkPackets, len(r.entries))*MaxPacket)
	}
	start := at % chunkPackets * MaxPacket
	return (*chunk)[start : start+MaxPacket]
}
