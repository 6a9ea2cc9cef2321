package sfu

import (
	"slices"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/webrtc/v4"

	"diemcau/sfu/downtrack"
)

// subscription is one track being sent to one participant. The room's loop owns
// it.
type subscription struct {
	sub    *participant
	track  *publication
	down   *downtrack.DownTrack
	sender *webrtc.RTPSender // nil until the transport made it
	can    []int             // which of the track's encodings the client takes; nil until negotiated
	want   int               // the encoding it is to get
	uses   int               // the encoding it gets; another until that one comes
	layer  int               // asked for while not paused
	fps    float64           // asked for at most; 0: all
	ask    uint32            // the client's priority
	asked  bool              // the client asked for this track itself
	loan   loan
	over   bool
}

// maySubscribe checks the subscriber's permission and the publisher's.
func (p *participant) maySubscribe(t *publication) bool {
	return p.perm.CanSubscribe && t.p != p && !t.p.hidden() && t.p.allowed.allows(p, t.info.Sid)
}

// access is a publisher's choice of who may subscribe to its tracks; nil: all.
type access struct {
	all        bool
	byIdentity map[string]*livekit.TrackPermission
	bySID      map[string]*livekit.TrackPermission
}

// maxPermissions bounds such a choice, in entries and in tracks of each.
const maxPermissions = 1024

func newAccess(m *livekit.SubscriptionPermission) *access {
	a := &access{
		all:        m.AllParticipants,
		byIdentity: make(map[string]*livekit.TrackPermission), bySID: make(map[string]*livekit.TrackPermission),
	}
	for _, tp := range m.TrackPermissions {
		if tp.ParticipantIdentity != "" {
			a.byIdentity[tp.ParticipantIdentity] = tp
		} else {
			a.bySID[tp.ParticipantSid] = tp
		}
	}
	return a
}

func (a *access) allows(p *participant, sid string) bool {
	if a == nil || a.all {
		return true
	}
	tp := a.byIdentity[p.identity]
	if tp == nil {
		tp = a.bySID[p.sid]
	}
	return tp != nil && (tp.AllTracks || slices.Contains(tp.TrackSids, sid))
}

func (p *participant) subscribe(t *publication) {
	sid := t.info.Sid
	if p.subs[sid] != nil || p.closed || len(p.subs) >= maxSubscriptions {
		return
	}
	s := &subscription{sub: p, track: t, layer: downtrack.MaxLayers - 1}
	if p.adaptiveStream && t.info.Type == livekit.TrackType_VIDEO {
		s.layer = 0 // until the client says how large it shows the track
	}
	kind := webrtc.RTPCodecTypeVideo
	if t.info.Type == livekit.TrackType_AUDIO {
		kind = webrtc.RTPCodecTypeAudio
	}
	var backups []webrtc.RTPCodecCapability
	for _, e := range t.encodings[1:] {
		backups = append(backups, e.downCodec())
	}
	r := p.room
	s.down = downtrack.New(downtrack.Config{
		TrackID: sid, StreamID: streamID(t), Stereo: isStereo(t.info), Encrypted: t.encrypted(),
		Codec: t.downCodec(), Backups: backups, Kind: kind, Log: p.log,
		Bound:       func(can []int) { r.post(func() { r.subscribed(s, can) }) },
		Unsupported: func() { r.post(func() { r.unsupported(s) }) },
	}, p.line, s.sendWish())
	for i, l := range t.layers {
		if l != nil {
			s.down.SetLayer(i, l)
		}
	}
	p.subs[sid] = s
	t.subscribers[p] = s
	r.node.met.subscriptions.Inc()
	p.check(p.sub.AddTrack(s.down, func(sender *webrtc.RTPSender, err error) {
		r.post(func() { s.ready(sender, err) })
	}))
	if !p.closed {
		p.sub.Negotiate(false)
		t.demand(r.now())
	}
}

// wish is what to send now: nothing of a muted track, for a mute must not depend
// on its publisher's keeping quiet.
func (s *subscription) wish() downtrack.Wish {
	w := downtrack.Wish{Layer: s.layer, FrameRate: s.fps, Priority: s.priority()}
	if s.track.info.Type == livekit.TrackType_AUDIO {
		w = s.audioWish()
	}
	if s.track.info.Muted || s.sub.disabled[s.track.info.Sid] {
		w.Layer = downtrack.None
	}
	return w
}

// Ranks of video when bandwidth is short; within one the client's priority
// decides.
const (
	rankCamera = iota
	rankSpeaker
	rankChair
	rankScreen
	maxAsk = 255 // of the client's priorities
)

