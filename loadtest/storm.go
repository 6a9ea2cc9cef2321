package loadtest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"diemcau/loadtest/light"
)

// StormOptions describe a storm of joins: all want in at the same time.
type StormOptions struct {
	Options
	Watching
	Cast
	// Points is how many join, evenly spread over Within, to watch one speaker.
	Points int
	Within time.Duration
}

// stormTime is how long one waits to be let in.
const stormTime = time.Minute

// JoinStorm runs the scenario; see Plenary for its errors. The times of joining are the
// report's JoinTime, FirstPacket and FirstFrame, each from when one wanted in.
func JoinStorm(ctx context.Context, o StormOptions) (*Report, error) {
	if o.Points < 1 || o.Within < 0 {
		return nil, errors.New("a storm needs a point")
	}
	s, err := newStage(ctx, "join-storm", &o.Options, &o.Watching, &o.Cast)
	if err != nil {
		return nil, err
	}
	defer s.close()
	s.report.Publishers, s.report.Subscribers = 1, o.Points
	s.patience = stormTime
	s.before(ctx)
	if err := s.speakers(ctx, 1, true); err != nil {
		return nil, err
	}
	people := make([]*light.Participant, o.Points)
	var begun time.Time
	storm := func(ctx context.Context) error {
		begun = time.Now()
		g, ctx := errgroup.WithContext(ctx)
		for i := range o.Points {
			g.Go(func() (err error) {
				wait := time.NewTimer(o.Within * time.Duration(i) / time.Duration(o.Points))
				defer wait.Stop()
				select {
				case <-wait.C:
				case <-ctx.Done():
					return ctx.Err()
				}
				people[i], err = s.join(ctx, light.Options{Identity: fmt.Sprintf("viewer-%d", i), AutoSubscribe: true}, true)
				if err != nil {
					return fmt.Errorf("viewer %d of %d: %w", i+1, o.Points, err)
				}
				return nil
			})
		}
		return g.Wait()
	}
	joined := make(chan error, 1)
	stormCtx, stop := context.WithCancel(ctx)
	defer stop()
	go func() { joined <- storm(stormCtx) }()
	err = s.watch(ctx, o.Within+o.Duration)
	if err != nil {
		stop()
	}
	if err := errors.Join(err, <-joined); err != nil {
		return nil, err
	}
	if err := s.sum(people); err != nil {
		return nil, err
	}
	last := time.Duration(0)
	for _, p := range people {
		at, ok := p.FirstFrame()
		if !ok {
			s.report.Unseen++
			continue
		}
		last = max(last, at.Sub(begun))
	}
	s.report.Figures = append(s.report.Figures, Figure{Name: "all see a picture after", Value: last.Seconds(), Unit: "s"})
	return s.end(ctx), nil
}
