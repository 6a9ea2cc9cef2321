package fanout

import (
	"encoding/binary"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"diemcau/sfu/codec"
	"diemcau/sfu/rtpcache"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counter is a member that notes what it got.
type counter struct {
	seqs  []uint16
	keys  int
	ticks atomic.Int32
	paces atomic.Int32
	block chan struct{} // nil: never blocks

	mu   sync.Mutex
	told []string // guarded by mu
}

func (c *counter) Forward(p *Packet) {
	if c.block != nil {
		<-c.block
	}
	c.seqs = append(c.seqs, p.Header.SequenceNumber)
	if p.KeyFrame {
		c.keys++
	}
}

func (c *counter) Tick(time.Time) { c.ticks.Add(1) }

// Told implements Line.
func (c *counter) Told(msg []byte, _ time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, string(msg))
}

// Pace wants to be called three times.
func (c *counter) Pace(time.Time) bool { return c.paces.Add(1) < 3 }

func vp8Packet(seq uint16, key bool) []byte {
	payload := []byte{0x10, 1, 2, 3}
	if key {
		payload = []byte{0x10, 0, 0, 0, 0x9d, 1, 0x2a, 0, 1, 0, 1}
	}
	raw, _ := (&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: seq}, Payload: payload}).Marshal()
	return raw
}

func settle(t testing.TB, w *Worker) {
	t.Helper()
	require.Eventually(t, func() bool {
		idle := make(chan bool, 1)
		return w.Do(func() { idle <- w.Idle() }) && <-idle
	}, 5*time.Second, time.Millisecond)
}

func TestPacketsReachTheMembersOfEveryWorker(t *testing.T) {
	p := New(2, nil, slog.New(slog.DiscardHandler))
	defer p.Close()
	ring := rtpcache.New(64)
	feed, other := p.NewFeed(ring, Format{Mime: codec.MimeVP8}), p.NewFeed(ring, Format{Mime: codec.MimeVP8})
	var members []*counter
	var workers []*Worker
	for range 5 {
		w, m := p.Worker(), &counter{}
		require.True(t, w.Do(func() { w.Add(m) }))
		feed.Attach(w, m)
		feed.Attach(w, m) // twice is once
		members, workers = append(members, m), append(workers, w)
	}
	require.Equal(t, 5, feed.Subscribers())
	require.InDelta(t, 2.5, float64(workers[0].load.Load()), 1, "spread over the workers")
	for seq := range uint16(10) {
		slot, ok := ring.Store(seq, vp8Packet(seq, seq == 4))
		require.True(t, ok)
		p.Post(feed, slot, time.Now())
		p.Post(other, slot, time.Now()) // nobody is there
	}
	for i, w := range workers {
		settle(t, w)
		require.Equal(t, []uint16{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, members[i].seqs)
		require.Equal(t, 1, members[i].keys)
	}
	require.Eventually(t, func() bool { return members[0].ticks.Load() > 2 }, 5*time.Second, 10*time.Millisecond)
	require.Zero(t, members[0].paces.Load())
	require.True(t, workers[0].Do(func() { workers[0].Wake(members[0]) }))
	require.Eventually(t, func() bool { return members[0].paces.Load() == 3 }, 5*time.Second, time.Millisecond)
	ticks := members[0].ticks.Load()
	require.Eventually(t, func() bool { return members[0].ticks.Load() > ticks+1 }, 5*time.Second, 10*time.Millisecond)
	require.Equal(t, int32(3), members[0].paces.Load(), "paced until it said so")
	feed.Detach(workers[0], members[0])
	slot, _ := ring.Store(10, vp8Packet(10, false))
	p.Post(feed, slot, time.Now())
	for _, w := range workers {
		settle(t, w)
	}
	require.Len(t, members[0].seqs, 10)
	require.Len(t, members[1].seqs, 11)
}

func TestAFullQueueDropsAndCounts(t *testing.T) {
	p := New(1, nil, slog.New(slog.DiscardHandler))
	ring := rtpcache.New(64)
	feed := p.NewFeed(ring, Format{Mime: codec.MimeVP8})
	w, m := p.Worker(), &counter{block: make(chan struct{})}
	feed.Attach(w, m)
	slot, _ := ring.Store(1, vp8Packet(1, true))
	for range maxPackets + maxBundle + 100 { // the worker has one bundle in hand
		p.Post(feed, slot, time.Now()) // never blocks
	}
	require.GreaterOrEqual(t, p.Dropped.Load(), uint64(100))
	close(m.block)
	settle(t, w)
	require.LessOrEqual(t, len(m.seqs), maxPackets+maxBundle)
	p.Close()
	require.False(t, w.Do(func() {}), "a closed pool takes no commands")
}

func TestWhatIsNoRTPIsIgnored(t *testing.T) {
	p := New(1, nil, slog.New(slog.DiscardHandler))
	defer p.Close()
	ring := rtpcache.New(64)
	feed := p.NewFeed(ring, Format{Mime: codec.MimeH264})
	w, m := p.Worker(), &counter{}
	feed.Attach(w, m)
	for i, raw := range [][]byte{{0}, make([]byte, 11), {0x80, 0x60, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}} {
		slot, ok := ring.Store(uint16(i), raw)
		require.True(t, ok)
		p.Post(feed, slot, time.Now())
	}
	p.Post(feed, 9999, time.Now()) // not in the ring
	settle(t, w)
	require.Equal(t, []uint16{1}, m.seqs, "a packet without payload is a packet")
	require.Equal(t, uint64(1), p.Late.Load())
}

func BenchmarkForward(b *testing.B) {
	p := New(1, nil, slog.New(slog.DiscardHandler))
	defer p.Close()
	ring := rtpcache.New(64)
	feed := p.NewFeed(ring, Format{Mime: codec.MimeVP8})
	w := p.Worker()
	for range 50 {
		feed.Attach(w, nullMember{})
	}
	raw := make([]byte, 1200)
	copy(raw, vp8Packet(0, false))
	b.ReportAllocs()
	seq := uint16(0)
	for b.Loop() {
		binary.BigEndian.PutUint16(raw[2:], seq)
		slot, _ := ring.Store(seq, raw)
		seq++
		w.take(item{feed: feed, slot: slot})
		w.forward()
	}
}

type nullMember struct{}

func (nullMember) Forward(*Packet) {}
