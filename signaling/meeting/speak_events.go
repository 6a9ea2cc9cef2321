package meeting

import "slices"

// ListOpened is speak.opened: people may register in the list.
type ListOpened struct {
	List       string `json:"list"`
	Limit      int    `json:"limit,omitempty"`     // seconds
	UnitLimit  int    `json:"unitLimit,omitempty"` // seconds
	Questioned string `json:"questioned,omitempty"`
}

func (*ListOpened) kind() string { return "speak.opened" }

func (b *ListOpened) apply(s *State, _ meta) error {
	q := s.queue(b.List)
	q.Open, q.Limit, q.UnitLimit, q.Questioned = true, b.Limit, b.UnitLimit, b.Questioned
	return nil
}

func (b *ListOpened) seen(*view) Body { return b }

// ListClosed is speak.closed.
type ListClosed struct {
	List string `json:"list"`
}

func (*ListClosed) kind() string { return "speak.closed" }

func (b *ListClosed) apply(s *State, _ meta) error { s.queue(b.List).Open = false; return nil }
func (b *ListClosed) seen(*view) Body              { return b }

// SpeakRequested is speak.requested: somebody waits at the end of a list.
type SpeakRequested struct {
	Request Request `json:"request"`
}

func (*SpeakRequested) kind() string { return "speak.requested" }

func (b *SpeakRequested) apply(s *State, _ meta) error {
	r := b.Request
	q := s.queue(r.List)
	q.Requests[r.ID] = &r
	q.Waiting = append(q.Waiting, r.ID)
	return nil
}

func (b *SpeakRequested) seen(*view) Body { return b }

// of runs fn on a request and its list.
func (s *State) of(id string, fn func(r *Request, q *Queue)) error {
	r := s.request(id)
	if r == nil {
		return s.lacks("request", id)
	}
	fn(r, s.queue(r.List))
	return nil
}

func (q *Queue) noLongerWaiting(id string) {
	q.Waiting = slices.DeleteFunc(q.Waiting, func(w string) bool { return w == id })
	if len(q.Waiting) == 0 {
		q.Waiting = nil
	}
}

// SpeakWithdrawn is speak.withdrawn, by who asked.
type SpeakWithdrawn struct {
	Request string `json:"request"`
}

func (*SpeakWithdrawn) kind() string { return "speak.withdrawn" }

func (b *SpeakWithdrawn) apply(s *State, _ meta) error {
	return s.of(b.Request, func(r *Request, q *Queue) {
		r.State = "withdrawn"
		q.noLongerWaiting(r.ID)
	})
}

func (b *SpeakWithdrawn) seen(*view) Body { return b }

// SpeakRefused is speak.refused. The reason is for who asked and the desk.
type SpeakRefused struct {
	Request string `json:"request"`
	Person  string `json:"person"`
	Reason  string `json:"reason,omitempty"`
}

func (*SpeakRefused) kind() string { return "speak.refused" }

func (b *SpeakRefused) apply(s *State, _ meta) error {
	return s.of(b.Request, func(r *Request, q *Queue) {
		r.State, r.Reason = "refused", b.Reason
		q.noLongerWaiting(r.ID)
	})
}

func (b *SpeakRefused) seen(v *view) Body {
	if v.inner || v.id == b.Person {
		return b
	}
	return &SpeakRefused{Request: b.Request, Person: b.Person}
}

// SpeakCalled is speak.called: the person is asked to get ready.
type SpeakCalled struct {
	Request string `json:"request"`
}

func (*SpeakCalled) kind() string { return "speak.called" }

func (b *SpeakCalled) apply(s *State, _ meta) error {
	return s.of(b.Request, func(r *Request, q *Queue) {
		r.State = "called"
		q.noLongerWaiting(r.ID)
	})
}

func (b *SpeakCalled) seen(*view) Body { return b }

