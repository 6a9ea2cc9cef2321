package live

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/meeting"
	"diemcau/signaling/store/storetest"
)

// everybody is one viewer of each role, several delegates, and who looks from outside.
func everybody() []meeting.Viewer {
	out := []meeting.Viewer{{ID: "user:chair"}, {ID: "user:sec"}, {ID: "user:tech"}, {ID: "user:guest"}, {ID: "user:obs"}, {ID: "user:obs2"},
		{ID: "point:p1"}, {ID: "point:p2"}, {ID: "guest:g1"}, {ID: "guest:g2"}, {ID: "user:stranger"},
		{ID: "user:office", Permissions: office.Permissions}, {ID: "user:desk", Permissions: meeting.Permissions(meeting.PermOperate)}}
	for i := range 8 {
		out = append(out, meeting.Viewer{ID: delegate(i)})
	}
	return out
}

// TestSharedFrames: the frame of each viewer, made of what is shared with others, is the
// one made for them alone, byte for byte.
func TestSharedFrames(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		const id = "m1"
		h.running(id, 8)
		for _, p := range []struct {
			id   string
			role meeting.Role
		}{{"user:tech", "operator"}, {"user:guest", "guest"}, {"user:obs", "observer"}, {"user:obs2", "observer"}, {"point:p1", "point"}, {"point:p2", "point"}} {
			h.ok(id, actor("user:sec"), "person.invite", m{"note": "bổ sung", "people": []meeting.PersonInfo{{ID: p.id, Name: "Ông <b>&</b>", Unit: "u1", Role: p.role}}})
		}
		x := &views{}
		compare := func() {
			t.Helper()
			require.NoError(t, h.hub.Look(t.Context(), id, func(s *meeting.State) {
				for range 2 {
					for _, v := range everybody() {
						want := snapshotFrame(meeting.Snapshot(s, v), s.Seq, s.At).Bytes()
						require.Equal(t, string(want), string(x.of(s, v).frame().Bytes()), v.ID)
					}
				}
				require.LessOrEqual(t, len(x.shared), 8, "one for each standing")
			}))
		}
		compare()
		h.script(id)
		compare()
		h.ok(id, actor("point:p1"), "ready.report", m{"camera": "ok", "microphone": "ok", "speaker": "ok", "line": "ok"})
		h.ok(id, actor("point:p2"), "help.ask", m{"text": "mất tiếng"})
		h.ok(id, actor("guest:g1"), "lobby.enter", m{"name": "Khách"})
		open := h.vote(id, false)
		compare()
		for i := range 5 {
			h.ok(id, actor(delegate(i)), "ballot.give", m{"vote": open, "choices": []string{"yes"}})
		}
		compare()
		h.ok(id, actor("user:chair"), "vote.close", m{"vote": open})
		compare()
		h.ok(id, actor("user:chair"), "vote.publish", m{"vote": open})
		compare()
		x.rest()
		require.NotEmpty(t, x.shared)
		x.rest()
		require.Empty(t, x.shared, "what nobody asks for does not stay")
		compare()
	})
}

// TestAllComeAtOnce: many more than wait in the queue, while the meeting goes on.
func TestAllComeAtOnce(t *testing.T) {
	h := newHall(t, storetest.Open(t, storetest.SQLite(t)))
	const n = 3 * maxTogetherBehind
	h.running("m1", 40)
	views := make([]*viewer, n)
	var wg sync.WaitGroup
	for i := range views {
		views[i] = &viewer{h: h, who: meeting.Viewer{ID: delegate(i % 40)}}
		wg.Go(func() { views[i].come("m1", 0, true) })
	}
	last := h.ok("m1", actor("user:chair"), "meeting.pause", m{})
	wg.Wait()
	for _, v := range views {
		v.until(last)
	}
	views[0].same("m1")
	views[n-1].same("m1")

	// And all come back at once: each gets the events it missed, nobody everything.
	for _, v := range views {
		v.w.Close()
	}
	last = h.ok("m1", actor("user:chair"), "meeting.resume", m{})
	for _, v := range views {
		wg.Go(func() { v.come("m1", v.seq, false) })
	}
	wg.Wait()
	for i, v := range views {
		for first := true; v.seq < last; first = false {
			f := <-v.w.Frames()
			_, _, snapshot := open(t, f)
			require.False(t, snapshot, "%d, %t", i, first)
			v.take(f)
		}
	}
	views[1].same("m1")
}

// BenchmarkLateJoiners: what each of those costs who come to a meeting of 2,000 people
// for the first time, to the frame that is ready to be sent.
func BenchmarkLateJoiners(b *testing.B) {
	h := newHall(b, storetest.Open(b, storetest.SQLite(b)))
	h.running("m1", 2000)
	h.vote("m1", false)
	viewer := func(i int) meeting.Viewer { return meeting.Viewer{ID: delegate(i % 2000)} }
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			var f Frame
			_ = h.hub.Look(b.Context(), "m1", func(s *meeting.State) { f = snapshotFrame(meeting.Snapshot(s, viewer(i)), s.Seq, s.At) })
			b.ReportMetric(float64(len(f[0])), "bytes")
		}
	})
	for _, together := range []int{1, 100, 500} {
		b.Run(fmt.Sprint("together ", together), func(b *testing.B) {
			b.ReportAllocs()
			x := &views{}
			for i := 0; b.Loop(); i++ {
				if i%together == 0 {
					x = &views{}
				}
				var g sight
				_ = h.hub.Look(b.Context(), "m1", func(s *meeting.State) { g = x.of(s, viewer(i)) })
				g.frame()
			}
		})
	}
	b.Run("2000 watchers", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var wg sync.WaitGroup
			for i := range 2000 {
				wg.Go(func() {
					w, err := h.hub.Watch(b.Context(), "m1", viewer(i), 0, true)
					if err != nil {
						b.Error(err)
						return
					}
					<-w.Frames()
					w.Close()
				})
			}
			wg.Wait()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2000, "ns/watcher")
	})
}
