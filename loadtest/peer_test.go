package loadtest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"
)

// mode is how a client negotiates.
type mode string

const (
	twoPCs mode = "two-peer-connections"
	onePC  mode = "one-peer-connection"
)

// inBothModes runs a test once per protocol.
func inBothModes(t *testing.T, test func(t *testing.T, m mode)) {
	t.Parallel()
	for _, m := range []mode{twoPCs, onePC} {
		t.Run(string(m), func(t *testing.T) {
			t.Parallel()
			test(t, m)
		})
	}
}

// roomName makes a room for one test.
func roomName(t testing.TB) string {
	return strings.NewReplacer("/", "-", " ", "-").Replace(t.Name())
}

// event is something that a peer was told.
type event struct {
	kind string // the callback's name without "On"
	who  string // identity, or empty
	what string // depends on kind: track sid, text, state
}

// peer is a participant that remembers everything it was told and receives
// every track it is sent.
type peer struct {
	t    testing.TB
	room *lksdk.Room
	tap  *Tap

	readers sync.WaitGroup
	stall   <-chan struct{} // if set, no data is read until it is closed

	mu sync.Mutex
	// Guarded by mu.
	events   []event
	received map[string]*reception // by track sid, the newest subscription
	data     []dataMessage
}

type dataMessage struct{ from, topic, payload string }

// joinSpec is what a participant brings along.
type joinSpec struct {
	mode    mode
	token   *auth.AccessToken
	grant   *auth.VideoGrant
	drop    *Tap
	stall   <-chan struct{}
	connect []lksdk.ConnectOption
}

type joinOption func(*joinSpec)

func withMode(m mode) joinOption { return func(s *joinSpec) { s.mode = m } }

func withGrant(f func(*auth.VideoGrant)) joinOption { return func(s *joinSpec) { f(s.grant) } }

func withToken(f func(*auth.AccessToken)) joinOption { return func(s *joinSpec) { f(s.token) } }

func withTap(tap *Tap) joinOption { return func(s *joinSpec) { s.drop = tap } }

// withStall has the peer read no data until stall is closed.
func withStall(stall <-chan struct{}) joinOption { return func(s *joinSpec) { s.stall = stall } }

func withConnect(o ...lksdk.ConnectOption) joinOption {
	return func(s *joinSpec) { s.connect = append(s.connect, o...) }
}

// join enters the room and fails the test if it cannot. The peer leaves when
// the test ends.
func join(t testing.TB, room, identity string, options ...joinOption) *peer {
	t.Helper()
	p, err := tryJoin(t, room, identity, options...)
	require.NoError(t, err, "%s joins %s", identity, room)
	return p
}

// tryJoin is join that returns the error.
func tryJoin(t testing.TB, room, identity string, options ...joinOption) (*peer, error) {
	srv := server(t)
	spec := &joinSpec{
		mode:  twoPCs,
		token: auth.NewAccessToken(srv.Key, srv.Secret).SetIdentity(identity).SetName("Name of " + identity),
		grant: &auth.VideoGrant{RoomJoin: true, Room: room},
	}
	for _, o := range options {
		o(spec)
	}
	jwt, err := spec.token.SetVideoGrant(spec.grant).ToJWT()
	require.NoError(t, err)
	p := &peer{t: t, received: map[string]*reception{}, tap: spec.drop, stall: spec.stall}
	connect := append([]lksdk.ConnectOption{lksdk.WithConnectTimeout(15 * time.Second)}, spec.connect...)
	if spec.mode == onePC {
		connect = append(connect, lksdk.WithSinglePeerConnection())
	}
	if spec.drop != nil {
		connect = append(connect, lksdk.WithInterceptors([]interceptor.Factory{spec.drop}), lksdk.WithIncludeDefaultInterceptors(true))
	}
	p.room, err = lksdk.ConnectToRoomWithToken(srv.URL, jwt, p.callbacks(), connect...)
	if err != nil {
		return nil, err
	}
	t.Cleanup(p.leave)
	return p, nil
}