// priority ranks the track among those sent to the subscriber.
func (s *subscription) priority() int {
	rank := rankCamera
	switch p := s.track.p; {
	case s.track.info.Source == livekit.TrackSource_SCREEN_SHARE:
		rank = rankScreen
	case p.chair:
		rank = rankChair
	case p.room.speakers[p.sid] != nil:
		rank = rankSpeaker
	}
	return rank*(maxAsk+1) + int(min(s.ask, maxAsk))
}

// starved tells the client that a track is paused for want of bandwidth, or no
// longer. It is called by the line's worker and must not wait.
func (p *participant) starved(sid string, paused bool) bool {
	return p.room.tryPost(func() {
		s := p.subs[sid]
		if s == nil || p.closed {
			return
		}
		state := livekit.StreamState_ACTIVE
		if paused {
			state = livekit.StreamState_PAUSED
		}
		p.log.Info("track", "track", sid, "state", state)
		p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_StreamStateUpdate{
			StreamStateUpdate: &livekit.StreamStateUpdate{StreamStates: []*livekit.StreamStateInfo{{
				ParticipantSid: s.track.p.sid, TrackSid: sid, State: state,
			}}},
		}})
	}) == nil
}

// ready takes the sender that the transport made.
func (s *subscription) ready(sender *webrtc.RTPSender, err error) {
	if err != nil {
		s.sub.log.Warn("subscription failed", "track", s.track.info.Sid, "err", err)
		s.sub.room.unsupported(s)
		return
	}
	s.sender = sender
	if s.over {
		s.release()
	}
}

// unsupported ends a subscription whose codec the client does not take.
func (r *Room) unsupported(s *subscription) {
	if !s.over {
		s.sub.log.Info("subscriber cannot take the codec", "track", s.track.info.Sid, "codec", s.track.codec.MimeType)
		r.unsubscribe(s)
		s.sub.subscriptionFailed(s.track.info.Sid, livekit.SubscriptionError_SE_CODEC_UNSUPPORTED)
	}
}

// release stops the sender of a subscription that is over.
func (s *subscription) release() {
	p := s.sub
	if s.sender == nil || p.closed {
		return // the transport's end stops it
	}
	p.check(p.sub.RemoveTrack(s.sender))
	if !p.closed {
		p.sub.Negotiate(false)
	}
}

// subscribed is called when a subscription is negotiated; it tells the publisher
// that its track is being received.
func (r *Room) subscribed(s *subscription, can []int) {
	if s.over {
		return
	}
	s.can = can
	s.track.assign()
	s.track.demand(r.now())
	if s.sub.sub.State() == webrtc.PeerConnectionStateConnected {
		s.down.Start()
	}
	s.negotiated()
	if now := r.speakers[s.track.p.sid]; now != nil && s.track.info.Type == livekit.TrackType_AUDIO {
		// Who joins while somebody speaks is told at once.
		s.sub.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_SpeakersChanged{
			SpeakersChanged: &livekit.SpeakersChanged{Speakers: []*livekit.SpeakerInfo{now}},
		}})
	}
	s.track.p.tellSubscribed(s.track)
}

// tellSubscribed tells a publisher that its track is being received.
func (p *participant) tellSubscribed(t *publication) {
	p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_TrackSubscribed{
		TrackSubscribed: &livekit.TrackSubscribed{TrackSid: t.info.Sid},
	}})
}

func (r *Room) unsubscribe(s *subscription) {
	if s.over {
		return
	}
	s.over = true
	s.down.Close()
	delete(s.sub.subs, s.track.info.Sid)
	delete(s.track.subscribers, s.sub)
	s.endLoans()
	r.vacant = true
	r.node.met.subscriptions.Dec()
	s.release()
	s.track.assign()
	s.track.demand(r.now())
}

func (p *participant) subscriptionFailed(sid string, why livekit.SubscriptionError) {
	p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_SubscriptionResponse{
		SubscriptionResponse: &livekit.SubscriptionResponse{TrackSid: sid, Err: why},
	}})
}

// unknownTracks answers a request that named tracks that are not there, with one
// word of them in the log however many they are.
func (p *participant) unknownTracks(sids []string) {
	if len(sids) == 0 {
		return
	}
	p.log.Info("request refused", "reason", "no such track", "track", sids[0][:min(len(sids[0]), maxText)], "tracks", len(sids))
	for _, sid := range sids {
		p.subscriptionFailed(sid, livekit.SubscriptionError_SE_TRACK_NOTFOUND)
	}
}

