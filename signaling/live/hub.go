package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"diemcau/signaling/journal"
	"diemcau/signaling/meeting"
	"diemcau/signaling/store"
)

const (
	maxRooms   = 500              // meetings in memory at the same time
	idleFor    = 10 * time.Minute // a meeting without anybody leaves the memory
	sweepEvery = time.Minute
	renewEvery = 5 * time.Second // of the lease, which lasts 15 s by default
	// settleAfter is how long after a meeting was loaded those are taken to have gone
	// who were connected when it left the memory, and are not now.
	settleAfter = 30 * time.Second
)

var (
	// ErrNoMeeting reports an id that no meeting has.
	ErrNoMeeting = errors.New("live: no such meeting")
	// ErrUnavailable reports that a command could not be made durable, or that it
	// is not known whether it was: sent again with the same id it is applied once.
	ErrUnavailable = errors.New("live: the meeting cannot be written now")
	// ErrBusy reports more commands or meetings than are taken at a time.
	ErrBusy = errors.New("live: too much at a time")
	// ErrClosed reports a hub that has been closed.
	ErrClosed = errors.New("live: closed")
)

// Options are what a Hub needs.
type Options struct {
	DB      *store.DB        // required
	Journal *journal.Journal // required
	Owner   string           // a name of this process, for leases; required
	Log     *slog.Logger     // required
	Now     func() time.Time // nil: time.Now
	// Committed is told of events that are on disk, with the state after all of
	// them, in order for each meeting, by the meeting's loop: it must not wait, nor
	// keep or change s. Nil: nobody.
	Committed func(s *meeting.State, events []meeting.Event)
}

// Hub keeps the meetings that are in memory.
type Hub struct {
	o       Options
	mu      sync.Mutex
	rooms   map[string]*room // guarded by mu
	closed  bool             // guarded by mu
	stop    chan struct{}
	running sync.WaitGroup

	// Tests have others; set before there is a room.
	decide      func(*meeting.State, meeting.Command, time.Time) ([]meeting.Event, error)
	settleAfter time.Duration
	maxMissed   uint64
}

// New makes a hub, which Close ends.
func New(o Options) (*Hub, error) {
	if o.DB == nil || o.Journal == nil || o.Log == nil || o.Owner == "" {
		return nil, errors.New("live: DB, Journal, Owner and Log are required")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	h := &Hub{o: o, rooms: make(map[string]*room), stop: make(chan struct{}),
		decide: meeting.Decide, settleAfter: settleAfter, maxMissed: maxMissed}
	h.running.Add(1)
	go h.sweepLoop()
	return h, nil
}

// Apply applies a command to a meeting, which a "meeting.create" makes, and returns
// the number of the last event it led to once that is on disk. A command that was
// applied before gives the number it had then. Errors are *meeting.Problem, of
// which nothing was changed, or those of this package.
func (h *Hub) Apply(ctx context.Context, id string, cmd meeting.Command) (uint64, error) {
	seq, err := h.applyOnce(ctx, id, cmd)
	if errors.Is(err, ErrUnavailable) && ctx.Err() == nil {
		// What was written is found in the journal by the command's id; a secret
		// ballot that was cast twice counts once.
		return h.applyOnce(ctx, id, cmd)
	}
	return seq, err
}

func (h *Hub) applyOnce(ctx context.Context, id string, cmd meeting.Command) (uint64, error) {
	r, err := h.hold(ctx, id, cmd.Type == "meeting.create")
	if err != nil {
		return 0, err
	}
	defer h.release(r)
	return r.apply(ctx, cmd)
}

// Look calls fn with a meeting's state, in its loop: fn must be quick and neither
// keep nor change it. A panic of fn is the caller's.
func (h *Hub) Look(ctx context.Context, id string, fn func(s *meeting.State)) error {
	r, err := h.hold(ctx, id, false)
	if err != nil {
		return err
	}
	defer h.release(r)
	return r.do(ctx, func() { fn(r.state) })
}

// hold finds or loads a meeting and keeps it in memory until release. For one that is
// not there nothing is made: each join of a room that is no meeting asks.
func (h *Hub) hold(ctx context.Context, id string, create bool) (*room, error) {
	h.mu.Lock()
	r := h.rooms[id]
	h.mu.Unlock()
	if !create && (r == nil || r.broken.Load()) {
		switch there, err := journal.Exists(ctx, h.o.DB, id); {
		case err != nil:
			return nil, err
		case !there:
			return nil, fmt.Errorf("%w: %q", ErrNoMeeting, id)
		}
	}
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil, ErrClosed
	}
	if r = h.rooms[id]; r == nil || r.broken.Load() {
		if r == nil && len(h.rooms) >= maxRooms && !h.makeWayLocked() {
			h.mu.Unlock()
			return nil, fmt.Errorf("%w: %d meetings", ErrBusy, maxRooms)
		}
		r = newRoom(h, id)
		h.rooms[id] = r
		h.running.Add(1)
		go r.run() // a meeting outlives the request that has it loaded
	}
	r.users++
	h.mu.Unlock()
	select {
	case <-r.loaded:
	case <-ctx.Done():
		h.release(r)
		return nil, ctx.Err()
	}
	if r.failed != nil {
		h.release(r)
		return nil, r.failed
	}
	return r, nil
}

// makeWayLocked ends the room that nobody has used for longest; false if all are used.
func (h *Hub) makeWayLocked() bool {
	var oldest *room
	for _, r := range h.rooms {
		if r.users == 0 && (oldest == nil || r.left.Before(oldest.left)) {
			oldest = r
		}
	}
	if oldest == nil {
		return false
	}
	delete(h.rooms, oldest.id)
	close(oldest.quit)
	return true
}

func (h *Hub) release(r *room) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r.users--
	r.left = h.o.Now()
}

// forget takes a room that has ended out of the map.
func (h *Hub) forget(r *room) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rooms[r.id] == r {
		delete(h.rooms, r.id)
	}
}

// sweepLoop ends the rooms that nobody has used for a while.
func (h *Hub) sweepLoop() {
	defer h.running.Done()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			h.sweep()
		case <-h.stop:
			return
		}
	}
}

func (h *Hub) sweep() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, r := range h.rooms {
		if r.users == 0 && h.o.Now().Sub(r.left) >= idleFor {
			delete(h.rooms, id)
			close(r.quit)
		}
	}
}

// Close ends all rooms after what they are committing, closes their watchers and
// gives their leases back.
func (h *Hub) Close() {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		close(h.stop)
		for id, r := range h.rooms {
			delete(h.rooms, id)
			close(r.quit)
		}
	}
	h.mu.Unlock()
	h.running.Wait()
}
