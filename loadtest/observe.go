package loadtest

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"
)

// Watching says how the server and the tester are looked at meanwhile.
type Watching struct {
	// Duration is how long everybody watches after the last has joined.
	Duration time.Duration
	// PID is the server's process, 0 if it cannot be looked at.
	PID int
	// MetricsURL is the server's Prometheus page, empty for URL/metrics.
	MetricsURL string
	// After is when the server's memory is read after the last has left, 0 for
	// memoryAfter.
	After time.Duration
}

const (
	settleTimeout = 30 * time.Second
	// memoryAfter is when memory is read after the last has left: a room is kept for
	// 20 s, and all that it took has gone back to the system a moment later.
	memoryAfter = 25 * time.Second
	pulseTime   = 20 * time.Millisecond
	// gaugeEvery is the time between two looks at the goroutines: making that page costs
	// the server something.
	gaugeEvery = 5 * time.Second
	// maxPoints bounds the time series of a report; a longer run has fewer a minute.
	maxPoints = 1200
)

// observer looks at the server and the tester while a scenario runs.
type observer struct {
	w        *Watching
	o        *Options
	report   *Report
	every    time.Duration // between two points of the series
	begun    time.Time     // of the scenario
	shown    time.Time     // when the newest point was
	packets  uint64        // at that time, and so on
	bytes    uint64
	serverAt time.Duration
	testerAt time.Duration
	askedAt  time.Time // when the goroutines were asked for
	hasGauge bool
}

func newObserver(w *Watching, o *Options, report *Report) (*observer, error) {
	base, err := webURL(o.URL)
	if err != nil {
		return nil, err
	}
	if w.MetricsURL == "" {
		w.MetricsURL = base.JoinPath("/metrics").String()
	}
	if w.After == 0 {
		w.After = memoryAfter
	}
	every := max(time.Second, w.Duration/maxPoints)
	return &observer{w: w, o: o, report: report, every: every, begun: time.Now()}, nil
}

func (b *observer) goroutines(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	v, err := ReadGauge(ctx, http.DefaultClient, b.w.MetricsURL, "go_goroutines")
	return int(v), err
}

// before reads what the server holds when nobody is there.
func (b *observer) before(ctx context.Context) {
	s := &b.report.Server
	var err error
	if s.GoroutinesBefore, err = b.goroutines(ctx); err != nil {
		s.Note = "no goroutine figures: " + err.Error()
	}
	b.hasGauge = err == nil
	if b.w.PID != 0 {
		u, err := ReadUsage(b.w.PID)
		if err != nil {
			s.Note = "no process figures: " + err.Error()
			b.w.PID = 0
			return
		}
		s.RSSBefore, s.RSSPeak = u.RSS, u.RSS
	}
}

// during waits, calling each once a second for the sums so far, and reads the processor
// times at both ends.
func (b *observer) during(ctx context.Context, d time.Duration, each func(elapsed time.Duration) (packets, bytes uint64)) error {
	begin := time.Now()
	b.report.Server.watchBegins(b.w.PID)
	tester, _ := ReadUsage(os.Getpid()) // only Linux has it
	packets, bytes := each(0)
	b.packets, b.bytes = packets, bytes
	b.mark(begin)
	end := time.NewTimer(d)
	defer end.Stop()
	pulse := time.NewTicker(pulseTime)
	defer pulse.Stop()
	last := begin
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-end.C:
			watched := time.Since(begin)
			b.report.Server.watchEnds(b.w.PID, watched)
			if u, err := ReadUsage(os.Getpid()); err == nil {
				b.report.Tester.CPU = (u.CPU - tester.CPU).Seconds() / watched.Seconds()
				b.report.Tester.RSS = u.RSS
			}
			if g, err := b.goroutines(ctx); err == nil {
				b.report.Server.GoroutinesPeak = max(b.report.Server.GoroutinesPeak, g)
			}
			b.report.Watched = watched
			now, _ := each(watched)
			b.report.PacketRate = float64(now-packets) / watched.Seconds()
			return nil
		case <-pulse.C:
			now := time.Now()
			b.report.Stall = max(b.report.Stall, now.Sub(last)-pulseTime)
			if last = now; now.Sub(b.shown) < b.every {
				continue
			}
			b.report.Server.sample(b.w.PID)
			b.point(ctx, now, each)
		}
	}
}

// mark begins an interval of the series.
func (b *observer) mark(now time.Time) {
	b.shown = now
	if u, err := ReadUsage(b.w.PID); b.w.PID != 0 && err == nil {
		b.serverAt = u.CPU
	}
	if u, err := ReadUsage(os.Getpid()); err == nil {
		b.testerAt = u.CPU
	}
}

// point adds one to the series.
func (b *observer) point(ctx context.Context, now time.Time, each func(time.Duration) (packets, bytes uint64)) {
	span := now.Sub(b.shown).Seconds()
	packets, bytes := each(now.Sub(b.begun))
	p := Point{At: now.Sub(b.begun).Seconds()}
	if packets >= b.packets {
		p.PacketRate, p.Bitrate = float64(packets-b.packets)/span, float64(bytes-b.bytes)*8/span
	}
	b.packets, b.bytes = packets, bytes
	server, tester := b.serverAt, b.testerAt
	b.mark(now)
	p.ServerCPU, p.TesterCPU = (b.serverAt-server).Seconds()/span, (b.testerAt-tester).Seconds()/span
	if u, err := ReadUsage(b.w.PID); b.w.PID != 0 && err == nil {
		p.ServerRSS = u.RSS
	}
	if now.Sub(b.askedAt) >= gaugeEvery && b.hasGauge {
		b.askedAt = now
		if g, err := b.goroutines(ctx); err == nil {
			p.Goroutines = g
			b.report.Server.GoroutinesPeak = max(b.report.Server.GoroutinesPeak, g)
		}
	}
	if len(b.report.Series) < 2*maxPoints {
		b.report.Series = append(b.report.Series, p)
	}
}

// after waits, at most settleTimeout, until the server has as many goroutines as before,
// and reads its memory.
func (b *observer) after(ctx context.Context) {
	s := &b.report.Server
	left := time.Now()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		g, err := b.goroutines(ctx)
		if err == nil {
			s.GoroutinesAfter = g
		}
		enough := g <= s.GoroutinesBefore || g <= s.GoroutinesBefore+goroutineSlack && time.Since(left) > b.w.After
		if err != nil || enough || time.Since(left) > settleTimeout {
			break
		}
		b.o.progress("everybody left; the server has %d goroutines, %d before", g, s.GoroutinesBefore)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	s.Settled = time.Since(left)
	if b.w.PID == 0 {
		return
	}
	b.o.progress("waiting for memory to go back")
	select {
	case <-ctx.Done():
		return
	case <-time.After(b.w.After - s.Settled):
	}
	if u, err := ReadUsage(b.w.PID); err == nil {
		s.RSSAfter = u.RSS
	}
}

// percentilesOf returns the nearest-rank percentiles.
func percentilesOf(d []time.Duration) Percentiles {
	if len(d) == 0 {
		return Percentiles{}
	}
	slices.Sort(d)
	rank := func(q int) time.Duration { return d[(len(d)*q+99)/100-1] }
	return Percentiles{P50: rank(50), P95: rank(95), Max: d[len(d)-1]}
}

// ms rounds for people.
func ms(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.2f ms", float64(d)/1e6)
	}
	return d.Round(time.Millisecond).String()
}
