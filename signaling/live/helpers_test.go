package live

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/journal"
	"diemcau/signaling/meeting"
	"diemcau/signaling/store"
	"diemcau/signaling/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// hall is a hub under test, with what is behind it.
type hall struct {
	t     testing.TB
	db    *store.DB
	dir   string
	heads *journal.Heads
	log   *journal.Journal
	hub   *Hub
	now   atomic.Int64 // Unix milliseconds
	n     atomic.Int64
}

type m map[string]any

var office = meeting.Actor{ID: "user:office", Permissions: meeting.Permissions(meeting.PermPrepare, meeting.PermApprove)}

func actor(id string) meeting.Actor { return meeting.Actor{ID: id} }

// each runs a test on each database.
func each(t *testing.T, test func(t *testing.T, h *hall)) {
	storetest.Each(t, func(t *testing.T, db *store.DB) { test(t, newHall(t, db)) })
}

func newHall(t testing.TB, db *store.DB) *hall {
	h := &hall{t: t, db: db, dir: t.TempDir()}
	h.now.Store(time.Date(2026, 11, 28, 1, 0, 0, 0, time.UTC).UnixMilli())
	h.start()
	t.Cleanup(func() { h.stop() })
	return h
}

func (h *hall) start() {
	var err error
	h.heads, err = journal.OpenHeads(h.dir)
	require.NoError(h.t, err)
	h.log = journal.Start(h.db, h.heads, journal.Options{})
	h.hub, err = New(Options{
		DB: h.db, Journal: h.log, Owner: "test", Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Now: func() time.Time { return time.UnixMilli(h.now.Load()) },
	})
	require.NoError(h.t, err)
}

func (h *hall) stop() {
	h.hub.Close()
	h.log.Close()
	require.NoError(h.t, h.heads.Close())
}

func (h *hall) command(a meeting.Actor, kind string, body any) meeting.Command {
	raw, err := json.Marshal(body)
	require.NoError(h.t, err)
	c := meeting.Command{ID: fmt.Sprintf("c%d", h.n.Add(1)), Type: kind, Actor: a, Body: raw}
	if a == (meeting.Actor{}) {
		c.ID = ""
	}
	return c
}

func (h *hall) try(id string, a meeting.Actor, kind string, body any) (uint64, error) {
	return h.hub.Apply(h.t.Context(), id, h.command(a, kind, body))
}

func (h *hall) ok(id string, a meeting.Actor, kind string, body any) uint64 {
	h.t.Helper()
	seq, err := h.try(id, a, kind, body)
	require.NoError(h.t, err, "%s by %s", kind, a.ID)
	return seq
}

func delegate(i int) string { return fmt.Sprintf("user:d%d", i) }

// running makes a meeting with a chair, a secretary and delegates who are all present.
func (h *hall) running(id string, delegates int) {
	h.t.Helper()
	h.ok(id, office, "meeting.create", m{"title": "Kỳ họp thứ nhất", "unit": "u1"})
	people := []meeting.PersonInfo{
		{ID: "user:chair", Name: "Nguyễn Văn Chủ", Unit: "u1", Role: meeting.RoleChair, Voting: true},
		{ID: "user:sec", Name: "Lê Thư Ký", Unit: "u1", Role: meeting.RoleSecretary},
	}
	present := []string{"user:chair"}
	for i := range delegates {
		people = append(people, meeting.PersonInfo{
			ID: delegate(i), Name: fmt.Sprintf("Đại biểu %d", i), Unit: "u1", Role: meeting.RoleDelegate, Voting: true,
		})
		present = append(present, delegate(i))
	}
	for len(people) > 0 {
		k := min(len(people), 300)
		h.ok(id, office, "person.invite", m{"people": people[:k]})
		people = people[k:]
	}
	h.ok(id, office, "agenda.add", m{"title": "Khai mạc", "minutes": 5})
	h.ok(id, office, "agenda.add", m{"title": "Báo cáo", "minutes": 30})
	h.ok(id, office, "meeting.submit", m{})
	h.ok(id, office, "meeting.approve", m{})
	for len(present) > 0 {
		k := min(len(present), 1000)
		h.ok(id, actor("user:sec"), "attendance.confirm", m{"people": present[:k]})
		present = present[k:]
	}
	h.ok(id, actor("user:chair"), "meeting.start", m{})
}

// vote opens a vote and returns its id.
func (h *hall) vote(id string, secret bool) string {
	h.t.Helper()
	seq := h.ok(id, office, "vote.draft", m{"title": "Thông qua nghị quyết", "secret": secret})
	vote := fmt.Sprintf("v%d", seq)
	h.ok(id, actor("user:chair"), "vote.open", m{"vote": vote})
	return vote
}

