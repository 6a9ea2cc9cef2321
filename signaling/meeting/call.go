package meeting

import (
	"slices"
	"time"
)

// Call is the point in call ("mời điểm cầu … phát biểu"): microphone and camera
// open there, its picture before everybody. One at a time.
type Call struct {
	Point    string    `json:"point"` // a point, or a user who joined alone
	State    string    `json:"state"` // asked (a personal device) | active
	Started  time.Time `json:"started"`
	Since    time.Time `json:"since,omitzero"` // of being active
	Seconds  int       `json:"seconds,omitempty"`
	Overrun  bool      `json:"overrun,omitempty"`
	Previous Layout    `json:"previous"` // comes back when the call ends
}

// Layout is what the room's screens show.
type Layout struct {
	Name      string   `json:"name"`
	Spotlight []string `json:"spotlight,omitempty"`
}

// same compares what is shown.
func (l Layout) same(o Layout) bool {
	return l.Name == o.Name && slices.Equal(l.Spotlight, o.Spotlight)
}

func spotlight(point string) Layout { return Layout{Name: "spotlight", Spotlight: []string{point}} }

// CallPoint is point.call. A room's device obeys; a personal device is asked.
// Another point in call is ended by it.
type CallPoint struct {
	Point   string `json:"point"`
	Seconds int    `json:"seconds,omitempty"` // countdown; 0: none
}

func (b *CallPoint) check(c *checker) {
	c.person(b.Point, "point")
	c.number(b.Seconds, "seconds", 0, 4*3600)
}

// callable: points, and people who joined from where they are.
func (d *decider) callable(id, field string) (*Person, error) {
	p := d.s.People[id]
	if p == nil {
		return nil, problemIn("not_found", field)
	}
	if !slices.Contains(speakers.roles, p.Role) {
		return nil, problemIn("wrong_target", field)
	}
	return p, nil
}

func (b *CallPoint) decide(d *decider) error {
	p, err := d.callable(b.Point, "point")
	if err != nil {
		return err
	}
	if d.s.Call != nil {
		if d.s.Call.Point == b.Point {
			return problem("nothing_changed")
		}
		d.emit(&CallEnded{Point: d.s.Call.Point, Why: "replaced"})
	}
	next := slices.DeleteFunc(slices.Clone(d.s.NextPoints), func(id string) bool { return id == b.Point })
	asked := p.Role != RolePoint || p.Personal
	d.emit(&CallStarted{Point: b.Point, Asked: asked, Seconds: b.Seconds, Next: next})
	return nil
}

// AnswerCall is point.answer, by the personal device that was asked.
type AnswerCall struct {
	Accept bool `json:"accept"`
}

func (*AnswerCall) check(*checker) {}

func (b *AnswerCall) decide(d *decider) error {
	switch c := d.s.Call; {
	case c == nil:
		return problem("call_none")
	case c.Point != d.actor():
		return problem("forbidden")
	case c.State != "asked":
		return problem("wrong_state")
	}
	if b.Accept {
		d.emit(&CallAccepted{Point: d.actor()})
	} else {
		d.emit(&CallEnded{Point: d.actor(), Why: "declined"})
	}
	return nil
}

// EndCall is point.end: the point is muted, the layout before comes back.
type EndCall struct{}

func (*EndCall) check(*checker) {}

func (*EndCall) decide(d *decider) error {
	if d.s.Call == nil {
		return problem("call_none")
	}
	d.emit(&CallEnded{Point: d.s.Call.Point, Why: "ended"})
	return nil
}

// QueuePoints is point.queue: the points to be called next, in order.
type QueuePoints struct {
	Points []string `json:"points"`
}

func (b *QueuePoints) check(c *checker) { c.list(b.Points, "points", maxCallQueue, identityForm) }

func (b *QueuePoints) decide(d *decider) error {
	for _, id := range b.Points {
		if _, err := d.callable(id, "points"); err != nil {
			return err
		}
		if d.s.Call != nil && d.s.Call.Point == id {
			return problemIn("wrong_target", "points")
		}
	}
	if !slices.Equal(b.Points, d.s.NextPoints) {
		d.emit(&PointsQueued{Points: b.Points})
	}
	return nil
}

// SetLayout is layout.set by the operator. During a call it holds until the next
// change; then the call's end brings nothing back.
type SetLayout struct {
	Name      string   `json:"name"`
	Spotlight []string `json:"spotlight,omitempty"`
}

