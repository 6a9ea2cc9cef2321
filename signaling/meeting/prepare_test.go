package meeting

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLifeOfAMeeting(t *testing.T) {
	tb := newTable(t)
	tb.refused("wrong_state", office, "meeting.edit", m{"title": "A", "unit": "u1"})
	tb.refused("forbidden", an, "meeting.create", m{"title": "A", "unit": "u1"})
	tb.ok(office, "meeting.create", m{"title": "  Họp  ", "unit": "u1"})
	require.Equal(t, "Họp", tb.s.Info.Title)
	require.Equal(t, Rules{Quorum: MoreThanHalf, QuorumBase: "members"}, tb.s.Info.Rules)
	tb.refused("wrong_state", office, "meeting.create", m{"title": "A", "unit": "u1"})
	tb.refused("no_chair", office, "meeting.submit", m{})
	tb.ok(office, "person.invite", m{"people": cast()})
	tb.ok(office, "meeting.submit", m{})
	tb.refused("wrong_state", office, "meeting.edit", m{"title": "B", "unit": "u1"})
	tb.refused("note_required", office, "meeting.return", m{})
	tb.ok(office, "meeting.return", m{"note": "thiếu tài liệu"})
	require.Equal(t, "thiếu tài liệu", tb.s.Info.Note)
	tb.ok(office, "meeting.edit", m{"title": "B", "unit": "u1"})
	tb.refused("nothing_changed", office, "meeting.edit", m{"title": "B", "unit": "u1"})
	tb.ok(office, "meeting.submit", m{})
	tb.refused("forbidden", sec, "meeting.approve", m{})
	tb.ok(office, "meeting.approve", m{})
	tb.refused("no_chair", sec, "meeting.start", m{})
	tb.refused("forbidden", an, "meeting.start", m{})
	tb.ok(chair, "meeting.start", m{})
	require.Equal(t, "user:chair", tb.s.Presiding)
	tb.refused("wrong_state", office, "meeting.cancel", m{"note": "mưa bão"})
	tb.refused("locked", office, "meeting.edit", m{"title": "C", "unit": "u1", "note": "x"})
	tb.refused("locked", sec, "meeting.edit", m{"title": "C", "unit": "u1"})
	tb.ok(sec, "meeting.edit", m{"title": "C", "unit": "u1", "note": "sửa lỗi"})
	tb.refused("locked", sec, "meeting.edit", m{"title": "C", "unit": "u1", "note": "x", "rules": m{"selfCheckIn": true}})
	tb.refused("forbidden", vice, "meeting.pause", m{})
	tb.wait(10 * time.Minute)
	tb.ok(chair, "meeting.pause", m{"note": "giải lao"})
	tb.refused("wrong_state", chair, "meeting.pause", m{})
	tb.wait(time.Hour)
	tb.ok(sec, "meeting.resume", m{})
	tb.wait(5 * time.Minute)
	tb.ok(chair, "meeting.end", m{})
	require.Equal(t, 15*time.Minute, tb.s.Info.Clock.Elapsed(tb.now.Add(time.Hour)))
	for _, c := range CommandTypes() {
		if strings.HasPrefix(c.Type, "conclusion.") || c.Type == "meeting.archive" {
			continue
		}
		require.NotContains(t, c.States, Ended, c.Type)
		require.NotContains(t, c.States, Archived, c.Type)
		require.NotContains(t, c.States, Cancelled, c.Type)
	}
	tb.refused("wrong_state", chair, "chair.handover", m{"to": "user:vice"})
	tb.ok(office, "meeting.archive", m{})
	tb.refused("wrong_state", chair, "conclusion.write", m{"text": "Muộn"})
	tb.check()
}

func TestCancelled(t *testing.T) {
	tb := approved(t)
	tb.watch(Viewer{ID: "user:an"})
	tb.refused("note_required", office, "meeting.cancel", m{})
	tb.ok(office, "meeting.cancel", m{"note": "bão số 9"})
	require.Equal(t, "bão số 9", tb.views["user:an"].Info.Note)
	tb.refused("wrong_state", chair, "meeting.start", m{})
	tb.check()
}

