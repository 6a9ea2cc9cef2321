package loadtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/livekit/protocol/livekit"
	"golang.org/x/sync/errgroup"

	"diemcau/loadtest/light"
)

// Cast says what the light participants of a scenario are like.
type Cast struct {
	// TwoPeerConnections has everybody use two peer connections instead of one.
	TwoPeerConnections bool
	// Samples is how many of those that receive decrypt and look at everything, and
	// measure the forwarding delay.
	Samples int
	// Codec is VP8, VP9 or H264.
	Codec string
	// Packets is the shape of what is published, see Shapes.
	Packets string
}

// stage is where a scenario with light participants happens.
type stage struct {
	*observer
	o      *Options
	cast   *Cast
	report *Report
	group  *light.Group
	looks  *looks
	// patience is how long one waits to be let in.
	patience time.Duration

	mu      sync.Mutex
	people  []*light.Participant // those who are there; guarded by mu
	samples int                  // how many of those that joined are; guarded by mu
	gone    light.Stats          // sums of those who left; guarded by mu
	sent    light.PublishStats   // likewise
	delays  light.Delays         // likewise
}

// newStage checks the options and prepares. It is to be closed.
func newStage(ctx context.Context, name string, o *Options, w *Watching, cast *Cast) (*stage, error) {
	if err := o.check(ctx); err != nil {
		return nil, err
	}
	if w.Duration <= 0 {
		return nil, errors.New("a scenario needs a duration")
	}
	s := &stage{o: o, cast: cast, report: &Report{Scenario: name, URL: o.URL, Participants: "light", Started: time.Now()}, patience: joinTimeout}
	var err error
	if s.observer, err = newObserver(w, o, s.report); err != nil {
		return nil, err
	}
	if s.looks, err = newLooks(ctx, o, cast); err != nil {
		return nil, err
	}
	s.group, err = light.NewGroup(ctx, light.Server{URL: o.URL, Key: o.Key, Secret: o.Secret})
	return s, err
}

// join has a participant enter. It is made a sample if it is to receive and there are not
// enough of them.
func (s *stage) join(ctx context.Context, lo light.Options, receives bool) (*light.Participant, error) {
	lo.Room, lo.TwoPeerConnections = s.o.Room, s.cast.TwoPeerConnections
	if receives {
		s.mu.Lock()
		if s.samples < s.cast.Samples {
			s.samples++
			lo.Sample = true
		}
		s.mu.Unlock()
	}
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	p, err := s.group.Join(ctx, lo)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.people = append(s.people, p)
	return p, nil
}

// publish has a participant send a track.
func (s *stage) publish(ctx context.Context, p *light.Participant, t light.TrackOptions) (*light.Publication, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	return p.Publish(ctx, t)
}

