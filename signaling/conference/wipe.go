package conference

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"time"

	"diemcau/signaling/ballot"
	"diemcau/signaling/live"
	"diemcau/signaling/meeting"
)

// over notes that a vote is no longer open. It is called in the meeting's loop.
func (x *boxes) over(id, vote string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended[ballot.Vote{Meeting: id, ID: vote}] = struct{}{}
	return true
}

func (x *boxes) wake() {
	select {
	case x.signal <- struct{}{}:
	default:
	}
}

// keep wipes the keys of votes that are over.
func (x *boxes) keep() {
	x.sweep()
	sweep, retry := time.NewTicker(sweepKeys), time.NewTimer(time.Hour)
	defer sweep.Stop()
	defer retry.Stop()
	for {
		select {
		case <-x.signal:
		case <-retry.C:
		case <-sweep.C:
			x.sweep()
		case <-x.s.stop:
			x.wipeAll()
			return
		}
		if !x.wipeAll() {
			retry.Reset(wipeRetry)
		}
	}
}

// wipeAll wipes what is noted, and says whether all of it is gone.
func (x *boxes) wipeAll() bool {
	x.mu.Lock()
	ended := x.ended
	x.ended = make(map[ballot.Vote]struct{})
	held := make(map[ballot.Vote]*box)
	for v := range ended {
		if b := x.byVote[v]; b != nil {
			held[v] = b
			delete(x.byVote, v)
		}
	}
	x.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), indexWithin)
	defer cancel()
	ok := true
	for v := range ended {
		if b := held[v]; b != nil {
			b.end()
			b.key.Wipe()
		}
		if err := x.s.o.DB.Write(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `DELETE FROM meeting_ballot_keys WHERE meeting = $1 AND vote = $2`, v.Meeting, v.ID)
			return err
		}); err != nil {
			x.s.o.Log.Error("key of a vote not deleted", "meeting", v.Meeting, "vote", v.ID, "error", err)
			x.over(v.Meeting, v.ID)
			ok = false
		}
	}
	return ok
}

// sweep notes the votes that have a key, stored or in memory, and are not open: a
// crash may have come between a vote's end and the wiping, or another process has
// closed the vote.
func (x *boxes) sweep() {
	ctx, cancel := context.WithTimeout(context.Background(), indexWithin)
	defer cancel()
	stored, err := x.stored(ctx)
	if err != nil {
		x.s.o.Log.Error("keys of votes cannot be listed", "error", err)
		return
	}
	for _, v := range append(stored, x.held()...) {
		open := false
		err := x.s.hub.Look(ctx, v.Meeting, func(st *meeting.State) {
			vote := st.Votes[v.ID]
			open = vote != nil && vote.State == "open"
		})
		if (err == nil || errors.Is(err, live.ErrNoMeeting)) && !open {
			x.over(v.Meeting, v.ID)
			x.wake()
		}
	}
}

// held are the votes whose key is in memory.
func (x *boxes) held() []ballot.Vote {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Collect(maps.Keys(x.byVote))
}

func (x *boxes) stored(ctx context.Context) ([]ballot.Vote, error) {
	rows, err := x.s.o.DB.Query(ctx, `SELECT DISTINCT meeting, vote FROM meeting_ballot_keys WHERE created < $1`,
		x.s.o.Now().Add(-keyGrace).UnixMilli())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []ballot.Vote
	for rows.Next() {
		var v ballot.Vote
		if err := rows.Scan(&v.Meeting, &v.ID); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// close commits what is held and takes nothing any more. The keys stay in the
// store, sealed: the next start goes on with them.
func (x *boxes) close() {
	x.mu.Lock()
	x.closed = true
	held := make([]*box, 0, len(x.byVote))
	for v, b := range x.byVote {
		held = append(held, b)
		delete(x.byVote, v)
	}
	x.mu.Unlock()
	for _, b := range held {
		b.end()
		b.key.Wipe()
	}
}
