package sfu

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"diemcau/sfu/downtrack"
)

// publish announces a track and sends packets of mime under its cid until the
// test ends.
func (c *testClient) publish(cid, mime string, kind livekit.TrackType, source livekit.TrackSource) (sid string) {
	c.t.Helper()
	sid = c.addTrack(&livekit.AddTrackRequest{Cid: cid, Type: kind, Source: source})
	c.sendAs(cid, mime)
	return sid
}

func (c *testClient) microphone() (sid string) {
	c.t.Helper()
	return c.publish("mic", webrtc.MimeTypeOpus, livekit.TrackType_AUDIO, livekit.TrackSource_MICROPHONE)
}

func (c *testClient) sendAs(cid, mime string) {
	c.t.Helper()
	rate, payload := uint32(48000), []byte{1, 2, 3}
	switch mime {
	case webrtc.MimeTypeVP8:
		rate, payload = 90000, []byte{0x90, 0x80, 0x80, 1, 0, 0, 0, 0x9d, 1, 0x2a, 64, 1, 180, 0}
	case webrtc.MimeTypeH264:
		rate, payload = 90000, []byte{0x65, 0x88, 0x84}
	}
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime, ClockRate: rate}, cid, "s")
	require.NoError(c.t, err)
	_, err = c.pub.AddTransceiverFromTrack(track,
		webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	require.NoError(c.t, err)
	c.negotiate()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for seq := uint16(0); ; seq++ {
			select {
			case <-tick.C:
			case <-done:
				return
			}
			_ = track.WriteRTP(&rtp.Packet{Payload: payload, Header: rtp.Header{
				Version: 2, Marker: true, SequenceNumber: seq, Timestamp: uint32(seq) * 960,
			}})
		}
	}()
	c.t.Cleanup(func() { close(done); <-ended })
}

// inRoom runs a function on the loop of the room and waits for it.
func (c *testClient) inRoom(fn func(r *Room, p *participant)) {
	c.t.Helper()
	done := make(chan struct{})
	require.True(c.t, c.s.room.post(func() {
		fn(c.s.room, c.s.p)
		close(done)
	}))
	<-done
}

func tracks(n int) func(*livekit.ParticipantInfo) bool {
	return func(p *livekit.ParticipantInfo) bool { return len(p.Tracks) == n }
}

func TestVideoUnderAnAudioTrackHarmsNobody(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, single bool) {
		n := newTestNode(t)
		bob := connect(t, n, "room", "bob", single)
		mallory := connect(t, n, "room", "mallory", single)
		mallory.publish("evil", webrtc.MimeTypeVP8, livekit.TrackType_AUDIO, livekit.TrackSource_MICROPHONE)
		require.Eventually(t, func() bool {
			waiting := 0
			mallory.inRoom(func(_ *Room, p *participant) { waiting = len(p.unmatched) })
			return waiting == 1
		}, waitFor, 10*time.Millisecond, "the video belongs to no track")
		alice := connect(t, n, "room", "alice", single)
		sid := alice.microphone()
		bob.until("alice's voice", func() bool { return len(bob.media[sid]) > 5 })
		mallory.inRoom(func(_ *Room, p *participant) { require.Empty(t, p.published) })
	})
}

func TestASubscriberWithoutACodecKeepsTheRest(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, single bool) {
		n := newTestNode(t)
		bob := connectWith(t, n, "room", "bob", single, []string{webrtc.MimeTypeVP8, webrtc.MimeTypeOpus})
		camera := connect(t, n, "room", "camera", single)
		video := camera.publish("cam", webrtc.MimeTypeH264, livekit.TrackType_VIDEO, livekit.TrackSource_CAMERA)
		bob.await("word that the codec is unsupported", func(m *livekit.SignalResponse) bool {
			return m.GetSubscriptionResponse().GetTrackSid() == video &&
				m.GetSubscriptionResponse().GetErr() == livekit.SubscriptionError_SE_CODEC_UNSUPPORTED
		})
		alice := connect(t, n, "room", "alice", single)
		sid := alice.microphone()
		bob.until("alice's voice", func() bool { return len(bob.media[sid]) > 5 })
	})
}

