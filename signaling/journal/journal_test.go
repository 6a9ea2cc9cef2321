package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"diemcau/signaling/store"
	"diemcau/signaling/store/storetest"
)

func TestAppendAndRead(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		noon := time.Date(2026, 8, 1, 5, 0, 0, 0, time.UTC)
		j, dir := startJournal(t, db, Options{Now: frozen(noon)})
		w := open(t, j, "m1", "node")
		require.EqualValues(t, 1, w.Fence())

		one, err := w.Append(ctx, Draft{Command: "c1", Author: "user:an#1", Body: []byte(` { "b":1.0, "a":"Điểm <cầu>" } `)})
		require.NoError(t, err)
		more, err := w.Append(ctx, draft("c2"), Draft{Author: "svc:clock", Body: []byte(`[]`)}, Draft{Author: "svc:clock", Body: []byte(`null`)})
		require.NoError(t, err)

		got := readAll(t, db, "m1")
		require.Equal(t, append(one, more...), got)
		require.Equal(t, `{"a":"Điểm <cầu>","b":1.0}`, string(got[0].Body))
		require.Equal(t, Hash{}, got[0].Prev)
		for i, e := range got {
			require.EqualValues(t, i+1, e.Seq)
			require.Equal(t, noon, e.At)
			require.Equal(t, e.Sum(), e.Hash)
		}
		seq, hash := w.Tail()
		require.EqualValues(t, 4, seq)
		require.Equal(t, got[3].Hash, hash)

		var from []Entry
		for e, err := range Read(ctx, db, "m1", 3) {
			require.NoError(t, err)
			from = append(from, e)
		}
		require.Equal(t, got[2:], from)
		for range Read(ctx, db, "m1", 5) {
			t.Fatal("an entry after the last")
		}
		report := verify(t, db, dir)
		require.True(t, report.OK())
		require.Equal(t, []MeetingReport{{Meeting: "m1", Entries: 4, Head: 4}}, report.Meetings)
	})
}

func TestReadOfManyPages(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		j, _ := startJournal(t, db, Options{})
		w := open(t, j, "m", "node")
		drafts := make([]Draft, 2*readPage)
		for i := range drafts {
			drafts[i] = Draft{Author: "a", Body: []byte("1")}
		}
		_, err := w.Append(ctx, drafts...)
		require.NoError(t, err)
		require.Len(t, readAll(t, db, "m"), 2*readPage)
		_, err = w.Append(ctx, draft("x"))
		require.NoError(t, err)
		require.Len(t, readAll(t, db, "m"), 2*readPage+1)
		for _, err := range Read(ctx, db, "m", 100) {
			require.NoError(t, err)
			break
		}
	})
}

func TestTheClockDoesNotTurnBack(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		now := time.UnixMilli(1_000_000).UTC()
		j, _ := startJournal(t, db, Options{Now: func() time.Time { now = now.Add(-time.Hour); return now }})
		w := open(t, j, "m", "node")
		for i := range 3 {
			_, err := w.Append(ctx, draft(fmt.Sprint(i)))
			require.NoError(t, err)
		}
		w = open(t, j, "m", "node") // over a takeover, too
		_, err := w.Append(ctx, draft("after"))
		require.NoError(t, err)
		all := readAll(t, db, "m")
		for _, e := range all {
			require.Equal(t, all[0].At, e.At)
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		j, dir := startJournal(t, db, Options{Queue: 16}) // smaller than the crowd
		const meetings, callers, each = 3, 40, 5
		var wg sync.WaitGroup
		errs := make(chan error, meetings*callers*each)
		for m := range meetings {
			w := open(t, j, fmt.Sprintf("m%d", m), "node")
			for c := range callers {
				wg.Go(func() {
					last := uint64(0)
					for i := range each {
						got, err := w.Append(ctx, draft(fmt.Sprintf("c%d-%d", c, i)), Draft{Author: "svc", Body: []byte("{}")})
						if err == nil && (len(got) != 2 || got[0].Seq <= last || got[1].Seq != got[0].Seq+1) {
							err = fmt.Errorf("entries out of order: %v", got)
						}
						if err == nil {
							last = got[1].Seq
						}
						errs <- err
					}
				})
			}
		}
		wg.Wait()
		close(errs)
		for err := range errs {
			require.NoError(t, err)
		}
		for m := range meetings {
			require.Len(t, readAll(t, db, fmt.Sprintf("m%d", m)), callers*each*2)
		}
		require.True(t, verify(t, db, dir).OK())
	})
}

