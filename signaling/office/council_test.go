package office

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"diemcau/signaling/store/storetest"
)

// council is a session of a People's Council, from the administrator's first
// spreadsheet to the journal that is verified afterwards. Everybody in it uses the
// HTTP and WebSocket API of the whole server and nothing else.
type council struct {
	*whole
	id       string // of the meeting
	secrets  *secrets
	commands atomic.Int64

	admin, chair, secretary, operator, observer, guest, holder *member

	units     map[string]string  // ids by code
	users     map[string]*member // by login
	points    []*member
	delegates []*member         // who have a socket, chair not among them
	present   []*member         // of those, who came in time and hold a vote of their own
	items     []string          // of the agenda
	votes     map[string]string // ids: open, secret
}

func TestCouncilSession(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		t.Parallel() // one waits for its disk while the other computes
		c := &council{whole: newWhole(t, url), secrets: &secrets{}, units: map[string]string{}, users: map[string]*member{},
			votes: map[string]string{}}
		for _, part := range []struct {
			name string
			play func()
		}{
			{"spreadsheets", c.fill}, {"devices", c.enrol}, {"preparation", c.prepare}, {"answers", c.answers},
			{"arrival", c.arrive}, {"guests", c.receive}, {"attendance", c.attend}, {"speeches", c.debate}, {"calls", c.calls},
			{"tickets", c.tickets}, {"open vote", c.decide}, {"break", c.pause}, {"secret vote", c.elect}, {"end", c.conclude},
			{"journal", c.verify},
		} {
			begun := time.Now()
			part.play()
			t.Logf("%-14s%v", part.name, time.Since(begun).Round(time.Millisecond))
		}
	})
}

// prepare is the secretary's work before the session, and the chair's approval.
func (c *council) prepare() {
	t := c.t
	c.chair, c.secretary = c.arrives(chairLogin, inner), c.arrives("thuky", inner)
	c.observer = c.users["duthinh"]
	c.secrets.keep(c.observer.identity, desk, c.observer.identity)
	details := fields{"id": "ky-hop-12", "title": "Kỳ họp thứ 12, Hội đồng nhân dân tỉnh khóa XIX", "kind": "Kỳ họp thường lệ",
		"unit": c.units["HDND"], "place": "Hội trường Hội đồng nhân dân tỉnh và 215 điểm cầu",
		"plannedStart": "2026-12-09T08:00:00+07:00", "plannedEnd": "2026-12-09T11:30:00+07:00"}
	c.chair.expect(http.StatusForbidden, "forbidden", "POST", "/meetings", details)
	c.id = c.secretary.expect(http.StatusCreated, "", "POST", "/meetings", details).text(t, "meeting")
	c.connect(c.secretary)
	c.secretary.socket.snapshot()
	people := []fields{{"id": c.chair.identity, "role": "chair", "voting": true}, {"id": c.secretary.identity, "role": "secretary"},
		{"id": c.operator.identity, "role": "operator"}, {"id": c.observer.identity, "role": "observer"}}
	for i := range 89 {
		// Whatever names a client writes are not taken.
		people = append(people, fields{"id": c.users[fmt.Sprintf("daibieu%02d", i+1)].identity, "role": "delegate", "voting": true, "name": "Tên giả"})
	}
	c.give(c.secretary, "person.invite", fields{"people": people})
	people = nil
	for _, p := range c.points {
		people = append(people, fields{"id": p.identity, "role": "point", "personal": p.personal})
	}
	c.give(c.secretary, "person.invite", fields{"people": people})
	for _, it := range []fields{
		{"title": "Báo cáo tình hình kinh tế - xã hội năm 2026, nhiệm vụ năm 2027", "presenter": "Lãnh đạo Ủy ban nhân dân tỉnh", "minutes": 45},
		{"title": "Nghị quyết về dự toán ngân sách địa phương năm 2027", "presenter": "Lãnh đạo Sở Tài chính", "minutes": 45},
		{"title": "Bầu bổ sung Ủy viên Ủy ban nhân dân tỉnh nhiệm kỳ 2026 - 2031", "minutes": 30},
	} {
		c.items = append(c.items, c.made(c.secretary, "agenda.add", it, "item", "id"))
	}
	c.votes["open"] = c.made(c.secretary, "vote.draft", fields{"item": c.items[1],
		"title": "Thông qua Nghị quyết về dự toán ngân sách địa phương năm 2027"}, "vote")
	c.votes["secret"] = c.made(c.secretary, "vote.draft", fields{"item": c.items[2], "title": "Bầu ông Trần Văn Sáu làm Ủy viên Ủy ban nhân dân tỉnh",
		"secret": true, "majority": "two_thirds", "choices": []fields{{"id": "yes", "text": "Đồng ý"}, {"id": "no", "text": "Không đồng ý"}}}, "vote")
	c.made(c.secretary, "vote.draft", fields{"title": c.secrets.keep("Biểu quyết thử", inner)}, "vote")
	c.give(c.secretary, "meeting.submit", fields{"note": "kính trình"})
	c.mayNot(c.secretary, http.StatusForbidden, "forbidden", "meeting.approve", fields{})
	c.give(c.chair, "meeting.approve", fields{})
}

