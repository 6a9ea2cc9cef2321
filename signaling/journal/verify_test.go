package journal

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/store"
	"diemcau/signaling/store/storetest"
)

// disarm takes away what protects the table from our own mistakes, as somebody
// with the database's password can.
func disarm(t *testing.T, db *store.DB) {
	t.Helper()
	if db.Dialect() == store.Postgres {
		execute(t, db, `DROP TRIGGER journal_entries_append_only ON journal_entries`)
	} else {
		execute(t, db, `DROP TRIGGER journal_entries_no_update`, `DROP TRIGGER journal_entries_no_delete`)
	}
}

// put writes an entry as it is, over what is there.
func put(tx *sql.Tx, e Entry) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO journal_entries (`+entryColumns+`) VALUES ($1, $2, $3, $4, NULLIF($5, ''), $6, $7, $8, $9)
		ON CONFLICT (meeting, seq) DO UPDATE SET fence = excluded.fence, at = excluded.at, command = excluded.command,
			author = excluded.author, body = excluded.body, prev = excluded.prev, hash = excluded.hash`,
		e.Meeting, int64(e.Seq), int64(e.Fence), e.At.UnixMilli(), e.Command, e.Author, e.Body, e.Prev[:], e.Hash[:])
	return err
}

// tampering is one way to falsify the 30 entries of meeting "m".
type tampering struct {
	name string
	do   func(all []Entry) []Entry // what stands in the table afterwards
	want Fault
}

func flip(b []byte, i int) []byte {
	out := append([]byte(nil), b...)
	out[i] ^= 0x40
	return out
}

// rehash makes entries from index i on a chain again, as one without the key can.
func rehash(all []Entry, i int) []Entry {
	for ; i < len(all); i++ {
		all[i].Seq = uint64(i + 1)
		all[i].Prev = Hash{}
		if i > 0 {
			all[i].Prev = all[i-1].Hash
		}
		all[i].Hash = all[i].Sum()
	}
	return all
}

func renumber(all []Entry) []Entry {
	for i := range all {
		all[i].Seq = uint64(i + 1)
	}
	return all
}

func tamperings(all []Entry) []tampering {
	change := func(f func(e *Entry)) func([]Entry) []Entry {
		return func(all []Entry) []Entry { f(&all[11]); return all }
	}
	extra := Entry{Meeting: "m", Seq: 12, Fence: 1, At: all[11].At, Command: "forged", Author: "user:x", Body: []byte(`{"vote":"yes"}`)}
	insert := func(e Entry) func([]Entry) []Entry {
		return func(all []Entry) []Entry {
			return renumber(append(append(append([]Entry(nil), all[:11]...), e), all[11:]...))
		}
	}
	linked := extra
	linked.Prev = all[10].Hash
	linked.Hash = linked.Sum()
	changed12 := Fault{Kind: Changed, Seq: 12}
	list := []tampering{
		{"last 10 removed", func(a []Entry) []Entry { return a[:20] }, Fault{Kind: CutOff, Seq: 21, Signed: 30}},
		{"last removed", func(a []Entry) []Entry { return a[:29] }, Fault{Kind: CutOff, Seq: 30, Signed: 30}},
		{"all removed", func([]Entry) []Entry { return nil }, Fault{Kind: CutOff, Seq: 1, Signed: 30}},
		{"first removed", func(a []Entry) []Entry { return a[1:] }, Fault{Kind: Missing, Seq: 1}},
		{"one removed", func(a []Entry) []Entry { return append(append([]Entry(nil), a[:11]...), a[12:]...) }, Fault{Kind: Missing, Seq: 12}},
		{"one removed, the rest renumbered", func(a []Entry) []Entry { return renumber(append(append([]Entry(nil), a[:11]...), a[12:]...)) }, Fault{Kind: Missing, Seq: 12}},
		{"one removed, the rest chained anew", func(a []Entry) []Entry { return rehash(append(append([]Entry(nil), a[:11]...), a[12:]...), 11) }, Fault{Kind: Rewritten, Seq: 12, Signed: 12}},
		{"inserted", insert(extra), Fault{Kind: Inserted, Seq: 12}},
		{"inserted with a hash", insert(linked), Fault{Kind: Rewritten, Seq: 12, Signed: 12}},
		{"inserted, the rest chained anew", func(a []Entry) []Entry { return rehash(insert(extra)(a), 11) }, Fault{Kind: Rewritten, Seq: 12, Signed: 12}},
		{"two swapped", func(a []Entry) []Entry { a[11], a[17] = a[17], a[11]; return renumber(a) }, changed12},
		{"neighbours swapped", func(a []Entry) []Entry { a[11], a[12] = a[12], a[11]; return renumber(a) }, Fault{Kind: Inserted, Seq: 12}},
		{"one changed and hashed", change(func(e *Entry) { e.Body = []byte("0"); e.Hash = e.Sum() }), Fault{Kind: Rewritten, Seq: 12, Signed: 12}},
		{"wholly rewritten", func(a []Entry) []Entry { a[0].Body = []byte("0"); return rehash(a, 0) }, Fault{Kind: Rewritten, Seq: 1, Signed: 1}},
		{"rewritten from 12", func(a []Entry) []Entry { a[11].Author = "user:b"; return rehash(a, 11) }, Fault{Kind: Rewritten, Seq: 12, Signed: 12}},
		{"the last rewritten", func(a []Entry) []Entry { a[29].Body = []byte("0"); return rehash(a, 29) }, Fault{Kind: Rewritten, Seq: 30, Signed: 30}},
		{"to another meeting", change(func(e *Entry) { e.Meeting = "l" }), Fault{Kind: Missing, Seq: 12}},
		{"number", change(func(e *Entry) { e.Seq = 99 }), Fault{Kind: Missing, Seq: 12}},
		{"number 0", change(func(e *Entry) { e.Seq = 0 }), Fault{Kind: Inserted, Seq: 0}},
		{"fence", change(func(e *Entry) { e.Fence++ }), changed12},
		{"time", change(func(e *Entry) { e.At = e.At.Add(time.Millisecond) }), changed12},
		{"command removed", change(func(e *Entry) { e.Command = "" }), changed12},
		{"body removed", change(func(e *Entry) { e.Body = []byte{} }), changed12},
	}
	e := all[11]
	for i := range e.Command {
		list = append(list, tampering{fmt.Sprint("command byte ", i), change(func(e *Entry) { e.Command = string(flip([]byte(e.Command), i)) }), changed12})
	}
	for i := range e.Author {
		list = append(list, tampering{fmt.Sprint("author byte ", i), change(func(e *Entry) { e.Author = string(flip([]byte(e.Author), i)) }), changed12})
	}
	for i := range e.Body {
		list = append(list, tampering{fmt.Sprint("body byte ", i), change(func(e *Entry) { e.Body = flip(e.Body, i) }), changed12})
	}
	for i := range e.Prev {
		list = append(list,
			tampering{fmt.Sprint("prev byte ", i), change(func(e *Entry) { e.Prev[i] ^= 0x80 }), changed12},
			tampering{fmt.Sprint("hash byte ", i), change(func(e *Entry) { e.Hash[i] ^= 0x80 }), changed12})
	}
	return list
}

func TestTamperingIsFound(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		j, dir := startJournal(t, db, Options{})
		for _, meeting := range []string{"m", "z"} {
			w := open(t, j, meeting, "n")
			for i := range 30 {
				_, err := w.Append(ctx, draft(fmt.Sprint("c", i)))
				require.NoError(t, err)
			}
			require.NoError(t, w.Release(ctx))
		}
		disarm(t, db)
		all := readAll(t, db, "m")
		log, err := ReadHeads(dir)
		require.NoError(t, err)
		for _, c := range tamperings(all) {
			require.NoError(t, db.Write(ctx, func(tx *sql.Tx) error {
				if _, err := tx.ExecContext(ctx, `DELETE FROM journal_entries WHERE meeting IN ('m', 'l')`); err != nil {
					return err
				}
				for _, e := range c.do(append([]Entry(nil), all...)) {
					if err := put(tx, e); err != nil {
						return err
					}
				}
				return nil
			}), c.name)
			report, err := Verify(ctx, db, log)
			require.NoError(t, err, c.name)
			require.False(t, report.OK(), c.name)
			for _, m := range report.Meetings {
				switch m.Meeting {
				case "m":
					require.NotNil(t, m.Fault, c.name)
					require.Equal(t, c.want, *m.Fault, c.name)
				case "z":
					require.Nil(t, m.Fault, c.name)
					require.EqualValues(t, 30, m.Entries)
				}
			}
			// Nor does the server go on with such a chain.
			_, refused := j.Open(ctx, "m", "n")
			for _, err := range Read(ctx, db, "m", 1) {
				if err != nil {
					refused = err
				}
			}
			require.ErrorIs(t, refused, ErrTampered, c.name)
		}
	})
}

// Without heads the walk still finds what does not fit, and names the entry.
func TestVerifyWithoutHeads(t *testing.T) {
	var all []Entry
	for i := range 10 {
		all = append(all, Entry{Meeting: "m", Fence: 1, At: time.UnixMilli(int64(i)), Author: "a", Body: []byte(fmt.Sprint(i))})
	}
	rehash(all, 0)
	walk := func(all []Entry) *Fault {
		var c chainCheck
		for i := range all {
			var after *rawEntry
			if i+1 < len(all) {
				after = &rawEntry{Entry: all[i+1]}
			}
			if f := c.step(&rawEntry{Entry: all[i]}, after); f != nil {
				return f
			}
		}
		return nil
	}
	require.Nil(t, walk(all))
	for name, c := range map[string]struct {
		do   func(a []Entry) []Entry
		want *Fault
	}{
		"changed and hashed":     {func(a []Entry) []Entry { a[4].Body = []byte("x"); a[4].Hash = a[4].Sum(); return a }, &Fault{Kind: Changed, Seq: 5}},
		"last but one, hashed":   {func(a []Entry) []Entry { a[8].Body = []byte("x"); a[8].Hash = a[8].Sum(); return a }, &Fault{Kind: Changed, Seq: 9}},
		"first linked elsewhere": {func(a []Entry) []Entry { a[0].Prev[0] = 1; a[0].Hash = a[0].Sum(); return a }, &Fault{Kind: Changed, Seq: 1}},
		"linked elsewhere":       {func(a []Entry) []Entry { a[4].Prev[0]++; a[4].Hash = a[4].Sum(); return a }, &Fault{Kind: Changed, Seq: 5}},
		"time goes back":         {func(a []Entry) []Entry { a[4].At = time.UnixMilli(0); return rehash(a, 4) }, &Fault{Kind: Changed, Seq: 5}},
		"fence goes back":        {func(a []Entry) []Entry { a[3].Fence = 2; return rehash(a, 3) }, &Fault{Kind: Changed, Seq: 5}},
		"no fence":               {func(a []Entry) []Entry { a[0].Fence = 0; return rehash(a, 0) }, &Fault{Kind: Changed, Seq: 1}},
		"inserted, prev and hash": {func(a []Entry) []Entry {
			x := a[4]
			x.Body = []byte("x")
			x.Hash = x.Sum()
			return renumber(append(append(append([]Entry(nil), a[:4]...), x), a[4:]...))
		}, &Fault{Kind: Inserted, Seq: 5}},
		"whole in itself": {func(a []Entry) []Entry { a[0].Body = []byte("x"); return rehash(a, 0) }, nil},
		"cut off":         {func(a []Entry) []Entry { return a[:5] }, nil},
	} {
		require.Equal(t, c.want, walk(c.do(append([]Entry(nil), all...))), name)
	}
}

// Heads that are further apart than one entry still bracket a rewriting.
func TestAFewHeadsAreEnough(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	j, dir := startJournal(t, db, Options{})
	w := open(t, j, "m", "n")
	for i := range 3 {
		_, err := w.Append(ctx, draft(fmt.Sprint(i, "a")), draft(fmt.Sprint(i, "b")), draft(fmt.Sprint(i, "c")))
		require.NoError(t, err)
	}
	disarm(t, db)
	all := readAll(t, db, "m")
	all[4].Body = []byte("0")
	require.NoError(t, db.Write(ctx, func(tx *sql.Tx) error {
		for _, e := range rehash(all, 4) {
			if err := put(tx, e); err != nil {
				return err
			}
		}
		return nil
	}))
	report := verify(t, db, dir)
	require.Equal(t, &Fault{Kind: Rewritten, Seq: 4, Signed: 6}, report.Meetings[0].Fault)
}

func TestOurOwnMistakesAreRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		j, _ := startJournal(t, db, Options{})
		_, err := open(t, j, "m", "n").Append(ctx, draft("c"))
		require.NoError(t, err)
		for _, s := range []string{`UPDATE journal_entries SET author = 'b'`, `DELETE FROM journal_entries`} {
			err := db.Write(ctx, func(tx *sql.Tx) error { _, err := tx.ExecContext(ctx, s); return err })
			require.ErrorContains(t, err, "append-only")
		}
	})
}

func TestThePrintedReport(t *testing.T) {
	report := &Report{
		Torn: true,
		Meetings: []MeetingReport{
			{Meeting: "a", Entries: 12, Head: 12},
			{Meeting: "b", Entries: 14, Head: 12, Unsigned: 2},
			{Meeting: "c\n", Entries: 11, Head: 20, Fault: &Fault{Kind: Changed, Seq: 12}},
			{Meeting: "d", Fault: &Fault{Kind: Missing, Seq: 3}},
			{Meeting: "e", Fault: &Fault{Kind: Inserted, Seq: 4}},
			{Meeting: "f", Fault: &Fault{Kind: CutOff, Seq: 5, Signed: 14}},
			{Meeting: "g", Fault: &Fault{Kind: Rewritten, Seq: 6, Signed: 7}},
		},
		Heads: []HeadFault{{Kind: HeadDamaged, Line: 2}, {Kind: HeadMissing, Line: 3}, {Kind: HeadOlder, Line: 4}, {Kind: HeadAside, File: "journal.heads.damaged-1"}},
	}
	for lang, file := range map[Lang]string{Vietnamese: "report.vi.txt", English: "report.en.txt"} {
		var b strings.Builder
		require.NoError(t, report.Print(&b, lang))
		want, err := os.ReadFile(filepath.Join("testdata", file))
		require.NoError(t, err)
		require.Equal(t, string(want), b.String())
	}
	var b strings.Builder
	require.NoError(t, (&Report{NoHeads: true}).Print(&b, English))
	require.Contains(t, b.String(), "No signed heads")
	require.Contains(t, b.String(), "the journal is whole")
}
