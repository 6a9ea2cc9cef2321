package live

import (
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/journal"
	"diemcau/signaling/meeting"
)

// TestAMeetingLivesOn: what was applied is there after the process has ended, and the
// state is the fold of the journal.
func TestAMeetingLivesOn(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		h.running("m1", 20)
		vote := h.vote("m1", false)
		for i := range 20 {
			h.ok("m1", actor(delegate(i)), "ballot.give", m{"vote": vote, "choices": []string{"yes"}})
		}
		before := h.state("m1")
		require.Equal(t, before, h.replayed("m1"))
		h.stop()
		h.start()
		require.Equal(t, before, h.state("m1"))
		seq := h.ok("m1", actor("user:chair"), "vote.close", m{"vote": vote})
		require.NotZero(t, seq)
		h.consistent("m1")
	})
}

// TestNoMeeting: asking for a meeting does not make it.
func TestNoMeeting(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		_, err := h.try("m1", office, "meeting.submit", m{})
		require.ErrorIs(t, err, ErrNoMeeting)
		_, err = h.hub.Watch(t.Context(), "m1", meeting.Viewer{ID: "user:a"}, 0, true)
		require.ErrorIs(t, err, ErrNoMeeting)
		require.ErrorIs(t, h.hub.Look(t.Context(), "m1", func(*meeting.State) {}), ErrNoMeeting)
		h.ok("m1", office, "meeting.create", m{"title": "Họp giao ban", "unit": "u1"})
		h.ok("m1", office, "agenda.add", m{"title": "Khai mạc"})
	})
}

// TestOnce: a command is applied once, at whatever distance it comes again, and gets
// the number it had.
func TestOnce(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		h.running("m1", 3)
		vote := h.vote("m1", false)
		d := actor(delegate(0))
		first := h.command(d, "ballot.give", m{"vote": vote, "choices": []string{"yes"}})
		seq, err := h.hub.Apply(t.Context(), "m1", first)
		require.NoError(t, err)
		for i := range 100 {
			h.ok("m1", d, "ballot.give", m{"vote": vote, "choices": []string{[]string{"yes", "no"}[i%2]}})
		}
		for range 2 {
			again, err := h.hub.Apply(t.Context(), "m1", first)
			require.NoError(t, err)
			require.Equal(t, seq, again)
			h.stop()
			h.start()
		}
		var choices []string
		require.NoError(t, h.hub.Look(t.Context(), "m1", func(s *meeting.State) { choices = s.Votes[vote].Ballots[d.ID] }))
		require.Equal(t, []string{"no"}, choices)

		// The same id at the same time from many devices.
		c := h.command(actor(delegate(1)), "ballot.give", m{"vote": vote, "choices": []string{"yes"}})
		var wg sync.WaitGroup
		seqs := make([]uint64, 50)
		for i := range seqs {
			wg.Go(func() { seqs[i], _ = h.hub.Apply(t.Context(), "m1", c) })
		}
		wg.Wait()
		for _, s := range seqs {
			require.Equal(t, seqs[0], s)
			require.NotZero(t, s)
		}
	})
}

// TestARefusalChangesNothing and says why.
func TestARefusalChangesNothing(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		h.running("m1", 2)
		before := h.state("m1")
		_, err := h.try("m1", actor(delegate(0)), "meeting.end", m{})
		var p *meeting.Problem
		require.True(t, errors.As(err, &p), "%v", err)
		require.Equal(t, "forbidden", p.Code)
		require.Equal(t, before, h.state("m1"))
		require.Equal(t, before, h.replayed("m1"))
	})
}

// TestManyBallots at once: each that is acknowledged counts, once.
func TestManyBallots(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		const n = 300
		h.running("m1", n)
		vote := h.vote("m1", false)
		chair := h.watch("m1", "user:chair", 0, true)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				if _, err := h.try("m1", actor(delegate(i)), "ballot.give", m{"vote": vote, "choices": []string{"yes"}}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		seq := h.ok("m1", actor("user:chair"), "vote.close", m{"vote": vote})
		chair.until(seq)
		for chair.state.Votes[vote].Cast < n {
			chair.take(<-chair.w.Frames()) // the count comes right behind
		}
		chair.same("m1")
		require.Less(t, chair.frames, n/2, "the count is told now and then, not for each ballot")
		require.Equal(t, n, chair.state.Votes[vote].Cast)
		h.consistent("m1")
	})
}

// TestAnotherWriter: who has lost the meeting to another process acknowledges nothing
// more, and what the other wrote is there when it comes back.
func TestAnotherWriter(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		h.running("m1", 2)
		w := h.watch("m1", "user:chair", 0, true)
		other, err := h.log.Open(t.Context(), "m1", "test") // the same owner may at once
		require.NoError(t, err)
		events := []meeting.Event{}
		require.NoError(t, h.hub.Look(t.Context(), "m1", func(s *meeting.State) {
			c := h.command(actor("user:chair"), "meeting.pause", m{})
			events, err = meeting.Decide(s, c, s.At)
			require.NoError(t, err)
		}))
		d, err := draft(meeting.Command{ID: "x", Type: "meeting.pause", Actor: actor("user:chair")}, events, h.hub.o.Now())
		require.NoError(t, err)
		_, err = other.Append(t.Context(), d)
		require.NoError(t, err)
		// The hub notices, loads the meeting anew, and decides in the light of it.
		_, err = h.try("m1", actor("user:chair"), "meeting.pause", m{})
		var p *meeting.Problem
		require.True(t, errors.As(err, &p), "%v", err)
		require.Equal(t, "wrong_state", p.Code)
		<-w.w.Gone()
		require.Equal(t, ReasonReload, w.w.Why())
		h.ok("m1", actor("user:chair"), "meeting.resume", m{})
		h.consistent("m1")
		require.ErrorIs(t, func() error { _, err := other.Append(t.Context(), d); return err }(), journal.ErrFenced)
	})
}
