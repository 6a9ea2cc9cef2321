package meeting

import (
	"maps"
	"slices"
)

// Snapshot is what a viewer may see of s, as a state of its own that shares
// nothing with s and takes the events Visible lets through. Seq is the last event
// in it. It is nil for who may not see the meeting; who waits in the lobby sees
// the title and the own waiting.
func Snapshot(s *State, w Viewer) *State {
	v := look(s, w)
	switch {
	case v.in:
		return v.copy()
	case v.lobby:
		out := v.empty()
		wait := *s.Lobby[w.ID]
		out.Lobby[w.ID] = &wait
		out.Info.Title, out.Info.Status = s.Info.Title, s.Info.Status
		return out
	}
	return nil
}

func (v *view) empty() *State {
	out := New(v.s.ID)
	out.Viewer, out.Seq, out.At, out.Applied = v.id, v.s.Seq, v.s.At, nil
	return out
}

// copy copies what a viewer sees who is in the meeting; with no id, what whoever has
// the same rights sees.
func (v *view) copy() *State {
	s, out := v.s, v.empty()
	out.Info, out.Presiding, out.Floor, out.Interrupted, out.ChatMode = s.Info, s.Presiding, s.Floor, s.Interrupted, s.ChatMode
	if !v.inner && s.Info.Status != Cancelled {
		out.Info.Note = ""
	}
	v.copyPeople(out)
	v.copyAgenda(out)
	out.Speak, out.Question = v.copyQueue(s.Speak), v.copyQueue(s.Question)
	v.copyDesk(out)
	for id, vote := range s.Votes {
		if c := v.copyVote(vote); c != nil {
			out.Votes[id] = c
		}
	}
	for _, m := range s.Chat {
		c := *m
		out.Chat = append(out.Chat, &c)
	}
	for id, c := range s.Conclusions {
		if c := v.copyConclusion(c); c != nil {
			out.Conclusions[id] = c
		}
	}
	return out
}

func (v *view) copyPeople(out *State) {
	for id := range v.s.People {
		if c := v.copyPerson(id); c != nil {
			out.People[id] = c
		}
	}
	for id, u := range v.s.Units {
		out.Units[id] = copyOf(u)
	}
}

// copyPerson is nil for whom the viewer does not see.
func (v *view) copyPerson(id string) *Person {
	if !v.knows(id) {
		return nil
	}
	c := *v.s.People[id]
	inv := &c.Invitation
	own := v.inner || id == v.id
	if !own {
		inv.Reason, inv.Substitute, c.Attendance.Reason = "", nil, ""
	}
	if !own && (inv.Delegate == nil || inv.Delegate.ID != v.id) {
		inv.Delegate = nil
	}
	inv.Substitute, inv.Delegate = copyOf(inv.Substitute), copyOf(inv.Delegate)
	return &c
}

func copyOf[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

func (v *view) copyAgenda(out *State) {
	a := &v.s.Agenda
	out.Agenda.Current = a.Current
	for _, id := range a.Order {
		if v.hides(id) {
			continue
		}
		it := *a.Items[id]
		it.Documents = slices.Clone(it.Documents)
		out.Agenda.Items[id] = &it
		out.Agenda.Order = append(out.Agenda.Order, id)
	}
}

func (v *view) copyQueue(q *Queue) *Queue {
	c := *q
	c.Waiting, c.UnitTime = nonEmpty(q.Waiting), maps.Clone(q.UnitTime)
	c.Requests = make(map[string]*Request, len(q.Requests))
	for id, r := range q.Requests {
		c.Requests[id] = v.copyRequest(r)
	}
	return &c
}

func (v *view) copyRequest(r *Request) *Request {
	c := *r
	if !v.inner && r.Person != v.id {
		c.Reason = ""
	}
	return &c
}

func (v *view) copyDesk(out *State) {
	s := v.s
	if s.Call != nil {
		c := *s.Call
		c.Previous.Spotlight = nonEmpty(c.Previous.Spotlight)
		out.Call = &c
	}
	out.NextPoints = nonEmpty(v.upcoming(s.NextPoints))
	out.Layout = Layout{Name: s.Layout.Name, Spotlight: nonEmpty(s.Layout.Spotlight)}
	keep(out.Devices, s.Devices, v)
	keep(out.Readiness, s.Readiness, v)
	keep(out.Lobby, s.Lobby, v)
}

// keep copies what is for the desk and for the one it is about.
func keep[T any](out, in map[string]*T, v *view) {
	for id, p := range in {
		if v.desk || id == v.id {
			out[id] = copyOf(p)
		}
	}
}

func (v *view) copyVote(w *Vote) *Vote {
	if !v.seesVote(w) {
		return nil
	}
	c := *w
	c.VoteInfo = w.clone()
	c.Quorum = copyOf(w.Quorum)
	c.Issued, c.Casts, c.Revisions = v.own(w.Issued), nil, nil
	c.Result, c.Paper = nil, nil
	switch {
	case w.Secret:
		c.Ballots = nil
	case v.seesBallots(w):
		c.Ballots = maps.Clone(w.Ballots)
	default:
		c.Ballots = map[string][]string{}
		if b, ok := w.Ballots[v.id]; ok {
			c.Ballots[v.id] = b
		}
	}
	if v.inner {
		c.Voters = maps.Clone(w.Voters)
	} else {
		c.Voters, c.Excluded = v.own(w.Voters), nil
	}
	if w.Result != nil && (v.bench || w.State == "published") {
		c.Result, c.Paper = w.Result.clone(), w.Paper.clone()
	}
	return &c
}

func (v *view) seesVote(w *Vote) bool { return v.inner || !w.OpenedAt.IsZero() }

// seesBallots says whether the viewer sees who voted what in an open vote; the own
// ballot everybody sees.
func (v *view) seesBallots(w *Vote) bool {
	return v.bench && !w.ClosedAt.IsZero() || w.State == "published" && w.Names
}

func (v *view) copyConclusion(k *Conclusion) *Conclusion {
	c := &Conclusion{ID: k.ID, Item: k.Item}
	if k.Issued != nil {
		c.Issued = copyOf(k.Issued)
		c.Issued.Attachments = slices.Clone(k.Issued.Attachments)
	}
	if v.inner {
		c.Versions = slices.Clone(k.Versions)
	} else if k.Issued == nil {
		return nil
	}
	return c
}
