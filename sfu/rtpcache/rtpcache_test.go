package rtpcache

import (
	"bytes"
	"encoding/binary"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// packet makes size bytes that differ by seq, from the first to the last.
func packet(seq uint16, size int) []byte {
	pkt := make([]byte, size)
	for i := range pkt {
		pkt[i] = byte(int(seq>>(8*(i&1))) + i/2)
	}
	return pkt
}

func store(t *testing.T, r *Ring, seq uint16, pkt []byte) uint32 {
	t.Helper()
	slot, ok := r.Store(seq, pkt)
	require.True(t, ok, "store %d", seq)
	return slot
}

func requireHeld(t *testing.T, r *Ring, slot uint32, seq uint16, pkt []byte) {
	t.Helper()
	var buf [MaxPacket]byte
	n, got := r.At(slot, buf[:])
	require.Equal(t, seq, got)
	require.Equal(t, pkt, buf[:n])
	clear(buf[:])
	n = r.Get(seq, buf[:])
	require.Equal(t, pkt, buf[:n])
}

func requireGone(t *testing.T, r *Ring, slot uint32, seq uint16) {
	t.Helper()
	var buf [MaxPacket]byte
	n, _ := r.At(slot, buf[:])
	require.Zero(t, n, "slot %d", slot)
	require.Zero(t, r.Get(seq, buf[:]), "seq %d", seq)
}

func TestSizes(t *testing.T) {
	for packets, want := range map[int]int{-1: 1, 0: 1, 1: 1, 2: 2, 3: 4, 64: 64, 65: 128, 512: 512, 1 << 20: 1 << 15} {
		r := New(packets)
		for seq := range want + 1 {
			slot := store(t, r, uint16(seq), []byte{byte(seq)})
			require.Equal(t, uint32(seq+1), slot)
		}
		requireGone(t, r, 1, 0)
		requireHeld(t, r, 2, 1, []byte{1})
	}
}

func TestStore(t *testing.T) {
	r := New(64)
	requireGone(t, r, 0, 0)
	requireGone(t, r, 1, 0)

	// Out of order, over the wrap, from the smallest to the largest.
	seqs := []uint16{65534, 1, 65535, 0, 3}
	sizes := []int{1, 2, 100, 1200, MaxPacket}
	for i, seq := range seqs {
		require.Equal(t, uint32(i+1), store(t, r, seq, packet(seq, sizes[i])))
	}
	for i, seq := range seqs {
		requireHeld(t, r, uint32(i+1), seq, packet(seq, sizes[i]))
	}
	requireGone(t, r, 6, 2)
	requireGone(t, r, 0, 4)
}

func TestStoreRefuses(t *testing.T) {
	r := New(4)
	store(t, r, 7, packet(7, 10))
	for name, refused := range map[string]struct {
		seq uint16
		pkt []byte
	}{
		"empty":     {8, nil},
		"too large": {8, packet(8, MaxPacket+1)},
		"duplicate": {7, packet(9, 10)},
	} {
		_, ok := r.Store(refused.seq, refused.pkt)
		require.False(t, ok, name)
	}
	requireHeld(t, r, 1, 7, packet(7, 10))
	requireGone(t, r, 2, 8)

	for seq := range uint16(3) {
		store(t, r, seq, packet(seq, 10))
	}
	_, ok := r.Store(7, packet(7, 10))
	require.False(t, ok, "the oldest packet is still held")
	store(t, r, 3, packet(3, 10))
	require.Equal(t, uint32(6), store(t, r, 7, packet(7, 20)), "it was overwritten")
	requireHeld(t, r, 6, 7, packet(7, 20))
}

// All packets of one bucket are found, not only the newest.
func TestSameBucket(t *testing.T) {
	r := New(8)
	for i := range uint16(20) {
		store(t, r, i*8, packet(i*8, 5))
		for j := range i + 1 {
			if i-j < 8 {
				requireHeld(t, r, uint32(j)+1, j*8, packet(j*8, 5))
			} else {
				requireGone(t, r, uint32(j)+1, j*8)
			}
		}
	}
}

func TestShortBuffer(t *testing.T) {
	r := New(4)
	slot := store(t, r, 9, packet(9, 100))
	n, _ := r.At(slot, make([]byte, 99))
	require.Zero(t, n)
	require.Zero(t, r.Get(9, make([]byte, 99)))
	require.Equal(t, 100, r.Get(9, make([]byte, 100)))
}

// Slots wrap at 2^32; what the buckets still say of the slots before that is
// not mistaken for the present ones.
func TestSlotWrap(t *testing.T) {
	r := New(4)
	for seq := range uint16(4) {
		store(t, r, 100+seq, packet(seq, 8)) // slots 1 to 4
	}
	r.next, r.count = 1<<32-2, 0 // as if nearly all other slots had been used since
	want := uint32(1<<32 - 2)
	for seq := range uint16(12) {
		slot := store(t, r, 200+4*seq, packet(seq, 8)) // one bucket; the others keep their old slots
		require.Equal(t, want, slot)
		want++
		for back := range min(seq+1, 4) {
			requireHeld(t, r, slot-uint32(back), 200+4*(seq-back), packet(seq-back, 8))
		}
		for old := range uint16(4) {
			var buf [MaxPacket]byte
			require.Zero(t, r.Get(100+old, buf[:]))
		}
	}
}

// Memory is taken when packets come and not per packet.
func TestMemory(t *testing.T) {
	r := New(512)
	require.Empty(t, r.pages)
	store(t, r, 0, packet(0, 10))
	require.Len(t, r.pages, 1)

	for seq := range uint16(512) {
		r.Store(seq+1, packet(seq, 10))
	}
	seq, pkt, buf := uint16(1000), packet(3, 1200), make([]byte, MaxPacket)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		slot, _ := r.Store(seq, pkt)
		r.At(slot, buf)
		r.Get(seq, buf)
		seq++
	}))
	require.LessOrEqual(t, len(r.pages), 512*1200/pageBytes*7/6, "pages are kept for packets that are gone")
	for range 600 {
		r.Store(seq, packet(seq, 100))
		seq++
	}
	require.LessOrEqual(t, len(r.pages), 512*100/pageBytes+2)
}

