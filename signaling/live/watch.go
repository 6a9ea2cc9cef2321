package live

import (
	"bytes"
	"context"
	"encoding/binary"
	"strconv"
	"sync"
	"time"

	"diemcau/signaling/meeting"
)

// maxQueued is how many frames wait for a watcher, each 24 bytes even when none do; while it is brought up to date
// those that came before are one.
const maxQueued = 128

// Reason is why a watcher was closed, for its client.
type Reason string

// Reasons.
const (
	ReasonNone   Reason = ""
	ReasonSlow   Reason = "slow"   // did not take its frames: come back from the last event seen
	ReasonReload Reason = "reload" // the meeting is being loaded anew: come back
	ReasonServer Reason = "server" // the server stops or the meeting rests: come back
)

// Watcher receives what somebody may see of a meeting.
type Watcher struct {
	viewer meeting.Viewer
	room   *room
	queue  chan Frame
	gone   chan struct{} // closed when no more comes
	closed sync.Once

	mu     sync.Mutex
	reason Reason // guarded by mu: why gone was closed

	// Of the room's loop:
	standing string   // as of the last event
	behind   bool     // is being brought up to date
	saved    []Frame  // what came meanwhile
	parts    []uint32 // of the batch's chunks, those for this watcher
	renew    bool     // in place of them a snapshot
}

// Frames is what to send, in order.
func (w *Watcher) Frames() <-chan Frame { return w.queue }

// Gone is closed when no more frames come; Why says why.
func (w *Watcher) Gone() <-chan struct{} { return w.gone }

// Why is the reason for which Gone was closed.
func (w *Watcher) Why() Reason {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reason
}

// end closes the watcher, once.
func (w *Watcher) end(why Reason) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.gone:
	default:
		w.reason = why
		close(w.gone)
	}
}

// push queues a frame, in the room's loop. Who has no room for it is closed.
func (w *Watcher) push(r *room, f Frame) {
	if w.behind {
		if w.saved = append(w.saved, f); len(w.saved) > maxQueued {
			r.drop(w, ReasonSlow)
		}
		return
	}
	select {
	case w.queue <- f:
	default:
		r.drop(w, ReasonSlow)
	}
}

