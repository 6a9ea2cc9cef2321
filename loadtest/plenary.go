package loadtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"
)

// PlenaryOptions describe a plenary: one speaker in 720p simulcast, everybody
// else watches.
type PlenaryOptions struct {
	Options
	// Subscribers is how many watch.
	Subscribers int
	// Duration is how long they watch after the last has joined.
	Duration time.Duration
	// OnePeerConnection makes everybody use one peer connection instead of two.
	OnePeerConnection bool
	// PID is the server's process, 0 if it cannot be looked at.
	PID int
	// MetricsURL is the server's Prometheus page, empty for URL/metrics.
	MetricsURL string
}

const (
	joinTimeout   = 20 * time.Second
	settleTimeout = 30 * time.Second
	// memoryAfter is when memory is read after the last has left: a room is kept for
	// 20 s, and all that it took has gone back to the system a moment later.
	memoryAfter = 25 * time.Second
	pulseTime   = 20 * time.Millisecond
)

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
	base, err := webURL(o.URL)
	if err != nil {
		return nil, err
	}
	if o.MetricsURL == "" {
		o.MetricsURL = base.JoinPath("/metrics").String()
	}
	o.progress("encoding the clip")
	clip, err := MakeSimulcastClip(ctx, o.ClipDir)
	if err != nil {
		return nil, err
	}
	p := &plenary{o: o, report: Report{Scenario: "plenary", URL: o.URL, Subscribers: o.Subscribers, Started: time.Now()}}
	defer p.leave()
	if err := p.run(ctx, clip); err != nil {
		return nil, err
	}
	p.leave()
	p.observeAfter(ctx)
	return &p.report, nil
}

// plenary is a running scenario.
type plenary struct {
	o       PlenaryOptions
	report  Report
	speaker *lksdk.Room

	mu      sync.Mutex
	viewers []*viewer // guarded by mu
}

func (p *plenary) run(ctx context.Context, clip Clip) error {
	p.observeBefore(ctx)
	var err error
	if p.speaker, err = p.join(ctx, "speaker", lksdk.NewRoomCallback()); err != nil {
		return fmt.Errorf("the speaker: %w", err)
	}
	tracks, err := NewClipTracks(clip)
	if err != nil {
		return err
	}
	if _, err := p.speaker.LocalParticipant.PublishSimulcastTrack(tracks, &lksdk.TrackPublicationOptions{Name: "plenary"}); err != nil {
		return fmt.Errorf("the speaker publishes: %w", err)
	}
	if err := p.joinViewers(ctx); err != nil {
		return err
	}
	if err := p.watch(ctx); err != nil {
		return err
	}
	return p.sum()
}

func (p *plenary) join(ctx context.Context, identity string, cb *lksdk.RoomCallback, options ...lksdk.ConnectOption) (*lksdk.Room, error) {
	if p.o.OnePeerConnection {
		options = append(options, lksdk.WithSinglePeerConnection())
	}
	return p.o.join(ctx, identity, cb, options...)
}

func (p *plenary) joinViewers(ctx context.Context) error {
	return p.o.joinAll(ctx, p.o.Subscribers, "joined", func(ctx context.Context, i int) error {
		v := newViewer()
		room, err := p.join(ctx, fmt.Sprintf("viewer-%d", i), v.callback(),
			lksdk.WithInterceptors([]interceptor.Factory{&v.tap}), lksdk.WithIncludeDefaultInterceptors(true))
		if err != nil {
			return fmt.Errorf("viewer %d of %d: %w", i+1, p.o.Subscribers, err)
		}
		v.joined(room)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.viewers = append(p.viewers, v)
		return nil
	})
}

// watch lets everybody watch for the duration, sampling the server once a second.
func (p *plenary) watch(ctx context.Context) error {
	begin := time.Now()
	p.report.Server.watchBegins(p.o.PID)
	end := time.NewTimer(p.o.Duration)
	defer end.Stop()
	pulse := time.NewTicker(pulseTime)
	defer pulse.Stop()
	last, shown := begin, begin
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-end.C:
			p.report.Server.watchEnds(p.o.PID, time.Since(begin))
			if g, err := p.goroutines(ctx); err == nil {
				p.report.Server.GoroutinesPeak = max(p.report.Server.GoroutinesPeak, g)
			}
			p.report.Watched = time.Since(begin)
			return nil
		case <-pulse.C:
			now := time.Now()
			p.report.Stall = max(p.report.Stall, now.Sub(last)-pulseTime)
			if last = now; now.Sub(shown) < time.Second {
				continue
			}
			shown = now
			p.report.Server.sample(p.o.PID)
			t := p.totals()
			p.o.progress("%3.0f s of %v: %d packets, %d lost, %d asked again, %d freezes, longest gap %v, server %d MB",
				time.Since(begin).Seconds(), p.o.Duration, t.Packets, t.Lost, t.Nacked, t.Freezes,
				t.MaxGap.Round(time.Millisecond), p.report.Server.RSSPeak>>20)
		}
	}
}

