package meeting

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// holds looks at what must hold after every event of every test.
func (tb *table) holds() {
	s := tb.s
	q := CountQuorum(s)
	require.LessOrEqual(tb.t, q.Present, q.Base, "more are present than are counted")
	require.LessOrEqual(tb.t, q.Base, q.Members)
	if p := s.People[s.Presiding]; p != nil {
		require.False(tb.t, p.delegated(), "who presides has sent somebody else")
	}
	for _, v := range s.Votes {
		if v.State != "open" {
			continue
		}
		for id := range v.Voters {
			require.NotNil(tb.t, s.People[id], "%s may vote and cannot", id)
		}
	}
	for _, queue := range []*Queue{s.Speak, s.Question} {
		for id, r := range queue.Requests {
			require.True(tb.t, !r.Held || id == s.Interrupted, "%s is held by nothing", id)
		}
	}
}

func (tb *table) sent(a Actor, id, typ, body string) ([]Event, error) {
	return tb.give(Command{ID: id, Type: typ, Actor: a, Body: json.RawMessage(body), Sum: Sum(typ, json.RawMessage(body))})
}

// An id is one command's: with another content it is refused, and not answered as if
// that had been done.
func TestIDIsNotUsedForAnother(t *testing.T) {
	tb := running(t)
	tb.watch(Viewer{ID: chair.ID})
	evs, err := tb.sent(chair, "one", "chat.set", `{"mode":"all"}`)
	require.NoError(t, err)
	require.Len(t, evs[0].Sum, 16)
	for _, c := range []struct{ typ, body, code string }{
		{"chat.set", `{"mode":"all"}`, "already_applied"},
		{"chat.set", ` { "mode" : "all" } `, "already_applied"},
		{"chat.set", `{"mode":"off"}`, "id_reused"},
		{"meeting.pause", `{"mode":"all"}`, "id_reused"},
		{"meeting.pause", ``, "id_reused"},
		{"meeting.pause", `{`, "id_reused"},
	} {
		before := dump(t, tb.s)
		_, err := tb.sent(chair, "one", c.typ, c.body)
		requireCode(t, c.code, err)
		require.Equal(t, before, dump(t, tb.s))
	}
	_, err = tb.sent(sec, "one", "chat.set", `{"mode":"off"}`)
	require.NoError(t, err, "another's id is another")
	seen, ok := Visible(tb.s, evs[0], Viewer{ID: chair.ID})
	require.True(t, ok)
	require.Equal(t, "one", seen.Cmd)
	require.Empty(t, seen.Sum)
	// Of commands in journals from before it is not known what they were.
	c := tb.command(an, "attendance.leave", m{})
	_, err = tb.give(c)
	require.NoError(t, err)
	c.Body, c.Sum = json.RawMessage(`{"person":"user:an"}`), Sum(c.Type, json.RawMessage(`{"person":"user:an"}`))
	_, err = tb.give(c)
	requireCode(t, "already_applied", err)
	// A secret ballot keeps nothing that its sender chose.
	v := lastID(tb.ok(sec, "vote.draft", m{"title": "Kín", "secret": true}))
	tb.ok(chair, "vote.open", m{"vote": v, "ballotKey": ballotKey})
	tb.ok(binh, "ballot.issue", m{"vote": v, "request": token(1)})
	raw, err := json.Marshal(secretBallot(v, token(2), 1, "yes"))
	require.NoError(t, err)
	evs, err = tb.give(Command{ID: "mine", Type: "ballot.cast", Body: raw, Sum: "mine"})
	require.NoError(t, err)
	require.Empty(t, evs[0].Cmd+evs[0].Sum)
	tb.check()
}

