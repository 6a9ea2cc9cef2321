package loadtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"
)

// MeetingOptions describe a meeting of many users, without media.
type MeetingOptions struct {
	Options
	// Login and Password are an administrator's.
	Login, Password string
	// Users is how many delegates take part.
	Users int
	// Duration is how long the HTTP API is asked.
	Duration time.Duration
	// Sessions is a file in which those who are signed in are kept for the next run;
	// empty: none.
	Sessions string
	// OnlySignIn ends when all are signed in.
	OnlySignIn bool
	// PID is the server's process, 0 if it cannot be looked at. MetricsURL is its
	// Prometheus page, empty for URL/metrics.
	PID        int
	MetricsURL string
	// After is how long the server rests before its memory is read.
	After time.Duration
}

const (
	maxMeetingUsers = 10_000
	maxPeople       = 250 // of one command
	connectParallel = 50
	eventRounds     = 10 // each is a pause and a resumption
	eventPause      = 150 * time.Millisecond
	ballotsWithin   = 2 * time.Second
	apiUsers        = 90
	reachTimeout    = 3 * time.Minute
	eventTimeout    = 30 * time.Second
	settledFor      = 2 * time.Second
)

// assembly is a meeting with all its members.
type assembly struct {
	o      *MeetingOptions
	api    *apiClient
	report *Report
	r      *MeetingReport
	people *accounts

	id         string // of the meeting
	item       string // of the agenda
	chair      *member
	delegates  []*member
	everybody  []*member
	cpuAt      time.Duration
	phaseAt    time.Time
	testerCPU  time.Duration
	measuredAt time.Time

	mu       sync.Mutex
	progress []time.Time // guarded by mu: of the frames that one watcher got
	result   voteResult  // guarded by mu: as published
}

// Meeting runs the scenario. Errors: the options are wrong, the server is another
// machine's or refuses what an administrator may do, or a socket cannot be opened. What
// is lost or slow is no error: the report says so.
func Meeting(ctx context.Context, o MeetingOptions) (*Report, error) {
	if o.Users < 1 || o.Users > maxMeetingUsers {
		return nil, fmt.Errorf("%d users: want 1 to %d", o.Users, maxMeetingUsers)
	}
	if o.Login == "" || o.Password == "" {
		return nil, errors.New("no administrator: use --login and --password, or DIEMCAU_PASSWORD")
	}
	if err := o.check(ctx); err != nil {
		return nil, err
	}
	api, err := newAPIClient(o.URL, apiUsers+signInParallel)
	if err != nil {
		return nil, err
	}
	if o.MetricsURL == "" {
		base, _ := webURL(o.URL) // newAPIClient has checked it
		o.MetricsURL = base.JoinPath("/metrics").String()
	}
	r := &MeetingReport{Users: o.Users}
	a := &assembly{o: &o, api: api, r: r, people: &accounts{o: &o, api: api},
		report: &Report{Scenario: "meeting", URL: o.URL, Started: time.Now(), Subscribers: o.Users, Meeting: r}}
	if err := a.timed(&r.SignedIn, a.people.prepare)(ctx); err != nil || o.OnlySignIn {
		return a.report, err
	}
	defer a.close()
	pulse, stop := context.WithCancel(ctx)
	var beating sync.WaitGroup
	beating.Go(func() { a.report.Stall = longestStall(pulse) })
	err = a.run(ctx)
	stop()
	beating.Wait()
	if err != nil {
		return nil, err
	}
	a.report.conclude()
	return a.report, nil
}

func (a *assembly) run(ctx context.Context) error {
	r := a.r
	for _, p := range []struct {
		name string
		took *time.Duration
		run  func(context.Context) error
	}{
		{"preparing", &r.Prepared, a.prepare}, {"alone", nil, a.alone}, {"connecting", &r.Connected, a.connect}, {"presence is told", &r.Settled, a.settle},
		{"idle", &r.Idle, a.rest}, {"events", nil, a.events}, {"vote", nil, a.vote}, {"API", nil, a.askAPI}, {"coming back", nil, a.comeBack},
	} {
		a.o.progress("%s", p.name)
		a.phaseBegins()
		if err := a.timed(p.took, p.run)(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		a.phaseEnds(p.name)
	}
	a.audit()
	if _, err := a.chair.command(ctx, "meeting.end", struct{}{}); err != nil {
		return err
	}
	if u, err := ReadUsage(os.Getpid()); err == nil { // only Linux has it
		a.report.Tester.CPU = (u.CPU - a.testerCPU).Seconds() / time.Since(a.measuredAt).Seconds()
		a.report.Tester.RSS = u.RSS
	}
	a.report.Watched = time.Since(a.measuredAt)
	return nil
}

// timed has a phase's duration kept.
func (a *assembly) timed(took *time.Duration, run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		begun := time.Now()
		err := run(ctx)
		if took != nil {
			*took = time.Since(begun)
		}
		return err
	}
}

