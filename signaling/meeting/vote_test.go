package meeting

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func pick(v string, choices ...string) m { return m{"vote": v, "choices": choices} }

func TestOpenVote(t *testing.T) {
	tb := running(t)
	for _, w := range watchers {
		tb.watch(w)
	}
	v := lastID(tb.ok(sec, "vote.draft", m{"title": "Nghị quyết số 1", "base": "members"}))
	require.Empty(t, tb.views["user:an"].Votes, "a draft is not for delegates")
	tb.refused("vote_closed", an, "ballot.give", pick(v, "yes"))
	tb.refused("forbidden", an, "vote.open", m{"vote": v})
	tb.refused("forbidden", vice, "vote.open", m{"vote": v})
	tb.ok(sec, "attendance.leave", m{"person": "user:cuong"})
	tb.refused("bad_value", chair, "vote.open", m{"vote": v, "ballotKey": ballotKey})
	tb.ok(chair, "vote.open", m{"vote": v})
	tb.refused("wrong_state", chair, "vote.open", m{"vote": v})
	tb.refused("wrong_state", sec, "vote.edit", m{"vote": v, "title": "X"})
	require.Equal(t, 4, tb.s.Votes[v].Entitled)
	require.Equal(t, map[string]string{"user:an": "user:an"}, tb.views["user:an"].Votes[v].Voters)
	require.Empty(t, tb.views["user:obs"].Votes[v].Voters)
	// Late is not entitled in this vote.
	tb.ok(sec, "attendance.return", m{"person": "user:cuong"})
	for a, code := range map[*Actor]string{&cuong: "not_entitled", &guest: "not_entitled", &room: "not_entitled", &sec: "not_entitled"} {
		tb.refused(code, *a, "ballot.give", pick(v, "yes"))
	}
	for _, bad := range [][]string{{}, {"yes", "no"}, {"maybe"}, {""}} {
		_, err := tb.try(an, "ballot.give", m{"vote": v, "choices": bad})
		require.Contains(t, []string{"bad_choice", "bad_id"}, codeOf(err))
	}
	tb.refused("not_found", an, "ballot.give", pick("v999", "yes"))
	tb.refused("vote_not_secret", an, "ballot.issue", m{"vote": v, "request": strings.Repeat("a", 64)})
	tb.refused("vote_not_secret", Actor{}, "ballot.cast", secretBallot(v, strings.Repeat("a", 64), 1, "yes"))
	tb.ok(an, "ballot.give", pick(v, "no"))
	tb.ok(an, "ballot.give", pick(v, "yes")) // the last counts
	tb.ok(binh, "ballot.give", pick(v, "yes"))
	tb.ok(chair, "ballot.give", pick(v, "other"))
	require.Equal(t, 3, tb.views["user:obs"].Votes[v].Cast)
	require.Equal(t, []string{"yes"}, tb.views["user:an"].Votes[v].Ballots["user:an"])
	require.Len(t, tb.views["user:sec"].Votes[v].Ballots, 0, "nobody sees how it goes")
	tb.refused("vote_is_open", chair, "meeting.pause", m{})
	tb.refused("vote_is_open", chair, "meeting.end", m{})
	// Who opened it leaves: nothing changes.
	tb.ok(server, "presence.set", m{"person": "user:chair", "here": true})
	tb.ok(server, "presence.set", m{"person": "user:chair", "here": false})
	tb.ok(sec, "attendance.leave", m{"person": "user:chair"})
	tb.ok(sec, "chair.handover", m{"to": "user:vice", "note": "chủ tọa rời phòng"})
	require.Equal(t, "open", tb.s.Votes[v].State)
	tb.ok(vice, "ballot.give", pick(v, "yes"))
	tb.refused("forbidden", chair, "vote.close", m{"vote": v})
	tb.ok(vice, "vote.close", m{"vote": v})
	tb.refused("vote_closed", an, "ballot.give", pick(v, "no"))
	r := tb.s.Votes[v].Result
	require.Equal(t, Result{Base: 5, Needed: 3, Entitled: 4, Issued: 4, Cast: 4, Passed: true, Counts: []Count{
		{Choice: "yes", Votes: 3, Total: 3, Reached: true}, {Choice: "no"}, {Choice: "other", Votes: 1, Total: 1},
	}}, *r)
	require.Nil(t, tb.views["user:an"].Votes[v].Result)
	require.Nil(t, tb.views["user:tech"].Votes[v].Result)
	require.Equal(t, r, tb.views["user:sec"].Votes[v].Result)
	require.Len(t, tb.views["user:chair"].Votes[v].Ballots, 4)
	tb.ok(vice, "vote.publish", m{"vote": v})
	require.Equal(t, r, tb.views["user:obs"].Votes[v].Result)
	require.Len(t, tb.views["user:an"].Votes[v].Ballots, 1, "names were not asked for")
	tb.refused("wrong_state", vice, "vote.cancel", m{"vote": v, "reason": "x"})
	tb.check()
}

