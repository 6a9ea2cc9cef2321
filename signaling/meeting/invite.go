package meeting

// InvitePeople is person.invite: people and points come into the meeting.
type InvitePeople struct {
	People []PersonInfo `json:"people"`
	Note   string       `json:"note,omitempty"`
}

func (b *InvitePeople) check(c *checker) {
	c.people(b.People, "people")
	c.lines(&b.Note, "note", 0, 500)
}

func (c *checker) people(list []PersonInfo, field string) {
	if len(list) == 0 || len(list) > maxBulk {
		c.fail("bad_value", field)
		return
	}
	seen := make(map[string]bool, len(list))
	for i := range list {
		c.info(&list[i], field)
		if seen[list[i].ID] {
			c.fail("bad_value", field)
		}
		seen[list[i].ID] = true
	}
}

func (b *InvitePeople) decide(d *decider) error {
	if err := d.unlocked(b.Note); err != nil {
		return err
	}
	return d.invite(b.People, b.Note)
}

func (d *decider) invite(list []PersonInfo, note string) error {
	var fresh []PersonInfo
	for _, p := range list {
		if d.s.People[p.ID] == nil {
			fresh = append(fresh, p)
		}
	}
	if len(d.s.People)+len(fresh) > maxPeople {
		return problem("list_full")
	}
	if len(fresh) > 0 {
		d.emit(&PeopleInvited{People: fresh, Note: note})
	}
	return nil
}

// ChangePerson is person.change: role, vote, seat, name as they shall be.
type ChangePerson struct {
	Person PersonInfo `json:"person"`
	Note   string     `json:"note,omitempty"`
}

func (b *ChangePerson) check(c *checker) {
	c.info(&b.Person, "person")
	c.lines(&b.Note, "note", 0, 500)
}

func (b *ChangePerson) decide(d *decider) error {
	if err := d.unlocked(b.Note); err != nil {
		return err
	}
	p := d.s.People[b.Person.ID]
	switch {
	case p == nil:
		return problemIn("not_found", "person")
	case p.PersonInfo == b.Person:
		return problem("nothing_changed")
	case b.Person.Role != RoleChair && d.s.Presiding == p.ID:
		return problem("chair_taken")
	case b.Person.Voting && p.For != "":
		return problem("delegation_taken")
	case !b.Person.Voting && p.Invitation.Delegate != nil:
		return problem("delegation_taken") // it must be taken back first
	case p.For != "" && b.Person.Role != RoleDelegate:
		return problem("delegation_taken")
	case b.Person.Role == RoleObserver && d.s.busy(p.ID):
		return problem("wrong_state")
	}
	d.emit(&PersonChanged{Person: b.Person, Here: p.Here, Note: b.Note})
	return nil
}

// busy says whether somebody is in a list or in call now, and must be out of it first.
func (s *State) busy(id string) bool {
	if s.Call != nil && s.Call.Point == id {
		return true
	}
	for _, q := range []*Queue{s.Speak, s.Question} {
		if q.Questioned == id {
			return true
		}
		for _, r := range q.Requests {
			if r.Person == id && !r.over() {
				return true
			}
		}
	}
	for _, p := range s.NextPoints {
		if p == id {
			return true
		}
	}
	return false
}

// votesNow says whether somebody may cast a ballot in an open vote. Who may was
// frozen when it opened: to be taken out of the meeting would take the vote away.
func (s *State) votesNow(id string) bool {
	for _, v := range s.Votes {
		if _, may := v.Voters[id]; may && v.State == "open" {
			return true
		}
	}
	return false
}

// PersonCommand is the body of the commands that name one person.
type PersonCommand struct {
	Person string `json:"person"`
	Note   string `json:"note,omitempty"`
}

func (b *PersonCommand) check(c *checker) {
	c.person(b.Person, "person")
	c.lines(&b.Note, "note", 0, 500)
}

func (b *PersonCommand) person(d *decider) (*Person, error) {
	p := d.s.People[b.Person]
	if p == nil {
		return nil, problemIn("not_found", "person")
	}
	return p, nil
}

// RemovePerson is person.remove.
type RemovePerson struct{ PersonCommand }

func (b *RemovePerson) decide(d *decider) error {
	if err := d.unlocked(b.Note); err != nil {
		return err
	}
	p, err := b.person(d)
	switch {
	case err != nil:
		return err
	case d.s.Presiding == p.ID:
		return problem("chair_taken")
	case p.For != "" || p.Invitation.Delegate != nil:
		return problem("delegation_taken")
	case d.s.busy(p.ID):
		return problem("wrong_state")
	case d.s.votesNow(p.ID):
		return problem("vote_is_open")
	}
	d.emit(&PersonRemoved{Person: p.ID, Note: b.Note, Observer: p.Role == RoleObserver})
	return nil
}

// InviteUnit is unit.invite: the unit names its own people.
type InviteUnit struct {
	Unit   string `json:"unit"`
	Name   string `json:"name"`
	Seats  int    `json:"seats"`
	Voting bool   `json:"voting,omitempty"`
	Note   string `json:"note,omitempty"`
}

func (b *InviteUnit) check(c *checker) {
	c.match(b.Unit, "unit", refForm)
	c.line(&b.Name, "name", 1, 200)
	c.number(b.Seats, "seats", 1, 100)
	c.lines(&b.Note, "note", 0, 500)
}

