package conference

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"diemcau/signaling/account"
	"diemcau/signaling/meeting"
)

func (c *session) meet(people ...m) string {
	id := c.small("Họp giao ban", "2026-12-09T08:00:00+07:00", append(people, m{"id": "user:d01", "role": "delegate", "voting": true},
		m{"id": "user:obs", "role": "observer"})...)
	c.chair.give(id, "meeting.start", m{})
	return id
}

func TestSocket(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		c := b.populate()
		id := c.meet()
		one := c.of("d01").open(id, "")
		require.Contains(t, one.next("snapshot").raw, "Họp giao ban")
		chair := c.chair.open(id, "")
		chair.next("snapshot")
		chair.send(m{"id": "s1", "type": "chat.set", "body": m{"mode": "all"}})
		ack := chair.next("ack")
		require.Equal(t, "s1", ack.ID)
		require.NotZero(t, ack.Seq)
		one.event("chat.mode")
		// The same command again is acknowledged with the same number, and by POST, too.
		chair.send(m{"id": "s1", "type": "chat.set", "body": m{"mode": "all"}})
		require.Equal(t, ack.Seq, chair.next("ack").Seq)
		var again struct{ Seq uint64 }
		c.chair.into(http.StatusOK, &again, "POST", path(id, "/commands"), m{"id": "s1", "type": "chat.set", "body": m{"mode": "all"}})
		require.Equal(t, ack.Seq, again.Seq)
		one.send(m{"id": "s2", "type": "chat.set", "body": m{"mode": "off"}})
		refused := one.next("error")
		require.Equal(t, "forbidden", refused.Problem.Code)
		require.Equal(t, "s2", refused.ID)
		// Who comes back gets exactly what they missed.
		seen := one.seq
		one.conn.Close()
		for i := range 5 {
			b.wait(5 * time.Second) // chat has a limit of its own
			c.sec.give(id, "chat.send", m{"text": fmt.Sprintf("tin %d", i)})
		}
		back := c.of("d01").open(id, fmt.Sprintf("?from=%d", seen))
		var got []string
		for len(got) < 5 {
			for _, e := range back.next("events").Events {
				if e.Type == "chat.sent" {
					require.Greater(t, e.Seq, seen)
					got = append(got, string(e.Body))
				}
			}
		}
		require.Contains(t, got[0], "tin 0")
		require.Contains(t, got[4], "tin 4")
		// Taken out of the meeting, one is told so and sees no more.
		c.sec.give(id, "person.remove", m{"person": "user:d01", "note": "nhầm"})
		back.closed(closeNotFound)
		c.of("d01").open(id, "").closed(closeNotFound)
		// The server stops.
		b.s.sockets.closeAll()
		chair.closed(websocket.CloseGoingAway)
	})
}

func TestSocketRefusals(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		c := b.populate()
		id := c.meet()
		b.nobody().open(id, "").closed(closeSignedOut)
		c.of("d02").open(id, "").closed(closeNotFound)
		c.of("d02").open("khong-co", "").closed(closeNotFound)
		c.of("d02").open("..%2fx", "").closed(closeNotFound)
		// Eight of a session, and no more.
		var peers []*peer
		for range maxPerSession {
			p := c.of("d01").open(id, "")
			p.next("snapshot")
			peers = append(peers, p)
		}
		c.of("d01").open(id, "").closed(closeTooMany)
		// Signing out closes all of them, and nobody else's.
		other := c.chair.open(id, "")
		other.next("snapshot")
		c.of("d01").into(http.StatusOK, nil, "DELETE", "/api/v1/session", nil)
		for _, p := range peers {
			p.closed(closeSignedOut)
		}
		c.of("d01").open(id, "").closed(closeSignedOut)
		other.send(m{"id": "x", "type": "chat.send", "body": m{"text": "còn đây"}})
		other.next("ack")
		// Malformed messages: an error each, then the end.
		for _, raw := range []string{"{", `[]`, `{"id":"a","type":"b","body":{},"actor":"user:chair"}`, `{"id":1}`} {
			require.NoError(t, other.conn.WriteMessage(websocket.TextMessage, []byte(raw)))
			require.Equal(t, "bad_json", other.next("error").Problem.Code)
		}
		require.NoError(t, other.conn.WriteMessage(websocket.BinaryMessage, []byte("x")))
		other.closed(websocket.CloseInvalidFramePayloadData)
		// Too long a message ends the connection.
		long := c.sec.open(id, "")
		long.next("snapshot")
		_ = long.conn.WriteMessage(websocket.TextMessage, []byte(strings.Repeat("x", maxMessage+1)))
		for {
			if _, err := long.read(); err != nil {
				break
			}
		}
		// Other sites' pages open nothing.
		h := http.Header{"Origin": {"https://elsewhere.example"}}
		dialer := websocket.Dialer{Jar: c.chair.http.Jar}
		_, answer, err := dialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(b.server.URL, "http")+"/ws/v1/meetings/"+id, h)
		require.Error(t, err)
		require.Equal(t, http.StatusForbidden, answer.StatusCode)
		answer.Body.Close()
	})
}