// answers are those to the invitation: one gives the vote to somebody else, one is
// excused.
func (c *council) answers() {
	t := c.t
	c.clock.at(t, "2026-12-07 15:00")
	giver, excused := c.arrives(delegateLogin, ordinary), c.arrives(excusedLogin, ordinary)
	c.holder = c.arrives(holderLogin, ordinary)
	offer := fields{"to": fields{"id": c.holder.identity, "name": "Tên giả"},
		"note": c.secrets.keep("bận tiếp đoàn công tác", inner, giver.identity, c.holder.identity)}
	c.holder.expect(http.StatusNotFound, "", "GET", c.path(""), nil)
	c.give(giver, "delegation.offer", offer)
	c.mayNot(excused, http.StatusForbidden, "forbidden", "delegation.answer", fields{"from": giver.identity, "accept": true})
	c.give(c.holder, "delegation.answer", fields{"from": giver.identity, "accept": true})
	c.mayNot(giver, http.StatusConflict, "wrong_state", "delegation.offer", offer)
	c.mayNot(c.holder, http.StatusConflict, "delegation_chain", "delegation.offer", fields{"to": fields{"id": excused.identity}})
	c.give(excused, "invitation.answer", fields{"answer": "absent", "reason": c.secrets.keep("đi chữa bệnh dài ngày", inner, excused.identity)})
	c.give(c.chair, "invitation.settle", fields{"person": excused.identity, "accept": true})
}

// arrive has everybody sign in on the morning of the session, and their clients follow
// the meeting.
func (c *council) arrive() {
	t := c.t
	c.clock.at(t, "2026-12-09 06:30")
	for login, m := range map[string]*member{chairLogin: c.chair, "thuky": c.secretary, "kythuat": c.operator, holderLogin: c.holder} {
		m.expect(http.StatusUnauthorized, "not_signed_in", "GET", "/me", nil)
		m.signIn(login, goodPass)
	}
	c.arrives("duthinh", ordinary)
	for i := range 85 {
		c.present = append(c.present, c.arrives(fmt.Sprintf("daibieu%02d", i+1), ordinary))
	}
	c.delegates = append(slices.Clone(c.present), c.arrives(lateLogin, ordinary), c.holder)
	c.secretary.socket.conn.Close()
	c.secretary.socket.until(t, "is disconnected", func() bool { return c.secretary.socket.ended != nil })
	for _, m := range slices.Concat(c.desk(), c.delegates, c.points) {
		require.Equal(t, m.identity, strings.Split(m.expect(http.StatusOK, "", "GET", "/me", nil).text(t, "identity"), "#")[0])
		c.connect(m)
	}
	for _, m := range c.everybody() {
		m.socket.snapshot()
	}
	require.Len(t, c.everybody(), 4+87+215)
}

