package loadtest

import (
	"context"
	"fmt"
	"sync"
	"time"

	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"
)

const joinTimeout = 20 * time.Second

// plenarySDK runs a plenary with participants made of the LiveKit server SDK, one
// speaker among them.
func plenarySDK(ctx context.Context, o PlenaryOptions) (*Report, error) {
	o.progress("encoding the clip")
	clip, err := MakeSimulcastClip(ctx, o.ClipDir)
	if err != nil {
		return nil, err
	}
	p := &plenary{o: o, report: Report{Scenario: "plenary", URL: o.URL, Participants: "sdk", Subscribers: o.Subscribers, Publishers: 1, Started: time.Now()}}
	if p.observer, err = newObserver(&o.Watching, &o.Options, &p.report); err != nil {
		return nil, err
	}
	defer p.leave()
	if err := p.run(ctx, clip); err != nil {
		return nil, err
	}
	p.leave()
	p.after(ctx)
	p.report.conclude()
	return &p.report, nil
}

// plenary is a running scenario.
type plenary struct {
	*observer
	o       PlenaryOptions
	report  Report
	speaker *lksdk.Room

	mu      sync.Mutex
	viewers []*viewer // guarded by mu
}

func (p *plenary) run(ctx context.Context, clip Clip) error {
	p.before(ctx)
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
	return p.during(ctx, p.o.Duration, func(elapsed time.Duration) (packets, bytes uint64) {
		t := p.totals()
		p.o.progress("%3.0f s of %v: %d packets, %d lost, %d asked again, %d freezes, longest gap %v, server %d MB",
			elapsed.Seconds(), p.o.Duration, t.Packets, t.Lost, t.Nacked, t.Freezes,
			t.MaxGap.Round(time.Millisecond), p.report.Server.RSSPeak>>20)
		return t.Packets, t.Bytes
	})
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
