package meeting

// Quorum is the count that tells whether the meeting may decide (túc số). A vote
// counts where its holder is: the person, or whom it was delegated to.
type Quorum struct {
	Rule    Fraction `json:"rule"`
	Members int      `json:"members"` // votes of the meeting
	Base    int      `json:"base"`    // what the rule is a share of
	Present int      `json:"present"` // votes whose holder is present
	Needed  int      `json:"needed"`
	Reached bool     `json:"reached"`
}

// CountQuorum counts now.
func CountQuorum(s *State) Quorum {
	q := Quorum{Rule: s.Info.Rules.Quorum}
	for _, p := range s.People {
		if !p.Voting {
			continue
		}
		q.Members++
		here := s.present(s.holder(p))
		if here {
			q.Present++
		}
		// Who was excused and came all the same is one of those attending.
		if here || s.Info.Rules.QuorumBase == "members" || !p.Invitation.Excused {
			q.Base++
		}
	}
	if q.Rule == "" {
		q.Rule = MoreThanHalf
	}
	q.Needed = q.Rule.Needed(q.Base)
	q.Reached = q.Base > 0 && q.Present >= q.Needed
	return q
}

// holder is who casts a voting person's vote; nil when the one it was delegated
// to is not there any more.
func (s *State) holder(p *Person) *Person {
	if p.Invitation.Answer != "delegated" {
		return p
	}
	if p.Invitation.Delegate != nil {
		return s.People[p.Invitation.Delegate.ID]
	}
	for _, t := range s.People {
		if t.For == p.ID {
			return t
		}
	}
	return nil
}

// present: confirmed, or checked in where the rules take one's own word, and not
// gone since.
func (s *State) present(p *Person) bool {
	if p == nil || !p.Attendance.LeftAt.IsZero() {
		return false
	}
	return p.Attendance.State == "confirmed" || p.Attendance.State == "checked_in" && s.Info.Rules.SelfCheckIn
}
