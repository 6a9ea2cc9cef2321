package meeting

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"
)

var t0 = time.Date(2026, 11, 28, 1, 0, 0, 0, time.UTC) // 08:00 in Viet Nam

// tester is what *testing.T, *testing.F and *rapid.T have in common.
type tester interface {
	require.TestingT
	Helper()
}

// table is a meeting under test: it decides, evolves, keeps the history, and
// keeps a view for every viewer it was given.
type table struct {
	t       tester
	s       *State
	now     time.Time
	n       int
	entries []Entry
	views   map[string]*State
	lookers map[string]Viewer
}

func newTable(t tester) *table {
	return &table{t: t, s: New("m1"), now: t0, views: map[string]*State{}, lookers: map[string]Viewer{}}
}

func (tb *table) watch(w Viewer) {
	tb.lookers[w.ID] = w
	tb.views[w.ID] = Snapshot(tb.s, w)
}

func who4(id string, ps ...Permission) Actor { return Actor{ID: id, Permissions: Permissions(ps...)} }

var office = Actor{ID: "user:office", Permissions: Permissions(PermPrepare, PermApprove, PermArchive)}

type m map[string]any

func (tb *table) command(a Actor, typ string, body any) Command {
	tb.n++
	raw, err := json.Marshal(body)
	require.NoError(tb.t, err)
	c := Command{ID: fmt.Sprintf("c%d", tb.n), Type: typ, Actor: a, Body: raw}
	if a == (Actor{}) {
		c.ID = ""
	}
	return c
}

func (tb *table) try(a Actor, typ string, body any) ([]Event, error) {
	return tb.give(tb.command(a, typ, body))
}

func (tb *table) give(c Command) ([]Event, error) {
	evs, err := Decide(tb.s, c, tb.now)
	if err != nil {
		return nil, err
	}
	tb.apply(evs)
	return evs, nil
}

func (tb *table) apply(evs []Event) {
	for _, e := range evs {
		before := map[string]string{}
		for id, w := range tb.lookers {
			before[id] = Standing(tb.s, w)
		}
		require.NoError(tb.t, Evolve(tb.s, throughJSON(tb.t, e), tb.now))
		tb.entries = append(tb.entries, Entry{Event: e, At: tb.now})
		groups := map[string]string{}
		for id, w := range tb.lookers {
			seen, ok := Visible(tb.s, e, w)
			tb.alike(groups, Audience(tb.s, e, w), seen)
			if before[id] != Standing(tb.s, w) {
				tb.views[id] = Snapshot(tb.s, w)
			} else if ok {
				require.NotNil(tb.t, tb.views[id], "%s sees %s without a view", id, e.Type)
				require.NoError(tb.t, Evolve(tb.views[id], throughJSON(tb.t, seen), tb.now))
			}
		}
		tb.holds()
	}
}

// alike holds the viewers of one audience to the same bytes.
func (tb *table) alike(groups map[string]string, audience string, seen Event) {
	raw, err := json.Marshal(seen)
	require.NoError(tb.t, err)
	if had, ok := groups[audience]; ok {
		require.Equal(tb.t, had, string(raw), "audience %s", audience)
	}
	groups[audience] = string(raw)
}

func throughJSON(t tester, e Event) Event {
	raw, err := json.Marshal(e)
	require.NoError(t, err)
	var back Event
	require.NoError(t, json.Unmarshal(raw, &back), string(raw))
	return back
}

func (tb *table) ok(a Actor, typ string, body any) []Event {
	tb.t.Helper()
	evs, err := tb.try(a, typ, body)
	require.NoError(tb.t, err, "%s by %s: %v", typ, a.ID, body)
	return evs
}

func (tb *table) refused(code string, a Actor, typ string, body any) {
	tb.t.Helper()
	before := dump(tb.t, tb.s)
	_, err := tb.try(a, typ, body)
	requireCode(tb.t, code, err)
	require.Equal(tb.t, before, dump(tb.t, tb.s))
}

func requireCode(t tester, code string, err error) {
	t.Helper()
	var p *Problem
	require.True(t, errors.As(err, &p), "no problem but %v, where %s was due", err, code)
	require.Equal(t, code, p.Code)
	require.NotEmpty(t, p.Vi)
	require.NotEmpty(t, p.En)
	require.NotZero(t, p.Status)
}

func codeOf(err error) string {
	var p *Problem
	if errors.As(err, &p) {
		return p.Code
	}
	return "not a problem"
}

