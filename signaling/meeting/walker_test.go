package meeting

import (
	"fmt"
)

// body makes a body that is often right.
func (w *walker) body(typ string) m {
	s := w.tb.s
	note := ""
	if w.yes("note") {
		note = "có lý do"
	}
	list := w.pick("list", "speak", "question")
	switch typ {
	case "meeting.create", "meeting.edit":
		return m{"title": w.pick("title", "A", "B"), "unit": "u1", "rules": m{"selfCheckIn": w.yes("self"), "quorumBase": w.pick("base", "members", "attending")}}
	case "meeting.return":
		return m{"note": "thiếu tài liệu"}
	case "meeting.cancel", "meeting.pause":
		return m{"note": note}
	case "chair.handover":
		return m{"to": w.pick("to", everyone...), "note": note}
	case "agenda.add":
		return m{"title": "Nội dung", "parent": w.pick("parent", append(w.items(), "", "")...), "hidden": w.yes("hidden"), "note": note, "documents": []string{"d1"}}
	case "agenda.edit":
		return m{"item": w.pick("item", w.items()...), "title": w.pick("title", "C", "D"), "note": note}
	case "agenda.move":
		return m{"item": w.pick("item", w.items()...), "parent": w.pick("parent", append(w.items(), "", "")...),
			"before": w.pick("before", append(w.items(), "", "", "")...), "note": note}
	case "agenda.remove", "agenda.hide", "agenda.show", "agenda.start", "agenda.finish":
		return m{"item": w.pick("item", w.items()...), "note": note}
	case "person.invite":
		return m{"people": []m{w.person()}, "note": note}
	case "person.change":
		return m{"person": w.person(), "note": note}
	case "person.remove":
		return m{"person": w.pick("person", everyone...), "note": note}
	case "unit.invite":
		return m{"unit": "u1", "name": "Đơn vị", "seats": 1 + w.draw("seats", 9), "voting": true, "note": note}
	case "unit.assign":
		return m{"unit": "u1", "people": []m{{"id": w.pick("person", everyone...), "name": "Mới", "role": "delegate", "voting": w.yes("voting")}}}
	case "invitation.answer":
		b := m{"answer": w.pick("answer", "attending", "absent"), "reason": "bận", "note": note, "person": w.pick("for", append(everyone, "", "", "", "")...)}
		if w.yes("substitute") {
			b["substitute"] = m{"id": "user:extra", "name": "Thay", "role": "delegate"}
		}
		return b
	case "invitation.settle":
		absent := w.where(func(p *Person) bool { return p.Invitation.Answer == "absent" })
		return m{"person": w.pick("person", append(everyone, absent...)...), "accept": w.yes("accept"), "note": note}
	case "delegation.offer":
		to := append([]string{"user:extra", "user:extra", "user:extra", "user:extra", "user:new", "user:new"}, everyone...)
		return m{"to": m{"id": w.pick("to", to...), "name": "Người Nhận"}, "note": note, "from": w.pick("from", append([]string{"", "", "", "", "", ""}, everyone...)...)}
	case "delegation.answer":
		offers := w.where(func(p *Person) bool { return p.Invitation.Delegate != nil })
		offers = append(offers, append(offers, offers...)...)
		return m{"from": w.pick("from", append(everyone, offers...)...), "accept": w.yes("accept"), "note": note}
	case "delegation.end":
		offers := w.where(func(p *Person) bool { return p.Invitation.Delegate != nil })
		return m{"from": w.pick("from", append(offers, append(everyone, "", "", "", "")...)...), "note": note}
	case "attendance.checkin":
		return m{"mode": "online", "point": w.pick("point", "", "point:room")}
	case "attendance.confirm":
		people := w.some("people")
		if w.draw("right people", 4) > 0 {
			people = w.where(func(p *Person) bool { return p.attends() && p.Invitation.Answer != "delegated" })
		}
		return m{"people": people, "mode": w.pick("mode", "", "online")}
	case "attendance.absent":
		return m{"people": w.some("people"), "reason": "ốm"}
	case "attendance.leave", "attendance.return":
		gone := w.where(func(p *Person) bool { return !p.Attendance.LeftAt.IsZero() })
		return m{"person": w.pick("person", append(append(gone, gone...), append(everyone, "", "", "")...)...)}
	case "roster.count":
		return m{"point": w.pick("point", "point:room", "point:laptop"), "count": w.draw("heads", 100)}
	case "presence.set":
		return m{"person": w.pick("person", everyone...), "here": w.yes("here")}
	case "speak.open":
		b := m{"list": list, "limit": w.draw("limit", 6), "unitLimit": w.draw("unitLimit", 10)}
		if list == "question" {
			b["questioned"] = w.pick("questioned", everyone...)
		}
		return b
	case "speak.close", "speak.request":
		return m{"list": list}
	case "speak.add":
		return m{"list": list, "person": w.pick("person", everyone...)}
	case "speak.give":
		return m{"list": list, "person": w.pick("person", everyone...), "kind": w.pick("kind", "speech", "order", "answer"), "limit": 3}
	case "speak.withdraw", "speak.call":
		return m{"request": w.pick("request", w.requests("waiting", "called")...)}
	case "speak.refuse":
		return m{"request": w.pick("request", w.requests("waiting", "called")...), "reason": note}
	case "speak.start":
		return m{"request": w.pick("request", w.requests("waiting", "called")...), "extra": w.yes("extra")}
	case "speak.pause", "speak.resume", "speak.finish":
		return m{"request": w.pick("request", w.requests("speaking", "paused")...)}
	case "speak.move":
		return m{"request": w.pick("request", w.requests("waiting")...), "before": w.pick("before", append(w.requests("waiting"), "")...)}
	case "point.call":
		return m{"point": w.pick("point", everyone...), "seconds": w.draw("seconds", 5)}
	case "point.answer":
		return m{"accept": w.yes("accept")}
	case "point.queue":
		return m{"points": w.some("points")}
	case "layout.set":
		return m{"name": w.pick("name", "grid", "document", "spotlight"), "spotlight": w.some("spotlight")}
	case "chat.set":
		return m{"mode": w.pick("mode", "all", "staff", "off")}
	case "chat.send":
		return m{"text": "xin chào"}
	case "chat.delete":
		id := "m0"
		if n := len(s.Chat); n > 0 {
			id = s.Chat[w.draw("message", n)].ID
		}
		return m{"message": id}
	case "conclusion.write":
		return m{"conclusion": w.pick("conclusion", append(byAge(s.Conclusions), "")...), "text": w.pick("text", "Một", "Hai")}
	case "conclusion.issue":
		return m{"conclusion": w.pick("conclusion", byAge(s.Conclusions)...)}
	case "device.command":
		return m{"point": w.pick("point", "point:room", "point:laptop"), "action": "mute"}
	case "ready.report":
		return m{"point": w.pick("point", "", "point:room", "point:laptop"), "camera": "ok", "note": note}
	case "help.ask":
		return m{"text": w.pick("help", "mất tiếng", "mất hình")}
	case "help.close":
		return m{"point": w.pick("point", "", "point:room")}
	case "lobby.enter":
		return m{"name": "Khách"}
	case "lobby.settle":
		return m{"guest": "guest:g1", "admit": w.yes("admit")}
	case "lobby.leave":
		return m{}
	}
	return w.voteBody(typ, note)
}

