package conference

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"diemcau/signaling/account"
	"diemcau/signaling/ballot"
	"diemcau/signaling/meeting"
)

// secretly opens a secret vote of d01 and the chair.
func (c *session) secretly() (id, vote string, public *ballot.Public) {
	id = c.meet()
	c.sec.give(id, "attendance.confirm", m{"people": []string{"user:chair", "user:d01"}})
	vote = fmt.Sprintf("v%d", c.sec.give(id, "vote.draft", m{"title": "Kín", "secret": true}))
	c.chair.give(id, "vote.open", m{"vote": vote})
	require.NoError(c.t, c.hub.Look(c.t.Context(), id, func(st *meeting.State) { public = parsePublic(c.t, st.Votes[vote].BallotKey) }))
	return id, vote, public
}

// A voter works out the id of the command that will issue a ballot, and uses it for
// something else before: the server must not take the ballot for issued and sign as
// many as the voter likes.
func TestNoBallotWithoutARecord(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		c := b.populate()
		id, vote, public := c.secretly()
		v := ballot.Vote{Meeting: id, ID: vote}
		d1 := c.of("d01")
		issued := func() (request string, all int) {
			require.NoError(t, b.hub.Look(t.Context(), id, func(st *meeting.State) {
				request, all = meeting.IssuedFor(st, vote, "user:d01"), len(st.Votes[vote].Issued)
			}))
			return request, all
		}
		for _, kind := range []string{"attendance.leave", "attendance.return"} {
			token, err := ballot.NewToken(nil)
			require.NoError(t, err)
			blinding, err := public.Blind(nil, v, token)
			require.NoError(t, err)
			worked := ballot.Digest([]byte(vote + ballot.Digest(blinding.Message)))
			d1.into(http.StatusOK, nil, "POST", path(id, "/commands"), m{"id": worked, "type": kind, "body": m{}})
			status, raw, _ := d1.do("POST", path(id, "/votes/"+vote+"/ballot"), m{"blinded": ballot.EncodeBlob(blinding.Message)})
			require.Equal(t, http.StatusConflict, status, "%s", raw)
			require.NotContains(t, string(raw), "signature")
		}
		request, all := issued()
		require.Empty(t, request)
		require.Zero(t, all)
		d1.fetch(v, public)
		request, all = issued()
		require.NotEmpty(t, request)
		require.Equal(t, 1, all)
		b.wait(10 * time.Second) // ballots are asked for slowly
		token, err := ballot.NewToken(nil)
		require.NoError(t, err)
		blinding, err := public.Blind(nil, v, token)
		require.NoError(t, err)
		d1.refused(http.StatusConflict, "already_issued", "POST", path(id, "/votes/"+vote+"/ballot"), m{"blinded": ballot.EncodeBlob(blinding.Message)})
		verified(b)
	})
}

// A command's id with another content is refused, however long ago it was used.
func TestCommandIDOfAnother(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		c := b.populate()
		id := c.meet()
		at := path(id, "/commands")
		var first, again struct{ Seq uint64 }
		c.chair.into(http.StatusOK, &first, "POST", at, m{"id": "x", "type": "chat.set", "body": m{"mode": "all"}})
		check := func() {
			c.chair.refused(http.StatusConflict, "id_reused", "POST", at, m{"id": "x", "type": "chat.set", "body": m{"mode": "off"}})
			c.chair.refused(http.StatusConflict, "id_reused", "POST", at, m{"id": "x", "type": "meeting.pause", "body": m{"mode": "all"}})
			c.chair.refused(http.StatusConflict, "id_reused", "POST", at, m{"id": "x", "type": "meeting.pause"})
			c.chair.into(http.StatusOK, &again, "POST", at, []byte(`{"type":"chat.set", "body": { "mode" : "all" }, "id":"x"}`))
			require.Equal(t, first, again)
			require.NoError(t, b.hub.Look(t.Context(), id, func(st *meeting.State) {
				require.Equal(t, "all", st.ChatMode)
				require.Equal(t, meeting.Running, st.Info.Status)
			}))
		}
		check()
		for i := range 40 { // more than a state remembers of one author
			b.wait(5 * time.Second)
			c.chair.give(id, "chat.send", m{"text": fmt.Sprint(i)})
		}
		check()
		b.restart()
		check()
		// What is completed by the server since is the same command still.
		vote := fmt.Sprintf("v%d", c.sec.give(id, "vote.draft", m{"title": "Kín", "secret": true}))
		c.sec.give(id, "attendance.confirm", m{"people": []string{"user:chair", "user:d01"}})
		open := m{"id": "open", "type": "vote.open", "body": m{"vote": vote}}
		c.chair.into(http.StatusOK, &first, "POST", at, open)
		c.chair.into(http.StatusOK, &again, "POST", at, open)
		require.Equal(t, first, again)
		invite := m{"id": "invite", "type": "person.invite", "body": m{"people": []m{{"id": "user:d02", "role": "delegate"}}, "note": "x"}}
		c.sec.into(http.StatusOK, &first, "POST", at, invite)
		b.town.add("user:d02", "Đổi Tên", "to3", "Đại biểu")
		c.sec.into(http.StatusOK, &again, "POST", at, invite)
		require.Equal(t, first, again)
		// Nobody is sent what tells contents apart.
		raw := c.chair.open(id, fmt.Sprintf("?from=%d", first.Seq-3)).next("events").raw
		require.Contains(t, raw, `"seq"`)
		require.NotContains(t, raw, `"sum"`)
		var made, other struct{ Meeting string }
		create := m{"id": "make", "title": "Họp", "unit": "hdnd"}
		c.office.into(http.StatusCreated, &made, "POST", "/api/v1/meetings", create)
		c.office.into(http.StatusCreated, &other, "POST", "/api/v1/meetings", create)
		require.Equal(t, made, other)
		create["place"] = "Nơi khác"
		c.office.refused(http.StatusConflict, "id_reused", "POST", "/api/v1/meetings", create)
		verified(b)
	})
}