func (a *assembly) phaseBegins() {
	a.phaseAt = time.Now()
	if u, err := ReadUsage(a.o.PID); a.o.PID != 0 && err == nil {
		a.cpuAt = u.CPU
	}
}

func (a *assembly) phaseEnds(name string) {
	u, err := ReadUsage(a.o.PID)
	if a.o.PID == 0 || err != nil {
		return
	}
	a.r.RSSPeak = max(a.r.RSSPeak, u.RSS)
	a.r.Phases = append(a.r.Phases, Phase{Name: name, Took: time.Since(a.phaseAt), CPU: u.CPU - a.cpuAt, RSS: u.RSS})
}

// prepare makes the meeting, invites all, and has it approved.
func (a *assembly) prepare(ctx context.Context) error {
	chair, secretary := a.people.sessions[meetingChair], a.people.sessions[meetingClerk]
	var made struct{ Meeting string }
	start := time.Now().UTC().Truncate(time.Minute)
	if _, err := a.api.do(ctx, &secretary, http.MethodPost, "/meetings", map[string]any{"id": a.api.commandID(), "title": "Thử tải " + a.api.run,
		"unit": a.people.unit, "place": "Hội trường", "plannedStart": start, "plannedEnd": start.Add(2 * time.Hour)}, &made); err != nil {
		return err
	}
	a.id = made.Meeting
	type person struct {
		ID     string `json:"id"`
		Role   string `json:"role"`
		Voting bool   `json:"voting,omitempty"`
	}
	list := []person{{ID: "user:" + chair.User, Role: "chair"}, {ID: "user:" + secretary.User, Role: "secretary"}}
	var voters []string
	for i := range a.o.Users {
		id := "user:" + a.people.sessions[delegateLogin(i)].User
		voters = append(voters, id)
		list = append(list, person{ID: id, Role: "delegate", Voting: true})
	}
	for len(list) > 0 {
		n := min(len(list), maxPeople)
		if _, err := a.api.command(ctx, &secretary, a.id, "person.invite", map[string]any{"people": list[:n]}); err != nil {
			return err
		}
		list = list[n:]
	}
	seq, err := a.api.command(ctx, &secretary, a.id, "agenda.add", map[string]any{"title": "Biểu quyết", "minutes": 30})
	if err != nil {
		return err
	}
	a.item = fmt.Sprintf("i%d", seq)
	if _, err := a.api.command(ctx, &secretary, a.id, "meeting.submit", struct{}{}); err != nil {
		return err
	}
	if _, err := a.api.command(ctx, &chair, a.id, "meeting.approve", struct{}{}); err != nil {
		return err
	}
	for len(voters) > 0 {
		n := min(len(voters), maxPeople)
		if _, err := a.api.command(ctx, &secretary, a.id, "attendance.confirm", map[string]any{"people": voters[:n], "mode": "online"}); err != nil {
			return err
		}
		voters = voters[n:]
	}
	return nil
}

// connect has all open their sockets.
func (a *assembly) connect(ctx context.Context) error {
	cache := newFrameCache()
	a.chair = newMember(a.api, a.people.sessions[meetingChair], cache)
	a.chair.watch = a.chairSees
	for i := range a.o.Users {
		a.delegates = append(a.delegates, newMember(a.api, a.people.sessions[delegateLogin(i)], cache))
	}
	a.delegates[0].watch = a.watcherSees
	a.everybody = append([]*member{a.chair}, a.delegates...)
	times := make([]time.Duration, len(a.everybody))
	err := a.all(ctx, connectParallel, "connected", func(ctx context.Context, i int) error {
		begun, m := time.Now(), a.everybody[i]
		if err := m.connect(ctx, a.id, false); err != nil {
			return err
		}
		err := a.reach(ctx, []*member{m}, 1)
		times[i] = time.Since(begun)
		return err
	})
	a.r.ConnectTime = percentilesOf(times)
	return err
}