func TestAStreamThatEndsBeforeItIsKnown(t *testing.T) {
	n := newTestNode(t)
	alice := connect(t, n, "room", "alice", false)
	sid := alice.microphone()
	alice.participantSeen("alice", tracks(1))
	alice.inRoom(func(_ *Room, p *participant) {
		l := &receivedLayer{cid: "other", kind: livekit.TrackType_AUDIO}
		p.layerEnded(l)
		require.True(t, l.ended)
		require.NotNil(t, p.published[sid], "another track of the participant's")
	})
}

func TestWhatIsAnnouncedIsBounded(t *testing.T) {
	n := newTestNode(t)
	c := connect(t, n, "room", "mallory", false)
	long := strings.Repeat("x", maxText+1)
	add := func(change func(*livekit.AddTrackRequest)) {
		req := &livekit.AddTrackRequest{Cid: "x", Type: livekit.TrackType_VIDEO, Source: livekit.TrackSource_CAMERA}
		change(req)
		c.forget()
		c.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_AddTrack{AddTrack: req}})
		m := c.await("refusal", func(m *livekit.SignalResponse) bool { return m.GetRequestResponse() != nil })
		require.Equal(t, livekit.RequestResponse_LIMIT_EXCEEDED, m.GetRequestResponse().Reason)
		require.Less(t, proto.Size(m), 1000, "the refusal does not repeat it")
	}
	add(func(r *livekit.AddTrackRequest) { r.Layers = make([]*livekit.VideoLayer, 100_000) })
	add(func(r *livekit.AddTrackRequest) { r.SimulcastCodecs = make([]*livekit.SimulcastCodec, maxCodecs+1) })
	add(func(r *livekit.AddTrackRequest) { r.Name = long })
	add(func(r *livekit.AddTrackRequest) { r.Cid = long })
	add(func(r *livekit.AddTrackRequest) { r.AudioFeatures = make([]livekit.AudioTrackFeature, maxFeatures+1) })
	c.forget()
	c.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_SubscriptionPermission{
		SubscriptionPermission: &livekit.SubscriptionPermission{
			TrackPermissions: make([]*livekit.TrackPermission, maxPermissions+1)}}})
	c.await("refusal", func(m *livekit.SignalResponse) bool {
		return m.GetRequestResponse().GetReason() == livekit.RequestResponse_LIMIT_EXCEEDED
	})
	c.inRoom(func(_ *Room, p *participant) { require.Nil(t, p.allowed) })
}

func TestWhatWasSaidBeforeJoiningIsNotReplayed(t *testing.T) {
	n := newTestNode(t)
	alice := connect(t, n, "room", "alice", false)
	alice.openData()
	for seq := range uint32(5) {
		alice.sendUser(seq + 1)
	}
	require.Eventually(t, func() bool {
		kept := 0
		alice.inRoom(func(r *Room, _ *participant) { kept = len(r.replay.entries) })
		return kept == 5
	}, waitFor, 10*time.Millisecond)
	spy := connect(t, n, "room", "spy", false)
	all := &livekit.SignalRequest{Message: &livekit.SignalRequest_SyncState{SyncState: &livekit.SyncState{
		DatachannelReceiveStates: []*livekit.DataChannelReceiveState{{PublisherSid: alice.join.Participant.Sid}}}}}
	spy.send(all)
	spy.resume(n, "spy")
	spy.send(all)
	alice.sendUser(6)
	spy.until("what is said now", func() bool { return len(spy.data) > 0 })
	spy.mu.Lock()
	defer spy.mu.Unlock()
	require.Equal(t, uint32(6), spy.data[0].Sequence)
}

