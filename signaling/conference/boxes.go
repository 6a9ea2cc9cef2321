package conference

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"diemcau/signaling/ballot"
	"diemcau/signaling/live"
	"diemcau/signaling/meeting"
	"diemcau/signaling/problem"
)

// Casts of one vote that are written together, how long the first waits for
// others, and how many callers wait.
const (
	batchMax     = 256
	batchWait    = 500 * time.Millisecond
	batchWaiting = 4000
	castWithin   = 30 * time.Second
	sweepKeys    = 10 * time.Minute
	wipeRetry    = 5 * time.Second
	keyGrace     = 5 * time.Minute // a younger key may be one whose vote is being opened
)

// boxes are the ballot boxes of open secret votes.
type boxes struct {
	s      *Service
	signal chan struct{}

	opening sync.Mutex // one secret vote is opened at a time

	mu     sync.Mutex
	byVote map[ballot.Vote]*box     // guarded by mu
	ended  map[ballot.Vote]struct{} // guarded by mu: their keys are to be wiped
	closed bool                     // guarded by mu
}

// box is what one open vote has: its key, and the batch that takes the order of
// arrival from what is cast.
type box struct {
	s    *Service
	vote ballot.Vote
	key  *ballot.Key

	mu    sync.Mutex
	batch *ballot.Batch // guarded by mu
	over  bool          // guarded by mu: batch takes nothing any more
}

func newBoxes(s *Service) *boxes {
	return &boxes{s: s, signal: make(chan struct{}, 1), byVote: make(map[ballot.Vote]*box), ended: make(map[ballot.Vote]struct{})}
}

func (s *Service) newBox(v ballot.Vote, key *ballot.Key) (*box, error) {
	b := &box{s: s, vote: v, key: key}
	var err error
	b.batch, err = b.newBatch()
	return b, err
}

func (b *box) newBatch() (*ballot.Batch, error) {
	return ballot.NewBatch(ballot.BatchConfig{Max: batchMax, Wait: batchWait, Waiting: batchWaiting, Commit: b.commit})
}

// commit casts all that a batch holds. They reach the meeting in random order and
// become one commit of its journal, or few.
func (b *box) commit(casts []ballot.Cast, _ time.Time) ([]error, error) {
	ctx, cancel := context.WithTimeout(context.Background(), castWithin)
	defer cancel()
	results := make([]error, len(casts))
	var all sync.WaitGroup
	for _, i := range rand.Perm(len(casts)) {
		all.Add(1)
		go func() {
			defer all.Done()
			results[i] = b.cast(ctx, casts[i])
		}()
	}
	all.Wait()
	return results, nil
}

func (b *box) cast(ctx context.Context, c ballot.Cast) error {
	choices := c.Choices
	if choices == nil {
		choices = []string{}
	}
	body, err := json.Marshal(meeting.CastSecret{Vote: b.vote.ID, Token: c.ID.String(),
		Signature: ballot.EncodeBlob(c.Signature), Choices: choices, Revision: c.Revision})
	if err != nil {
		return err
	}
	_, err = b.s.hub.Apply(ctx, b.vote.Meeting, meeting.Command{Type: "ballot.cast", Body: body})
	var p *meeting.Problem
	if errors.As(err, &p) && p.Code == "nothing_changed" {
		return nil // recorded before: the answer was lost
	}
	return err
}

// add hands a verified cast in and returns when it is on disk.
func (b *box) add(ctx context.Context, c ballot.Cast) error {
	for {
		b.mu.Lock()
		batch, over := b.batch, b.over
		b.mu.Unlock()
		err := batch.Add(ctx, c)
		if !errors.Is(err, ballot.ErrBatchClosed) || over {
			return err
		}
	}
}

// flush commits what is held; what comes meanwhile gathers in a new batch.
func (b *box) flush() error {
	fresh, err := b.newBatch()
	if err != nil {
		return err
	}
	b.mu.Lock()
	old, over := b.batch, b.over
	if !over {
		b.batch = fresh
	}
	b.mu.Unlock()
	if over {
		fresh.Close()
	}
	old.Close()
	return nil
}

// end commits what is held and takes nothing any more.
func (b *box) end() {
	b.mu.Lock()
	b.over = true
	batch := b.batch
	b.mu.Unlock()
	batch.Close()
}

// of gives the box of an open secret vote: voteClosed and voteNotSecret otherwise,
// and live.ErrNoMeeting when there is no such meeting or vote.
func (x *boxes) of(ctx context.Context, v ballot.Vote) (*box, error) {
	x.mu.Lock()
	b, closed := x.byVote[v], x.closed
	x.mu.Unlock()
	switch {
	case closed:
		return nil, problem.Unavailable
	case b != nil:
		return b, nil
	}
	public, err := x.announced(ctx, v)
	if err != nil {
		return nil, err
	}
	var sealed []byte
	if err := x.s.o.DB.QueryRow(ctx, `SELECT sealed FROM meeting_ballot_keys WHERE meeting = $1 AND vote = $2 AND public = $3`,
		v.Meeting, v.ID, public).Scan(&sealed); err != nil {
		x.s.o.Log.Error("key of an open vote cannot be read", "meeting", v.Meeting, "vote", v.ID, "error", err)
		return nil, problem.Unavailable
	}
	key, err := ballot.ParseKey(sealed, x.s.o.Keys, v)
	if err != nil {
		x.s.o.Log.Error("key of an open vote cannot be opened", "meeting", v.Meeting, "vote", v.ID, "error", err)
		return nil, problem.Unavailable
	}
	return x.put(v, key)
}

