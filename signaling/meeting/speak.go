package meeting

import (
	"slices"
	"time"
)

// Queue is a list of those who want to speak (phát biểu) or to question (chất vấn).
type Queue struct {
	Open       bool                `json:"open"`
	Limit      int                 `json:"limit,omitempty"`      // seconds a person has; 0: no limit
	UnitLimit  int                 `json:"unitLimit,omitempty"`  // seconds a unit has; 0: no limit
	Questioned string              `json:"questioned,omitempty"` // who answers the questions
	Waiting    []string            `json:"waiting,omitempty"`    // requests not called, in order
	Requests   map[string]*Request `json:"requests"`
	UnitTime   map[string]int64    `json:"unitTime"` // milliseconds spoken by unit
}

// Request is one person's wish or turn to speak: waiting → called → speaking ⇄
// paused → finished; withdrawn; refused.
type Request struct {
	ID      string `json:"id"`
	List    string `json:"list"` // speak | question
	Person  string `json:"person"`
	Unit    string `json:"unit,omitempty"`
	Item    string `json:"item,omitempty"` // the item that was current
	Topic   string `json:"topic,omitempty"`
	Kind    string `json:"kind"` // speech | order (point of order) | answer
	State   string `json:"state"`
	Reason  string `json:"reason,omitempty"` // why refused
	Limit   int    `json:"limit,omitempty"`  // seconds
	Clock   Clock  `json:"clock"`
	Overrun bool   `json:"overrun,omitempty"` // the time is used up
	Held    bool   `json:"held,omitempty"`    // was paused already when a point of order interrupted
}

func newQueue() *Queue {
	return &Queue{Requests: map[string]*Request{}, UnitTime: map[string]int64{}}
}

func (r *Request) over() bool {
	return r.State == "finished" || r.State == "withdrawn" || r.State == "refused"
}

func (s *State) queue(list string) *Queue {
	if list == "question" {
		return s.Question
	}
	return s.Speak
}

func (s *State) request(id string) *Request {
	if r := s.Speak.Requests[id]; r != nil {
		return r
	}
	return s.Question.Requests[id]
}

// Listed names the list of a command: speak (default) or question.
type Listed struct {
	List string `json:"list,omitempty"`
}

func (b *Listed) check(c *checker) {
	if b.List == "" {
		b.List = "speak"
	}
	c.oneOf(b.List, "list", "speak", "question")
}

// OpenList is speak.open: people may register from now on. Limits are seconds.
// Given again, it changes them.
type OpenList struct {
	Listed
	Limit      int    `json:"limit,omitempty"`
	UnitLimit  int    `json:"unitLimit,omitempty"`
	Questioned string `json:"questioned,omitempty"`
}

func (b *OpenList) check(c *checker) {
	b.Listed.check(c)
	c.number(b.Limit, "limit", 0, 4*3600)
	c.number(b.UnitLimit, "unitLimit", 0, 24*3600)
	c.optional(b.Questioned, "questioned", identityForm)
	if (b.Questioned != "") != (b.List == "question") {
		c.fail("bad_value", "questioned")
	}
}

func (b *OpenList) decide(d *decider) error {
	q := d.s.queue(b.List)
	if b.Questioned != "" {
		if p := d.s.People[b.Questioned]; p == nil {
			return problemIn("not_found", "questioned")
		} else if !slices.Contains(speakers.roles, p.Role) {
			return problemIn("wrong_target", "questioned")
		}
	}
	if !q.Open || q.Limit != b.Limit || q.UnitLimit != b.UnitLimit || q.Questioned != b.Questioned {
		d.emit(&ListOpened{List: b.List, Limit: b.Limit, UnitLimit: b.UnitLimit, Questioned: b.Questioned})
	}
	return nil
}

// CloseList is speak.close: no more registering; who waits still waits.
type CloseList struct{ Listed }

func (b *CloseList) decide(d *decider) error {
	if d.s.queue(b.List).Open {
		d.emit(&ListClosed{List: b.List})
	}
	return nil
}

// AskToSpeak is speak.request, for oneself.
type AskToSpeak struct {
	Listed
	Topic string `json:"topic,omitempty"`
}

func (b *AskToSpeak) check(c *checker) {
	b.Listed.check(c)
	c.line(&b.Topic, "topic", 0, 500)
}

func (b *AskToSpeak) decide(d *decider) error {
	q := d.s.queue(b.List)
	if !q.Open {
		return problem("list_closed")
	}
	if q.Questioned == d.actor() {
		return problem("wrong_target")
	}
	asked := 0
	for _, r := range q.Requests {
		if r.Person != d.actor() || r.Item != d.s.Agenda.Current || r.Kind != "speech" {
			continue
		}
		// Who asks and withdraws without end would fill the list for all others.
		if asked++; r.State != "withdrawn" || asked >= maxAsked {
			return problem("already_requested")
		}
	}
	return d.enter(b.List, d.me, "speech", b.Topic, 0)
}

