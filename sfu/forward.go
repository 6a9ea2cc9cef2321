package sfu

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/livekit/protocol/livekit"
	"github.com/livekit/psrpc"
)

// Forwarding has a participant of one room, the source, take part in another room of
// this node too. There a guest stands for it: a participant without a client, whose
// tracks are read from the source's layers and sent by the same code as any other's.
//
// Neither room's loop waits for the other's. What one room has to say lies in the
// forward, where what is newer replaces what was not read yet; of the word that
// there is something to read one at most is in the other room's queue, and if that
// is full, the other looks by itself within a second (care). So rooms that forward
// to each other cannot block each other, nothing is lost, and a source that changes
// often costs the other room no more than that has time for.
//
// A change of the source: it is marked (touch); at the end of the turn of its room's
// loop its likeness is laid down (passOn, mirror); the other room's loop makes the
// guest resemble it (follow). What subscribers of the guest want goes the other way: touch,
// passOn, report; the source's room counts it with what its own subscribers want
// (heed).

const (
	maxForwards = 16  // of one participant
	maxGuests   = 256 // in one room
)

// States of a forward.
const (
	forwardProposed int32 = iota // the destination has not answered yet
	forwardStanding
	forwardOver
)

// forward is one participant's presence in another room.
type forward struct {
	from, to *Room
	identity string

	state    atomic.Int32
	likeness atomic.Pointer[likeness] // newest; the source's room writes it
	report   atomic.Pointer[report]   // newest; the destination writes it, nil before
	toSource word
	toGuest  word

	source *participant // owned by from's loop
	heeded *report      // by from's loop: what was read last
	guest  *participant // owned by to's loop; nil until it is admitted
}

// word tells a room's loop that there is something for it to look at.
type word struct{ queued atomic.Bool }

// say never waits. What look reads must have been written before.
func (w *word) say(r *Room, look func()) {
	if w.queued.Swap(true) {
		return // it has yet to look
	}
	if r.tryPost(func() {
		w.queued.Store(false)
		look()
	}) != nil {
		w.queued.Store(false) // its care looks, unless it has ended
	}
}

// Errors of forwarding.
var (
	errSameRoom  = psrpc.NewErrorf(psrpc.InvalidArgument, "destination room cannot be the same as source room")
	errForwarded = psrpc.NewErrorf(psrpc.FailedPrecondition, "participant is forwarded here from another room and can be changed there only")
	errTaken     = psrpc.NewErrorf(psrpc.AlreadyExists, "identity is taken in the destination room")
	errOver      = errors.New("forward is over")
	errRoomFull  = psrpc.NewErrorf(psrpc.ResourceExhausted, "destination room is full")
)

// ForwardParticipant has a participant take part in the destination room too, under
// the same identity, until it leaves, is removed from either room, or either room
// ends. The destination is made if it does not exist, unless rooms must be created.
// A forward that there is already is left as it is.
//
// Errors: InvalidArgument if the rooms are the same, NotFound if the source room, the
// participant or a destination that must have been created does not exist,
// AlreadyExists if somebody of that identity is in the destination,
// FailedPrecondition if the participant is itself forwarded from elsewhere,
// ResourceExhausted if the destination is full or it is forwarded to 16 rooms.
func (n *Node) ForwardParticipant(ctx context.Context, room, identity, destination string) error {
	if room == destination {
		return errSameRoom
	}
	for {
		// First whether there is anybody, or a room would be made in vain.
		if _, err := withParticipant(ctx, n, room, identity, func(p *participant) (struct{}, error) {
			return struct{}{}, p.mayBeForwarded(destination)
		}); err != nil {
			return err
		}
		to, err := n.destination(destination)
		if err != nil {
			return err
		}
		f, err := withParticipant(ctx, n, room, identity, func(p *participant) (*forward, error) { return p.forwardTo(to) })
		if err != nil {
			return err
		}
		_, err = ask(ctx, to, func() (struct{}, error) { return struct{}{}, f.admit() })
		if err == nil {
			return nil
		}
		f.withdraw()
		if !errors.Is(err, ErrNoRoom) && !errors.Is(err, errOver) {
			return err
		} // the room closed, or either participant left meanwhile
	}
}

