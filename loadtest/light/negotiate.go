package light

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/livekit/protocol/livekit"
)

// maxEarly bounds the candidates that wait for a description.
const maxEarly = 64

// maxTracks bounds the tracks that one listens for.
const maxTracks = 1 << 16

// read heeds what the server says until the connection ends.
func (p *Participant) read(conn *signal) {
	var err error
	for err == nil {
		var r *livekit.SignalResponse
		if r, err = conn.next(p.o.Listen); err == nil {
			err = p.heed(r)
		}
	}
	p.negMu.Lock()
	defer p.negMu.Unlock()
	select {
	case <-p.left:
		return
	default:
	}
	if p.conn == conn && !p.resuming {
		if p.ended == nil {
			p.ended = fmt.Errorf("the signal connection ended: %w", err)
		}
		close(p.over)
	}
}

// heed acts on a message. Its error ends the session.
func (p *Participant) heed(r *livekit.SignalResponse) error {
	switch m := r.Message.(type) {
	case *livekit.SignalResponse_Join:
		p.sid = m.Join.GetParticipant().GetSid()
		p.learn(m.Join.GetOtherParticipants())
		select {
		case <-p.joined:
		default:
			close(p.joined)
		}
	case *livekit.SignalResponse_Update:
		p.learn(m.Update.GetParticipants())
	case *livekit.SignalResponse_Offer:
		return p.offered(m.Offer)
	case *livekit.SignalResponse_Answer:
		return p.answered(m.Answer)
	case *livekit.SignalResponse_Trickle:
		return p.candidate(m.Trickle)
	case *livekit.SignalResponse_MediaSectionsRequirement:
		p.negMu.Lock()
		defer p.negMu.Unlock()
		if m.MediaSectionsRequirement.NumAudios > maxSections || m.MediaSectionsRequirement.NumVideos > maxSections {
			return errSignal
		}
		p.addSections(kindAudio, int(m.MediaSectionsRequirement.NumAudios))
		p.addSections(kindVideo, int(m.MediaSectionsRequirement.NumVideos))
		return p.offerLocked()
	case *livekit.SignalResponse_TrackPublished:
		p.published(m.TrackPublished.GetCid(), m.TrackPublished.GetTrack())
	case *livekit.SignalResponse_RequestResponse:
		p.refusal(m.RequestResponse)
	case *livekit.SignalResponse_SubscribedQualityUpdate:
		p.wantedLayers(m.SubscribedQualityUpdate)
	case *livekit.SignalResponse_StreamStateUpdate:
		p.streamStates(m.StreamStateUpdate)
	case *livekit.SignalResponse_Reconnect:
		return p.reconnected()
	case *livekit.SignalResponse_Leave:
		p.negMu.Lock()
		defer p.negMu.Unlock()
		p.ended = fmt.Errorf("sent away by the server: %s, %s", m.Leave.GetAction(), m.Leave.GetReason())
		return p.ended
	}
	return nil
}

// learn notes which tracks others publish, if it is to.
func (p *Participant) learn(others []*livekit.ParticipantInfo) {
	if !p.o.Listen {
		return
	}
	p.negMu.Lock()
	defer p.negMu.Unlock()
	for _, o := range others {
		for _, t := range o.GetTracks() {
			if len(p.tracks) < maxTracks {
				p.tracks[t.GetSid()] = true
			}
		}
	}
}

// Knows tells whether the server has told it of a track. Only one that listens is told.
func (p *Participant) Knows(track string) bool {
	p.negMu.Lock()
	defer p.negMu.Unlock()
	return p.tracks[track]
}

func (p *Participant) addSections(kind string, n int) {
	for range n {
		p.sections = append(p.sections, &section{mid: strconv.Itoa(len(p.sections)), kind: kind})
	}
}

// describe makes the next offer.
func (p *Participant) describe() (*livekit.SessionDescription, error) {
	p.version++
	sdp, err := p.pub.offer(p.sections, p.version)
	if err != nil {
		return nil, err
	}
	p.offerID++
	p.offering = true
	p.lastSDP[0] = sdp
	return &livekit.SessionDescription{Type: "offer", Sdp: sdp, Id: p.offerID}, nil
}

// offerLocked sends an offer, or will when the one before it is answered.
func (p *Participant) offerLocked() error {
	if p.offering {
		p.wanted = true
		return nil
	}
	offer, err := p.describe()
	if err != nil {
		return err
	}
	return p.conn.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Offer{Offer: offer}})
}

// answered takes the answer to our offer.
func (p *Participant) answered(a *livekit.SessionDescription) error {
	p.negMu.Lock()
	defer p.negMu.Unlock()
	if !p.offering || a.GetId() != 0 && a.GetId() != p.offerID {
		return nil
	}
	d, err := parse(a.GetSdp())
	if err != nil {
		return err
	}
	p.offering, p.lastSDP[1] = false, a.GetSdp()
	if err := p.take(p.pub, d, true, livekit.SignalTarget_PUBLISHER); err != nil {
		return err
	}
	if p.sub == p.pub {
		if err := p.take(p.pub, d, true, livekit.SignalTarget_SUBSCRIBER); err != nil {
			return err
		}
		p.streamsOf(d, a.GetMidToTrackId())
	}
	for _, t := range p.pubs {
		t.accepted(d)
	}
	if p.wanted {
		p.wanted = false
		return p.offerLocked()
	}
	return nil
}

