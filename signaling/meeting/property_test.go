package meeting

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// walker gives random commands by random people and looks at what must always hold.
type walker struct {
	tester
	draw  func(label string, n int) int // 0 ≤ draw < n
	tb    *table
	taken map[string]int // accepted commands by type, events too
	last  string         // the state as it must still be
}

func (w *walker) pick(label string, from ...string) string {
	if len(from) == 0 {
		return "x0"
	}
	return from[w.draw(label, len(from))]
}

func (w *walker) yes(label string) bool { return w.draw(label, 2) == 1 }

func (w *walker) actorFor(typ string) Actor {
	if typ == "ballot.cast" {
		return Actor{}
	}
	all := []Actor{chair, vice, sec, tech, an, binh, cuong, guest, obs, room, laptop, office, extra, server,
		{ID: "guest:g1"}, {ID: "user:an", Unit: "u1", Permissions: Permissions(PermAssign)}}
	if typ == "delegation.answer" && w.draw("who was asked", 3) > 0 {
		return []Actor{extra, {ID: "user:new"}}[w.draw("asked", 2)]
	}
	if (typ == "ballot.give" || typ == "ballot.issue") && w.draw("a voter", 5) > 0 {
		var voters []string
		for _, id := range openVotes(w.tb.s) {
			for v := range w.tb.s.Votes[id].Voters {
				voters = append(voters, v)
			}
		}
		if len(voters) > 0 {
			slices.Sort(voters)
			return Actor{ID: w.pick("voter", voters...)}
		}
	}
	if (typ == "lobby.enter" || typ == "lobby.leave") && w.yes("guest") {
		return Actor{ID: "guest:g1"}
	}
	if w.draw("anyone", 5) > 0 {
		var may []Actor
		for _, a := range all {
			if Allowed(w.tb.s, a, typ) {
				may = append(may, a)
			}
		}
		if len(may) > 0 {
			return may[w.draw("allowed actor", len(may))]
		}
	}
	return all[w.draw("actor", len(all))]
}

func (w *walker) items() []string { return append([]string{"i99"}, w.tb.s.Agenda.Order...) }

func (w *walker) where(is func(*Person) bool) []string {
	var out []string
	for _, id := range everyone {
		if p := w.tb.s.People[id]; p != nil && is(p) {
			out = append(out, id)
		}
	}
	return out
}

func (w *walker) requests(states ...string) []string {
	var out []string
	for _, q := range []*Queue{w.tb.s.Speak, w.tb.s.Question} {
		for _, id := range byAge(q.Requests) {
			for _, st := range states {
				if q.Requests[id].State == st {
					out = append(out, id)
				}
			}
		}
	}
	return out
}

var everyone = []string{"user:chair", "user:vice", "user:sec", "user:tech", "user:an", "user:binh", "user:cuong",
	"user:guest", "user:obs", "point:room", "point:laptop", "user:extra", "guest:g1"}

func (w *walker) some(label string) []string {
	var out []string
	for _, id := range everyone {
		if w.draw(label, 4) == 3 {
			out = append(out, id)
		}
	}
	return out
}

func (w *walker) person() m {
	role := roles[w.draw("role", len(roles))]
	return m{"id": w.pick("person", everyone...), "name": "Ai Đó", "unit": "u1", "role": role, "voting": w.yes("voting")}
}

func (w *walker) step(typ string) {
	tb := w.tb
	tb.wait(time.Duration(w.draw("ms", 2501)) * time.Millisecond)
	if w.yes("tick") {
		for _, e := range tb.tick() {
			w.taken[e.Type]++
			w.last = ""
		}
	}
	c := tb.command(w.actorFor(typ), typ, w.body(typ))
	if w.last == "" {
		w.last = dump(w, tb.s)
	}
	over := tb.s.Info.Status == Ended || tb.s.Info.Status == Archived || tb.s.Info.Status == Cancelled
	evs, err := Decide(tb.s, c, tb.now)
	require.Equal(w, w.last, dump(w, tb.s), "Decide changed the state: %s", typ)
	if err != nil {
		requireCode(w, codeOf(err), err)
		return
	}
	if over {
		require.Contains(w, []string{"meeting.archive", "conclusion.write", "conclusion.issue"}, typ)
	}
	tb.apply(evs)
	w.last = ""
	w.taken[typ]++
	for _, e := range evs {
		w.taken[e.Type]++
	}
	if c.Actor.ID != "" {
		_, err = Decide(tb.s, c, tb.now)
		requireCode(w, "already_applied", err)
		var p *Problem
		require.ErrorAs(w, err, &p)
		require.Equal(w, tb.s.Seq, p.Seq)
	} else {
		for _, e := range evs {
			require.Empty(w, e.By+e.Cmd)
		}
	}
	w.invariants()
}

