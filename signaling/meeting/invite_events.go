package meeting

// PeopleInvited is people.invited: people and points that came into the meeting.
// Instead names the absent person a substitute comes for.
type PeopleInvited struct {
	People  []PersonInfo `json:"people"`
	Instead string       `json:"instead,omitempty"`
	Note    string       `json:"note,omitempty"`
}

func (*PeopleInvited) kind() string { return "people.invited" }

func (b *PeopleInvited) apply(s *State, _ meta) error {
	for _, info := range b.People {
		s.People[info.ID] = &Person{PersonInfo: info, Invitation: Invitation{Answer: "unanswered"}}
		delete(s.Lobby, info.ID)
	}
	return nil
}

// seen leaves out observers, who are not seen, and the note.
func (b *PeopleInvited) seen(v *view) Body {
	if v.inner {
		return b
	}
	var list []PersonInfo
	for _, p := range b.People {
		if v.sees(p.ID, p.Role) {
			list = append(list, p)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return &PeopleInvited{People: list, Instead: b.Instead}
}

// sees says whether a person of that role is in the viewer's list of people.
func (v *view) sees(id string, r Role) bool {
	return r != RoleObserver || v.desk || v.inner || id == v.id
}

// knows is the same for somebody as they are now.
func (v *view) knows(id string) bool {
	p := v.s.People[id]
	return p != nil && v.sees(id, p.Role)
}

// PersonChanged is person.changed: somebody as they now are. Becoming an observer
// ends answer and attendance. To those who do not see observers, it is a
// person.removed then.
type PersonChanged struct {
	Person PersonInfo `json:"person"`
	Here   bool       `json:"here,omitempty"`
	Note   string     `json:"note,omitempty"`
}

func (*PersonChanged) kind() string { return "person.changed" }

func (b *PersonChanged) apply(s *State, _ meta) error {
	p := s.People[b.Person.ID]
	if p == nil {
		if err := s.lacks("person", b.Person.ID); err != nil {
			return err
		}
		p = &Person{Invitation: Invitation{Answer: "unanswered"}, Here: b.Here}
		s.People[b.Person.ID] = p
	}
	p.PersonInfo = b.Person
	if p.Role == RoleObserver {
		*p = Person{PersonInfo: b.Person, Invitation: Invitation{Answer: "unanswered"}, Here: p.Here}
	}
	return nil
}

func (b *PersonChanged) seen(v *view) Body {
	if !v.sees(b.Person.ID, b.Person.Role) {
		return &PersonRemoved{Person: b.Person.ID}
	}
	if v.inner {
		return b
	}
	return &PersonChanged{Person: b.Person, Here: b.Here}
}

// PersonRemoved is person.removed: somebody is no longer of the meeting, or no
// longer seen.
type PersonRemoved struct {
	Person   string `json:"person"`
	Note     string `json:"note,omitempty"`
	Observer bool   `json:"observer,omitempty"` // in the journal: those who do not see observers are not told
}

func (*PersonRemoved) kind() string { return "person.removed" }

func (b *PersonRemoved) apply(s *State, _ meta) error {
	if s.People[b.Person] == nil {
		return s.lacks("person", b.Person)
	}
	delete(s.People, b.Person)
	delete(s.Readiness, b.Person)
	delete(s.Devices, b.Person)
	return nil
}

func (b *PersonRemoved) seen(v *view) Body {
	switch {
	case v.inner:
		return b
	case b.Observer && !v.desk:
		return nil
	}
	return &PersonRemoved{Person: b.Person}
}

// UnitInvited is unit.invited: a unit as invited, in place of what it was.
type UnitInvited struct {
	Unit Unit `json:"unit"`
}

func (*UnitInvited) kind() string { return "unit.invited" }

func (b *UnitInvited) apply(s *State, _ meta) error {
	u := b.Unit
	s.Units[u.ID] = &u
	return nil
}

func (b *UnitInvited) seen(*view) Body { return b }

// InvitationAnswered is invitation.answered. Reason and substitute are for the
// person, the chairs and the secretaries.
type InvitationAnswered struct {
	Person     string      `json:"person"`
	Answer     string      `json:"answer"`
	Reason     string      `json:"reason,omitempty"`
	Substitute *PersonInfo `json:"substitute,omitempty"`
}

func (*InvitationAnswered) kind() string { return "invitation.answered" }

func (b *InvitationAnswered) apply(s *State, _ meta) error {
	p := s.People[b.Person]
	if p == nil {
		return s.lacks("person", b.Person)
	}
	p.Invitation = Invitation{Answer: b.Answer, Reason: b.Reason, Substitute: b.Substitute}
	return nil
}

func (b *InvitationAnswered) seen(v *view) Body {
	switch {
	case v.inner || v.id == b.Person:
		return b
	case !v.knows(b.Person):
		return nil
	}
	return &InvitationAnswered{Person: b.Person, Answer: b.Answer}
}

// AbsenceSettled is absence.settled: the chair's word on an absence. VoteMoves
// says that the vote goes over to the substitute.
type AbsenceSettled struct {
	Person    string `json:"person"`
	Accepted  bool   `json:"accepted"`
	VoteMoves bool   `json:"voteMoves,omitempty"`
}

func (*AbsenceSettled) kind() string { return "absence.settled" }

func (b *AbsenceSettled) apply(s *State, _ meta) error {
	p := s.People[b.Person]
	if p == nil {
		return s.lacks("person", b.Person)
	}
	p.Invitation.Excused, p.Invitation.Refused = b.Accepted, !b.Accepted
	if b.VoteMoves {
		p.Voting = false
	}
	return nil
}

func (b *AbsenceSettled) seen(v *view) Body {
	if !v.knows(b.Person) {
		return nil
	}
	return b
}
