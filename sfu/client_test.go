package sfu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"diemcau/sfu/transport"
)

const waitFor = 10 * time.Second

// freePort is a port free for UDP and TCP, below those that the system gives to clients:
// none of them takes it before the node does.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 10_000 + mathrand.IntN(20_000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		u, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		_ = l.Close()
		if err == nil {
			_ = u.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

func newTestNode(t *testing.T, change ...func(*Config)) *Node {
	t.Helper()
	var n *Node
	err := error(syscall.EADDRINUSE)
	for i := 0; i < 5 && errors.Is(err, syscall.EADDRINUSE); i++ { // another process may have taken the port meanwhile
		cfg := Config{
			UDPPort: freePort(t), TCPPort: freePort(t), UseLoopback: true, NodeIPs: []string{"127.0.0.1"},
			Log: slog.New(slog.DiscardHandler),
		}
		for _, f := range change {
			f(&cfg)
		}
		n, err = NewNode(cfg)
	}
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), waitFor)
		defer cancel()
		require.NoError(t, n.Close(ctx))
	})
	return n
}

// testClient is a LiveKit client of a session and Pion peer connections.
type testClient struct {
	t      *testing.T
	codecs []string
	tune   func(*webrtc.SettingEngine)
	s      *Session
	single bool
	pub    *webrtc.PeerConnection
	sub    *webrtc.PeerConnection
	join   *livekit.JoinResponse
	delay  atomic.Int64 // nanoseconds, of what the node sends

	mu        sync.Mutex
	changed   *sync.Cond
	seen      []*livekit.SignalResponse
	over      bool
	owes      bool // an offer, when the one under way is answered
	early     []*livekit.SignalRequest
	media     map[string][]*rtp.Packet // by track sid
	data      []*livekit.DataPacket
	channels  map[string]*webrtc.DataChannel // the client's own, by label; not changed after connect
	receivers map[string]*webrtc.TrackRemote
	mids      map[string]string
}

type joinOption func(*livekit.StartSession, *auth.ClaimGrants)

func withGrant(f func(*auth.VideoGrant)) joinOption {
	return func(_ *livekit.StartSession, g *auth.ClaimGrants) { f(g.Video) }
}

func startSession(room, identity string, single bool, opts ...joinOption) *livekit.StartSession {
	yes := true
	grants := &auth.ClaimGrants{Identity: identity, Name: strings.ToUpper(identity), Video: &auth.VideoGrant{
		RoomJoin: true, Room: room, CanUpdateOwnMetadata: &yes,
	}}
	start := &livekit.StartSession{
		RoomName: room, Identity: identity, Name: grants.Name, AutoSubscribe: true,
		UseSinglePeerConnection: single, Client: &livekit.ClientInfo{Protocol: 16, Sdk: livekit.ClientInfo_GO},
	}
	for _, o := range opts {
		o(start, grants)
	}
	body, _ := json.Marshal(grants)
	start.GrantsJson = string(body)
	return start
}

func connect(t *testing.T, n *Node, room, identity string, single bool, opts ...joinOption) *testClient {
	t.Helper()
	return connectWith(t, n, room, identity, single, nil, opts...)
}

// connectWith joins with a client that knows only the given codecs; nil: all.
func connectWith(t *testing.T, n *Node, room, identity string, single bool, codecs []string,
	opts ...joinOption) *testClient {
	t.Helper()
	return connectTuned(t, n, room, identity, single, codecs, nil, opts...)
}

// connectTuned is connectWith for a client whose WebRTC is set up by tune.
func connectTuned(t *testing.T, n *Node, room, identity string, single bool, codecs []string,
	tune func(*webrtc.SettingEngine), opts ...joinOption) *testClient {
	t.Helper()
	c := &testClient{
		t: t, codecs: codecs, tune: tune, single: single, media: make(map[string][]*rtp.Packet),
		channels: make(map[string]*webrtc.DataChannel), receivers: make(map[string]*webrtc.TrackRemote),
		mids: make(map[string]string),
	}
	c.changed = sync.NewCond(&c.mu)
	c.pub = c.newPC(livekit.SignalTarget_PUBLISHER)
	c.sub = c.pub
	if !single {
		c.sub = c.newPC(livekit.SignalTarget_SUBSCRIBER)
	}
	start := startSession(room, identity, single, opts...)
	for _, label := range []string{transport.Reliable, transport.Lossy} {
		dc, err := c.pub.CreateDataChannel(label, nil)
		require.NoError(t, err)
		c.channels[label] = dc
		c.watch(dc)
	}
	if single {
		for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
			_, err := c.pub.AddTransceiverFromKind(kind,
				webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
			require.NoError(t, err)
		}
		offer, err := c.pub.CreateOffer(nil)
		require.NoError(t, err)
		require.NoError(t, c.pub.SetLocalDescription(offer))
		start.PublisherOffer = &livekit.SessionDescription{Type: "offer", Sdp: offer.SDP, Id: 1}
	}
	s, err := n.Open(t.Context(), start)
	require.NoError(t, err)
	c.mu.Lock()
	c.s = s
	for _, m := range c.early {
		require.NoError(t, s.Send(m))
	}
	c.mu.Unlock()
	go c.read(s)
	c.join = c.await("join", func(m *livekit.SignalResponse) bool { return m.GetJoin() != nil }).GetJoin()
	t.Cleanup(c.close)
	return c
}

