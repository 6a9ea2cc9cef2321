package live

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"diemcau/signaling/meeting"
)

// Who comes back gets exactly what they have missed: the events after from, filtered
// as they were when they happened.

// maxTogetherBehind is how many are brought up to date in one go.
const maxTogetherBehind = 512

// catching is a watcher to be brought up to date: by a snapshot if fresh, else from
// after event from up to and with event to. past is the history at that moment, which
// only grows behind.
type catching struct {
	w        *Watcher
	fresh    bool
	from, to uint64
	past     []past
}

var errGap = errors.New("live: the history has a gap")

// catchLoop brings those up to date who come back, together who wait together.
func (r *room) catchLoop() {
	for c := range r.catching {
		together := []catching{c}
		for more := true; more && len(together) < maxTogetherBehind; {
			select {
			case c, more = <-r.catching:
				if more {
					together = append(together, c)
				}
			default:
				more = false
			}
		}
		behind := slices.DeleteFunc(together, func(c catching) bool {
			if c.fresh {
				r.show(c.w)
			}
			return c.fresh
		})
		if len(behind) == 0 {
			continue
		}
		frames, err := replay(r.id, behind)
		if err != nil {
			r.hub.o.Log.Error("history does not fold", "meeting", r.id, "error", err)
		}
		for i, c := range behind {
			r.caughtUp(c.w, frames[i], err)
		}
	}
}

// show gives a watcher the meeting as it is. The loop only copies it: to encode one of
// thousands of people takes several times as long, and thousands come at the same time.
func (r *room) show(w *Watcher) {
	type copied struct {
		view *meeting.State
		seq  uint64
		at   time.Time
	}
	done := make(chan *copied, 1)
	fn := func() {
		if _, ok := r.watchers[w]; !ok {
			done <- nil
			return
		}
		w.saved = nil // what came meanwhile is in the copy
		done <- &copied{meeting.Snapshot(r.state, w.viewer), r.state.Seq, r.state.At}
	}
	select {
	case r.calls <- fn:
	case <-r.still:
		return
	}
	select {
	case c := <-done:
		if c != nil {
			r.caughtUp(w, []Frame{snapshotFrame(c.view, c.seq, c.at)}, nil)
		}
	case <-r.still:
	}
}

// caughtUp hands over what was missed, and then what came meanwhile.
func (r *room) caughtUp(w *Watcher, frames []Frame, err error) {
	fn := func() {
		if _, ok := r.watchers[w]; !ok {
			return
		}
		saved := w.saved
		w.behind, w.saved = false, nil
		if err != nil {
			w.push(r, r.snapshot(w.viewer))
			return
		}
		for _, f := range slices.Concat(frames, saved) {
			w.push(r, f)
		}
	}
	select {
	case r.calls <- fn:
	case <-r.still:
	}
}

// view is what one of those who come back has missed, in the making.
type view struct {
	standing string
	parts    []uint32 // of the replay's chunks
	renewed  bool     // in place of them a snapshot
}

// replay folds a meeting's history once and filters it for all of them. The result
// has the frames of each. As when it happened, each event is filtered and encoded once
// for each audience, and a frame put together once for all who missed the same.
func replay(id string, all []catching) ([][]Frame, error) {
	out := make([][]Frame, len(all))
	longest := slices.MaxFunc(all, func(a, b catching) int { return len(a.past) - len(b.past) }).past
	s, d := meeting.New(id), &delivery{}
	views, frames := make([]view, len(all)), make(map[string]Frame)
	for _, p := range longest {
		for _, e := range p.events {
			for i, c := range all {
				if e.Seq == c.from+1 {
					views[i].standing = meeting.Standing(s, c.w.viewer)
				}
			}
			if err := meeting.Evolve(s, e, p.at); err != nil {
				return out, fmt.Errorf("%w: %w", errGap, err)
			}
			shared := newSharing(d)
			for i, c := range all {
				if e.Seq <= c.from || e.Seq > c.to {
					continue
				}
				v := &views[i]
				if now := meeting.Standing(s, c.w.viewer); now != v.standing {
					v.standing, v.renewed, v.parts = now, true, nil
				} else if n, ok := shared.chunk(s, e, c.w.viewer); ok && !v.renewed {
					v.parts = append(v.parts, n)
				}
				if e.Seq < c.to {
					continue
				}
				if v.renewed {
					out[i] = []Frame{snapshotFrame(meeting.Snapshot(s, c.w.viewer), s.Seq, s.At)}
					continue
				}
				// Also with nothing to see: it says how far they are.
				key := string(partsKey(binary.BigEndian.AppendUint64(nil, c.to), v.parts))
				if frames[key] == nil {
					frames[key] = d.frame(v.parts, c.to, p.at)
				}
				out[i] = []Frame{frames[key]}
			}
		}
	}
	for i := range out {
		if out[i] == nil {
			return out, errGap
		}
	}
	return out, nil
}
