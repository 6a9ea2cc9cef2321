package sfu

import (
	"errors"

	"github.com/livekit/protocol/livekit"
)

// maxResponses is how many responses may wait for a client's socket; one
// further behind is cut off and resumes.
const maxResponses = 2048

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

	// Owned by the room's loop.
	p    *participant
	over bool
}

func newSession(r *Room) *Session {
	return &Session{room: r, out: make(chan *livekit.SignalResponse, maxResponses)}
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
	s.room.post(func() { s.room.detach(s) })
}

// send queues a response; it is called by the room's loop.
func (s *Session) send(r *livekit.SignalResponse) {
	if s.over {
		return
	}
	select {
	case s.out <- r:
	default:
		s.room.log.Warn("client too slow to read its signal stream; cut off", "participant", s.p.identity)
		s.end()
	}
}

// end closes the stream; it is called by the room's loop.
func (s *Session) end() {
	if s.over {
		return
	}
	s.over = true
	close(s.out)
	if s.p != nil && s.p.session == s {
		s.p.session = nil
		s.p.sessionLost = s.room.now()
	}
}