func (c *testClient) newPC(target livekit.SignalTarget) *webrtc.PeerConnection {
	var e webrtc.SettingEngine
	e.SetIncludeLoopbackCandidate(true)
	// Other addresses may go at any time, with whatever else is tested on this machine.
	e.SetIPFilter(func(ip net.IP) bool { return ip.IsLoopback() })
	e.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	if c.tune != nil {
		c.tune(&e)
	}
	m, reg := &webrtc.MediaEngine{}, &interceptor.Registry{}
	c.registerCodecs(m)
	for _, uri := range []string{sdp.AudioLevelURI, sdp.SDESMidURI} {
		require.NoError(c.t, m.RegisterHeaderExtension(
			webrtc.RTPHeaderExtensionCapability{URI: uri}, webrtc.RTPCodecTypeAudio))
	}
	require.NoError(c.t, webrtc.RegisterDefaultInterceptors(m, reg))
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(e), webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(reg)).
		NewPeerConnection(webrtc.Configuration{})
	require.NoError(c.t, err)
	pc.OnICECandidate(func(cand *webrtc.ICECandidate) {
		if cand == nil {
			return
		}
		body, _ := json.Marshal(cand.ToJSON())
		m := &livekit.SignalRequest{Message: &livekit.SignalRequest_Trickle{
			Trickle: &livekit.TrickleRequest{CandidateInit: string(body), Target: target}}}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.s == nil {
			c.early = append(c.early, m)
		} else {
			_ = c.s.Send(m)
		}
	})
	pc.OnDataChannel(c.watch)
	pc.OnTrack(func(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		_, sid, _ := strings.Cut(remote.StreamID(), "|")
		c.mu.Lock()
		c.receivers[sid] = remote
		c.changed.Broadcast()
		c.mu.Unlock()
		for {
			p, _, err := remote.ReadRTP()
			if err != nil {
				return
			}
			c.mu.Lock()
			c.media[sid] = append(c.media[sid], p)
			c.changed.Broadcast()
			c.mu.Unlock()
		}
	})
	return pc
}

func (c *testClient) registerCodecs(m *webrtc.MediaEngine) {
	if c.codecs == nil {
		require.NoError(c.t, m.RegisterDefaultCodecs())
		return
	}
	for i, mime := range c.codecs {
		kind, rate := webrtc.RTPCodecTypeVideo, uint32(90000)
		if mime == webrtc.MimeTypeOpus {
			kind, rate = webrtc.RTPCodecTypeAudio, 48000
		}
		require.NoError(c.t, m.RegisterCodec(webrtc.RTPCodecParameters{
			RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: mime, ClockRate: rate, Channels: uint16(48000/rate) * 2 % 4},
			PayloadType:        webrtc.PayloadType(100 + i),
		}, kind))
	}
}

// openData negotiates the publisher's data channels and waits for them.
func (c *testClient) openData() {
	c.t.Helper()
	c.negotiate()
	require.Eventually(c.t, func() bool {
		return c.reliable().ReadyState() == webrtc.DataChannelStateOpen
	}, waitFor, 10*time.Millisecond)
}

// resume loses the signal connection and resumes the session.
func (c *testClient) resume(n *Node, identity string) {
	c.t.Helper()
	c.s.Close()
	c.until("the end of the session", func() bool { return c.over })
	c.forget()
	start := startSession(c.join.Room.Name, identity, c.single)
	start.Reconnect, start.ParticipantId = true, c.join.Participant.Sid
	s, err := n.Open(c.t.Context(), start)
	require.NoError(c.t, err)
	c.mu.Lock()
	c.s, c.over = s, false
	c.mu.Unlock()
	go c.read(s)
	c.await("reconnect", func(m *livekit.SignalResponse) bool { return m.GetReconnect() != nil })
}

// watch records what comes down a channel, the client's own or one of the node's.
func (c *testClient) watch(dc *webrtc.DataChannel) {
	dc.OnMessage(func(m webrtc.DataChannelMessage) {
		pkt, err := decodeData(m.Data)
		if err != nil {
			return
		}
		c.mu.Lock()
		c.data = append(c.data, pkt)
		c.changed.Broadcast()
		c.mu.Unlock()
	})
}

func (c *testClient) close() {
	c.s.Close()
	c.until("the end of the session", func() bool { return c.over }) // or a description would reach a closed peer
	_ = c.pub.GracefulClose()
	_ = c.sub.GracefulClose()
}

