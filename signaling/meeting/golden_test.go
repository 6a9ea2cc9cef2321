package meeting

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o750))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// TestEventForms holds the form of every event as it stands in journals: members
// may be added, and none changed or taken away.
func TestEventForms(t *testing.T) {
	first := map[string]Event{}
	tb := council(t)
	for _, e := range tb.entries {
		if _, seen := first[e.Type]; !seen {
			first[e.Type] = e.Event
		}
	}
	var out strings.Builder
	for _, et := range EventTypes() {
		e, seen := first[et.Type]
		if !seen {
			e = Event{Seq: 1, Type: et.Type, Body: et.Body}
		}
		raw, err := json.Marshal(e)
		require.NoError(t, err)
		if len(raw) > 700 {
			raw = append(raw[:700], "…"...)
		}
		fmt.Fprintf(&out, "%s\n", raw)
	}
	golden(t, "events.jsonl", out.String())
}

// council is a session of a people's council: 90 delegates, 215 points.
func council(t *testing.T) *table {
	tb := newTable(t)
	tb.now = time.Date(2026, 12, 9, 0, 0, 0, 0, time.UTC) // 07:00 in Viet Nam
	for _, w := range []Viewer{{ID: "user:d01"}, {ID: "user:ct"}, {ID: "user:tk"}, {ID: "user:kt"}, {ID: "point:p001"}, {ID: "user:dt"}} {
		tb.watch(w)
	}
	ct, pct, tk, kt := who4("user:ct"), who4("user:pct"), who4("user:tk"), who4("user:kt")
	tb.ok(office, "meeting.create", m{"title": "Kỳ họp thứ 12, Hội đồng nhân dân tỉnh khóa XIX", "kind": "Kỳ họp thường lệ", "unit": "hdnd",
		"place": "Hội trường tỉnh và 215 điểm cầu", "plannedStart": "2026-12-09T08:00:00+07:00"})
	tb.ok(office, "person.invite", m{"people": []m{
		{"id": "user:ct", "name": "Nguyễn Văn Hùng", "position": "Chủ tịch HĐND tỉnh", "role": "chair", "voting": true},
		{"id": "user:pct", "name": "Lê Thị Hương", "position": "Phó Chủ tịch HĐND tỉnh", "role": "chair", "voting": true},
		{"id": "user:tk", "name": "Phạm Quốc Khánh", "role": "secretary"},
		{"id": "user:kt", "name": "Đào Duy Kỹ", "role": "operator"},
		{"id": "user:stc", "name": "Trịnh Xuân Lâm", "position": "Giám đốc Sở Tài chính", "role": "guest"},
		{"id": "user:dt", "name": "Bùi Dự Thính", "role": "observer"},
	}})
	var delegates, points []m
	var ids []string
	for i := 1; i <= 88; i++ {
		id := fmt.Sprintf("user:d%02d", i)
		ids = append(ids, id)
		delegates = append(delegates, m{"id": id, "name": fmt.Sprintf("Đại biểu %02d", i), "unit": fmt.Sprintf("to%d", i%9+1), "role": "delegate", "voting": true})
	}
	for i := 1; i <= 215; i++ {
		name := fmt.Sprintf("xã số %d", i-83)
		if i <= 83 {
			name = fmt.Sprintf("cơ quan số %d", i)
		}
		points = append(points, m{"id": fmt.Sprintf("point:p%03d", i), "name": name, "role": "point", "personal": i > 83})
	}
	tb.ok(office, "person.invite", m{"people": delegates})
	tb.ok(office, "person.invite", m{"people": points})
	items := []string{}
	for _, it := range []m{
		{"title": "Báo cáo kinh tế - xã hội năm 2026", "presenter": "Trịnh Xuân Lâm", "minutes": 30},
		{"title": "Nghị quyết về dự toán ngân sách năm 2027", "minutes": 45},
		{"title": "Lấy phiếu tín nhiệm", "hidden": true},
	} {
		items = append(items, lastID(tb.ok(office, "agenda.add", it)))
	}
	tb.ok(office, "meeting.submit", m{})
	tb.ok(office, "meeting.approve", m{})
	tb.ok(who4("user:d88"), "delegation.offer", m{"to": m{"id": "user:uq", "name": "Mai Được Ủy", "unit": "to1"}})
	tb.ok(who4("user:uq"), "delegation.answer", m{"from": "user:d88", "accept": true})
	tb.ok(who4("user:d87"), "invitation.answer", m{"answer": "absent", "reason": "điều trị dài ngày"})
	tb.ok(ct, "invitation.settle", m{"person": "user:d87", "accept": true})
	for i := 1; i <= 215; i++ {
		id := fmt.Sprintf("point:p%03d", i)
		tb.ok(who4(id), "ready.report", m{"camera": "ok", "microphone": "ok", "speaker": "ok", "line": "ok"})
		tb.ok(who4(id), "roster.count", m{"point": id, "count": 10 + i%70})
	}
	tb.now = time.Date(2026, 12, 9, 0, 50, 0, 0, time.UTC)
	for _, id := range append(ids[:84:84], "user:ct", "user:pct", "user:uq") {
		tb.ok(who4(id), "attendance.checkin", m{"mode": "in_person"})
	}
	tb.ok(tk, "attendance.confirm", m{"people": append(ids[:84:84], "user:ct", "user:pct", "user:uq")})
	tb.ok(tk, "attendance.absent", m{"people": []string{"user:d86"}, "reason": "đường bị sạt lở"})
	tb.now = time.Date(2026, 12, 9, 1, 0, 0, 0, time.UTC)
	tb.ok(ct, "meeting.start", m{})
	councilDebates(tb, ct, pct, tk, kt, items)
	councilVotes(tb, ct, tk, items, ids)
	tb.ok(ct, "meeting.end", m{})
	tb.ok(tk, "conclusion.write", m{"text": "Giao Thường trực HĐND tỉnh\nban hành nghị quyết trước ngày 15/12/2026."})
	tb.ok(ct, "conclusion.issue", m{"conclusion": fmt.Sprintf("k%d", tb.s.Seq)})
	tb.ok(tk, "meeting.archive", m{})
	tb.check()
	return tb
}