// receive lets somebody in who came by a link, and sends somebody else away.
func (c *council) receive() {
	t := c.t
	link := fields{"meeting": c.id, "label": "Đại biểu Quốc hội", "maxUses": 2, "expires": c.clock.now().Add(6 * time.Hour)}
	c.present[0].expect(http.StatusForbidden, "forbidden", "POST", "/guest-links", link)
	token := c.secretary.expect(http.StatusCreated, "", "POST", "/guest-links", link).text(t, "token")
	come := func(name string) (*member, string) {
		m := &member{browser: c.browser(), name: name}
		r := m.expect(http.StatusCreated, "", "POST", "/guest-links/redeem", fields{"token": token, "name": name})
		m.identity, m.csrf = r.text(t, "identity"), r.text(t, "csrfToken")
		after := uint64(0)
		for guest := ""; guest != m.identity; {
			e := c.secretary.socket.first("lobby.entered", after)
			guest, after = c.idIn(e, "guest"), e.Seq
		}
		return m, r.text(t, "id")
	}
	var id string
	c.guest, id = come("Đỗ Thị Hồng Vân")
	c.connect(c.guest)
	c.guest.socket.snapshot()
	c.guest.expect(http.StatusForbidden, "in_lobby", "POST", c.path("/join"), fields{})
	c.mayNotTell(c.guest, "in_lobby", "attendance.checkin", fields{"mode": "in_person"})
	require.Empty(t, c.state(c.guest).People)
	stranger, other := come(c.secrets.keep("Người Không Mời", desk))
	(&member{browser: c.browser()}).expect(http.StatusForbidden, "bad_guest_link", "POST", "/guest-links/redeem", fields{"token": token, "name": "Người thứ ba"})
	c.secretary.expect(http.StatusOK, "", "POST", "/guests/"+id+"/admit", nil)
	c.secretary.expect(http.StatusOK, "", "POST", "/guests/"+other+"/refuse", nil)
	stranger.expect(http.StatusUnauthorized, "not_signed_in", "GET", "/me", nil)
	c.guest.socket.until(t, "is let in", func() bool { return strings.Contains(string(c.guest.socket.shown), c.chair.identity) })
}

// attend is attendance, with the test of a point before it, and the beginning.
func (c *council) attend() {
	t := c.t
	point := c.personalPoint()
	c.tells(point, "ready.report", fields{"camera": "ok", "microphone": "bad", "speaker": "ok", "line": "ok",
		"note": c.secrets.keep("micro bị hú", desk, point.identity)})
	c.tells(point, "help.ask", fields{"text": c.secrets.keep("xin hỗ trợ âm thanh", desk, point.identity)})
	c.give(c.operator, "help.close", fields{"point": point.identity})
	c.tells(point, "roster.count", fields{"point": point.identity, "count": 32})
	c.mayNotTell(c.pointNamed("Phòng họp Sở Tài chính"), "forbidden", "roster.count", fields{"point": point.identity, "count": 1})
	c.clock.at(t, "2026-12-09 07:20")
	there := append(c.voters(), c.guest)
	var ids []string
	for i, m := range there {
		body := fields{"mode": "in_person"}
		if i%5 == 4 {
			body = fields{"mode": "online", "point": point.identity}
		}
		c.tells(m, "attendance.checkin", body)
		ids = append(ids, m.identity)
	}
	c.mayNotTell(c.present[0], "attendance_already", "attendance.checkin", fields{"mode": "online"})
	c.mayNotTell(point, "not_attending", "attendance.checkin", fields{"mode": "in_person"})
	c.mayNotTell(c.present[0], "forbidden", "attendance.confirm", fields{"people": ids})
	c.clock.at(t, "2026-12-09 07:45")
	c.give(c.secretary, "attendance.confirm", fields{"people": ids})
	absent := c.users[absentLogin].identity
	c.give(c.secretary, "attendance.absent", fields{"people": []string{absent}, "reason": c.secrets.keep("đường vào xã bị sạt lở", inner, absent)})
	c.clock.at(t, "2026-12-09 08:00")
	c.mayNotTell(c.present[0], "forbidden", "meeting.start", fields{})
	started := c.give(c.chair, "meeting.start", fields{})
	var b struct{ Quorum fields }
	require.NoError(t, json.Unmarshal(c.secretary.socket.at(started).Body, &b))
	require.Equal(t, fields{"rule": "more_than_half", "members": 90., "base": 90., "present": 87., "needed": 46., "reached": true}, b.Quorum)
	c.allSee("meeting.started", 0)
}

