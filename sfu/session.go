package sfu

import (
	"errors"
	"sync"

	"github.com/livekit/protocol/livekit"
)

// Responses that wait for a client's socket. Few ever do.
const (
	maxResponses  = 2048 // a client further behind is cut off and resumes
	readyResponse = 256  // of them in the channel
)

// Errors of Session.Send.
var (
	ErrSessionOver = errors.New("session is over")
	ErrBusy        = errors.New("room has too many requests waiting")
)

// Session is one client's signal stream: requests up, responses down, both in
// order. A participant that loses its socket resumes with another session.
type Session struct {
	room *Room
	out  chan *livekit.SignalResponse

	leave sync.Once
	gone  chan struct{} // closed when the socket is gone

	// Owned by the room's loop.
	p    *participant
	over bool

	mu     sync.Mutex
	behind []*livekit.SignalResponse // what did not fit into out; guarded by mu
	moving bool                      // move runs; guarded by mu
	ended  bool                      // nothing comes any more; guarded by mu
}

func newSession(r *Room) *Session {
	return &Session{room: r, out: make(chan *livekit.SignalResponse, readyResponse), gone: make(chan struct{})}
}

// Send passes a request of the client's to the room. It never blocks.
func (s *Session) Send(req *livekit.SignalRequest) error {
	return s.room.tryPost(func() { s.room.handle(s, req) })
}

// Responses is closed when the session is over.
func (s *Session) Responses() <-chan *livekit.SignalResponse { return s.out }

// Close says that the client's socket is gone. Its participant stays for a
// while and may resume.
func (s *Session) Close() {
	s.leave.Do(func() { close(s.gone) })
	s.room.post(func() { s.room.detach(s) })
}

// send queues a response; it is called by the room's loop.
func (s *Session) send(r *livekit.SignalResponse) {
	if !s.over && !s.queue(r) {
		s.room.log.Warn("client too slow to read its signal stream; cut off", "participant", s.p.identity)
		s.end()
	}
}

// queue is false if too many wait.
func (s *Session) queue(r *livekit.SignalResponse) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.moving {
		select {
		case s.out <- r:
			return true
		default:
		}
		s.moving = true
		go s.move()
	}
	if len(s.behind) >= maxResponses-readyResponse {
		return false
	}
	s.behind = append(s.behind, r)
	return true
}

// move brings what did not fit into the channel as the client reads. It ends when
// that is done, or the socket is gone.
func (s *Session) move() {
	for r := s.oldest(); r != nil; r = s.oldest() {
		select {
		case s.out <- r:
			s.forget(1)
		case <-s.gone:
			s.forget(maxResponses)
		}
	}
}

// oldest is the first response that did not fit; nil ends move.
func (s *Session) oldest() *livekit.SignalResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.behind) > 0 {
		return s.behind[0]
	}
	s.behind, s.moving = nil, false
	if s.ended {
		close(s.out)
	}
	return nil
}

// forget drops the n oldest of those that did not fit.
func (s *Session) forget(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n = min(n, len(s.behind))
	clear(s.behind[:n])
	s.behind = s.behind[n:]
}

// end closes the stream; it is called by the room's loop.
func (s *Session) end() {
	if s.over {
		return
	}
	s.over = true
	s.mu.Lock()
	if s.ended = true; !s.moving {
		close(s.out)
	}
	s.mu.Unlock()
	if s.p != nil && s.p.session == s {
		s.p.session = nil
		s.p.sessionLost = s.room.now()
	}
}