// destination returns the room of that name, and makes it if that is allowed.
func (n *Node) destination(name string) (*Room, error) {
	if n.cfg.Rooms.CreateOnly {
		return n.find(name)
	}
	r, err := n.room(name, nil)
	if err != nil {
		return nil, errNodeClosing
	}
	return r, nil
}

// mayBeForwarded tells why not, if so.
func (p *participant) mayBeForwarded(destination string) error {
	same := func(f *forward) bool { return f.to.name == destination }
	switch {
	case p.guest != nil:
		return errForwarded // or it could come back to where it is from
	case len(p.forwards) >= maxForwards && !slices.ContainsFunc(p.forwards, same):
		return psrpc.NewErrorf(psrpc.ResourceExhausted, "participant is forwarded to %d rooms already", maxForwards)
	}
	return nil
}

// forwardTo returns the participant's forward to a room, a new one if there is none.
func (p *participant) forwardTo(to *Room) (*forward, error) {
	p.dropForwards(func(f *forward) bool { return f.state.Load() == forwardOver })
	if i := slices.IndexFunc(p.forwards, func(f *forward) bool { return f.to == to }); i >= 0 {
		return p.forwards[i], nil
	}
	if err := p.mayBeForwarded(to.name); err != nil {
		return nil, err
	}
	f := &forward{from: p.room, to: to, identity: p.identity, source: p}
	f.likeness.Store(p.portray())
	p.forwards = append(p.forwards, f)
	p.heardIn()
	p.log.Info("participant forwarded", "to", to.name)
	return f, nil
}

// admit lets the guest in. It is called by the destination's loop.
func (f *forward) admit() error {
	r, l := f.to, f.likeness.Load()
	switch {
	case f.state.Load() == forwardOver:
		return errOver // there may be a newer one
	case f.guest != nil:
		return nil
	case r.participants[f.identity] != nil:
		return errTaken
	case r.full(f.identity, dependent(l.kind, l.perm)) || r.guests() >= maxGuests:
		return errRoomFull
	case !f.state.CompareAndSwap(forwardProposed, forwardStanding):
		return errOver
	}
	r.receive(f)
	return nil
}

// guests counts those that are forwarded to the room.
func (r *Room) guests() (n int) {
	for _, p := range r.participants {
		if p.guest != nil {
			n++
		}
	}
	return n
}

// withdraw takes back what the destination has not accepted. It is called by who
// proposed it.
func (f *forward) withdraw() {
	if f.state.CompareAndSwap(forwardProposed, forwardOver) {
		f.toSource.say(f.from, f.heed)
	}
}

// end is called by either room's loop.
func (f *forward) end() {
	if f.state.Swap(forwardOver) != forwardOver {
		f.toGuest.say(f.to, f.follow)
		f.toSource.say(f.from, f.heed)
	}
}

// endForwards is called when p, source or guest, has left its room.
func (p *participant) endForwards() {
	if p.guest != nil {
		p.room.node.met.forwards.Dec()
		p.guest.end()
	}
	for _, f := range p.forwards {
		last := *f.likeness.Load()
		last.left = p.reason
		f.likeness.Store(&last)
		f.end()
	}
}

// touch has what changed about p passed on at the end of the loop's turn: a
// source's likeness, or what is wanted of a guest.
func (p *participant) touch() {
	if !p.touched && (p.guest != nil || len(p.forwards) > 0) {
		p.touched = true
		p.room.touched = append(p.room.touched, p)
	}
}

// passOn ends a turn of the loop.
func (r *Room) passOn() {
	for _, p := range r.touched {
		p.touched = false
		switch {
		case p.closed:
		case p.guest != nil:
			p.report()
		default:
			p.mirror()
		}
	}
	clear(r.touched)
	r.touched = r.touched[:0]
}

// likeness is what others see of a source and where its media is. It is not changed
// once it is laid down.
type likeness struct {
	name, metadata string
	attributes     map[string]string
	kind           livekit.ParticipantInfo_Kind
	kindDetails    []livekit.ParticipantInfo_KindDetail
	perm           *livekit.ParticipantPermission // in the destination
	chair          bool
	allowed        *access
	speaking       float32 // level; 0 if it does not speak
	quality        livekit.ConnectionQuality
	score          float32
	tracks         []trackLikeness
	left           livekit.DisconnectReason // of a source that is gone
}
