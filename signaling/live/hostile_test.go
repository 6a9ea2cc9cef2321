package live

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/journal"
	"diemcau/signaling/meeting"
	"diemcau/signaling/store/storetest"
)

// TestWhoWentWhileTheMeetingWasAway: after a kill those are shown as connected who are.
func TestWhoWentWhileTheMeetingWasAway(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		h.running("m1", 3)
		chair := h.watch("m1", "user:chair", 0, true)
		for _, who := range []string{delegate(0), delegate(1)} {
			h.watch("m1", who, 0, true)
		}
		here := func(who string, want bool) {
			t.Helper()
			for chair.state == nil || chair.state.People[who].Here != want {
				select {
				case f := <-chair.w.Frames():
					chair.take(f)
				case <-chair.w.Gone():
					require.FailNow(t, "gone", "%q", chair.w.Why())
				case <-time.After(30 * time.Second):
					require.FailNow(t, "no presence", "%s %t", who, want)
				}
			}
		}
		here(delegate(0), true)
		here(delegate(1), true)
		h.stop()
		h.start()
		h.hub.settleAfter = 300 * time.Millisecond
		chair = h.watch("m1", "user:chair", 0, true)
		h.watch("m1", delegate(1), 0, true)
		here(delegate(0), false)
		require.True(t, chair.state.People[delegate(1)].Here)
		require.True(t, chair.state.People["user:chair"].Here)
		h.consistent("m1")
	})
}

// TestACommandThatPanics is refused, and nobody else notices.
func TestACommandThatPanics(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		h.hub.decide = func(s *meeting.State, c meeting.Command, now time.Time) ([]meeting.Event, error) {
			if c.Type == "meeting.pause" {
				var none *meeting.State
				_ = none.Seq
			}
			return meeting.Decide(s, c, now)
		}
		h.running("m1", 2)
		w := h.watch("m1", "user:chair", 0, true)
		_, err := h.try("m1", actor("user:chair"), "meeting.pause", m{})
		require.ErrorContains(t, err, "panicked")
		w.until(h.ok("m1", actor("user:chair"), "speak.open", m{"list": "speak"}))
		h.consistent("m1")
	})
}

// TestALookThatPanics is its caller's panic.
func TestALookThatPanics(t *testing.T) {
	h := newHall(t, storetest.Open(t, storetest.SQLite(t)))
	h.running("m1", 2)
	func() {
		defer func() { require.Contains(t, fmt.Sprint(recover()), "mine") }()
		_ = h.hub.Look(t.Context(), "m1", func(*meeting.State) { panic("mine") })
		require.Fail(t, "no panic")
	}()
	h.ok("m1", actor("user:chair"), "meeting.pause", m{})
}

// TestClosedTwice: a watcher that is closed again does not count as two that went.
func TestClosedTwice(t *testing.T) {
	h := newHall(t, storetest.Open(t, storetest.SQLite(t)))
	h.running("m1", 2)
	stays := h.watch("m1", "user:chair", 0, true)
	goes := h.watch("m1", delegate(0), 0, true)
	goes.w.Close()
	goes.w.Close()
	h.now.Add(idleFor.Milliseconds() + 1)
	h.hub.sweep()
	stays.until(h.ok("m1", actor("user:chair"), "meeting.pause", m{}))
}

// TestMeetingsNobodyIsIn make way for one that somebody wants; those that somebody is in
// do not.
func TestMeetingsNobodyIsIn(t *testing.T) {
	h := newHall(t, storetest.Open(t, storetest.SQLite(t)))
	h.running("first", 1)
	w := h.watch("first", "user:chair", 0, true)
	for i := range maxRooms + 5 {
		h.now.Add(1000)
		h.ok(fmt.Sprintf("m%d", i), office, "meeting.create", m{"title": "Họp", "unit": "u1"})
	}
	w.until(h.ok("first", actor("user:chair"), "meeting.pause", m{}))
	h.ok("m0", office, "agenda.add", m{"title": "Khai mạc"}) // and comes back when it is wanted

	var used []*room
	h.hub.mu.Lock()
	for _, r := range h.hub.rooms {
		r.users++
		used = append(used, r)
	}
	h.hub.mu.Unlock()
	require.Len(t, used, maxRooms)
	defer func() {
		for _, r := range used {
			h.hub.release(r)
		}
	}()
	_, err := h.try("another", office, "meeting.create", m{"title": "Họp", "unit": "u1"})
	require.ErrorIs(t, err, ErrBusy)
}