// announced is the key that vote.opened told everybody.
func (x *boxes) announced(ctx context.Context, v ballot.Vote) (public string, err error) {
	err = live.ErrNoMeeting
	if e := x.s.hub.Look(ctx, v.Meeting, func(st *meeting.State) {
		vote := st.Votes[v.ID]
		switch {
		case vote == nil || vote.State == "draft":
		case !vote.Secret:
			err = voteNotSecret
		case vote.State != "open":
			err = voteClosed
		default:
			public, err = vote.BallotKey, nil
		}
	}); e != nil {
		return "", e
	}
	return public, err
}

// put makes the box of a vote, or gives the one that is there.
func (x *boxes) put(v ballot.Vote, key *ballot.Key) (*box, error) {
	b, err := x.s.newBox(v, key)
	if err != nil {
		key.Wipe()
		return nil, err
	}
	x.mu.Lock()
	there, closed := x.byVote[v], x.closed
	if there == nil && !closed {
		x.byVote[v] = b
	}
	x.mu.Unlock()
	if there == nil && !closed {
		return b, nil
	}
	b.end()
	key.Wipe()
	if closed {
		return nil, problem.Unavailable
	}
	return there, nil
}

// open applies a vote.open; a secret vote gets its key first.
func (x *boxes) open(ctx context.Context, id string, cmd meeting.Command) (uint64, error) {
	var b meeting.OpenVote
	if err := strict(orEmpty(cmd.Body), &b); err != nil {
		return 0, badJSON
	}
	if b.BallotKey != "" {
		return 0, badValue.In("ballotKey")
	}
	draft := false
	if err := x.s.hub.Look(ctx, id, func(st *meeting.State) {
		v := st.Votes[b.Vote]
		draft = v != nil && v.Secret && v.State == "draft" && meeting.Allowed(st, cmd.Actor, cmd.Type)
	}); err != nil {
		return 0, err
	}
	if !draft {
		return x.s.hub.Apply(ctx, id, cmd)
	}
	x.opening.Lock()
	defer x.opening.Unlock()
	v := ballot.Vote{Meeting: id, ID: b.Vote}
	key, err := x.s.keys.Take(ctx)
	if err != nil {
		return 0, problem.Unavailable
	}
	if b.BallotKey, err = x.store(ctx, v, key); err != nil {
		key.Wipe()
		return 0, err
	}
	if cmd.Body, err = json.Marshal(b); err != nil {
		key.Wipe()
		return 0, err
	}
	seq, err := x.s.hub.Apply(ctx, id, cmd)
	if err != nil && !isProblem(err) {
		key.Wipe() // it may have been opened: then of finds the key in the store
		return 0, err
	}
	if announced, e := x.announced(ctx, v); e == nil && announced == b.BallotKey {
		_, _ = x.put(v, key)
	} else {
		key.Wipe()
		x.forget(ctx, v, b.BallotKey)
	}
	return seq, err
}

func isProblem(err error) bool {
	var p *meeting.Problem
	return errors.As(err, &p)
}

func orEmpty(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("{}")
	}
	return raw
}

// store keeps a sealed key before its vote is opened with it, and gives its public half.
func (x *boxes) store(ctx context.Context, v ballot.Vote, key *ballot.Key) (string, error) {
	sealed, err := key.Marshal(x.s.o.Keys, v)
	if err != nil {
		return "", err
	}
	public := base64.RawURLEncoding.EncodeToString(key.Public().Marshal())
	return public, x.s.o.DB.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO meeting_ballot_keys (meeting, vote, public, sealed, created) VALUES ($1,$2,$3,$4,$5)`,
			v.Meeting, v.ID, public, sealed, x.s.o.Now().UnixMilli())
		return err
	})
}

// forget deletes a key that no vote was opened with. Should that fail, sweep does it.
func (x *boxes) forget(ctx context.Context, v ballot.Vote, public string) {
	if err := x.s.o.DB.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM meeting_ballot_keys WHERE meeting = $1 AND vote = $2 AND public = $3`, v.Meeting, v.ID, public)
		return err
	}); err != nil {
		x.s.o.Log.Warn("unused key of a vote not deleted", "meeting", v.Meeting, "vote", v.ID, "error", err)
	}
}

// shut applies a vote.close. What the batch of a secret vote holds is recorded
// first; only for who may close it, as a batch cut short hides less.
func (x *boxes) shut(ctx context.Context, id string, cmd meeting.Command) (uint64, error) {
	var b meeting.CloseVote
	if err := strict(orEmpty(cmd.Body), &b); err != nil {
		return 0, badJSON
	}
	x.mu.Lock()
	held := x.byVote[ballot.Vote{Meeting: id, ID: b.Vote}]
	x.mu.Unlock()
	if held != nil {
		may := false
		if err := x.s.hub.Look(ctx, id, func(st *meeting.State) { may = meeting.Allowed(st, cmd.Actor, cmd.Type) }); err != nil {
			return 0, err
		}
		if may {
			if err := held.flush(); err != nil {
				return 0, err
			}
		}
	}
	return x.s.hub.Apply(ctx, id, cmd)
}