// state is a copy of the state in memory, as JSON.
func (h *hall) state(id string) string {
	h.t.Helper()
	var raw []byte
	require.NoError(h.t, h.hub.Look(h.t.Context(), id, func(s *meeting.State) { raw = encode(s) }))
	return string(raw)
}

// replayed is the fold of the journal, as JSON.
func (h *hall) replayed(id string) string {
	h.t.Helper()
	s := meeting.New(id)
	for e, err := range journal.Read(h.t.Context(), h.db, id, 1) {
		require.NoError(h.t, err)
		_, _, err = fold(s, e)
		require.NoError(h.t, err)
	}
	return string(encode(s))
}

// consistent holds the state against the fold of the journal. Presence may be journaled
// between the one and the other.
func (h *hall) consistent(id string) {
	h.t.Helper()
	for {
		before := h.state(id)
		replayed := h.replayed(id)
		if after := h.state(id); before == after {
			require.True(h.t, before == replayed, "the state is not the fold of the journal:\n%.2000s\n%.2000s", before, replayed)
			return
		}
	}
}

// viewer follows a meeting as a client does.
type viewer struct {
	h      *hall
	who    meeting.Viewer
	w      *Watcher
	state  *meeting.State
	seq    uint64
	frames int
	events []uint64 // numbers of those seen
}

func (h *hall) watch(id, who string, from uint64, fresh bool) *viewer {
	h.t.Helper()
	v := &viewer{h: h, who: meeting.Viewer{ID: who}}
	v.come(id, from, fresh)
	return v
}

func (v *viewer) come(id string, from uint64, fresh bool) {
	w, err := v.h.hub.Watch(v.h.t.Context(), id, v.who, from, fresh)
	require.NoError(v.h.t, err)
	v.w = w
	v.h.t.Cleanup(w.Close)
}

// until takes frames until the viewer has seen event seq.
func (v *viewer) until(seq uint64) {
	v.h.t.Helper()
	ctx, cancel := context.WithTimeout(v.h.t.Context(), 30*time.Second)
	defer cancel()
	for v.seq < seq {
		select {
		case f := <-v.w.Frames():
			v.take(f)
		case <-v.w.Gone():
			require.FailNow(v.h.t, "gone", "%q at %d of %d", v.w.Why(), v.seq, seq)
		case <-ctx.Done():
			require.FailNow(v.h.t, "no frame", "at %d of %d", v.seq, seq)
		}
	}
}

func (v *viewer) take(f Frame) {
	var head struct {
		Type   string          `json:"type"`
		Seq    uint64          `json:"seq"`
		At     time.Time       `json:"at"`
		State  *meeting.State  `json:"state"`
		Events []meeting.Event `json:"events"`
		Vote   string          `json:"vote"`
		Cast   int             `json:"cast"`
	}
	require.NoError(v.h.t, json.Unmarshal(f.Bytes(), &head), string(f.Bytes()))
	v.frames++
	switch head.Type {
	case "snapshot":
		v.state = head.State
	case "events":
		for _, e := range head.Events {
			require.NotNil(v.h.t, v.state, "events without a snapshot")
			require.NoError(v.h.t, meeting.Evolve(v.state, e, head.At))
			v.events = append(v.events, e.Seq)
		}
	case "progress":
		v.state.Votes[head.Vote].Cast = head.Cast
	default:
		require.FailNow(v.h.t, "unknown frame", string(f.Bytes()))
	}
	v.seq = max(v.seq, head.Seq)
}

// same holds the viewer's fold against a snapshot. Presence may be on its way: they are the
// same once no frame is.
func (v *viewer) same(id string) {
	v.h.t.Helper()
	ctx, cancel := context.WithTimeout(v.h.t.Context(), 30*time.Second)
	defer cancel()
	for {
		var want string
		require.NoError(v.h.t, v.h.hub.Look(v.h.t.Context(), id, func(s *meeting.State) {
			want = bare(meeting.Snapshot(s, v.who))
		}))
		if want == bare(v.state) {
			return
		}
		select {
		case f := <-v.w.Frames():
			v.take(f)
		case <-ctx.Done():
			require.Equal(v.h.t, want, bare(v.state), v.who.ID)
		}
	}
}

// bare leaves out what says when a view was last changed.
func bare(s *meeting.State) string {
	if s == nil {
		return "null"
	}
	c := *s
	c.Seq, c.At = 0, time.Time{}
	return string(encode(&c))
}

// open reads a frame's number, and the numbers of its events.
func open(t testing.TB, f Frame) (seq uint64, events []uint64, snapshot bool) {
	var head struct {
		Type   string          `json:"type"`
		Seq    uint64          `json:"seq"`
		Events []meeting.Event `json:"events"`
	}
	require.NoError(t, json.Unmarshal(f.Bytes(), &head), string(f.Bytes()))
	for _, e := range head.Events {
		events = append(events, e.Seq)
	}
	return head.Seq, events, head.Type == "snapshot"
}
