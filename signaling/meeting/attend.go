package meeting

// CheckIn is attendance.checkin, for oneself (điểm danh).
type CheckIn struct {
	Mode  string `json:"mode"`            // in_person | online
	Point string `json:"point,omitempty"` // the point where one sits
}

func (b *CheckIn) check(c *checker) {
	c.oneOf(b.Mode, "mode", "in_person", "online")
	c.optional(b.Point, "point", identityForm)
}

func (b *CheckIn) decide(d *decider) error {
	p := d.me
	switch {
	case !p.attends():
		return problem("not_attending")
	case p.Invitation.Answer == "delegated":
		return problem("wrong_state")
	case p.Attendance.State != "" && p.Attendance.State != "absent":
		return problem("attendance_already")
	}
	if err := d.checkPoint(b.Point); err != nil {
		return err
	}
	d.emit(&CheckedIn{Person: p.ID, Mode: b.Mode, Point: b.Point})
	return nil
}

// attends: attendance is taken of persons, not of rooms, and not of those who
// only watch.
func (p *Person) attends() bool { return p.Role != RolePoint && p.Role != RoleObserver }

func (d *decider) checkPoint(id string) error {
	if id == "" {
		return nil
	}
	if p := d.s.People[id]; p == nil || p.Role != RolePoint {
		return problemIn("not_found", "point")
	}
	return nil
}

// Confirm is attendance.confirm: the secretary confirms people, checked in or
// not, one or many at once.
type Confirm struct {
	People []string `json:"people"`
	Mode   string   `json:"mode,omitempty"` // empty: as they checked in, else in_person
}

func (b *Confirm) check(c *checker) {
	c.list(b.People, "people", maxBulk, identityForm)
	c.oneOf(b.Mode, "mode", "", "in_person", "online")
}

func (b *Confirm) decide(d *decider) error {
	var list []Confirmation
	for _, id := range b.People {
		p := d.s.People[id]
		switch {
		case p == nil:
			return problemIn("not_found", "people")
		case !p.attends(), p.Invitation.Answer == "delegated":
			return problemIn("not_attending", "people")
		}
		mode := b.Mode
		if mode == "" {
			mode = p.Attendance.Mode
		}
		if mode == "" {
			mode = "in_person"
		}
		if p.Attendance.State != "confirmed" || p.Attendance.Mode != mode {
			list = append(list, Confirmation{Person: id, Mode: mode})
		}
	}
	if len(list) > 0 {
		d.emit(&AttendanceConfirmed{People: list})
	}
	return nil
}

// MarkAbsent is attendance.absent.
type MarkAbsent struct {
	People []string `json:"people"`
	Reason string   `json:"reason"`
}

func (b *MarkAbsent) check(c *checker) {
	c.list(b.People, "people", maxBulk, identityForm)
	c.lines(&b.Reason, "reason", 1, 500)
}

func (b *MarkAbsent) decide(d *decider) error {
	if len(b.People) == 0 {
		return nil
	}
	for _, id := range b.People {
		p := d.s.People[id]
		switch {
		case p == nil:
			return problemIn("not_found", "people")
		case !p.attends():
			return problemIn("not_attending", "people")
		}
	}
	d.emit(&MarkedAbsent{People: b.People, Reason: b.Reason})
	return nil
}

// Leave is attendance.leave: somebody goes before the end. Return is
// attendance.return.
type Leave struct{ Whom }

// Return is attendance.return.
type Return struct{ Whom }

// Whom is the body of commands about oneself, or about another when a secretary
// gives them.
type Whom struct {
	Person string `json:"person,omitempty"`
}

func (b *Whom) check(c *checker) { c.optional(b.Person, "person", identityForm) }

func (b *Leave) decide(d *decider) error {
	p, err := d.oneself(b.Person)
	if err != nil {
		return err
	}
	if !p.arrived() || !p.Attendance.LeftAt.IsZero() {
		return problem("not_present")
	}
	d.emit(&Departed{Person: p.ID, Recorded: p != d.me})
	return nil
}

func (p *Person) arrived() bool {
	return p.Attendance.State == "checked_in" || p.Attendance.State == "confirmed"
}

func (b *Return) decide(d *decider) error {
	p, err := d.oneself(b.Person)
	if err != nil {
		return err
	}
	if !p.arrived() || p.Attendance.LeftAt.IsZero() {
		return problem("wrong_state")
	}
	// Whom a secretary saw leave is not there again by the own word.
	d.emit(&CameBack{Person: p.ID, Unconfirmed: p == d.me && p.Attendance.Recorded && !d.hasRole(RoleSecretary)})
	return nil
}

// CountHeads is roster.count: how many people sit at a point, by the point
// itself or the desk.
type CountHeads struct {
	Point string `json:"point"`
	Count int    `json:"count"`
}

func (b *CountHeads) check(c *checker) {
	c.person(b.Point, "point")
	c.number(b.Count, "count", 0, 5000)
}

func (b *CountHeads) decide(d *decider) error {
	if d.actor() != b.Point && !desk.allows(d.s, d.cmd.Actor) {
		return problem("forbidden")
	}
	if err := d.checkPoint(b.Point); err != nil {
		return err
	}
	if d.s.People[b.Point].HeadCount != b.Count {
		d.emit(&HeadsCounted{Point: b.Point, Count: b.Count})
	}
	return nil
}

// SetPresence is presence.set, by the server: somebody's first device connected
// or last one went. It is not attendance.
type SetPresence struct {
	Person string `json:"person"`
	Here   bool   `json:"here"`
}

func (b *SetPresence) check(c *checker) { c.person(b.Person, "person") }