// SpeakStarted is speak.started: the person has the floor. Interrupts says that
// it is a point of order, for which who had the floor pauses.
type SpeakStarted struct {
	Request    string `json:"request"`
	Limit      int    `json:"limit,omitempty"` // seconds
	Interrupts bool   `json:"interrupts,omitempty"`
}

func (*SpeakStarted) kind() string { return "speak.started" }

func (b *SpeakStarted) apply(s *State, m meta) error {
	if b.Interrupts && s.Interrupted == "" {
		if err := s.of(s.Floor, func(r *Request, q *Queue) {
			r.Held = r.State == "paused"
			r.pause(q, m)
		}); err != nil {
			return err
		}
		s.Interrupted = s.Floor
	}
	return s.of(b.Request, func(r *Request, q *Queue) {
		r.State, r.Limit = "speaking", b.Limit
		r.Clock.start(m.at)
		q.noLongerWaiting(r.ID)
		s.Floor = r.ID
	})
}

// pause stops the clock and books the time to the unit.
func (r *Request) pause(q *Queue, m meta) {
	ms := r.Clock.stop(m.at)
	if r.Unit != "" && ms > 0 {
		q.UnitTime[r.Unit] += ms
	}
	r.State = "paused"
}

func (b *SpeakStarted) seen(*view) Body { return b }

// SpeakPaused is speak.paused: the clock stands.
type SpeakPaused struct {
	Request string `json:"request"`
}

func (*SpeakPaused) kind() string { return "speak.paused" }

func (b *SpeakPaused) apply(s *State, m meta) error {
	return s.of(b.Request, func(r *Request, q *Queue) { r.pause(q, m) })
}

func (b *SpeakPaused) seen(*view) Body { return b }

// SpeakResumed is speak.resumed: the clock runs on.
type SpeakResumed struct {
	Request string `json:"request"`
}

func (*SpeakResumed) kind() string { return "speak.resumed" }

func (b *SpeakResumed) apply(s *State, m meta) error {
	return s.of(b.Request, func(r *Request, _ *Queue) {
		r.State, r.Held = "speaking", false
		r.Clock.start(m.at)
		s.Floor = r.ID
		if s.Interrupted == r.ID {
			s.Interrupted = ""
		}
	})
}

func (b *SpeakResumed) seen(*view) Body { return b }

// SpeakFinished is speak.finished: the person had the floor and is done. The floor
// falls to whom a point of order interrupted while the chair had them paused.
type SpeakFinished struct {
	Request string `json:"request"`
}

func (*SpeakFinished) kind() string { return "speak.finished" }

func (b *SpeakFinished) apply(s *State, m meta) error {
	return s.of(b.Request, func(r *Request, q *Queue) {
		r.pause(q, m)
		r.State, r.Held = "finished", false
		if s.Interrupted == r.ID {
			s.Interrupted = ""
		}
		if s.Floor != r.ID {
			return
		}
		s.Floor = ""
		if before := s.request(s.Interrupted); before != nil && before.Held {
			before.Held = false
			s.Floor, s.Interrupted = before.ID, ""
		}
	})
}

func (b *SpeakFinished) seen(*view) Body { return b }

// SpeakMoved is speak.moved: the waiting requests in their new order.
type SpeakMoved struct {
	List    string   `json:"list"`
	Request string   `json:"request"`
	Waiting []string `json:"waiting"`
}

func (*SpeakMoved) kind() string { return "speak.moved" }

func (b *SpeakMoved) apply(s *State, _ meta) error {
	s.queue(b.List).Waiting = slices.Clone(b.Waiting)
	return nil
}

func (b *SpeakMoved) seen(*view) Body { return b }

// SpeakOvertime is speak.overtime: the time is used up. It is a warning only.
type SpeakOvertime struct {
	Request string `json:"request"`
}

func (*SpeakOvertime) kind() string { return "speak.overtime" }

func (b *SpeakOvertime) apply(s *State, _ meta) error {
	return s.of(b.Request, func(r *Request, _ *Queue) { r.Overrun = true })
}

func (b *SpeakOvertime) seen(*view) Body { return b }