func (p *plenary) totals() Totals {
	p.mu.Lock()
	defer p.mu.Unlock()
	var t Totals
	for _, v := range p.viewers {
		t.add(v.account.Stats(), v.tap.Nacked())
	}
	return t
}

// sum closes the books of the viewers. Error: one of them received nothing.
func (p *plenary) sum() error {
	p.report.Totals = p.totals()
	p.mu.Lock()
	defer p.mu.Unlock()
	var joins, firsts []time.Duration
	for i, v := range p.viewers {
		s := v.account.Stats()
		if s.Packets == 0 {
			return fmt.Errorf("viewer %d of %d received no packet", i+1, len(p.viewers))
		}
		joins = append(joins, v.joinTime)
		firsts = append(firsts, s.First.Sub(v.started))
	}
	p.report.JoinTime = percentilesOf(joins)
	p.report.FirstPacket = percentilesOf(firsts)
	return nil
}

// leave makes everybody leave. It may be called twice.
func (p *plenary) leave() {
	if p.speaker != nil {
		p.speaker.Disconnect()
		p.speaker = nil
	}
	p.mu.Lock()
	viewers := p.viewers
	p.viewers = nil
	p.mu.Unlock()
	for _, v := range viewers {
		v.leave()
	}
}

func (p *plenary) goroutines(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	v, err := ReadGauge(ctx, http.DefaultClient, p.o.MetricsURL, "go_goroutines")
	return int(v), err
}

func (p *plenary) observeBefore(ctx context.Context) {
	s := &p.report.Server
	var err error
	if s.GoroutinesBefore, err = p.goroutines(ctx); err != nil {
		s.Note = "no goroutine figures: " + err.Error()
	}
	if p.o.PID != 0 {
		u, err := ReadUsage(p.o.PID)
		if err != nil {
			s.Note = "no process figures: " + err.Error()
			p.o.PID = 0
			return
		}
		s.RSSBefore, s.RSSPeak = u.RSS, u.RSS
	}
}

// observeAfter waits, at most settleTimeout, until the server has as many
// goroutines as before, and reads its memory at memoryAfter.
func (p *plenary) observeAfter(ctx context.Context) {
	s := &p.report.Server
	left := time.Now()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		g, err := p.goroutines(ctx)
		if err == nil {
			s.GoroutinesAfter = g
		}
		if err != nil || g <= s.GoroutinesBefore || time.Since(left) > settleTimeout {
			break
		}
		p.o.progress("everybody left; the server has %d goroutines, %d before", g, s.GoroutinesBefore)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	s.Settled = time.Since(left)
	if p.o.PID == 0 {
		return
	}
	p.o.progress("waiting for memory to go back")
	select {
	case <-ctx.Done():
		return
	case <-time.After(memoryAfter - s.Settled):
	}
	if u, err := ReadUsage(p.o.PID); err == nil {
		s.RSSAfter = u.RSS
	}
}

// viewer receives without decoding.
type viewer struct {
	tap      Tap
	account  Account
	readers  sync.WaitGroup
	started  time.Time
	joinTime time.Duration
	room     *lksdk.Room
}

func newViewer() *viewer { return &viewer{started: time.Now()} }

func (v *viewer) joined(room *lksdk.Room) {
	v.room = room
	v.joinTime = time.Since(v.started)
}

func (v *viewer) callback() *lksdk.RoomCallback {
	cb := lksdk.NewRoomCallback()
	cb.OnTrackSubscribed = func(track *webrtc.TrackRemote, _ *lksdk.RemoteTrackPublication, _ *lksdk.RemoteParticipant) {
		v.readers.Go(func() { v.read(track) })
	}
	return cb
}

// read counts until the track ends.
func (v *viewer) read(track *webrtc.TrackRemote) {
	for {
		p, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		v.account.Add(&p.Header, len(p.Payload), time.Now())
	}
}

func (v *viewer) leave() {
	v.room.Disconnect()
	v.readers.Wait()
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