// all has everybody do something, so many at the same time.
func (a *assembly) all(ctx context.Context, parallel int, what string, do func(ctx context.Context, i int) error) error {
	o := a.o.Options
	o.JoinParallel = parallel
	return o.joinAll(ctx, len(a.everybody), what, do)
}

// reach waits until all of them know what happened up to seq.
func (a *assembly) reach(ctx context.Context, all []*member, seq uint64) error {
	begun, tick := time.Now(), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for {
		behind, ended := 0, 0
		var why error
		for _, m := range all {
			if m.seq.Load() >= seq {
				continue
			}
			behind++
			if m.isEnded() {
				ended++
				_, _, why = m.state()
			}
		}
		switch {
		case behind == 0:
			return nil
		case behind == ended:
			return fmt.Errorf("the sockets of %d of %d were closed: %w", ended, len(all), why)
		case time.Since(begun) > reachTimeout:
			return fmt.Errorf("%d of %d have not heard of event %d within %v", behind, len(all), seq, reachTimeout)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// quiet waits until nothing has happened for a while, and all know it.
func (a *assembly) quiet(ctx context.Context) (uint64, error) {
	begun, last, since := time.Now(), uint64(0), time.Now()
	for time.Since(since) < settledFor && time.Since(begun) < reachTimeout {
		if seq := a.chair.seq.Load(); seq != last {
			last, since = seq, time.Now()
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return last, a.reach(ctx, a.everybody, last)
}

// settle waits until all have heard who has come, starts the meeting, and begins the
// books there.
func (a *assembly) settle(ctx context.Context) error {
	if _, err := a.quiet(ctx); err != nil {
		return err
	}
	done, err := a.chair.command(ctx, "meeting.start", struct{}{})
	if err != nil {
		return err
	}
	if err := a.reach(ctx, a.everybody, done.seq); err != nil {
		return err
	}
	for _, m := range a.everybody {
		m.begin(done.seq)
	}
	return nil
}

func (a *assembly) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// alone reads what the server holds when nobody is connected. What the passwords took
// has to go back first: otherwise those who connect would seem to take nothing.
func (a *assembly) alone(ctx context.Context) error {
	if err := a.wait(ctx, a.o.After); err != nil {
		return err
	}
	if u, err := ReadUsage(a.o.PID); a.o.PID != 0 && err == nil {
		a.r.RSSBefore = u.RSS
	}
	a.r.InUseBefore = a.inUse(ctx)
	return nil
}

// rest leaves the server alone, and reads what it holds for those who are connected.
func (a *assembly) rest(ctx context.Context) error {
	if err := a.wait(ctx, a.o.After); err != nil {
		return err
	}
	if u, err := ReadUsage(a.o.PID); a.o.PID != 0 && err == nil {
		a.r.RSSConnected, a.r.RSSPeak = u.RSS, max(a.r.RSSPeak, u.RSS)
	}
	a.r.InUse = a.inUse(ctx)
	a.measuredAt = time.Now()
	if u, err := ReadUsage(os.Getpid()); err == nil {
		a.testerCPU = u.CPU
	}
	return nil
}

// inUse is what a Go program has in use as heap and stacks, 0 if it does not say.
func (a *assembly) inUse(ctx context.Context) uint64 {
	sum := 0.0
	for _, name := range []string{"go_memstats_heap_inuse_bytes", "go_memstats_stack_inuse_bytes"} {
		v, err := ReadGauge(ctx, a.api.http, a.o.MetricsURL, name)
		if err != nil {
			return 0
		}
		sum += v
	}
	return uint64(sum)
}

func (a *assembly) close() {
	for _, m := range a.everybody {
		m.drop()
	}
	a.api.http.CloseIdleConnections()
}

// longestStall is the longest time for which this program got no processor until ctx ends.
func longestStall(ctx context.Context) (longest time.Duration) {
	tick := time.NewTicker(pulseTime)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-ctx.Done():
			return longest
		case <-tick.C:
			now := time.Now()
			longest = max(longest, now.Sub(last)-pulseTime)
			last = now
		}
	}
}