func TestAFloodOfDataIsHeldBack(t *testing.T) {
	t.Parallel()
	n := newTestNode(t)
	mallory := connect(t, n, "room", "mallory", false)
	bob := connect(t, n, "room", "bob", false)
	mallory.openData()
	body, err := proto.Marshal(&livekit.DataPacket{Value: &livekit.DataPacket_User{
		User: &livekit.UserPacket{Payload: make([]byte, 60_000)}}})
	require.NoError(t, err)
	began := time.Now()
	count := (dataBurst + dataBytesPerSecond) / len(body) // a second's worth beyond the burst
	for range count {
		require.NoError(t, mallory.reliable().Send(body))
	}
	late := connect(t, n, "room", "late", false)
	bob.until("all of it", func() bool { return len(bob.data) == count })
	require.Greater(t, time.Since(began), 500*time.Millisecond, "held back")
	for _, c := range []*testClient{bob, late} {
		c.mu.Lock()
		for _, m := range c.seen {
			require.Nil(t, m.GetLeave())
		}
		c.mu.Unlock()
	}
}

func TestARoomOfManyTracksCanBeJoined(t *testing.T) {
	n := newTestNode(t)
	alice := connect(t, n, "room", "alice", false)
	const count = 650 // 215 points with camera, microphone and a share
	alice.inRoom(func(r *Room, p *participant) {
		for i := range count {
			t := &publication{
				p: p, info: &livekit.TrackInfo{Sid: fmt.Sprint("TR_", i), Type: livekit.TrackType_AUDIO},
				encodings:   []*encoding{newEncoding(livekit.TrackType_AUDIO, "opus", nil, "")},
				subscribers: make(map[*participant]*subscription),
			}
			t.encoding = t.encodings[0]
			p.published[t.info.Sid], r.tracks[t.info.Sid] = t, t
		}
	})
	bob := connect(t, n, "room", "bob", false)
	bob.participantSeen("bob", state(livekit.ParticipantInfo_ACTIVE))
	subs := func() (n int) {
		bob.inRoom(func(_ *Room, p *participant) { n = len(p.subs) })
		return n
	}
	require.Equal(t, minPlaces, subs(), "the loudest take turns")
	var sids []string
	for i := range count {
		sids = append(sids, fmt.Sprint("TR_", i))
	}
	bob.forget()
	bob.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Subscription{
		Subscription: &livekit.UpdateSubscription{TrackSids: sids, Subscribe: true}}})
	bob.await("a refusal", func(m *livekit.SignalResponse) bool {
		return m.GetRequestResponse().GetReason() == livekit.RequestResponse_LIMIT_EXCEEDED
	})
	require.Equal(t, maxSubscriptions, subs())
}

func TestASourceIsOfItsKind(t *testing.T) {
	n := newTestNode(t)
	mic := connect(t, n, "room", "mic", false, withGrant(func(g *auth.VideoGrant) {
		g.CanPublishSources = []string{"microphone"}
	}))
	for _, source := range []livekit.TrackSource{livekit.TrackSource_MICROPHONE, livekit.TrackSource_UNKNOWN} {
		mic.forget()
		mic.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_AddTrack{AddTrack: &livekit.AddTrackRequest{
			Cid: "cam", Type: livekit.TrackType_VIDEO, Source: source}}})
		m := mic.await("answer", func(m *livekit.SignalResponse) bool {
			return m.GetTrackPublished() != nil || m.GetRequestResponse() != nil
		})
		require.Equal(t, livekit.RequestResponse_NOT_ALLOWED, m.GetRequestResponse().GetReason())
	}
}