func TestSum(t *testing.T) {
	same := Sum("a.b", json.RawMessage(`{"x":1,"y":[{"p":"ế","q":2}]}`))
	require.Len(t, same, 16)
	require.Equal(t, same, Sum("a.b", json.RawMessage("{\n\"y\": [{\"q\":2,\"p\":\"\\u1ebf\"}], \"x\":1}")))
	require.Equal(t, Sum("a", nil), Sum("a", json.RawMessage("{}")))
	for _, other := range []struct{ typ, body string }{
		{"a.c", `{"x":1,"y":[{"p":"ế","q":2}]}`}, {"a.b", `{"x":2,"y":[{"p":"ế","q":2}]}`}, {"a.b", `{"x":1,"y":[{"p":"e","q":2}]}`},
		{"a.b", `{"x":1.0,"y":[{"p":"ế","q":2}]}`}, {"a.b", `{"x":"1","y":[{"p":"ế","q":2}]}`}, {"a.b", ``}, {"a.b", `{`}, {"", ``},
	} {
		require.NotEqual(t, same, Sum(other.typ, json.RawMessage(other.body)), "%v", other)
	}
}

// One delegate who asks and withdraws all the time fills nobody else's list.
func TestAskingWithoutEnd(t *testing.T) {
	tb := running(t)
	tb.ok(chair, "speak.open", m{})
	for range maxAsked {
		tb.ok(an, "speak.withdraw", m{"request": lastID(tb.ok(an, "speak.request", m{}))})
	}
	tb.refused("already_requested", an, "speak.request", m{})
	tb.ok(binh, "speak.request", m{})
	tb.ok(chair, "speak.add", m{"person": "user:an"})
	tb.ok(chair, "agenda.start", m{"item": tb.s.Agenda.Order[0]})
	tb.ok(an, "speak.request", m{})
}

// What was approved in one unit is not another's meeting afterwards.
func TestUnitThatHoldsStays(t *testing.T) {
	edit := func(unit string) m { return m{"title": "Kỳ họp", "unit": unit, "note": "x"} }
	tb := newTable(t)
	tb.ok(office, "meeting.create", m{"title": "Kỳ họp", "unit": "u1"})
	tb.ok(office, "meeting.edit", edit("u2"))
	tb.ok(office, "meeting.edit", edit("u1"))
	tb = approved(t)
	tb.refused("unit_fixed", office, "meeting.edit", edit("u2"))
	tb.ok(office, "meeting.edit", edit("u1"))
	tb = running(t)
	tb.refused("unit_fixed", sec, "meeting.edit", edit("u2"))
}

// Who sent somebody else to attend and to vote does not preside.
func TestChairWhoIsRepresented(t *testing.T) {
	tb := approved(t)
	tb.ok(vice, "delegation.offer", m{"to": m{"id": "user:extra", "name": "Người Nhận"}})
	tb.ok(extra, "delegation.answer", m{"from": "user:vice", "accept": true})
	tb.refused("delegation_chain", vice, "chair.take", m{})
	tb.refused("delegation_chain", vice, "meeting.start", m{})
	tb.ok(chair, "chair.take", m{})
	tb.refused("wrong_target", chair, "chair.handover", m{"to": "user:vice"})
	tb.ok(vice, "delegation.end", m{})
	tb.ok(chair, "chair.handover", m{"to": "user:vice"})
}

// Those excused do not count where the quorum is of those who attend, and count
// when they come all the same: two of five are not a majority of three.
func TestExcusedWhoCame(t *testing.T) {
	tb := approved(t)
	tb.ok(sec, "meeting.edit", m{"title": "Họp", "unit": "u1", "rules": m{"quorumBase": "attending"}})
	for _, a := range []Actor{an, binh} {
		tb.ok(a, "invitation.answer", m{"answer": "absent", "reason": "bận"})
		tb.ok(chair, "invitation.settle", m{"person": a.ID, "accept": true})
	}
	require.Equal(t, Quorum{Rule: MoreThanHalf, Members: 5, Base: 3, Needed: 2}, CountQuorum(tb.s))
	tb.ok(sec, "attendance.confirm", m{"people": []string{"user:an", "user:binh"}})
	require.Equal(t, Quorum{Rule: MoreThanHalf, Members: 5, Base: 5, Present: 2, Needed: 3}, CountQuorum(tb.s))
	tb.ok(an, "attendance.leave", m{})
	require.Equal(t, Quorum{Rule: MoreThanHalf, Members: 5, Base: 4, Present: 1, Needed: 3}, CountQuorum(tb.s))
}

