package conference

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/account"
	"diemcau/signaling/meeting"
)

type page struct {
	Items []struct {
		ID, Title, Status, Role string
	}
	Next string
}

func (c *client) list(query string) (ids []string) {
	c.b.t.Helper()
	c.b.s.index.settled()
	for after := ""; ; {
		var p page
		c.into(http.StatusOK, &p, "GET", "/api/v1/meetings?"+query+"&after="+url.QueryEscape(after), nil)
		for _, item := range p.Items {
			ids = append(ids, item.ID)
		}
		if after = p.Next; after == "" {
			return ids
		}
	}
}

// small makes an approved meeting with a chair, a secretary and these people.
func (c *session) small(title, start string, people ...m) string {
	id := c.office.make(m{"title": title, "plannedStart": start})
	people = append(people, m{"id": "user:chair", "role": "chair", "voting": true}, m{"id": "user:sec", "role": "secretary"})
	c.office.give(id, "person.invite", m{"people": people})
	c.office.give(id, "meeting.submit", m{})
	c.office.give(id, "meeting.approve", m{})
	return id
}

func TestListAndSearch(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		c := b.populate()
		b.town.may("user:office", "so1", meeting.PermPrepare)
		d1, d2 := c.of("d01"), c.of("d02")
		harmony := c.small("Giao ban về HÒA bình, đất đai 100%", "2026-12-10T08:00:00+07:00", m{"id": "user:d01", "role": "delegate"})
		storm := c.small("Ứng phó bão số 9", "2026-12-11T08:00:00+07:00", m{"id": "user:d01", "role": "delegate"}, m{"id": "user:d02", "role": "delegate"})
		draft := c.office.make(m{"title": "Dự thảo", "unit": "so1", "plannedStart": "2026-12-12T08:00:00+07:00"})
		c.office.give(draft, "person.invite", m{"people": []m{{"id": "user:d01", "role": "delegate"}}})
		require.Equal(t, []string{storm, harmony}, d1.list("scope=mine"), "a draft is not for delegates")
		require.Equal(t, []string{storm}, d2.list("scope=mine"))
		require.Equal(t, []string{storm}, d2.list("scope=all"))
		require.Empty(t, c.office.list("scope=mine"))
		require.Equal(t, []string{draft, storm, harmony}, c.office.list("scope=all"))
		require.Equal(t, []string{storm, harmony}, c.office.list("scope=unit"))
		require.Equal(t, []string{harmony, storm, draft}, c.office.list("scope=all&order=oldest&limit=1"))
		require.Equal(t, []string{draft, storm, harmony}, c.office.list("scope=all&limit=1"))
		for _, q := range []string{"hoà bình", "HOA", "dat dai", "Đất", "100%", "binh hoa"} {
			require.Equal(t, []string{harmony}, c.office.list("scope=all&q="+url.QueryEscape(q)), q)
		}
		for _, q := range []string{"%", "_", "0_%", `\`, "'; DROP TABLE meetings; --"} {
			require.NotContains(t, c.office.list("scope=all&q="+url.QueryEscape(q)), storm, q)
		}
		require.Equal(t, []string{draft}, c.office.list("scope=all&status=draft,cancelled"))
		require.Equal(t, []string{storm}, c.office.list("scope=all&from=2026-12-10T12:00:00Z&to=2026-12-11T12:00:00Z"))
		c.office.refused(http.StatusUnprocessableEntity, "bad_value", "GET", "/api/v1/meetings?after=x", nil)
		c.office.refused(http.StatusUnprocessableEntity, "bad_value", "GET", "/api/v1/meetings?status=x", nil)
		b.nobody().refused(http.StatusUnauthorized, "not_signed_in", "GET", "/api/v1/meetings", nil)
		guest := b.as(account.Principal{Kind: account.KindGuest, ID: "g", Identity: "guest:g", Meeting: storm, SessionID: "g"})
		require.Empty(t, guest.list("scope=all"))
		// The row follows the meeting.
		c.office.give(storm, "meeting.cancel", m{"note": "bão đổi hướng"})
		require.Equal(t, []string{storm}, c.office.list("scope=all&status=cancelled"))
		c.office.give(harmony, "person.remove", m{"person": "user:d01"})
		require.Equal(t, []string{storm}, d1.list("scope=mine"))
	})
}

// A row that a crash has left behind is made again from the journal.
func TestIndexIsRepaired(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		c := b.populate()
		one := c.small("Một", "2026-12-10T08:00:00+07:00", m{"id": "user:d01", "role": "delegate"})
		two := c.small("Hai", "2026-12-11T08:00:00+07:00", m{"id": "user:d01", "role": "delegate"})
		b.s.index.settled()
		require.NoError(t, b.db.Write(t.Context(), execute(`DELETE FROM meetings WHERE id = $1`, one)))
		require.NoError(t, b.db.Write(t.Context(), execute(`DELETE FROM meeting_people WHERE meeting = $1`, one)))
		require.NoError(t, b.db.Write(t.Context(), execute(`UPDATE meetings SET seq = 1, status = 'draft' WHERE id = $1`, two)))
		b.restart()
		require.Eventually(t, func() bool { return len(c.of("d01").list("scope=mine&status=approved")) == 2 }, 10*time.Second, 10*time.Millisecond)
	})
}

func TestConflicts(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		c := b.populate()
		b.town.may("user:sec2", "so1", meeting.PermPrepare, meeting.PermApprove)
		b.town.add("user:sec2", "Thư ký sở", "so1", "")
		b.town.add("user:chair2", "Chủ tọa sở", "so1", "")
		first := c.small("Sáng", "2026-12-10T08:00:00+07:00", m{"id": "point:p001", "role": "point"}, m{"id": "user:d01", "role": "delegate"})
		sec2 := b.user("sec2")
		other := sec2.make(m{"title": "Cùng giờ", "unit": "so1", "plannedStart": "2026-12-10T10:00:00+07:00"})
		sec2.give(other, "person.invite", m{"people": []m{{"id": "user:sec2", "role": "secretary"}, {"id": "user:chair2", "role": "chair"},
			{"id": "point:p001", "role": "point"}}})
		c.small("Chiều", "2026-12-10T14:00:00+07:00", m{"id": "point:p001", "role": "point"})
		b.s.index.settled()
		type clashes struct {
			Items []struct{ Identity, Meeting, Title, Unit string }
		}
		var seen, fromOther clashes
		c.sec.into(http.StatusOK, &seen, "GET", path(first, "/conflicts"), nil)
		require.Len(t, seen.Items, 1, "%+v", seen)
		require.Equal(t, "point:p001", seen.Items[0].Identity)
		require.Empty(t, seen.Items[0].Title, "what the caller may not see stays unnamed")
		require.Equal(t, "so1", seen.Items[0].Unit)
		sec2.into(http.StatusOK, &fromOther, "GET", path(other, "/conflicts"), nil)
		require.Len(t, fromOther.Items, 1)
		c.office.into(http.StatusOK, &seen, "GET", path(first, "/conflicts"), nil)
		require.Empty(t, seen.Items[0].Meeting)
		b.town.may("user:office", "so1", meeting.PermApprove)
		c.office.into(http.StatusOK, &seen, "GET", path(first, "/conflicts"), nil)
		require.Equal(t, other, seen.Items[0].Meeting)
		c.of("d01").refused(http.StatusForbidden, "forbidden", "GET", path(first, "/conflicts"), nil)
		c.of("d02").refused(http.StatusNotFound, "not_found", "GET", path(first, "/conflicts"), nil)
	})
}

func TestPrivateNotes(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		c := b.populate()
		id := c.small("Họp", "2026-12-10T08:00:00+07:00", m{"id": "user:d01", "role": "delegate"}, m{"id": "user:d02", "role": "delegate"})
		item := fmt.Sprintf("i%d", c.office.give(id, "agenda.add", m{"title": "Nội dung"}))
		one, two := c.of("d01"), c.of("d02")
		put := path(id, "/notes")
		one.into(http.StatusOK, nil, "PUT", put, m{"text": "Hỏi về ngân sách"})
		one.into(http.StatusOK, nil, "PUT", put, m{"item": item, "text": "cũ"})
		one.into(http.StatusOK, nil, "PUT", put, m{"item": item, "text": "'; DROP TABLE meeting_notes; -- <script>"})
		var mine, theirs struct{ Items []struct{ Item, Text string } }
		one.into(http.StatusOK, &mine, "GET", put, nil)
		require.Len(t, mine.Items, 2)
		require.Equal(t, "'; DROP TABLE meeting_notes; -- <script>", mine.Items[1].Text)
		for _, other := range []*client{two, c.chair, c.sec, c.office} {
			other.into(http.StatusOK, &theirs, "GET", put, nil)
			require.Empty(t, theirs.Items)
		}
		one.refused(http.StatusNotFound, "not_found", "PUT", put, m{"item": "i999", "text": "x"})
		c.of("d03").refused(http.StatusNotFound, "not_found", "PUT", put, m{"text": "x"})
		one.refused(http.StatusUnprocessableEntity, "bad_text", "PUT", put, m{"text": "đảo \u202e ngược"})
		one.into(http.StatusOK, nil, "PUT", put, m{"item": item, "text": ""})
		one.into(http.StatusOK, &mine, "GET", put, nil)
		require.Len(t, mine.Items, 1)
		long := make([]rune, maxNote+1)
		for i := range long {
			long[i] = 'ế'
		}
		one.refused(http.StatusUnprocessableEntity, "bad_text", "PUT", put, m{"text": string(long)})
		one.into(http.StatusOK, nil, "PUT", put, m{"text": string(long[1:])})
	})
}