func TestClear(t *testing.T) {
	r := New(64)
	buf := make([]byte, MaxPacket)
	r.Clear()
	for round := range uint16(5) {
		var slots []uint32
		for seq := range uint16(100) {
			slot, ok := r.Store(seq, packet(seq+round, 700))
			require.True(t, ok)
			slots = append(slots, slot)
		}
		require.Equal(t, 700, r.Get(99, buf))
		require.Equal(t, packet(99+round, 700), buf[:700])
		r.Clear()
		require.Empty(t, r.pages)
		for seq, slot := range slots {
			require.Zero(t, r.Get(uint16(seq), buf))
			n, _ := r.At(slot, buf)
			require.Zero(t, n)
		}
	}
}

// Readers never see a packet that is half of one and half of another, at any
// distance from the writer.
func TestForget(t *testing.T) {
	r := New(64)
	for seq := range uint16(64) {
		store(t, r, seq, packet(seq, 1000))
	}
	held := func() int {
		r.mu.RLock()
		defer r.mu.RUnlock()
		return len(r.pages)
	}
	require.Equal(t, 8, held())
	r.Forget(41)
	require.Equal(t, 3, held())
	requireGone(t, r, 40, 39)
	requireHeld(t, r, 41, 40, packet(40, 1000))
	r.Forget(20)
	r.Forget(r.Next() + 1)
	requireHeld(t, r, 41, 40, packet(40, 1000))
	r.Forget(r.Next())
	require.Zero(t, held())
	requireGone(t, r, 64, 63)
	require.Equal(t, uint32(65), store(t, r, 63, packet(63, 1000)), "it may come again")
	requireHeld(t, r, 65, 63, packet(63, 1000))
}

func TestConcurrentReaders(t *testing.T) {
	const total, readers = 20000, 4
	r := New(16)
	slots := make([]chan uint32, readers)
	var wg sync.WaitGroup
	for i := range slots {
		slots[i] = make(chan uint32, 24) // more than the ring holds: some are overwritten
		wg.Go(func() {
			var buf [MaxPacket]byte
			for slot := range slots[i] {
				n, seq := r.At(slot, buf[:])
				if n > 0 && seq != uint16(slot) || !whole(buf[:n], uint16(slot)) {
					t.Errorf("slot %d: seq %d, %d bytes", slot, seq, n)
				}
				n = r.Get(uint16(slot)-3, buf[:])
				if !whole(buf[:n], uint16(slot)-3) {
					t.Errorf("seq %d: %d bytes", uint16(slot)-3, n)
				}
			}
		})
	}
	buf := make([]byte, MaxPacket)
	for i := range uint32(total) {
		seq := uint16(i + 1)
		slot, ok := r.Store(seq, fill(buf, seq))
		if !ok || slot != i+1 {
			t.Errorf("store %d: slot %d, %v", seq, slot, ok)
		}
		for _, ch := range slots {
			ch <- slot
		}
	}
	for _, ch := range slots {
		close(ch)
	}
	wg.Wait()
}