// Who does not read is closed with a reason; the others go on meanwhile.
func TestSlowReader(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		c := b.populate()
		id := c.meet()
		slow, quick := c.sec.open(id, ""), c.chair.open(id, "")
		slow.next("snapshot")
		quick.next("snapshot")
		c.chair.give(id, "chat.set", m{"mode": "all"})
		last := make(chan uint64, 1)
		go func() {
			for {
				f, err := quick.read()
				if err != nil {
					t.Errorf("who reads was closed: %v", err)
				}
				if err != nil || strings.Contains(f.raw, "lần cuối") {
					last <- quick.seq
					return
				}
			}
		}()
		text := strings.Repeat("ế", 2000)
		for i := range 400 { // more than the 256 frames that wait, and what the sockets hold
			b.wait(5 * time.Second) // chat has a limit of its own
			c.chair.give(id, "chat.send", m{"text": fmt.Sprintf("%d %s", i, text[:len(text)-12])})
		}
		b.wait(5 * time.Second)
		seq := c.chair.give(id, "chat.send", m{"text": "lần cuối"})
		require.Equal(t, seq, <-last)
		slow.closed(closeSlow)
		require.Less(t, slow.seq, seq)
		back := c.sec.open(id, fmt.Sprintf("?from=%d", slow.seq))
		for back.seq < seq {
			_, err := back.read() // events, or a snapshot in place of many
			require.NoError(t, err)
		}
	})
}

