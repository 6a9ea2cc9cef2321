package live

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"diemcau/signaling/journal"
	"diemcau/signaling/meeting"
)

const (
	maxWaiting    = 4096 // commands of a meeting that wait
	maxCalls      = 512  // who waits for the loop otherwise
	maxTogether   = 256  // commands of one commit
	loadWithin    = time.Minute
	commitWithin  = 30 * time.Second
	progressEvery = 500 * time.Millisecond // how often the count of ballots is told
)

// room is one meeting in memory. Its loop owns all that is not said to be others'.
type room struct {
	hub    *Hub
	id     string
	loaded chan struct{} // closed when failed, or state and all that, is set
	failed error
	broken atomic.Bool   // the state is of no use
	quit   chan struct{} // closed by the hub
	still  chan struct{} // closed when the loop calls nothing any more
	ended  chan struct{}

	users int       // guarded by hub.mu
	left  time.Time // guarded by hub.mu: when the last user went

	requests chan *request
	calls    chan func()

	state   *meeting.State
	writer  *journal.Writer
	applied map[applied]meeting.AppliedCommand // every command there was, without its id
	past    []past                             // every entry, for those who come back

	watchers map[*Watcher]struct{}
	devices  map[string]int      // connected watchers by identity
	absent   map[string]struct{} // presence to be told: those whose count went to or from zero
	progress map[string]struct{} // votes whose count is to be told
	behind   []catching          // who is to be brought up to date, each watcher once at most
	catching chan []catching     // the same, handed over
	views    views

	permitted map[string]permitted // by identity, of those whom the directory permits something or did
}

// applied is what makes a command one.
type applied struct{ author, id string }

// past is an entry as those who come back need it.
type past struct {
	at     time.Time
	events []meeting.Event
}

// request is a command on its way.
type request struct {
	cmd  meeting.Command
	done chan answer // has room for the one answer
}

type answer struct {
	seq uint64
	err error
}

func newRoom(h *Hub, id string) *room {
	return &room{
		hub: h, id: id, loaded: make(chan struct{}), quit: make(chan struct{}),
		still: make(chan struct{}), ended: make(chan struct{}),
		requests: make(chan *request, maxWaiting), calls: make(chan func(), maxCalls),
		state: meeting.New(id), applied: make(map[applied]meeting.AppliedCommand),
		watchers: make(map[*Watcher]struct{}), devices: make(map[string]int),
		absent: make(map[string]struct{}), progress: make(map[string]struct{}),
		catching: make(chan []catching, 1), permitted: make(map[string]permitted),
	}
}

// run loads the meeting and is its loop.
func (r *room) run() {
	defer r.hub.running.Done()
	defer r.hub.forget(r)
	defer close(r.ended)
	if r.failed = r.load(); r.failed != nil {
		r.broken.Store(true)
		close(r.loaded)
		return
	}
	catcher := make(chan struct{})
	go func() {
		defer close(catcher)
		r.catchLoop()
	}()
	close(r.loaded)
	reason := r.loop()
	r.broken.Store(true)
	close(r.still)
	for w := range r.watchers {
		w.end(reason)
	}
	close(r.catching)
	<-catcher
	r.refuse(ErrUnavailable)
	r.giveBack()
}

// giveBack ends the lease, so that another process need not wait for its end.
func (r *room) giveBack() {
	ctx, cancel := context.WithTimeout(context.Background(), commitWithin)
	defer cancel()
	if err := r.writer.Release(ctx); err != nil && !errors.Is(err, journal.ErrFenced) {
		r.hub.o.Log.Warn("lease not given back", "meeting", r.id, "error", err)
	}
}

// load takes the lease and folds the journal.
func (r *room) load() error {
	ctx, cancel := context.WithTimeout(context.Background(), loadWithin)
	defer cancel()
	writer, err := r.hub.o.Journal.Open(ctx, r.id, r.hub.o.Owner)
	if err != nil {
		return err
	}
	r.writer = writer
	if err := r.read(ctx); err != nil {
		r.giveBack()
		return err
	}
	return nil
}