// debate is the first item: speakers with a limit, one of them a guest.
func (c *council) debate() {
	t := c.t
	c.give(c.chair, "agenda.start", fields{"item": c.items[0]})
	c.clock.pass(10 * time.Minute)
	c.mayNotTell(c.present[0], "list_closed", "speak.request", fields{})
	c.give(c.chair, "speak.open", fields{"limit": 180})
	ask := func(m *member, topic string) string {
		return c.idIn(m.socket.at(c.tells(m, "speak.request", fields{"topic": topic})), "request", "id")
	}
	one, two := ask(c.present[0], "thu ngân sách"), ask(c.present[1], "giải ngân vốn đầu tư công")
	three, four := ask(c.present[2], "giao thông nông thôn"), ask(c.present[3], "biên chế giáo viên")
	c.mayNotTell(c.present[0], "already_requested", "speak.request", fields{})
	c.mayNotTell(c.present[0], "forbidden", "speak.withdraw", fields{"request": four})
	c.tells(c.present[3], "speak.withdraw", fields{"request": four})
	c.give(c.chair, "speak.refuse", fields{"request": three, "reason": c.secrets.keep("để dành cho phiên chiều", inner, c.present[2].identity)})
	c.mayNotTell(c.present[1], "forbidden", "speak.start", fields{"request": two})
	c.give(c.chair, "speak.call", fields{"request": one})
	c.give(c.chair, "speak.start", fields{"request": one})
	c.clock.pass(3*time.Minute + 15*time.Second)
	c.give(c.chair, "speak.start", fields{"request": two}) // which ends the one before
	c.secretary.socket.first("speak.overtime", 0)
	c.clock.pass(2 * time.Minute)
	c.tells(c.present[1], "speak.finish", fields{"request": two})

	s := c.enters(c.ticketOf(c.guest, fields{}).Token)
	require.False(t, s.permission().CanPublish || s.publishes())
	floor := c.made(c.chair, "speak.give", fields{"person": c.guest.identity, "kind": "speech", "topic": "kiến nghị của cử tri", "limit": 120}, "request")
	s.becomes(true)
	require.True(t, s.publishes())
	c.clock.pass(100 * time.Second)
	c.give(c.chair, "speak.finish", fields{"request": floor})
	s.becomes(false)
	s.leaves()
	c.give(c.chair, "speak.close", fields{})
}

// pause is a break, in which a delegate comes who had no vote in the vote before.
func (c *council) pause() {
	c.give(c.chair, "meeting.pause", fields{"note": "giải lao"})
	c.clock.pass(15 * time.Minute)
	late := c.users[lateLogin]
	c.tells(late, "attendance.checkin", fields{"mode": "in_person"})
	c.give(c.secretary, "attendance.confirm", fields{"people": []string{late.identity}})
	c.give(c.chair, "meeting.resume", fields{})
}

// conclude ends the session; nothing goes after it.
func (c *council) conclude() {
	t := c.t
	k := c.made(c.secretary, "conclusion.write", fields{"item": c.items[1], "text": c.secrets.keep("Bản nháp kết luận", inner)}, "conclusion")
	c.give(c.secretary, "conclusion.write", fields{"conclusion": k, "text": "Giao Ủy ban nhân dân tỉnh hoàn thiện dự toán, báo cáo trước ngày 20/12/2026."})
	c.mayNot(c.secretary, http.StatusForbidden, "forbidden", "conclusion.issue", fields{"conclusion": k})
	c.give(c.chair, "conclusion.issue", fields{"conclusion": k})
	k = c.made(c.secretary, "conclusion.write", fields{"text": "Giao Thường trực Hội đồng nhân dân tỉnh:\n- ban hành nghị quyết trước ngày 15/12/2026;\n- giám sát việc thực hiện."}, "conclusion")
	c.give(c.chair, "conclusion.issue", fields{"conclusion": k})

	token := c.ticketOf(c.observer, fields{"device": "a"}).Token
	c.give(c.secretary, "person.remove", fields{"person": c.observer.identity, "note": "hết giờ dự thính"})
	c.observer.socket.closed(4004)
	c.observer.expect(http.StatusNotFound, "", "GET", c.path(""), nil)
	c.shutOut(token)
	token = c.ticketOf(c.points[0], fields{}).Token
	c.clock.at(t, "2026-12-09 11:15")
	ended := c.give(c.chair, "meeting.end", fields{})
	left := c.observer.socket
	c.observer.socket = nil
	c.allSee("meeting.ended", ended-1)
	c.sameForAll()
	c.observer.socket = left
	c.mayNot(c.chair, http.StatusConflict, "wrong_state", "meeting.pause", fields{})
	c.mayNotTell(c.present[0], "wrong_state", "ballot.give", fields{"vote": c.votes["open"], "choices": []string{"no"}})
	c.present[0].expect(http.StatusConflict, "not_joinable", "POST", c.path("/join"), fields{"device": "a"})
	c.shutOut(token)
	for _, m := range []*member{c.present[0], c.guest, c.operator, c.points[0]} {
		m.expect(http.StatusForbidden, "forbidden", "GET", c.path("/record"), nil)
		m.expect(http.StatusForbidden, "forbidden", "GET", c.path("/attendance.csv"), nil)
	}
	record := c.secretary.expect(http.StatusOK, "", "GET", c.path("/record"), nil).body
	golden(t, "testdata/council-record.txt", record)
	attendance := c.secretary.expect(http.StatusOK, "", "GET", c.path("/attendance.csv"), nil).body
	golden(t, "testdata/council-attendance.csv", attendance)
}

