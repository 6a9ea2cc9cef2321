package turn

import (
	"bufio"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"
)

const (
	maxStreams = 4096             // TCP and TLS connections at once
	introTime  = 15 * time.Second // from connecting to a relayed address
	idleTime   = 11 * time.Minute // without a packet: longer than the life of what is not refreshed
	writeTime  = 10 * time.Second // for one packet to a client that does not read
	// streamBuffer bounds what waits in the kernel for a slow client, in bytes:
	// media that is older than this holds is worth nothing.
	streamBuffer = 256 << 10
	maxFrame     = 1600 // bytes, as pion/turn reads them
)

// errNotTURN ends a stream that carries something else.
var errNotTURN = errors.New("turn: neither a STUN message nor channel data")

// stream is a TCP or TLS connection that carries TURN. Each Read gives one whole
// frame, so that what a hostile client sends is judged here: pion/turn's own
// reader loops for ever at a STUN length that wraps around 16 bits.
type stream struct {
	net.Conn
	in    *bufio.Reader
	queue *connQueue

	mu     sync.Mutex
	relays int       // relayed addresses in use
	intro  time.Time // when there must be one
	once   sync.Once
}

func newStream(c net.Conn, in *bufio.Reader, q *connQueue) *stream {
	if in == nil {
		in = bufio.NewReaderSize(c, maxFrame+4)
	}
	return &stream{Conn: c, in: in, queue: q, intro: time.Now().Add(introTime)}
}

// frameSize reads the length of a frame from its first 8 bytes: a STUN message
// (RFC 8489 section 5) or channel data (RFC 8656 section 12.4), padded to four
// bytes as streams have it.
func frameSize(head []byte) (int, error) {
	length := int(binary.BigEndian.Uint16(head[2:]))
	switch head[0] >> 6 {
	case 0:
		const magicCookie = 0x2112A442
		if length%4 != 0 || binary.BigEndian.Uint32(head[4:]) != magicCookie {
			return 0, errNotTURN
		}
		length += 20
	case 1:
		length = 4 + (length+3)&^3
	default:
		return 0, errNotTURN
	}
	if length >= maxFrame {
		return 0, errNotTURN
	}
	return length, nil
}

// Read gives one frame; p must hold maxFrame bytes.
func (s *stream) Read(p []byte) (int, error) {
	if len(p) < maxFrame {
		return 0, errors.New("turn: buffer too small for a frame")
	}
	s.mu.Lock()
	deadline := s.intro
	if s.relays > 0 {
		deadline = time.Now().Add(idleTime)
	}
	err := s.SetReadDeadline(deadline)
	s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	head, err := s.in.Peek(4)
	if err != nil {
		return 0, err
	}
	if head[0]>>6 == 0 { // to judge a STUN message takes its cookie
		if head, err = s.in.Peek(8); err != nil {
			return 0, err
		}
	}
	size, err := frameSize(head)
	if err != nil {
		return 0, err
	}
	for n := 0; n < size; {
		m, err := s.in.Read(p[n:size])
		if err != nil {
			return 0, err
		}
		n += m
	}
	return size, nil
}

// Write sends one frame.
func (s *stream) Write(p []byte) (int, error) {
	if err := s.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return 0, err
	}
	n, err := s.Conn.Write(p)
	if err != nil {
		_ = s.Conn.Close() // a frame is cut: nothing after it can be read
	}
	return n, err
}

// Close takes the stream off the queue's books.
func (s *stream) Close() error {
	s.once.Do(func() { s.queue.forget(s) })
	return s.Conn.Close()
}

// allocated notes a relayed address that came or went. Without one the stream
// has introTime to make another.
func (s *stream) allocated(made bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if made {
		s.relays++
	} else if s.relays--; s.relays <= 0 {
		s.intro = time.Now().Add(introTime)
		_ = s.SetReadDeadline(s.intro)
	}
}

// connQueue hands streams to pion/turn as a net.Listener, and knows those open.
type connQueue struct {
	ch   chan net.Conn
	done chan struct{}

	mu      sync.Mutex
	streams map[string]*stream // by the client's address
	ended   bool
}

func newConnQueue() *connQueue {
	return &connQueue{ch: make(chan net.Conn), done: make(chan struct{}), streams: make(map[string]*stream)}
}

// put passes a stream on, or closes it if there are too many.
func (q *connQueue) put(s *stream) {
	key := s.RemoteAddr().String()
	q.mu.Lock()
	_, taken := q.streams[key]
	if q.ended || taken || len(q.streams) >= maxStreams {
		q.mu.Unlock()
		_ = s.Conn.Close()
		return
	}
	q.streams[key] = s
	q.mu.Unlock()
	select {
	case q.ch <- s:
	case <-q.done:
		_ = s.Close()
	}
}

func (q *connQueue) forget(s *stream) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if key := s.RemoteAddr().String(); q.streams[key] == s {
		delete(q.streams, key)
	}
}

// allocated tells the stream of that client, if it is one.
func (q *connQueue) allocated(client net.Addr, made bool) {
	if _, ok := client.(*net.TCPAddr); !ok {
		return
	}
	q.mu.Lock()
	s := q.streams[client.String()]
	q.mu.Unlock()
	if s != nil {
		s.allocated(made)
	}
}

// end closes every stream and lets Accept fail.
func (q *connQueue) end() {
	q.mu.Lock()
	if q.ended {
		q.mu.Unlock()
		return
	}
	q.ended = true
	close(q.done)
	open := make([]*stream, 0, len(q.streams))
	for _, s := range q.streams {
		open = append(open, s)
	}
	q.mu.Unlock()
	for _, s := range open {
		_ = s.Close()
	}
}

// Accept implements net.Listener.
func (q *connQueue) Accept() (net.Conn, error) {
	select {
	case c := <-q.ch:
		return c, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (q *connQueue) Close() error {
	q.end()
	return nil
}

// Addr implements net.Listener.
func (q *connQueue) Addr() net.Addr { return &net.TCPAddr{} }