func TestBreakIns(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		c := b.populate()
		id := c.meet()
		secret := c.small("Họp kín", "2026-12-10T08:00:00+07:00")
		d1 := c.of("d01")
		// A meeting of others is not there.
		for _, at := range []string{"", "/conflicts", "/record", "/attendance.csv", "/notes"} {
			d1.refused(http.StatusNotFound, "not_found", "GET", path(secret, at), nil)
			d1.refused(http.StatusNotFound, "not_found", "GET", path("khong-co", at), nil)
		}
		d1.refused(http.StatusNotFound, "not_found", "POST", path(secret, "/join"), m{"device": "a"})
		d1.not(http.StatusNotFound, "not_found", secret, "chat.send", m{"text": "x"})
		d1.not(http.StatusNotFound, "not_found", "khong-co", "chat.send", m{"text": "x"})
		// Who one is, is not in the body.
		d1.refused(http.StatusBadRequest, "bad_json", "POST", path(id, "/commands"), m{"id": "a", "type": "meeting.pause", "actor": m{"id": "user:chair"}, "body": m{}})
		d1.not(http.StatusBadRequest, "bad_json", id, "attendance.checkin", m{"mode": "online", "by": "user:chair"})
		d1.not(http.StatusForbidden, "forbidden", id, "attendance.leave", m{"person": "user:chair"})
		for _, kind := range []string{"presence.set", "ballot.cast", "ballot.issue", "meeting.create"} {
			c.chair.not(http.StatusForbidden, "forbidden", id, kind, m{})
		}
		c.chair.not(http.StatusUnprocessableEntity, "unknown_command", id, "vote.forge", m{})
		// Names come from the directory, whatever the client says.
		c.sec.give(id, "person.invite", m{"people": []m{{"id": "user:d03", "name": "Chủ tịch giả", "position": "Chủ tịch", "unit": "hdnd", "role": "guest"}}, "note": "thêm"})
		require.NoError(t, b.hub.Look(t.Context(), id, func(st *meeting.State) {
			require.Equal(t, "Đại biểu 03", st.People["user:d03"].Name)
			require.Equal(t, "to4", st.People["user:d03"].Unit)
		}))
		c.sec.not(http.StatusNotFound, "not_found", id, "person.invite", m{"people": []m{{"id": "user:nobody", "role": "guest"}}, "note": "x"})
		c.sec.not(http.StatusNotFound, "not_found", id, "person.invite", m{"people": []m{{"id": "guest:g9", "role": "guest"}}, "note": "x"})
		// Another's command id is one's own; one's own is applied once.
		first := c.chair.give(id, "chat.set", m{"mode": "all"})
		require.NotZero(t, first)
		// Texts.
		c.chair.not(http.StatusUnprocessableEntity, "bad_text", id, "chat.send", m{"text": "đảo \u202e ngược"})
		c.chair.not(http.StatusUnprocessableEntity, "bad_text", id, "chat.send", m{"text": "\u2066x"})
		c.chair.refused(http.StatusRequestEntityTooLarge, "too_large", "POST", path(id, "/commands"), m{"id": "a", "type": "chat.send", "body": m{"text": strings.Repeat("x", 70000)}})
		c.chair.give(id, "chat.send", m{"text": "<script>alert(1)</script>'; DROP TABLE meetings; --"})
		// CSRF, and a session that is over.
		token := c.chair.csrf
		c.chair.csrf = "khac"
		c.chair.not(http.StatusForbidden, "csrf", id, "meeting.pause", m{})
		c.chair.csrf = ""
		c.chair.not(http.StatusForbidden, "csrf", id, "meeting.pause", m{})
		c.chair.csrf = token
		b.nobody().not(http.StatusUnauthorized, "not_signed_in", id, "meeting.pause", m{})
		must := b.as(account.Principal{Kind: account.KindUser, ID: "chair", Identity: "user:chair#a", SessionID: "z", MustChange: true})
		must.not(http.StatusForbidden, "password_must_change", id, "meeting.pause", m{})
		must.refused(http.StatusForbidden, "password_must_change", "GET", "/api/v1/meetings", nil)
		require.Equal(t, meeting.Running, b.status(id))
		// Too fast.
		fast := b.as(account.Principal{Kind: account.KindUser, ID: "chair", Identity: "user:chair#a", SessionID: "fast"})
		for range commandsAtOnce {
			fast.not(http.StatusForbidden, "forbidden", id, "agenda.move", m{"item": "i1"})
		}
		fast.not(http.StatusTooManyRequests, "too_fast", id, "agenda.move", m{"item": "i1"})
		require.True(t, b.lines.has("chat.send", "bad_text"))
		require.True(t, b.lines.has("unknown", "unknown_command"))
		require.True(t, b.lines.has("unknown", "bad_json"))
		verified(b)
	})
}

func (b *bench) status(id string) (st meeting.Status) {
	require.NoError(b.t, b.hub.Look(b.t.Context(), id, func(s *meeting.State) { st = s.Info.Status }))
	return st
}

