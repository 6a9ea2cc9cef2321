package meeting

import (
	"slices"
	"strconv"
	"time"
)

// VoteInfo is what is voted on and how (biểu quyết).
type VoteInfo struct {
	Title    string   `json:"title"`
	Item     string   `json:"item,omitempty"`
	Secret   bool     `json:"secret,omitempty"`
	Choices  []Choice `json:"choices"`
	Min      int      `json:"min"` // choices on one ballot, least
	Max      int      `json:"max"` // and most
	Base     string   `json:"base"`
	Majority Fraction `json:"majority"`
	Names    bool     `json:"names,omitempty"`    // who voted what is published too; never in a secret vote
	Excluded []string `json:"excluded,omitempty"` // present but not entitled in this vote
}

// Choice is one thing to vote for. The first is what a yes-or-no vote passes by.
type Choice struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

// Vote is a vote: draft → open → closed → published; cancelled.
type Vote struct {
	ID string `json:"id"`
	VoteInfo
	State     string              `json:"state"`
	OpenedAt  time.Time           `json:"openedAt,omitzero"`
	ClosesAt  time.Time           `json:"closesAt,omitzero"` // zero: when the chair closes it
	ClosedAt  time.Time           `json:"closedAt,omitzero"`
	Quorum    *Quorum             `json:"quorum,omitempty"`    // as it was on opening
	Override  string              `json:"override,omitempty"`  // why it was opened without quorum
	Entitled  int                 `json:"entitled"`            // voters, frozen on opening
	Voters    map[string]string   `json:"voters,omitempty"`    // by who casts: whose vote it is
	Issued    map[string]string   `json:"issued,omitempty"`    // secret: by voter, the SHA-256 of the blinded ballot
	Ballots   map[string][]string `json:"ballots,omitempty"`   // open: choices by voter
	Casts     map[string][]string `json:"casts,omitempty"`     // secret: choices by ballot; no viewer is ever given them
	Revisions map[string]int      `json:"revisions,omitempty"` // secret: of the choices in Casts
	BallotKey string              `json:"ballotKey,omitempty"` // secret: what ballots are verified with
	Cast      int                 `json:"cast"`                // ballots cast
	Result    *Result             `json:"result,omitempty"`
	Paper     *Paper              `json:"paper,omitempty"`
	Reason    string              `json:"reason,omitempty"` // why cancelled
}

// defaultChoices are tán thành, không tán thành, ý kiến khác.
func defaultChoices() []Choice {
	return []Choice{{"yes", "Tán thành"}, {"no", "Không tán thành"}, {"other", "Ý kiến khác"}}
}

func (b *VoteInfo) checkInfo(c *checker) {
	c.lines(&b.Title, "title", 1, 1000)
	c.optional(b.Item, "item", refForm)
	if len(b.Choices) == 0 {
		b.Choices = defaultChoices()
	}
	if len(b.Choices) > maxChoices || len(b.Choices) < 1 {
		c.fail("bad_value", "choices")
		return
	}
	ids := make([]string, len(b.Choices))
	for i := range b.Choices {
		if b.Choices[i].ID == "" {
			b.Choices[i].ID = "c" + strconv.Itoa(i+1)
		}
		ids[i] = b.Choices[i].ID
		c.line(&b.Choices[i].Text, "choices", 1, 200)
	}
	c.list(ids, "choices", maxChoices, refForm)
	if b.Max == 0 {
		b.Min, b.Max = 1, 1
	}
	c.number(b.Max, "max", 1, len(b.Choices))
	c.number(b.Min, "min", 0, b.Max)
	if b.Base == "" {
		b.Base = "members"
	}
	if b.Majority == "" {
		b.Majority = MoreThanHalf
	}
	c.oneOf(b.Base, "base", "members", "present", "entitled")
	c.fraction(b.Majority, "majority")
	c.list(b.Excluded, "excluded", maxBulk, identityForm)
	if b.Secret && b.Names {
		c.fail("bad_value", "names")
	}
}

