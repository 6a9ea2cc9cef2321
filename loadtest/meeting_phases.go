package loadtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// voteResult is how often each choice was counted.
type voteResult struct {
	published bool
	cast      int
	counts    map[string]int
}

var voteChoices = []string{"yes", "no", "other"}

// choiceOf is how a delegate votes: none of the counts is that of another.
func choiceOf(i int) string {
	switch {
	case i%7 == 3:
		return voteChoices[1]
	case i%11 == 5:
		return voteChoices[2]
	}
	return voteChoices[0]
}

// chairSees notes the result of the vote.
func (a *assembly) chairSees(f *meetingFrame, _ time.Time) {
	for _, e := range f.Events {
		if e.Type != "vote.published" {
			continue
		}
		var body struct {
			Result struct {
				Cast   int
				Counts []struct {
					Choice string
					Votes  int
				}
			}
		}
		if json.Unmarshal(e.Body, &body) != nil {
			continue // then the counts are wrong, which is told
		}
		r := voteResult{published: true, cast: body.Result.Cast, counts: map[string]int{}}
		for _, c := range body.Result.Counts {
			r.counts[c.Choice] = c.Votes
		}
		a.mu.Lock()
		a.result = r
		a.mu.Unlock()
	}
}

// watcherSees notes how often the count of ballots is told.
func (a *assembly) watcherSees(f *meetingFrame, at time.Time) {
	if f.Type != "progress" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.progress = append(a.progress, at)
}

// events has the chair pause and resume, and measures when each has heard of it.
func (a *assembly) events(ctx context.Context) error {
	type given struct {
		seq uint64
		at  time.Time
	}
	var all []given
	for i := range 2 * eventRounds {
		kind := "meeting.pause"
		if i%2 == 1 {
			kind = "meeting.resume"
		}
		g := given{at: time.Now()}
		done, err := a.chair.command(ctx, kind, struct{}{})
		if err != nil {
			return err
		}
		g.seq = done.seq
		all = append(all, g)
		a.r.Events.Acknowledged = append(a.r.Events.Acknowledged, done.at.Sub(g.at))
		if err := a.within(ctx, eventTimeout, done.seq); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(eventPause):
		}
	}
	came := map[uint64][]time.Time{}
	for _, m := range a.delegates {
		_, arrivals, _ := m.state()
		for _, v := range arrivals {
			came[v.seq] = append(came[v.seq], v.at)
		}
	}
	var p95, last, each []time.Duration
	e := &a.r.Events
	for _, g := range all {
		var took []time.Duration
		for _, at := range came[g.seq] {
			took = append(took, at.Sub(g.at))
		}
		e.Missing += len(a.delegates) - len(took)
		p := percentilesOf(took)
		p95, last, each = append(p95, p.P95), append(last, p.Max), append(each, took...)
	}
	e.Count, e.P95, e.Last, e.Each = len(all), percentilesOf(p95), percentilesOf(last), percentilesOf(each)
	return nil
}

// within waits for all to hear of an event, and goes on when some do not: the report
// says so.
func (a *assembly) within(ctx context.Context, most time.Duration, seq uint64) error {
	short, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	_ = a.reach(short, a.everybody, seq)
	return ctx.Err()
}

// vote has all give a ballot within ballotsWithin.
func (a *assembly) vote(ctx context.Context) error {
	secretary := a.people.sessions[meetingClerk]
	if _, err := a.chair.command(ctx, "agenda.start", map[string]string{"item": a.item}); err != nil {
		return err
	}
	seq, err := a.api.command(ctx, &secretary, a.id, "vote.draft", map[string]string{"title": "Thông qua Nghị quyết", "item": a.item})
	if err != nil {
		return err
	}
	vote := map[string]string{"vote": fmt.Sprintf("v%d", seq)}
	done, err := a.chair.command(ctx, "vote.open", vote)
	if err != nil {
		return err
	}
	if err := a.within(ctx, eventTimeout, done.seq); err != nil {
		return err
	}
	a.ballots(ctx, vote["vote"])
	a.mu.Lock()
	a.r.Ballots.Progress = len(a.progress) // the close tells the last count at once
	a.mu.Unlock()
	for _, kind := range []string{"vote.close", "vote.publish"} {
		if done, err = a.chair.command(ctx, kind, vote); err != nil {
			return err
		}
	}
	if err := a.within(ctx, eventTimeout, done.seq); err != nil {
		return err
	}
	a.count()
	return nil
}

