package live

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/meeting"
)

// script is what happens in a session, one thing after the other.
func (h *hall) script(id string) []uint64 {
	chair := actor("user:chair")
	seqs := []uint64{
		h.ok(id, chair, "agenda.start", m{"item": h.item(id, 0)}),
		h.ok(id, actor("user:sec"), "agenda.hide", m{"item": h.item(id, 1)}),
		h.ok(id, chair, "speak.open", m{"list": "speak"}),
		h.registers(id, delegate(0)),
		h.ok(id, chair, "speak.add", m{"list": "speak", "person": delegate(1), "topic": "Về giao thông"}),
		h.ok(id, actor(delegate(0)), "speak.withdraw", m{"request": h.request(id, delegate(0))}),
		h.ok(id, actor("user:chair"), "speak.refuse", m{"request": h.request(id, delegate(1)), "reason": "Đã hết giờ"}),
		h.ok(id, actor("user:sec"), "agenda.show", m{"item": h.item(id, 1)}),
		h.ok(id, chair, "speak.close", m{"list": "speak"}),
		h.ok(id, chair, "agenda.finish", m{"item": h.item(id, 0)}),
	}
	return seqs
}

// registers has somebody register to speak; the chair does it for whom has done so and
// withdrawn too often.
func (h *hall) registers(id, who string) uint64 {
	seq, err := h.try(id, actor(who), "speak.request", m{"list": "speak", "topic": "Về dự toán"})
	if err == nil {
		return seq
	}
	return h.ok(id, actor("user:chair"), "speak.add", m{"list": "speak", "person": who, "topic": "Về dự toán"})
}

// request is the waiting request to speak of somebody.
func (h *hall) request(id, who string) (request string) {
	require.NoError(h.t, h.hub.Look(h.t.Context(), id, func(s *meeting.State) {
		for _, r := range s.Speak.Requests {
			if r.Person == who && r.State == "waiting" {
				request = r.ID
			}
		}
	}))
	return request
}

func (h *hall) item(id string, n int) string {
	var items []string
	require.NoError(h.t, h.hub.Look(h.t.Context(), id, func(s *meeting.State) {
		for k := range s.Agenda.Items {
			items = append(items, k)
		}
	}))
	slices.SortFunc(items, func(a, b string) int { return len(a)*1000 - len(b)*1000 + slices.Compare([]byte(a), []byte(b)) })
	return items[n]
}

// TestFollowing: whoever watches, the events they are sent lead to what a snapshot
// would show them.
func TestFollowing(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		h.running("m1", 3)
		var all []*viewer
		for _, who := range []string{"user:chair", "user:sec", delegate(0), delegate(1), "user:stranger"} {
			all = append(all, h.watch("m1", who, 0, true))
		}
		seqs := h.script("m1")
		for _, v := range all[:4] {
			v.until(seqs[len(seqs)-1])
			v.same("m1")
		}
		stranger := all[4]
		f := <-stranger.w.Frames()
		require.Contains(t, string(f.Bytes()), `"state":null`)
		require.True(t, f.Last())
		select {
		case f := <-stranger.w.Frames():
			require.Fail(t, "a stranger was told", string(f.Bytes()))
		default:
		}
	})
}

// TestComingBack at any event gives exactly what was missed: no event twice, none left out.
func TestComingBack(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		h.running("m1", 3)
		full := h.watch("m1", delegate(0), 0, true)
		seqs := h.script("m1")
		last := seqs[len(seqs)-1]
		full.until(last)
		for from := full.events[0]; from <= last; from++ {
			v := h.watch("m1", delegate(0), from, false)
			// What they had seen by then.
			frames := 0
			var got []uint64
			for v.seq < last && from < last {
				f := <-v.w.Frames()
				v.state = meeting.Snapshot(meeting.New("m1"), v.who)
				seq, events, snapshot := open(t, f)
				frames++
				require.False(t, snapshot)
				v.seq = seq
				got = append(got, events...)
			}
			var want []uint64
			for _, e := range full.events {
				if e > from {
					want = append(want, e)
				}
			}
			require.Equal(t, want, got, "from %d", from)
			v.w.Close()
		}
	})
}

// TestComingBackWhileItGoesOn: many come back at random events while the session goes
// on; each ends with the view that a snapshot gives.
func TestComingBackWhileItGoesOn(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		h.running("m1", 3)
		people := []string{"user:chair", "user:sec", delegate(0), delegate(1)}
		var all []*viewer
		for _, who := range people {
			all = append(all, h.watch("m1", who, 0, true))
		}
		r := rand.New(rand.NewPCG(1, 2))
		var last uint64
		for range 20 {
			seqs := h.script("m1")
			for _, v := range all {
				if r.IntN(2) == 0 {
					continue
				}
				v.until(seqs[r.IntN(len(seqs))])
				v.w.Close()
				v.come("m1", v.seq, r.IntN(3) == 0) // some as if they had never been there
			}
			h.ok("m1", actor("user:chair"), "agenda.start", m{"item": h.item("m1", 0)})
			last = h.ok("m1", actor("user:chair"), "agenda.finish", m{"item": h.item("m1", 0)})
		}
		for _, v := range all {
			v.until(last)
			v.same("m1")
			require.True(t, slices.IsSorted(v.events))
			require.Len(t, slices.Compact(slices.Clone(v.events)), len(v.events), "no event twice")
		}
	})
}

// TestSlow: who does not take frames is closed with the reason; the others do not wait.
func TestSlow(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		h.running("m1", 3)
		slow := h.watch("m1", delegate(0), 0, true)
		quick := h.watch("m1", "user:chair", 0, true)
		var last uint64
		for range maxQueued/2 + 10 {
			h.ok("m1", actor("user:chair"), "meeting.pause", m{})
			last = h.ok("m1", actor("user:chair"), "meeting.resume", m{})
			quick.until(last)
		}
		<-slow.w.Gone()
		require.Equal(t, ReasonSlow, slow.w.Why())
		quick.same("m1")
		// And comes back from where it was.
		slow.take(<-slow.w.Frames())
		slow.come("m1", slow.seq, false)
		slow.until(last)
		slow.same("m1")
	})
}

// TestPresence: who connects is here, with however many devices, until the last goes.
func TestPresence(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		h.running("m1", 2)
		chair := h.watch("m1", "user:chair", 0, true)
		here := func(want bool) {
			t.Helper()
			for chair.state == nil || chair.state.People[delegate(0)].Here != want {
				select {
				case f := <-chair.w.Frames():
					chair.take(f)
				case <-t.Context().Done():
					require.FailNow(t, "no presence")
				}
			}
		}
		here(false)
		one := h.watch("m1", delegate(0), 0, true)
		two := h.watch("m1", delegate(0), 0, true)
		here(true)
		one.w.Close()
		two.w.Close()
		here(false)
		h.consistent("m1")
	})
}
