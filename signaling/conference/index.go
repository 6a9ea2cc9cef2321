package conference

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"diemcau/signaling/journal"
	"diemcau/signaling/live"
	"diemcau/signaling/meeting"
	"diemcau/signaling/store"
)

const (
	indexRetry  = time.Second
	indexWithin = 30 * time.Second
	unplanned   = 4 * time.Hour // how long a meeting without a planned end is taken to last
)

// row is what the index has of a meeting.
type row struct {
	id     string
	seq    uint64
	info   meeting.Info
	people []member // by identity
}

type member struct {
	identity, name string
	role           meeting.Role
}

// rowOf copies what the index has of a state.
func rowOf(st *meeting.State) *row {
	r := &row{id: st.ID, seq: st.Seq, info: st.Info, people: make([]member, 0, len(st.People))}
	for id, p := range st.People {
		r.people = append(r.people, member{id, p.Name, p.Role})
	}
	return r
}

// indexer writes rows, the newest of each meeting once.
type indexer struct {
	s    *Service
	wake chan struct{}

	mu      sync.Mutex
	pending map[string]*row // guarded by mu
	writing bool            // guarded by mu
	idle    *sync.Cond      // of mu: nothing is pending nor written
}

func newIndexer(s *Service) *indexer {
	x := &indexer{s: s, wake: make(chan struct{}, 1), pending: make(map[string]*row)}
	x.idle = sync.NewCond(&x.mu)
	return x
}

// note has a row written. Of one meeting only the newest waits, so that what waits
// is bounded by the number of meetings.
func (x *indexer) note(r *row) {
	x.mu.Lock()
	if old := x.pending[r.id]; old == nil || old.seq <= r.seq {
		x.pending[r.id] = r
	}
	x.mu.Unlock()
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// settled waits until all that was noted is written.
func (x *indexer) settled() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.pending) > 0 || x.writing {
		x.idle.Wait()
	}
}

// loop writes what was noted; at the end once more, without retrying.
func (x *indexer) loop() {
	if err := x.repair(); err != nil {
		x.s.o.Log.Error("index of meetings not repaired", "error", err)
	}
	again := time.NewTimer(time.Hour)
	defer again.Stop()
	for {
		select {
		case <-x.wake:
		case <-again.C:
		case <-x.s.stop:
			x.writeAll()
			return
		}
		if !x.writeAll() {
			again.Reset(indexRetry)
		}
	}
}

