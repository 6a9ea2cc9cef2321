package loadtest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/livekit/protocol/livekit"

	"diemcau/loadtest/light"
)

// BridgeOptions describe a bridge of conference rooms: every point publishes picture and
// sound, muted but for those who have the floor, and sees a few of the others.
type BridgeOptions struct {
	Options
	Watching
	Cast
	// Points is how many there are.
	Points int
	// Videos is how many pictures each sees: the speaker, the shared screen, and tiles.
	Videos int
	// Turn is how long one has the floor.
	Turn time.Duration
	// Low, Middle, High and Share are the bitrates of the layers of a camera and of the
	// shared screen, in bit/s.
	Low, Middle, High, Share int
}

// seenWithin is how long after a call all are waited for.
const seenWithin = 10 * time.Second

// Bridge runs the scenario; see Plenary for its errors.
func Bridge(ctx context.Context, o BridgeOptions) (*Report, error) {
	if o.Points < 3 || o.Videos < 2 || o.Turn <= 0 {
		return nil, errors.New("a bridge needs three points, two pictures for each, and turns")
	}
	s, err := newStage(ctx, "bridge", &o.Options, &o.Watching, &o.Cast)
	if err != nil {
		return nil, err
	}
	defer s.close()
	s.report.Publishers, s.report.Subscribers = o.Points, o.Points
	s.before(ctx)
	b := &bridge{stage: s, o: &o, points: make([]*bridgePoint, o.Points)}
	if err := s.o.joinAll(ctx, o.Points, "points publish", b.join); err != nil {
		return nil, err
	}
	if err := b.begin(ctx); err != nil {
		return nil, err
	}
	rounds := make(chan error, 1)
	roundsCtx, stop := context.WithCancel(ctx)
	go func() { rounds <- b.rounds(roundsCtx) }()
	err = s.watch(ctx, o.Duration)
	stop()
	if err = errors.Join(err, <-rounds); err != nil {
		return nil, err
	}
	people := make([]*light.Participant, 0, len(b.points))
	for _, p := range b.points {
		people = append(people, p.Participant)
	}
	if err := s.sum(people); err != nil {
		return nil, err
	}
	s.report.Floor = &Floor{Calls: b.calls, Unseen: b.unseen, Seen: percentilesOf(b.seen), All: percentilesOf(b.all)}
	return s.end(ctx), nil
}

// bridge is a running scenario.
type bridge struct {
	*stage
	o      *BridgeOptions
	points []*bridgePoint
	share  string // track

	// Only rounds uses these, until it ends.
	calls  int
	unseen int             // pairs of a call and a point that did not see it
	seen   []time.Duration // of each point, from a call to the first picture
	all    []time.Duration // of each call, until the last has seen it
}

// bridgePoint is one room.
type bridgePoint struct {
	*light.Participant
	camera, sound *light.Publication
	tiles         map[string]bool // tracks that it sees all the time
}

// Picture sizes that are asked for.
const (
	tileWidth, tileHeight   = 320, 180
	largeWidth, largeHeight = 1280, 720
)

func (b *bridge) join(ctx context.Context, i int) error {
	p, err := b.stage.join(ctx, light.Options{Identity: fmt.Sprintf("point-%d", i), AdaptiveStream: true, Dynacast: true, Listen: i < listeners}, true)
	if err != nil {
		return fmt.Errorf("point %d of %d: %w", i+1, b.o.Points, err)
	}
	point := &bridgePoint{Participant: p, tiles: map[string]bool{}}
	if point.sound, err = b.publish(ctx, p, microphone(light.NewVoice(false), true)); err != nil {
		return fmt.Errorf("point %d of %d: sound: %w", i+1, b.o.Points, err)
	}
	if point.camera, err = b.publish(ctx, p, b.camera(b.looks.layers(i, b.o.Low, b.o.Middle, b.o.High))); err != nil {
		return fmt.Errorf("point %d of %d: picture: %w", i+1, b.o.Points, err)
	}
	b.points[i] = point
	return nil
}