// enter puts a request at the end of a list.
func (d *decider) enter(list string, p *Person, kind, topic string, limit int) error {
	q := d.s.queue(list)
	if len(q.Requests) >= maxRequests || kind == "speech" && len(q.Waiting) >= maxWaiting {
		return problem("list_full")
	}
	d.emit(&SpeakRequested{Request: Request{
		ID: d.newID("r"), List: list, Person: p.ID, Unit: p.Unit, Item: d.s.Agenda.Current,
		Topic: topic, Kind: kind, State: "waiting", Limit: limit,
	}})
	return nil
}

// AddSpeaker is speak.add: the presiding chair puts somebody on the list, also
// once more for the same item and while the list is closed.
type AddSpeaker struct {
	Listed
	Person string `json:"person"`
	Topic  string `json:"topic,omitempty"`
}

func (b *AddSpeaker) check(c *checker) {
	b.Listed.check(c)
	c.person(b.Person, "person")
	c.line(&b.Topic, "topic", 0, 500)
}

func (d *decider) speaker(id string) (*Person, error) {
	p := d.s.People[id]
	if p == nil {
		return nil, problemIn("not_found", "person")
	}
	if !slices.Contains(speakers.roles, p.Role) {
		return nil, problemIn("wrong_target", "person")
	}
	return p, nil
}

func (b *AddSpeaker) decide(d *decider) error {
	p, err := d.speaker(b.Person)
	if err != nil {
		return err
	}
	for _, r := range d.s.queue(b.List).Requests {
		if r.Person == b.Person && !r.over() {
			return problem("already_requested")
		}
	}
	return d.enter(b.List, p, "speech", b.Topic, 0)
}

// RequestCommand is the body of commands about one request.
type RequestCommand struct {
	Request string `json:"request"`
}

func (b *RequestCommand) check(c *checker) { c.match(b.Request, "request", refForm) }

func (b *RequestCommand) in(d *decider, states ...string) (*Request, error) {
	r := d.s.request(b.Request)
	if r == nil {
		return nil, problemIn("not_found", "request")
	}
	if !slices.Contains(states, r.State) {
		return nil, problem("wrong_state")
	}
	return r, nil
}

// Withdraw is speak.withdraw, by whose request it is.
type Withdraw struct{ RequestCommand }

func (b *Withdraw) decide(d *decider) error {
	r, err := b.in(d, "waiting", "called")
	if err != nil {
		return err
	}
	if r.Person != d.actor() {
		return problem("forbidden")
	}
	d.emit(&SpeakWithdrawn{Request: r.ID})
	return nil
}

// Refuse is speak.refuse.
type Refuse struct {
	RequestCommand
	Reason string `json:"reason,omitempty"`
}

func (b *Refuse) check(c *checker) {
	b.RequestCommand.check(c)
	c.lines(&b.Reason, "reason", 0, 500)
}

func (b *Refuse) decide(d *decider) error {
	r, err := b.in(d, "waiting", "called")
	if err != nil {
		return err
	}
	d.emit(&SpeakRefused{Request: r.ID, Person: r.Person, Reason: b.Reason})
	return nil
}

// CallSpeaker is speak.call: the person is asked to get ready, and may publish.
type CallSpeaker struct{ RequestCommand }

func (b *CallSpeaker) decide(d *decider) error {
	r, err := b.in(d, "waiting")
	if err != nil {
		return err
	}
	d.emit(&SpeakCalled{Request: r.ID})
	return nil
}

// StartSpeaker is speak.start: the person has the floor; who had it is finished.
type StartSpeaker struct {
	RequestCommand
	Limit int  `json:"limit,omitempty"` // seconds; 0: the list's
	Extra bool `json:"extra,omitempty"` // beyond the unit's time, by the presiding chair
}

func (b *StartSpeaker) check(c *checker) {
	b.RequestCommand.check(c)
	c.number(b.Limit, "limit", 0, 4*3600)
}

func (b *StartSpeaker) decide(d *decider) error {
	r, err := b.in(d, "waiting", "called")
	if err != nil {
		return err
	}
	if b.Extra && !d.presiding() {
		return problem("forbidden")
	}
	q := d.s.queue(r.List)
	limit := b.Limit
	if limit == 0 {
		limit = q.Limit
	}
	if !b.Extra {
		if limit, err = d.withinUnit(q, r.Unit, limit); err != nil {
			return err
		}
	}
	d.endFloor()
	d.emit(&SpeakStarted{Request: r.ID, Limit: limit})
	return nil
}

// withinUnit cuts a speaker's seconds to what is left of the unit's; 0 is no limit.
func (d *decider) withinUnit(q *Queue, unit string, limit int) (int, error) {
	if q.UnitLimit == 0 || unit == "" {
		return limit, nil
	}
	left := q.UnitLimit - int(d.unitTime(q, unit)/1000)
	switch {
	case left <= 0:
		return 0, problem("unit_time_used")
	case limit == 0 || limit > left:
		return left, nil
	}
	return limit, nil
}

