package meeting

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAttendance(t *testing.T) {
	tb := approved(t)
	for _, w := range watchers {
		tb.watch(w)
	}
	tb.refused("not_attending", room, "attendance.checkin", m{"mode": "in_person"})
	tb.refused("not_attending", obs, "attendance.checkin", m{"mode": "in_person"})
	tb.refused("not_found", an, "attendance.checkin", m{"mode": "in_person", "point": "user:binh"})
	tb.ok(an, "attendance.checkin", m{"mode": "in_person", "point": "point:room"})
	tb.refused("attendance_already", an, "attendance.checkin", m{"mode": "online"})
	require.Zero(t, CountQuorum(tb.s).Present, "one's own word is not a confirmation")
	tb.refused("forbidden", an, "attendance.confirm", m{"people": []string{"user:an"}})
	tb.refused("not_attending", sec, "attendance.confirm", m{"people": []string{"user:an", "point:room"}})
	tb.refused("bad_value", sec, "attendance.confirm", m{"people": []string{"user:an", "user:an"}})
	tb.ok(sec, "attendance.confirm", m{"people": []string{"user:an", "user:binh", "user:cuong"}})
	tb.refused("nothing_changed", sec, "attendance.confirm", m{"people": []string{"user:an"}})
	require.True(t, CountQuorum(tb.s).Reached)
	tb.wait(time.Minute)
	tb.ok(an, "attendance.leave", m{})
	require.False(t, CountQuorum(tb.s).Reached)
	require.Equal(t, tb.now, tb.s.People["user:an"].Attendance.LeftAt)
	tb.refused("not_present", an, "attendance.leave", m{})
	tb.ok(sec, "attendance.return", m{"person": "user:an"})
	tb.refused("wrong_state", an, "attendance.return", m{})
	tb.ok(sec, "attendance.absent", m{"people": []string{"user:binh"}, "reason": "ốm"})
	require.Empty(t, tb.views["user:an"].People["user:binh"].Attendance.Reason)
	require.Equal(t, "ốm", tb.views["user:binh"].People["user:binh"].Attendance.Reason)
	tb.ok(binh, "attendance.checkin", m{"mode": "online"}) // came after all
	tb.ok(room, "roster.count", m{"point": "point:room", "count": 128})
	tb.refused("forbidden", laptop, "roster.count", m{"point": "point:room", "count": 1})
	tb.refused("forbidden", an, "presence.set", m{"person": "user:an", "here": true})
	tb.ok(server, "presence.set", m{"person": "user:obs", "here": true})
	require.Nil(t, tb.views["user:an"].People["user:obs"], "observers are not seen")
	require.True(t, tb.views["user:tech"].People["user:obs"].Here)
	tb.check()
}

func TestQuorumRules(t *testing.T) {
	for _, c := range []struct {
		rule            Fraction
		base, n         int
		reached, before bool
	}{
		{MoreThanHalf, 90, 46, true, false}, {MoreThanHalf, 91, 46, true, false}, {MoreThanHalf, 1, 1, true, false},
		{TwoThirds, 90, 60, true, false}, {TwoThirds, 91, 61, true, false}, {TwoThirds, 3, 2, true, false},
		{ThreeQuarters, 90, 68, true, false}, {ThreeQuarters, 4, 3, true, false}, {All, 90, 90, true, false},
	} {
		require.Equal(t, c.n, c.rule.Needed(c.base), "%s of %d", c.rule, c.base)
	}
	require.Equal(t, 1, All.Needed(0))
	tb := approved(t)
	tb.ok(sec, "meeting.edit", m{"title": "Họp", "unit": "u1", "rules": m{"quorum": "two_thirds", "quorumBase": "attending", "selfCheckIn": true}})
	tb.ok(an, "invitation.answer", m{"answer": "absent", "reason": "ốm"})
	tb.ok(chair, "invitation.settle", m{"person": "user:an", "accept": true})
	for _, a := range []Actor{chair, vice, binh} {
		tb.ok(a, "attendance.checkin", m{"mode": "in_person"})
	}
	require.Equal(t, Quorum{Rule: TwoThirds, Members: 5, Base: 4, Present: 3, Needed: 3, Reached: true}, CountQuorum(tb.s))
}