func TestGuests(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		c := b.populate()
		id := c.meet()
		other := c.small("Họp khác", "2026-12-10T08:00:00+07:00")
		p := account.Principal{Kind: account.KindGuest, ID: "g1", Identity: "guest:g1", Name: "Lê Khách", Meeting: id, SessionID: "g1", Lobby: true}
		g := b.as(p)
		g.open(id, "").closed(closeNotFound) // not in the lobby yet
		g.not(http.StatusForbidden, "in_lobby", id, "chat.send", m{"text": "x"})
		g.refused(http.StatusForbidden, "in_lobby", "POST", path(id, "/join"), m{})
		g.not(http.StatusNotFound, "not_found", other, "lobby.enter", m{})
		g.give(id, "lobby.enter", m{"name": "Chủ tịch tỉnh"})
		require.NoError(t, b.hub.Look(t.Context(), id, func(st *meeting.State) { require.Equal(t, "Lê Khách", st.Lobby["guest:g1"].Name) }))
		waiting := g.open(id, "")
		require.NotContains(t, waiting.next("snapshot").raw, "Nguyễn Văn Hùng", "from the lobby one sees nobody")
		g.refused(http.StatusForbidden, "in_lobby", "GET", path(id, "/notes"), nil)
		c.sec.give(id, "lobby.settle", m{"guest": "guest:g1", "admit": true})
		require.Contains(t, waiting.next("snapshot").raw, "Nguyễn Văn Hùng")
		waiting.send(m{"id": "here", "type": "attendance.checkin", "body": m{"mode": "online"}})
		require.Equal(t, "here", waiting.next("ack").ID, "the connection that waited is good for being in")
		p.Lobby = false
		in := b.as(p)
		var ticket struct{ Identity string }
		in.into(http.StatusOK, &ticket, "POST", path(id, "/join"), m{})
		require.Equal(t, "guest:g1", ticket.Identity)
		in.refused(http.StatusNotFound, "not_found", "GET", path(other, ""), nil)
		in.refused(http.StatusForbidden, "forbidden", "POST", "/api/v1/meetings", m{"id": "a", "title": "Của khách", "unit": "hdnd"})
		c.sec.give(id, "person.change", m{"person": m{"id": "guest:g1", "name": "Đổi tên", "role": "observer"}, "note": "chỉ dự thính"})
		require.NoError(t, b.hub.Look(t.Context(), id, func(st *meeting.State) { require.Equal(t, "Lê Khách", st.People["guest:g1"].Name) }))
	})
}

func TestCreate(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		c := b.populate()
		var one, two struct{ Meeting string }
		body := m{"id": "once", "title": "Đổi mới: Ứng dụng!", "unit": "hdnd"}
		c.office.into(http.StatusCreated, &one, "POST", "/api/v1/meetings", body)
		c.office.into(http.StatusCreated, &two, "POST", "/api/v1/meetings", body)
		require.Equal(t, one, two, "sent again it makes no second meeting")
		require.Regexp(t, `^doi-moi-ung-dung-[a-z2-7]{16}$`, one.Meeting)
		require.Regexp(t, meetingForm, one.Meeting)
		c.of("d01").refused(http.StatusForbidden, "forbidden", "POST", "/api/v1/meetings", m{"id": "a", "title": "X", "unit": "hdnd"})
		c.office.refused(http.StatusForbidden, "forbidden", "POST", "/api/v1/meetings", m{"id": "a", "title": "X", "unit": "so1"})
		c.office.refused(http.StatusUnprocessableEntity, "bad_text", "POST", "/api/v1/meetings", m{"id": "a", "title": "\u202e", "unit": "hdnd"})
		c.office.refused(http.StatusUnprocessableEntity, "invalid", "POST", "/api/v1/meetings", m{"id": "a", "title": "X", "unit": "hdnd", "status": "approved"})
		require.Regexp(t, `^hop-[a-z2-7]{16}$`, b.s.newID("会议", "user:a", "c"))
	})
}

func FuzzMessage(f *testing.F) {
	for _, seed := range []string{`{"id":"a","type":"vote.open","body":{"vote":"v1"}}`, `{}`, `{"id":"a","id":"b"}`, `[]`, "{\"id\":\"\u202e\"}", `{"body":null}`, "\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := parseMessage(raw)
		if err != nil {
			require.Contains(t, []string{"bad_json", "too_large"}, codeOf(err))
			return
		}
		require.LessOrEqual(t, len(m.ID), 64)
		require.LessOrEqual(t, len(m.Type), 64)
		_, err = meeting.Decide(meeting.New("m"), meeting.Command{ID: m.ID, Type: m.Type, Actor: meeting.Actor{ID: "user:a"}, Body: m.Body}, time.Unix(0, 0))
		require.Error(t, err, "nobody's command changes an unmade meeting")
	})
}