// unitTime counts the run of the floor too.
func (d *decider) unitTime(q *Queue, unit string) int64 {
	ms := q.UnitTime[unit]
	if r := q.Requests[d.s.Floor]; r != nil && r.Unit == unit && !r.Clock.Since.IsZero() {
		ms += d.now.Sub(r.Clock.Since).Milliseconds()
	}
	return ms
}

func (d *decider) endFloor() {
	for _, id := range []string{d.s.Floor, d.s.Interrupted} {
		if id != "" {
			d.emit(&SpeakFinished{Request: id})
		}
	}
}

// GiveFloor is speak.give: the presiding chair or a secretary lets somebody speak
// at once. A point of order pauses who has the floor; an answer or a speech ends it.
type GiveFloor struct {
	Listed
	Person string `json:"person"`
	Kind   string `json:"kind"` // speech | order | answer
	Topic  string `json:"topic,omitempty"`
	Limit  int    `json:"limit,omitempty"`
}

func (b *GiveFloor) check(c *checker) {
	b.Listed.check(c)
	c.person(b.Person, "person")
	c.oneOf(b.Kind, "kind", "speech", "order", "answer")
	c.line(&b.Topic, "topic", 0, 500)
	c.number(b.Limit, "limit", 0, 4*3600)
}

func (b *GiveFloor) decide(d *decider) error {
	p, err := d.speaker(b.Person)
	if err != nil {
		return err
	}
	if b.Kind == "speech" && !d.presiding() { // beyond the unit's time only the chair lets speak
		if b.Limit, err = d.withinUnit(d.s.queue(b.List), p.Unit, b.Limit); err != nil {
			return err
		}
	}
	cur := d.s.request(d.s.Floor)
	interrupts := b.Kind == "order" && cur != nil
	switch {
	case !interrupts:
		d.endFloor()
	case cur.Person == b.Person:
		return problem("wrong_target")
	case d.s.Interrupted != "":
		d.emit(&SpeakFinished{Request: cur.ID})
	}
	id := d.newID("r")
	if err := d.enter(b.List, p, b.Kind, b.Topic, b.Limit); err != nil {
		return err
	}
	d.emit(&SpeakStarted{Request: id, Limit: b.Limit, Interrupts: interrupts})
	return nil
}

// PauseSpeaker is speak.pause, ResumeSpeaker speak.resume, FinishSpeaker speak.finish.
type PauseSpeaker struct{ RequestCommand }

func (b *PauseSpeaker) decide(d *decider) error {
	r, err := b.in(d, "speaking")
	if err != nil {
		return err
	}
	d.emit(&SpeakPaused{Request: r.ID})
	return nil
}

// ResumeSpeaker is speak.resume.
type ResumeSpeaker struct{ RequestCommand }

func (b *ResumeSpeaker) decide(d *decider) error {
	r, err := b.in(d, "paused")
	if err != nil {
		return err
	}
	if r.ID != d.s.Floor {
		return problem("wrong_state") // a point of order is being heard
	}
	d.emit(&SpeakResumed{Request: r.ID})
	return nil
}

// FinishSpeaker is speak.finish, by the chair, the secretary or the speaker. What
// a point of order interrupted goes on; whom the chair had paused before that still
// waits for the chair.
type FinishSpeaker struct{ RequestCommand }

func (b *FinishSpeaker) decide(d *decider) error {
	r, err := b.in(d, "speaking", "paused")
	if err != nil {
		return err
	}
	if r.Person != d.actor() && !conductors.allows(d.s, d.cmd.Actor) {
		return problem("forbidden")
	}
	d.emit(&SpeakFinished{Request: r.ID})
	if before := d.s.request(d.s.Interrupted); r.ID == d.s.Floor && before != nil && !before.Held {
		d.emit(&SpeakResumed{Request: before.ID})
	}
	return nil
}

// MoveSpeaker is speak.move: another place in the waiting list.
type MoveSpeaker struct {
	RequestCommand
	Before string `json:"before,omitempty"` // empty: last
}

func (b *MoveSpeaker) check(c *checker) {
	b.RequestCommand.check(c)
	c.optional(b.Before, "before", refForm)
}

func (b *MoveSpeaker) decide(d *decider) error {
	r, err := b.in(d, "waiting")
	if err != nil {
		return err
	}
	q := d.s.queue(r.List)
	order := slices.DeleteFunc(slices.Clone(q.Waiting), func(id string) bool { return id == r.ID })
	at := len(order)
	if b.Before != "" {
		if at = slices.Index(order, b.Before); at < 0 {
			return problemIn("not_found", "before")
		}
	}
	order = slices.Insert(order, at, r.ID)
	if !slices.Equal(order, q.Waiting) {
		d.emit(&SpeakMoved{List: r.List, Request: r.ID, Waiting: order})
	}
	return nil
}

// deadline is when a running speaker's time is used up.
func (r *Request) deadline() (time.Time, bool) {
	if r == nil || r.Limit == 0 || r.Overrun || r.Clock.Since.IsZero() {
		return time.Time{}, false
	}
	return r.Clock.Since.Add(time.Duration(int64(r.Limit)*1000-r.Clock.Ms) * time.Millisecond), true
}
