package rtc

import (
	"context"

	"github.com/livekit/protocol/livekit"
)

// Bridge opens participants' sessions at the SFU node that holds the room.
type Bridge interface {
	// Open starts or resumes the session described by start. ctx bounds Open
	// only: a session outlives it. Failures before any answer are an *OpenError
	// where the client can be told something useful; any other error becomes
	// status 500 and its text stays in the log.
	Open(ctx context.Context, start *livekit.StartSession) (Session, error)
}

// Session is one client's stream with its SFU node: requests up, responses
// down, both in order.
type Session interface {
	// Send never blocks. It fails if the session is over or its queue is full.
	Send(*livekit.SignalRequest) error
	// Responses is closed by the node when the session is over (after a Leave,
	// if one is due). What waits in it is the only queue towards the client: a node
	// that finds it full ends the session.
	Responses() <-chan *livekit.SignalResponse
	// Close says that the client's socket is gone; the participant may resume
	// later. It is called exactly once.
	Close()
}

// Prober is what a Bridge may also be: it answers `/rtc/validate` with what Open
// would refuse, without opening anything. Stock clients ask there for the reason
// of a failed upgrade, whose status and body a browser hides from them.
type Prober interface {
	// Probe returns the error that Open would return, if that can be told.
	Probe(ctx context.Context, start *livekit.StartSession) error
}

// OpenError is a refusal that the client may know about. A 404 for a room that
// must not be created should have a Message containing "requested room does not
// exist": livekit-client takes any other 404 for a server without `/rtc/v1`.
type OpenError struct {
	Status  int // HTTP status, 400 to 599
	Message string
}

func (e *OpenError) Error() string { return e.Message }