// leave leaves the room and waits for the peer's readers.
func (p *peer) leave() {
	p.room.Disconnect()
	p.readers.Wait()
}

func (p *peer) identity() string { return p.room.LocalParticipant.Identity() }

func (p *peer) callbacks() *lksdk.RoomCallback {
	note := func(kind, who string, what any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.events = append(p.events, event{kind, who, fmt.Sprint(what)})
	}
	cb := lksdk.NewRoomCallback()
	cb.OnDisconnectedWithReason = func(r lksdk.DisconnectionReason) { note("Disconnected", "", r) }
	cb.OnReconnecting = func() { note("Reconnecting", "", "") }
	cb.OnReconnected = func() { note("Reconnected", "", "") }
	cb.OnParticipantConnected = func(rp *lksdk.RemoteParticipant) { note("ParticipantConnected", rp.Identity(), rp.SID()) }
	cb.OnParticipantDisconnected = func(rp *lksdk.RemoteParticipant) { note("ParticipantDisconnected", rp.Identity(), rp.SID()) }
	cb.OnTrackPublished = func(pub *lksdk.RemoteTrackPublication, rp *lksdk.RemoteParticipant) {
		note("TrackPublished", rp.Identity(), pub.SID())
	}
	cb.OnTrackUnpublished = func(pub *lksdk.RemoteTrackPublication, rp *lksdk.RemoteParticipant) {
		note("TrackUnpublished", rp.Identity(), pub.SID())
	}
	cb.OnTrackSubscribed = func(track *webrtc.TrackRemote, pub *lksdk.RemoteTrackPublication, rp *lksdk.RemoteParticipant) {
		r := newReception(track, pub)
		p.mu.Lock()
		p.received[pub.SID()] = r
		p.events = append(p.events, event{"TrackSubscribed", rp.Identity(), pub.SID()})
		p.mu.Unlock()
		p.readers.Go(r.read)
	}
	cb.OnTrackUnsubscribed = func(_ *webrtc.TrackRemote, pub *lksdk.RemoteTrackPublication, rp *lksdk.RemoteParticipant) {
		note("TrackUnsubscribed", rp.Identity(), pub.SID())
	}
	cb.OnTrackMuted = func(pub lksdk.TrackPublication, who lksdk.Participant) { note("TrackMuted", who.Identity(), pub.SID()) }
	cb.OnTrackUnmuted = func(pub lksdk.TrackPublication, who lksdk.Participant) {
		note("TrackUnmuted", who.Identity(), pub.SID())
	}
	cb.OnMetadataChanged = func(_ string, who lksdk.Participant) { note("MetadataChanged", who.Identity(), who.Metadata()) }
	cb.OnAttributesChanged = func(changed map[string]string, who lksdk.Participant) {
		note("AttributesChanged", who.Identity(), changed)
	}
	cb.OnConnectionQualityChanged = func(u *livekit.ConnectionQualityInfo, who lksdk.Participant) {
		note("ConnectionQuality", who.Identity(), u.Quality)
	}
	cb.OnActiveSpeakersChanged = func(speakers []lksdk.Participant) {
		var who []string
		for _, s := range speakers {
			who = append(who, s.Identity())
		}
		slices.Sort(who)
		note("ActiveSpeakers", strings.Join(who, ","), "")
	}
	cb.OnDataPacket = func(packet lksdk.DataPacket, params lksdk.DataReceiveParams) {
		user, ok := packet.(*lksdk.UserDataPacket)
		if !ok {
			return
		}
		if p.stall != nil {
			<-p.stall
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.data = append(p.data, dataMessage{params.SenderIdentity, user.Topic, string(user.Payload)})
	}
	return cb
}

// count returns how often the peer was told; an empty what matches everything.
func (p *peer) count(kind, who, what string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, e := range p.events {
		if e.kind == kind && e.who == who && (what == "" || e.what == what) {
			n++
		}
	}
	return n
}

// told waits until the peer was told, at most 10 s.
func (p *peer) told(kind, who, what string) {
	p.t.Helper()
	until(p.t, 10*time.Second, func() bool { return p.count(kind, who, what) > 0 },
		func() string {
			return fmt.Sprintf("%s is told %s %s %s; was told %v", p.identity(), kind, who, what, p.history())
		})
}

func (p *peer) history() []event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.events)
}