// TestAJournalThatCannotBeRead: the meeting is refused with the reason, and its lease is
// given back.
func TestAJournalThatCannotBeRead(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		for name, body := range map[string]string{"none": `{"at":1,"events":[]}`, "other": `{"at":1,"events":[{"seq":1,"type":"x","body":{}}]}`, "no JSON object": `1`} {
			w, err := h.log.Open(t.Context(), name, "test")
			require.NoError(t, err)
			_, err = w.Append(t.Context(), journal.Draft{Command: "c", Author: "user:a", Body: []byte(body)})
			require.NoError(t, err)
			err = h.hub.Look(t.Context(), name, func(*meeting.State) {})
			require.ErrorContains(t, err, "entry 1", name)
			other, err := h.log.Open(t.Context(), name, "another process")
			require.NoError(t, err, name)
			require.NoError(t, other.Release(t.Context()))
		}
	})
}

// TestVeryFarBehind: who missed more than is worth folding is shown the meeting as it is.
func TestVeryFarBehind(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		h.hub.maxMissed = 6
		h.running("m1", 3)
		first := h.watch("m1", delegate(0), 0, true)
		seqs := h.script("m1")
		last := seqs[len(seqs)-1]
		first.until(last)
		for missed, snapshot := range map[uint64]bool{1: false, 6: false, 7: true, last - 1: true} {
			v := h.watch("m1", delegate(0), last-missed, false)
			_, _, is := open(t, <-v.w.Frames())
			require.Equal(t, snapshot, is, "%d missed", missed)
			v.w.Close()
		}
	})
}

// TestARightIsTakenAway, or given: who comes back is shown what they may see now, on
// each device, and not the events that follow what they could see before.
func TestARightIsTakenAway(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		h.running("m1", 3)
		h.ok("m1", office, "vote.draft", m{"title": "Dự thảo chưa công bố"})
		one := h.watch("m1", delegate(0), 0, true)
		two := h.watch("m1", delegate(0), 0, true)
		last, turn := h.ok("m1", actor("user:chair"), "speak.open", m{"list": "speak"}), 0
		back := func(v *viewer, ps ...meeting.Permission) (snapshot bool) {
			v.w.Close()
			v.who.Permissions = meeting.Permissions(ps...)
			v.come("m1", v.seq, false)
			last = h.ok("m1", actor("user:chair"), "chat.set", m{"mode": []string{"all", "off"}[turn%2]})
			turn++
			for v.seq < last {
				f := <-v.w.Frames()
				_, _, is := open(t, f)
				snapshot = snapshot || is
				v.take(f)
			}
			v.same("m1")
			return snapshot
		}
		one.until(last)
		two.until(last)
		require.False(t, back(one))
		require.True(t, back(one, meeting.PermPrepare))
		require.Len(t, one.state.Votes, 1)
		require.True(t, back(two, meeting.PermPrepare), "on the other device, too")
		require.False(t, back(two, meeting.PermPrepare))
		require.True(t, back(two))
		require.Empty(t, two.state.Votes)
		require.True(t, back(one))
		require.Empty(t, one.state.Votes)
	})
}

// TestNumbersFromNowhere: whatever number somebody comes back with, they end up with the
// view that is theirs.
func TestNumbersFromNowhere(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		h.running("m1", 2)
		last := h.script("m1")[9]
		for _, from := range []uint64{0, last + 1, 1 << 40, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
			v := h.watch("m1", delegate(0), from, false)
			v.take(<-v.w.Frames())
			require.NotNil(t, v.state, from)
			v.same("m1")
			v.w.Close()
			stranger := h.watch("m1", "user:stranger", from, false)
			f := <-stranger.w.Frames()
			require.True(t, f.Last(), "%s", f.Bytes())
			stranger.w.Close()
		}
	})
}
