package loadtest

import (
	"context"
	"errors"
	"fmt"

	"diemcau/loadtest/light"
)

// PlenaryOptions describe a plenary: some speakers in 720p simulcast, everybody else
// watches.
type PlenaryOptions struct {
	Options
	Watching
	Cast
	// Speakers is how many publish, Subscribers how many watch them all.
	Speakers, Subscribers int
	// Sound has the speakers talk, too.
	Sound bool
	// SDK has the participants made of the LiveKit server SDK, one speaker among them.
	SDK bool
	// OnePeerConnection makes participants of the SDK use one peer connection instead of
	// two.
	OnePeerConnection bool
}

// maxSpeakers is how many may speak at a time.
const maxSpeakers = 4

// Plenary runs the scenario and returns what it measured, with an error if it
// could not be carried out: a foreign server, no clip, a participant that
// cannot join or receives nothing. It ends at the latest when ctx does.
func Plenary(ctx context.Context, o PlenaryOptions) (*Report, error) {
	if err := o.check(ctx); err != nil {
		return nil, err
	}
	if o.Subscribers < 1 || o.Duration <= 0 {
		return nil, errors.New("a plenary needs a subscriber and a duration")
	}
	if o.SDK {
		return plenarySDK(ctx, o)
	}
	if o.Speakers < 1 || o.Speakers > maxSpeakers {
		return nil, fmt.Errorf("%d speakers: want 1 to %d", o.Speakers, maxSpeakers)
	}
	s, err := newStage(ctx, "plenary", &o.Options, &o.Watching, &o.Cast)
	if err != nil {
		return nil, err
	}
	defer s.close()
	s.report.Publishers, s.report.Subscribers = o.Speakers, o.Subscribers
	s.before(ctx)
	if err := s.speakers(ctx, o.Speakers, o.Sound); err != nil {
		return nil, err
	}
	watchers, err := s.watchers(ctx, o.Subscribers)
	if err != nil {
		return nil, err
	}
	if err := s.watch(ctx, o.Duration); err != nil {
		return nil, err
	}
	if err := s.sum(watchers); err != nil {
		return nil, err
	}
	return s.end(ctx), nil
}

// speakers has n join, who publish and receive nothing.
func (s *stage) speakers(ctx context.Context, n int, sound bool) error {
	for i := range n {
		p, err := s.join(ctx, light.Options{Identity: fmt.Sprintf("speaker-%d", i)}, false)
		if err != nil {
			return fmt.Errorf("speaker %d: %w", i+1, err)
		}
		if _, err := s.publish(ctx, p, s.camera(s.looks.layers(i))); err != nil {
			return fmt.Errorf("speaker %d publishes: %w", i+1, err)
		}
		if !sound {
			continue
		}
		if _, err := s.publish(ctx, p, microphone(light.NewVoice(true), false)); err != nil {
			return fmt.Errorf("speaker %d publishes: %w", i+1, err)
		}
	}
	return nil
}

// watchers has n join, who receive all that is published.
func (s *stage) watchers(ctx context.Context, n int) ([]*light.Participant, error) {
	watchers := make([]*light.Participant, n)
	err := s.o.joinAll(ctx, n, "joined", func(ctx context.Context, i int) (err error) {
		watchers[i], err = s.join(ctx, light.Options{Identity: fmt.Sprintf("viewer-%d", i), AutoSubscribe: true}, true)
		if err != nil {
			return fmt.Errorf("viewer %d of %d: %w", i+1, n, err)
		}
		return nil
	})
	return watchers, err
}

// end has everybody leave and looks at what the server still holds.
func (s *stage) end(ctx context.Context) *Report {
	s.leave()
	s.after(ctx)
	s.report.conclude()
	return s.report
}