// Nobody's vote is taken away by taking the voter out of the meeting.
func TestVoterStaysWhileTheVoteIsOpen(t *testing.T) {
	for _, secret := range []bool{false, true} {
		tb := running(t)
		v := lastID(tb.ok(sec, "vote.draft", m{"title": "A", "secret": secret}))
		key := ""
		if secret {
			key = ballotKey
		}
		tb.ok(chair, "vote.open", m{"vote": v, "ballotKey": key})
		tb.refused("vote_is_open", sec, "person.remove", m{"person": "user:an", "note": "x"})
		tb.ok(sec, "person.remove", m{"person": "user:obs", "note": "x"})
		tb.ok(sec, "person.change", m{"person": person("user:an", "A", RoleGuest, false), "note": "x"})
		if secret {
			tb.ok(an, "ballot.issue", m{"vote": v, "request": token(1)})
		} else {
			tb.ok(an, "ballot.give", pick(v, "no"))
		}
		tb.ok(chair, "vote.close", m{"vote": v})
		tb.ok(sec, "person.remove", m{"person": "user:an", "note": "x"})
	}
}

// Where one's own word is not enough to be present, it is not enough to be present
// again after the secretary has seen one leave.
func TestComingBackByTheOwnWord(t *testing.T) {
	for _, c := range []struct {
		name         string
		self         bool // the rules take one's own word
		leaves, back Actor
		present      bool
	}{
		{"own, own", false, an, an, true},
		{"secretary, own", false, sec, an, false},
		{"secretary, own, by the rules", true, sec, an, true},
		{"own, secretary", false, an, sec, true},
		{"secretary, secretary", false, sec, sec, true},
	} {
		tb := approved(t)
		tb.ok(office, "meeting.edit", m{"title": "Họp", "unit": "u1", "rules": m{"selfCheckIn": c.self}})
		for _, w := range watchers {
			tb.watch(w)
		}
		tb.ok(sec, "attendance.confirm", m{"people": []string{"user:chair", "user:vice", "user:an", "user:cuong"}})
		tb.ok(chair, "meeting.start", m{})
		tb.ok(c.leaves, "attendance.leave", m{"person": "user:an"})
		require.Equal(t, 3, CountQuorum(tb.s).Present, c.name)
		tb.ok(c.back, "attendance.return", m{"person": "user:an"})
		require.Equal(t, c.present, tb.s.present(tb.s.People["user:an"]), c.name)
		tb.check()
		v := lastID(tb.ok(sec, "vote.draft", m{"title": "A"}))
		tb.ok(chair, "vote.open", m{"vote": v})
		if !c.present {
			tb.refused("not_entitled", an, "ballot.give", pick(v, "yes"))
			tb.ok(an, "attendance.leave", m{})
			tb.ok(an, "attendance.return", m{})
			require.False(t, tb.s.present(tb.s.People["user:an"]), c.name)
			tb.ok(sec, "attendance.confirm", m{"people": []string{"user:an"}})
			require.True(t, tb.s.present(tb.s.People["user:an"]), c.name)
		}
		tb.check()
	}
}

