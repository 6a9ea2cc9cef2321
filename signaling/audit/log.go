package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/text/unicode/norm"

	"diemcau/signaling/store"
)

// Record is one line. Texts are clipped to the lengths below, in characters, and
// lose what cannot be shown.
type Record struct {
	ID     string    // given by Write
	At     time.Time // zero: now
	Who    string    // identity with or without #device; "" before there is one; ≤ 100
	Device string    // given by Search: the part of the identity after #
	From   string    // address of the client; ≤ 64
	Action string    // "unit.create"; ≤ 64
	Object string    // "unit:<id>"; ≤ 160
	Result string    // OK or the code of the refusal; ≤ 64
	Detail string    // ≤ 1,000
}

// OK is the result of what was done.
const OK = "ok"

const (
	queueLength = 4096
	batchLength = 512
	patience    = 10 * time.Second // of Write, for its line to be on disk
	attempts    = 5                // of a batch
)

// Options are what a Log needs.
type Options struct {
	DB      *store.DB             // required
	Log     *slog.Logger          // nil: slog.Default
	Metrics prometheus.Registerer // nil: none
	Now     func() time.Time      // nil: time.Now
	Queue   int                   // records that wait; 0: 4096
}

// Log writes and searches records. Its methods may be called at the same time.
type Log struct {
	db    *store.DB
	log   *slog.Logger
	now   func() time.Time
	lost  prometheus.Counter
	lines prometheus.Counter

	flood *flood
	queue chan entry
	quit  chan struct{} // closed: take no more
	ended chan struct{} // closed: the writer has ended
	once  sync.Once
}

// entry is a record on its way; done is closed when it is on disk or lost.
type entry struct {
	record Record
	done   chan struct{}
}

// Start begins to write, until Close.
func Start(o Options) (*Log, error) {
	if o.DB == nil {
		return nil, errors.New("audit: DB is required")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Queue <= 0 {
		o.Queue = queueLength
	}
	l := &Log{
		db: o.DB, log: o.Log, now: o.Now,
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "diemcau_audit_lost_total", Help: "Audit records that are in the program's log only, not in the database."}),
		lines: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "diemcau_audit_records_total", Help: "Audit records written."}),
		flood: newFlood(o.Now),
		queue: make(chan entry, o.Queue), quit: make(chan struct{}), ended: make(chan struct{}),
	}
	if o.Metrics != nil {
		for _, c := range []prometheus.Collector{l.lost, l.lines} {
			if err := o.Metrics.Register(c); err != nil {
				return nil, fmt.Errorf("audit: %w", err)
			}
		}
	}
	go l.writeLoop()
	return l, nil
}

// Write keeps r and returns when it is on disk, or was written to the program's
// log because it could not be, or was counted (flood). A disk that takes longer than
// 10 s is waited for no more. The end of ctx does not take r back, it only ends the
// waiting: whoever gave up may have done something all the same.
func (l *Log) Write(ctx context.Context, r Record) {
	e := entry{l.complete(r), make(chan struct{})}
	if !l.flood.takes(e.record) {
		return
	}
	wait := time.NewTimer(patience)
	defer wait.Stop()
	select {
	case <-l.quit:
		l.lose(e, "closed")
		return
	default:
	}
	select {
	case l.queue <- e:
	case <-l.quit:
		l.lose(e, "closed")
		return
	case <-wait.C:
		l.lose(e, "queue full")
		return
	}
	select {
	case <-e.done:
	case <-l.ended:
		l.drain() // it may have come in after the writer's last look
	case <-wait.C:
	case <-ctx.Done():
	}
}

// Note keeps r without waiting for the disk.
func (l *Log) Note(r Record) {
	e := entry{l.complete(r), make(chan struct{})}
	if !l.flood.takes(e.record) {
		return
	}
	select {
	case <-l.quit:
		l.lose(e, "closed")
		return
	default:
	}
	select {
	case l.queue <- e:
		select {
		case <-l.ended:
			l.drain()
		default:
		}
	default:
		l.lose(e, "queue full")
	}
}

// Close writes what is queued and stops.
func (l *Log) Close() {
	l.once.Do(func() { close(l.quit) })
	<-l.ended
	l.drain()
}