// writeAll writes all that waits, and says whether that worked.
func (x *indexer) writeAll() bool {
	x.mu.Lock()
	all := x.pending
	x.pending, x.writing = make(map[string]*row), true
	x.mu.Unlock()
	ok := true
	for _, r := range all {
		if err := x.write(r); err != nil {
			x.s.o.Log.Error("index of meetings not written", "meeting", r.id, "error", err)
			x.note(r)
			ok = false
		}
	}
	x.mu.Lock()
	x.writing = false
	if len(x.pending) == 0 || !ok {
		x.idle.Broadcast()
	}
	x.mu.Unlock()
	return ok
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// span is from when to when a meeting is reckoned to last.
func (r *row) span() (begins, finishes int64) {
	i := r.info
	from, to := i.PlannedStart, i.PlannedEnd
	if !i.StartedAt.IsZero() {
		from = i.StartedAt
	}
	if !i.EndedAt.IsZero() {
		to = i.EndedAt
	}
	if !from.IsZero() && !to.After(from) {
		to = from.Add(unplanned)
	}
	return millis(from), millis(to)
}

func (x *indexer) write(r *row) error {
	ctx, cancel := context.WithTimeout(context.Background(), indexWithin)
	defer cancel()
	return x.s.o.DB.Write(ctx, func(tx *sql.Tx) error {
		var seq uint64
		err := tx.QueryRowContext(ctx, `SELECT seq FROM meetings WHERE id = $1`, r.id).Scan(&seq)
		switch {
		case err == nil && seq >= r.seq:
			return nil // another process, or a moment later
		case err == nil:
			if _, err := tx.ExecContext(ctx, `DELETE FROM meetings WHERE id = $1`, r.id); err != nil {
				return err
			}
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		i := r.info
		begins, finishes := r.span()
		if _, err := tx.ExecContext(ctx, `INSERT INTO meetings (id, seq, title, folded, kind, unit, place, status,
			planned, until, approved, started, ended, begins, finishes)
			VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15)`,
			r.id, int64(r.seq), i.Title, store.Fold(i.Title+"\n"+i.Place), i.Kind, i.Unit, i.Place, string(i.Status),
			millis(i.PlannedStart), millis(i.PlannedEnd), millis(i.ApprovedAt), millis(i.StartedAt), millis(i.EndedAt), begins, finishes); err != nil {
			return err
		}
		return writePeople(ctx, tx, r)
	})
}

// writePeople changes what differs: most commits change nobody, or one of thousands.
func writePeople(ctx context.Context, tx *sql.Tx, r *row) error {
	rows, err := tx.QueryContext(ctx, `SELECT identity, name, role FROM meeting_people WHERE meeting = $1`, r.id)
	if err != nil {
		return err
	}
	defer rows.Close()
	there := map[string]member{}
	for rows.Next() {
		var m member
		if err := rows.Scan(&m.identity, &m.name, &m.role); err != nil {
			return err
		}
		there[m.identity] = m
	}
	if err := rows.Err(); err != nil {
		return err
	}
	var fresh []member
	for _, m := range r.people {
		old, ok := there[m.identity]
		delete(there, m.identity)
		switch {
		case !ok:
			fresh = append(fresh, m)
		case old != m:
			if _, err := tx.ExecContext(ctx, `UPDATE meeting_people SET name = $1, role = $2 WHERE meeting = $3 AND identity = $4`,
				m.name, string(m.role), r.id, m.identity); err != nil {
				return err
			}
		}
	}
	for id := range there {
		if _, err := tx.ExecContext(ctx, `DELETE FROM meeting_people WHERE meeting = $1 AND identity = $2`, r.id, id); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(fresh, 200) {
		var q strings.Builder
		q.WriteString(`INSERT INTO meeting_people (meeting, identity, name, role) VALUES `)
		args := []any{r.id}
		for i, m := range part {
			if i > 0 {
				q.WriteByte(',')
			}
			n := len(args)
			fmt.Fprintf(&q, "($1,$%d,$%d,$%d)", n+1, n+2, n+3)
			args = append(args, m.identity, m.name, string(m.role))
		}
		if _, err := tx.ExecContext(ctx, q.String(), args...); err != nil {
			return err
		}
	}
	return nil
}

// repair brings rows up to date that a crash between the journal and the index left
// behind: those of meetings whose last event is not that of the row.
func (x *indexer) repair() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-x.s.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	tails, err := x.tails(ctx)
	if err != nil {
		return err
	}
	for _, t := range tails {
		if ctx.Err() != nil {
			return nil
		}
		last, err := lastEvent(ctx, x.s.o.DB, t.meeting, t.entry)
		if err == nil && last <= t.row {
			continue
		}
		st := meeting.New(t.meeting)
		if err == nil {
			err = fold(ctx, x.s.o.DB, st)
		}
		if err != nil { // one that is damaged does not keep the others out
			x.s.o.Log.Error("meeting cannot be read for the index", "meeting", t.meeting, "error", err)
			continue
		}
		x.note(rowOf(st))
	}
	return nil
}

// tail is the end of a meeting's journal, and of what the index has of it.
type tail struct {
	meeting    string
	entry, row uint64
}

func (x *indexer) tails(ctx context.Context) ([]tail, error) {
	rows, err := x.s.o.DB.Query(ctx, `SELECT e.meeting, max(e.seq), coalesce(max(m.seq), 0)
		FROM journal_entries e LEFT JOIN meetings m ON m.id = e.meeting GROUP BY e.meeting`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []tail
	for rows.Next() {
		var t tail
		if err := rows.Scan(&t.meeting, &t.entry, &t.row); err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, rows.Err()
}

func lastEvent(ctx context.Context, db *store.DB, id string, entry uint64) (uint64, error) {
	for e, err := range journal.Read(ctx, db, id, entry) {
		if err != nil {
			return 0, err
		}
		events, _, err := live.Events(e)
		if err != nil || len(events) == 0 {
			return 0, err
		}
		return events[len(events)-1].Seq, nil
	}
	return 0, nil
}

// fold evolves a new state by the whole journal of its meeting.
func fold(ctx context.Context, db *store.DB, st *meeting.State) error {
	entries, err := history(ctx, db, st.ID)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := meeting.Evolve(st, e.Event, e.At); err != nil {
			return err
		}
	}
	return nil
}

// history reads all events of a meeting.
func history(ctx context.Context, db *store.DB, id string) ([]meeting.Entry, error) {
	var out []meeting.Entry
	for e, err := range journal.Read(ctx, db, id, 1) {
		if err != nil {
			return nil, err
		}
		events, at, err := live.Events(e)
		if err != nil {
			return nil, err
		}
		for _, event := range events {
			out = append(out, meeting.Entry{Event: event, At: at})
		}
	}
	return out, nil
}
