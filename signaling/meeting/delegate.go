package meeting

// Delegation (ủy quyền): a person who holds a vote gives attendance and vote to
// one other, who accepts. From then on the other's ballot is that one person's.
// Whoever holds a vote, own or given, can be given no other; whoever gave the
// vote away or was given it cannot pass it on: so there is no double vote, no
// chain and no circle.

// delegated: somebody else attends and votes in the place of p, who therefore does
// not preside either.
func (p *Person) delegated() bool { return p.Invitation.Answer == "delegated" }

// OfferDelegation is delegation.offer. The person need not be in the meeting yet.
type OfferDelegation struct {
	From string     `json:"from,omitempty"` // empty: oneself
	To   PersonInfo `json:"to"`
	Note string     `json:"note,omitempty"`
}

func (b *OfferDelegation) check(c *checker) {
	c.optional(b.From, "from", identityForm)
	b.To.Role, b.To.Voting = RoleDelegate, false
	c.info(&b.To, "to")
	if !isUser(b.To.ID) {
		c.fail("bad_value", "to")
	}
	c.lines(&b.Note, "note", 0, 500)
}

func (b *OfferDelegation) decide(d *decider) error {
	if err := d.unlocked(b.Note); err != nil {
		return err
	}
	p, err := d.oneself(b.From)
	if err != nil {
		return err
	}
	switch {
	case p.For != "":
		return problem("delegation_chain")
	case !p.Voting:
		return problem("not_entitled")
	case p.ID == b.To.ID:
		return problemIn("delegation_chain", "to")
	case p.Invitation.Delegate != nil, p.Invitation.Excused:
		return problem("wrong_state")
	case d.s.Presiding == p.ID:
		return problem("chair_taken")
	}
	if err := d.mayHold(b.To.ID); err != nil {
		return err
	}
	d.emit(&DelegationOffered{From: p.ID, To: b.To, Note: b.Note})
	return nil
}

// mayHold says whether somebody may be given a vote.
func (d *decider) mayHold(id string) error {
	t := d.s.People[id]
	switch {
	case t == nil:
		return nil
	case t.Invitation.Answer == "delegated":
		return problemIn("delegation_chain", "to")
	case t.For != "" || t.Voting:
		return problemIn("delegation_taken", "to")
	case t.Role != RoleDelegate:
		return problemIn("wrong_target", "to")
	}
	return nil
}

// AnswerDelegation is delegation.answer, by whom the vote was offered to; the
// offer is named by who made it.
type AnswerDelegation struct {
	From   string `json:"from"`
	Accept bool   `json:"accept"`
	Note   string `json:"note,omitempty"`
}

func (b *AnswerDelegation) check(c *checker) {
	c.person(b.From, "from")
	c.lines(&b.Note, "note", 0, 500)
}

func (b *AnswerDelegation) decide(d *decider) error {
	p := d.s.People[b.From]
	if p == nil || p.Invitation.Delegate == nil || p.Invitation.Answer == "delegated" {
		return problem("delegation_none")
	}
	to := p.Invitation.Delegate
	if to.ID != d.actor() && !d.hasRole(RoleSecretary) {
		return problem("forbidden")
	}
	if err := d.unlocked(b.Note); err != nil {
		return err
	}
	if !b.Accept {
		d.emit(&DelegationEnded{From: p.ID, To: to.ID, Refused: true})
		return nil
	}
	if err := d.mayHold(to.ID); err != nil {
		return err
	}
	if !p.Voting || p.For != "" {
		return problem("delegation_chain")
	}
	if d.s.Presiding == p.ID {
		return problem("chair_taken")
	}
	if d.s.People[to.ID] == nil {
		if len(d.s.People) >= maxPeople {
			return problem("list_full")
		}
		d.emit(&PeopleInvited{People: []PersonInfo{*to}, Note: b.Note})
	}
	d.emit(&DelegationAccepted{From: p.ID, To: to.ID})
	return nil
}

// EndDelegation is delegation.end: who gave the vote takes it back, or withdraws
// the offer.
type EndDelegation struct {
	From string `json:"from,omitempty"` // empty: oneself
	Note string `json:"note,omitempty"`
}

func (b *EndDelegation) check(c *checker) {
	c.optional(b.From, "from", identityForm)
	c.lines(&b.Note, "note", 0, 500)
}

func (b *EndDelegation) decide(d *decider) error {
	if err := d.unlocked(b.Note); err != nil {
		return err
	}
	p, err := d.oneself(b.From)
	if err != nil {
		return err
	}
	if p.Invitation.Delegate == nil {
		return problem("delegation_none")
	}
	d.emit(&DelegationEnded{From: p.ID, To: p.Invitation.Delegate.ID})
	return nil
}

// DelegationOffered is delegation.offered, seen by the two, the chairs and the
// secretaries.
type DelegationOffered struct {
	From string     `json:"from"`
	To   PersonInfo `json:"to"`
	Note string     `json:"note,omitempty"`
}

func (*DelegationOffered) kind() string { return "delegation.offered" }

func (b *DelegationOffered) apply(s *State, _ meta) error {
	p := s.People[b.From]
	if p == nil {
		return s.lacks("person", b.From)
	}
	to := b.To
	p.Invitation = Invitation{Answer: "unanswered", Delegate: &to}
	return nil
}

// seen: the others see that an earlier answer no longer stands.
func (b *DelegationOffered) seen(v *view) Body {
	switch {
	case v.inner || v.id == b.From || v.id == b.To.ID:
		return b
	case !v.knows(b.From):
		return nil
	}
	return &InvitationAnswered{Person: b.From, Answer: "unanswered"}
}

// DelegationAccepted is delegation.accepted: from now on To holds the vote of From.
type DelegationAccepted struct {
	From string `json:"from"`
	To   string `json:"to"`
}

func (*DelegationAccepted) kind() string { return "delegation.accepted" }

func (b *DelegationAccepted) apply(s *State, _ meta) error {
	p, t := s.People[b.From], s.People[b.To]
	if p == nil || t == nil {
		return s.lacks("person", b.From+" or "+b.To)
	}
	p.Invitation.Answer, t.For = "delegated", b.From
	return nil
}

func (b *DelegationAccepted) seen(v *view) Body {
	if !v.knows(b.From) || !v.knows(b.To) {
		return nil
	}
	return b
}

// DelegationEnded is delegation.ended: taken back, withdrawn, or refused.
type DelegationEnded struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Refused bool   `json:"refused,omitempty"`
}

func (*DelegationEnded) kind() string { return "delegation.ended" }

func (b *DelegationEnded) apply(s *State, _ meta) error {
	if p := s.People[b.From]; p != nil {
		p.Invitation = Invitation{Answer: "unanswered"}
	} else if err := s.lacks("person", b.From); err != nil {
		return err
	}
	if t := s.People[b.To]; t != nil && t.For == b.From {
		t.For = ""
	}
	return nil
}

// seen: of an offer that was never accepted the others know nothing, and to them
// the answer was "unanswered" all along.
func (b *DelegationEnded) seen(v *view) Body {
	if v.inner || v.id == b.From || v.id == b.To || v.knows(b.From) && v.knows(b.To) {
		return b
	}
	return nil
}