// A point of order ends by its speaker's own word. Whom the chair had paused before
// does not get the microphone back by it.
func TestPausedSpeakerWaitsForTheChair(t *testing.T) {
	tb := running(t)
	for _, w := range watchers {
		tb.watch(w)
	}
	tb.ok(chair, "speak.open", m{})
	r := lastID(tb.ok(an, "speak.request", m{}))
	tb.ok(chair, "speak.start", m{"request": r})
	tb.ok(chair, "speak.pause", m{"request": r})
	order := lastID(tb.ok(chair, "speak.give", m{"person": "user:binh", "kind": "order"}))
	tb.wait(time.Minute)
	tb.ok(binh, "speak.finish", m{"request": order})
	require.Equal(t, "paused", tb.s.request(r).State)
	require.Equal(t, []string{r, ""}, []string{tb.s.Floor, tb.s.Interrupted})
	require.Empty(t, Grants(tb.s, "user:an").Publish)
	// The same with one point of order upon the other.
	tb.ok(chair, "speak.give", m{"person": "user:binh", "kind": "order"})
	second := lastID(tb.ok(chair, "speak.give", m{"person": "user:cuong", "kind": "order"}))
	require.Equal(t, r, tb.s.Interrupted)
	tb.ok(cuong, "speak.finish", m{"request": second})
	require.Equal(t, "paused", tb.s.request(r).State)
	tb.ok(chair, "speak.resume", m{"request": r})
	require.Equal(t, "speaking", tb.s.request(r).State)
	tb.wait(time.Second)
	tb.ok(chair, "speak.give", m{"person": "user:binh", "kind": "order"})
	tb.ok(chair, "meeting.end", m{})
	require.Equal(t, "finished", tb.s.request(r).State)
	require.EqualValues(t, 1000, tb.s.request(r).Clock.Ms)
	require.Empty(t, tb.s.Floor+tb.s.Interrupted)
	tb.check()
}

// Beyond the time of a unit the presiding chair lets somebody speak, by whichever
// command, and a secretary does not.
func TestUnitTimeHoldsForTheSecretary(t *testing.T) {
	tb := running(t)
	tb.ok(chair, "speak.open", m{"unitLimit": 60})
	give := func(id, kind string, limit int) m { return m{"person": id, "kind": kind, "limit": limit} }
	r := lastID(tb.ok(sec, "speak.give", give("user:an", "speech", 0)))
	require.Equal(t, 60, tb.s.request(r).Limit)
	tb.wait(40 * time.Second)
	r = lastID(tb.ok(sec, "speak.give", give("user:binh", "speech", 50)))
	require.Equal(t, 20, tb.s.request(r).Limit)
	tb.wait(time.Minute)
	tb.refused("unit_time_used", sec, "speak.give", give("user:cuong", "speech", 10))
	require.Equal(t, r, tb.s.Floor)
	tb.ok(sec, "speak.give", give("user:cuong", "order", 10))
	tb.ok(sec, "speak.give", give("user:cuong", "answer", 10))
	tb.ok(chair, "speak.give", give("user:cuong", "speech", 10))
	tb.check()
}

// Old journals had whom a point of order interrupted go on in any case.
func TestOldPointsOfOrder(t *testing.T) {
	tb := running(t)
	tb.ok(chair, "speak.open", m{})
	r := lastID(tb.ok(an, "speak.request", m{}))
	tb.ok(chair, "speak.start", m{"request": r})
	tb.ok(chair, "speak.pause", m{"request": r})
	order := lastID(tb.ok(chair, "speak.give", m{"person": "user:binh", "kind": "order"}))
	tb.apply([]Event{{Seq: tb.s.Seq + 1, Type: "speak.finished", By: binh.ID, Cmd: "old", Body: &SpeakFinished{Request: order}}})
	tb.apply([]Event{{Seq: tb.s.Seq + 1, Type: "speak.resumed", By: binh.ID, Cmd: "old", Body: &SpeakResumed{Request: r}}})
	require.Equal(t, []string{r, "", "speaking"}, []string{tb.s.Floor, tb.s.Interrupted, tb.s.request(r).State})
	tb.check()
}