func TestSpeaking(t *testing.T) {
	tb := running(t)
	for _, w := range watchers {
		tb.watch(w)
	}
	item := tb.s.Agenda.Order[0]
	tb.ok(chair, "agenda.start", m{"item": item})
	tb.refused("list_closed", an, "speak.request", m{})
	tb.refused("forbidden", obs, "speak.request", m{})
	tb.ok(chair, "speak.open", m{"limit": 60})
	r1 := lastID(tb.ok(an, "speak.request", m{"topic": "đất đai"}))
	tb.refused("already_requested", an, "speak.request", m{})
	r2 := lastID(tb.ok(binh, "speak.request", m{}))
	r3 := lastID(tb.ok(room, "speak.request", m{}))
	tb.refused("forbidden", sec, "speak.move", m{"request": r3})
	tb.ok(chair, "speak.move", m{"request": r3, "before": r1})
	require.Equal(t, []string{r3, r1, r2}, tb.s.Speak.Waiting)
	tb.refused("forbidden", binh, "speak.withdraw", m{"request": r1})
	tb.ok(room, "speak.withdraw", m{"request": r3})
	r3 = lastID(tb.ok(room, "speak.request", m{})) // withdrawn may ask again
	require.Empty(t, Grants(tb.s, "user:an#1").Publish)
	tb.ok(sec, "speak.call", m{"request": r1})
	require.Contains(t, Grants(tb.s, "user:an#1").Publish, "microphone")
	tb.ok(chair, "speak.start", m{"request": r1})
	tb.wait(20 * time.Second)
	// A point of order pauses and does not end.
	order := lastID(tb.ok(chair, "speak.give", m{"person": "user:cuong", "kind": "order"}))
	require.Equal(t, "paused", tb.s.request(r1).State)
	require.Empty(t, Grants(tb.s, "user:an").Publish)
	tb.refused("wrong_state", chair, "speak.resume", m{"request": r1})
	tb.wait(time.Minute)
	tb.ok(cuong, "speak.finish", m{"request": order})
	require.Equal(t, "speaking", tb.s.request(r1).State)
	require.Equal(t, r1, tb.s.Floor)
	due, ok := Next(tb.s)
	require.True(t, ok)
	require.Equal(t, tb.now.Add(40*time.Second), due)
	tb.wait(39999 * time.Millisecond)
	require.Empty(t, tb.tick())
	tb.wait(time.Millisecond)
	require.Len(t, tb.tick(), 1)
	require.Empty(t, tb.tick(), "one warning")
	require.Equal(t, "speaking", tb.s.request(r1).State, "it is a warning only")
	tb.ok(chair, "speak.start", m{"request": r2})
	require.Equal(t, "finished", tb.s.request(r1).State)
	require.Equal(t, int64(60000), tb.s.request(r1).Clock.Ms)
	require.Equal(t, int64(120000), tb.s.Speak.UnitTime["u1"])
	tb.ok(chair, "meeting.pause", m{})
	require.Equal(t, "paused", tb.s.request(r2).State)
	tb.ok(chair, "meeting.resume", m{})
	tb.ok(chair, "speak.resume", m{"request": r2})
	tb.refused("forbidden", an, "speak.finish", m{"request": r2})
	tb.ok(binh, "speak.finish", m{"request": r2})
	tb.refused("already_requested", an, "speak.request", m{})
	tb.refused("forbidden", sec, "speak.add", m{"person": "user:an"})
	again := lastID(tb.ok(chair, "speak.add", m{"person": "user:an"}))
	tb.ok(sec, "speak.refuse", m{"request": again, "reason": "hết giờ"})
	require.Equal(t, "hết giờ", tb.views["user:an"].request(again).Reason)
	require.Empty(t, tb.views["user:binh"].request(again).Reason)
	tb.ok(chair, "speak.open", m{"limit": 60, "unitLimit": 120})
	tb.refused("unit_time_used", chair, "speak.start", m{"request": r3})
	tb.refused("forbidden", sec, "speak.start", m{"request": r3, "extra": true})
	tb.ok(chair, "speak.start", m{"request": r3, "extra": true})
	tb.check()
}

