package conference

import (
	"strings"
	"sync"
	"time"

	"diemcau/signaling/account"
)

const (
	maxSeats  = 50000 // known at a time
	maxPlaces = 32    // of one session
	// barFor outlives the tokens that were given before: tokenFor, and what
	// clocks are allowed to differ.
	barFor = tokenFor + 2*time.Minute
)

// seat is an identity, with device, in a room.
type seat struct{ room, identity string }

// seats know by which sign-in session each identity got its token for the media, so
// that who is signed out goes out there, too, and does not come back with the token.
// They are not kept on disk: of who came back after a restart with a token from
// before it is not known by which session, and any of theirs that ends will do. Who
// takes the seat again, by another session, opens it to a token from before, too.
type seats struct {
	over *endings
	now  func() time.Time

	mu     sync.Mutex
	owner  map[seat]string     // guarded by mu: the session
	places map[string][]seat   // guarded by mu: by session
	barred map[seat]time.Time  // guarded by mu: until when
	gone   map[string]struct{} // guarded by mu: identities without device, for leavers
}

func newSeats(over *endings, now func() time.Time) *seats {
	return &seats{over: over, now: now, owner: make(map[seat]string), places: make(map[string][]seat),
		barred: make(map[seat]time.Time), gone: make(map[string]struct{})}
}

// take notes that a session got a token for a seat; false when the session is over.
func (a *seats) take(session string, at seat) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over.has(session) {
		return false
	}
	delete(a.barred, at)
	if a.owner[at] == session {
		return true
	}
	a.releaseLocked(at)
	if len(a.places[session]) >= maxPlaces {
		a.releaseLocked(a.places[session][0])
	}
	for other := range a.owner {
		if len(a.owner) < maxSeats {
			break
		}
		a.releaseLocked(other)
	}
	a.owner[at] = session
	a.places[session] = append(a.places[session], at)
	return true
}

// releaseLocked forgets whose a seat is.
func (a *seats) releaseLocked(at seat) {
	session, known := a.owner[at]
	if !known {
		return
	}
	delete(a.owner, at)
	kept := a.places[session][:0]
	for _, other := range a.places[session] {
		if other != at {
			kept = append(kept, other)
		}
	}
	if a.places[session] = kept; len(kept) == 0 {
		delete(a.places, session)
	}
}

// leave bars the seats of a session that was ended, and names their rooms.
func (a *seats) leave(o account.Over) (rooms []string) {
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sweepLocked(now)
	for _, at := range a.places[o.Session] {
		delete(a.owner, at)
		a.barred[at] = now.Add(barFor)
		rooms = append(rooms, at.room)
	}
	delete(a.places, o.Session)
	a.gone[o.Who] = struct{}{}
	return rooms
}

// stray bars a seat of which it is not known by which session it was taken, if one of
// leavers has it.
func (a *seats) stray(leavers map[string]struct{}, room, identity string) bool {
	who, _, _ := strings.Cut(identity, "#")
	if _, left := leavers[who]; !left {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	at := seat{room, identity}
	if _, known := a.owner[at]; known {
		return false
	}
	a.barred[at] = a.now().Add(barFor)
	return true
}

// leavers are those of whom a session was ended since this was asked last.
func (a *seats) leavers() map[string]struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := a.gone
	a.gone = make(map[string]struct{})
	return out
}

// isBarred tells whether a seat is taken away.
func (a *seats) isBarred(room, identity string) bool {
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	until, barred := a.barred[seat{room, identity}]
	return barred && now.Before(until)
}

// sweepLocked forgets what bars nobody any more. At the limit all goes: whoever was
// barred would need a token that is not yet ten minutes old.
func (a *seats) sweepLocked(now time.Time) {
	if len(a.barred) < maxSeats && len(a.gone) < maxSeats {
		return
	}
	for at, until := range a.barred {
		if !now.Before(until) {
			delete(a.barred, at)
		}
	}
	if len(a.barred) >= maxSeats {
		clear(a.barred)
	}
	if len(a.gone) >= maxSeats {
		clear(a.gone)
	}
}