func TestOneChairPresides(t *testing.T) {
	tb := approved(t)
	tb.ok(vice, "chair.take", m{})
	tb.refused("chair_taken", chair, "chair.take", m{})
	tb.refused("forbidden", chair, "meeting.start", m{})
	tb.refused("forbidden", chair, "chair.handover", m{"to": "user:chair"})
	tb.refused("wrong_target", vice, "chair.handover", m{"to": "user:an"})
	tb.refused("not_found", vice, "chair.handover", m{"to": "user:none"})
	tb.refused("note_required", sec, "chair.handover", m{"to": "user:chair"})
	tb.ok(vice, "chair.handover", m{"to": "user:chair"})
	tb.refused("forbidden", vice, "chair.handover", m{"to": "user:vice"})
	tb.refused("chair_taken", office, "person.remove", m{"person": "user:chair"})
	tb.refused("chair_taken", office, "person.change", m{"person": person("user:chair", "X", RoleDelegate, true)})
	tb.ok(sec, "chair.handover", m{"to": "user:vice", "note": "chủ tọa mất kết nối"})
	require.Equal(t, "user:vice", tb.s.Presiding)
}

func numbers(tb *table) string {
	var out []string
	n := tb.s.Agenda.Numbers()
	for _, id := range tb.s.Agenda.Order {
		num := n[id]
		if num == "" {
			num = "-"
		}
		out = append(out, num+":"+tb.s.Agenda.Items[id].Title)
	}
	return strings.Join(out, " ")
}

func TestAgendaTree(t *testing.T) {
	tb := newTable(t)
	tb.ok(office, "meeting.create", m{"title": "Họp", "unit": "u1"})
	add := func(title, parent, before string, hidden bool) string {
		return lastID(tb.ok(office, "agenda.add", m{"title": title, "parent": parent, "before": before, "hidden": hidden}))
	}
	a := add("A", "", "", false)
	b := add("B", "", "", false)
	a1 := add("A1", a, "", false)
	a3 := add("A3", a, "", false)
	add("A2", a, a3, false)
	h := add("H", "", b, true)
	add("H1", h, "", false)
	a11 := add("A11", a1, "", false)
	require.Equal(t, "1:A 1.1:A1 1.1.1:A11 1.2:A2 1.3:A3 -:H -:H1 2:B", numbers(tb))
	tb.refused("bad_value", office, "agenda.move", m{"item": a, "parent": a11})
	tb.refused("bad_value", office, "agenda.move", m{"item": a, "parent": a})
	tb.refused("bad_value", office, "agenda.move", m{"item": a, "before": a})
	tb.refused("not_found", office, "agenda.move", m{"item": a, "before": a3})
	tb.refused("not_found", office, "agenda.add", m{"title": "X", "parent": "i999"})
	tb.refused("nothing_changed", office, "agenda.move", m{"item": b})
	tb.ok(office, "agenda.move", m{"item": b, "before": a})
	tb.ok(office, "agenda.move", m{"item": a1, "parent": b})
	require.Equal(t, "1:B 1.1:A1 1.1.1:A11 2:A 2.1:A2 2.2:A3 -:H -:H1", numbers(tb))
	tb.ok(office, "agenda.remove", m{"item": a1})
	tb.ok(office, "agenda.edit", m{"item": a3, "title": "A3 sửa", "documents": []string{"d1", "d2"}})
	tb.refused("bad_value", office, "agenda.edit", m{"item": a3, "title": "X", "documents": []string{"d1", "d1"}})
	require.Equal(t, "1:B 2:A 2.1:A2 2.2:A3 sửa -:H -:H1", numbers(tb))
}