func TestQuestioning(t *testing.T) {
	tb := running(t)
	tb.refused("bad_value", chair, "speak.open", m{"list": "question"})
	tb.refused("wrong_target", chair, "speak.open", m{"list": "question", "questioned": "user:obs"})
	tb.ok(chair, "speak.open", m{"list": "question", "questioned": "user:guest", "limit": 60})
	tb.refused("wrong_target", guest, "speak.request", m{"list": "question"})
	q := lastID(tb.ok(an, "speak.request", m{"list": "question"}))
	require.Empty(t, tb.s.Speak.Requests)
	tb.ok(chair, "speak.start", m{"request": q})
	a := lastID(tb.ok(chair, "speak.give", m{"list": "question", "person": "user:guest", "kind": "answer"}))
	require.Equal(t, "finished", tb.s.request(q).State)
	require.Equal(t, a, tb.s.Floor)
}

func TestQueueIsBounded(t *testing.T) {
	tb := running(t)
	tb.ok(chair, "speak.open", m{})
	for i := range maxWaiting {
		info := person(fmt.Sprintf("user:q%d", i), "Q", RoleDelegate, false)
		tb.s.People[info.ID] = &Person{PersonInfo: info}
		tb.ok(who4(info.ID), "speak.request", m{})
	}
	tb.refused("list_full", an, "speak.request", m{})
}

func TestCallAPoint(t *testing.T) {
	tb := running(t)
	for _, w := range watchers {
		tb.watch(w)
	}
	tb.refused("forbidden", an, "point.call", m{"point": "point:room"})
	tb.refused("wrong_target", chair, "point.call", m{"point": "user:obs"})
	tb.ok(tech, "layout.set", m{"name": "split", "spotlight": []string{"user:chair"}})
	tb.ok(tech, "point.queue", m{"points": []string{"point:room", "point:laptop", "user:an", "user:binh"}})
	require.Equal(t, []string{"point:room", "point:laptop"}, tb.views["user:an"].NextPoints)
	tb.ok(chair, "point.call", m{"point": "point:room", "seconds": 30})
	require.Equal(t, "active", tb.s.Call.State)
	require.Equal(t, spotlight("point:room"), tb.s.Layout)
	require.Equal(t, []string{"point:laptop", "user:an"}, tb.views["user:an"].NextPoints)
	require.Equal(t, []string{"point:laptop", "user:an", "user:binh"}, tb.views["user:tech"].NextPoints)
	require.Contains(t, Grants(tb.s, "point:room").Publish, "microphone")
	tb.ok(server, "presence.set", m{"person": "point:room", "here": true})
	tb.ok(server, "presence.set", m{"person": "point:room", "here": false})
	require.Equal(t, "point:room", tb.s.Call.Point, "a lost line ends nothing")
	tb.wait(30 * time.Second)
	require.Len(t, tb.tick(), 1)
	require.NotNil(t, tb.s.Call)
	tb.refused("nothing_changed", chair, "point.call", m{"point": "point:room"})
	// A personal device is asked; the point before is out at once.
	tb.ok(chair, "point.call", m{"point": "point:laptop"})
	require.Equal(t, "asked", tb.s.Call.State)
	require.Equal(t, "split", tb.s.Layout.Name)
	require.Empty(t, Grants(tb.s, "point:laptop").Publish)
	require.Empty(t, Grants(tb.s, "point:room").Publish)
	tb.refused("forbidden", room, "point.answer", m{"accept": true})
	tb.ok(laptop, "point.answer", m{"accept": true})
	require.Equal(t, spotlight("point:laptop"), tb.s.Layout)
	tb.ok(chair, "point.end", m{})
	require.Equal(t, Layout{Name: "split", Spotlight: []string{"user:chair"}}, tb.s.Layout)
	require.Empty(t, Grants(tb.s, "point:laptop").Publish)
	tb.refused("call_none", chair, "point.end", m{})
	tb.ok(chair, "point.call", m{"point": "user:an"})
	tb.ok(an, "point.answer", m{"accept": false})
	require.Nil(t, tb.s.Call)
	tb.ok(chair, "point.call", m{"point": "point:room"})
	tb.ok(tech, "layout.set", m{"name": "document"})
	tb.ok(chair, "point.end", m{})
	require.Equal(t, "document", tb.s.Layout.Name, "the operator's choice stays")
	tb.check()
}