// Watch begins to tell viewer of a meeting: from after event number from, which
// they have seen, or with a snapshot if fresh. A number that the meeting has not
// reached, as after a restore, or that is very far back gives a snapshot. Close the
// watcher.
func (h *Hub) Watch(ctx context.Context, id string, viewer meeting.Viewer, from uint64, fresh bool) (*Watcher, error) {
	r, err := h.hold(ctx, id, false)
	if err != nil {
		return nil, err
	}
	w := &Watcher{viewer: viewer, room: r, queue: make(chan Frame, maxQueued), gone: make(chan struct{})}
	if err := r.do(ctx, func() { r.admit(w, from, fresh) }); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// Close ends the watcher. It may be called again.
func (w *Watcher) Close() {
	w.closed.Do(func() {
		w.end(ReasonNone)
		r := w.room
		select {
		case r.calls <- func() { r.drop(w, ReasonNone) }:
		case <-r.ended:
		}
		r.hub.release(r)
	})
}

// admit is Watch in the room's loop.
func (r *room) admit(w *Watcher, from uint64, fresh bool) {
	r.watchers[w] = struct{}{}
	w.standing = meeting.Standing(r.state, w.viewer)
	if r.devices[w.viewer.ID]++; r.devices[w.viewer.ID] == 1 {
		r.absent[w.viewer.ID] = struct{}{}
	}
	fresh = r.rightsChanged(w.viewer, from) || fresh || from > r.state.Seq || from == 0 || r.state.Seq-from > r.hub.maxMissed
	if !fresh && from == r.state.Seq {
		return
	}
	w.behind = true
	c := catching{w: w, fresh: fresh, from: from, to: r.state.Seq}
	if !fresh {
		c.past = r.past
	}
	r.behind = append(r.behind, c)
	r.handOver()
}

// handOver gives those who are behind to who brings them up to date, as soon as it has
// taken those before; else it is tried again when it is through with some.
func (r *room) handOver() {
	if len(r.behind) == 0 {
		return
	}
	n := min(len(r.behind), maxTogetherBehind)
	select {
	case r.catching <- r.behind[:n:n]:
		r.behind = r.behind[n:]
	default:
	}
}

// permitted is what the directory last permitted a viewer, and the number of the event
// after which that was known here.
type permitted struct {
	set   meeting.PermissionSet
	since uint64
}

// rightsChanged notes what a viewer is permitted, and tells whether that has changed
// since they saw event from. No event says so, and the events after it do not lead from
// what they saw then to what they may see now.
func (r *room) rightsChanged(v meeting.Viewer, from uint64) bool {
	was, known := r.permitted[v.ID]
	if was.set != v.Permissions {
		was, known = permitted{v.Permissions, r.state.Seq}, true
		r.permitted[v.ID] = was
	}
	return known && from <= was.since
}

// drop takes a watcher out of the room, once.
func (r *room) drop(w *Watcher, why Reason) {
	w.end(why)
	if _, ok := r.watchers[w]; !ok {
		return
	}
	delete(r.watchers, w)
	if r.devices[w.viewer.ID]--; r.devices[w.viewer.ID] == 0 {
		delete(r.devices, w.viewer.ID)
		r.absent[w.viewer.ID] = struct{}{}
	}
}

// snapshot is the frame of the whole meeting for a viewer.
func (r *room) snapshot(v meeting.Viewer) Frame { return r.views.of(r.state, v).frame() }

// delivery collects who sees what of a batch. Each event is filtered and encoded
// once for each audience, and each frame put together once for all who get the same.
type delivery struct {
	chunks [][]byte // encoded events
	counts map[string]struct{}
}

func (d *delivery) init(r *room) {
	d.counts = r.progress
	for w := range r.watchers {
		w.parts, w.renew = w.parts[:0], false
	}
}

// add is told of an event that the state has just evolved by.
func (d *delivery) add(r *room, e meeting.Event) {
	switch b := e.Body.(type) {
	case *meeting.BallotGiven: // the voter sees it; the count is told to all later
		d.counts[b.Vote] = struct{}{}
		d.only(r, e, b.Voter)
		return
	case *meeting.BallotIssued:
		d.only(r, e, b.Voter)
		return
	case *meeting.BallotCast:
		d.counts[b.Vote] = struct{}{}
		return
	}
	shared := newSharing(d)
	for w := range r.watchers {
		if w.renew {
			continue
		}
		standing := meeting.Standing(r.state, w.viewer)
		if standing != w.standing {
			w.standing, w.renew = standing, true
			continue
		}
		w.add(shared.chunk(r.state, e, w.viewer))
	}
}

// only tells one person of an event that nobody else sees and that changes nothing
// about who sees what.
func (d *delivery) only(r *room, e meeting.Event, id string) {
	if r.devices[id] == 0 {
		return
	}
	shared := newSharing(d)
	for w := range r.watchers {
		if w.viewer.ID == id && !w.renew {
			w.add(shared.chunk(r.state, e, w.viewer))
		}
	}
}

func (w *Watcher) add(chunk uint32, visible bool) {
	if visible {
		w.parts = append(w.parts, chunk)
	}
}

// send queues the frames, once the batch is on disk.
func (d *delivery) send(r *room, at time.Time) {
	frames := make(map[string]Frame)
	var key []byte
	for w := range r.watchers {
		switch {
		case w.renew:
			w.push(r, r.snapshot(w.viewer))
		case len(w.parts) > 0:
			key = partsKey(key[:0], w.parts)
			f, ok := frames[string(key)]
			if !ok {
				f = d.frame(w.parts, r.state.Seq, at)
				frames[string(key)] = f
			}
			w.push(r, f)
		}
	}
}

// partsKey appends what tells lists of parts apart.
func partsKey(key []byte, parts []uint32) []byte {
	for _, p := range parts {
		key = binary.BigEndian.AppendUint32(key, p)
	}
	return key
}

func (d *delivery) frame(parts []uint32, seq uint64, at time.Time) Frame {
	chunks := make([][]byte, len(parts))
	for i, p := range parts {
		chunks[i] = d.chunks[p]
	}
	return eventsFrame(chunks, seq, at)
}

func eventsFrame(chunks [][]byte, seq uint64, at time.Time) Frame {
	var b bytes.Buffer
	b.WriteString(`{"type":"events","seq":`)
	b.WriteString(strconv.FormatUint(seq, 10))
	b.WriteString(`,"at":"`)
	b.WriteString(at.Format("2006-01-02T15:04:05.000Z"))
	b.WriteString(`","events":[`)
	b.Write(bytes.Join(chunks, []byte{','}))
	b.WriteString(`]}`)
	return Frame{b.Bytes()}
}

// tellProgress tells all who see the vote how many ballots are cast.
func (r *room) tellProgress() {
	for id := range r.progress {
		delete(r.progress, id)
		vote := r.state.Votes[id]
		if vote == nil {
			continue
		}
		f := Frame{encode(struct {
			Type string `json:"type"`
			Seq  uint64 `json:"seq"`
			Vote string `json:"vote"`
			Cast int    `json:"cast"`
		}{"progress", r.state.Seq, id, vote.Cast})}
		e := meeting.Event{Seq: r.state.Seq, Type: "vote.progress", Body: &meeting.VoteProgress{Vote: id, Cast: vote.Cast}}
		may := make(map[string]bool)
		for w := range r.watchers {
			sees, ok := may[w.standing]
			if !ok {
				_, sees = meeting.Visible(r.state, e, w.viewer)
				may[w.standing] = sees
			}
			if sees {
				w.push(r, f)
			}
		}
	}
}