func TestVoteQuorum(t *testing.T) {
	tb := approved(t)
	tb.ok(sec, "attendance.confirm", m{"people": []string{"user:an", "user:chair"}})
	tb.ok(chair, "meeting.start", m{})
	v := lastID(tb.ok(sec, "vote.draft", m{"title": "A"}))
	tb.refused("no_quorum", chair, "vote.open", m{"vote": v})
	tb.refused("forbidden", sec, "vote.open", m{"vote": v, "override": "gấp"})
	tb.ok(chair, "vote.open", m{"vote": v, "override": "tình huống khẩn cấp"})
	require.Equal(t, "tình huống khẩn cấp", tb.s.Votes[v].Override)
	require.False(t, tb.s.Votes[v].Quorum.Reached)
}

func TestVoteClosesByTheServersClock(t *testing.T) {
	tb := running(t)
	v := lastID(tb.ok(sec, "vote.draft", m{"title": "A"}))
	tb.ok(chair, "vote.open", m{"vote": v, "seconds": 30})
	due, ok := Next(tb.s)
	require.True(t, ok)
	require.Equal(t, tb.now.Add(30*time.Second), due)
	tb.wait(20 * time.Second)
	tb.ok(chair, "vote.extend", m{"vote": v, "seconds": 20})
	tb.wait(15 * time.Second)
	tb.ok(an, "ballot.give", pick(v, "yes"))
	tb.wait(5 * time.Second)
	// The time is up though nobody has written so yet.
	tb.refused("vote_closed", binh, "ballot.give", pick(v, "yes"))
	tb.refused("vote_closed", chair, "vote.extend", m{"vote": v, "seconds": 20})
	evs := tb.tick()
	require.Len(t, evs, 1)
	require.Empty(t, evs[0].By)
	require.Equal(t, 1, tb.s.Votes[v].Result.Cast)
	_, ok = Next(tb.s)
	require.False(t, ok)
	tb.check()
}

func TestBasesAndMajorities(t *testing.T) {
	for _, c := range []struct {
		base     string
		majority Fraction
		yes      int
		passed   bool
		of       int
	}{
		{"members", MoreThanHalf, 2, false, 5}, {"members", MoreThanHalf, 3, true, 5},
		{"present", MoreThanHalf, 2, false, 4}, {"present", MoreThanHalf, 3, true, 4},
		{"entitled", MoreThanHalf, 2, true, 3}, {"entitled", TwoThirds, 2, true, 3},
		{"members", TwoThirds, 3, false, 5}, {"present", ThreeQuarters, 3, true, 4},
		{"entitled", All, 2, false, 3}, {"entitled", All, 3, true, 3},
	} {
		tb := running(t)
		tb.ok(sec, "attendance.leave", m{"person": "user:cuong"})
		v := lastID(tb.ok(sec, "vote.draft", m{"title": "A", "base": c.base, "majority": c.majority, "excluded": []string{"user:vice"}}))
		tb.ok(chair, "vote.open", m{"vote": v})
		tb.refused("not_entitled", vice, "ballot.give", pick(v, "yes"))
		for i, a := range []Actor{chair, an, binh} {
			choice := "no"
			if i < c.yes {
				choice = "yes"
			}
			tb.ok(a, "ballot.give", pick(v, choice))
		}
		tb.ok(chair, "vote.close", m{"vote": v})
		require.Equal(t, c.passed, tb.s.Votes[v].Result.Passed, "%+v", c)
		require.Equal(t, c.of, tb.s.Votes[v].Result.Base, "%+v", c)
	}
}