// arriving gives what the node sends, in order, each after the delay of its path.
func (c *testClient) arriving(s *Session) iter.Seq[*livekit.SignalResponse] {
	type response struct {
		m  *livekit.SignalResponse
		at time.Time
	}
	path := make(chan response, 4096)
	go func() {
		defer close(path)
		for m := range s.Responses() {
			path <- response{m, time.Now().Add(time.Duration(c.delay.Load()))}
		}
	}()
	return func(yield func(*livekit.SignalResponse) bool) {
		for r := range path {
			time.Sleep(time.Until(r.at))
			if !yield(r.m) {
				return
			}
		}
	}
}

// read answers negotiation and records everything.
func (c *testClient) read(s *Session) {
	early := make(map[*webrtc.PeerConnection][]webrtc.ICECandidateInit)
	flush := func(pc *webrtc.PeerConnection) {
		for pc.RemoteDescription() != nil && len(early[pc]) > 0 {
			_ = pc.AddICECandidate(early[pc][0])
			early[pc] = early[pc][1:]
		}
	}
	for m := range c.arriving(s) {
		switch m := m.Message.(type) {
		case *livekit.SignalResponse_Offer:
			c.answer(s, m.Offer)
			flush(c.sub)
		case *livekit.SignalResponse_Answer:
			c.answered(m.Answer.Sdp)
			flush(c.pub)
		case *livekit.SignalResponse_Trickle:
			var cand webrtc.ICECandidateInit
			_ = json.Unmarshal([]byte(m.Trickle.CandidateInit), &cand)
			pc := c.pub
			if m.Trickle.Target == livekit.SignalTarget_SUBSCRIBER {
				pc = c.sub
			}
			early[pc] = append(early[pc], cand)
			flush(pc)
		case *livekit.SignalResponse_MediaSectionsRequirement:
			c.addSections(m.MediaSectionsRequirement)
		}
		c.mu.Lock()
		c.seen = append(c.seen, m)
		c.changed.Broadcast()
		c.mu.Unlock()
	}
	c.mu.Lock()
	c.over = true
	c.changed.Broadcast()
	c.mu.Unlock()
}

func (c *testClient) answer(s *Session, offer *livekit.SessionDescription) {
	if c.sub.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer.Sdp}) != nil {
		return
	}
	answer, err := c.sub.CreateAnswer(nil)
	if err != nil || c.sub.SetLocalDescription(answer) != nil {
		return
	}
	_ = s.Send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Answer{
		Answer: &livekit.SessionDescription{Type: "answer", Sdp: answer.SDP, Id: offer.Id}}})
}

func (c *testClient) addSections(m *livekit.MediaSectionsRequirement) {
	for kind, n := range map[webrtc.RTPCodecType]uint32{
		webrtc.RTPCodecTypeAudio: m.NumAudios, webrtc.RTPCodecTypeVideo: m.NumVideos,
	} {
		for range n {
			_, _ = c.pub.AddTransceiverFromKind(kind,
				webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
		}
	}
	c.offer()
}

// negotiate offers once the last negotiation is over, and waits for the answer.
func (c *testClient) negotiate() {
	c.t.Helper()
	stable := func() bool { return c.pub.SignalingState() == webrtc.SignalingStateStable && !c.owes }
	c.until("stable signalling", stable)
	c.offer()
	c.until("the answer", stable)
}

// offer makes an offer, at once or when that under way is answered: the answer would
// be taken for that to the second, and the second's be refused.
func (c *testClient) offer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pub.SignalingState() != webrtc.SignalingStateStable {
		c.owes = true
		return
	}
	c.owes = false
	offer, err := c.pub.CreateOffer(nil)
	if err != nil || c.pub.SetLocalDescription(offer) != nil {
		return
	}
	_ = c.s.Send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Offer{
		Offer: &livekit.SessionDescription{Type: "offer", Sdp: offer.SDP, Id: 2}}})
}

// answered takes the answer to an offer.
func (c *testClient) answered(sdp string) {
	if err := c.pub.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp}); err != nil {
		c.t.Errorf("answer refused: %v", err)
	}
	c.mu.Lock()
	owes := c.owes
	c.mu.Unlock()
	if owes {
		c.offer()
	}
}

// until waits for a condition over what was recorded.
func (c *testClient) until(what string, cond func() bool) {
	c.t.Helper()
	timer := time.AfterFunc(waitFor, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.changed.Broadcast()
	})
	defer timer.Stop()
	deadline := time.Now().Add(waitFor)
	c.mu.Lock()
	defer c.mu.Unlock()
	for !cond() {
		if time.Now().After(deadline) {
			require.FailNow(c.t, "waited in vain", "for %s", what)
		}
		c.changed.Wait()
	}
}

// await waits for a response, recorded or still to come.
func (c *testClient) await(what string, match func(*livekit.SignalResponse) bool) (found *livekit.SignalResponse) {
	c.t.Helper()
	c.until(what, func() bool {
		for _, m := range c.seen {
			if match(m) {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

func (c *testClient) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = nil
}

func (c *testClient) send(m *livekit.SignalRequest) {
	c.t.Helper()
	require.NoError(c.t, c.s.Send(m))
}
