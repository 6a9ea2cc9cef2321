package conference

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/ballot"
	"diemcau/signaling/meeting"
)

var update = flag.Bool("update", false, "write the golden files and docs anew")

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// session is who meets in the tests of this package. A whole session, by the API of
// the whole server, is played in package office.
type session struct {
	*bench
	office, chair, sec, tech *client
	clients                  map[string]*client
}

// populate fills the directory: 215 points and 90 delegates.
func (b *bench) populate() *session {
	c := &session{bench: b, clients: map[string]*client{}}
	b.town.add("user:office", "Văn phòng", "hdnd", "")
	b.town.may("user:office", "hdnd", meeting.PermPrepare, meeting.PermApprove)
	b.town.add("user:chair", "Nguyễn Văn Hùng", "hdnd", "Chủ tịch HĐND tỉnh")
	b.town.add("user:sec", "Phạm Quốc Khánh", "hdnd", "Thư ký")
	b.town.add("user:tech", "Đào Duy Kỹ", "hdnd", "")
	b.town.add("user:obs", "Bùi Dự Thính", "bao", "")
	b.town.add("user:uq", "Mai Được Ủy", "to1", "Đại biểu")
	for i := 1; i <= 89; i++ {
		b.town.add(fmt.Sprintf("user:d%02d", i), fmt.Sprintf("Đại biểu %02d", i), fmt.Sprintf("to%d", i%9+1), "Đại biểu HĐND tỉnh")
	}
	for i := 1; i <= 215; i++ {
		name := fmt.Sprintf("xã số %d", i-83)
		if i <= 83 {
			name = fmt.Sprintf("cơ quan số %d", i)
		}
		b.town.add(fmt.Sprintf("point:p%03d", i), name, "hdnd", "")
	}
	c.office, c.chair, c.sec, c.tech = b.user("office"), b.user("chair"), b.user("sec"), b.user("tech")
	return c
}

func (c *session) of(id string) *client {
	if c.clients[id] == nil {
		c.clients[id] = c.user(id)
	}
	return c.clients[id]
}

// slip is a voter's secret ballot.
type slip struct {
	vote  ballot.Vote
	token ballot.Token
	sig   []byte
}

func (s slip) body(t *testing.T, revision int, choices ...string) []byte {
	raw, err := ballot.CastRequest{Vote: s.vote, Token: s.token, Signature: s.sig, Choices: choices, Revision: revision}.Marshal()
	require.NoError(t, err)
	return raw
}

// fetch gets somebody's ballot as the client does.
func (c *client) fetch(v ballot.Vote, public *ballot.Public) slip {
	t := c.b.t
	token, err := ballot.NewToken(nil)
	require.NoError(t, err)
	blinding, err := public.Blind(nil, v, token)
	require.NoError(t, err)
	var first, again struct{ Signature string }
	where := path(v.Meeting, "/votes/"+v.ID+"/ballot")
	c.into(http.StatusOK, &first, "POST", where, m{"blinded": ballot.EncodeBlob(blinding.Message)})
	c.into(http.StatusOK, &again, "POST", where, m{"blinded": ballot.EncodeBlob(blinding.Message)})
	require.Equal(t, first, again)
	raw, err := ballot.DecodeBlob(first.Signature)
	require.NoError(t, err)
	sig, err := blinding.Finalize(raw)
	require.NoError(t, err)
	return slip{v, token, sig}
}

func (b *bench) count(query string) (n int) {
	require.NoError(b.t, b.db.QueryRow(b.t.Context(), query).Scan(&n))
	return n
}

// What the meeting's state grants reaches the media, also when the SFU was away, and
// nobody stays there who is not of the meeting.
func TestCallsReachTheMedia(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		c := b.populate()
		id := c.meet(m{"id": "point:p084", "role": "point", "personal": true}, m{"id": "user:tech", "role": "operator"})
		g, ours, err := c.s.Admit(t.Context(), id, "point:p084")
		require.NoError(t, err)
		require.True(t, ours && g.Join && g.Subscribe)
		require.Empty(t, g.Publish)
		c.studio.enter(id, "point:p084", g)
		c.studio.enter(id, "user:stranger#x", meeting.Grant{Join: true})
		c.studio.enter(id, "user:d01#c-phone", meeting.Grant{Join: true})
		c.studio.mu.Lock()
		c.studio.fail = 2 // what fails is tried again
		c.studio.mu.Unlock()
		c.tech.give(id, "point.call", m{"point": "point:p084", "seconds": 120})
		c.point("p084").give(id, "point.answer", m{"accept": true})
		c.publishes(id, "point:p084", "camera", "microphone", "screen_share")
		c.until("a stranger is removed", func(d *studio) bool { return len(d.removed) == 1 && d.removed[0] == "user:stranger#x" })
		c.tech.give(id, "point.end", m{})
		c.publishes(id, "point:p084")
		g, _, err = c.s.Admit(t.Context(), id, "user:chair#c-dt")
		require.NoError(t, err)
		require.True(t, g.Join && g.Hidden)
		require.False(t, g.Subscribe || len(g.Publish) > 0)
		_, ours, err = c.s.Admit(t.Context(), "phong-khac", "user:chair#a")
		require.NoError(t, err)
		require.False(t, ours)
	})
}

// What a spreadsheet program would run as a formula is text in the attendance list.
func TestAttendanceListHasNoFormulas(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		c := b.populate()
		b.town.add("user:evil", "=HYPERLINK(1) An", "to1", "+Trưởng ban")
		id := c.meet(m{"id": "user:evil", "role": "delegate", "voting": true})
		c.sec.give(id, "attendance.absent", m{"people": []string{"user:evil"}, "reason": "-2+3"})
		status, list, h := c.sec.do("GET", path(id, "/attendance.csv"), nil)
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, "text/csv; charset=utf-8", h.Get("Content-Type"))
		require.Contains(t, string(list), "\r\n'=HYPERLINK(1) An,'+Trưởng ban,to1,Đại biểu,x,,Vắng mặt,,,,'-2+3\r\n")
	})
}