func TestGrants(t *testing.T) {
	tb := approved(t)
	require.Equal(t, Grant{Join: true, Subscribe: true, Publish: []string{"camera", "microphone"}}, Grants(tb.s, "point:room"), "tested before the session")
	tb = running(t)
	none := []string{}
	for id, want := range map[string]Grant{
		"user:chair#a":  {Join: true, Subscribe: true, Publish: allSources},
		"user:sec":      {Join: true, Subscribe: true, Publish: allSources},
		"user:an#phone": {Join: true, Subscribe: true, Publish: none},
		"user:guest":    {Join: true, Subscribe: true, Publish: none},
		"user:obs#1":    {Join: true, Hidden: true, Subscribe: true, Publish: none},
		"point:room":    {Join: true, Subscribe: true, Publish: none},
		"svc:recorder":  {Join: true, Hidden: true, Subscribe: true, Publish: none},
		"user:stranger": {Publish: none},
		"guest:lobby":   {Publish: none},
		"":              {Publish: none},
	} {
		require.Equal(t, want, Grants(tb.s, id), id)
	}
	Grants(tb.s, "user:chair").Publish[0] = "x"
	require.Equal(t, "camera", allSources[0])
	tb.ok(chair, "meeting.end", m{})
	require.Equal(t, Grant{Publish: none}, Grants(tb.s, "user:chair"))
}

func TestLobbyAndHelp(t *testing.T) {
	tb := running(t)
	for _, w := range watchers {
		tb.watch(w)
	}
	tb.watch(Viewer{ID: "point:laptop"})
	g := who4("guest:g1")
	tb.refused("forbidden", an, "lobby.enter", m{"name": "X"})
	tb.ok(g, "lobby.enter", m{"name": "Nhà báo"})
	require.False(t, Grants(tb.s, "guest:g1").Join)
	require.Empty(t, tb.views["user:an"].Lobby)
	require.Len(t, tb.views["user:tech"].Lobby, 1)
	require.Empty(t, tb.views["guest:g1"].People, "who waits sees nobody")
	tb.refused("forbidden", an, "lobby.settle", m{"guest": "guest:g1", "admit": true})
	tb.ok(tech, "lobby.settle", m{"guest": "guest:g1", "admit": true})
	require.True(t, Grants(tb.s, "guest:g1").Join)
	require.NotEmpty(t, tb.views["guest:g1"].People)
	tb.ok(room, "ready.report", m{"camera": "ok", "line": "bad"})
	tb.refused("forbidden", laptop, "ready.report", m{"point": "point:room", "line": "ok"})
	tb.ok(room, "help.ask", m{"text": "mất tiếng"})
	require.Empty(t, tb.views["point:laptop"].Readiness)
	require.Equal(t, "mất tiếng", tb.views["user:tech"].Readiness["point:room"].Help)
	tb.ok(tech, "help.close", m{"point": "point:room"})
	require.Equal(t, "bad", tb.s.Readiness["point:room"].Line)
	tb.ok(tech, "device.command", m{"point": "point:room", "action": "preset", "preset": "2"})
	tb.refused("bad_value", tech, "device.command", m{"point": "point:room", "action": "mute", "preset": "2"})
	tb.refused("not_found", tech, "device.command", m{"point": "user:an", "action": "mute"})
	tb.check()
}

func TestChatAndConclusions(t *testing.T) {
	tb := running(t)
	for _, w := range watchers {
		tb.watch(w)
	}
	tb.refused("chat_closed", an, "chat.send", m{"text": "xin chào"})
	tb.ok(chair, "chat.set", m{"mode": "all"})
	tb.refused("chat_closed", obs, "chat.send", m{"text": "xin chào"})
	msg := lastID(tb.ok(an, "chat.send", m{"text": "xin chào"}))
	tb.refused("too_fast", an, "chat.send", m{"text": "nữa"})
	tb.refused("forbidden", binh, "chat.delete", m{"message": msg})
	tb.ok(sec, "chat.delete", m{"message": msg})
	require.Equal(t, Message{ID: msg, Person: "user:an", At: tb.now, Deleted: true}, *tb.s.Chat[0])
	for i := range maxChat + 20 {
		tb.wait(time.Second)
		tb.ok(an, "chat.send", m{"text": fmt.Sprint(i)})
	}
	require.Len(t, tb.s.Chat, maxChat)
	k := lastID(tb.ok(sec, "conclusion.write", m{"text": "Giao Sở Tài chính"}))
	require.Empty(t, tb.views["user:an"].Conclusions)
	tb.refused("forbidden", sec, "conclusion.issue", m{"conclusion": k})
	tb.ok(chair, "meeting.end", m{})
	tb.ok(sec, "conclusion.write", m{"conclusion": k, "text": "Giao Sở Tài chính trước 15/12"})
	tb.ok(chair, "conclusion.issue", m{"conclusion": k})
	require.Equal(t, 2, tb.views["user:an"].Conclusions[k].Issued.Number)
	require.Empty(t, tb.views["user:an"].Conclusions[k].Versions)
	tb.check()
}