func TestItemsAndClocks(t *testing.T) {
	tb := approved(t)
	one, two := tb.s.Agenda.Order[0], tb.s.Agenda.Order[1]
	tb.refused("wrong_state", sec, "agenda.start", m{"item": one})
	hid := lastID(tb.ok(office, "agenda.add", m{"title": "Kín", "hidden": true}))
	sub := lastID(tb.ok(office, "agenda.add", m{"title": "Dưới", "parent": hid}))
	for _, w := range watchers {
		tb.watch(w)
	}
	tb.ok(sec, "attendance.confirm", m{"people": []string{"user:chair", "user:an", "user:binh"}})
	tb.ok(chair, "meeting.start", m{})
	tb.refused("forbidden", tech, "agenda.start", m{"item": one})
	tb.ok(chair, "agenda.start", m{"item": one})
	tb.wait(2 * time.Minute)
	tb.ok(chair, "meeting.pause", m{})
	tb.wait(time.Hour)
	tb.ok(chair, "meeting.resume", m{})
	tb.wait(time.Minute)
	tb.ok(sec, "agenda.start", m{"item": two})
	require.Equal(t, "done", tb.s.Agenda.Items[one].State)
	require.Equal(t, int64(180000), tb.s.Agenda.Items[one].Clock.Ms)
	tb.refused("wrong_state", sec, "agenda.remove", m{"item": one, "note": "x"})
	tb.refused("wrong_state", sec, "agenda.hide", m{"item": one})
	tb.refused("locked", office, "agenda.show", m{"item": hid})
	tb.refused("item_hidden", chair, "agenda.start", m{"item": sub})
	tb.refused("item_hidden", sec, "agenda.move", m{"item": one, "parent": hid, "note": "x"})
	require.Nil(t, tb.views["user:an"].Agenda.Items[hid])
	require.NotNil(t, tb.views["user:sec"].Agenda.Items[hid])
	require.Nil(t, tb.views["user:tech"].Agenda.Items[hid], "the operator prepares nothing")
	tb.ok(chair, "agenda.start", m{"item": hid})
	require.Equal(t, "current", tb.views["user:an"].Agenda.Items[hid].State)
	require.NotNil(t, tb.views["user:an"].Agenda.Items[sub])
	tb.refused("forbidden", sec, "agenda.start", m{"item": one})
	tb.ok(chair, "agenda.start", m{"item": one})
	tb.wait(time.Minute)
	tb.ok(chair, "agenda.finish", m{"item": one})
	require.Equal(t, int64(240000), tb.s.Agenda.Items[one].Clock.Ms)
	tb.check()
}

func TestInvitations(t *testing.T) {
	tb := approved(t)
	for _, w := range watchers {
		tb.watch(w)
	}
	tb.ok(an, "invitation.answer", m{"answer": "attending"})
	tb.refused("note_required", an, "invitation.answer", m{"answer": "absent"})
	tb.refused("forbidden", an, "invitation.answer", m{"answer": "attending", "person": "user:binh"})
	tb.refused("bad_value", an, "invitation.answer", m{"answer": "perhaps"})
	tb.refused("wrong_target", room, "invitation.answer", m{"answer": "attending"})
	sub := m{"id": "user:extra", "name": "Người Thay", "role": "delegate"}
	tb.ok(binh, "invitation.answer", m{"answer": "absent", "reason": "đi công tác", "substitute": sub})
	require.Empty(t, tb.views["user:an"].People["user:binh"].Invitation.Reason)
	require.Equal(t, "đi công tác", tb.views["user:binh"].People["user:binh"].Invitation.Reason)
	tb.refused("forbidden", sec, "invitation.settle", m{"person": "user:binh", "accept": true})
	tb.ok(chair, "invitation.settle", m{"person": "user:binh", "accept": true})
	require.True(t, tb.s.People["user:extra"].Voting)
	require.False(t, tb.s.People["user:binh"].Voting)
	require.Equal(t, 5, CountQuorum(tb.s).Members, "no vote was made or lost")
	tb.refused("wrong_state", chair, "invitation.settle", m{"person": "user:binh", "accept": false})
	tb.ok(cuong, "invitation.answer", m{"answer": "absent", "reason": "bận"})
	tb.ok(chair, "invitation.settle", m{"person": "user:cuong", "accept": false})
	tb.ok(office, "unit.invite", m{"unit": "u9", "name": "Xã", "seats": 1})
	clerk := Actor{ID: "user:clerk", Unit: "u9", Permissions: Permissions(PermAssign)}
	one := m{"unit": "u9", "people": []m{{"id": "user:x1", "name": "X", "role": "delegate"}}}
	tb.refused("forbidden", Actor{ID: "user:clerk", Unit: "u1", Permissions: Permissions(PermAssign)}, "unit.assign", one)
	tb.refused("bad_value", clerk, "unit.assign", m{"unit": "u9", "people": []m{{"id": "user:x1", "name": "X", "role": "chair"}}})
	tb.refused("bad_value", clerk, "unit.assign", m{"unit": "u9", "people": []m{{"id": "user:x1", "name": "X", "role": "delegate", "voting": true}}})
	tb.ok(clerk, "unit.assign", one)
	require.Equal(t, "u9", tb.s.People["user:x1"].Unit)
	tb.refused("list_full", clerk, "unit.assign", m{"unit": "u9", "people": []m{{"id": "user:x2", "name": "X", "role": "delegate"}}})
	tb.ok(chair, "meeting.start", m{})
	tb.refused("locked", an, "invitation.answer", m{"answer": "absent", "reason": "ốm"})
	tb.refused("locked", sec, "invitation.answer", m{"answer": "absent", "reason": "ốm", "person": "user:an"})
	tb.ok(sec, "invitation.answer", m{"answer": "absent", "reason": "ốm", "person": "user:an", "note": "báo qua điện thoại"})
	tb.check()
}

