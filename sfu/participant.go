package sfu

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/utils/guid"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
	"golang.org/x/time/rate"

	"diemcau/sfu/downtrack"
	"diemcau/sfu/egress"
	"diemcau/sfu/fanout"
	"diemcau/sfu/transport"
)

// How long a participant may be without something it needs.
const (
	connectWithin = 60 * time.Second // from joining to media
	resumeWithin  = 40 * time.Second // without a signal connection
	mediaWithin   = 30 * time.Second // from failed media to media again
	closedWithin  = 3 * time.Second  // from media that the client closed to its leave
)

// roleAttribute is the attribute of a token that tells the role of its bearer.
const (
	roleAttribute = "role"
	roleChair     = "chair"
)

// participant is one member of a room. The room's loop owns it.
type participant struct {
	room *Room
	log  *slog.Logger

	sid, identity string
	name          string
	metadata      string
	attributes    map[string]string
	state         livekit.ParticipantInfo_State
	reason        livekit.DisconnectReason
	version       uint32
	joined        time.Time
	kind          livekit.ParticipantInfo_Kind
	kindDetails   []livekit.ParticipantInfo_KindDetail
	perm          *livekit.ParticipantPermission
	client        *livekit.ClientInfo

	autoSubscribe  bool
	adaptiveStream bool
	single         bool // one peer connection, and only the client makes offers
	subPrimary     bool
	chair          bool // presides: its picture goes before others

	session     *Session // nil while the signal connection is lost
	sessionLost time.Time
	mediaLost   time.Time // zero while media is connected or never was
	settles     time.Time // when the client has dealt with what it put off; zero: not connected yet
	mediaClosed bool      // the client has closed its media, and can only join anew
	closed      bool

	pub, sub *transport.Transport // the same one when single
	line     *downtrack.Line      // everything sent to this participant

	sectionsAsked time.Time     // the client is to make an offer since; zero if not
	offerTook     time.Duration // the last that it was to make, with both ways

	pending   []*pendingTrack
	unmatched []*receivedLayer
	published map[string]*publication  // by track sid
	subs      map[string]*subscription // by track sid
	declined  map[string]bool          // track sids the client does not want
	spared    map[string]bool          // of them, cameras it was given unasked
	disabled  map[string]bool          // track sids the client has paused
	allowed   *access
	lastSeq   uint32        // newest reliable data packet received
	awaitSync bool          // resumed, and has not yet said what it missed
	replayed  uint64        // newest data packet kept when it joined
	inData    *rate.Limiter // bytes of data received
	inPackets *rate.Limiter
	flooded   *rate.Limiter   // words about too much of it
	ctx       context.Context // ends with the participant
	cancel    context.CancelFunc
	spokeAt   time.Time // when it last began to speak
	told      time.Time // when its state was last broadcast
	dirty     bool      // its state changed since
	quality   livekit.ConnectionQuality
	score     float32
	qualityOK bool

	forwards []*forward              // of it to other rooms
	onward   atomic.Pointer[[]*Room] // where they lead
	guest    *forward                // whose other end it is; nil for one with a client
	like     *likeness               // of a guest: what it resembles
	touched  bool                    // there is something to pass on
}