// fill makes a packet whose size and bytes all follow from seq.
func fill(buf []byte, seq uint16) []byte {
	pkt := buf[:100+seq%1000]
	for i := 0; i+2 <= len(pkt); i += 2 {
		binary.BigEndian.PutUint16(pkt[i:], seq)
	}
	return pkt
}

// whole tells whether pkt is empty or what fill made for seq.
func whole(pkt []byte, seq uint16) bool {
	if len(pkt) == 0 {
		return true
	}
	if len(pkt) != 100+int(seq%1000) {
		return false
	}
	for i := 0; i+2 <= len(pkt); i += 2 {
		if binary.BigEndian.Uint16(pkt[i:]) != seq {
			return false
		}
	}
	return true
}

// FuzzRing stores packets as the input says, two bytes of sequence number and
// one of size each, and compares with a plain list of the last ones.
func FuzzRing(f *testing.F) {
	f.Add(uint8(4), []byte{0, 1, 10, 0, 2, 20, 0, 1, 5, 0, 9, 0, 255, 255, 7, 0, 17, 3})
	f.Add(uint8(0), []byte{0, 1, 10, 0, 2, 20, 0, 1, 5})
	f.Add(uint8(63), bytes.Repeat([]byte{1, 0, 1, 5, 0, 2}, 70))
	f.Add(uint8(8), []byte{0, 1, 200, 0, 2, 200, 0, 3, 200, 0, 0, 0xfe, 0, 4, 200, 0, 0, 0xfc, 0, 1, 200, 0, 0, 0xfd, 0, 1, 9, 0, 0, 0xfb})
	f.Fuzz(func(t *testing.T, packets uint8, calls []byte) {
		type held struct {
			slot uint32
			seq  uint16
			pkt  []byte
		}
		r := New(int(packets))
		var list []held
		var buf [MaxPacket]byte
		for ; len(calls) >= 3; calls = calls[3:] {
			seq, pkt := binary.BigEndian.Uint16(calls), packet(uint16(len(calls)), int(calls[2])*7)
			switch calls[2] {
			case 0xfe: // forget half of them
				if len(list) > 0 {
					r.Forget(list[len(list)/2].slot)
					list = list[len(list)/2:]
				}
				continue
			case 0xfd:
				r.Clear()
				list = nil
				continue
			case 0xfc:
				r.Forget(r.Next())
				list = nil
				continue
			case 0xfb:
				r.Forget(uint32(seq) << 16) // long gone, or to come
				if r.Next() == uint32(seq)<<16 {
					list = nil
				}
				continue
			}
			valid := len(pkt) > 0 && len(pkt) <= MaxPacket
			for _, h := range list {
				valid = valid && h.seq != seq
			}
			slot, ok := r.Store(seq, pkt)
			if ok != valid {
				t.Fatalf("store %d of %d bytes: %v, want %v", seq, len(pkt), ok, valid)
			}
			if !ok {
				continue
			}
			list = append(list, held{slot, seq, pkt})
			if len(list) > int(r.mask)+1 {
				if n, _ := r.At(list[0].slot, buf[:]); n != 0 {
					t.Fatalf("slot %d is still there", list[0].slot)
				}
				if n := r.Get(list[0].seq, buf[:]); n != 0 {
					t.Fatalf("seq %d is still there", list[0].seq)
				}
				list = list[1:]
			}
			for _, h := range list {
				if n, seq := r.At(h.slot, buf[:]); seq != h.seq || !bytes.Equal(buf[:n], h.pkt) {
					t.Fatalf("slot %d: seq %d, %d bytes", h.slot, seq, n)
				}
				if n := r.Get(h.seq, buf[:]); !bytes.Equal(buf[:n], h.pkt) {
					t.Fatalf("seq %d: %d bytes", h.seq, n)
				}
			}
		}
	})
}

func BenchmarkStore(b *testing.B) {
	r := New(512)
	pkt := packet(1, 1200)
	b.ReportAllocs()
	for i := range b.N {
		r.Store(uint16(i), pkt)
	}
}

func BenchmarkAt(b *testing.B) {
	r := New(512)
	for seq := range uint16(512) {
		r.Store(seq, packet(seq, 1200))
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		buf := make([]byte, MaxPacket)
		for slot := uint32(1); pb.Next(); slot = slot%512 + 1 {
			r.At(slot, buf)
		}
	})
}

func BenchmarkGet(b *testing.B) {
	r := New(512)
	for seq := range uint16(512) {
		r.Store(seq, packet(seq, 1200))
	}
	buf := make([]byte, MaxPacket)
	b.ReportAllocs()
	for i := range b.N {
		r.Get(uint16(i)%512, buf)
	}
}