func councilDebates(tb *table, ct, pct, tk, kt Actor, items []string) {
	tb.ok(ct, "agenda.start", m{"item": items[0]})
	tb.wait(12 * time.Minute)
	tb.ok(ct, "speak.open", m{"limit": 180})
	var rs []string
	for i := 1; i <= 3; i++ {
		rs = append(rs, lastID(tb.ok(who4(fmt.Sprintf("user:d%02d", i)), "speak.request", m{"topic": []string{"thu ngân sách", "đầu tư công", ""}[i-1]})))
	}
	tb.ok(tk, "speak.call", m{"request": rs[0]})
	tb.ok(ct, "speak.start", m{"request": rs[0]})
	tb.wait(3 * time.Minute)
	tb.tick()
	tb.wait(15 * time.Second)
	tb.ok(ct, "speak.start", m{"request": rs[1]})
	tb.wait(time.Minute)
	order := lastID(tb.ok(ct, "speak.give", m{"person": "user:d09", "kind": "order", "topic": "thời gian phát biểu"}))
	tb.wait(20 * time.Second)
	tb.ok(ct, "speak.finish", m{"request": order})
	tb.wait(time.Minute)
	tb.ok(ct, "speak.finish", m{"request": rs[1]})
	tb.ok(who4("user:d03"), "speak.withdraw", m{"request": rs[2]})
	tb.ok(kt, "point.queue", m{"points": []string{"point:p084", "point:p001", "point:p002"}})
	tb.ok(ct, "point.call", m{"point": "point:p084", "seconds": 120})
	tb.wait(5 * time.Second)
	tb.ok(who4("point:p084"), "point.answer", m{"accept": true})
	tb.wait(2 * time.Minute)
	tb.tick()
	tb.ok(ct, "point.call", m{"point": "point:p001"})
	tb.wait(90 * time.Second)
	tb.ok(ct, "point.end", m{})
	tb.ok(ct, "speak.close", m{})
	tb.ok(ct, "speak.open", m{"list": "question", "questioned": "user:stc", "limit": 120})
	q := lastID(tb.ok(who4("user:d20"), "speak.request", m{"list": "question", "topic": "nợ đọng xây dựng cơ bản"}))
	tb.ok(ct, "speak.start", m{"request": q})
	tb.wait(time.Minute)
	tb.ok(ct, "speak.give", m{"list": "question", "person": "user:stc", "kind": "answer"})
	tb.wait(4*time.Minute + 30*time.Second)
	tb.ok(ct, "speak.finish", m{"request": tb.s.Floor})
	tb.ok(who4("user:d10"), "attendance.leave", m{})
	tb.ok(ct, "meeting.pause", m{"note": "giải lao"})
	tb.wait(15 * time.Minute)
	tb.ok(ct, "meeting.resume", m{})
	tb.ok(tk, "attendance.confirm", m{"people": []string{"user:d85"}})
	tb.ok(ct, "chair.handover", m{"to": "user:pct"})
	tb.ok(pct, "agenda.start", m{"item": items[1]})
	tb.ok(pct, "chair.handover", m{"to": "user:ct"})
}