func TestCandidatesAndPaper(t *testing.T) {
	tb := running(t)
	for _, w := range watchers {
		tb.watch(w)
	}
	names := []m{{"text": "Ông A"}, {"text": "Bà B"}, {"text": "Ông C"}}
	for _, bad := range []m{{"min": 2, "max": 1}, {"max": 4}, {"min": -1, "max": 1}, {"base": "all"}, {"majority": "most"}, {"secret": true, "names": true}} {
		bad["title"], bad["choices"] = "Bầu", names
		tb.refused("bad_value", sec, "vote.draft", bad)
	}
	v := lastID(tb.ok(sec, "vote.draft", m{"title": "Bầu ủy viên", "choices": names, "min": 1, "max": 2, "names": true, "base": "entitled"}))
	tb.ok(chair, "vote.open", m{"vote": v})
	tb.ok(an, "ballot.give", pick(v, "c1", "c2"))
	tb.ok(binh, "ballot.give", pick(v, "c1"))
	tb.refused("bad_choice", cuong, "ballot.give", pick(v, "c1", "c2", "c3"))
	tb.refused("bad_value", cuong, "ballot.give", pick(v, "c1", "c1"))
	tb.refused("wrong_state", sec, "vote.paper", m{"vote": v, "ballots": 1, "counts": m{"c1": 1}})
	tb.ok(chair, "vote.close", m{"vote": v})
	for _, bad := range []m{
		{"ballots": 4, "counts": m{"c1": 4}},               // more than may still vote
		{"ballots": 2, "counts": m{"c1": 3}},               // more than there are ballots
		{"ballots": 2, "counts": m{"c1": 1}},               // a ballot without a choice
		{"ballots": 2, "invalid": 2, "counts": m{"c1": 1}}, // a choice without a ballot
		{"ballots": 1, "counts": m{"c1": 1, "c2": 1, "c3": 1}},
	} {
		bad["vote"] = v
		_, err := tb.try(sec, "vote.paper", bad)
		require.Contains(t, []string{"bad_count", "bad_value"}, codeOf(err), bad)
	}
	tb.refused("bad_choice", sec, "vote.paper", m{"vote": v, "ballots": 1, "counts": m{"c9": 1}})
	tb.ok(sec, "vote.paper", m{"vote": v, "ballots": 2, "invalid": 1, "counts": m{"c2": 1}})
	tb.ok(sec, "vote.paper", m{"vote": v, "ballots": 2, "counts": m{"c2": 2, "c1": 1}})
	tb.ok(chair, "vote.publish", m{"vote": v})
	r := tb.views["user:obs"].Votes[v].Result
	require.Equal(t, []Count{
		{Choice: "c1", Votes: 2, Paper: 1, Total: 3, Reached: true}, {Choice: "c2", Votes: 1, Paper: 2, Total: 3, Reached: true}, {Choice: "c3"},
	}, r.Counts)
	require.Len(t, tb.views["user:obs"].Votes[v].Ballots, 2, "published with names")
	tb.check()
}

func token(n int) string { return fmt.Sprintf("%064x", n) }

// What stands for a signature and a key: this package looks at their form only.
var (
	signature = strings.Repeat("s", 342)
	ballotKey = strings.Repeat("k", 392)
)

func secretBallot(vote, token string, revision int, choices ...string) m {
	return m{"vote": vote, "token": token, "signature": signature, "choices": choices, "revision": revision}
}

