package meeting

import (
	"maps"
	"slices"
	"time"
)

// VoteDrafted is vote.drafted: a vote as it is prepared, new or changed. For
// chairs and secretaries.
type VoteDrafted struct {
	Vote string `json:"vote"`
	VoteInfo
}

func (*VoteDrafted) kind() string { return "vote.drafted" }

func (b *VoteDrafted) apply(s *State, _ meta) error {
	s.Votes[b.Vote] = &Vote{ID: b.Vote, VoteInfo: b.clone(), State: "draft"}
	return nil
}

func (b VoteInfo) clone() VoteInfo {
	b.Choices, b.Excluded = slices.Clone(b.Choices), slices.Clone(b.Excluded)
	return b
}

func (b *VoteDrafted) seen(v *view) Body {
	if v.inner {
		return b
	}
	return nil
}

// VoteOpened is vote.opened: what is voted on, the quorum at that moment, and who
// may vote, frozen from here on. Of Voters a viewer sees the own entry; chairs
// and secretaries see all.
type VoteOpened struct {
	Vote string `json:"vote"`
	VoteInfo
	Quorum   Quorum            `json:"quorum"`
	Override string            `json:"override,omitempty"` // why without quorum
	ClosesAt time.Time         `json:"closesAt,omitzero"`
	Entitled int               `json:"entitled"`
	Voters   map[string]string `json:"voters"` // by who casts: whose vote it is
	// BallotKey is the public key of a secret vote, SubjectPublicKeyInfo in base64url.
	BallotKey string `json:"ballotKey,omitempty"`
}

func (*VoteOpened) kind() string { return "vote.opened" }

func (b *VoteOpened) apply(s *State, m meta) error {
	q := b.Quorum
	s.Votes[b.Vote] = &Vote{
		ID: b.Vote, VoteInfo: b.clone(), State: "open", OpenedAt: m.at, ClosesAt: b.ClosesAt,
		Quorum: &q, Override: b.Override, Entitled: b.Entitled, Voters: maps.Clone(b.Voters),
		BallotKey: b.BallotKey,
	}
	return nil
}

func (b *VoteOpened) seen(v *view) Body {
	if v.inner {
		return b
	}
	c := *b
	c.Voters, c.Excluded = v.own(b.Voters), nil
	return &c
}

// own leaves the viewer's own entry of a map by person.
func (v *view) own(m map[string]string) map[string]string {
	out := map[string]string{}
	if w, ok := m[v.id]; ok {
		out[v.id] = w
	}
	return out
}

// VoteExtended is vote.extended: when it closes now.
type VoteExtended struct {
	Vote     string    `json:"vote"`
	ClosesAt time.Time `json:"closesAt"`
}

func (*VoteExtended) kind() string { return "vote.extended" }

func (b *VoteExtended) apply(s *State, _ meta) error {
	v := s.Votes[b.Vote]
	if v == nil {
		return s.lacks("vote", b.Vote)
	}
	v.ClosesAt = b.ClosesAt
	return nil
}

func (b *VoteExtended) seen(*view) Body { return b }

// VoteClosed is vote.closed: no ballot counts after it. Chairs and secretaries
// see the result from here on, and in an open vote who voted what, which is in
// Ballots of what is sent to them and not in the journal's event. The others see
// neither before vote.published.
type VoteClosed struct {
	Vote    string              `json:"vote"`
	Result  Result              `json:"result,omitzero"`
	Ballots map[string][]string `json:"ballots,omitempty"`
}

func (*VoteClosed) kind() string { return "vote.closed" }

func (b *VoteClosed) apply(s *State, m meta) error {
	v := s.Votes[b.Vote]
	if v == nil {
		return s.lacks("vote", b.Vote)
	}
	v.State, v.ClosedAt = "closed", m.at
	if b.Result.Counts != nil {
		v.Result = b.Result.clone()
	}
	v.learn(b.Ballots)
	return nil
}

// learn takes the ballots that a view was sent.
func (v *Vote) learn(ballots map[string][]string) {
	if len(ballots) == 0 {
		return
	}
	v.Ballots = make(map[string][]string, len(ballots))
	for id, b := range ballots {
		v.Ballots[id] = v.interned(b)
	}
}

func (b *VoteClosed) seen(v *view) Body {
	if !v.bench {
		return &VoteClosed{Vote: b.Vote}
	}
	c := *b
	if w := v.s.Votes[b.Vote]; w != nil {
		c.Ballots = w.Ballots
	}
	return &c
}

// IsZero leaves an empty result out of JSON.
func (r Result) IsZero() bool { return r.Counts == nil }

// PaperEntered is vote.paper_entered: paper ballots counted beside, and the
// result with them. For chairs and secretaries until published.
type PaperEntered struct {
	Vote   string `json:"vote"`
	Paper  Paper  `json:"paper"`
	Result Result `json:"result"`
}

func (*PaperEntered) kind() string { return "vote.paper_entered" }

func (b *PaperEntered) apply(s *State, _ meta) error {
	v := s.Votes[b.Vote]
	if v == nil {
		return s.lacks("vote", b.Vote)
	}
	v.Paper, v.Result = b.Paper.clone(), b.Result.clone()
	return nil
}

func (b *PaperEntered) seen(v *view) Body {
	if v.bench {
		return b
	}
	return nil
}

// VotePublished is vote.published: everybody sees the result, and the names where
// the vote was to be published with names (Ballots, as in vote.closed).
type VotePublished struct {
	Vote    string              `json:"vote"`
	Result  Result              `json:"result"`
	Paper   *Paper              `json:"paper,omitempty"`
	Ballots map[string][]string `json:"ballots,omitempty"`
}

func (*VotePublished) kind() string { return "vote.published" }

func (b *VotePublished) apply(s *State, _ meta) error {
	v := s.Votes[b.Vote]
	if v == nil {
		return s.lacks("vote", b.Vote)
	}
	v.State, v.Result, v.Paper = "published", b.Result.clone(), b.Paper.clone()
	v.learn(b.Ballots)
	return nil
}

func (b *VotePublished) seen(v *view) Body {
	w := v.s.Votes[b.Vote]
	if w == nil || !w.Names || w.Secret || v.bench {
		return b
	}
	c := *b
	c.Ballots = w.Ballots
	return &c
}

// VoteCancelled is vote.cancelled. Of a cancelled draft only chairs and
// secretaries know.
type VoteCancelled struct {
	Vote    string `json:"vote"`
	Drafted bool   `json:"drafted,omitempty"` // it was never opened
	Reason  string `json:"reason"`
}

func (*VoteCancelled) kind() string { return "vote.cancelled" }

func (b *VoteCancelled) apply(s *State, _ meta) error {
	v := s.Votes[b.Vote]
	if v == nil {
		return s.lacks("vote", b.Vote)
	}
	v.State, v.Reason, v.ClosesAt = "cancelled", b.Reason, time.Time{}
	return nil
}

func (b *VoteCancelled) seen(v *view) Body {
	if b.Drafted && !v.inner {
		return nil
	}
	return b
}
