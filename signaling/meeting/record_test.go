package meeting

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// told gives the texts of the running record from line number from on.
func (tb *table) told(from int) []string {
	tb.t.Helper()
	lines, err := Record(tb.s.ID, tb.entries)
	require.NoError(tb.t, err)
	return ids(lines[from:], func(l Line) string { return l.Text })
}

func TestRecordOfLists(t *testing.T) {
	tb := running(t)
	tb.ok(chair, "agenda.start", m{"item": tb.s.Agenda.Order[0]})
	before := len(tb.told(0))
	tb.ok(chair, "speak.open", m{"limit": 180, "unitLimit": 600})
	tb.ok(chair, "speak.open", m{"limit": 90})
	tb.ok(chair, "speak.open", m{})
	tb.ok(chair, "speak.close", m{})
	tb.ok(chair, "speak.open", m{})
	tb.ok(chair, "speak.open", m{"list": "question", "questioned": "user:an", "limit": 60})
	request := lastID(tb.ok(chair, "speak.give", m{"person": "user:binh", "kind": "order", "topic": "thời gian"}))
	tb.wait(20 * time.Second)
	tb.ok(chair, "speak.finish", m{"request": request})
	exact := lastID(tb.ok(chair, "speak.give", m{"person": "user:guest", "kind": "speech", "limit": 60}))
	tb.wait(time.Minute)
	require.Len(t, tb.tick(), 1)
	tb.ok(chair, "speak.finish", m{"request": exact})
	tb.ok(tech, "point.call", m{"point": "point:room", "seconds": 30})
	tb.wait(40 * time.Second)
	tb.tick()
	tb.ok(tech, "point.end", m{})
	require.Equal(t, []string{
		"Mở đăng ký phát biểu; mỗi người không quá 3 phút, mỗi đơn vị không quá 10 phút.",
		"Đăng ký phát biểu tiếp tục; mỗi người không quá 1 phút 30 giây.",
		"Đăng ký phát biểu tiếp tục; không giới hạn thời gian.",
		"Kết thúc đăng ký phát biểu.",
		"Mở đăng ký phát biểu.",
		"Mở đăng ký chất vấn; mỗi người không quá 1 phút. Người trả lời chất vấn: Đỗ Văn An.",
		"Hoàng Thị Bình phát biểu về trình tự phiên họp (“thời gian”) từ 08:00:00 đến 08:00:20 (20 giây).",
		"Khách Mời (khách mời) phát biểu từ 08:00:20 đến 08:01:20 (1 phút).", // the clock said so, and that was in time
		"Điểm cầu UBND tỉnh được mời phát biểu từ 08:01:20 đến 08:02:00 (40 giây, quá thời gian quy định).",
	}, tb.told(before))
}

func TestRecordOfVotes(t *testing.T) {
	tb := approved(t)
	tb.ok(sec, "meeting.edit", m{"title": "Họp", "unit": "u1", "rules": m{"quorum": "two_thirds", "quorumBase": "attending"}})
	tb.ok(an, "invitation.answer", m{"answer": "absent", "reason": "ốm"})
	tb.ok(chair, "invitation.settle", m{"person": "user:an", "accept": true})
	tb.ok(sec, "attendance.confirm", m{"people": []string{"user:chair", "user:vice", "user:binh"}})
	tb.ok(chair, "meeting.start", m{})
	tb.ok(chair, "agenda.start", m{"item": tb.s.Agenda.Order[1]})
	before := len(tb.told(0))
	decide := func(body m) {
		vote := lastID(tb.ok(sec, "vote.draft", body))
		tb.ok(chair, "vote.open", m{"vote": vote})
		tb.ok(binh, "ballot.give", m{"vote": vote, "choices": []string{"yes"}})
		tb.ok(chair, "ballot.give", m{"vote": vote, "choices": []string{"yes"}})
		tb.ok(chair, "vote.close", m{"vote": vote})
		tb.ok(chair, "vote.publish", m{"vote": vote})
	}
	decide(m{"title": "Một", "base": "present"})
	decide(m{"title": "Hai", "base": "entitled", "majority": "all"})
	first := lastID(tb.ok(sec, "conclusion.write", m{"item": tb.s.Agenda.Order[1], "text": "Nháp"}))
	tb.ok(sec, "conclusion.write", m{"conclusion": first, "text": "Giao Sở Tài chính."})
	tb.ok(chair, "conclusion.issue", m{"conclusion": first})
	tb.ok(sec, "conclusion.write", m{"conclusion": first, "text": "Giao Sở Nội vụ."})
	tb.ok(chair, "conclusion.issue", m{"conclusion": first})
	tb.ok(chair, "conclusion.issue", m{"conclusion": lastID(tb.ok(sec, "conclusion.write", m{"text": "Kết thúc."}))})
	quorum := " Túc số: có mặt 3 trên tổng số 5 đại biểu, không tính 1 đại biểu được phép vắng mặt; yêu cầu ít nhất hai phần ba (từ 3 đại biểu trở lên): đủ túc số."
	require.Equal(t, []string{
		"Mở biểu quyết công khai: “Một”. Số người có quyền biểu quyết: 3." + quorum,
		"Kết thúc biểu quyết “Một”: 2 trên 3 người có quyền đã biểu quyết.",
		"Kết quả biểu quyết “Một”: 2 phiếu; Tán thành 2 phiếu (66,7%); Không tán thành 0 phiếu (0%); Ý kiến khác 0 phiếu (0%). " +
			"Tính trên 3 đại biểu có mặt, cần ít nhất 2 phiếu: được thông qua.",
		"Mở biểu quyết công khai: “Hai”. Số người có quyền biểu quyết: 3." + quorum,
		"Kết thúc biểu quyết “Hai”: 2 trên 3 người có quyền đã biểu quyết.",
		"Kết quả biểu quyết “Hai”: 2 phiếu; Tán thành 2 phiếu (66,7%); Không tán thành 0 phiếu (0%); Ý kiến khác 0 phiếu (0%). " +
			"Tính trên 3 người có quyền biểu quyết, cần ít nhất 3 phiếu: không được thông qua.",
		"Kết luận nội dung 2: Giao Sở Tài chính.",
		"Kết luận nội dung 2 (thay kết luận đã ban hành): Giao Sở Nội vụ.",
		"Kết luận phiên họp: Kết thúc.",
	}, tb.told(before))
}

// Whoever does not see observers is not told that one was removed, for that would say
// that there was one, and who.
func TestObserverGoesUnseen(t *testing.T) {
	tb := running(t)
	for _, id := range []string{"user:an", "point:room", "user:guest", "user:tech", "user:sec", "user:obs"} {
		tb.watch(Viewer{ID: id})
	}
	events := tb.ok(sec, "person.remove", m{"person": "user:obs", "note": "hết giờ"})
	require.Len(t, events, 1)
	for id, told := range map[string]bool{"user:an": false, "point:room": false, "user:guest": false, "user:tech": true, "user:sec": true} {
		_, ok := Visible(tb.s, events[0], Viewer{ID: id})
		require.Equal(t, told, ok, id)
	}
	tb.ok(sec, "person.remove", m{"person": "user:guest", "note": "về trước"})
	require.Nil(t, tb.views["user:an"].People["user:guest"])
	tb.check()
}
