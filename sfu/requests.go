package sfu

import (
	"encoding/json"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/webrtc/v4"

	"diemcau/sfu/transport"
)

// Bounds of what a client may say about itself, in bytes.
const (
	maxMetadata   = 64 << 10
	maxAttributes = 64 << 10
	maxName       = 256
)

// handle acts on one request of a client's.
func (r *Room) handle(s *Session, req *livekit.SignalRequest) {
	p := s.p
	if s.over || p == nil || p.closed || p.session != s {
		return
	}
	switch m := req.Message.(type) {
	case *livekit.SignalRequest_Offer:
		p.offered(m.Offer)
	case *livekit.SignalRequest_Answer:
		p.check(p.sub.SetAnswer(m.Answer.GetSdp(), m.Answer.GetId()))
	case *livekit.SignalRequest_Trickle:
		p.trickle(m.Trickle)
	case *livekit.SignalRequest_AddTrack:
		p.addTrack(m.AddTrack)
	case *livekit.SignalRequest_Mute:
		p.mute(m.Mute)
	case *livekit.SignalRequest_Subscription:
		p.updateSubscription(m.Subscription)
	case *livekit.SignalRequest_TrackSetting:
		p.trackSetting(m.TrackSetting)
	case *livekit.SignalRequest_SubscriptionPermission:
		p.setSubscriptionPermission(m.SubscriptionPermission)
	case *livekit.SignalRequest_SyncState:
		p.syncState(m.SyncState)
	case *livekit.SignalRequest_UpdateMetadata:
		p.updateMetadata(m.UpdateMetadata)
	case *livekit.SignalRequest_UpdateAudioTrack:
		p.updateAudioTrack(m.UpdateAudioTrack)
	case *livekit.SignalRequest_UpdateVideoTrack:
		p.updateVideoTrack(m.UpdateVideoTrack)
	case *livekit.SignalRequest_Simulate:
		p.simulate(m.Simulate)
	case *livekit.SignalRequest_Leave:
		r.remove(p, livekit.DisconnectReason_CLIENT_INITIATED)
	default:
		p.refuse(0, livekit.RequestResponse_UNSUPPORTED_TYPE, "this server does not know the request", nil)
	}
}

// refuse tells the client that a request was not carried out, and why; set adds
// the request itself where the protocol has a place for it.
func (p *participant) refuse(id uint32, reason livekit.RequestResponse_Reason, message string,
	set func(*livekit.RequestResponse)) {
	p.log.Info("request refused", "reason", reason, "message", message)
	p.room.node.met.refused.WithLabelValues(reason.String()).Inc()
	resp := &livekit.RequestResponse{RequestId: id, Reason: reason, Message: message}
	if set != nil {
		set(resp)
	}
	p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_RequestResponse{RequestResponse: resp}})
}

// offered passes on the client's offer, with the codecs its announced tracks are
// to have.
func (p *participant) offered(offer *livekit.SessionDescription) {
	if !p.sectionsAsked.IsZero() {
		p.offerTook, p.sectionsAsked = p.room.now().Sub(p.sectionsAsked), time.Time{}
	}
	tracks := make(map[string]transport.Wanted)
	note := func(e *encoding, info *livekit.TrackInfo, mime string) {
		for _, cid := range e.cids {
			tracks[cid] = transport.Wanted{Mime: mime, Stereo: isStereo(info)}
		}
	}
	for _, t := range p.pending {
		for _, e := range t.encodings {
			note(e, t.info, e.codec.MimeType)
		}
	}
	for _, t := range p.published {
		for _, e := range t.encodings {
			mime := ""
			if e.due {
				mime = e.codec.MimeType // the codec of what flows stays as it is
			}
			note(e, t.info, mime)
		}
	}
	p.check(p.pub.SetOffer(offer.GetSdp(), offer.GetId(), tracks))
}

func (p *participant) trickle(t *livekit.TrickleRequest) {
	var c webrtc.ICECandidateInit
	if err := json.Unmarshal([]byte(t.GetCandidateInit()), &c); err != nil {
		p.refuse(0, livekit.RequestResponse_UNCLASSIFIED_ERROR, "candidate does not parse: "+err.Error(),
			func(r *livekit.RequestResponse) { r.Request = &livekit.RequestResponse_Trickle{Trickle: t} })
		return
	}
	target := p.pub
	if t.GetTarget() == livekit.SignalTarget_SUBSCRIBER {
		target = p.sub
	}
	p.check(target.AddCandidate(c))
}