// drain loses what came in while the writer ended.
func (l *Log) drain() {
	for {
		select {
		case e := <-l.queue:
			l.lose(e, "closed")
		default:
			return
		}
	}
}

// lose puts a record where it is found by who looks for it.
func (l *Log) lose(e entry, why string) {
	l.lost.Inc()
	r := e.record
	l.log.Error("audit record not in the database", "why", why, "at", r.At, "who", r.Who, "device", r.Device,
		"from", r.From, "action", r.Action, "object", r.Object, "result", r.Result, "detail", r.Detail)
	close(e.done)
}

// writeLoop is the only writer of the table.
func (l *Log) writeLoop() {
	defer close(l.ended)
	tell := time.NewTicker(floodEvery)
	defer tell.Stop()
	for {
		var batch []entry
		closing := false
		select {
		case e := <-l.queue:
			batch = append(batch, e)
		case <-tell.C:
			batch = l.told()
		case <-l.quit:
			closing = true
		}
		for more := true; more && len(batch) < batchLength; {
			select {
			case e := <-l.queue:
				batch = append(batch, e)
			default:
				more = false
			}
		}
		if closing {
			batch = append(batch, l.told()...)
		}
		switch {
		case len(batch) > 0:
			l.commit(batch)
		case closing:
			return // nothing is left
		}
	}
}

// told are the records of what was left out.
func (l *Log) told() (batch []entry) {
	for _, r := range l.flood.told() {
		batch = append(batch, entry{l.complete(r), make(chan struct{})})
	}
	return batch
}

func (l *Log) commit(batch []entry) {
	pause := 50 * time.Millisecond
	for try := 1; ; try++ {
		err := l.insert(batch)
		if err == nil {
			break
		}
		if try == attempts {
			for _, e := range batch {
				l.lose(e, err.Error())
			}
			return
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-l.quit: // the end is not held up, and still tries once more
			timer.Stop()
			try = attempts - 1
		}
		pause *= 2
	}
	l.lines.Add(float64(len(batch)))
	for _, e := range batch {
		close(e.done)
	}
}

const columns = 9

func (l *Log) insert(batch []entry) error {
	var b strings.Builder
	b.WriteString(`INSERT INTO audit_records (id, at, who, device, address, action, object, result, detail) VALUES `)
	args := make([]any, 0, columns*len(batch))
	for i, e := range batch {
		r := e.record
		if i > 0 {
			b.WriteString(", ")
		}
		for c := range columns {
			fmt.Fprintf(&b, "%s$%d", map[bool]string{true: "(", false: ", "}[c == 0], columns*i+c+1)
		}
		b.WriteByte(')')
		args = append(args, r.ID, r.At.UnixMilli(), r.Who, r.Device, r.From, r.Action, r.Object, r.Result, r.Detail)
	}
	// A repetition after an answer that got lost must not double the lines.
	b.WriteString(` ON CONFLICT (id) DO NOTHING`)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return l.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, b.String(), args...)
		return err
	})
}

func (l *Log) complete(r Record) Record {
	r.ID = uuid.Must(uuid.NewV7()).String() // fails only without a random source
	if r.At.IsZero() {
		r.At = l.now()
	}
	r.At = r.At.UTC().Truncate(time.Millisecond)
	who, device, _ := strings.Cut(r.Who, "#")
	r.Who, r.Device = clip(who, 100), clip(device, 40)
	r.From, r.Action, r.Object = clip(r.From, 64), clip(r.Action, 64), clip(r.Object, 160)
	r.Result, r.Detail = clip(r.Result, 64), clip(r.Detail, 1000)
	return r
}

// clip makes a text fit to be kept and shown: NFC, at most limit characters,
// without controls and without what hides or reorders text.
func clip(s string, limit int) string {
	s = s[:min(len(s), 16*limit)]
	var b strings.Builder
	n := 0
	for _, r := range norm.NFC.String(strings.ToValidUTF8(s, "")) {
		if unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) || r == utf8.RuneError {
			continue
		}
		if n++; n > limit {
			b.WriteRune('…')
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}
