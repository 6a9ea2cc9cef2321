// Package rtpcache keeps the last packets of one RTP stream, so that each
// subscriber can read them when it is its turn, and again when it reports one
// lost (RFC 4585 section 6.2.1).
//
// A packet is copied in once and is afterwards known by its slot, a small
// number that is cheap to pass between goroutines. Packets lie one after the other
// in pages, so that the memory taken is that of the packets held, however small they
// are; pages go from one ring to another.
package rtpcache

import (
	"math/bits"
	"slices"
	"sync"
)

const (
	// MaxPacket is the largest packet a ring accepts, in bytes: the payload of
	// an Ethernet frame.
	MaxPacket = 1500

	// maxPackets bounds a ring, so that a sequence number that comes round
	// again (2^16) is a new packet and not one still kept.
	maxPackets = 1 << 15

	pageBytes = 8 << 10
)

// page holds packets, whole ones.
type page [pageBytes]byte

var pages = sync.Pool{New: func() any { return new(page) }}

// entry describes the packet in one place of the ring.
type entry struct {
	slot uint32
	prev uint32 // slot of the packet stored before in the same bucket
	page uint32 // number of its page
	at   uint16 // bytes of the page before it
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
	entries []entry  // by slot & mask; nil while there never was a packet since Clear
	buckets []uint32 // by seq & mask: slot of the newest packet, the others follow by prev
	pages   []*page  // the newest last
	first   uint32   // number of pages[0]
	used    int      // bytes of the newest page
	spare   *page    // nil or the next one
}

// New makes a ring of at least the given number of packets: the next power of
// two, between 1 and 32768.
func New(packets int) *Ring {
	packets = min(max(packets, 1), maxPackets)
	size := 1 << bits.Len(uint(packets-1))
	return &Ring{mask: uint32(size - 1), next: 1}
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
	if r.entries == nil {
		r.entries, r.buckets = make([]entry, r.mask+1), make([]uint32, r.mask+1)
	}
	slot = r.next
	bucket := &r.buckets[uint32(seq)&r.mask]
	if len(r.pages) == 0 || r.used+len(pkt) > pageBytes {
		r.addPageLocked()
	}
	newest := len(r.pages) - 1
	copy(r.pages[newest][r.used:], pkt)
	r.entries[slot&r.mask] = entry{
		slot: slot, prev: *bucket, page: r.first + uint32(newest), at: uint16(r.used), seq: seq, size: uint16(len(pkt)),
	}
	*bucket = slot
	r.used += len(pkt)
	r.next++
	r.count = min(r.count+1, r.mask+1)
	r.freePagesLocked(r.entries[(r.next-r.count)&r.mask].page)
	return slot, true
}

// Clear forgets all packets and gives their memory back.
func (r *Ring) Clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count = 0
	r.freePagesLocked(r.first + uint32(len(r.pages)))
	if r.spare != nil {
		pages.Put(r.spare)
	}
	r.spare, r.pages = nil, nil
	r.entries, r.buckets = nil, nil
}

// Next is the slot that the next packet will have.
func (r *Ring) Next() uint32 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.next
}

// Forget forgets the packets before a slot, and gives their memory back.
func (r *Ring) Forget(slot uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	held := r.next - slot
	if held >= r.count { // a slot that is not held: all of them are newer, or it is none
		return
	}
	r.count = held
	number := r.first + uint32(len(r.pages)) // all of them
	if held > 0 {
		number = r.entries[slot&r.mask].page
	}
	r.freePagesLocked(number)
}

func (r *Ring) addPageLocked() {
	p := r.spare
	if r.spare = nil; p == nil {
		p, _ = pages.Get().(*page)
	}
	r.pages = append(r.pages, p)
	r.used = 0
}

// freePagesLocked gives back the pages before the one of this number.
func (r *Ring) freePagesLocked(number uint32) {
	n := int(number - r.first)
	if n == 0 {
		return
	}
	for _, p := range r.pages[:n] {
		if r.spare == nil {
			r.spare = p
		} else {
			pages.Put(p)
		}
	}
	r.pages = slices.Delete(r.pages, 0, n)
	r.first = number
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
	if r.entries == nil {
		return nil
	}
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
	return copy(buf, r.pages[e.page-r.first][e.at:int(e.at)+size])
}