// someone makes what every participant of the room has, with a client or without.
func (r *Room) someone(identity string) *participant {
	p := &participant{
		room: r, sid: guid.New("PA_"), identity: identity, joined: r.now(),
		published: make(map[string]*publication), subs: make(map[string]*subscription),
		declined: make(map[string]bool), spared: make(map[string]bool), disabled: make(map[string]bool),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.log = r.log.With("participant", p.identity, "sid", p.sid)
	return p
}

func newParticipant(r *Room, s *Session, start *livekit.StartSession, grants *auth.ClaimGrants) (*participant, error) {
	p := r.someone(start.Identity)
	p.name, p.metadata, p.attributes = start.Name, grants.Metadata, maps.Clone(grants.Attributes)
	if p.attributes == nil {
		p.attributes = make(map[string]string)
	}
	p.state, p.kind, p.kindDetails = livekit.ParticipantInfo_JOINING, grants.GetParticipantKind(), grants.GetKindDetails()
	p.perm, p.client = grants.Video.ToPermission(), start.GetClient()
	p.autoSubscribe, p.adaptiveStream = start.AutoSubscribe, start.AdaptiveStream
	p.single, p.session = start.UseSinglePeerConnection, s
	p.inData = rate.NewLimiter(dataBytesPerSecond, dataBurst)
	p.inPackets = rate.NewLimiter(dataPacketsPerSecond, dataPacketsPerSecond)
	p.flooded = rate.NewLimiter(rate.Every(floodEvery), 1)
	p.replayed = r.replay.newest
	p.chair = p.perm.CanPublish && (grants.Video.RoomAdmin || grants.Attributes[roleAttribute] == roleChair)
	p.subPrimary = !p.single && p.perm.CanSubscribe
	s.p = p
	p.line = downtrack.NewLine(downtrack.LineConfig{
		WriteRTCP: func(pkts []rtcp.Packet) error { return p.sub.WriteRTCP(pkts) },
		Egress:    p.egress, Starved: p.starved, Log: p.log,
	}, r.node.fan.Worker())
	if err := p.connect(); err != nil {
		p.line.Close()
		p.line.Worker().Release()
		return nil, err
	}
	return p, nil
}

// connect makes the participant's transports.
func (p *participant) connect() (err error) {
	r := p.room
	if p.pub, err = r.node.api.New(false, p.events(livekit.SignalTarget_PUBLISHER), p.log); err != nil {
		return err
	}
	p.sub = p.pub
	if !p.single {
		if p.sub, err = r.node.api.New(true, p.events(livekit.SignalTarget_SUBSCRIBER), p.log); err != nil {
			p.pub.Close()
			r.node.cleanup(p.pub.Wait)
			return err
		}
	}
	return nil
}

// egress makes the way out for a stream to the participant, past its peer connection
// where that can be; nil if not.
func (p *participant) egress(ssrc uint32, video bool) fanout.Egress {
	shard, ok := p.line.Worker().Sender().(*egress.Shard)
	if !ok {
		return nil
	}
	if out := p.sub.Outlet(shard); out != nil {
		return out.NewWriter(ssrc, video, p.sub.WriteRTCP)
	}
	return nil
}

// primary is the transport whose connection makes the participant active and
// that carries data down.
func (p *participant) primary() *transport.Transport {
	if p.subPrimary {
		return p.sub
	}
	return p.pub
}

// events brings what happens on a transport to the room's loop.
func (p *participant) events(target livekit.SignalTarget) transport.Events {
	r := p.room
	return transport.Events{
		Candidate: func(c webrtc.ICECandidateInit) {
			r.post(func() { p.sendCandidate(target, c) })
		},
		Offer: func(sdp string, id uint32, mids map[string]string) {
			r.post(func() {
				p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_Offer{
					Offer: &livekit.SessionDescription{Type: "offer", Sdp: sdp, Id: id, MidToTrackId: mids},
				}})
			})
		},
		Answer: func(sdp string, id uint32, mids map[string]string) {
			r.post(func() {
				p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_Answer{
					Answer: &livekit.SessionDescription{Type: "answer", Sdp: sdp, Id: id, MidToTrackId: mids},
				}})
			})
		},
		Sections: func(audio, video uint32) {
			r.post(func() {
				if p.sectionsAsked.IsZero() {
					p.sectionsAsked = r.now()
				}
				p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_MediaSectionsRequirement{
					MediaSectionsRequirement: &livekit.MediaSectionsRequirement{NumAudios: audio, NumVideos: video},
				}})
			})
		},
		Track: p.onTrack,
		Data:  func(label string, msg []byte) { r.receiveData(p, label, msg) },
		Report: func(packet []byte) {
			if target == livekit.SignalTarget_SUBSCRIBER || p.single {
				p.line.Report(packet, time.Now())
			}
		},
		State: func(s webrtc.PeerConnectionState) {
			r.post(func() { p.transportState(target, s) })
		},
		Failed: func(what string, err error, stuck bool) {
			r.post(func() { p.negotiationFailed(what, err, stuck) })
		},
	}
}

// negotiationFailed tells the client that a description or candidate of its was
// refused, and sends it to join anew if its transport can negotiate no more.
func (p *participant) negotiationFailed(what string, err error, stuck bool) {
	if p.closed {
		return
	}
	p.refuse(0, livekit.RequestResponse_UNCLASSIFIED_ERROR, what+": "+err.Error(), nil)
	if stuck {
		p.leave(livekit.LeaveRequest_RECONNECT, livekit.DisconnectReason_STATE_MISMATCH)
		p.room.remove(p, livekit.DisconnectReason_STATE_MISMATCH)
	}
}

