package office

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// rank is how much of a meeting somebody sees.
type rank int

const (
	ordinary rank = iota // delegates, points, guests, observers
	desk                 // operators: also lobby, tests of points, observers
	inner                // chairs and secretaries: also reasons, drafts, who voted what
	nobody               // above all: what is in no frame at all
)

// secret is a text that only some may be shown.
type secret struct {
	text   []byte
	from   rank
	except []string // identities that may see it whatever their rank
	seen   atomic.Bool
}

// secrets are looked for in every frame that anybody gets.
type secrets struct {
	mu  sync.RWMutex
	all []*secret // guarded by mu
}

// keep has text be looked for from now on, and gives it.
func (s *secrets) keep(text string, from rank, except ...string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, &secret{text: []byte(text), from: from, except: except})
	return text
}

// shown says which of them a frame shows to somebody who must not see them.
func (s *secrets) shown(m *member, raw []byte) (faults []string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, x := range s.all {
		switch {
		case !bytes.Contains(raw, x.text):
		case m.rank < x.from && !slices.Contains(x.except, m.identity):
			faults = append(faults, fmt.Sprintf("%q is shown in %.300s", x.text, raw))
		default:
			x.seen.Store(true)
		}
	}
	return faults
}

// proven checks that those who may see a text were shown it, without which looking for
// it would prove nothing.
func (s *secrets) proven(t *testing.T) {
	t.Helper()
	s.mu.RLock()
	defer s.mu.RUnlock()
	require.NotEmpty(t, s.all)
	for _, x := range s.all {
		require.Equal(t, x.from != nobody, x.seen.Load(), "%q", x.text)
	}
}

// seen is a meeting as somebody sees it, as far as the session looks.
type seen struct {
	Seq    uint64
	Viewer string
	Info   struct{ Title, Status, StartedAt string }
	People map[string]struct {
		Name, Role, Unit, For string
		Voting                bool
		Attendance            struct{ State, Mode, Reason string }
		Invitation            struct {
			Answer, Reason string
			Excused        bool
			Delegate       *struct{ ID string }
		}
	}
	Lobby, Readiness, Devices map[string]json.RawMessage
	Agenda                    struct{ Order []string }
	Votes                     map[string]*seenVote
	Conclusions               map[string]struct {
		Versions []json.RawMessage
		Issued   struct{ Text string }
	}
	Call *struct{ Point, State string }
}

type seenVote struct {
	State          string
	Entitled, Cast int
	Voters, Issued map[string]string
	Ballots        map[string][]string
	Casts          json.RawMessage
	Result         *struct {
		Base, Needed, Entitled, Issued, Cast int
		Counts                               []struct {
			Choice string
			Total  int
		}
		Passed bool
	}
}

// totals are the counts of a published vote.
func (v *seenVote) totals(t *testing.T) map[string]int {
	t.Helper()
	require.NotNil(t, v.Result)
	out := map[string]int{}
	for _, c := range v.Result.Counts {
		out[c.Choice] = c.Total
	}
	return out
}

// wrongState says what in a snapshot its viewer must not see.
func wrongState(m *member, s *seen) (faults []string) {
	if m.rank >= inner || s == nil {
		return nil
	}
	wrong := func(is bool, what, id string) {
		if is {
			faults = append(faults, fmt.Sprintf("the state shows %s of %s", what, id))
		}
	}
	for id, p := range s.People {
		own := id == m.identity
		wrong(p.Role == "observer" && m.rank < desk && !own, "an observer", id)
		wrong(p.Attendance.Reason+p.Invitation.Reason != "" && !own, "a reason", id)
		wrong(p.Invitation.Delegate != nil && !own && p.Invitation.Delegate.ID != m.identity, "an offer", id)
	}
	for name, list := range map[string]map[string]json.RawMessage{"lobby": s.Lobby, "tests": s.Readiness, "devices": s.Devices} {
		for id := range list {
			wrong(m.rank < desk && id != m.identity, name, id)
		}
	}
	for id, v := range s.Votes {
		wrong(v.State == "draft", "a draft", id)
		wrong(v.Casts != nil, "casts", id)
		wrong(v.Result != nil && v.State != "published", "the result", id)
		for _, who := range slices.Concat(keys(v.Voters), keys(v.Issued), keys(v.Ballots)) {
			wrong(who != m.identity, "the vote of "+who, id)
		}
	}
	for id, k := range s.Conclusions {
		wrong(len(k.Versions) > 0 || k.Issued.Text == "", "a draft conclusion", id)
	}
	return faults
}

func keys[V any](all map[string]V) []string {
	out := make([]string, 0, len(all))
	for k := range all {
		out = append(out, k)
	}
	return out
}

// forInner and forDesk are events that others than chairs and secretaries, or than
// the desk, are not told of at all. Of some, whom they are about is told, too.
var (
	forInner = []string{"vote.drafted", "conclusion.written", "delegation.offered"}
	forDesk  = []string{"lobby.entered", "lobby.settled", "ready.reported", "help.asked", "help.closed", "device.commanded"}
)

// wrongEvent says what is wrong about an event that somebody got.
func wrongEvent(m *member, e event) []string {
	var b struct {
		Voter, Point, Guest, From string
		To                        struct{ ID string }
		Voters                    map[string]string
		Result, Ballots           json.RawMessage
		Reason, Own               string
	}
	about := e.Type != "delegation.accepted" && e.Type != "delegation.ended" // whose To is a text
	if about {
		if err := json.Unmarshal(e.Body, &b); err != nil {
			return []string{err.Error()}
		}
	}
	own := slices.Contains([]string{b.Voter, b.Point, b.Guest, b.From, b.To.ID, b.Own}, m.identity)
	wrong := false
	switch {
	case e.Type == "ballot.cast": // has no viewer
		wrong = true
	case e.Type == "ballot.given" || e.Type == "ballot.issued":
		wrong = !own
	case m.rank >= inner:
	case slices.Contains(forInner, e.Type):
		wrong = !own
	case slices.Contains(forDesk, e.Type):
		wrong = m.rank < desk && !own
	case e.Type == "vote.opened":
		for who := range b.Voters {
			wrong = wrong || who != m.identity
		}
	case e.Type == "vote.closed":
		wrong = b.Result != nil || b.Ballots != nil
	case e.Type == "attendance.marked_absent":
		wrong = b.Reason != "" && !own
	}
	if wrong {
		return []string{fmt.Sprintf("%s is told of %s %s", m.name, e.Type, e.Body)}
	}
	return nil
}