func (w *walker) invariants() {
	s := w.tb.s
	speaking := 0
	for _, q := range []*Queue{s.Speak, s.Question} {
		for _, r := range q.Requests {
			if r.State == "speaking" {
				speaking++
				require.Equal(w, s.Floor, r.ID)
			}
			if r.State == "paused" {
				require.Contains(w, []string{s.Floor, s.Interrupted}, r.ID)
			}
		}
		for _, id := range q.Waiting {
			require.Equal(w, "waiting", q.Requests[id].State)
		}
	}
	require.LessOrEqual(w, speaking, 1)
	if s.Presiding != "" {
		require.Equal(w, RoleChair, s.People[s.Presiding].Role)
	}
	holders := map[string]string{}
	for id, p := range s.People {
		if p.For != "" {
			require.Equal(w, "delegated", s.People[p.For].Invitation.Answer)
			require.False(w, p.Voting, "%s holds two votes", id)
			require.Empty(w, s.People[p.For].For, "a chain")
			require.Empty(w, holders[p.For], "two hold one vote")
			holders[p.For] = id
		}
		if p.Invitation.Answer == "delegated" {
			require.NotNil(w, p.Invitation.Delegate)
			require.Equal(w, id, s.People[p.Invitation.Delegate.ID].For)
		}
	}
	current := 0
	for id, it := range s.Agenda.Items {
		if it.State == "current" {
			current++
			require.Equal(w, id, s.Agenda.Current)
		}
		if it.State == "current" || it.State == "done" {
			require.False(w, s.Agenda.concealed(id))
		}
	}
	require.LessOrEqual(w, current, 1)
	require.Len(w, s.Agenda.Order, len(s.Agenda.Items))
	for _, v := range s.Votes {
		w.voteHolds(v)
	}
	for _, a := range s.Applied {
		require.LessOrEqual(w, len(a), rememberedIDs)
	}
	for _, id := range everyone {
		if g := Grants(s, id+"#d1"); s.People[id] == nil || s.People[id].Role == RoleObserver {
			require.Empty(w, g.Publish)
		}
	}
}

func (w *walker) voteHolds(v *Vote) {
	principals := map[string]bool{}
	for _, p := range v.Voters {
		require.False(w, principals[p], "one vote in two hands")
		principals[p] = true
	}
	require.Len(w, v.Voters, v.Entitled)
	for id := range v.Ballots {
		require.Contains(w, v.Voters, id)
	}
	for id := range v.Issued {
		require.Contains(w, v.Voters, id)
	}
	require.LessOrEqual(w, len(v.Casts), len(v.Issued))
	require.Equal(w, len(v.Ballots)+len(v.Casts), v.Cast)
	if v.Result == nil {
		return
	}
	sum := 0
	for _, c := range v.Result.Counts {
		require.Equal(w, c.Total, c.Votes+c.Paper)
		sum += c.Total
	}
	require.Equal(w, v.Result.Cast+v.Result.Paper, sum) // one choice each in this walk
	require.LessOrEqual(w, sum, v.Entitled)
}

// secrets: nobody's view holds what is not for them.
func (w *walker) secrets() {
	for id, viewer := range w.tb.lookers {
		s := Snapshot(w.tb.s, viewer)
		if s == nil {
			continue
		}
		v := look(w.tb.s, viewer)
		for _, vote := range s.Votes {
			require.Empty(w, vote.Casts)
			full := w.tb.s.Votes[vote.ID]
			if full.Secret {
				require.Empty(w, vote.Ballots)
			}
			if full.State == "open" {
				require.Nil(w, vote.Result)
				delete(vote.Ballots, id)
				require.Empty(w, vote.Ballots)
			}
			if !v.inner && full.State != "published" {
				require.Nil(w, vote.Result)
			}
		}
		for _, it := range s.Agenda.Items {
			require.True(w, v.inner || !w.tb.s.Agenda.concealed(it.ID))
		}
		if !v.desk {
			delete(s.Lobby, id)
			require.Empty(w, s.Lobby)
			for _, p := range s.People {
				require.True(w, p.Role != RoleObserver || p.ID == id)
			}
		}
	}
}

var watchers = []Viewer{
	{ID: "user:chair"}, {ID: "user:sec"}, {ID: "user:tech"}, {ID: "user:an"}, {ID: "user:binh"}, {ID: "user:guest"}, {ID: "user:obs"},
	{ID: "point:room"}, {ID: "guest:g1"}, {ID: "user:extra"}, {ID: "user:office", Permissions: office.Permissions},
	{ID: "user:desk", Permissions: Permissions(PermOperate)}, {ID: "user:nobody"},
}