func (b *SetPresence) decide(d *decider) error {
	p := d.s.People[b.Person]
	if p == nil {
		return problemIn("not_found", "person")
	}
	if p.Here != b.Here {
		d.emit(&PresenceChanged{Person: p.ID, Here: b.Here})
	}
	return nil
}

// CheckedIn is attendance.checked_in: somebody says they are there.
type CheckedIn struct {
	Person string `json:"person"`
	Mode   string `json:"mode"`
	Point  string `json:"point,omitempty"`
}

func (*CheckedIn) kind() string { return "attendance.checked_in" }

func (b *CheckedIn) apply(s *State, m meta) error {
	p := s.People[b.Person]
	if p == nil {
		return s.lacks("person", b.Person)
	}
	p.Attendance = Attendance{State: "checked_in", Mode: b.Mode, Point: b.Point, ArrivedAt: m.at}
	return nil
}

func (b *CheckedIn) seen(v *view) Body { return v.about(b.Person, b) }

// about lets a body through to those who know of the person it is about.
func (v *view) about(id string, b Body) Body {
	if !v.knows(id) {
		return nil
	}
	return b
}

// Confirmation is one person confirmed.
type Confirmation struct {
	Person string `json:"person"`
	Mode   string `json:"mode"`
}

// AttendanceConfirmed is attendance.confirmed: people are there, says the secretary.
type AttendanceConfirmed struct {
	People []Confirmation `json:"people"`
}

func (*AttendanceConfirmed) kind() string { return "attendance.confirmed" }

func (b *AttendanceConfirmed) apply(s *State, m meta) error {
	for _, c := range b.People {
		p := s.People[c.Person]
		if p == nil {
			if err := s.lacks("person", c.Person); err != nil {
				return err
			}
			continue
		}
		a := &p.Attendance
		if !p.arrived() {
			*a = Attendance{ArrivedAt: m.at}
		}
		a.State, a.Mode = "confirmed", c.Mode
	}
	return nil
}

func (b *AttendanceConfirmed) seen(v *view) Body {
	if v.inner || v.desk {
		return b
	}
	var list []Confirmation
	for _, c := range b.People {
		if v.knows(c.Person) {
			list = append(list, c)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return &AttendanceConfirmed{People: list}
}

// MarkedAbsent is attendance.marked_absent. The reason is for the persons, the
// chairs and the secretaries.
type MarkedAbsent struct {
	People []string `json:"people"`
	Reason string   `json:"reason,omitempty"`
	Own    string   `json:"own,omitempty"` // the viewer, whose reason it is too; empty for those who read it anyway
}

func (*MarkedAbsent) kind() string { return "attendance.marked_absent" }

func (b *MarkedAbsent) apply(s *State, _ meta) error {
	for _, id := range b.People {
		p := s.People[id]
		if p == nil {
			if err := s.lacks("person", id); err != nil {
				return err
			}
			continue
		}
		p.Attendance = Attendance{State: "absent"}
		if b.Own == "" || b.Own == id {
			p.Attendance.Reason = b.Reason
		}
	}
	return nil
}

func (b *MarkedAbsent) seen(v *view) Body {
	if v.inner {
		return b
	}
	c := &MarkedAbsent{}
	for _, id := range b.People {
		if v.knows(id) {
			c.People = append(c.People, id)
		}
		if id == v.id {
			c.Own, c.Reason = id, b.Reason
		}
	}
	if len(c.People) == 0 {
		return nil
	}
	return c
}

// Departed is attendance.departed: somebody left before the end.
type Departed struct {
	Person   string `json:"person"`
	Recorded bool   `json:"recorded,omitempty"` // by a secretary, not by the person
}

func (*Departed) kind() string { return "attendance.departed" }

func (b *Departed) apply(s *State, m meta) error {
	p := s.People[b.Person]
	if p == nil {
		return s.lacks("person", b.Person)
	}
	p.Attendance.LeftAt, p.Attendance.Recorded = m.at, b.Recorded
	return nil
}

func (b *Departed) seen(v *view) Body { return v.about(b.Person, b) }

// CameBack is attendance.returned.
type CameBack struct {
	Person      string `json:"person"`
	Unconfirmed bool   `json:"unconfirmed,omitempty"` // the person says so: checked in, to be confirmed again
}

func (*CameBack) kind() string { return "attendance.returned" }

func (b *CameBack) apply(s *State, _ meta) error {
	p := s.People[b.Person]
	if p == nil {
		return s.lacks("person", b.Person)
	}
	p.Attendance.LeftAt, p.Attendance.Recorded = Attendance{}.LeftAt, false
	if b.Unconfirmed {
		p.Attendance.State = "checked_in"
	}
	return nil
}

func (b *CameBack) seen(v *view) Body { return v.about(b.Person, b) }

// HeadsCounted is roster.counted: how many people sit at a point.
type HeadsCounted struct {
	Point string `json:"point"`
	Count int    `json:"count"`
}

func (*HeadsCounted) kind() string { return "roster.counted" }

func (b *HeadsCounted) apply(s *State, _ meta) error {
	p := s.People[b.Point]
	if p == nil {
		return s.lacks("point", b.Point)
	}
	p.HeadCount = b.Count
	return nil
}

func (b *HeadsCounted) seen(*view) Body { return b }

// PresenceChanged is presence.changed: somebody is connected, or no longer.
type PresenceChanged struct {
	Person string `json:"person"`
	Here   bool   `json:"here"`
}

func (*PresenceChanged) kind() string { return "presence.changed" }

func (b *PresenceChanged) apply(s *State, _ meta) error {
	p := s.People[b.Person]
	if p == nil {
		return s.lacks("person", b.Person)
	}
	p.Here = b.Here
	return nil
}

func (b *PresenceChanged) seen(v *view) Body { return v.about(b.Person, b) }