func dump(t tester, s *State) string {
	raw, err := json.Marshal(s)
	require.NoError(t, err)
	return string(raw)
}

// dumpView is a view without what tells when it was last changed.
func dumpView(t tester, s *State) string {
	if s == nil {
		return "null"
	}
	c := *s
	c.Seq, c.At = 0, time.Time{}
	return dump(t, &c)
}

// check holds every view against the snapshot, and the state against its replay.
func (tb *table) check() {
	tb.t.Helper()
	for id, w := range tb.lookers {
		require.Equal(tb.t, dumpView(tb.t, Snapshot(tb.s, w)), dumpView(tb.t, tb.views[id]), "view of %s", id)
	}
	back := New(tb.s.ID)
	for _, e := range tb.entries {
		require.NoError(tb.t, Evolve(back, throughJSON(tb.t, e.Event), e.At))
	}
	require.Equal(tb.t, dump(tb.t, tb.s), dump(tb.t, back))
	var stored State
	require.NoError(tb.t, json.Unmarshal([]byte(dump(tb.t, tb.s)), &stored))
	require.Equal(tb.t, dump(tb.t, tb.s), dump(tb.t, &stored))
}

func (tb *table) wait(d time.Duration) { tb.now = tb.now.Add(d) }

// tick runs what the clock brings about.
func (tb *table) tick() []Event {
	evs := Expire(tb.s, tb.now)
	tb.apply(evs)
	return evs
}

func person(id, name string, role Role, voting bool) PersonInfo {
	return PersonInfo{ID: id, Name: name, Role: role, Voting: voting, Unit: "u1"}
}

var (
	chair  = who4("user:chair")
	vice   = who4("user:vice")
	sec    = who4("user:sec")
	tech   = who4("user:tech")
	an     = who4("user:an")
	binh   = who4("user:binh")
	cuong  = who4("user:cuong")
	guest  = who4("user:guest")
	obs    = who4("user:obs")
	room   = who4("point:room")
	laptop = who4("point:laptop")
	server = who4("svc:api")
	extra  = who4("user:extra")
)

func cast() []PersonInfo {
	lap := person("point:laptop", "Xã Bình An", RolePoint, false)
	lap.Personal = true
	return []PersonInfo{
		person("user:chair", "Nguyễn Văn Chủ", RoleChair, true),
		person("user:vice", "Trần Thị Phó", RoleChair, true),
		person("user:sec", "Lê Thư Ký", RoleSecretary, false),
		person("user:tech", "Phạm Kỹ Thuật", RoleOperator, false),
		person("user:an", "Đỗ Văn An", RoleDelegate, true),
		person("user:binh", "Hoàng Thị Bình", RoleDelegate, true),
		person("user:cuong", "Vũ Mạnh Cường", RoleDelegate, true),
		person("user:guest", "Khách Mời", RoleGuest, false),
		person("user:obs", "Người Dự Thính", RoleObserver, false),
		person("point:room", "UBND tỉnh", RolePoint, false), lap,
	}
}

// approved is a meeting of two chairs, three delegates and two points, with two items.
func approved(t tester) *table {
	tb := newTable(t)
	tb.ok(office, "meeting.create", m{"title": "Kỳ họp thứ nhất", "unit": "u1"})
	tb.ok(office, "person.invite", m{"people": cast()})
	tb.ok(office, "agenda.add", m{"title": "Khai mạc", "minutes": 5})
	tb.ok(office, "agenda.add", m{"title": "Báo cáo", "presenter": "Đỗ Văn An"})
	tb.ok(office, "meeting.submit", m{})
	tb.ok(office, "meeting.approve", m{})
	return tb
}

func running(t tester) *table {
	tb := approved(t)
	tb.ok(sec, "attendance.confirm", m{"people": []string{"user:chair", "user:vice", "user:an", "user:binh", "user:cuong"}})
	tb.ok(chair, "meeting.start", m{})
	return tb
}

func lastID(evs []Event) string {
	switch b := evs[len(evs)-1].Body.(type) {
	case *AgendaAdded:
		return b.Item.ID
	case *SpeakRequested:
		return b.Request.ID
	case *SpeakStarted:
		return b.Request
	case *VoteDrafted:
		return b.Vote
	case *ChatSent:
		return b.Message
	case *ConclusionWritten:
		return b.Conclusion
	}
	panic("no id")
}
