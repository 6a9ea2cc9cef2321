package loadtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"diemcau/loadtest/light"
)

// ChurnOptions describe a plenary in which some come and go all the time, and the others
// are not to notice.
type ChurnOptions struct {
	Options
	Watching
	Cast
	// Subscribers is how many stay and watch, Churners how many others come and go at
	// the same time.
	Subscribers, Churners int
	// Stay is how long one of them stays at most.
	Stay time.Duration
}

// Churn runs the scenario; see Plenary for its errors. The totals are of those who stay.
func Churn(ctx context.Context, o ChurnOptions) (*Report, error) { return churnNamed(ctx, "churn", o) }

// Soak is a churn that goes on for long, with the trend of the server's memory and
// goroutines.
func Soak(ctx context.Context, o ChurnOptions) (*Report, error) {
	r, err := churnNamed(ctx, "soak", o)
	if err != nil {
		return nil, err
	}
	// The first quarter is the time of filling caches and pools.
	settled := r.Series[len(r.Series)/4:]
	memory := fit(settled, func(p Point) (float64, bool) { return float64(p.ServerRSS) / (1 << 20), p.ServerRSS > 0 })
	goroutines := fit(settled, func(p Point) (float64, bool) { return float64(p.Goroutines), p.Goroutines > 0 })
	const hour = 3600
	if memory.n > 1 {
		r.Figures = append(r.Figures, Figure{Name: "memory grows by", Value: memory.slope * hour, Unit: "MB/h"})
	}
	if goroutines.n > 1 {
		r.Figures = append(r.Figures, Figure{Name: "goroutines grow by", Value: goroutines.slope * hour, Unit: "/h"})
	}
	return r, nil
}

func churnNamed(ctx context.Context, name string, o ChurnOptions) (*Report, error) {
	if o.Subscribers < 1 || o.Churners < 1 || o.Stay <= 0 {
		return nil, errors.New("a churn needs one who stays, one who comes and goes, and how long")
	}
	s, err := newStage(ctx, name, &o.Options, &o.Watching, &o.Cast)
	if err != nil {
		return nil, err
	}
	defer s.close()
	s.report.Publishers, s.report.Subscribers = 1, o.Subscribers
	s.before(ctx)
	if err := s.speakers(ctx, 1, true); err != nil {
		return nil, err
	}
	watchers, err := s.watchers(ctx, o.Subscribers)
	if err != nil {
		return nil, err
	}
	c := &churn{stage: s, o: &o}
	churnCtx, stop := context.WithCancel(ctx)
	var churners sync.WaitGroup
	for i := range o.Churners {
		churners.Go(func() { c.comeAndGo(churnCtx, i) })
	}
	err = s.watch(ctx, o.Duration)
	stop()
	churners.Wait()
	if err = errors.Join(err, c.failed()); err != nil {
		return nil, err
	}
	if err := s.sum(watchers); err != nil {
		return nil, err
	}
	s.report.Figures = append(s.report.Figures,
		Figure{Name: "came", Value: float64(c.came.Load()), Unit: "times"},
		Figure{Name: "resumed", Value: float64(c.resumed.Load()), Unit: "times"},
		Figure{Name: "saw no picture", Value: float64(c.blind.Load()), Unit: "times"})
	s.report.Unseen += int(c.blind.Load())
	return s.end(ctx), nil
}

// churn is a running scenario.
type churn struct {
	*stage
	o             *ChurnOptions
	came, resumed atomic.Int64
	blind         atomic.Int64 // left without having seen a picture, though there was time

	errMu sync.Mutex
	errs  []error // guarded by errMu
}

// blindAfter is how long one must have been there to have seen a picture.
const blindAfter = 5 * time.Second

// comeAndGo joins, stays, resumes now and then, and leaves, until ctx ends or it fails.
func (c *churn) comeAndGo(ctx context.Context, i int) {
	for n := 0; ctx.Err() == nil; n++ {
		if err := c.visit(ctx, fmt.Sprintf("visitor-%d-%d", i, n), n%2 == 1); err != nil && ctx.Err() == nil {
			c.errMu.Lock()
			c.errs = append(c.errs, err)
			c.errMu.Unlock()
			return
		}
	}
}

func (c *churn) failed() error {
	c.errMu.Lock()
	defer c.errMu.Unlock()
	return errors.Join(c.errs...)
}

// visit is one of them: somebody who comes, and goes.
func (c *churn) visit(ctx context.Context, identity string, resumes bool) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout+c.o.Stay)
	defer cancel()
	p, err := c.group.Join(ctx, light.Options{
		Room: c.o.Room, Identity: identity, AutoSubscribe: true, TwoPeerConnections: c.cast.TwoPeerConnections,
	})
	if err != nil {
		return fmt.Errorf("%s joins: %w", identity, err)
	}
	defer p.Leave()
	c.came.Add(1)
	stay := c.o.Stay/2 + rand.N(c.o.Stay/2+1) //nolint:gosec // no secret
	wait(ctx, stay/2)
	if resumes && ctx.Err() == nil {
		if err := p.Resume(ctx); err != nil {
			return fmt.Errorf("%s resumes: %w", identity, err)
		}
		c.resumed.Add(1)
	}
	wait(ctx, stay/2)
	if err := p.Err(); err != nil {
		return fmt.Errorf("%s: %w", identity, err)
	}
	if _, seen := p.FirstFrame(); !seen && time.Since(p.Started()) > blindAfter {
		c.blind.Add(1)
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