// messages returns the data received, without what awaitData sent.
func (p *peer) messages() []dataMessage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.data), func(d dataMessage) bool { return d.topic == helloTopic })
}

const helloTopic = "hello"

// awaitData waits until data of p arrives at every receiver. A participant
// has joined before its data channels are open, and gets nothing until then.
func (p *peer) awaitData(receivers ...*peer) {
	p.t.Helper()
	for _, r := range receivers {
		greeted := func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			return slices.ContainsFunc(r.data, func(d dataMessage) bool { return d.topic == helloTopic && d.from == p.identity() })
		}
		until(p.t, 10*time.Second, func() bool {
			hello := &lksdk.UserDataPacket{Payload: []byte("hello"), Topic: helloTopic}
			return greeted() || p.room.LocalParticipant.PublishDataPacket(hello, lksdk.WithDataPublishReliable(true)) == nil &&
				within(200*time.Millisecond, greeted)
		}, func() string { return "data from " + p.identity() + " reaches " + r.identity() })
	}
}

// receives waits until the peer is sent media of the track, at most 10 s.
func (p *peer) receives(trackSID string) *reception {
	p.t.Helper()
	var r *reception
	until(p.t, 10*time.Second, func() bool {
		p.mu.Lock()
		r = p.received[trackSID]
		p.mu.Unlock()
		return r != nil && r.account.Stats().Packets > 0
	}, func() string {
		return fmt.Sprintf("%s receives %s; was told %v", p.identity(), trackSID, p.history())
	})
	return r
}

// sees waits until the peer knows the participant and returns it.
func (p *peer) sees(identity string) *lksdk.RemoteParticipant {
	p.t.Helper()
	var rp *lksdk.RemoteParticipant
	until(p.t, 10*time.Second, func() bool {
		rp = p.room.GetParticipantByIdentity(identity)
		return rp != nil
	}, func() string { return p.identity() + " sees " + identity })
	return rp
}

// publishClip publishes the simulcast clip and returns the publication.
func (p *peer) publishClip() *lksdk.LocalTrackPublication {
	p.t.Helper()
	tracks, err := NewClipTracks(simulcastClip(p.t))
	require.NoError(p.t, err)
	pub, err := p.room.LocalParticipant.PublishSimulcastTrack(tracks, &lksdk.TrackPublicationOptions{Name: "clip"})
	require.NoError(p.t, err, "%s publishes video", p.identity())
	return pub
}

// publishTone publishes audio of the given level in -dBov.
func (p *peer) publishTone(level uint8) (*lksdk.LocalTrackPublication, *Tone) {
	p.t.Helper()
	track, tone, err := NewToneTrack(level)
	require.NoError(p.t, err)
	pub, err := p.room.LocalParticipant.PublishTrack(track, &lksdk.TrackPublicationOptions{Name: "tone"})
	require.NoError(p.t, err, "%s publishes audio", p.identity())
	return pub, tone
}

// until polls ok every 20 ms and fails the test with what after the time limit.
func until(t testing.TB, limit time.Duration, ok func() bool, what func() string) {
	t.Helper()
	if !within(limit, ok) {
		t.Fatalf("did not happen in %v: %s", limit, what())
	}
}

// within polls ok every 20 ms and says whether it came true in the time limit.
func within(limit time.Duration, ok func() bool) bool {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			return ok()
		case <-tick.C:
		}
	}
	return true
}

// never fails the test if bad comes true during the whole period.
func never(t testing.TB, period time.Duration, bad func() bool, what string) {
	t.Helper()
	if within(period, bad) {
		t.Fatalf("happened: %s", what)
	}
}
