package live

import (
	"testing"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/meeting"
	"diemcau/signaling/store/storetest"
)

// TestACommitOfUnknownOutcome: the line to PostgreSQL breaks in the middle of a COMMIT.
// Whether it had arrived or not, whoever is acknowledged counts once, and nobody is
// told that nothing happened when it did.
func TestACommitOfUnknownOutcome(t *testing.T) {
	wire, url := storetest.NewWire(t, storetest.Postgres(t))
	h := newHall(t, storetest.Open(t, url))
	h.running("m1", 10)
	vote := h.vote("m1", false)
	for i := range 6 {
		if i%2 == 0 {
			wire.LoseAnswer()
		} else {
			wire.LoseCommit()
		}
		c := h.command(actor(delegate(i)), "ballot.give", m{"vote": vote, "choices": []string{"yes"}})
		seq, err := h.hub.Apply(t.Context(), "m1", c)
		require.NoError(t, err, "it is settled by the command's id")
		again, err := h.hub.Apply(t.Context(), "m1", c)
		require.NoError(t, err)
		require.Equal(t, seq, again)
		require.NoError(t, h.hub.Look(t.Context(), "m1", func(s *meeting.State) { require.Equal(t, i+1, s.Votes[vote].Cast) }))
		h.consistent("m1")
	}
}