func (r *room) read(ctx context.Context) error {
	for e, err := range journal.Read(ctx, r.hub.o.DB, r.id, 1) {
		if err != nil {
			return err
		}
		events, at, err := fold(r.state, e)
		if err != nil {
			return err
		}
		r.keep(e.Author, e.Command, events, at)
	}
	return nil
}

// keep remembers a command and its events.
func (r *room) keep(author, command string, events []meeting.Event, at time.Time) {
	if command != "" {
		last := events[len(events)-1]
		r.applied[applied{author, command}] = meeting.AppliedCommand{Seq: last.Seq, Sum: last.Sum}
	}
	r.past = append(r.past, past{at, events})
}

// loop serves until the hub ends the room or it cannot write any more, and returns
// why, for those who watch.
func (r *room) loop() Reason {
	due, renew, tell := time.NewTimer(time.Hour), time.NewTicker(renewEvery), time.NewTicker(progressEvery)
	settle := time.NewTimer(r.hub.settleAfter)
	defer settle.Stop()
	defer due.Stop()
	defer renew.Stop()
	defer tell.Stop()
	for {
		if at, ok := meeting.Next(r.state); ok {
			due.Reset(max(0, at.Sub(r.hub.o.Now())))
		} else {
			due.Reset(time.Hour)
		}
		var err error
		select {
		case q := <-r.requests:
			err = r.commit(q)
		case fn := <-r.calls:
			fn()
		case <-due.C:
			err = r.commit(nil)
		case <-tell.C:
			r.views.rest()
			r.handOver()
			r.tellProgress()
			err = r.tellPresence()
		case <-settle.C:
			r.settle()
		case <-renew.C:
			err = r.renew()
		case <-r.quit:
			return ReasonServer
		}
		if err != nil {
			r.hub.o.Log.Error("meeting given up", "meeting", r.id, "error", err)
			return ReasonReload
		}
	}
}

func (r *room) renew() error {
	ctx, cancel := context.WithTimeout(context.Background(), renewEvery)
	defer cancel()
	err := r.writer.Renew(ctx)
	if err != nil && !errors.Is(err, journal.ErrFenced) {
		r.hub.o.Log.Warn("lease not renewed", "meeting", r.id, "error", err)
		return nil // what is appended is checked anyway
	}
	return err
}

// refuse answers what waits.
func (r *room) refuse(err error) {
	for {
		select {
		case q := <-r.requests:
			q.done <- answer{err: err}
		default:
			return
		}
	}
}

// apply queues a command and waits for its answer. When ctx ends before, it is not
// known whether the command was applied.
func (r *room) apply(ctx context.Context, cmd meeting.Command) (uint64, error) {
	q := &request{cmd: cmd, done: make(chan answer, 1)}
	select {
	case r.requests <- q:
	default:
		return 0, fmt.Errorf("%w: %d commands", ErrBusy, maxWaiting)
	}
	select {
	case a := <-q.done:
		return a.seq, a.err
	case <-ctx.Done():
		return 0, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	case <-r.ended:
		select {
		case a := <-q.done:
			return a.seq, a.err
		default:
			return 0, ErrUnavailable
		}
	}
}

// do has the loop call fn and waits for it. What fn panics with, do panics with: the
// loop is not only the caller's.
func (r *room) do(ctx context.Context, fn func()) error {
	done := make(chan any, 1)
	call := func() {
		defer func() {
			p := recover()
			if p != nil {
				p = fmt.Sprintf("%v\n%s", p, debug.Stack())
			}
			done <- p
		}()
		fn()
	}
	select {
	case r.calls <- call:
	case <-ctx.Done():
		return ctx.Err()
	case <-r.ended:
		return ErrUnavailable
	}
	var panicked any
	select {
	case panicked = <-done:
	case <-r.ended:
		select {
		case panicked = <-done:
		default:
			return ErrUnavailable
		}
	}
	if panicked != nil {
		panic(panicked)
	}
	return nil
}