func (a *assembly) ballots(ctx context.Context, vote string) {
	b := &a.r.Ballots
	times := make([]time.Duration, len(a.delegates))
	begun := time.Now()
	var group sync.WaitGroup
	for i, m := range a.delegates {
		group.Go(func() {
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Until(begun.Add(ballotsWithin * time.Duration(i) / time.Duration(len(a.delegates))))):
			}
			at := time.Now()
			done, err := m.command(ctx, "ballot.give", map[string]any{"vote": vote, "choices": []string{choiceOf(i)}})
			if err == nil {
				times[i] = done.at.Sub(at)
			}
		})
	}
	group.Wait()
	b.Took = time.Since(begun)
	var took []time.Duration
	b.Acknowledged = map[string]int{}
	for i, d := range times {
		if d > 0 {
			took = append(took, d)
			b.Acknowledged[choiceOf(i)]++
		}
	}
	b.Given, b.Time = len(a.delegates), percentilesOf(took)
}

// count compares what was published with what was acknowledged.
func (a *assembly) count() {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := &a.r.Ballots
	b.Counted, b.Cast = a.result.counts, a.result.cast
	for i := 1; i < b.Progress; i++ {
		gap := a.progress[i].Sub(a.progress[i-1])
		if b.ProgressGap == 0 || gap < b.ProgressGap {
			b.ProgressGap = gap
		}
	}
	if b.Took > 0 {
		b.ProgressRate = float64(b.Progress) / b.Took.Seconds()
	}
}

// apiRoutes are what users ask, in turn.
func (a *assembly) apiRoutes() []RouteFigures {
	return []RouteFigures{{Name: "list", path: "/meetings?limit=20"}, {Name: "snapshot", path: "/meetings/" + a.id},
		{Name: "search", path: "/meetings?q=thu+tai&limit=20"}}
}

// askAPI has some users ask the HTTP API once a second each.
func (a *assembly) askAPI(ctx context.Context) error {
	users := a.delegates[:min(apiUsers, len(a.delegates))]
	routes := a.apiRoutes()
	times := make([][]time.Duration, len(routes))
	var mu sync.Mutex
	end := time.Now().Add(a.o.Duration)
	var group sync.WaitGroup
	f := &a.r.API
	for i, m := range users {
		group.Go(func() {
			// All over the second.
			next := time.Now().Add(time.Second * time.Duration(i) / time.Duration(len(users)))
			for turn := i; next.Before(end); turn, next = turn+1, next.Add(time.Second) {
				select {
				case <-ctx.Done():
					return
				case <-time.After(time.Until(next)):
				}
				begun, route := time.Now(), turn%len(routes)
				_, err := a.api.call(ctx, &m.session, http.MethodGet, routes[route].path, nil, nil)
				took := time.Since(begun)
				mu.Lock()
				if err != nil {
					f.Failed++
				} else {
					times[route] = append(times[route], took)
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	var all []time.Duration
	for i := range routes {
		all = append(all, times[i]...)
		routes[i].Requests, routes[i].Time = len(times[i]), percentilesOf(times[i])
	}
	f.Users, f.Requests, f.Time, f.Routes = len(users), len(all), percentilesOf(all), routes
	return ctx.Err()
}

// comeBack cuts the connections of all delegates, has something happen meanwhile, and
// has them come back all at once from where they were.
func (a *assembly) comeBack(ctx context.Context) error {
	for _, m := range a.delegates {
		m.drop()
	}
	var head uint64
	for _, kind := range []string{"meeting.pause", "meeting.resume", "meeting.pause", "meeting.resume"} {
		done, err := a.chair.command(ctx, kind, struct{}{})
		if err != nil {
			return err
		}
		head = done.seq
	}
	begun := time.Now()
	times := make([]time.Duration, len(a.everybody))
	err := a.all(ctx, len(a.everybody), "are back", func(ctx context.Context, i int) error {
		m := a.everybody[i]
		if m == a.chair {
			return nil
		}
		if err := m.connect(ctx, a.id, true); err != nil {
			return err
		}
		err := a.reach(ctx, []*member{m}, head)
		times[i] = time.Since(begun)
		return err
	})
	if err != nil {
		return err
	}
	a.r.Back.Took, a.r.Back.Time = time.Since(begun), percentilesOf(times[1:])
	_, err = a.quiet(ctx) // those who came are told
	a.r.Back.Settled = time.Since(begun)
	return err
}

// audit compares everybody's books with those of the chair, who was there all the time.
func (a *assembly) audit() {
	reference, _, _ := a.chair.state()
	a.r.Books.Events = reference.events
	for _, m := range a.delegates {
		books, _, err := m.state()
		b := &a.r.Books
		switch {
		case books.snapshots > 0:
			b.Snapshots++
		case books.events != reference.events || books.sum != reference.sum:
			b.Wrong++
		}
		if books.own != 1 {
			b.OwnBallot++
		}
		b.Twice += books.twice
		if m.isEnded() && err != nil {
			b.Ended++
		}
	}
}

func (m *member) isEnded() bool {
	select {
	case <-m.ended:
		return true
	default:
		return false
	}
}