// A writer slept, another took over, the first wakes up.
func TestAFencedWriterWritesNothing(t *testing.T) {
	storetest.EachMigrated(t, func(t *testing.T, url string) {
		db1, db2 := storetest.Open(t, url), storetest.Open(t, url)
		j1, dir1 := startJournal(t, db1, Options{})
		j2, dir2 := startJournal(t, db2, Options{})
		old := open(t, j1, "m", "node1")
		_, err := old.Append(ctx, draft("c1"))
		require.NoError(t, err)

		_, err = j2.Open(ctx, "m", "node2")
		var held *HeldError
		require.ErrorAs(t, err, &held)
		require.ErrorIs(t, err, ErrHeld)
		require.Equal(t, "node1", held.Owner)

		// This one has left the queue and is on its way into the transaction.
		late := &request{w: old, drafts: []Draft{draft("late")}, done: make(chan result, 1)}

		expire(t, db1, "m")
		fresh := open(t, j2, "m", "node2")
		require.EqualValues(t, 2, fresh.Fence())
		seq, _ := fresh.Tail()
		require.EqualValues(t, 1, seq)

		j1.commit([]*request{late})
		require.ErrorIs(t, (<-late.done).err, ErrFenced)
		_, err = old.Append(ctx, draft("c2"))
		require.ErrorIs(t, err, ErrFenced)
		require.ErrorIs(t, old.Renew(ctx), ErrFenced)
		require.ErrorIs(t, old.Release(ctx), ErrFenced)

		_, err = fresh.Append(ctx, draft("c2"))
		require.NoError(t, err)
		require.NoError(t, fresh.Renew(ctx))
		all := readAll(t, db1, "m")
		require.Len(t, all, 2)
		require.EqualValues(t, []uint64{1, 2}, []uint64{all[0].Fence, all[1].Fence})

		require.NoError(t, fresh.Release(ctx))
		again := open(t, j1, "m", "node1")
		require.EqualValues(t, 3, again.Fence())
		_, err = again.Append(ctx, draft("c3"))
		require.NoError(t, err)
		require.True(t, verify(t, db1, dir1).OK())
		report := verify(t, db2, dir2)
		require.True(t, report.OK())
		require.EqualValues(t, 1, report.Meetings[0].Unsigned, "what the other process wrote")
	})
}

func TestALeaseExpiresAndIsRenewed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		j, _ := startJournal(t, db, Options{Lease: time.Hour})
		w := open(t, j, "m", "node1")
		until := func() (ms int64) {
			require.NoError(t, db.QueryRow(ctx, `SELECT until FROM journal_leases WHERE meeting = $1`, "m").Scan(&ms))
			return ms
		}
		require.InDelta(t, time.Now().Add(time.Hour).UnixMilli(), until(), 60_000)
		expire(t, db, "m")
		require.NoError(t, w.Renew(ctx), "nobody took it")
		require.InDelta(t, time.Now().Add(time.Hour).UnixMilli(), until(), 60_000)
		_, err := j.Open(ctx, "m", "node2")
		require.ErrorIs(t, err, ErrHeld)
	})
}

