package live

import (
	"errors"
	"fmt"
	"slices"

	"diemcau/signaling/meeting"
)

// Who comes back gets exactly what they have missed: the events after from, filtered
// as they were when they happened.

// maxTogetherBehind is how many are brought up to date in one go.
const maxTogetherBehind = 512

// catching is a watcher to be brought up to date: from after event from up to and
// with event to. past is the history at that moment, which only grows behind.
type catching struct {
	w        *Watcher
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
		frames, err := replay(r.id, together)
		if err != nil {
			r.hub.o.Log.Error("history does not fold", "meeting", r.id, "error", err)
		}
		for i, c := range together {
			r.caughtUp(c.w, frames[i], err)
		}
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

// replay folds a meeting's history once and filters it for all of them. The result
// has the frames of each.
func replay(id string, all []catching) ([][]Frame, error) {
	out := make([][]Frame, len(all))
	longest := slices.MaxFunc(all, func(a, b catching) int { return len(a.past) - len(b.past) }).past
	s := meeting.New(id)
	type view struct {
		standing string
		chunks   [][]byte
		renewed  bool
	}
	views := make([]view, len(all))
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
			for i, c := range all {
				if e.Seq <= c.from || e.Seq > c.to {
					continue
				}
				v := &views[i]
				if now := meeting.Standing(s, c.w.viewer); now != v.standing {
					v.standing, v.renewed, v.chunks = now, true, nil
				} else if seen, ok := meeting.Visible(s, e, c.w.viewer); ok && !v.renewed {
					v.chunks = append(v.chunks, encode(seen))
				}
				if e.Seq < c.to {
					continue
				}
				switch {
				case v.renewed:
					out[i] = []Frame{snapshotFrame(s, c.w.viewer)}
				default: // also with nothing to see: it says how far they are
					out[i] = []Frame{eventsFrame(v.chunks, c.to, p.at)}
				}
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
