package loadtest

import (
	"context"
	"errors"
	"fmt"

	"github.com/livekit/protocol/livekit"

	"diemcau/loadtest/light"
)

// GridOptions describe a grid: every point publishes, and sees many small pictures.
type GridOptions struct {
	Options
	Watching
	Cast
	// Points is how many publish, Tiles how many pictures each sees.
	Points, Tiles int
	// Low and High are the bitrates of the two layers of a camera, in bit/s.
	Low, High int
}

// Grid runs the scenario; see Plenary for its errors.
func Grid(ctx context.Context, o GridOptions) (*Report, error) {
	if o.Points < 2 || o.Tiles < 1 || o.Tiles >= o.Points {
		return nil, errors.New("a grid needs two points, and fewer tiles than points")
	}
	s, err := newStage(ctx, "grid", &o.Options, &o.Watching, &o.Cast)
	if err != nil {
		return nil, err
	}
	defer s.close()
	s.report.Publishers, s.report.Subscribers = o.Points, o.Points
	s.before(ctx)
	people, tracks := make([]*light.Participant, o.Points), make([]string, o.Points)
	err = s.o.joinAll(ctx, o.Points, "points publish", func(ctx context.Context, i int) error {
		p, err := s.join(ctx, light.Options{Identity: fmt.Sprintf("point-%d", i), AdaptiveStream: true, Dynacast: true, Listen: i < listeners}, true)
		if err != nil {
			return fmt.Errorf("point %d of %d: %w", i+1, o.Points, err)
		}
		t, err := s.publish(ctx, p, s.camera(s.looks.layers(i, o.Low, o.High)))
		if err != nil {
			return fmt.Errorf("point %d of %d: %w", i+1, o.Points, err)
		}
		people[i], tracks[i] = p, t.SID()
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := s.awaitPublished(ctx, people[:listeners], tracks...); err != nil {
		return nil, err
	}
	for i, p := range people {
		var tiles []string
		for n := range o.Tiles {
			tiles = append(tiles, tracks[(i+1+n)%o.Points])
		}
		if err := errors.Join(p.Watch(tileWidth, tileHeight, livekit.VideoQuality_LOW, tiles...), p.Subscribe(true, tiles...)); err != nil {
			return nil, fmt.Errorf("%s: %w", p.Identity(), err)
		}
	}
	if err := s.watch(ctx, o.Duration); err != nil {
		return nil, err
	}
	if err := s.sum(people); err != nil {
		return nil, err
	}
	for i, p := range people {
		seen := 0
		for n := range o.Tiles {
			if _, ok := p.Seen(tracks[(i+1+n)%o.Points]); ok {
				seen++
			}
		}
		s.report.Unseen += o.Tiles - seen
	}
	return s.end(ctx), nil
}

// AudioOptions describe a talk: everybody listens, some or all talk.
type AudioOptions struct {
	Options
	Watching
	Cast
	// Points is how many listen, Talkers how many of them talk; 0: all.
	Points, Talkers int
}

// Audio runs the scenario; see Plenary for its errors.
func Audio(ctx context.Context, o AudioOptions) (*Report, error) {
	if o.Points < 2 || o.Talkers < 0 || o.Talkers > o.Points {
		return nil, errors.New("a talk needs two points, and no more talkers than points")
	}
	if o.Talkers == 0 {
		o.Talkers = o.Points
	}
	s, err := newStage(ctx, "audio", &o.Options, &o.Watching, &o.Cast)
	if err != nil {
		return nil, err
	}
	defer s.close()
	s.report.Publishers, s.report.Subscribers = o.Points, o.Points
	s.before(ctx)
	people := make([]*light.Participant, o.Points)
	err = s.o.joinAll(ctx, o.Points, "points publish", func(ctx context.Context, i int) (err error) {
		if people[i], err = s.join(ctx, light.Options{Identity: fmt.Sprintf("point-%d", i), AutoSubscribe: true}, true); err != nil {
			return fmt.Errorf("point %d of %d: %w", i+1, o.Points, err)
		}
		talks := i < o.Talkers
		if _, err := s.publish(ctx, people[i], microphone(light.NewVoice(talks), false)); err != nil {
			return fmt.Errorf("point %d of %d: %w", i+1, o.Points, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := s.watch(ctx, o.Duration); err != nil {
		return nil, err
	}
	if err := s.sum(people); err != nil {
		return nil, err
	}
	return s.end(ctx), nil
}
