package office

import (
	"context"
	"log/slog"
	"time"
)

const (
	rightsGather   = time.Second     // changes of the directory that come one after the other are one
	rightsRetry    = 5 * time.Second // after a failure
	rightsPatience = time.Minute     // of one look
)

// rights has those looked at anew who are signed in, when the directory has changed:
// a request asks the directory anyway, but a socket that is open and media that flow
// do not. Whatever changed the directory, an import or single sign-on too, comes here.
type rights struct {
	log   *slog.Logger
	looks []func(context.Context) error

	wake  chan struct{}
	quit  chan struct{}
	ended chan struct{}
}

// newRights begins to wait for changes, until close.
func newRights(log *slog.Logger, looks ...func(context.Context) error) *rights {
	r := &rights{log: log, looks: looks, wake: make(chan struct{}, 1), quit: make(chan struct{}), ended: make(chan struct{})}
	go r.loop()
	return r
}

// changed tells of a change; it does not wait.
func (r *rights) changed() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *rights) close() {
	close(r.quit)
	<-r.ended
}

func (r *rights) loop() {
	defer close(r.ended)
	for {
		select {
		case <-r.wake:
		case <-r.quit:
			return
		}
		if !r.rest(rightsGather) {
			return
		}
		for !r.look() {
			if !r.rest(rightsRetry) {
				return
			}
		}
	}
}

// rest waits; false when there is no more to do.
func (r *rights) rest(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.quit:
		return false
	}
}

// look tells whether all could be looked at.
func (r *rights) look() bool {
	ctx, cancel := context.WithTimeout(context.Background(), rightsPatience)
	defer cancel()
	ok := true
	for _, look := range r.looks {
		if err := look(ctx); err != nil {
			r.log.Warn("not all who are signed in were looked at after a change of the directory", "error", err)
			ok = false
		}
	}
	return ok
}