func TestSecretVote(t *testing.T) {
	tb := running(t)
	for _, w := range watchers {
		tb.watch(w)
	}
	v := lastID(tb.ok(sec, "vote.draft", m{"title": "Bỏ phiếu tín nhiệm", "secret": true}))
	tb.refused("bad_value", chair, "vote.open", m{"vote": v})
	tb.refused("bad_id", chair, "vote.open", m{"vote": v, "ballotKey": "x"})
	tb.ok(chair, "vote.open", m{"vote": v, "ballotKey": ballotKey})
	require.Equal(t, ballotKey, tb.views["user:an"].Votes[v].BallotKey)
	ballot := func(n int, choice string) m { return secretBallot(v, token(n), 1, choice) }
	tb.refused("vote_secret", an, "ballot.give", pick(v, "yes"))
	tb.refused("ballots_used_up", Actor{}, "ballot.cast", ballot(1, "yes"))
	tb.refused("not_entitled", guest, "ballot.issue", m{"vote": v, "request": token(77)})
	tb.refused("bad_id", an, "ballot.issue", m{"vote": v, "request": "x"})
	tb.ok(an, "ballot.issue", m{"vote": v, "request": token(77)})
	tb.refused("already_issued", an, "ballot.issue", m{"vote": v, "request": token(78)})
	require.Equal(t, token(77), IssuedFor(tb.s, v, "user:an"))
	require.Empty(t, IssuedFor(tb.s, v, "user:binh"))
	tb.ok(binh, "ballot.issue", m{"vote": v, "request": token(79)})
	tb.refused("forbidden", an, "ballot.cast", ballot(1, "yes"))
	tb.refused("forbidden", Actor{Device: "phone"}, "ballot.cast", ballot(1, "yes"))
	c := tb.command(Actor{}, "ballot.cast", ballot(1, "yes"))
	c.ID = "made-by-the-voters-client"
	evs, err := tb.give(c)
	require.NoError(t, err)
	raw, err := json.Marshal(evs[0])
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf(`{"seq":%d,"type":"ballot.cast","body":{"vote":%q,"token":%q,"signature":%q,"choices":["yes"],"revision":1}}`,
		tb.s.Seq, v, token(1), signature), string(raw))
	tb.refused("nothing_changed", Actor{}, "ballot.cast", ballot(1, "yes"))
	tb.refused("ballot_conflict", Actor{}, "ballot.cast", ballot(1, "no"))
	tb.ok(Actor{}, "ballot.cast", secretBallot(v, token(1), 3, "no")) // changes the mind
	tb.refused("ballot_stale", Actor{}, "ballot.cast", secretBallot(v, token(1), 2, "yes"))
	for _, revision := range []int{0, -1, 1001} {
		tb.refused("bad_value", Actor{}, "ballot.cast", secretBallot(v, token(1), revision, "yes"))
	}
	forged := secretBallot(v, token(1), 4, "yes")
	forged["signature"] = "x"
	tb.refused("bad_id", Actor{}, "ballot.cast", forged)
	tb.ok(Actor{}, "ballot.cast", ballot(2, "no"))
	tb.refused("ballots_used_up", Actor{}, "ballot.cast", ballot(3, "yes"))
	tb.refused("bad_choice", Actor{}, "ballot.cast", ballot(2, "maybe"))
	tb.refused("bad_id", Actor{}, "ballot.cast", secretBallot(v, strings.ToUpper(token(0xabc)), 1, "yes"))
	require.Equal(t, 2, tb.views["user:obs"].Votes[v].Cast)
	for id, view := range tb.views {
		if view != nil && view.Votes[v] != nil {
			require.Empty(t, view.Votes[v].Casts, id)
			require.Empty(t, view.Votes[v].Ballots, id)
			delete(view.Votes[v].Issued, id)
			require.Empty(t, view.Votes[v].Issued, id)
		}
	}
	tb.watch(Viewer{ID: "user:an"})
	tb.watch(Viewer{ID: "user:binh"})
	tb.ok(chair, "vote.close", m{"vote": v})
	tb.refused("vote_closed", Actor{}, "ballot.cast", ballot(1, "yes"))
	require.Equal(t, []int{0, 2, 0}, []int{tb.s.Votes[v].Result.Counts[0].Total, tb.s.Votes[v].Result.Counts[1].Total, tb.s.Votes[v].Result.Counts[2].Total})
	require.Equal(t, 2, tb.s.Votes[v].Result.Issued)
	tb.ok(chair, "vote.publish", m{"vote": v})
	tb.check()
	for _, w := range watchers {
		require.NotContains(t, dump(t, Snapshot(tb.s, w)), token(1), w.ID)
	}
}

// The order in which choices were marked, or a twice repeated one, is no mark.
func TestSecretBallotIsInTheVotesOrder(t *testing.T) {
	tb := running(t)
	v := lastID(tb.ok(sec, "vote.draft", m{"title": "Bầu", "secret": true, "choices": []m{{"text": "A"}, {"text": "B"}, {"text": "C"}}, "min": 0, "max": 3}))
	tb.ok(chair, "vote.open", m{"vote": v, "ballotKey": ballotKey})
	tb.ok(an, "ballot.issue", m{"vote": v, "request": token(1)})
	tb.ok(Actor{}, "ballot.cast", secretBallot(v, token(9), 1, "c3", "c1"))
	require.Equal(t, []string{"c1", "c3"}, tb.s.Votes[v].Casts[token(9)])
}

func crowd(t tester, n int) (*table, string) {
	tb := newTable(t)
	tb.ok(office, "meeting.create", m{"title": "Hội nghị", "unit": "u1"})
	tb.ok(office, "person.invite", m{"people": cast()[:3]})
	var ids []string
	for from := 0; from < n; from += 300 {
		var list []PersonInfo
		for i := from; i < min(from+300, n); i++ {
			p := person(fmt.Sprintf("user:%08d-aaaa-bbbb-cccc-ddddeeeeffff", i), "Nguyễn Thị Đại Biểu", RoleDelegate, true)
			list, ids = append(list, p), append(ids, p.ID)
		}
		tb.ok(office, "person.invite", m{"people": list})
	}
	tb.ok(office, "meeting.submit", m{})
	tb.ok(office, "meeting.approve", m{})
	for from := 0; from < n; from += 500 {
		tb.ok(sec, "attendance.confirm", m{"people": ids[from:min(from+500, n)]})
	}
	tb.ok(chair, "meeting.start", m{})
	v := lastID(tb.ok(sec, "vote.draft", m{"title": "Nghị quyết"}))
	tb.ok(chair, "vote.open", m{"vote": v})
	return tb, v
}
