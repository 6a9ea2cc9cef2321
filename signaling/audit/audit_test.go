package audit

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"diemcau/signaling/store"
	"diemcau/signaling/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var start = time.Date(2026, 3, 2, 7, 0, 0, 0, time.UTC)

func open(t *testing.T, db *store.DB, change ...func(*Options)) (*Log, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	o := Options{DB: db, Now: func() time.Time { return start }, Log: slog.New(slog.NewTextHandler(&out, nil)), Metrics: prometheus.NewRegistry()}
	for _, f := range change {
		f(&o)
	}
	l, err := Start(o)
	require.NoError(t, err)
	t.Cleanup(l.Close)
	return l, &out
}

func TestWriteAndSearch(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, _ := open(t, db)
		ctx := t.Context()
		for i := range 25 {
			l.Write(ctx, Record{At: start.Add(time.Duration(i/2) * time.Second), Who: "user:lan#ab12", From: "10.0.0.1",
				Action: "unit.update", Object: fmt.Sprintf("unit:%d", i), Result: OK})
		}
		l.Write(ctx, Record{Who: "user:nam", Action: "units.import", Object: "table:units", Result: "forbidden"})
		l.Write(ctx, Record{Who: "user:nam", Action: "unit_x", Result: OK})
		l.Write(ctx, Record{Action: "session.create", Object: "unknown", Result: "bad_credentials"})
		n, err := Count(ctx, db)
		require.NoError(t, err)
		require.Equal(t, 28, n, "what Write returned from is there")

		var seen []string
		for cursor := ""; ; {
			page, err := l.Search(ctx, Filter{Who: "user:lan"}, cursor, 7)
			require.NoError(t, err)
			for _, r := range page.Records {
				require.Equal(t, "ab12", r.Device)
				seen = append(seen, r.Object)
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		require.Len(t, seen, 25, "each once")
		require.Equal(t, "unit:24", seen[0])
		for _, c := range []struct {
			filter Filter
			want   int
		}{
			{Filter{}, 28}, {Filter{Action: "unit."}, 25}, {Filter{Action: "unit.update"}, 25}, {Filter{Action: "unit_x"}, 1},
			{Filter{Action: "%."}, 0}, {Filter{Result: "refused"}, 2}, {Filter{Result: "forbidden"}, 1}, {Filter{SignIns: true}, 1},
			{Filter{Object: "unit:3"}, 1}, {Filter{From: start.Add(11 * time.Second)}, 3}, {Filter{Until: start.Add(time.Second), Who: "user:lan"}, 2},
			{Filter{Who: "user:la"}, 0}, {Filter{Who: "user:lan' OR '1'='1"}, 0}, {Filter{Object: "\x00\xff"}, 0},
		} {
			page, err := l.Search(ctx, c.filter, "", 100)
			require.NoError(t, err, "%+v", c.filter)
			require.Len(t, page.Records, c.want, "%+v", c.filter)
		}
		for _, cursor := range []string{"x", "!!!", "MTIz", strings.Repeat("A", 500)} {
			_, err := l.Search(ctx, Filter{}, cursor, 1)
			require.ErrorIs(t, err, ErrCursor, cursor)
		}
	})
}

func TestTextsAreClipped(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, _ := open(t, db)
		l.Write(t.Context(), Record{Who: "user:\u202Elan#" + strings.Repeat("d", 100), From: "1\n2", Action: strings.Repeat("a", 1<<20),
			Object: "a\x00b\xff", Result: "", Detail: strings.Repeat("ế", 3000)})
		page, err := l.Search(t.Context(), Filter{}, "", 1)
		require.NoError(t, err)
		r := page.Records[0]
		require.Equal(t, "user:lan", r.Who)
		require.Equal(t, "12", r.From)
		require.Equal(t, "ab", r.Object)
		require.Equal(t, strings.Repeat("ế", 1000)+"…", r.Detail)
		require.Len(t, r.Action, 64+len("…"))
	})
}

// Many at once are written in few transactions, and each waits for its own.
func TestGroupCommit(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, _ := open(t, db)
		var group sync.WaitGroup
		for range 2000 {
			group.Go(func() { l.Write(context.Background(), Record{Action: "x", Result: OK}) })
		}
		began := time.Now()
		group.Wait()
		took := time.Since(began)
		n, err := Count(t.Context(), db)
		require.NoError(t, err)
		if took < patience { // after that Write waits no longer
			require.Equal(t, 2000, n)
		}
		l.Close()
		n, err = Count(t.Context(), db)
		require.NoError(t, err)
		require.Equal(t, 2000, n)
		t.Logf("2,000 records of 2,000 writers on disk in %v", took.Round(time.Millisecond))
	})
}

