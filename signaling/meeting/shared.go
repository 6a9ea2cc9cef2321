package meeting

import (
	"maps"
	"slices"
	"sync"
)

// Snapshots of a meeting of thousands are long and nearly the same: viewers of one
// standing see alike what is not about themselves. Shared is what they see alike, and
// Own what is one viewer's; Shared.JSON puts both together, as the bytes of Snapshot.
// What Snapshot lets somebody see for being who they are must be in Own, too.

// Shared is what all viewers of one standing see alike of a state, copied once and
// encoded once. JSON may be called by several at the same time.
type Shared struct {
	seq       uint64
	delegates map[string][]string // by person: whose votes were offered or given to them; not for inner, who see all
	refused   map[string][]string // by person: requests, of which the reason is theirs; the same

	once  sync.Once
	state *State // until it is encoded
	doc   *doc
	err   error
}

// Share copies what everybody of w's standing sees alike of s. It is nil for who does
// not see the meeting, or waits in its lobby.
func Share(s *State, w Viewer) *Shared {
	v := look(s, w)
	if !v.in || w.ID == "" {
		return nil
	}
	v.id = "" // nobody's
	c := &Shared{seq: s.Seq, state: v.copy()}
	if v.inner {
		return c
	}
	c.delegates, c.refused = map[string][]string{}, map[string][]string{}
	for id, p := range s.People {
		if d := p.Invitation.Delegate; d != nil {
			c.delegates[d.ID] = append(c.delegates[d.ID], id)
		}
	}
	for _, q := range []*Queue{s.Speak, s.Question} {
		for id, r := range q.Requests {
			if r.Reason != "" {
				c.refused[r.Person] = append(c.refused[r.Person], id)
			}
		}
	}
	return c
}

// Own is what one viewer sees of a state otherwise than the others of their standing.
type Own struct {
	seq             uint64
	id              string
	people          map[string]*Person
	speak, question map[string]*Request
	devices         map[string]*Device
	readiness       map[string]*Readiness
	lobby           map[string]*Waiting
	votes           map[string]ownVote
}

// ownVote is the part of a vote that is the viewer's: maps of one entry or none.
type ownVote struct {
	voters, issued map[string]string
	ballots        map[string][]string
}

// Own copies what is w's own of s, which is the state that c was made of, for a
// viewer of the same standing.
func (c *Shared) Own(s *State, w Viewer) *Own {
	v := look(s, w)
	o := &Own{seq: s.Seq, id: w.ID}
	if !v.inner {
		c.people(v, o)
	}
	if !v.desk {
		o.devices, o.readiness, o.lobby = single(s.Devices, w.ID), single(s.Readiness, w.ID), single(s.Lobby, w.ID)
	}
	for id, vote := range s.Votes {
		if !v.seesVote(vote) {
			continue
		}
		own := ownVote{issued: entry(vote.Issued, w.ID)}
		if !v.inner {
			own.voters = entry(vote.Voters, w.ID)
		}
		if !vote.Secret && !v.seesBallots(vote) {
			own.ballots = entry(vote.Ballots, w.ID)
		}
		if own.issued == nil && own.voters == nil && own.ballots == nil {
			continue
		}
		if o.votes == nil {
			o.votes = make(map[string]ownVote)
		}
		o.votes[id] = own
	}
	return o
}

// people copies the viewer, those whose votes they hold or were offered, and the
// requests of which the viewer may know why they were refused.
func (c *Shared) people(v *view, o *Own) {
	o.people = make(map[string]*Person)
	for _, id := range append([]string{v.id}, c.delegates[v.id]...) {
		if p := v.copyPerson(id); p != nil {
			o.people[id] = p
		}
	}
	for _, id := range c.refused[v.id] {
		of := &o.speak
		r := v.s.Speak.Requests[id]
		if r == nil {
			of, r = &o.question, v.s.Question.Requests[id]
		}
		if *of == nil {
			*of = make(map[string]*Request)
		}
		(*of)[id] = v.copyRequest(r)
	}
}

// entry is the part of a map that is about id; nil for none.
func entry[T any](m map[string]T, id string) map[string]T {
	if v, ok := m[id]; ok {
		return map[string]T{id: v}
	}
	return nil
}

// single is entry, copied.
func single[T any](m map[string]*T, id string) map[string]*T {
	if v, ok := m[id]; ok {
		return map[string]*T{id: copyOf(v)}
	}
	return nil
}

// JSON is the snapshot of a viewer as json.Marshal makes it, in parts of which the long
// ones are shared: nobody may change them. An error means that o is of another state, or
// that the state cannot be encoded.
func (c *Shared) JSON(o *Own) ([][]byte, error) {
	c.once.Do(func() {
		c.doc, c.err = newDoc(c.state)
		c.state = nil
	})
	if c.err != nil {
		return nil, c.err
	}
	if o.seq != c.seq {
		return nil, errOtherState
	}
	var e edits
	d := c.doc
	e.put(d.viewer, d.viewer, `,"viewer":`, o.id)
	mix(&e, d.people, o.people)
	mix(&e, d.speak, o.speak)
	mix(&e, d.question, o.question)
	for _, id := range slices.Sorted(maps.Keys(o.votes)) {
		vote, own := d.votes[id], o.votes[id]
		mix(&e, vote.voters, own.voters)
		mix(&e, vote.issued, own.issued)
		mix(&e, vote.ballots, own.ballots)
	}
	mix(&e, d.devices, o.devices)
	mix(&e, d.readiness, o.readiness)
	mix(&e, d.lobby, o.lobby)
	return e.parts(d.text)
}