func TestMediaWithoutPermissionIsStopped(t *testing.T) {
	no := false
	n := newTestNode(t)
	viewer := connect(t, n, "room", "viewer", false, withGrant(func(g *auth.VideoGrant) { g.CanPublish = &no }))
	bob := connect(t, n, "room", "bob", false)
	for i := range 3 {
		viewer.sendAs(fmt.Sprint("cam", i), webrtc.MimeTypeVP8)
	}
	require.Eventually(t, func() bool { // every stream has come and was ended
		for _, tr := range viewer.pub.GetTransceivers() {
			if tr.Sender() == nil {
				return false
			}
		}
		var waiting, published int
		viewer.inRoom(func(_ *Room, p *participant) { waiting, published = len(p.unmatched), len(p.published) })
		return viewer.pub.ConnectionState() == webrtc.PeerConnectionStateConnected && waiting+published == 0
	}, waitFor, 10*time.Millisecond)
	alice := connect(t, n, "room", "alice", false)
	sid := alice.microphone()
	bob.until("alice's voice", func() bool { return len(bob.media[sid]) > 5 })
	bob.mu.Lock()
	defer bob.mu.Unlock()
	require.Len(t, bob.media, 1)
}

func TestAMutedTrackIsNotForwarded(t *testing.T) {
	t.Parallel()
	n := newTestNode(t)
	bob := connect(t, n, "room", "bob", false)
	mallory := connect(t, n, "room", "mallory", false)
	sid := mallory.microphone()
	mute := func(muted bool) {
		mallory.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Mute{
			Mute: &livekit.MuteTrackRequest{Sid: sid, Muted: muted}}})
	}
	bob.until("media", func() bool { return len(bob.media[sid]) > 5 })
	mute(true)
	before := bob.silent(sid) // while mallory goes on sending
	mute(false)
	bob.until("media again", func() bool { return len(bob.media[sid]) > before+5 })
}

func TestAHiddenParticipantIsNotHeard(t *testing.T) {
	n := newTestNode(t)
	bob := connect(t, n, "room", "bob", false)
	hidden := connect(t, n, "room", "hidden", false, withGrant(func(g *auth.VideoGrant) { g.Hidden = true }))
	sid := hidden.microphone()
	hidden.participantSeen("hidden", tracks(1))
	bob.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Subscription{
		Subscription: &livekit.UpdateSubscription{TrackSids: []string{sid}, Subscribe: true}}})
	bob.await("a refusal", func(m *livekit.SignalResponse) bool {
		return m.GetSubscriptionResponse().GetErr() == livekit.SubscriptionError_SE_TRACK_NOTFOUND
	})
	bob.inRoom(func(_ *Room, p *participant) { require.Empty(t, p.subs) })
}

func TestManyChangesBecomeFewMessages(t *testing.T) {
	n := newTestNode(t)
	mallory := connect(t, n, "room", "mallory", false)
	bob := connect(t, n, "room", "bob", false)
	sid := mallory.microphone()
	bob.participantSeen("mallory", tracks(1))
	bob.forget()
	for i := range 101 {
		mallory.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Mute{
			Mute: &livekit.MuteTrackRequest{Sid: sid, Muted: i%2 == 0}}})
	}
	mallory.inRoom(func(_ *Room, p *participant) { require.True(t, p.published[sid].info.Muted) })
	last := uint32(0)
	mallory.inRoom(func(_ *Room, p *participant) { last = p.version })
	bob.participantSeen("mallory", func(p *livekit.ParticipantInfo) bool { return p.Version >= last && p.Tracks[0].Muted })
	bob.mu.Lock()
	defer bob.mu.Unlock()
	require.Less(t, len(bob.seen), 20)
}

func TestAClosedSubscriptionStaysClosed(t *testing.T) {
	n := newTestNode(t)
	alice := connect(t, n, "room", "alice", false)
	sid := alice.microphone()
	bob := connect(t, n, "room", "bob", false)
	bob.until("media", func() bool { return len(bob.media[sid]) > 5 })
	bob.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Subscription{
		Subscription: &livekit.UpdateSubscription{TrackSids: []string{sid}, Subscribe: false}}})
	require.Eventually(t, func() bool {
		fed := -1
		alice.inRoom(func(r *Room, _ *participant) {
			fed = r.tracks[sid].layers[downtrack.MaxLayers-1].Feed().Subscribers()
		})
		return fed == 0
	}, waitFor, 10*time.Millisecond)
}
