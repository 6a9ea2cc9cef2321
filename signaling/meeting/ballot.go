package meeting

import "slices"

// CastOpen is ballot.give: a named ballot in an open vote. Until the vote closes
// it may be given again; the last counts.
type CastOpen struct {
	Vote    string   `json:"vote"`
	Choices []string `json:"choices"`
}

func (b *CastOpen) check(c *checker) {
	c.match(b.Vote, "vote", refForm)
	c.list(b.Choices, "choices", maxChoices, refForm)
}

func (v *Vote) has(choice string) bool {
	return slices.ContainsFunc(v.Choices, func(c Choice) bool { return c.ID == choice })
}

func (v *Vote) checkChoices(choices []string) error {
	if len(choices) < v.Min || len(choices) > v.Max {
		return problemIn("bad_choice", "choices")
	}
	for _, id := range choices {
		if !v.has(id) {
			return problemIn("bad_choice", "choices")
		}
	}
	return nil
}

func (b *CastOpen) decide(d *decider) error {
	v, err := d.vote(b.Vote, "open")
	if err != nil {
		return err
	}
	if v.Secret {
		return problem("vote_secret")
	}
	if _, ok := v.Voters[d.actor()]; !ok {
		return problem("not_entitled")
	}
	if v.expired(d.now) {
		return problem("vote_closed")
	}
	if err := v.checkChoices(b.Choices); err != nil {
		return err
	}
	d.emit(&BallotGiven{Vote: v.ID, Voter: d.actor(), Choices: b.Choices})
	return nil
}

// IssueBallot is ballot.issue: a voter asks for the ballot of a secret vote.
// Request is the SHA-256 (64 hex digits) of the blinded ballot, which the caller
// signs once the event is durable. It is signed again for the same request only:
// see IssuedFor.
type IssueBallot struct {
	Vote    string `json:"vote"`
	Request string `json:"request"`
}

func (b *IssueBallot) check(c *checker) {
	c.match(b.Vote, "vote", refForm)
	c.match(b.Request, "request", hashForm)
}

func (b *IssueBallot) decide(d *decider) error {
	v, err := d.vote(b.Vote, "open")
	if err != nil {
		return err
	}
	if !v.Secret {
		return problem("vote_not_secret")
	}
	if _, ok := v.Voters[d.actor()]; !ok {
		return problem("not_entitled")
	}
	if v.expired(d.now) {
		return problem("vote_closed")
	}
	if v.Issued[d.actor()] != "" {
		return problem("already_issued")
	}
	d.emit(&BallotIssued{Vote: v.ID, Voter: d.actor(), Request: b.Request})
	return nil
}

// IssuedFor is the request for which a voter was issued the ballot of a vote, or
// "". A voter whose answer was lost asks again with the same blinded ballot, and
// gets the same signature; another blinded ballot would be a second vote.
func IssuedFor(s *State, vote, voter string) string {
	if v := s.Votes[vote]; v != nil {
		return v.Issued[voter]
	}
	return ""
}

// CastSecret is ballot.cast: a ballot of a secret vote, from nobody in
// particular. Token is the number of the ballot (64 hex digits), which is no
// secret; the caller has verified Signature (base64url) on it against the key of
// this very vote. The command's actor is empty and its id is not kept. Of one
// ballot the highest revision counts, because an earlier choice may arrive after a
// later one; the same once more changes nothing.
type CastSecret struct {
	Vote      string   `json:"vote"`
	Token     string   `json:"token"`
	Signature string   `json:"signature"`
	Choices   []string `json:"choices"`
	Revision  int      `json:"revision"`
}

func (b *CastSecret) check(c *checker) {
	c.match(b.Vote, "vote", refForm)
	c.match(b.Token, "token", hashForm)
	c.match(b.Signature, "signature", signatureForm)
	c.number(b.Revision, "revision", 1, maxRevision)
	c.list(b.Choices, "choices", maxChoices, refForm)
}

func (b *CastSecret) decide(d *decider) error {
	d.cmd.ID, d.cmd.Sum = "", "" // what is made by the voter's client could be recognised
	v, err := d.vote(b.Vote, "open")
	if err != nil {
		return err
	}
	if !v.Secret {
		return problem("vote_not_secret")
	}
	if v.expired(d.now) {
		return problem("vote_closed")
	}
	if err := v.checkChoices(b.Choices); err != nil {
		return err
	}
	// The order in which choices were marked would tell ballots apart.
	choices := []string{}
	for _, c := range v.Choices {
		if slices.Contains(b.Choices, c.ID) {
			choices = append(choices, c.ID)
		}
	}
	old, again := v.Casts[b.Token]
	switch recorded := v.Revisions[b.Token]; {
	case !again && len(v.Casts) >= len(v.Issued):
		return problem("ballots_used_up")
	case again && b.Revision < recorded:
		return problem("ballot_stale")
	case again && b.Revision == recorded && !slices.Equal(choices, old):
		return problem("ballot_conflict")
	case again && b.Revision == recorded:
		return problem("nothing_changed")
	}
	d.emit(&BallotCast{Vote: v.ID, Token: b.Token, Signature: b.Signature, Choices: choices, Revision: b.Revision})
	return nil
}