// A meeting is given to another unit by who may prepare meetings there, and by
// nobody after it was approved.
func TestUnitOfAnother(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		c := b.populate()
		id := c.office.make(m{"title": "Dự thảo"})
		c.office.give(id, "person.invite", m{"people": []m{{"id": "user:sec", "role": "secretary"}, {"id": "user:chair", "role": "chair"}}})
		edit := func(unit string) m { return m{"title": "Dự thảo", "unit": unit, "note": "x"} }
		for _, who := range []*client{c.office, c.sec} {
			who.not(http.StatusForbidden, "forbidden", id, "meeting.edit", edit("so1"))
		}
		c.of("d01").not(http.StatusNotFound, "not_found", id, "meeting.edit", edit("so1"))
		b.town.may("user:office", "so1", meeting.PermPrepare)
		c.office.give(id, "meeting.edit", edit("so1"))
		require.Equal(t, []string{id}, c.office.list("scope=all&q=thao"))
		c.office.give(id, "meeting.edit", edit("hdnd"))
		c.office.give(id, "meeting.submit", m{})
		c.office.give(id, "meeting.approve", m{})
		c.office.not(http.StatusConflict, "unit_fixed", id, "meeting.edit", edit("so1"))
		var st meeting.State
		c.office.into(http.StatusOK, &st, "GET", path(id, ""), nil)
		require.Equal(t, "hdnd", st.Info.Unit)
	})
}

// Of a draft those invited learn nothing, also not from refusals.
func TestDraftIsNotThere(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		c := b.populate()
		id := c.office.make(m{"title": "Dự thảo"})
		c.office.give(id, "person.invite", m{"people": []m{{"id": "user:d01", "role": "delegate", "voting": true}, {"id": "user:chair", "role": "chair"}}})
		d1 := c.of("d01")
		d1.refused(http.StatusNotFound, "not_found", "GET", path(id, ""), nil)
		for kind, body := range map[string]m{"chat.send": {"text": "x"}, "attendance.checkin": {"mode": "online"}, "vote.open": {"vote": "v1"},
			"delegation.offer": {"to": m{"id": "user:d02"}}} {
			d1.not(http.StatusNotFound, "not_found", id, kind, body)
		}
		c.office.give(id, "meeting.submit", m{})
		c.office.give(id, "meeting.approve", m{})
		d1.give(id, "delegation.offer", m{"to": m{"id": "user:d02"}})
		// Who was offered a vote knows of the meeting.
		c.of("d02").not(http.StatusForbidden, "forbidden", id, "attendance.checkin", m{"mode": "online"})
		c.of("d02").give(id, "delegation.answer", m{"from": "user:d01", "accept": true})
	})
}

// A laptop is asked before its microphone opens, whatever the client made of it.
func TestPersonalDeviceIsAsked(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		c := b.populate()
		b.town.mu.Lock()
		laptop := b.town.people["point:p100"]
		laptop.Personal = true
		b.town.people["point:p100"] = laptop
		b.town.mu.Unlock()
		id := c.meet(m{"id": "point:p100", "role": "point", "personal": false})
		c.sec.give(id, "person.change", m{"person": m{"id": "point:p100", "role": "point", "personal": false, "seat": "A1"}, "note": "x"})
		c.chair.give(id, "point.call", m{"point": "point:p100"})
		g, _, err := b.s.Admit(t.Context(), id, "point:p100")
		require.NoError(t, err)
		require.Empty(t, g.Publish)
		require.NoError(t, b.hub.Look(t.Context(), id, func(st *meeting.State) { require.Equal(t, "asked", st.Call.State) }))
	})
}