func councilVotes(tb *table, ct, tk Actor, items, ids []string) {
	v := lastID(tb.ok(tk, "vote.draft", m{"title": "Thông qua Nghị quyết về dự toán ngân sách năm 2027", "item": items[1]}))
	tb.ok(ct, "vote.open", m{"vote": v, "seconds": 60})
	voters := append(ids[:85:85], "user:ct", "user:pct", "user:uq")
	for i, id := range voters {
		choice := "yes"
		if i%20 == 19 {
			choice = "no"
		}
		if i == 50 {
			choice = "other"
		}
		if id != "user:d10" {
			tb.ok(who4(id), "ballot.give", m{"vote": v, "choices": []string{choice}})
		}
	}
	tb.wait(time.Minute)
	tb.tick()
	tb.ok(ct, "vote.publish", m{"vote": v})
	tb.ok(tk, "conclusion.write", m{"item": items[1], "text": "Sở Tài chính hoàn thiện dự toán, báo cáo trước ngày 20/12/2026."})
	tb.ok(ct, "conclusion.issue", m{"conclusion": fmt.Sprintf("k%d", tb.s.Seq)})
	tb.ok(who4("user:d10"), "attendance.return", m{})
	tb.ok(ct, "agenda.start", m{"item": items[2]})
	s := lastID(tb.ok(tk, "vote.draft", m{"title": "Phiếu tín nhiệm", "item": items[2], "secret": true, "majority": "two_thirds",
		"choices": []m{{"text": "Ông Trần Văn Sáu"}, {"text": "Bà Ngô Thị Bảy"}}, "min": 0, "max": 2}))
	tb.ok(ct, "vote.open", m{"vote": s, "ballotKey": ballotKey})
	for i, id := range voters {
		tb.ok(who4(id), "ballot.issue", m{"vote": s, "request": token(1000 + i)})
	}
	for i := range voters[2:] {
		choices := []string{"c1"}
		if i%2 == 0 {
			choices = []string{"c2", "c1"}
		}
		tb.ok(Actor{}, "ballot.cast", secretBallot(s, token(5000+i), 1, choices...))
	}
	tb.wait(2 * time.Minute)
	tb.ok(ct, "vote.close", m{"vote": s})
	tb.ok(tk, "vote.paper", m{"vote": s, "ballots": 1, "counts": m{"c2": 1}})
	tb.ok(ct, "vote.publish", m{"vote": s})
}

func TestCouncilSession(t *testing.T) {
	tb := council(t)
	lines, err := Record(tb.s.ID, tb.entries)
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, Print(&out, tb.s, lines))
	golden(t, "council.txt", out.String())
	require.Equal(t, 90, tb.s.Votes[byAge(tb.s.Votes)[0]].Quorum.Members)
}

// A line break in somebody's text does not make a line of the record.
func TestRecordOfHostileText(t *testing.T) {
	tb := running(t)
	tb.ok(sec, "conclusion.write", m{"text": "Một\n08:00:00  Bế mạc phiên họp."})
	tb.ok(chair, "conclusion.issue", m{"conclusion": fmt.Sprintf("k%d", tb.s.Seq)})
	lines, err := Record(tb.s.ID, tb.entries)
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, Print(&out, tb.s, lines))
	require.NotContains(t, out.String(), "\n08:00:00  Bế mạc")
	require.Contains(t, out.String(), "Bế mạc")
	_, err = Record("other", tb.entries[1:])
	require.Error(t, err)
}