func TestDelegation(t *testing.T) {
	tb := approved(t)
	for _, w := range watchers {
		tb.watch(w)
	}
	to := func(id string) m { return m{"to": m{"id": id, "name": "Người Nhận"}} }
	tb.refused("delegation_chain", an, "delegation.offer", to("user:an"))
	tb.refused("delegation_taken", an, "delegation.offer", to("user:binh"))
	tb.refused("wrong_target", an, "delegation.offer", to("user:guest"))
	tb.refused("bad_value", an, "delegation.offer", to("point:room"))
	tb.refused("not_entitled", guest, "delegation.offer", to("user:extra"))
	tb.ok(an, "delegation.offer", to("user:extra"))
	require.Nil(t, tb.views["user:binh"].People["user:an"].Invitation.Delegate, "an offer is theirs alone")
	tb.refused("forbidden", binh, "delegation.answer", m{"from": "user:an", "accept": true})
	tb.ok(binh, "delegation.offer", to("user:extra"))
	tb.ok(extra, "delegation.answer", m{"from": "user:an", "accept": true})
	require.Equal(t, "user:an", tb.s.People["user:extra"].For)
	tb.refused("delegation_taken", extra, "delegation.answer", m{"from": "user:binh", "accept": true})
	tb.refused("delegation_chain", extra, "delegation.offer", to("user:y"))
	tb.refused("delegation_chain", cuong, "delegation.offer", to("user:an"))
	tb.refused("wrong_state", an, "delegation.offer", to("user:y"))
	tb.refused("wrong_state", an, "attendance.checkin", m{"mode": "online"})
	tb.refused("delegation_taken", office, "person.remove", m{"person": "user:extra"})
	tb.refused("delegation_taken", office, "person.remove", m{"person": "user:an"})
	tb.refused("delegation_taken", office, "person.change", m{"person": person("user:extra", "X", RoleDelegate, true)})
	tb.ok(sec, "attendance.confirm", m{"people": []string{"user:extra", "user:chair", "user:cuong"}})
	require.Equal(t, Quorum{Rule: MoreThanHalf, Members: 5, Base: 5, Present: 3, Needed: 3, Reached: true}, CountQuorum(tb.s))
	tb.ok(chair, "meeting.start", m{})
	v := lastID(tb.ok(sec, "vote.draft", m{"title": "Nghị quyết"}))
	tb.ok(chair, "vote.open", m{"vote": v})
	require.Equal(t, map[string]string{"user:chair": "user:chair", "user:cuong": "user:cuong", "user:extra": "user:an"}, tb.s.Votes[v].Voters)
	tb.refused("not_entitled", an, "ballot.give", m{"vote": v, "choices": []string{"yes"}})
	tb.ok(extra, "ballot.give", m{"vote": v, "choices": []string{"yes"}})
	// Taken back while the vote is open: who was entitled on opening stays so.
	tb.refused("locked", an, "delegation.end", m{})
	tb.ok(sec, "delegation.end", m{"from": "user:an", "note": "đại biểu đã đến"})
	tb.refused("not_entitled", an, "ballot.give", m{"vote": v, "choices": []string{"no"}})
	tb.ok(chair, "vote.close", m{"vote": v})
	require.Equal(t, 1, tb.s.Votes[v].Result.Counts[0].Total)
	tb.check()
}