// With the writer stuck, what finds no place is counted and stands in the program's log.
func TestNothingIsDroppedInSilence(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	l, out := open(t, db, func(o *Options) { o.Queue = 2 })
	held, release := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		_ = db.Write(context.Background(), func(*sql.Tx) error { close(held); <-release; return nil })
	})
	<-held
	var once sync.Once
	free := func() { once.Do(func() { close(release) }) }
	defer free()
	for i := range 1000 {
		l.Note(Record{Action: fmt.Sprintf("note.%d", i), Detail: "chi tiết", Result: OK})
	}
	n0 := lost(t, l)
	require.GreaterOrEqual(t, n0, 1000.0-batchLength-2, "at most a queue of 2 and a batch with the writer")
	require.Equal(t, int(n0), strings.Count(out.String(), "audit record not in the database"))
	require.Contains(t, out.String(), "action=note.999")
	require.Contains(t, out.String(), "chi tiết")
	done, cancel := context.WithCancel(t.Context())
	cancel()
	group.Go(func() { l.Write(done, Record{Action: "write", Result: OK}) }) // waits for a place whoever gave up
	free()
	group.Wait()
	l.Close()
	n, err := Count(t.Context(), db)
	require.NoError(t, err)
	require.Equal(t, 1001, n+int(lost(t, l)), "each is in one of the two")
	l.Note(Record{Action: "late"})
	l.Write(t.Context(), Record{Action: "late"})
	require.Equal(t, 2, strings.Count(out.String(), "action=late"))
}

func TestDatabaseAway(t *testing.T) {
	db, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "a.db"))
	require.NoError(t, err)
	l, out := open(t, db)
	require.NoError(t, db.Close())
	l.Write(t.Context(), Record{Action: "unit.remove", Object: "unit:7", Result: OK})
	require.Contains(t, out.String(), "object=unit:7")
	require.Equal(t, 1.0, lost(t, l))
}

func TestNoGoroutineStays(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	db, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "a.db"))
	require.NoError(t, err)
	l, err := Start(Options{DB: db})
	require.NoError(t, err)
	l.Note(Record{Action: "x"})
	l.Close()
	l.Close()
	n, err := Count(t.Context(), db)
	require.NoError(t, err)
	require.Equal(t, 1, n, "Close writes what is queued")
	require.NoError(t, db.Close())
}

func TestAddress(t *testing.T) {
	for remote, want := range map[string]string{"192.0.2.7:1234": "192.0.2.7", "[2001:db8::1]:80": "2001:db8::1", "[::ffff:192.0.2.7]:5": "192.0.2.7", "@": "@"} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = remote
		got := ""
		WithClient(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = Address(r.Context()) })).ServeHTTP(httptest.NewRecorder(), r)
		require.Equal(t, want, got)
	}
	require.Empty(t, Address(t.Context()))
}

// lost is how many records were counted as lost.
func lost(t *testing.T, l *Log) float64 {
	t.Helper()
	var m dto.Metric
	require.NoError(t, l.lost.Write(&m))
	return m.GetCounter().GetValue()
}

// Whoever is not signed in cannot fill the disk with refusals, nor push the lines of
// others out.
func TestFloodOfStrangers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var now atomic.Int64
		now.Store(start.UnixMilli())
		l, _ := open(t, db, func(o *Options) { o.Now = func() time.Time { return time.UnixMilli(now.Load()) } })
		for i := range 1000 {
			l.Note(Record{From: "203.0.113.9", Action: "session.create", Object: "unknown", Result: "throttled"})
			if i%10 == 0 {
				l.Write(t.Context(), Record{From: "203.0.113.9", Who: "user:lan", Action: "unit.update", Result: OK})
				l.Write(t.Context(), Record{From: "203.0.113.10", Action: "session.create", Result: "bad_credentials"})
			}
		}
		now.Add((10 * time.Second).Milliseconds())
		l.Note(Record{From: "203.0.113.9", Action: "late", Result: "throttled"})
		l.Close()
		n := func(where string) (n int) {
			require.NoError(t, db.QueryRow(t.Context(), `SELECT count(*) FROM audit_records WHERE `+where).Scan(&n))
			return n
		}
		require.Equal(t, floodBurst, n(`action = 'session.create' AND address = '203.0.113.9'`))
		require.Equal(t, 100, n(`action = 'unit.update'`), "who is signed in leaves each line")
		require.Equal(t, 100, n(`address = '203.0.113.10'`))
		require.Equal(t, 1, n(`action = 'late'`), "later there is room again")
		require.Equal(t, 1, n(`action = 'audit.flood' AND address = '203.0.113.9' AND detail LIKE '700 records since %'`))
	})
}

func TestFloodFromManyAddresses(t *testing.T) {
	f := newFlood(func() time.Time { return start })
	taken := 0
	for i := range 20000 {
		if f.takes(Record{From: fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)}) {
			taken++
		}
	}
	require.LessOrEqual(t, taken, floodAllBurst)
	require.LessOrEqual(t, len(f.by), maxFlooding+1)
	left := 0
	for _, r := range f.told() {
		n := 0
		_, err := fmt.Sscanf(r.Detail, "%d records", &n)
		require.NoError(t, err)
		left += n
	}
	require.Equal(t, 20000, taken+left, "each is counted")
	require.Empty(t, f.told())
}