// offered answers an offer of the server's.
func (p *Participant) offered(o *livekit.SessionDescription) error {
	p.negMu.Lock()
	defer p.negMu.Unlock()
	if p.sub == p.pub {
		return nil // only the client offers
	}
	d, err := parse(o.GetSdp())
	if err != nil {
		return err
	}
	p.streamsOf(d, o.GetMidToTrackId())
	p.lastSDP[0] = o.GetSdp()
	if p.sub.started && d.ufrag != p.sub.ufrag { // the server begins ICE anew
		if err := p.sub.restart(); err != nil {
			return err
		}
	}
	p.version++
	sdp, err := p.sub.answer(o.GetSdp(), p.version)
	if err != nil {
		return err
	}
	p.lastSDP[1] = sdp
	if err := p.take(p.sub, d, false, livekit.SignalTarget_SUBSCRIBER); err != nil {
		return err
	}
	return p.conn.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Answer{
		Answer: &livekit.SessionDescription{Type: "answer", Sdp: sdp, Id: o.GetId()},
	}})
}

// take gives a description's transport to the link, and the candidates that came first.
func (p *Participant) take(l *link, d *description, offered bool, target livekit.SignalTarget) error {
	if err := l.start(d, offered); err != nil {
		return err
	}
	for _, c := range append(d.candidates, p.early[target]...) {
		l.addCandidate(c)
	}
	delete(p.early, target)
	return nil
}

func (p *Participant) candidate(t *livekit.TrickleRequest) error {
	var init struct {
		Candidate string `json:"candidate"`
	}
	if err := json.Unmarshal([]byte(t.GetCandidateInit()), &init); err != nil {
		return fmt.Errorf("%w: a candidate: %w", errSignal, err)
	}
	if init.Candidate == "" {
		return nil
	}
	p.negMu.Lock()
	defer p.negMu.Unlock()
	l := p.pub
	if t.GetTarget() == livekit.SignalTarget_SUBSCRIBER {
		l = p.sub
	}
	if l.started {
		l.addCandidate(init.Candidate)
	} else if early := p.early[t.GetTarget()]; len(early) < maxEarly {
		p.early[t.GetTarget()] = append(early, init.Candidate)
	}
	return nil
}

// streamsOf takes up which streams the server sends, and what their formats are.
func (p *Participant) streamsOf(d *description, tracks map[string]string) {
	b := &p.books
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range d.sections {
		s := &d.sections[i]
		if s.rejected || s.kind == kindData {
			continue
		}
		for pt, c := range s.codecs {
			b.codecs[pt] = c
		}
		if id := s.ext[uriTWCC]; id != 0 {
			b.twccID = id
		}
		if !s.sends {
			continue
		}
		track := tracks[s.mid]
		if track == "" {
			track = s.track
		}
		for _, ssrc := range s.ssrcs {
			if _, repair := s.repair[ssrc]; !repair {
				b.assign(ssrc, s.kind == kindVideo, track)
			}
		}
		for repair, of := range s.repair {
			if primary := b.streams[of]; primary != nil {
				b.repairs[repair] = primary
			}
		}
	}
}

// assign says which track a stream carries. A number that is used for another track
// than before is another stream.
func (b *books) assign(ssrc uint32, video bool, track string) *stream {
	s := b.streams[ssrc]
	if s != nil && (s.track == track || s.track == "") {
		if s.track == "" && track != "" {
			s.late = b.group.late(track)
		}
		s.track = track
		return s
	}
	s = &stream{ssrc: ssrc, video: video, track: track, clock: clockAudio, keyWanted: video}
	if video {
		s.clock = clockVideo
	}
	if track != "" {
		s.late = b.group.late(track)
	}
	b.streams[ssrc] = s
	b.list = append(b.list, s)
	return s
}

// Clock rates of RTP.
const (
	clockAudio = 48_000
	clockVideo = 90_000
)

// streamStates notes which streams the server pauses, which is no freeze of its.
func (p *Participant) streamStates(u *livekit.StreamStateUpdate) {
	p.books.mu.Lock()
	defer p.books.mu.Unlock()
	for _, state := range u.GetStreamStates() {
		for _, s := range p.books.list {
			if s.track == state.GetTrackSid() {
				s.pause()
			}
		}
	}
}

// Subscribe begins or ends to receive tracks.
func (p *Participant) Subscribe(on bool, tracks ...string) error {
	b := &p.books
	b.mu.Lock()
	for _, track := range tracks {
		if !on {
			delete(b.subscribed, track)
			continue
		}
		b.subscribed[track] = time.Now().UnixNano()
		for _, s := range b.list {
			if s.track == track { // the server may use its number again
				s.frames.first = 0
				s.pause()
			}
		}
	}
	b.mu.Unlock()
	return p.request(&livekit.SignalRequest{Message: &livekit.SignalRequest_Subscription{
		Subscription: &livekit.UpdateSubscription{TrackSids: tracks, Subscribe: on},
	}})
}

// Watch asks for pictures of a size, 0×0 for none at all.
func (p *Participant) Watch(width, height uint32, quality livekit.VideoQuality, tracks ...string) error {
	return p.request(&livekit.SignalRequest{Message: &livekit.SignalRequest_TrackSetting{
		TrackSetting: &livekit.UpdateTrackSettings{
			TrackSids: tracks, Width: width, Height: height, Quality: quality, Disabled: width == 0,
		},
	}})
}

func (p *Participant) request(r *livekit.SignalRequest) error {
	p.negMu.Lock()
	conn := p.conn
	p.negMu.Unlock()
	return conn.send(r)
}