// join says welcome and begins to negotiate.
func (p *participant) join(start *livekit.StartSession) {
	r := p.room
	p.state = livekit.ParticipantInfo_JOINED
	p.version++
	p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_Join{Join: r.joinResponse(p)}})
	if !p.hidden() {
		r.broadcast(p)
	}
	for _, req := range start.AddTrackRequests {
		p.addTrack(req)
	}
	if start.PublisherOffer.GetSdp() != "" {
		p.offered(start.PublisherOffer)
	}
	p.fill(r.byInterest())
	if p.subPrimary {
		p.sub.Negotiate(false)
	}
}

func (r *Room) joinResponse(p *participant) *livekit.JoinResponse {
	join := &livekit.JoinResponse{
		Room: r.proto(), Participant: p.proto(), OtherParticipants: r.others(p),
		ServerVersion: protocolVersion, ServerInfo: r.node.serverInfo(),
		SubscriberPrimary: p.subPrimary, PingInterval: 5, PingTimeout: 15,
		SifTrailer: r.sifTrailer, EnabledPublishCodecs: enabledCodecs(),
		FastPublish: p.perm.CanPublish && !p.single, IceServers: r.node.turn.ICEServers(p.sid),
	}
	return join
}

func (r *Room) others(p *participant) []*livekit.ParticipantInfo {
	infos := make([]*livekit.ParticipantInfo, 0, len(r.participants))
	for _, o := range r.participants {
		if o != p && !o.hidden() {
			infos = append(infos, o.proto())
		}
	}
	return infos
}

// protocolVersion is the version of the LiveKit server whose signal protocol
// this node speaks; clients switch features by it.
const protocolVersion = "1.13.5"

func (n *Node) serverInfo() *livekit.ServerInfo {
	return &livekit.ServerInfo{
		Edition: livekit.ServerInfo_Standard, Version: protocolVersion, Protocol: 16, NodeId: n.id,
	}
}

// resumed brings a client that lost its signal connection up to date.
func (p *participant) resumed(start *livekit.StartSession) {
	r := p.room
	p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_Reconnect{Reconnect: &livekit.ReconnectResponse{
		ServerInfo: r.node.serverInfo(), LastMessageSeq: p.lastSeq, IceServers: r.node.turn.ICEServers(p.sid),
	}}})
	p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_Update{Update: &livekit.ParticipantUpdate{
		Participants: append(r.others(p), p.proto()),
	}}})
	p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_RoomUpdate{
		RoomUpdate: &livekit.RoomUpdate{Room: r.proto()},
	}})
	p.awaitSync = true
	if !p.settles.IsZero() {
		p.settling()
	}
	for _, t := range p.published {
		if t.info.Type == livekit.TrackType_VIDEO || len(t.encodings) > 1 {
			t.tellDemand() // it may have missed a change
		}
	}
	if start.SyncState != nil {
		p.syncState(start.SyncState)
	}
	if p.closed {
		return
	}
	if start.PublisherOffer.GetSdp() != "" {
		p.offered(start.PublisherOffer)
	}
	if p.subPrimary || (!p.single && len(p.subs) > 0) {
		p.sub.Negotiate(true)
	}
}

// send queues a response for the client; without a session it is lost, and the
// client is brought up to date when it resumes.
func (p *participant) send(m *livekit.SignalResponse) {
	if p.session != nil {
		p.session.send(m)
	}
}

// check ends a participant whose transport takes no more work.
func (p *participant) check(err error) {
	if err != nil && !p.closed {
		p.log.Warn("transport overloaded or closed; participant ended", "err", err)
		p.leave(livekit.LeaveRequest_RECONNECT, livekit.DisconnectReason_UNKNOWN_REASON)
		p.room.remove(p, livekit.DisconnectReason_UNKNOWN_REASON)
	}
}

// leave tells the client to go, or to come back, and ends its session.
func (p *participant) leave(action livekit.LeaveRequest_Action, reason livekit.DisconnectReason) {
	p.send(leaveResponse(action, reason))
	if p.session != nil {
		p.session.end()
	}
}

