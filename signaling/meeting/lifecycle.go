package meeting

import (
	"slices"
	"time"
)

// Details are what a meeting is, as its preparers write it.
type Details struct {
	Title        string    `json:"title"`
	Kind         string    `json:"kind,omitempty"`
	Unit         string    `json:"unit"`
	Place        string    `json:"place,omitempty"`
	PlannedStart time.Time `json:"plannedStart,omitzero"`
	PlannedEnd   time.Time `json:"plannedEnd,omitzero"`
	Rules        Rules     `json:"rules"`
}

func (b *Details) check(c *checker) {
	c.line(&b.Title, "title", 1, 300)
	c.line(&b.Kind, "kind", 0, 120)
	c.match(b.Unit, "unit", refForm)
	c.line(&b.Place, "place", 0, 200)
	c.planned(&b.PlannedStart, "plannedStart")
	c.planned(&b.PlannedEnd, "plannedEnd")
	if !b.PlannedEnd.IsZero() && b.PlannedEnd.Before(b.PlannedStart) {
		c.fail("bad_value", "plannedEnd")
	}
	if b.Rules.Quorum == "" {
		b.Rules.Quorum = MoreThanHalf
	}
	if b.Rules.QuorumBase == "" {
		b.Rules.QuorumBase = "members"
	}
	c.fraction(b.Rules.Quorum, "rules.quorum")
	c.oneOf(b.Rules.QuorumBase, "rules.quorumBase", "members", "attending")
}

// CreateMeeting is the command meeting.create.
type CreateMeeting struct{ Details }

func (b *CreateMeeting) decide(d *decider) error {
	d.emit(&MeetingCreated{Details: b.Details})
	return nil
}

// EditMeeting is meeting.edit: the details as they shall be. Once the meeting is
// approved, the unit that holds it stays, as it was approved there; once the
// session runs, the rules. Whether the actor may prepare meetings of another unit
// is the caller's to ask.
type EditMeeting struct {
	Details
	Note string `json:"note,omitempty"`
}

func (b *EditMeeting) check(c *checker) {
	b.Details.check(c)
	c.lines(&b.Note, "note", 0, 500)
}

func (b *EditMeeting) decide(d *decider) error {
	if err := d.unlocked(b.Note); err != nil {
		return err
	}
	if b.Details == d.s.Info.details() {
		return problem("nothing_changed")
	}
	if b.Unit != d.s.Info.Unit && !slices.Contains(drafting, d.s.Info.Status) {
		return problemIn("unit_fixed", "unit")
	}
	if st := d.s.Info.Status; (st == Running || st == Paused) && b.Rules != d.s.Info.Rules {
		return problemIn("locked", "rules")
	}
	d.emit(&MeetingEdited{Details: b.Details, Note: b.Note})
	return nil
}

func (i Info) details() Details {
	return Details{i.Title, i.Kind, i.Unit, i.Place, i.PlannedStart, i.PlannedEnd, i.Rules}
}

// Noted is the body of the commands that carry no more than a note: optional
// unless the command says otherwise.
type Noted struct {
	Note string `json:"note,omitempty"`
}

func (b *Noted) check(c *checker) { c.lines(&b.Note, "note", 0, 1000) }

// SubmitMeeting is meeting.submit; it needs at least one chair.
type SubmitMeeting struct{ Noted }

func (b *SubmitMeeting) decide(d *decider) error {
	for _, p := range d.s.People {
		if p.Role == RoleChair {
			d.emit(&MeetingSubmitted{Note: b.Note})
			return nil
		}
	}
	return problem("no_chair")
}

// ApproveMeeting is meeting.approve.
type ApproveMeeting struct{ Noted }

func (b *ApproveMeeting) decide(d *decider) error {
	d.emit(&MeetingApproved{Note: b.Note})
	return nil
}

// ReturnMeeting is meeting.return: the note says what is missing.
type ReturnMeeting struct{ Noted }

func (b *ReturnMeeting) decide(d *decider) error {
	if b.Note == "" {
		return problemIn("note_required", "note")
	}
	d.emit(&MeetingReturned{Note: b.Note})
	return nil
}