// updateSubscription takes up or ends subscriptions as the client asks.
func (p *participant) updateSubscription(u *livekit.UpdateSubscription) {
	sids := slices.Clone(u.TrackSids)
	for _, pt := range u.ParticipantTracks {
		sids = append(sids, pt.TrackSids...)
	}
	if len(sids) > maxSIDs {
		p.refuse(0, livekit.RequestResponse_LIMIT_EXCEEDED, "too many tracks in one request", nil)
		return
	}
	var unknown []string
	defer func() { p.unknownTracks(unknown) }()
	for _, sid := range sids {
		t := p.room.tracks[sid]
		switch {
		case t == nil || (t.p.hidden() && t.p != p):
			if u.Subscribe {
				unknown = append(unknown, sid)
			}
		case !u.Subscribe:
			s := p.subs[sid]
			if len(p.declined) < maxDeclined {
				p.declined[sid] = true
				if t.camera() && (s == nil || !s.asked) {
					p.spared[sid] = true
				}
			}
			if s != nil {
				p.room.unsubscribe(s)
			}
		case p.maySubscribe(t):
			delete(p.declined, sid)
			delete(p.spared, sid)
			if len(p.subs) >= maxSubscriptions {
				p.refuse(0, livekit.RequestResponse_LIMIT_EXCEEDED, "too many subscriptions", nil)
				return
			}
			p.subscribe(t)
			if s := p.subs[sid]; s != nil {
				s.asked = true
			}
		default:
			p.refuse(0, livekit.RequestResponse_NOT_ALLOWED, "no permission to subscribe to "+sid, nil)
			p.permissionUpdate(t, false)
		}
	}
}

const (
	maxDeclined = 4096 // track sids remembered per participant
	maxSIDs     = 1024 // track sids in one request
)

// trackSetting takes the client's wishes for tracks it receives.
func (p *participant) trackSetting(m *livekit.UpdateTrackSettings) {
	if len(m.TrackSids) > maxSIDs {
		p.refuse(0, livekit.RequestResponse_LIMIT_EXCEEDED, "too many tracks in one request", nil)
		return
	}
	var unknown []string
	defer func() { p.unknownTracks(unknown) }()
	for _, sid := range m.TrackSids {
		s := p.subs[sid]
		if s == nil {
			if p.room.tracks[sid] == nil {
				unknown = append(unknown, sid)
			}
			continue
		}
		if s.track.info.Type == livekit.TrackType_VIDEO {
			s.layer, s.fps, s.ask = layerFor(s.track.encodings[s.uses].about.Layers, m), float64(m.Fps), m.Priority
		}
		p.pause(sid, m.Disabled)
	}
}

// pause stops a subscription's media, or lets it flow.
func (p *participant) pause(sid string, paused bool) {
	s := p.subs[sid]
	if s == nil {
		return
	}
	if paused {
		p.disabled[sid] = true
	} else {
		delete(p.disabled, sid)
	}
	s.refresh()
	s.track.demand(p.room.now())
}

// layerFor is the lowest layer that is not smaller than what the client shows.
func layerFor(layers []*livekit.VideoLayer, m *livekit.UpdateTrackSettings) int {
	if m.Width == 0 || m.Height == 0 {
		return min(max(int(m.Quality), 0), downtrack.MaxLayers-1)
	}
	best, bestSide := downtrack.MaxLayers-1, uint32(0)
	want := min(m.Width, m.Height)
	for _, l := range layers {
		side := min(l.Width, l.Height) // either way up
		if q := int(l.Quality); q < downtrack.MaxLayers && side >= want && (bestSide == 0 || side < bestSide) {
			best, bestSide = q, side
		}
	}
	return best
}

// setSubscriptionPermission is a publisher's choice of who receives its tracks.
func (p *participant) setSubscriptionPermission(m *livekit.SubscriptionPermission) {
	for _, tp := range m.TrackPermissions {
		if len(m.TrackPermissions) > maxPermissions || len(tp.TrackSids) > maxTracks {
			p.refuse(0, livekit.RequestResponse_LIMIT_EXCEEDED, "too many track permissions", nil)
			return
		}
	}
	p.allowed = newAccess(m)
	p.touch()
	p.permitSubscribers()
}

// permitSubscribers has the publisher's present choice hold.
func (p *participant) permitSubscribers() {
	for _, t := range p.published {
		for _, o := range p.room.participants {
			may := o.maySubscribe(t)
			s := o.subs[t.info.Sid]
			switch {
			case !may && s != nil:
				p.room.unsubscribe(s)
				o.permissionUpdate(t, false)
			case may && s == nil && o != p:
				o.permissionUpdate(t, true)
				o.maybeSubscribe(t)
			}
		}
	}
}

func (p *participant) permissionUpdate(t *publication, allowed bool) {
	p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_SubscriptionPermissionUpdate{
		SubscriptionPermissionUpdate: &livekit.SubscriptionPermissionUpdate{
			ParticipantSid: t.p.sid, TrackSid: t.info.Sid, Allowed: allowed,
		},
	}})
}