// awaitPublished waits until the server has told others of the tracks: before that it may
// not let anyone subscribe. Of those who listen, one at least must not be the publisher.
func (s *stage) awaitPublished(ctx context.Context, listeners []*light.Participant, tracks ...string) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	tick := time.NewTicker(pulseTime)
	defer tick.Stop()
	for len(tracks) > 0 {
		known := slices.ContainsFunc(listeners, func(p *light.Participant) bool { return p.Knows(tracks[0]) })
		if known {
			tracks = tracks[1:]
			continue
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nobody is told of track %s: %w", tracks[0], ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// listeners are how many of those that join listen for tracks: two, as no one is told of
// its own.
const listeners = 2

// camera are the options of a picture.
func (s *stage) camera(layers []light.LayerOptions) light.TrackOptions {
	return light.TrackOptions{Name: "camera", Source: livekit.TrackSource_CAMERA, Codec: s.cast.Codec, Layers: layers}
}

// microphone are those of sound.
func microphone(v *light.Voice, muted bool) light.TrackOptions {
	return light.TrackOptions{
		Name: "microphone", Source: livekit.TrackSource_MICROPHONE, Codec: "opus", Muted: muted,
		Layers: []light.LayerOptions{{Source: v, Bitrate: 32_000}},
	}
}

// present returns those who are there.
func (s *stage) present() []*light.Participant {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*light.Participant(nil), s.people...)
}

// totals are the sums of all who are or were there.
func (s *stage) totals() (light.Stats, light.PublishStats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	received, sent := s.gone, s.sent
	for _, p := range s.people {
		received.Add(p.Stats())
		sent.Add(p.Sent())
	}
	return received, sent
}

// dismiss has one leave, and keeps its books.
func (s *stage) dismiss(p *light.Participant) {
	stats, sent := p.Stats(), p.Sent()
	p.Leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.people {
		if other == p {
			s.people = append(s.people[:i], s.people[i+1:]...)
			s.gone.Add(stats)
			s.sent.Add(sent)
			p.AddDelays(&s.delays)
			return
		}
	}
}

// close has everybody leave, and ends the stage. It may be called twice.
func (s *stage) close() {
	if s.group == nil {
		return
	}
	s.leave()
	s.group.Close()
	s.group = nil
}

// leave has everybody leave.
func (s *stage) leave() {
	var g errgroup.Group
	g.SetLimit(8)
	for _, p := range s.present() {
		g.Go(func() error { s.dismiss(p); return nil })
	}
	_ = g.Wait() // leaving does not fail
}

// watch samples the server for the duration, telling the operator how it goes.
func (s *stage) watch(ctx context.Context, d time.Duration) error {
	for _, p := range s.present() {
		p.ResetDelays() // of the time when others were joining
	}
	return s.during(ctx, d, func(elapsed time.Duration) (packets, bytes uint64) {
		r, _ := s.totals()
		all := r.Video
		all.Add(r.Audio)
		s.o.progress("%3.0f s: %d packets, %d lost, %d asked again, %d freezes, longest gap %v, server %d MB",
			elapsed.Seconds(), all.Packets, all.Lost-all.Open, all.Asked, all.Freezes,
			all.MaxGap.Round(time.Millisecond), s.report.Server.RSSPeak>>20)
		return all.Packets, all.Bytes
	})
}

// sum closes the books. Errors: somebody was sent away, or one of receivers has received
// nothing.
func (s *stage) sum(receivers []*light.Participant) error {
	for _, p := range s.present() {
		if err := p.Err(); err != nil {
			return fmt.Errorf("%s: %w", p.Identity(), err)
		}
	}
	var joins, packets, frames []time.Duration
	for i, p := range receivers {
		c := p.Stats()
		if c.Video.Packets+c.Audio.Packets == 0 {
			return fmt.Errorf("%s (%d of %d) received no packet", p.Identity(), i+1, len(receivers))
		}
		joins = append(joins, p.JoinTime())
		if at, ok := p.FirstPacket(); ok {
			packets = append(packets, at.Sub(p.Started()))
		}
		if at, ok := p.FirstFrame(); ok {
			frames = append(frames, at.Sub(p.Started()))
		}
	}
	r := s.report
	r.JoinTime, r.FirstPacket, r.FirstFrame = percentilesOf(joins), percentilesOf(packets), percentilesOf(frames)
	received, sent := s.totals()
	r.Totals = totalsOf(received)
	r.Decode = received.Decode
	r.Tester.Dropped = received.Dropped
	r.Sent = sent
	s.mu.Lock()
	delays := s.delays
	for _, p := range s.people {
		p.AddDelays(&delays)
	}
	samples := s.samples
	s.mu.Unlock()
	r.Delay, r.RepairDelay = delayOf(&delays.Forwarded, samples), delayOf(&delays.Repaired, samples)
	r.ReplayDelay = delayOf(&delays.Replayed, samples)
	return nil
}

// totalsOf brings the books of light participants into the form of a report.
func totalsOf(c light.Stats) Totals {
	all := c.Video
	all.Add(c.Audio)
	return Totals{
		Packets: all.Packets, Bytes: all.Bytes, Padded: all.Padded, Lost: all.Lost - all.Open, Repaired: all.Repaired,
		Late: all.Late, Duplicates: all.Duplicates, Nacked: all.Asked, KeyAsked: all.KeyAsked,
		Frames: all.Frames, Broken: all.Broken, Freezes: all.Freezes, Frozen: all.Frozen, Excused: all.Excused, MaxGap: all.MaxGap,
		Faults: all.Faults,
	}
}

// delayOf describes a histogram; nil if it is empty.
func delayOf(h *light.Histogram, samples int) *Delay {
	if h.Count() == 0 {
		return nil
	}
	return &Delay{
		Subscribers: samples, Packets: h.Count(), Mean: h.Mean(), P50: h.Quantile(0.5), P95: h.Quantile(0.95),
		P99: h.Quantile(0.99), Max: h.Max(), Bins: h.Bins(),
	}
}