func (p *participant) sendCandidate(target livekit.SignalTarget, c webrtc.ICECandidateInit) {
	body, err := json.Marshal(c)
	if err != nil {
		p.log.Error("encoding a candidate", "err", err)
		return
	}
	p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_Trickle{
		Trickle: &livekit.TrickleRequest{CandidateInit: string(body), Target: target},
	}})
}

// updateMetadata changes what the participant says about itself.
func (p *participant) updateMetadata(m *livekit.UpdateParticipantMetadata) {
	with := func(r *livekit.RequestResponse) {
		r.Request = &livekit.RequestResponse_UpdateMetadata{UpdateMetadata: m}
	}
	if !p.perm.CanUpdateMetadata {
		p.refuse(m.RequestId, livekit.RequestResponse_NOT_ALLOWED, "does not have permission to update own metadata", with)
		return
	}
	if !p.aboutFits(m.Name, m.Metadata, m.Attributes) {
		p.refuse(m.RequestId, livekit.RequestResponse_LIMIT_EXCEEDED, "name, metadata or attributes too long", with)
		return
	}
	p.setAbout(m.Name, m.Metadata, m.Attributes)
	p.changed()
	if m.RequestId != 0 {
		p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_RequestResponse{
			RequestResponse: &livekit.RequestResponse{RequestId: m.RequestId, Reason: livekit.RequestResponse_OK},
		}})
	}
}

// syncState is what a resuming client believes; where that cannot be met the
// client has to join anew.
func (p *participant) syncState(s *livekit.SyncState) {
	if len(s.PublishTracks) > maxTracks || len(s.TrackSidsDisabled) > maxSIDs || len(s.DatachannelReceiveStates) > maxSIDs {
		p.refuse(0, livekit.RequestResponse_LIMIT_EXCEEDED, "too long a sync_state", nil)
		return
	}
	for _, t := range s.PublishTracks {
		sid := t.GetTrack().GetSid()
		if p.published[sid] == nil && p.pendingTrack(sid) == nil {
			p.log.Info("client resumed with a track unknown here; it has to join anew", "track", sid)
			p.leave(livekit.LeaveRequest_RECONNECT, livekit.DisconnectReason_STATE_MISMATCH)
			p.room.remove(p, livekit.DisconnectReason_STATE_MISMATCH)
			return
		}
	}
	for _, sid := range s.TrackSidsDisabled {
		p.pause(sid, true)
	}
	if !p.awaitSync {
		return // only who was away can have missed anything
	}
	p.awaitSync = false
	for _, st := range s.DatachannelReceiveStates {
		p.room.replayTo(p, st.PublisherSid, st.LastSeq)
	}
}

// simulate has this participant see a failure, for testing clients.
func (p *participant) simulate(s *livekit.SimulateScenario) {
	switch m := s.Scenario.(type) {
	case *livekit.SimulateScenario_SpeakerUpdate:
		p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_SpeakersChanged{
			SpeakersChanged: &livekit.SpeakersChanged{Speakers: []*livekit.SpeakerInfo{
				{Sid: p.sid, Level: 0.9, Active: true},
			}},
		}})
	case *livekit.SimulateScenario_ServerLeave:
		p.leave(livekit.LeaveRequest_DISCONNECT, livekit.DisconnectReason_SERVER_SHUTDOWN)
		p.room.remove(p, livekit.DisconnectReason_SERVER_SHUTDOWN)
	case *livekit.SimulateScenario_NodeFailure:
		if p.session != nil {
			p.session.end()
		}
		p.room.remove(p, livekit.DisconnectReason_SERVER_SHUTDOWN)
	case *livekit.SimulateScenario_LeaveRequestFullReconnect:
		p.leave(livekit.LeaveRequest_RECONNECT, livekit.DisconnectReason_STATE_MISMATCH)
		p.room.remove(p, livekit.DisconnectReason_STATE_MISMATCH)
	case *livekit.SimulateScenario_Migration, *livekit.SimulateScenario_DisconnectSignalOnResume:
		if p.session != nil {
			p.session.end()
		}
	default:
		p.log.Debug("scenario not simulated", "scenario", m)
		p.refuse(0, livekit.RequestResponse_UNSUPPORTED_TYPE, "scenario not supported", nil)
	}
}
