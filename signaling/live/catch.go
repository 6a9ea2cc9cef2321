package live

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"diemcau/signaling/meeting"
)

// Who comes back gets exactly what they have missed: the events after from, filtered
// as they were when they happened.

// maxTogetherBehind is how many are brought up to date in one go.
const maxTogetherBehind = 512

// maxMissed is from how many missed events on a snapshot is sent in place of them:
// folding and filtering them would hold up others who come back.
const maxMissed = 1 << 14

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
	for together := range r.catching {
		var fresh, behind []catching
		for _, c := range together {
			if c.fresh {
				fresh = append(fresh, c)
			} else {
				behind = append(behind, c)
			}
		}
		if len(fresh) > 0 {
			r.show(fresh)
		}
		if len(behind) == 0 {
			continue
		}
		frames, err := replay(r.id, behind)
		if err != nil {
			r.hub.o.Log.Error("history does not fold", "meeting", r.id, "error", err)
		}
		r.caughtUp(behind, frames, err)
	}
}

// show gives the meeting as it is to those who come for the first time. The loop only
// copies what they see; it is encoded here, and what they see alike once.
func (r *room) show(fresh []catching) {
	copied := make(chan []sight, 1)
	fn := func() {
		sights := make([]sight, len(fresh))
		for i, c := range fresh {
			if _, ok := r.watchers[c.w]; ok {
				c.w.saved = nil // what came meanwhile is in the copy
				sights[i] = r.views.of(r.state, c.w.viewer)
			}
		}
		copied <- sights
	}
	select {
	case r.calls <- fn:
	case <-r.still:
		return
	}
	select {
	case sights := <-copied:
		frames := make([]Frame, len(fresh))
		for i, g := range sights {
			frames[i] = g.frame()
		}
		r.caughtUp(fresh, frames, nil)
	case <-r.still:
	}
}

// caughtUp hands over what was missed, and then what came meanwhile.
func (r *room) caughtUp(all []catching, frames []Frame, err error) {
	fn := func() {
		for i, c := range all {
			w := c.w
			if _, ok := r.watchers[w]; !ok {
				continue
			}
			saved := w.saved
			w.behind, w.saved = false, nil
			if err != nil {
				w.push(r, r.snapshot(w.viewer))
				continue
			}
			w.push(r, frames[i])
			for _, f := range saved {
				w.push(r, f)
			}
		}
		r.handOver()
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
func replay(id string, all []catching) ([]Frame, error) {
	out, shows := make([]Frame, len(all)), &views{}
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
					out[i] = shows.of(s, c.w.viewer).frame()
					continue
				}
				// Also with nothing to see: it says how far they are.
				key := string(partsKey(binary.BigEndian.AppendUint64(nil, c.to), v.parts))
				if frames[key] == nil {
					frames[key] = d.frame(v.parts, c.to, p.at)
				}
				out[i] = frames[key]
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
