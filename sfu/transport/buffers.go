package transport

import (
	"encoding/binary"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/transport/v4/packetio"
)

// A peer may name any number of SSRCs, in RTP or in reports, and the WebRTC
// stack keeps a buffer for each. These bound what one peer can make us keep.
const (
	maxStreams      = 4096      // SSRCs of one peer connection, its own and those it names
	rtpBufferBytes  = 1_000_000 // per stream, as the SRTP stack has it by default
	rtpWaitingBytes = 8 << 20   // of all streams of a peer connection
)

// buffers makes the receive buffers of one peer connection.
type buffers struct {
	count    atomic.Int32
	waiting  atomic.Int64 // bytes of RTP
	exceeded func()       // called when there are too many
	overrun  func()       // called once, when too much waits
	overran  sync.Once
	report   func([]byte) // called for each RTCP packet
	in       incoming
}

func (b *buffers) make(kind packetio.BufferPacketType, ssrc uint32) io.ReadWriteCloser {
	if n := b.count.Add(1); n > maxStreams {
		if n == maxStreams+1 {
			b.exceeded()
		}
		return ended{}
	}
	if kind == packetio.RTCPBufferPacket {
		return &reports{all: b, ssrc: ssrc, closed: make(chan struct{})}
	}
	m := &media{all: b, ssrc: ssrc, buf: newMediaBuffer()}
	b.in.streams.Store(ssrc, m)
	return m
}

func newMediaBuffer() *packetio.Buffer {
	buf := packetio.NewBuffer()
	buf.SetLimitSize(rtpBufferBytes)
	return buf
}

// media is the receive buffer of the RTP packets of one SSRC. It has one reader. What
// it grew to when much waited it gives back when that is long ago.
type media struct {
	all  *buffers
	ssrc uint32

	mu      sync.Mutex
	taken   bool             // what the peer connection writes is there already; guarded by mu
	written bool             // it wrote something; guarded by mu
	last    uint16           // sequence number that it wrote last; guarded by mu
	buf     *packetio.Buffer // guarded by mu
	waiting int64            // bytes; guarded by mu
	closed  bool             // guarded by mu
	sink    sink             // takes packets at once; nil: they are read; guarded by mu
	until   time.Time        // deadline of reading; guarded by mu
	muchAt  time.Time        // when much last waited; zero if it did not since buf was made; guarded by mu
}

// sink takes a packet, which it must not keep, and when it came.
type sink func(pkt []byte, at time.Time)

const (
	muchWaits = 8 << 10 // bytes
	shrinksIn = 5 * time.Second
)

// Write is the peer connection's way to keep a packet, as long as it has the stream.
func (m *media) Write(p []byte) (int, error) {
	m.mu.Lock()
	taken := m.taken
	if len(p) >= rtpHeader {
		m.written, m.last = true, binary.BigEndian.Uint16(p[2:])
	}
	m.mu.Unlock()
	if taken {
		return len(p), nil
	}
	return m.keep(p)
}

// ours takes the stream over if all that the peer connection was handed has come out of
// it, of which the last, if anything was handed, is told; or tells that it was taken over.
func (m *media) ours(last uint16, handed bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.taken = m.taken || handed && m.written && m.last == last
	return m.taken
}

func (m *media) take(fn sink) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sink = fn
}

// ready gives who takes packets at once, nil if there is nobody or some wait to be read.
func (m *media) ready() sink {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waiting > 0 || m.closed {
		return nil
	}
	return m.sink
}

// put keeps a packet of a stream that was taken over.
func (m *media) put(p []byte) error {
	_, err := m.keep(p)
	return err
}

// keep keeps a packet. What is longer than any reader takes is dropped, and so
// is what comes while too much of the peer's media waits.
func (m *media) keep(p []byte) (int, error) {
	if len(p) > receiveMTU {
		return len(p), nil
	}
	if m.all.waiting.Load()+int64(len(p)) > rtpWaitingBytes {
		m.all.overran.Do(m.all.overrun)
		return len(p), nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.buf.Write(p)
	if err == nil {
		if m.addLocked(int64(n)); m.waiting > muchWaits {
			m.muchAt = time.Now()
		}
	}
	return n, err
}

// Read takes a packet.
func (m *media) Read(p []byte) (int, error) {
	m.mu.Lock()
	buf := m.buf
	m.mu.Unlock()
	n, err := buf.Read(p)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.addLocked(-int64(n))
	if m.waiting == 0 && !m.closed && !m.muchAt.IsZero() && time.Since(m.muchAt) > shrinksIn {
		m.buf, m.muchAt = newMediaBuffer(), time.Time{}
		_ = m.buf.SetReadDeadline(m.until) // never fails
	}
	return n, err
}

// SetReadDeadline ends a Read at that time; zero: none.
func (m *media) SetReadDeadline(t time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.until = t
	return m.buf.SetReadDeadline(t)
}

func (m *media) addLocked(bytes int64) {
	if !m.closed {
		m.waiting += bytes
		m.all.waiting.Add(bytes)
	}
}

// Close ends the stream; what waits can still be read.
func (m *media) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.closed = true
		m.all.waiting.Add(-m.waiting)
		m.all.count.Add(-1)
		m.all.in.streams.CompareAndDelete(m.ssrc, m)
	}
	return m.buf.Close()
}

// reports stands where the peer connection would keep the RTCP packets about one SSRC. It
// passes them on; nobody reads them there.
type reports struct {
	all    *buffers
	ssrc   uint32
	once   sync.Once
	closed chan struct{}
}

// Write takes a packet, of which those for the other SSRCs that it tells of are given it too:
// it is passed on once. It never fails.
func (r *reports) Write(p []byte) (int, error) {
	if ssrc, ok := firstOf(p); ok && ssrc == r.ssrc {
		r.all.report(p)
	}
	return len(p), nil
}

// firstOf is the first SSRC that an RTCP packet tells of.
func firstOf(p []byte) (ssrc uint32, ok bool) {
	pkts, err := rtcp.Unmarshal(p)
	if err != nil {
		return 0, false
	}
	for _, pkt := range pkts {
		if of := pkt.DestinationSSRC(); len(of) > 0 {
			return of[0], true
		}
	}
	return 0, false
}

// Read gives nothing until the end.
func (r *reports) Read([]byte) (int, error) {
	<-r.closed
	return 0, io.EOF
}

func (r *reports) Close() error {
	r.once.Do(func() {
		r.all.count.Add(-1)
		close(r.closed)
	})
	return nil
}

// ended is a stream that takes no packets and gives none.
type ended struct{}

func (ended) Read([]byte) (int, error)    { return 0, io.EOF }
func (ended) Write(p []byte) (int, error) { return len(p), nil }
func (ended) Close() error                { return nil }