// rare are the commands after which less is left to do.
var rare = []string{"meeting.start", "meeting.pause", "meeting.end", "meeting.cancel", "agenda.remove", "person.remove", "vote.cancel"}

// walk gives so many commands to a meeting and compares at the end.
func (w *walker) walk(steps int) {
	types := CommandTypes()
	switch w.draw("start", 6) {
	case 0:
		w.tb = newTable(w)
	case 1, 2:
		w.tb = approved(w)
	default:
		w.tb = running(w)
	}
	for _, v := range watchers {
		w.tb.watch(v)
	}
	// Ballots and answers are what must be right, and a session that ends ends the walk.
	often := []string{"ballot.give", "ballot.issue", "ballot.cast", "vote.draft", "vote.open", "speak.request", "attendance.confirm", "attendance.return", "attendance.return",
		"delegation.offer", "delegation.answer", "delegation.answer", "delegation.answer", "delegation.end", "invitation.answer", "invitation.settle"}
	for range steps {
		i := w.draw("type", len(types)+40)
		typ := often[i%len(often)]
		if i < len(types) {
			typ = types[i].Type
		} else if st := w.tb.s.Info.Status; st == None || st == Draft || st == Submitted || st == Returned {
			typ = []string{"meeting.create", "person.invite", "meeting.submit", "meeting.return", "meeting.approve"}[i%5]
		}
		if !slices.Contains(commands[typ].states, w.tb.s.Info.Status) && w.draw("out of place", 8) > 0 {
			continue
		}
		if slices.Contains(rare, typ) && w.draw("rare", 12) < 11 {
			continue
		}
		w.step(typ)
	}
	w.tb.check()
	w.secrets()
	w.catchUp()
}

func TestAnythingGoes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(label string, n int) int { return rapid.IntRange(0, n-1).Draw(rt, label) }
		w := &walker{tester: rt, draw: draw, taken: map[string]int{}}
		w.walk(draw("steps", 80))
	})
}

// TestLongWalks goes far where TestAnythingGoes goes wide: the same walks every
// time, which between them take nearly every command and see nearly every event.
func TestLongWalks(t *testing.T) {
	taken := map[string]int{}
	// vote.progress is in no history; a few others may be too seldom asked for.
	walks, unseen := uint64(32), 4
	if testing.Short() {
		walks, unseen = 8, 16
	}
	for seed := range walks {
		r := rand.New(rand.NewPCG(seed, 5))
		w := &walker{tester: t, draw: func(_ string, n int) int { return r.IntN(n) }, taken: taken}
		w.walk(800)
	}
	var never []string
	for _, c := range CommandTypes() {
		if taken[c.Type] == 0 {
			never = append(never, c.Type)
		}
	}
	for _, e := range EventTypes() {
		if taken[e.Type] == 0 {
			never = append(never, e.Type)
		}
	}
	t.Logf("%d walks; never taken or seen: %v", walks, never)
	require.LessOrEqual(t, len(never), unseen, "%v", never)
}

// catchUp is what a client does that lost its line: it has the view of an earlier
// moment and gets the events since, filtered by what the state is now.
func (w *walker) catchUp() {
	tb := w.tb
	if len(tb.entries) == 0 {
		return
	}
	at := w.draw("lost at", len(tb.entries))
	old := New(tb.s.ID)
	for _, e := range tb.entries[:at] {
		require.NoError(w, Evolve(old, e.Event, e.At))
	}
	for id, viewer := range tb.lookers {
		if Standing(old, viewer) != Standing(tb.s, viewer) || w.changedStanding(old, tb.entries[at:], viewer) {
			continue // gets a snapshot
		}
		v := Snapshot(old, viewer)
		for _, e := range tb.entries[at:] {
			if seen, ok := Visible(tb.s, e.Event, viewer); ok {
				require.NoError(w, Evolve(v, throughJSON(w, seen), e.At))
			}
		}
		require.Equal(w, dumpView(w, Snapshot(tb.s, viewer)), dumpView(w, v), "caught-up view of %s", id)
	}
}

func (w *walker) changedStanding(from *State, entries []Entry, viewer Viewer) bool {
	raw, err := json.Marshal(from)
	require.NoError(w, err)
	var s State
	require.NoError(w, json.Unmarshal(raw, &s))
	is := Standing(&s, viewer)
	for _, e := range entries {
		require.NoError(w, Evolve(&s, e.Event, e.At))
		if Standing(&s, viewer) != is {
			return true
		}
	}
	return false
}
