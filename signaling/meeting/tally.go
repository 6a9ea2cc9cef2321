package meeting

import "slices"

// Paper is what was counted of paper ballots.
type Paper struct {
	Ballots int            `json:"ballots"`
	Invalid int            `json:"invalid,omitempty"`
	Counts  map[string]int `json:"counts"` // by choice
}

// Result is the count of a closed vote, in whole numbers.
type Result struct {
	Base     int     `json:"base"`            // what the majority is a share of
	Needed   int     `json:"needed"`          // least count that reaches it
	Entitled int     `json:"entitled"`        // voters
	Issued   int     `json:"issued"`          // ballots given out; in an open vote the voters
	Cast     int     `json:"cast"`            // ballots cast here
	Paper    int     `json:"paper,omitempty"` // paper ballots beside
	Counts   []Count `json:"counts"`
	Passed   bool    `json:"passed"` // the first choice reached the majority
}

// Count is what one choice got.
type Count struct {
	Choice  string `json:"choice"`
	Votes   int    `json:"votes"` // cast here
	Paper   int    `json:"paper,omitempty"`
	Total   int    `json:"total"`
	Reached bool   `json:"reached"`
}

// tally counts a vote that is open or closed, with paper ballots beside.
func tally(v *Vote, paper *Paper) Result {
	r := Result{Entitled: v.Entitled, Issued: v.Entitled, Cast: len(v.Ballots), Base: v.Entitled}
	ballots := v.Ballots
	if v.Secret {
		r.Issued, r.Cast, ballots = len(v.Issued), len(v.Casts), v.Casts
	}
	switch {
	case v.Quorum == nil:
	case v.Base == "members":
		r.Base = v.Quorum.Members
	case v.Base == "present":
		r.Base = v.Quorum.Present
	}
	r.Needed = v.Majority.Needed(r.Base)
	counts := make(map[string]int, len(v.Choices))
	for _, b := range ballots {
		for _, id := range b {
			counts[id]++
		}
	}
	for _, c := range v.Choices {
		n := Count{Choice: c.ID, Votes: counts[c.ID]}
		if paper != nil {
			n.Paper = paper.Counts[c.ID]
		}
		n.Total = n.Votes + n.Paper
		n.Reached = n.Total >= r.Needed
		r.Counts = append(r.Counts, n)
	}
	if paper != nil {
		r.Paper = paper.Ballots
	}
	r.Passed = len(r.Counts) > 0 && r.Counts[0].Reached
	return r
}

func (p *Paper) clone() *Paper {
	if p == nil {
		return nil
	}
	c := *p
	c.Counts = make(map[string]int, len(p.Counts))
	for id, n := range p.Counts {
		c.Counts[id] = n
	}
	return &c
}

func (r *Result) clone() *Result {
	c := *r
	c.Counts = slices.Clone(r.Counts)
	return &c
}
