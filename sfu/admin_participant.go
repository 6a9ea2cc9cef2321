package sfu

import (
	"slices"

	"github.com/livekit/protocol/livekit"
	"github.com/livekit/psrpc"
	"google.golang.org/protobuf/proto"
)

// aboutFits checks what a participant is to be called and to carry against the
// bounds; attributes it has and keeps count too.
func (p *participant) aboutFits(name, metadata string, attributes map[string]string) bool {
	size := 0
	for k, v := range attributes {
		size += len(k) + len(v)
	}
	for k, v := range p.attributes {
		if _, replaced := attributes[k]; !replaced {
			size += len(k) + len(v)
		}
	}
	return len(metadata) <= maxMetadata && len(name) <= maxName && size <= maxAttributes
}

// setAbout sets what is not empty; an attribute that is empty goes. It reports
// whether anything changed.
func (p *participant) setAbout(name, metadata string, attributes map[string]string) (changed bool) {
	if metadata != "" && metadata != p.metadata {
		p.metadata, changed = metadata, true
	}
	if name != "" && name != p.name {
		p.name, changed = name, true
	}
	for k, v := range attributes {
		old, had := p.attributes[k]
		switch {
		case v == "" && had:
			delete(p.attributes, k)
			changed = true
		case v != "" && v != old:
			p.attributes[k], changed = v, true
		}
	}
	return changed
}

// updateByAdmin changes a participant from outside the room.
func (p *participant) updateByAdmin(req *livekit.UpdateParticipantRequest) (*livekit.ParticipantInfo, error) {
	if p.guest != nil {
		return nil, errForwarded
	}
	if !p.aboutFits(req.Name, req.Metadata, req.Attributes) {
		return nil, psrpc.NewErrorf(psrpc.InvalidArgument, "name, metadata or attributes too long")
	}
	changed := p.setAbout(req.Name, req.Metadata, req.Attributes)
	if req.Permission != nil && !proto.Equal(p.perm, req.Permission) {
		p.setPermission(proto.CloneOf(req.Permission))
	} else if changed {
		p.version++
		p.room.broadcast(p)
	}
	if p.closed {
		return nil, errNoParticipant
	}
	return p.proto(), nil
}

// setPermission has the new permission hold at once: first what it takes, then
// the news of it, then what it gives.
func (p *participant) setPermission(perm *livekit.ParticipantPermission) {
	r, old := p.room, p.perm
	p.log.Info("permission changed", "permission", perm)
	p.perm = perm // never changed in place: what was sent refers to it
	p.stopForbidden()
	for _, s := range p.subs {
		if !p.maySubscribe(s.track) {
			r.unsubscribe(s)
		}
	}
	for _, t := range p.published {
		for o, s := range t.subscribers {
			if !o.maySubscribe(t) {
				r.unsubscribe(s)
			}
		}
	}
	if p.closed {
		return
	}
	p.version++
	if perm.Hidden && !old.Hidden {
		r.vanish(p)
	}
	r.broadcast(p)
	if perm.Recorder != old.Recorder {
		r.tellRoom()
	}
	for _, t := range r.tracks {
		p.maybeSubscribe(t)
	}
	for _, t := range p.published {
		for _, o := range r.participants {
			o.maybeSubscribe(t)
		}
	}
}

// stopForbidden ends tracks, announced and published, that the participant may
// publish no more.
func (p *participant) stopForbidden() {
	p.pending = slices.DeleteFunc(p.pending, func(t *pendingTrack) bool {
		gone := !p.mayPublish(t.info.Source)
		if gone {
			p.trackUnpublished(t.info.Sid)
		}
		return gone
	})
	for _, t := range p.published {
		if p.mayPublish(t.info.Source) {
			continue
		}
		p.room.unpublish(t)
		p.trackUnpublished(t.info.Sid)
		p.room.node.cleanup(func() {
			for _, e := range t.encodings {
				for _, stop := range e.stops {
					if stop != nil {
						stop()
					}
				}
			}
		})
	}
	if !p.perm.CanPublish {
		waiting := p.unmatched
		p.unmatched = nil
		for _, l := range waiting {
			p.drop(l)
		}
	}
}

// trackUnpublished tells the client that a track of its is taken down.
func (p *participant) trackUnpublished(sid string) {
	p.log.Info("track unpublished: its publisher has no permission for it any more", "track", sid)
	p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_TrackUnpublished{
		TrackUnpublished: &livekit.TrackUnpublishedResponse{TrackSid: sid},
	}})
}

// vanish has a participant that is hidden from now on leave in the eyes of the
// others.
func (r *Room) vanish(p *participant) {
	info := p.proto()
	info.State = livekit.ParticipantInfo_DISCONNECTED
	info.Permission, info.Tracks = nil, nil
	update := &livekit.SignalResponse{Message: &livekit.SignalResponse_Update{
		Update: &livekit.ParticipantUpdate{Participants: []*livekit.ParticipantInfo{info}},
	}}
	for _, o := range r.participants {
		if o != p {
			o.send(update)
		}
	}
}

// muteByAdmin mutes or unmutes a track and tells its publisher to do so too.
func (p *participant) muteByAdmin(sid string, muted bool) (*livekit.TrackInfo, error) {
	tell := func() {
		p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_Mute{
			Mute: &livekit.MuteTrackRequest{Sid: sid, Muted: muted},
		}})
	}
	if t := p.pendingTrack(sid); t != nil {
		t.info.Muted = muted
		tell()
		return proto.CloneOf(t.info), nil
	}
	t := p.published[sid]
	if t == nil {
		return nil, psrpc.NewErrorf(psrpc.NotFound, "track is not found")
	}
	if p.guest != nil {
		t.muteGuest(muted)
		return t.proto(), nil
	}
	tell()
	t.muteAndTell(muted)
	return t.proto(), nil
}

// subscribeByAdmin takes up or ends subscriptions of p.
func (p *participant) subscribeByAdmin(req *livekit.UpdateSubscriptionsRequest) error {
	sids := slices.Clone(req.TrackSids)
	for _, pt := range req.ParticipantTracks {
		sids = append(sids, pt.GetTrackSids()...)
	}
	if len(sids) > maxSIDs {
		return psrpc.NewErrorf(psrpc.InvalidArgument, "more than %d tracks in one request", maxSIDs)
	}
	r, more := p.room, 0
	for _, sid := range sids {
		t := r.tracks[sid]
		if req.Subscribe && p.subs[sid] == nil {
			more++
		}
		switch {
		case t == nil:
			return psrpc.NewErrorf(psrpc.NotFound, "track is not found: %s", sid)
		case req.Subscribe && !p.maySubscribe(t):
			return psrpc.NewErrorf(psrpc.FailedPrecondition, "participant is not allowed to subscribe to %s", sid)
		case len(p.subs)+more > maxSubscriptions:
			return psrpc.NewErrorf(psrpc.ResourceExhausted, "participant has as many subscriptions as it may have")
		}
	}
	for _, sid := range sids {
		if req.Subscribe {
			delete(p.declined, sid)
			p.subscribe(r.tracks[sid])
			if s := p.subs[sid]; s != nil {
				s.asked = true
			}
			continue
		}
		if len(p.declined) < maxDeclined {
			p.declined[sid] = true
		}
		if s := p.subs[sid]; s != nil {
			r.unsubscribe(s)
		}
	}
	return nil
}