// CancelMeeting is meeting.cancel: the note says why.
type CancelMeeting struct{ Noted }

func (b *CancelMeeting) decide(d *decider) error {
	if b.Note == "" {
		return problemIn("note_required", "note")
	}
	d.emit(&MeetingCancelled{Note: b.Note})
	return nil
}

// StartMeeting is meeting.start. A chair who starts a meeting nobody presides
// over takes the chair.
type StartMeeting struct{ Noted }

func (b *StartMeeting) decide(d *decider) error {
	chair := d.s.Presiding
	if chair == "" {
		if !d.hasRole(RoleChair) {
			return problem("no_chair")
		}
		chair = d.actor()
		if d.me.delegated() {
			return problem("delegation_chain")
		}
		d.emit(&ChairTaken{Person: chair})
	}
	if chair != d.actor() && !d.hasRole(RoleSecretary) {
		return problem("forbidden")
	}
	d.emit(&MeetingStarted{Chair: chair, Quorum: CountQuorum(d.s)})
	return nil
}

// PauseMeeting is meeting.pause. An open vote must be closed first; whoever has
// the floor is paused.
type PauseMeeting struct{ Noted }

func (b *PauseMeeting) decide(d *decider) error {
	if len(openVotes(d.s)) > 0 {
		return problem("vote_is_open")
	}
	if r := d.s.request(d.s.Floor); r != nil && r.State == "speaking" {
		d.emit(&SpeakPaused{Request: r.ID})
	}
	d.emit(&MeetingPaused{Note: b.Note})
	return nil
}

// ResumeMeeting is meeting.resume.
type ResumeMeeting struct{ Noted }

func (b *ResumeMeeting) decide(d *decider) error {
	d.emit(&MeetingResumed{})
	return nil
}

// EndMeeting is meeting.end. An open vote must be closed first; the floor, the
// call and the current item end with the session.
type EndMeeting struct{ Noted }

func (b *EndMeeting) decide(d *decider) error {
	if len(openVotes(d.s)) > 0 {
		return problem("vote_is_open")
	}
	for _, id := range []string{d.s.Floor, d.s.Interrupted} {
		if id != "" {
			d.emit(&SpeakFinished{Request: id})
		}
	}
	if d.s.Call != nil {
		d.emit(&CallEnded{Point: d.s.Call.Point, Why: "meeting_ended"})
	}
	if d.s.Agenda.Current != "" {
		d.emit(&AgendaDone{Item: d.s.Agenda.Current})
	}
	d.emit(&MeetingEnded{Note: b.Note})
	return nil
}

// ArchiveMeeting is meeting.archive.
type ArchiveMeeting struct{ Noted }

func (b *ArchiveMeeting) decide(d *decider) error {
	d.emit(&MeetingArchived{})
	return nil
}

// TakeChair is chair.take: a chair presides where nobody does.
type TakeChair struct{}

func (*TakeChair) check(*checker) {}

func (*TakeChair) decide(d *decider) error {
	if d.s.Presiding == d.actor() {
		return problem("nothing_changed")
	}
	if d.s.Presiding != "" {
		return problem("chair_taken")
	}
	if d.me.delegated() {
		return problem("delegation_chain")
	}
	d.emit(&ChairTaken{Person: d.actor()})
	return nil
}

// HandOverChair is chair.handover, by who presides; or by a secretary with a
// note, when who presides is gone.
type HandOverChair struct {
	To   string `json:"to"`
	Note string `json:"note,omitempty"`
}

func (b *HandOverChair) check(c *checker) {
	c.person(b.To, "to")
	c.lines(&b.Note, "note", 0, 500)
}

func (b *HandOverChair) decide(d *decider) error {
	to := d.s.People[b.To]
	switch {
	case to == nil:
		return problemIn("not_found", "to")
	case to.Role != RoleChair, to.delegated():
		return problemIn("wrong_target", "to")
	case d.s.Presiding == b.To:
		return problem("nothing_changed")
	case !d.presiding() && b.Note == "":
		return problemIn("note_required", "note")
	}
	d.emit(&ChairTaken{Person: b.To, From: d.s.Presiding, Note: b.Note})
	return nil
}