// Notes do not tell which items are hidden.
func TestNotesOnHiddenItems(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		c := b.populate()
		id := c.small("Họp", "2026-12-10T08:00:00+07:00", m{"id": "user:d01", "role": "delegate"})
		item := fmt.Sprintf("i%d", c.office.give(id, "agenda.add", m{"title": "Kín", "hidden": true}))
		put := path(id, "/notes")
		c.of("d01").refused(http.StatusNotFound, "not_found", "PUT", put, m{"item": item, "text": "x"})
		c.of("d01").refused(http.StatusNotFound, "not_found", "PUT", put, m{"item": "i999", "text": "x"})
		c.sec.into(http.StatusOK, nil, "PUT", put, m{"item": item, "text": "x"})
		c.office.into(http.StatusOK, nil, "PUT", put, m{"item": item, "text": "x"})
		c.office.give(id, "agenda.show", m{"item": item})
		c.of("d01").into(http.StatusOK, nil, "PUT", put, m{"item": item, "text": "x"})
	})
}

// A key that stayed in memory when its vote closed elsewhere is wiped there, too;
// that of an open vote is not.
func TestKeysLeftInMemory(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		c := b.populate()
		id, vote, _ := c.secretly()
		there := func() []ballot.Vote { return b.s.boxes.held() }
		open := ballot.Vote{Meeting: id, ID: vote}
		require.Equal(t, []ballot.Vote{open}, there())
		key, err := ballot.NewKey()
		require.NoError(t, err)
		_, err = b.s.boxes.put(ballot.Vote{Meeting: id, ID: "v999"}, key)
		require.NoError(t, err)
		require.Len(t, there(), 2)
		b.s.boxes.sweep()
		require.Eventually(t, func() bool { return len(there()) == 1 }, waitFor, tick)
		require.Equal(t, []ballot.Vote{open}, there())
		require.Eventually(t, func() bool {
			_, err := key.SignBlinded(make([]byte, ballot.Size))
			return err == ballot.ErrWiped
		}, waitFor, tick)
		require.Equal(t, 1, b.count(`SELECT count(*) FROM meeting_ballot_keys`))
	})
}

// Who prepares meetings of the unit and is not in this one learns the result of a vote
// when it is published, on the socket and otherwise.
func TestResultBeforePublishing(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		c := b.populate()
		id := c.meet()
		c.sec.give(id, "attendance.confirm", m{"people": []string{"user:chair", "user:d01"}})
		vote := fmt.Sprintf("v%d", c.sec.give(id, "vote.draft", m{"title": "Công khai", "names": true}))
		clerk, bench := c.office.open(id, ""), c.chair.open(id, "")
		clerk.next("snapshot")
		bench.next("snapshot")
		c.chair.give(id, "vote.open", m{"vote": vote})
		c.of("d01").give(id, "ballot.give", m{"vote": vote, "choices": []string{"no"}})
		seq := c.chair.give(id, "vote.close", m{"vote": vote})
		for p, sees := range map[*peer]bool{clerk: false, bench: true} {
			var closed meeting.VoteClosed
			require.NoError(t, json.Unmarshal(p.event("vote.closed"), &closed))
			require.Equal(t, sees, closed.Ballots != nil)
			require.Equal(t, sees, closed.Result.Counts != nil)
		}
		look := func(who *client) *meeting.Vote {
			var st meeting.State
			who.into(http.StatusOK, &st, "GET", path(id, ""), nil)
			return st.Votes[vote]
		}
		require.Nil(t, look(c.office).Result)
		require.Empty(t, look(c.office).Ballots)
		require.Len(t, look(c.sec).Ballots, 1)
		back := c.office.open(id, fmt.Sprintf("?from=%d", seq-1))
		require.NotContains(t, string(back.event("vote.closed")), "counts")
		c.chair.give(id, "vote.publish", m{"vote": vote})
		require.Contains(t, string(clerk.event("vote.published")), `"user:d01":["no"]`)
		require.NotNil(t, look(c.office).Result)
	})
}

// Whoever asks for whole meetings without end is told to wait; the others and their
// own commands are not.
func TestReadingWithoutEnd(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		c := b.populate()
		id := c.meet(m{"id": "user:d02", "role": "delegate"})
		for i, at := range []string{path(id, ""), "/api/v1/meetings", path(id, "/conflicts"), path(id, "/record"), path(id, "/attendance.csv")} {
			greedy := b.as(account.Principal{Kind: account.KindUser, ID: "sec", Identity: "user:sec#a", SessionID: fmt.Sprintf("greedy %d", i)})
			for range readsAtOnce {
				require.True(t, b.s.reads.allow(fmt.Sprintf("greedy %d", i)))
			}
			greedy.refused(http.StatusTooManyRequests, "too_fast", "GET", at, nil)
			greedy.open(id, "").closed(websocket.CloseTryAgainLater)
			c.of("d02").into(http.StatusOK, nil, "GET", path(id, ""), nil)
			greedy.give(id, "chat.set", m{"mode": []string{"all", "off"}[i%2]})
			b.wait(time.Second)
			status, raw, _ := greedy.do("GET", at, nil)
			require.Equal(t, http.StatusOK, status, "%s", raw)
		}
	})
}