func (d *decider) checkVoteRefs(v *VoteInfo) error {
	if v.Item != "" && d.s.Agenda.Items[v.Item] == nil {
		return problemIn("not_found", "item")
	}
	for _, id := range v.Excluded {
		if d.s.People[id] == nil {
			return problemIn("not_found", "excluded")
		}
	}
	return nil
}

// DraftVote is vote.draft.
type DraftVote struct{ VoteInfo }

func (b *DraftVote) check(c *checker) { b.checkInfo(c) }

func (b *DraftVote) decide(d *decider) error {
	if len(d.s.Votes) >= maxVotes {
		return problem("list_full")
	}
	if err := d.checkVoteRefs(&b.VoteInfo); err != nil {
		return err
	}
	d.emit(&VoteDrafted{Vote: d.newID("v"), VoteInfo: b.VoteInfo})
	return nil
}

// EditVote is vote.edit: a draft as it shall be.
type EditVote struct {
	Vote string `json:"vote"`
	VoteInfo
}

func (b *EditVote) check(c *checker) {
	c.match(b.Vote, "vote", refForm)
	b.checkInfo(c)
}

func (b *EditVote) decide(d *decider) error {
	if _, err := d.vote(b.Vote, "draft"); err != nil {
		return err
	}
	if err := d.checkVoteRefs(&b.VoteInfo); err != nil {
		return err
	}
	d.emit(&VoteDrafted{Vote: b.Vote, VoteInfo: b.VoteInfo})
	return nil
}

// vote finds a vote in one of the states.
func (d *decider) vote(id string, states ...string) (*Vote, error) {
	v := d.s.Votes[id]
	if v == nil {
		return nil, problemIn("not_found", "vote")
	}
	if !slices.Contains(states, v.State) {
		if slices.Equal(states, []string{"open"}) {
			return nil, problem("vote_closed")
		}
		return nil, problem("wrong_state")
	}
	return v, nil
}

func openVotes(s *State) []string {
	var ids []string
	for _, id := range byAge(s.Votes) {
		if s.Votes[id].State == "open" {
			ids = append(ids, id)
		}
	}
	return ids
}

// OpenVote is vote.open. Without quorum it is refused, unless the presiding chair
// says why it is opened all the same.
type OpenVote struct {
	Vote     string `json:"vote"`
	Seconds  int    `json:"seconds,omitempty"` // closes by itself; 0: by hand
	Override string `json:"override,omitempty"`
	// BallotKey is the public key of a secret vote (SubjectPublicKeyInfo, base64url).
	// The server makes it; a client that sends one is refused before this package.
	BallotKey string `json:"ballotKey,omitempty"`
}

func (b *OpenVote) check(c *checker) {
	c.match(b.Vote, "vote", refForm)
	c.number(b.Seconds, "seconds", 0, 24*3600)
	c.lines(&b.Override, "override", 0, 500)
	c.optional(b.BallotKey, "ballotKey", ballotKeyForm)
}

func (b *OpenVote) decide(d *decider) error {
	v, err := d.vote(b.Vote, "draft")
	if err != nil {
		return err
	}
	if len(openVotes(d.s)) >= maxOpenVotes {
		return problem("list_full")
	}
	if v.Secret != (b.BallotKey != "") {
		return problemIn("bad_value", "ballotKey")
	}
	q := CountQuorum(d.s)
	override := ""
	if !q.Reached {
		if b.Override == "" {
			return problem("no_quorum")
		}
		if !d.presiding() {
			return problem("forbidden")
		}
		override = b.Override
	}
	voters := d.s.voters(v.Excluded)
	if len(voters) == 0 {
		return problem("no_quorum")
	}
	ev := &VoteOpened{Vote: v.ID, VoteInfo: v.VoteInfo, Quorum: q, Override: override, Entitled: len(voters), Voters: voters,
		BallotKey: b.BallotKey}
	if b.Seconds > 0 {
		ev.ClosesAt = d.now.Add(time.Duration(b.Seconds) * time.Second)
	}
	d.emit(ev)
	return nil
}

