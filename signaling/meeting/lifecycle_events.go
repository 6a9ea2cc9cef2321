package meeting

// MeetingCreated is meeting.created: a draft was made.
type MeetingCreated struct{ Details }

func (*MeetingCreated) kind() string { return "meeting.created" }

func (b *MeetingCreated) apply(s *State, _ meta) error {
	s.Info.Status = Draft
	s.Info.set(b.Details)
	return nil
}

func (i *Info) set(d Details) {
	i.Title, i.Kind, i.Unit, i.Place = d.Title, d.Kind, d.Unit, d.Place
	i.PlannedStart, i.PlannedEnd, i.Rules = d.PlannedStart, d.PlannedEnd, d.Rules
}

func (b *MeetingCreated) seen(*view) Body { return b }

// MeetingEdited is meeting.edited: the details as they now are.
type MeetingEdited struct {
	Details
	Note string `json:"note,omitempty"`
}

func (*MeetingEdited) kind() string { return "meeting.edited" }

func (b *MeetingEdited) apply(s *State, _ meta) error {
	s.Info.set(b.Details)
	return nil
}

func (b *MeetingEdited) seen(v *view) Body {
	if v.inner {
		return b
	}
	return &MeetingEdited{Details: b.Details}
}

// MeetingSubmitted is meeting.submitted: the draft awaits approval.
type MeetingSubmitted struct {
	Note string `json:"note,omitempty"`
}

func (*MeetingSubmitted) kind() string { return "meeting.submitted" }

func (b *MeetingSubmitted) apply(s *State, _ meta) error { s.Info.Status = Submitted; return nil }
func (b *MeetingSubmitted) seen(*view) Body              { return b }

// MeetingApproved is meeting.approved: from here on those invited see the meeting.
type MeetingApproved struct {
	Note string `json:"note,omitempty"`
}

func (*MeetingApproved) kind() string { return "meeting.approved" }

func (b *MeetingApproved) apply(s *State, m meta) error {
	s.Info.Status, s.Info.ApprovedAt, s.Info.Note = Approved, m.at, ""
	return nil
}

func (b *MeetingApproved) seen(v *view) Body {
	if v.inner {
		return b
	}
	return &MeetingApproved{}
}

// MeetingReturned is meeting.returned: back to its preparers, who read why.
type MeetingReturned struct {
	Note string `json:"note"`
}

func (*MeetingReturned) kind() string { return "meeting.returned" }

func (b *MeetingReturned) apply(s *State, _ meta) error {
	s.Info.Status, s.Info.Note = Returned, b.Note
	return nil
}

func (b *MeetingReturned) seen(*view) Body { return b }

// MeetingCancelled is meeting.cancelled, with the reason all are told.
type MeetingCancelled struct {
	Note string `json:"note"`
}

func (*MeetingCancelled) kind() string { return "meeting.cancelled" }

func (b *MeetingCancelled) apply(s *State, _ meta) error {
	s.Info.Status, s.Info.Note = Cancelled, b.Note
	return nil
}

func (b *MeetingCancelled) seen(*view) Body { return b }

// MeetingStarted is meeting.started, with the quorum at that moment.
type MeetingStarted struct {
	Chair  string `json:"chair"`
	Quorum Quorum `json:"quorum"`
}

func (*MeetingStarted) kind() string { return "meeting.started" }

func (b *MeetingStarted) apply(s *State, m meta) error {
	s.Info.Status, s.Info.StartedAt = Running, m.at
	s.Info.Clock.start(m.at)
	return nil
}

func (b *MeetingStarted) seen(*view) Body { return b }

// MeetingPaused is meeting.paused: every clock stands.
type MeetingPaused struct {
	Note string `json:"note,omitempty"`
}

func (*MeetingPaused) kind() string { return "meeting.paused" }

func (b *MeetingPaused) apply(s *State, m meta) error {
	s.Info.Status = Paused
	s.Info.Clock.stop(m.at)
	if it := s.Agenda.Items[s.Agenda.Current]; it != nil {
		it.Clock.stop(m.at)
	}
	return nil
}

func (b *MeetingPaused) seen(*view) Body { return b }

// MeetingResumed is meeting.resumed: the clocks of meeting and item run again.
type MeetingResumed struct{}

func (*MeetingResumed) kind() string { return "meeting.resumed" }

func (b *MeetingResumed) apply(s *State, m meta) error {
	s.Info.Status = Running
	s.Info.Clock.start(m.at)
	if it := s.Agenda.Items[s.Agenda.Current]; it != nil {
		it.Clock.start(m.at)
	}
	return nil
}

func (b *MeetingResumed) seen(*view) Body { return b }

// MeetingEnded is meeting.ended. After it only conclusions and the archive.
type MeetingEnded struct {
	Note string `json:"note,omitempty"`
}

func (*MeetingEnded) kind() string { return "meeting.ended" }

func (b *MeetingEnded) apply(s *State, m meta) error {
	s.Info.Status, s.Info.EndedAt = Ended, m.at
	s.Info.Clock.stop(m.at)
	return nil
}

func (b *MeetingEnded) seen(*view) Body { return b }

// MeetingArchived is meeting.archived: nothing happens any more.
type MeetingArchived struct{}

func (*MeetingArchived) kind() string { return "meeting.archived" }

func (b *MeetingArchived) apply(s *State, _ meta) error { s.Info.Status = Archived; return nil }
func (b *MeetingArchived) seen(*view) Body              { return b }

// ChairTaken is chair.taken: who presides from now on, and who did before.
type ChairTaken struct {
	Person string `json:"person"`
	From   string `json:"from,omitempty"`
	Note   string `json:"note,omitempty"`
}

func (*ChairTaken) kind() string { return "chair.taken" }

func (b *ChairTaken) apply(s *State, _ meta) error {
	if s.People[b.Person] == nil {
		return s.lacks("person", b.Person)
	}
	s.Presiding = b.Person
	return nil
}

func (b *ChairTaken) seen(*view) Body { return b }
