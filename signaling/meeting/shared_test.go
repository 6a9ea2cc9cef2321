package meeting

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// sharing compares snapshots put together of what is shared with those made alone, and
// counts what was one's own in them, so that a comparison of nothing is noticed.
type sharing struct {
	t    tester
	owns map[string]int
}

// all compares those of all viewers. What is shared is made for the first of each
// standing and used for the others.
func (h *sharing) all(s *State, viewers []Viewer) {
	h.t.Helper()
	shared := map[string]*Shared{}
	for _, w := range viewers {
		standing := Standing(s, w)
		c, ok := shared[standing]
		if !ok {
			c = Share(s, w)
			shared[standing] = c
		}
		alone := Snapshot(s, w)
		if c == nil {
			v := look(s, w)
			require.False(h.t, v.in, "%s is in the meeting", w.ID)
			continue
		}
		require.NotNil(h.t, alone, w.ID)
		own := c.Own(s, w)
		parts, err := c.JSON(own)
		require.NoError(h.t, err)
		want, err := json.Marshal(alone)
		require.NoError(h.t, err)
		require.Equal(h.t, string(want), string(bytes.Join(parts, nil)), "%s, %s", w.ID, standing)
		h.count(own)
	}
}

func (h *sharing) count(o *Own) {
	for name, n := range map[string]int{"others": max(0, len(o.people)-1), "requests": len(o.speak) + len(o.question), "devices": len(o.devices),
		"readiness": len(o.readiness), "votes": len(o.votes)} {
		h.owns[name] += n
	}
	for _, v := range o.votes {
		h.owns["voters"] += len(v.voters)
		h.owns["issued"] += len(v.issued)
		h.owns["ballots"] += len(v.ballots)
	}
}

// lookers are all who have a part in the walks, with and without rights from outside.
func lookers() []Viewer {
	out := slices.Clone(watchers)
	for _, id := range append([]string{"user:new"}, everyone...) {
		out = append(out, Viewer{ID: id})
	}
	for _, id := range []string{"user:an", "user:chair", "user:obs", "user:nobody", "guest:g1"} {
		for p := range permissionCount {
			out = append(out, Viewer{ID: id, Permissions: Permissions(p)})
		}
	}
	r := rand.New(rand.NewPCG(1, 1))
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// TestSharedSnapshots: whoever looks, at every turn of long walks, a snapshot that is
// put together is the one made alone, byte for byte.
func TestSharedSnapshots(t *testing.T) {
	h := &sharing{t: t, owns: map[string]int{}}
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 7))
		w := &walker{tester: t, draw: func(_ string, n int) int { return r.IntN(n) }, taken: map[string]int{}}
		w.walk(500)
		s := New(w.tb.s.ID)
		for i, e := range w.tb.entries {
			require.NoError(t, Evolve(s, e.Event, e.At))
			if i%7 == 0 || i == len(w.tb.entries)-1 {
				h.all(s, lookers())
			}
		}
	}
	tb := running(t)
	tb.ok(chair, "speak.open", m{})
	tb.ok(chair, "speak.open", m{"list": "question", "questioned": "user:cuong"})
	tb.ok(an, "speak.request", m{})
	tb.ok(binh, "speak.request", m{"list": "question"})
	for _, q := range []*Queue{tb.s.Speak, tb.s.Question} {
		for id := range q.Requests {
			tb.ok(chair, "speak.refuse", m{"request": id, "reason": "đã hết giờ"})
		}
	}
	h.all(tb.s, lookers())
	t.Log(h.owns)
	for _, what := range []string{"others", "requests", "devices", "readiness", "votes", "voters", "issued", "ballots"} {
		require.NotZero(t, h.owns[what], what)
	}
}

// TestSharedSnapshotsOfACrowd: what is long is shared, not copied, also where the votes
// are published with names.
func TestSharedSnapshotsOfACrowd(t *testing.T) {
	tb, _ := crowd(t, 400)
	v := lastID(tb.ok(sec, "vote.draft", m{"title": "Có tên <b>&</b>", "names": true}))
	tb.ok(chair, "vote.open", m{"vote": v})
	var viewers []Viewer
	for id := range tb.s.Votes[v].Voters {
		tb.ok(who4(id), "ballot.give", pick(v, "yes"))
		viewers = append(viewers, Viewer{ID: id})
	}
	viewers = append(viewers, watchers...)
	h := &sharing{t: t, owns: map[string]int{}}
	h.all(tb.s, viewers)
	require.Greater(t, h.owns["ballots"], 390)
	tb.ok(chair, "vote.close", m{"vote": v})
	tb.ok(chair, "vote.publish", m{"vote": v})
	h.all(tb.s, viewers)

	c := Share(tb.s, viewers[0])
	one, err := c.JSON(c.Own(tb.s, viewers[0]))
	require.NoError(t, err)
	two, err := c.JSON(c.Own(tb.s, viewers[1]))
	require.NoError(t, err)
	size := func(parts [][]byte) (shared, own int) {
		for _, p := range parts {
			if len(p) >= minPart {
				shared += len(p)
			} else {
				own += len(p)
			}
		}
		return shared, own
	}
	shared, own := size(one)
	require.Greater(t, shared, 20*own, "%d shared, %d one's own", shared, own)
	require.Same(t, &one[len(one)-1][0], &two[len(two)-1][0], "the same memory")
}

// TestOwnOfAnotherState is refused, rather than mixed with what is shared.
func TestOwnOfAnotherState(t *testing.T) {
	tb := running(t)
	c := Share(tb.s, watchers[3])
	tb.ok(chair, "speak.open", m{"list": "speak"})
	_, err := c.JSON(c.Own(tb.s, watchers[3]))
	require.ErrorIs(t, err, errOtherState)
}

// BenchmarkSnapshot makes the JSON of a delegate's snapshot of a meeting of 2,000 with
// one open vote: alone, and together with others of the same standing.
func BenchmarkSnapshot(b *testing.B) {
	tb, v := crowd(b, 2000)
	viewers := make([]Viewer, 0, 2000)
	for id := range tb.s.Votes[v].Voters {
		viewers = append(viewers, Viewer{ID: id})
	}
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := json.Marshal(Snapshot(tb.s, viewers[i%len(viewers)])); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, together := range []int{1, 10, 100, 500} {
		b.Run(fmt.Sprint("shared by ", together), func(b *testing.B) {
			b.ReportAllocs()
			var c *Shared
			for i := 0; b.Loop(); i++ {
				w := viewers[i%len(viewers)]
				if i%together == 0 {
					c = Share(tb.s, w)
				}
				if _, err := c.JSON(c.Own(tb.s, w)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