// verify looks at what is left when all is over: the meeting as its journal tells it,
// the audit log, and the journal itself.
func (c *council) verify() {
	t := c.t
	before := c.secretary.expect(http.StatusOK, "", "GET", c.path(""), nil).body
	c.clean()
	c.secrets.proven(t)
	c.stop()
	c.start()
	after := c.secretary.expect(http.StatusOK, "", "GET", c.path(""), nil).body
	require.JSONEq(t, string(before), string(after), "what was live is the fold of the journal")
	c.admin.signIn("quantri", goodPass)
	for action, want := range map[string]int{"meeting.start&result=ok": 1, "meeting.start&result=refused": 1, "ballot.cast&result=ok": 0} {
		var page struct{ Items []fields }
		c.admin.expect(http.StatusOK, "", "GET", "/audit?action="+action, nil).into(t, &page)
		require.Len(t, page.Items, want, action)
	}
	c.stop()
	require.Contains(t, c.command("", "journal", "verify"), "Kết luận: 1 phiên họp, nhật ký nguyên vẹn.")
}

// restart ends the server and starts it again. Everybody comes back with the last
// number they had seen.
func (c *council) restart() {
	all := c.everybody()
	c.stop()
	for _, m := range all {
		m.socket.closed(websocket.CloseGoingAway)
	}
	c.start()
	for _, m := range all {
		c.connect(m)
	}
}

// sameForAll checks that all got the same of what is for all, once and in order, also
// those whose connection was interrupted.
func (c *council) sameForAll() {
	c.t.Helper()
	public := func(m *member) (list []string) {
		p := m.socket
		p.mu.Lock()
		defer p.mu.Unlock()
		begun := false
		for _, e := range p.events {
			begun = begun || e.Type == "meeting.started"
			area, _, _ := strings.Cut(e.Type, ".")
			if begun && (slices.Contains([]string{"meeting", "agenda", "speak", "call", "layout"}, area) ||
				slices.Contains([]string{"vote.opened", "vote.closed", "vote.published", "conclusion.issued"}, e.Type)) {
				list = append(list, fmt.Sprintf("%d %s", e.Seq, e.Type))
			}
		}
		return list
	}
	want := public(c.chair)
	require.Greater(c.t, len(want), 30)
	for _, m := range c.everybody() {
		require.Equal(c.t, want, public(m), m.name)
	}
}

// pointNamed is the device of a point.
func (c *council) pointNamed(name string) *member {
	c.t.Helper()
	i := slices.IndexFunc(c.points, func(p *member) bool { return p.name == name })
	require.GreaterOrEqual(c.t, i, 0, name)
	require.False(c.t, c.points[i].personal)
	return c.points[i]
}

// personalPoint is a commune's laptop or phone.
func (c *council) personalPoint() *member {
	var first *member
	for _, p := range c.points {
		if p.personal && (first == nil || p.name < first.name) {
			first = p
		}
	}
	return first
}

// golden compares a text with the one in a file.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		require.NoError(t, os.WriteFile(path, got, 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
	require.NotContains(t, string(got), "Tên giả")
}