// A reason of characters that nobody sees is none.
func TestInvisibleText(t *testing.T) {
	for _, blank := range []string{" ", "\u200b", "\u200d\u2060", "\u00ad \u3000", "\u0301", "\t\n"} {
		tb := approved(t)
		tb.refused("note_required", office, "meeting.cancel", m{"note": blank})
		tb.refused("bad_text", office, "agenda.add", m{"title": blank})
		tb.ok(office, "meeting.cancel", m{"note": blank + "bão" + blank})
	}
	tb := approved(t)
	tb.ok(office, "agenda.add", m{"title": "👨\u200d👩\u200d👧 ế " + strings.Repeat("ộ", 10)})
}

// How a vote went, and how each voted, is the bench's until it is published. Who
// prepares meetings of the unit is not one of them, in the meeting or outside.
func TestResultsAreTheBenchsUntilPublished(t *testing.T) {
	outside, inside := Viewer{ID: "user:office", Permissions: Permissions(PermPrepare, PermApprove)}, Viewer{ID: "user:an", Permissions: Permissions(PermPrepare)}
	for _, names := range []bool{false, true} {
		tb := running(t)
		for _, w := range []Viewer{outside, inside, {ID: "user:tech"}, {ID: "user:vice"}, {ID: "user:sec"}} {
			tb.watch(w)
		}
		v := lastID(tb.ok(sec, "vote.draft", m{"title": "A", "names": names, "excluded": []string{"user:cuong"}}))
		require.NotNil(t, tb.views[outside.ID].Votes[v], "drafts are prepared")
		tb.ok(chair, "vote.open", m{"vote": v})
		tb.ok(an, "ballot.give", pick(v, "no"))
		tb.ok(binh, "ballot.give", pick(v, "yes"))
		tb.ok(chair, "vote.close", m{"vote": v})
		tb.ok(sec, "vote.paper", m{"vote": v, "ballots": 1, "counts": m{"yes": 1}})
		for _, w := range []Viewer{outside, inside} {
			for _, vote := range []*Vote{tb.views[w.ID].Votes[v], Snapshot(tb.s, w).Votes[v]} {
				require.Nil(t, vote.Result, w.ID)
				require.Nil(t, vote.Paper, w.ID)
				delete(vote.Ballots, w.ID)
				require.Empty(t, vote.Ballots, w.ID)
			}
			tb.watch(w)
		}
		for _, id := range []string{"user:vice", "user:sec"} {
			require.Equal(t, 2, tb.views[id].Votes[v].Result.Counts[0].Total, id)
			require.Len(t, tb.views[id].Votes[v].Ballots, 2, id)
		}
		tb.ok(chair, "vote.publish", m{"vote": v})
		tb.check()
		require.NotNil(t, tb.views[outside.ID].Votes[v].Result)
		require.Len(t, tb.views[outside.ID].Votes[v].Ballots, map[bool]int{true: 2}[names])
	}
}

// A hidden item is not there for those it is hidden from.
func TestSeesItem(t *testing.T) {
	tb := approved(t)
	hidden := lastID(tb.ok(office, "agenda.add", m{"title": "Kín", "hidden": true}))
	below := lastID(tb.ok(office, "agenda.add", m{"title": "Dưới", "parent": hidden}))
	for _, c := range []struct {
		w    Viewer
		item string
		sees bool
	}{
		{Viewer{ID: "user:an"}, hidden, false}, {Viewer{ID: "user:an"}, below, false}, {Viewer{ID: "user:an"}, "i99", false},
		{Viewer{ID: "user:an"}, tb.s.Agenda.Order[0], true}, {Viewer{ID: "user:sec"}, hidden, true}, {Viewer{ID: "user:sec"}, below, true},
		{Viewer{ID: "user:office", Permissions: Permissions(PermPrepare)}, hidden, true}, {Viewer{ID: "user:nobody"}, tb.s.Agenda.Order[0], false},
	} {
		require.Equal(t, c.sees, SeesItem(tb.s, c.w, c.item), "%v", c)
	}
}