func TestHostileText(t *testing.T) {
	long := strings.Repeat("ậ", 10001)
	bad := []string{"a\u202eb", "a\u2066b", "a\x00b", "a\u0007", "\u2028", "a\ufffdb", long}
	for _, c := range []struct {
		typ  string
		a    Actor
		body func(s string) m
	}{
		{"chat.send", chair, func(s string) m { return m{"text": s} }},
		{"agenda.add", sec, func(s string) m { return m{"title": s, "note": "x"} }},
		{"agenda.add", sec, func(s string) m { return m{"title": "x", "presenter": s, "note": "x"} }},
		{"agenda.add", sec, func(s string) m { return m{"title": "x", "note": s} }},
		{"meeting.edit", sec, func(s string) m { return m{"title": s, "unit": "u1", "note": "x"} }},
		{"person.invite", sec, func(s string) m {
			return m{"people": []m{{"id": "user:h", "name": s, "role": "guest"}}, "note": "x"}
		}},
		{"vote.draft", sec, func(s string) m { return m{"title": s} }},
		{"vote.draft", sec, func(s string) m { return m{"title": "x", "choices": []m{{"text": s}}} }},
		{"conclusion.write", sec, func(s string) m { return m{"text": s} }},
		{"lobby.enter", who4("guest:g"), func(s string) m { return m{"name": s} }},
		{"help.ask", room, func(s string) m { return m{"text": s} }},
		{"meeting.pause", chair, func(s string) m { return m{"note": s} }},
		{"attendance.absent", sec, func(s string) m { return m{"people": []string{"user:an"}, "reason": s} }},
	} {
		for _, s := range bad {
			running(t).refused("bad_text", c.a, c.typ, c.body(s))
		}
		// Text stays text, whatever it looks like.
		for _, s := range []string{"<script>alert(1)</script>", "'; DROP TABLE people; --", "=cmd|' /C calc'!A0", "Hoà\u0300"} {
			tb := running(t)
			tb.ok(c.a, c.typ, c.body(s))
			tb.check()
		}
	}
	tb := running(t)
	for _, raw := range []string{`{"text":"\ud800"}`, "{\"text\":\"\xff\"}", `[]`, `null`, `"x"`, `{"text":"a"} {}`, `{"text":"a","x":1}`, `{"text":1}`, `{`} {
		_, err := tb.give(Command{ID: "h", Type: "chat.send", Actor: chair, Body: []byte(raw)})
		require.Contains(t, []string{"bad_text", "bad_json"}, codeOf(err), raw)
	}
	_, err := tb.give(Command{ID: "h", Type: "chat.send", Actor: chair, Body: make([]byte, maxBody+1)})
	requireCode(t, "too_large", err)
	_, err = tb.give(Command{ID: "h h", Type: "chat.send", Actor: chair})
	requireCode(t, "bad_id", err)
	_, err = tb.give(Command{ID: "h", Type: "chat.shout", Actor: chair})
	requireCode(t, "unknown_command", err)
	for _, id := range []string{"", "chair", "user:", "user:chair#1", "user:a b"} {
		_, err = tb.give(Command{ID: "h", Type: "meeting.pause", Actor: Actor{ID: id}})
		requireCode(t, "forbidden", err)
	}
}

func TestAppliedOnce(t *testing.T) {
	tb := running(t)
	tb.ok(chair, "chat.set", m{"mode": "all"})
	c := tb.command(an, "chat.send", m{"text": "một"})
	_, err := tb.give(c)
	require.NoError(t, err)
	seq := tb.s.Seq
	tb.wait(time.Minute)
	_, err = tb.give(c)
	requireCode(t, "already_applied", err)
	var p *Problem
	require.ErrorAs(t, err, &p)
	require.Equal(t, seq, p.Seq)
	c.Actor = binh // the same id of another author is another command
	_, err = tb.give(c)
	require.NoError(t, err)
}