func (b *InviteUnit) decide(d *decider) error {
	if err := d.unlocked(b.Note); err != nil {
		return err
	}
	if len(d.s.Units) >= maxUnits {
		return problem("list_full")
	}
	u := Unit{ID: b.Unit, Name: b.Name, Seats: b.Seats, Voting: b.Voting}
	if old := d.s.Units[b.Unit]; old != nil && *old == u {
		return problem("nothing_changed")
	}
	d.emit(&UnitInvited{Unit: u})
	return nil
}

// AssignPeople is unit.assign: a unit names who comes for it. The person who
// does holds "unit.assign" and belongs to the unit.
type AssignPeople struct {
	Unit   string       `json:"unit"`
	People []PersonInfo `json:"people"`
}

func (b *AssignPeople) check(c *checker) {
	c.match(b.Unit, "unit", refForm)
	c.people(b.People, "people")
}

func (b *AssignPeople) decide(d *decider) error {
	u := d.s.Units[b.Unit]
	if u == nil {
		return problemIn("not_found", "unit")
	}
	if d.cmd.Actor.Unit != b.Unit && !d.hasRole(RoleSecretary) {
		return problem("forbidden")
	}
	taken := 0
	for _, p := range d.s.People {
		if p.Unit == b.Unit && p.Role == RoleDelegate {
			taken++
		}
	}
	for i := range b.People {
		p := &b.People[i]
		if p.Role != RoleDelegate || p.Voting && !u.Voting {
			return problemIn("bad_value", "people")
		}
		if d.s.People[p.ID] != nil {
			return problem("nothing_changed")
		}
		p.Unit = b.Unit
	}
	if taken+len(b.People) > u.Seats {
		return problem("list_full")
	}
	return d.invite(b.People, "")
}

// AnswerInvitation is invitation.answer, for oneself; a secretary may answer for
// another, with a note once the session runs.
type AnswerInvitation struct {
	Person     string      `json:"person,omitempty"` // empty: oneself
	Answer     string      `json:"answer"`           // attending | absent
	Reason     string      `json:"reason,omitempty"` // required with absent
	Substitute *PersonInfo `json:"substitute,omitempty"`
	Note       string      `json:"note,omitempty"`
}

func (b *AnswerInvitation) check(c *checker) {
	c.optional(b.Person, "person", identityForm)
	c.oneOf(b.Answer, "answer", "attending", "absent")
	c.lines(&b.Reason, "reason", 0, 500)
	if b.Answer == "absent" && b.Reason == "" {
		c.fail("note_required", "reason")
	}
	if b.Substitute != nil {
		c.info(b.Substitute, "substitute")
		if b.Answer != "absent" || b.Substitute.Role != RoleDelegate || !isUser(b.Substitute.ID) {
			c.fail("bad_value", "substitute")
		}
	}
	c.lines(&b.Note, "note", 0, 500)
}

func (b *AnswerInvitation) decide(d *decider) error {
	if err := d.unlocked(b.Note); err != nil {
		return err
	}
	p, err := d.oneself(b.Person)
	if err != nil {
		return err
	}
	switch {
	case p.Role == RolePoint, p.Role == RoleObserver:
		return problem("wrong_target")
	case p.Invitation.Delegate != nil, p.Invitation.Excused:
		return problem("wrong_state")
	case b.Answer == "absent" && p.For != "":
		return problem("delegation_taken")
	}
	if b.Substitute != nil {
		// A substitute takes a vote over only where there is one.
		b.Substitute.Voting = p.Voting
		if d.s.People[b.Substitute.ID] != nil {
			return problemIn("delegation_taken", "substitute")
		}
	}
	d.emit(&InvitationAnswered{Person: p.ID, Answer: b.Answer, Reason: b.Reason, Substitute: b.Substitute})
	return nil
}

// oneself is the person a command is about: the actor, or another when a
// secretary gives it.
func (d *decider) oneself(id string) (*Person, error) {
	if id == "" || id == d.actor() {
		if d.me == nil {
			return nil, problem("forbidden")
		}
		return d.me, nil
	}
	if !d.hasRole(RoleSecretary) {
		return nil, problem("forbidden")
	}
	p := d.s.People[id]
	if p == nil {
		return nil, problemIn("not_found", "person")
	}
	return p, nil
}

// SettleAbsence is invitation.settle: a chair accepts an absence, and with it
// the substitute proposed, or refuses it.
type SettleAbsence struct {
	Person string `json:"person"`
	Accept bool   `json:"accept"`
	Note   string `json:"note,omitempty"`
}

func (b *SettleAbsence) check(c *checker) {
	c.person(b.Person, "person")
	c.lines(&b.Note, "note", 0, 500)
}

func (b *SettleAbsence) decide(d *decider) error {
	if err := d.unlocked(b.Note); err != nil {
		return err
	}
	p := d.s.People[b.Person]
	if p == nil {
		return problemIn("not_found", "person")
	}
	inv := p.Invitation
	if inv.Answer != "absent" || inv.Excused || inv.Refused {
		return problem("wrong_state")
	}
	ev := &AbsenceSettled{Person: p.ID, Accepted: b.Accept}
	if b.Accept && inv.Substitute != nil {
		sub := *inv.Substitute
		if d.s.People[sub.ID] != nil {
			return problem("delegation_taken")
		}
		if len(d.s.People) >= maxPeople {
			return problem("list_full")
		}
		sub.Voting = p.Voting
		ev.VoteMoves = p.Voting
		d.emit(ev)
		d.emit(&PeopleInvited{People: []PersonInfo{sub}, Note: b.Note, Instead: p.ID})
		return nil
	}
	d.emit(ev)
	return nil
}
