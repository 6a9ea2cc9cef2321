package conference

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	lkauth "github.com/livekit/protocol/auth"
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

// session is a people's council that meets through the public API.
type session struct {
	*bench
	id                       string
	office, chair, sec, tech *client
	delegates                []string // those who are present, with a vote of their own or given
	clients                  map[string]*client
	items                    []string
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

// prepare makes the meeting and has it approved.
func (c *session) prepare() {
	c.id = c.office.make(m{"title": "Kỳ họp thứ 12, Hội đồng nhân dân tỉnh", "kind": "Kỳ họp thường lệ", "place": "Hội trường tỉnh và 215 điểm cầu",
		"plannedStart": "2026-12-09T08:00:00+07:00", "plannedEnd": "2026-12-09T11:30:00+07:00"})
	people := []m{{"id": "user:chair", "role": "chair", "voting": true}, {"id": "user:sec", "role": "secretary"},
		{"id": "user:tech", "role": "operator"}, {"id": "user:obs", "role": "observer"}}
	for i := 1; i <= 89; i++ {
		people = append(people, m{"id": fmt.Sprintf("user:d%02d", i), "role": "delegate", "voting": true, "name": "Tên giả", "unit": "giả"})
	}
	c.office.give(c.id, "person.invite", m{"people": people})
	var points []m
	for i := 1; i <= 215; i++ {
		points = append(points, m{"id": fmt.Sprintf("point:p%03d", i), "role": "point", "personal": i > 83})
	}
	c.office.give(c.id, "person.invite", m{"people": points})
	for _, it := range []m{{"title": "Báo cáo kinh tế - xã hội năm 2026", "minutes": 30}, {"title": "Nghị quyết về dự toán ngân sách", "minutes": 45},
		{"title": "Lấy phiếu tín nhiệm", "minutes": 20}} {
		c.items = append(c.items, fmt.Sprintf("i%d", c.office.give(c.id, "agenda.add", it)))
	}
	c.office.give(c.id, "meeting.submit", m{})
	c.office.give(c.id, "meeting.approve", m{})
}

// gather gives away one vote, takes attendance and begins.
func (c *session) gather() {
	c.of("d89").give(c.id, "delegation.offer", m{"to": m{"id": "user:uq", "name": "Ai đó"}})
	c.of("uq").give(c.id, "delegation.answer", m{"from": "user:d89", "accept": true})
	c.point("p001").give(c.id, "ready.report", m{"camera": "ok", "microphone": "ok", "speaker": "ok", "line": "ok"})
	c.point("p001").give(c.id, "roster.count", m{"point": "point:p001", "count": 32})
	for i := 1; i <= 85; i++ {
		c.delegates = append(c.delegates, fmt.Sprintf("d%02d", i))
	}
	c.delegates = append(c.delegates, "chair", "uq")
	c.clients["chair"] = c.chair
	var ids []string
	for _, id := range c.delegates {
		c.of(id).give(c.id, "attendance.checkin", m{"mode": "in_person"})
		ids = append(ids, "user:"+id)
	}
	c.sec.give(c.id, "attendance.confirm", m{"people": ids})
	c.sec.give(c.id, "attendance.absent", m{"people": []string{"user:d86"}, "reason": "đường bị sạt lở"})
	c.now.Store(time.Date(2026, 12, 9, 1, 0, 0, 0, time.UTC).UnixMilli())
	c.chair.give(c.id, "meeting.start", m{})
}

// debate is the first item: speakers with a limit, and a point that is called.
func (c *session) debate() {
	c.chair.give(c.id, "agenda.start", m{"item": c.items[0]})
	c.chair.give(c.id, "speak.open", m{"limit": 180})
	one := fmt.Sprintf("r%d", c.of("d01").give(c.id, "speak.request", m{"topic": "thu ngân sách"}))
	two := fmt.Sprintf("r%d", c.of("d02").give(c.id, "speak.request", m{"topic": "đầu tư công"}))
	c.chair.give(c.id, "speak.start", m{"request": one})
	c.wait(2 * time.Minute)
	c.chair.give(c.id, "speak.start", m{"request": two})
	c.wait(time.Minute)
	c.of("d02").give(c.id, "speak.finish", m{"request": two})
	c.call()
	c.chair.give(c.id, "agenda.finish", m{"item": c.items[0]})
}

// call calls a point: it publishes while it is called and not afterwards, whatever
// its token says.
func (c *session) call() {
	t := c.t
	var before, during struct{ Token, Identity, Room, URL string }
	room := c.point("p084")
	room.into(http.StatusOK, &before, "POST", path(c.id, "/join"), m{})
	require.Equal(t, "point:p084", before.Identity)
	require.Equal(t, c.id, before.Room)
	require.False(t, c.claims(before.Token).Video.GetCanPublish())
	g, ours, err := c.s.Admit(t.Context(), c.id, before.Identity)
	require.NoError(t, err)
	require.True(t, ours && g.Join && g.Subscribe)
	require.Empty(t, g.Publish)
	c.studio.enter(c.id, before.Identity, g)
	c.studio.enter(c.id, "user:stranger#x", meeting.Grant{Join: true})
	c.studio.enter(c.id, "user:d01#c-phone", meeting.Grant{Join: true})
	c.studio.mu.Lock()
	c.studio.fail = 2 // what fails is tried again
	c.studio.mu.Unlock()
	c.tech.give(c.id, "point.call", m{"point": "point:p084", "seconds": 120})
	room.give(c.id, "point.answer", m{"accept": true})
	c.publishes(c.id, "point:p084", "camera", "microphone", "screen_share")
	c.until("a stranger is removed", func(d *studio) bool { return len(d.removed) == 1 && d.removed[0] == "user:stranger#x" })
	room.into(http.StatusOK, &during, "POST", path(c.id, "/join"), m{})
	require.True(t, c.claims(during.Token).Video.GetCanPublish())
	c.wait(90 * time.Second)
	c.tech.give(c.id, "point.end", m{})
	c.publishes(c.id, "point:p084")
	// The token of the call gives nothing back.
	g, ours, err = c.s.Admit(t.Context(), c.id, during.Identity)
	require.NoError(t, err)
	require.True(t, ours && g.Join)
	require.Empty(t, g.Publish)
	_, ours, err = c.s.Admit(t.Context(), "phong-khac", "user:chair#a")
	require.NoError(t, err)
	require.False(t, ours)
	var hidden, phone struct{ Token, Identity string }
	c.of("obs").into(http.StatusOK, &hidden, "POST", path(c.id, "/join"), m{"device": "a"})
	require.True(t, c.claims(hidden.Token).Video.Hidden)
	require.False(t, c.claims(hidden.Token).Video.GetCanPublish())
	c.chair.into(http.StatusOK, &phone, "POST", path(c.id, "/join"), m{"device": "dt", "companion": true})
	require.Equal(t, "user:chair#c-dt", phone.Identity)
	v := c.claims(phone.Token).Video
	require.False(t, v.GetCanSubscribe() || v.GetCanPublish())
	require.True(t, v.Hidden)
	g, _, err = c.s.Admit(t.Context(), c.id, phone.Identity)
	require.NoError(t, err)
	require.False(t, g.Subscribe)
	for _, device := range []string{"", "c-x", "A", "a#b", strings.Repeat("a", 17)} {
		c.chair.refused(http.StatusUnprocessableEntity, "bad_device", "POST", path(c.id, "/join"), m{"device": device})
	}
}

func (b *bench) claims(token string) *lkauth.ClaimGrants {
	b.t.Helper()
	c, err := b.verifier.Verify(token)
	require.NoError(b.t, err)
	return c.Grants
}

// decide is the second item: an open vote.
func (c *session) decide() {
	c.chair.give(c.id, "agenda.start", m{"item": c.items[1]})
	vote := fmt.Sprintf("v%d", c.sec.give(c.id, "vote.draft", m{"title": "Thông qua Nghị quyết về dự toán ngân sách", "item": c.items[1]}))
	c.sec.not(http.StatusUnprocessableEntity, "bad_value", c.id, "vote.open", m{"vote": vote, "ballotKey": strings.Repeat("k", 392)})
	c.chair.give(c.id, "vote.open", m{"vote": vote})
	for i, id := range c.delegates {
		choice := "yes"
		if i%20 == 7 {
			choice = "no"
		}
		c.of(id).give(c.id, "ballot.give", m{"vote": vote, "choices": []string{choice}})
	}
	c.wait(time.Minute)
	c.chair.give(c.id, "vote.close", m{"vote": vote})
	c.chair.give(c.id, "vote.publish", m{"vote": vote})
	c.chair.give(c.id, "agenda.finish", m{"item": c.items[1]})
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

// publicKey is the key of a vote as the client's socket told it.
func publicKey(t *testing.T, body json.RawMessage) *ballot.Public {
	var opened meeting.VoteOpened
	require.NoError(t, json.Unmarshal(body, &opened))
	return parsePublic(t, opened.BallotKey)
}

// elect is the third item: a secret vote.
func (c *session) elect() {
	t := c.t
	c.chair.give(c.id, "agenda.start", m{"item": c.items[2]})
	socket := c.of("d01").open(c.id, "")
	socket.next("snapshot")
	vote := fmt.Sprintf("v%d", c.sec.give(c.id, "vote.draft", m{"title": "Phiếu tín nhiệm", "item": c.items[2], "secret": true, "majority": "two_thirds"}))
	c.chair.give(c.id, "vote.open", m{"vote": vote})
	public := publicKey(t, socket.event("vote.opened"))
	v := ballot.Vote{Meeting: c.id, ID: vote}
	var slips []slip
	for _, id := range c.delegates {
		slips = append(slips, c.of(id).fetch(v, public))
	}
	other := c.of("d05")
	blinding, err := public.Blind(nil, v, slips[0].token)
	require.NoError(t, err)
	other.refused(http.StatusConflict, "already_issued", "POST", path(c.id, "/votes/"+vote+"/ballot"), m{"blinded": ballot.EncodeBlob(blinding.Message)})
	c.sec.refused(http.StatusForbidden, "not_entitled", "POST", path(c.id, "/votes/"+vote+"/ballot"), m{"blinded": ballot.EncodeBlob(blinding.Message)})
	c.restart() // the sealed key is opened again
	anybody := c.nobody()
	var wait sync.WaitGroup
	sizes := make([]int, len(slips))
	for i, s := range slips {
		choice := "yes"
		if i%10 == 3 {
			choice = "other"
		}
		body := s.body(t, 1, choice)
		wait.Add(1)
		go func() {
			defer wait.Done()
			status, raw, h := anybody.do("POST", "/api/v1/ballots", body)
			sizes[i] = len(raw)
			if status != http.StatusOK || h.Get("Set-Cookie") != "" {
				t.Errorf("%d %s", status, raw)
			}
		}()
	}
	wait.Wait()
	for _, n := range sizes {
		require.Equal(t, receiptSize, n)
	}
	// The first changes the mind; what comes late changes nothing.
	anybody.into(http.StatusOK, nil, "POST", "/api/v1/ballots", slips[0].body(t, 3, "no"))
	anybody.into(http.StatusOK, nil, "POST", "/api/v1/ballots", slips[0].body(t, 3, "no"))
	// Credentials are not looked at: with a cookie and no CSRF token it is the same.
	cookie := c.of("d07")
	csrf := cookie.csrf
	cookie.csrf = ""
	cookie.into(http.StatusOK, nil, "POST", "/api/v1/ballots", slips[0].body(t, 3, "no"))
	cookie.csrf = csrf
	anybody.refused(http.StatusConflict, "ballot_stale", "POST", "/api/v1/ballots", slips[0].body(t, 2, "yes"))
	anybody.refused(http.StatusConflict, "ballot_conflict", "POST", "/api/v1/ballots", slips[0].body(t, 3, "yes"))
	anybody.refused(http.StatusUnprocessableEntity, "bad_choice", "POST", "/api/v1/ballots", slips[1].body(t, 2, "maybe"))
	forged := slips[2]
	forged.token[0]++
	anybody.refused(http.StatusForbidden, "ballot_invalid", "POST", "/api/v1/ballots", forged.body(t, 2, "yes"))
	anybody.refused(http.StatusBadRequest, "bad_json", "POST", "/api/v1/ballots", []byte("{}"))
	require.Equal(t, 1, c.count(`SELECT count(*) FROM meeting_ballot_keys`))
	c.chair.give(c.id, "vote.close", m{"vote": vote})
	anybody.refused(http.StatusConflict, "vote_closed", "POST", "/api/v1/ballots", slips[3].body(t, 2, "no"))
	c.chair.give(c.id, "vote.publish", m{"vote": vote})
	require.Eventually(t, func() bool { return c.count(`SELECT count(*) FROM meeting_ballot_keys`) == 0 }, 10*time.Second, 5*time.Millisecond)
	require.NoError(t, c.hub.Look(t.Context(), c.id, func(st *meeting.State) {
		r := st.Votes[vote].Result
		require.Equal(t, []int{77, 1, 9}, []int{r.Counts[0].Total, r.Counts[1].Total, r.Counts[2].Total})
		require.Equal(t, 87, r.Issued)
	}))
	require.False(t, c.lines.has("ballot.cast", "ok"))
	c.chair.give(c.id, "agenda.finish", m{"item": c.items[2]})
}

func (b *bench) count(query string) (n int) {
	require.NoError(b.t, b.db.QueryRow(b.t.Context(), query).Scan(&n))
	return n
}

func TestCouncilSession(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		c := b.populate()
		c.prepare()
		c.gather()
		c.debate()
		c.decide()
		c.elect()
		conclusion := c.sec.give(c.id, "conclusion.write", m{"text": "Giao Thường trực HĐND tỉnh ban hành nghị quyết trước ngày 15/12/2026."})
		c.chair.give(c.id, "conclusion.issue", m{"conclusion": fmt.Sprintf("k%d", conclusion)})
		c.wait(5 * time.Minute)
		c.chair.give(c.id, "meeting.end", m{})
		c.chair.not(http.StatusConflict, "wrong_state", c.id, "meeting.pause", m{})
		c.of("d01").refused(http.StatusForbidden, "forbidden", "GET", path(c.id, "/record"), nil)
		status, record, _ := c.sec.do("GET", path(c.id, "/record"), nil)
		require.Equal(t, http.StatusOK, status)
		golden(t, "testdata/record.txt", string(record))
		status, list, _ := c.sec.do("GET", path(c.id, "/attendance.csv"), nil)
		require.Equal(t, http.StatusOK, status)
		golden(t, "testdata/attendance.csv", string(list))
		require.NotContains(t, string(list), "Tên giả")
		// What is live is the fold of the journal.
		var now, replayed []byte
		require.NoError(t, b.hub.Look(t.Context(), c.id, func(st *meeting.State) { now, _ = json.Marshal(st) }))
		st := meeting.New(c.id)
		require.NoError(t, fold(t.Context(), b.db, st))
		replayed, err := json.Marshal(st)
		require.NoError(t, err)
		require.JSONEq(t, string(now), string(replayed))
		verified(b)
		require.True(t, b.lines.has("meeting.start", "ok"))
		require.True(t, b.lines.has("meeting.pause", "wrong_state"))
	})
}