// voters are those who may cast a ballot now, with whose vote it is: present
// holders of a vote.
func (s *State) voters(excluded []string) map[string]string {
	out := map[string]string{}
	for _, p := range s.People {
		if !p.Voting {
			continue
		}
		h := s.holder(p)
		if s.present(h) && !slices.Contains(excluded, h.ID) && !slices.Contains(excluded, p.ID) {
			out[h.ID] = p.ID
		}
	}
	return out
}

// ExtendVote is vote.extend: it closes so many seconds from now.
type ExtendVote struct {
	Vote    string `json:"vote"`
	Seconds int    `json:"seconds"`
}

func (b *ExtendVote) check(c *checker) {
	c.match(b.Vote, "vote", refForm)
	c.number(b.Seconds, "seconds", 1, 24*3600)
}

func (b *ExtendVote) decide(d *decider) error {
	v, err := d.vote(b.Vote, "open")
	if err != nil {
		return err
	}
	if v.expired(d.now) {
		return problem("vote_closed")
	}
	d.emit(&VoteExtended{Vote: v.ID, ClosesAt: d.now.Add(time.Duration(b.Seconds) * time.Second)})
	return nil
}

// expired: the time is up, whether the clock's event is written yet or not.
func (v *Vote) expired(now time.Time) bool { return !v.ClosesAt.IsZero() && !now.Before(v.ClosesAt) }

// VoteCommand is the body of the commands that name a vote only.
type VoteCommand struct {
	Vote string `json:"vote"`
}

func (b *VoteCommand) check(c *checker) { c.match(b.Vote, "vote", refForm) }

// CloseVote is vote.close.
type CloseVote struct{ VoteCommand }

func (b *CloseVote) decide(d *decider) error {
	v, err := d.vote(b.Vote, "open")
	if err != nil {
		return err
	}
	d.emit(&VoteClosed{Vote: v.ID, Result: tally(v, nil)})
	return nil
}

// EnterPaper is vote.paper: what was counted of paper ballots, given by those who
// did not vote here. Entered again, it replaces.
type EnterPaper struct {
	Vote string `json:"vote"`
	Paper
}

func (b *EnterPaper) check(c *checker) {
	c.match(b.Vote, "vote", refForm)
	c.number(b.Ballots, "ballots", 0, maxPeople)
	c.number(b.Invalid, "invalid", 0, b.Ballots)
	if len(b.Counts) > maxChoices {
		c.fail("bad_count", "counts")
	}
	for id, n := range b.Counts {
		c.match(id, "counts", refForm)
		c.number(n, "counts", 0, b.Ballots)
	}
}

func (b *EnterPaper) decide(d *decider) error {
	v, err := d.vote(b.Vote, "closed")
	if err != nil {
		return err
	}
	sum := 0
	for id, n := range b.Counts {
		if !v.has(id) {
			return problemIn("bad_choice", "counts")
		}
		sum += n
	}
	valid := b.Ballots - b.Invalid
	for _, n := range b.Counts {
		if n > valid {
			return problemIn("bad_count", "counts")
		}
	}
	if sum < valid*v.Min || sum > valid*v.Max || v.Cast+b.Ballots > v.Entitled {
		return problemIn("bad_count", "ballots")
	}
	p := b.Paper
	d.emit(&PaperEntered{Vote: v.ID, Paper: p, Result: tally(v, &p)})
	return nil
}

// PublishVote is vote.publish: everybody sees the result.
type PublishVote struct{ VoteCommand }

func (b *PublishVote) decide(d *decider) error {
	v, err := d.vote(b.Vote, "closed")
	if err != nil {
		return err
	}
	d.emit(&VotePublished{Vote: v.ID, Result: *v.Result, Paper: v.Paper})
	return nil
}

// CancelVote is vote.cancel, before the result is published.
type CancelVote struct {
	VoteCommand
	Reason string `json:"reason"`
}

func (b *CancelVote) check(c *checker) {
	b.VoteCommand.check(c)
	c.lines(&b.Reason, "reason", 1, 500)
}

func (b *CancelVote) decide(d *decider) error {
	v, err := d.vote(b.Vote, "draft", "open", "closed")
	if err != nil {
		return err
	}
	d.emit(&VoteCancelled{Vote: v.ID, Drafted: v.State == "draft", Reason: b.Reason})
	return nil
}
