package conference

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/ballot"
	"diemcau/signaling/meeting"
)

// Ballots race with the close: what was acknowledged is counted, and nothing else.
// Nobody who may not close the vote cuts a batch short, and a key that a crash left
// behind is wiped.
func TestCloseCountsWhatWasAcknowledged(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		c := b.populate()
		var people []m
		var ids []string
		const n = 30
		for i := 1; i <= n; i++ {
			id := fmt.Sprintf("user:d%02d", i)
			ids = append(ids, id)
			people = append(people, m{"id": id, "role": "delegate", "voting": true})
		}
		id := c.small("Họp", "2026-12-09T08:00:00+07:00", people...)
		c.sec.give(id, "attendance.confirm", m{"people": ids})
		c.chair.give(id, "meeting.start", m{})
		vote := fmt.Sprintf("v%d", c.sec.give(id, "vote.draft", m{"title": "Kín", "secret": true}))
		c.chair.give(id, "vote.open", m{"vote": vote})
		v := ballot.Vote{Meeting: id, ID: vote}
		held, err := b.s.boxes.of(t.Context(), v)
		require.NoError(t, err)
		before := held.batch
		c.of("d01").not(http.StatusForbidden, "forbidden", id, "vote.close", m{"vote": vote})
		require.Same(t, before, held.batch)
		var slips []slip
		for i := 1; i <= n; i++ {
			slips = append(slips, c.of(fmt.Sprintf("d%02d", i)).fetch(v, held.key.Public()))
		}
		var acknowledged atomic.Int64
		var all sync.WaitGroup
		first := make(chan struct{}, n)
		for _, s := range slips {
			body := s.body(t, 1, "yes")
			all.Add(1)
			go func() {
				defer all.Done()
				first <- struct{}{}
				status, raw, _ := b.nobody().do("POST", "/api/v1/ballots", body)
				switch status {
				case http.StatusOK:
					acknowledged.Add(1)
				case http.StatusConflict:
				default:
					t.Errorf("%d %s", status, raw)
				}
			}()
		}
		for range n / 2 {
			<-first
		}
		c.chair.give(id, "vote.close", m{"vote": vote})
		all.Wait()
		require.NoError(t, b.hub.Look(t.Context(), id, func(st *meeting.State) {
			require.Equal(t, int(acknowledged.Load()), st.Votes[vote].Result.Cast)
		}))
		require.NoError(t, b.db.Write(t.Context(), execute(`INSERT INTO meeting_ballot_keys (meeting, vote, public, sealed, created)
			VALUES ($1, $2, 'x', $3, 1)`, id, vote, []byte("x"))))
		b.restart()
		require.Eventually(t, func() bool { return b.count(`SELECT count(*) FROM meeting_ballot_keys`) == 0 }, waitFor, tick)
		_, err = held.key.SignBlinded(make([]byte, ballot.Size))
		require.ErrorIs(t, err, ballot.ErrWiped)
		verified(b)
	})
}