// close frees what the participant has; the room's loop calls it once.
func (p *participant) close() {
	p.closed = true
	p.cancel()
	for _, t := range p.published {
		p.room.unpublish(t)
	}
	for _, s := range p.subs {
		p.room.unsubscribe(s)
	}
	if p.session != nil {
		p.session.end()
	}
	if p.guest != nil {
		return // it has no transports
	}
	p.room.node.turn.End(p.sid)
	layers := p.unmatched
	p.unmatched = nil
	pub, sub := p.pub, p.sub
	pub.Close()
	sub.Close()
	p.line.Close()
	p.line.Worker().Release()
	p.room.node.cleanup(func() {
		pub.Wait()
		sub.Wait()
		for _, l := range layers {
			l.layer.Wait()
		}
	})
}

// transportState follows the connection of a peer.
func (p *participant) transportState(target livekit.SignalTarget, s webrtc.PeerConnectionState) {
	if p.closed {
		return
	}
	p.log.Debug("transport", "target", target, "state", s)
	t := p.pub
	if target == livekit.SignalTarget_SUBSCRIBER {
		t = p.sub
	}
	primary := t == p.primary()
	switch s {
	case webrtc.PeerConnectionStateConnected:
		p.log.Info("media connected", "target", target, "transport", t.Protocol())
		p.mediaLost, p.mediaClosed = time.Time{}, false
		if t == p.sub {
			for _, s := range p.subs {
				s.down.Start()
			}
		}
		if primary && p.state != livekit.ParticipantInfo_ACTIVE {
			p.state = livekit.ParticipantInfo_ACTIVE
			p.settling()
			p.version++
			p.room.broadcast(p)
			p.room.emit(eventParticipantJoined, p, nil)
			p.tellQuality()
		}
	case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
		if p.mediaLost.IsZero() {
			p.mediaLost = p.room.now()
		}
		if p.session == nil {
			p.room.remove(p, livekit.DisconnectReason_CONNECTION_TIMEOUT)
			return
		}
		if s == webrtc.PeerConnectionStateClosed {
			// The client did that: its leave, or its end, is about to come.
			p.mediaClosed = true
			return
		}
		p.log.Info("media lost; asking the client to resume", "target", target, "state", s)
		p.leave(livekit.LeaveRequest_RESUME, livekit.DisconnectReason_UNKNOWN_REASON)
	}
}

// care ends the participant if it has been without something for too long.
func (p *participant) care(now time.Time) {
	if p.guest != nil {
		p.guest.follow()
		return
	}
	for _, f := range slices.Clone(p.forwards) {
		f.heed()
	}
	p.trim()
	switch {
	case p.state != livekit.ParticipantInfo_ACTIVE && now.Sub(p.joined) > connectWithin:
		p.log.Info("no media connection in time")
		p.leave(livekit.LeaveRequest_DISCONNECT, livekit.DisconnectReason_JOIN_FAILURE)
		p.room.remove(p, livekit.DisconnectReason_JOIN_FAILURE)
	case p.session == nil && now.Sub(p.sessionLost) > resumeWithin:
		p.room.remove(p, livekit.DisconnectReason_SIGNAL_CLOSE)
	case !p.mediaLost.IsZero() && (now.Sub(p.mediaLost) > mediaWithin || p.mediaClosed && now.Sub(p.mediaLost) > closedWithin):
		p.leave(livekit.LeaveRequest_RECONNECT, livekit.DisconnectReason_CONNECTION_TIMEOUT)
		p.room.remove(p, livekit.DisconnectReason_CONNECTION_TIMEOUT)
	}
}

func (p *participant) hidden() bool { return p.perm.Hidden }

// proto describes the participant as others see it.
func (p *participant) proto() *livekit.ParticipantInfo {
	info := &livekit.ParticipantInfo{
		Sid: p.sid, Identity: p.identity, Name: p.name, State: p.state, Metadata: p.metadata,
		Attributes: maps.Clone(p.attributes), JoinedAt: p.joined.Unix(), JoinedAtMs: p.joined.UnixMilli(),
		Version: p.version, Permission: p.perm, IsPublisher: len(p.published) > 0, Kind: p.kind,
		KindDetails:      p.kindDetails,
		DisconnectReason: p.reason,
		ClientProtocol:   p.client.GetClientProtocol(), Capabilities: p.client.GetCapabilities(),
	}
	for _, t := range p.published {
		info.Tracks = append(info.Tracks, t.proto())
	}
	return info
}
