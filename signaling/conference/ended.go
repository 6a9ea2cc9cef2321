package conference

import (
	"context"
	"errors"
	"sync"
	"time"

	"diemcau/signaling/account"
	"diemcau/signaling/meeting"
)

const (
	// Longer than a request takes from being authenticated to being noted here.
	endedKnown = time.Minute
	maxEnded   = 20000
)

// endings remember for a while which sessions ended: a request that was
// authenticated just before must leave nothing behind that nobody ends.
type endings struct {
	now func() time.Time

	mu         sync.Mutex
	young, old map[string]struct{} // guarded by mu; old is at least endedKnown old, or was full
	turned     time.Time           // guarded by mu: when old was young
}

func newEndings(now func() time.Time) *endings {
	return &endings{now: now, young: make(map[string]struct{})}
}

func (e *endings) add(over []account.Over) {
	now := e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, o := range over {
		if len(e.young) >= maxEnded || now.Sub(e.turned) >= endedKnown {
			e.old, e.young, e.turned = e.young, make(map[string]struct{}), now
		}
		e.young[o.Session] = struct{}{}
	}
}

func (e *endings) has(session string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, young := e.young[session]
	_, old := e.old[session]
	return young || old
}

// SessionsEnded closes the sockets of sessions that are over, and takes those whom
// somebody signed out from the media. Whoever's time is up stays in the media, for
// as long as the connection holds: a speaker is not cut off because of the clock. It
// does not wait.
func (s *Service) SessionsEnded(over []account.Over) {
	s.over.add(over)
	s.sockets.close(over)
	for _, o := range over {
		if o.Expired {
			continue
		}
		for _, room := range s.seats.leave(o) {
			s.permits.note(room)
		}
	}
	s.permits.poke()
}

// RightsChanged looks anew at what the directory permits those who watch meetings,
// and has those come back who lost some of it. It is to be called when the directory
// has changed; those who see a meeting by their place in it are not looked up.
func (s *Service) RightsChanged(ctx context.Context) error {
	var errs []error
	for c, v := range s.sockets.permitted() {
		unit, err := s.unitOf(ctx, c.meeting)
		var now meeting.PermissionSet
		if err == nil {
			now, err = s.o.People.Permissions(ctx, v.ID, unit)
		}
		switch {
		case err != nil:
			errs = append(errs, err)
		case v.Permissions&^now != 0:
			c.end(closeReload, "reload")
		}
	}
	return errors.Join(errs...)
}

// looks notes as whom a socket watches.
func (a *sockets) looks(c *socket, v meeting.Viewer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c.viewer = v
}

// permitted are the sockets of those whom the directory permits something.
func (a *sockets) permitted() map[*socket]meeting.Viewer {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make(map[*socket]meeting.Viewer)
	for _, mine := range a.bySession {
		for c := range mine {
			if c.viewer.Permissions != 0 {
				out[c] = c.viewer
			}
		}
	}
	return out
}