// begin shares the screen of the first point, and gives everybody its tiles.
func (b *bridge) begin(ctx context.Context) error {
	screen := b.looks.layers(0, b.o.Share)
	if len(screen) > 1 {
		screen = screen[:1]
	}
	screen[0].Quality, screen[0].Width, screen[0].Height = livekit.VideoQuality_HIGH, largeWidth, largeHeight
	t, err := b.publish(ctx, b.points[0].Participant, light.TrackOptions{
		Name: "screen", Source: livekit.TrackSource_SCREEN_SHARE, Codec: b.cast.Codec, Layers: screen,
	})
	if err != nil {
		return fmt.Errorf("the shared screen: %w", err)
	}
	b.share = t.SID()
	tracks := []string{b.share}
	for _, p := range b.points {
		tracks = append(tracks, p.camera.SID(), p.sound.SID())
	}
	if err := b.awaitPublished(ctx, []*light.Participant{b.points[0].Participant, b.points[1].Participant}, tracks...); err != nil {
		return err
	}
	for i, p := range b.points {
		var tiles []string
		for n := 1; n <= b.o.Videos-2 && n < len(b.points); n++ {
			sid := b.points[(i+n)%len(b.points)].camera.SID()
			tiles = append(tiles, sid)
			p.tiles[sid] = true
		}
		if i != 0 {
			if err := p.look(b.share, true); err != nil {
				return err
			}
		}
		if len(tiles) == 0 {
			continue
		}
		if err := errors.Join(p.Watch(tileWidth, tileHeight, livekit.VideoQuality_LOW, tiles...), p.Subscribe(true, tiles...)); err != nil {
			return err
		}
	}
	return nil
}

// look subscribes to a picture in its large size, or ends that.
func (p *bridgePoint) look(track string, on bool) error {
	switch {
	case !on && p.tiles[track]:
		return p.Watch(tileWidth, tileHeight, livekit.VideoQuality_LOW, track)
	case !on:
		return p.Subscribe(false, track)
	case p.tiles[track]:
		return p.Watch(largeWidth, largeHeight, livekit.VideoQuality_HIGH, track)
	}
	return errors.Join(p.Watch(largeWidth, largeHeight, livekit.VideoQuality_HIGH, track), p.Subscribe(true, track))
}

// rounds has the floor go round until ctx ends.
func (b *bridge) rounds(ctx context.Context) error {
	for who := 0; ctx.Err() == nil; who = (who + 1) % len(b.points) {
		if err := b.call(ctx, who); err != nil {
			return err
		}
	}
	return nil
}

// call gives the floor to a point for a turn.
func (b *bridge) call(ctx context.Context, who int) error {
	speaker := b.points[who]
	turn := time.NewTimer(b.o.Turn)
	defer turn.Stop()
	called := time.Now()
	if err := b.floor(speaker, true); err != nil {
		return err
	}
	seen, complete := b.await(ctx, speaker, called)
	if ctx.Err() == nil {
		b.calls++
		b.seen = append(b.seen, seen...)
		if complete {
			last := time.Duration(0)
			for _, d := range seen {
				last = max(last, d)
			}
			b.all = append(b.all, last)
		}
	}
	select {
	case <-turn.C:
	case <-ctx.Done():
		return nil
	}
	return b.floor(speaker, false)
}

// floor has all look and listen to a point, or end that.
func (b *bridge) floor(speaker *bridgePoint, on bool) error {
	if err := speaker.sound.Mute(!on); err != nil {
		return err
	}
	for _, p := range b.points {
		if p == speaker {
			continue
		}
		if err := errors.Join(p.look(speaker.camera.SID(), on), p.Subscribe(on, speaker.sound.SID())); err != nil {
			return fmt.Errorf("%s: %w", p.Identity(), errors.Join(err, p.Err()))
		}
	}
	return nil
}

// await waits until all who did not see the speaker already do, and returns how long it
// took each.
func (b *bridge) await(ctx context.Context, speaker *bridgePoint, called time.Time) (seen []time.Duration, complete bool) {
	track := speaker.camera.SID()
	limit := time.NewTimer(seenWithin)
	defer limit.Stop()
	tick := time.NewTicker(pulseTime)
	defer tick.Stop()
	var waiting []*bridgePoint
	for _, p := range b.points {
		if p != speaker && !p.tiles[track] {
			waiting = append(waiting, p)
		}
	}
	for len(waiting) > 0 {
		rest := waiting[:0]
		for _, p := range waiting {
			if at, ok := p.Seen(track); ok {
				seen = append(seen, at.Sub(called))
			} else {
				rest = append(rest, p)
			}
		}
		if waiting = rest; len(waiting) == 0 {
			break
		}
		select {
		case <-tick.C:
		case <-limit.C:
			b.unseen += len(waiting)
			return seen, false
		case <-ctx.Done():
			return seen, false
		}
	}
	return seen, true
}

// Floor is how fast those who are called come into sight.
type Floor struct {
	// Calls were made; Unseen counts the points that did not see one within 10 s.
	Calls  int `json:"calls"`
	Unseen int `json:"unseen"`
	// Seen is from a call until a point has the first picture, All until the last has.
	Seen Percentiles `json:"seen"`
	All  Percentiles `json:"all"`
}