// Two processes that take a meeting from each other again and again, while each
// appends as fast as it can: what either was told stands, once.
func TestTakeoversUnderLoad(t *testing.T) {
	storetest.EachMigrated(t, func(t *testing.T, url string) {
		const takeovers = 8
		var mu sync.Mutex
		acknowledged := make(map[string]uint64)
		var wg sync.WaitGroup
		var dirs [2]string
		for p := range dirs {
			db := storetest.Open(t, url)
			var j *Journal
			j, dirs[p] = startJournal(t, db, Options{})
			wg.Go(func() {
				for round := range takeovers {
					expire(t, db, "m")
					w, err := j.Open(ctx, "m", fmt.Sprint("node", p))
					if errors.Is(err, ErrHeld) {
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					for i := 0; i < 50; i++ {
						id := fmt.Sprintf("%d-%d-%d", p, round, i)
						got, err := w.Append(ctx, draft(id))
						if errors.Is(err, ErrFenced) {
							break
						}
						if err != nil {
							t.Error(err)
							return
						}
						mu.Lock()
						acknowledged[id] = got[0].Seq
						mu.Unlock()
					}
				}
			})
		}
		wg.Wait()
		db := storetest.Open(t, url)
		all := readAll(t, db, "m")
		require.Len(t, all, len(acknowledged))
		for _, e := range all {
			require.Equal(t, acknowledged[e.Command], e.Seq, e.Command)
		}
		for _, dir := range dirs {
			require.True(t, verify(t, db, dir).OK())
		}
	})
}

func TestACommandIsAppliedOnce(t *testing.T) {
	storetest.EachMigrated(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url)
		j, _ := startJournal(t, db, Options{})
		w := open(t, j, "m", "node1")
		first, err := w.Append(ctx, draft("c"))
		require.NoError(t, err)

		duplicate := func(w *Writer, drafts ...Draft) {
			t.Helper()
			_, err := w.Append(ctx, drafts...)
			require.ErrorIs(t, err, ErrDuplicate)
			var d *DuplicateError
			require.ErrorAs(t, err, &d)
			require.Equal(t, first[0], d.Entry)
		}
		duplicate(w, draft("c"))
		duplicate(w, draft("new"), draft("c")) // all or nothing
		other := Draft{Command: "c", Author: "user:b", Body: []byte("1")}
		_, err = w.Append(ctx, other) // another author's ids are his own
		require.NoError(t, err)
		_, err = open(t, j, "m2", "node1").Append(ctx, draft("c")) // and another meeting's
		require.NoError(t, err)

		// Over a takeover by another process.
		db2 := storetest.Open(t, url)
		j2, _ := startJournal(t, db2, Options{})
		expire(t, db, "m")
		w2 := open(t, j2, "m", "node2")
		duplicate(w2, draft("c"))
		_, err = w2.Append(ctx, draft("new"))
		require.NoError(t, err)

		// Within one group commit.
		a, b := &request{w: w2, drafts: []Draft{draft("same")}, done: make(chan result, 1)}, &request{w: w2, drafts: []Draft{draft("same")}, done: make(chan result, 1)}
		j2.commit([]*request{a, b})
		won, lost := <-a.done, <-b.done
		require.NoError(t, won.err)
		var d *DuplicateError
		require.ErrorAs(t, lost.err, &d)
		require.Equal(t, won.entries[0], d.Entry)
		require.Len(t, readAll(t, db, "m"), 4)

		// The table itself refuses it, too.
		err = db.Write(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO journal_entries (meeting, seq, fence, at, command, author, body, prev, hash)
				SELECT meeting, 99, fence, at, command, author, body, prev, hash FROM journal_entries WHERE meeting = 'm' AND seq = 1`)
			return err
		})
		require.True(t, store.IsUnique(err), "%v", err)
	})
}

// One meeting's error in the database is not that of the others of its batch.
func TestAFailingMeetingFailsAlone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		j, dir := startJournal(t, db, Options{})
		good, bad, fenced := open(t, j, "good", "n"), open(t, j, "bad", "n"), open(t, j, "fenced", "n")
		open(t, j, "fenced", "n")
		refuse := []string{`CREATE TRIGGER refuse BEFORE INSERT ON journal_entries WHEN NEW.meeting = 'bad' BEGIN SELECT RAISE(ABORT, 'refused'); END`}
		if db.Dialect() == store.Postgres {
			refuse = []string{
				`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$`,
				`CREATE TRIGGER refuse BEFORE INSERT ON journal_entries FOR EACH ROW WHEN (NEW.meeting = 'bad') EXECUTE FUNCTION refuse()`,
			}
		}
		execute(t, db, refuse...)
		var batch []*request
		for i, w := range []*Writer{good, bad, fenced, good} {
			batch = append(batch, &request{w: w, drafts: []Draft{draft(fmt.Sprint(i))}, done: make(chan result, 1)})
		}
		j.commit(batch)
		require.NoError(t, (<-batch[0].done).err)
		require.ErrorContains(t, (<-batch[1].done).err, "refused")
		require.ErrorIs(t, (<-batch[2].done).err, ErrFenced)
		require.NoError(t, (<-batch[3].done).err)
		require.Len(t, readAll(t, db, "good"), 2)
		require.Empty(t, readAll(t, db, "bad"))
		require.Empty(t, readAll(t, db, "fenced"))

		drop := `DROP TRIGGER refuse`
		if db.Dialect() == store.Postgres {
			drop += ` ON journal_entries`
		}
		execute(t, db, drop)
		_, err := bad.Append(ctx, draft("1")) // nothing was written, so it may go on
		require.NoError(t, err)
		require.True(t, verify(t, db, dir).OK())
	})
}

func execute(t testing.TB, db *store.DB, statements ...string) {
	t.Helper()
	require.NoError(t, db.Write(ctx, func(tx *sql.Tx) error {
		for _, s := range statements {
			if _, err := tx.ExecContext(ctx, s); err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
		}
		return nil
	}))
}

// Committed and not signed is not acknowledged.
func TestAHeadThatCannotBeSigned(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		j, dir := startJournal(t, db, Options{})
		w := open(t, j, "m", "n")
		_, err := w.Append(ctx, draft("1"))
		require.NoError(t, err)
		require.NoError(t, j.heads.file.Close()) // the disk goes away
		_, err = w.Append(ctx, draft("2"))
		require.ErrorIs(t, err, ErrUncertain)
		_, err = w.Append(ctx, draft("3"))
		require.ErrorIs(t, err, ErrUncertain, "the writer is of no more use")

		w = open(t, j, "m", "n")
		seq, _ := w.Tail()
		require.EqualValues(t, 2, seq)
		_, err = w.Append(ctx, draft("2"))
		require.ErrorIs(t, err, ErrDuplicate)
		_, err = w.Append(ctx, draft("3"))
		require.NoError(t, err)
		report := verify(t, db, dir)
		require.True(t, report.OK())
		require.EqualValues(t, 3, report.Meetings[0].Head)
	})
}

func TestAnEndingContextWithdraws(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	j, _ := startJournal(t, db, Options{Queue: 1})
	w := open(t, j, "m", "n")
	inside, leave := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // keeps the database busy
		_ = db.Write(ctx, func(*sql.Tx) error { close(inside); <-leave; return nil })
	})
	<-inside
	wg.Go(func() { _, _ = w.Append(ctx, draft("first")) }) // the committer waits with it
	ending, cancel := context.WithCancel(ctx)
	var errs [4]error
	for i := range errs {
		wg.Go(func() { _, errs[i] = w.Append(ending, draft(fmt.Sprint(i))) })
	}
	cancel()
	close(leave)
	wg.Wait()
	there := make(map[string]bool)
	for _, e := range readAll(t, db, "m") {
		there[e.Command] = true
	}
	require.True(t, there["first"])
	for i, err := range errs {
		require.Equal(t, err == nil, there[fmt.Sprint(i)], "%d: %v", i, err)
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
		}
	}
}

func TestCloseCommitsWhatIsQueuedAndEnds(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	before := goleak.IgnoreCurrent()
	j := Start(db, nil, Options{})
	w := open(t, j, "m", "n")
	var wg sync.WaitGroup
	errs := make([]error, 50)
	for i := range errs {
		wg.Go(func() { _, errs[i] = w.Append(ctx, draft(fmt.Sprint(i))) })
	}
	j.Close()
	j.Close()
	wg.Wait()
	there := len(readAll(t, db, "m"))
	for _, err := range errs {
		if err == nil {
			there--
		} else {
			require.ErrorIs(t, err, ErrClosed)
		}
	}
	require.Zero(t, there)
	_, err := w.Append(ctx, draft("late"))
	require.ErrorIs(t, err, ErrClosed)
	goleak.VerifyNone(t, before)
}

func TestBadDrafts(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	j, _ := startJournal(t, db, Options{})
	w := open(t, j, "m", "n")
	long := strings.Repeat("ậ", MaxName)
	for name, drafts := range map[string][]Draft{
		"none":         {},
		"too many":     make([]Draft, MaxDrafts+1),
		"no author":    {{Body: []byte("1")}},
		"long author":  {{Author: long + "x", Body: []byte("1")}},
		"long id":      {{Author: "a", Command: long + "x", Body: []byte("1")}},
		"control":      {{Author: "a\n", Body: []byte("1")}},
		"nul":          {{Author: "a\x00", Body: []byte("1")}},
		"bidi":         {{Author: "a\u202e", Body: []byte("1")}},
		"isolate":      {{Author: "a", Command: "\u2067", Body: []byte("1")}},
		"not UTF-8":    {{Author: "a\xff", Body: []byte("1")}},
		"decomposed":   {{Author: "a\u0300", Body: []byte("1")}},
		"no body":      {{Author: "a"}},
		"no JSON":      {{Author: "a", Body: []byte("{")}},
		"two values":   {{Author: "a", Body: []byte("1 2")}},
		"body UTF-8":   {{Author: "a", Body: []byte("\"\xff\"")}},
		"long body":    {{Author: "a", Body: []byte(`"` + strings.Repeat("x", MaxBody) + `"`)}},
		"same id":      {draft("c"), draft("c")},
		"second wrong": {draft("c"), {Author: "a"}},
	} {
		_, err := w.Append(ctx, drafts...)
		require.ErrorIs(t, err, ErrInvalid, name)
	}
	require.Empty(t, readAll(t, db, "m"))
	_, err := w.Append(ctx, Draft{Author: long, Command: long, Body: []byte(`"'; DROP TABLE journal_entries; --"`)})
	require.NoError(t, err)
	for _, meeting := range []string{"", "a\x00", long + "x", "\u202e"} {
		_, err := j.Open(ctx, meeting, "n")
		require.ErrorIs(t, err, ErrInvalid)
		_, err = j.Open(ctx, "m", meeting)
		require.ErrorIs(t, err, ErrInvalid)
	}
}