// BallotGiven is ballot.given: a named ballot, in place of an earlier one. Only
// the voter sees it while the vote is open, with the count of ballots; the others
// see a vote.progress.
type BallotGiven struct {
	Vote    string   `json:"vote"`
	Voter   string   `json:"voter"`
	Choices []string `json:"choices"`
	Cast    int      `json:"cast,omitempty"` // in what is sent: ballots cast so far
}

func (*BallotGiven) kind() string { return "ballot.given" }

func (b *BallotGiven) apply(s *State, _ meta) error {
	v := s.Votes[b.Vote]
	if v == nil {
		return s.lacks("vote", b.Vote)
	}
	if v.Ballots == nil {
		v.Ballots = make(map[string][]string, v.Entitled)
	}
	v.Ballots[b.Voter] = v.interned(b.Choices)
	v.Cast = len(v.Ballots)
	if s.Viewer != "" {
		v.Cast = b.Cast
	}
	return nil
}

// interned gives the vote's own strings for the ids, so that thousands of ballots
// do not keep a copy each.
func (v *Vote) interned(choices []string) []string {
	out := make([]string, len(choices))
	for i, id := range choices {
		out[i] = id
		for j := range v.Choices {
			if v.Choices[j].ID == id {
				out[i] = v.Choices[j].ID
			}
		}
	}
	return out
}

func (b *BallotGiven) seen(v *view) Body {
	if v.id == b.Voter {
		c := *b
		c.Cast = v.castNow(b.Vote)
		return &c
	}
	return v.progress(b.Vote)
}

func (v *view) castNow(vote string) int {
	if w := v.s.Votes[vote]; w != nil {
		return w.Cast
	}
	return 0
}

func (v *view) progress(vote string) Body { return &VoteProgress{Vote: vote, Cast: v.castNow(vote)} }

// BallotIssued is ballot.issued: this voter got the ballot of a secret vote, and
// nothing of what it will say. Seen by the voter only.
type BallotIssued struct {
	Vote    string `json:"vote"`
	Voter   string `json:"voter"`
	Request string `json:"request"` // SHA-256 of the blinded ballot
}

func (*BallotIssued) kind() string { return "ballot.issued" }

func (b *BallotIssued) apply(s *State, _ meta) error {
	v := s.Votes[b.Vote]
	if v == nil {
		return s.lacks("vote", b.Vote)
	}
	if v.Issued == nil {
		v.Issued = make(map[string]string, v.Entitled)
	}
	v.Issued[b.Voter] = b.Request
	return nil
}

func (b *BallotIssued) seen(v *view) Body {
	if v.id == b.Voter {
		return b
	}
	return nil
}

// BallotCast is ballot.cast: a ballot of a secret vote, without author, device or
// command id. Nobody sees it; all see a vote.progress.
type BallotCast struct {
	Vote      string   `json:"vote"`
	Token     string   `json:"token"` // the ballot's number: a hash of the voter's token
	Signature string   `json:"signature,omitempty"`
	Choices   []string `json:"choices"`
	Revision  int      `json:"revision,omitempty"`
}

func (*BallotCast) kind() string { return "ballot.cast" }

func (b *BallotCast) apply(s *State, _ meta) error {
	v := s.Votes[b.Vote]
	if v == nil {
		return s.lacks("vote", b.Vote)
	}
	if v.Casts == nil {
		v.Casts = make(map[string][]string, v.Entitled)
	}
	if v.Revisions == nil {
		v.Revisions = make(map[string]int, v.Entitled)
	}
	v.Casts[b.Token], v.Revisions[b.Token] = v.interned(b.Choices), b.Revision
	v.Cast = len(v.Casts)
	return nil
}

func (b *BallotCast) seen(v *view) Body { return v.progress(b.Vote) }

// VoteProgress is vote.progress: how many ballots are cast. It is in no journal:
// it stands for a ballot in what viewers see. The count is absolute, so that of
// several only the last need be sent.
type VoteProgress struct {
	Vote string `json:"vote"`
	Cast int    `json:"cast"`
}

func (*VoteProgress) kind() string { return "vote.progress" }

func (b *VoteProgress) apply(s *State, _ meta) error {
	v := s.Votes[b.Vote]
	if v == nil {
		return s.lacks("vote", b.Vote)
	}
	v.Cast = b.Cast
	return nil
}

func (b *VoteProgress) seen(*view) Body { return b }