func (b *SetLayout) check(c *checker) {
	c.oneOf(b.Name, "name", "grid", "spotlight", "speaker", "document", "split")
	c.list(b.Spotlight, "spotlight", maxSpotlight, identityForm)
}

func (b *SetLayout) decide(d *decider) error {
	for _, id := range b.Spotlight {
		if p := d.s.People[id]; p == nil {
			return problemIn("not_found", "spotlight")
		} else if p.Role == RoleObserver {
			return problemIn("wrong_target", "spotlight")
		}
	}
	l := Layout{Name: b.Name, Spotlight: b.Spotlight}
	if !l.same(d.s.Layout) {
		d.emit(&LayoutSet{Layout: l})
	}
	return nil
}

// CallStarted is call.started: the point is in call, or asked whether it will be.
type CallStarted struct {
	Point   string   `json:"point"`
	Asked   bool     `json:"asked,omitempty"`
	Seconds int      `json:"seconds,omitempty"`
	Next    []string `json:"next,omitempty"` // the points to be called after it
}

func (*CallStarted) kind() string { return "call.started" }

func (b *CallStarted) apply(s *State, m meta) error {
	c := &Call{Point: b.Point, State: "active", Started: m.at, Since: m.at, Seconds: b.Seconds, Previous: s.Layout}
	if b.Asked {
		c.State, c.Since = "asked", time.Time{}
	} else {
		s.Layout = spotlight(b.Point)
	}
	s.Call, s.NextPoints = c, nonEmpty(b.Next)
	return nil
}

func nonEmpty(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return slices.Clone(list)
}

// upcoming is what of the next points the viewer sees: two, or all at the desk.
func (v *view) upcoming(list []string) []string {
	if !v.desk && !v.inner && len(list) > 2 {
		return list[:2]
	}
	return list
}

func (b *CallStarted) seen(v *view) Body {
	c := *b
	c.Next = v.upcoming(b.Next)
	return &c
}

// CallAccepted is call.accepted: the personal device opens microphone and camera.
type CallAccepted struct {
	Point string `json:"point"`
}

func (*CallAccepted) kind() string { return "call.accepted" }

func (b *CallAccepted) apply(s *State, m meta) error {
	if s.Call == nil || s.Call.Point != b.Point {
		return s.lacks("call", b.Point)
	}
	s.Call.State, s.Call.Since, s.Call.Previous = "active", m.at, s.Layout
	s.Layout = spotlight(b.Point)
	return nil
}

func (b *CallAccepted) seen(*view) Body { return b }

// CallEnded is call.ended: the point is muted; the layout before is back unless
// the operator chose another meanwhile.
type CallEnded struct {
	Point string `json:"point"`
	Why   string `json:"why"` // ended | declined | replaced | meeting_ended
}

func (*CallEnded) kind() string { return "call.ended" }

func (b *CallEnded) apply(s *State, _ meta) error {
	if s.Call == nil || s.Call.Point != b.Point {
		return s.lacks("call", b.Point)
	}
	if s.Call.State == "active" && s.Layout.same(spotlight(b.Point)) {
		s.Layout = s.Call.Previous
	}
	s.Call = nil
	return nil
}

func (b *CallEnded) seen(*view) Body { return b }

// CallOvertime is call.overtime: the countdown is over. It is a warning only.
type CallOvertime struct {
	Point string `json:"point"`
}

func (*CallOvertime) kind() string { return "call.overtime" }

func (b *CallOvertime) apply(s *State, _ meta) error {
	if s.Call == nil || s.Call.Point != b.Point {
		return s.lacks("call", b.Point)
	}
	s.Call.Overrun = true
	return nil
}

func (b *CallOvertime) seen(*view) Body { return b }

// PointsQueued is call.queued: the points to be called next.
type PointsQueued struct {
	Points []string `json:"points"`
}

func (*PointsQueued) kind() string { return "call.queued" }

func (b *PointsQueued) apply(s *State, _ meta) error { s.NextPoints = nonEmpty(b.Points); return nil }

func (b *PointsQueued) seen(v *view) Body { return &PointsQueued{Points: v.upcoming(b.Points)} }

// LayoutSet is layout.set: what the screens show from now on.
type LayoutSet struct {
	Layout
}

func (*LayoutSet) kind() string { return "layout.set" }

func (b *LayoutSet) apply(s *State, _ meta) error {
	s.Layout = Layout{Name: b.Name, Spotlight: nonEmpty(b.Spotlight)}
	return nil
}

func (b *LayoutSet) seen(*view) Body { return b }