func (w *walker) voteBody(typ, note string) m {
	all := byAge(w.tb.s.Votes)
	var opened []string
	for _, id := range openVotes(w.tb.s) {
		if w.tb.s.Votes[id].Secret == (typ != "ballot.give") {
			opened = append(opened, id)
		}
	}
	id := w.pick("vote", append(opened, all...)...)
	if len(opened) > 0 && w.draw("right vote", 6) > 0 {
		id = w.pick("open vote", opened...)
	}
	choice := []string{w.pick("choice", "yes", "no", "other")}
	token := fmt.Sprintf("%064x", 1+w.draw("token", 12))
	switch typ {
	case "vote.draft":
		return m{"title": "Nghị quyết", "secret": w.yes("secret"), "base": w.pick("base", "members", "present", "entitled")}
	case "vote.edit":
		return m{"vote": id, "title": "Nghị quyết sửa", "names": w.yes("names")}
	case "vote.open":
		body := m{"vote": id, "seconds": 10 * w.draw("seconds", 6), "override": note}
		if v := w.tb.s.Votes[id]; v != nil && v.Secret {
			body["ballotKey"] = ballotKey
		}
		return body
	case "vote.extend":
		return m{"vote": id, "seconds": 5}
	case "vote.paper":
		n := w.draw("paper", 4)
		return m{"vote": id, "ballots": n, "counts": m{"yes": n}}
	case "vote.cancel":
		return m{"vote": id, "reason": "nhầm"}
	case "vote.close", "vote.publish":
		return m{"vote": id}
	case "ballot.give":
		return m{"vote": id, "choices": choice}
	case "ballot.issue":
		return m{"vote": id, "request": token}
	case "ballot.cast":
		return secretBallot(id, token, 1+w.draw("revision", 4), choice...)
	}
	return m{}
}
