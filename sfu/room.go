package sfu

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/utils/guid"

	"diemcau/sfu/codec"
)

// Bounds of what waits for a room's loop.
const (
	maxCommands = 8192 // commands; a client whose request finds no room is ended
	maxData     = 512  // data packets; their senders wait
)

// Timing of a room's housekeeping.
const (
	speakerEvery = 400 * time.Millisecond
	careEvery    = time.Second
	tellEvery    = 100 * time.Millisecond // least time between a participant's own changes
	qualityEvery = 5                      // cares between two connection-quality updates
)

// Room is one conference. Its loop owns every field below done.
type Room struct {
	node   *Node
	name   string
	sid    string
	log    *slog.Logger
	inbox  chan func()
	data   chan dataMessage
	done   chan struct{}
	closed bool

	created      time.Time
	sifTrailer   []byte
	participants map[string]*participant // by identity
	bySID        map[string]*participant
	tracks       map[string]*publication // by sid
	replay       replayLog
	speakers     map[string]*livekit.SpeakerInfo // active ones, by participant sid
	emptySince   time.Time
	cares        int
	settings     roomSettings
	admin        roomAdmin
	loudest      int         // audio tracks forwarded to each participant
	onsets       atomic.Bool // a look at who is loud is queued
	vacant       bool        // somebody may have room for one more track
	touched      []*participant
}

func newRoom(n *Node, name string, req *livekit.CreateRoomRequest) *Room {
	trailer := make([]byte, 16)
	_, _ = rand.Read(trailer) // never fails
	now := time.Now()
	return &Room{
		node: n, name: name, sid: guid.New("RM_"), log: n.log.With("room", name),
		inbox: make(chan func(), maxCommands), data: make(chan dataMessage, maxData), done: make(chan struct{}),
		loudest: cmp.Or(n.cfg.Rooms.Loudest, defaultLoudest), created: now, emptySince: now, sifTrailer: trailer,
		participants: make(map[string]*participant), bySID: make(map[string]*participant),
		tracks: make(map[string]*publication), speakers: make(map[string]*livekit.SpeakerInfo),
		settings: n.cfg.Rooms.settings(req),
	}
}

func (r *Room) now() time.Time { return time.Now() }

// post hands the loop a command and waits for a place in its queue; false if
// the room has ended. The loop itself must not call it.
func (r *Room) post(fn func()) bool {
	select {
	case r.inbox <- fn:
		return true
	case <-r.done:
		return false
	}
}

// tryPost is post without waiting.
func (r *Room) tryPost(fn func()) error {
	select {
	case <-r.done:
		return ErrSessionOver
	default:
	}
	select {
	case r.inbox <- fn:
		return nil
	default:
		return ErrBusy
	}
}

func (r *Room) loop() {
	defer r.node.wg.Done()
	speak, care := time.NewTicker(speakerEvery), time.NewTicker(careEvery)
	defer speak.Stop()
	defer care.Stop()
	r.log.Info("room opened", "sid", r.sid)
	r.emit(eventRoomStarted, nil, nil)
	for !r.closed {
		r.turn(speak.C, care.C)
		r.passOn()
	}
	r.emit(eventRoomFinished, nil, nil)
	r.node.forget(r)
	close(r.done)
	r.log.Info("room closed", "lasted", time.Since(r.created).Round(time.Second))
}

// turn does the next thing that there is to do.
func (r *Room) turn(speak, care <-chan time.Time) {
	// Commands go before data, so that one who floods data delays only data.
	select {
	case fn := <-r.inbox:
		fn()
		return
	default:
	}
	select {
	case fn := <-r.inbox:
		fn()
	case m := <-r.data:
		r.route(m)
	case <-speak:
		r.updateSpeakers()
		r.updateLoudest()
		r.fill()
	case <-care:
		r.care()
	}
}

// care removes participants that are gone and closes the room when it has been
// empty for a while.
func (r *Room) care() {
	now := r.now()
	for _, p := range r.participants {
		p.care(now)
	}
	for _, t := range r.tracks {
		t.demand(now)
		t.tidy(now)
	}
	if r.cares++; r.cares%qualityEvery == 0 {
		r.updateQuality()
	}
	if r.occupied() {
		r.emptySince = now
	} else if now.Sub(r.emptySince) >= r.keptEmpty() {
		r.end(livekit.LeaveRequest_DISCONNECT, livekit.DisconnectReason_ROOM_CLOSED)
	}
}

// shutdown ends the room because its node ends.
func (r *Room) shutdown() {
	r.end(livekit.LeaveRequest_RECONNECT, livekit.DisconnectReason_SERVER_SHUTDOWN)
}

// open joins or resumes a participant and returns its session; nil if the room
// has closed, and another is to be tried.
func (r *Room) open(start *livekit.StartSession, grants *auth.ClaimGrants) *Session {
	if r.closed {
		return nil
	}
	if start.Reconnect {
		return r.resume(start)
	}
	s := newSession(r)
	if r.full(start.Identity, dependent(grants.GetParticipantKind(), grants.Video.ToPermission())) {
		r.log.Info("room is full", "participant", start.Identity)
		s.send(leaveResponse(livekit.LeaveRequest_DISCONNECT, livekit.DisconnectReason_JOIN_FAILURE))
		s.end()
		return s
	}
	if old := r.participants[start.Identity]; old != nil {
		old.leave(livekit.LeaveRequest_DISCONNECT, livekit.DisconnectReason_DUPLICATE_IDENTITY)
		r.remove(old, livekit.DisconnectReason_DUPLICATE_IDENTITY)
	}
	p, err := newParticipant(r, s, start, grants)
	if err != nil {
		r.log.Error("participant could not join", "participant", start.Identity, "err", err)
		s.send(leaveResponse(livekit.LeaveRequest_DISCONNECT, livekit.DisconnectReason_JOIN_FAILURE))
		s.end()
		return s
	}
	r.participants[p.identity] = p
	r.bySID[p.sid] = p
	r.node.crowd.Add(1)
	p.log.Info("participant joined", "sdk", start.GetClient().GetSdk(), "browser", start.GetClient().GetBrowser(),
		"onePeerConnection", p.single)
	p.join(start)
	r.entered(p)
	return s
}

// resume gives a participant a new session in place of a lost one.
func (r *Room) resume(start *livekit.StartSession) *Session {
	s := newSession(r)
	p := r.participants[start.Identity]
	if p == nil || p.guest != nil || (start.ParticipantId != "" && p.sid != start.ParticipantId) {
		r.log.Info("resume of an unknown session", "participant", start.Identity, "sid", start.ParticipantId)
		s.send(leaveResponse(livekit.LeaveRequest_RECONNECT, livekit.DisconnectReason_STATE_MISMATCH))
		s.end()
		return s
	}
	if old := p.session; old != nil {
		old.end()
	}
	s.p, p.session = p, s
	p.log.Info("participant resumed", "reason", start.ReconnectReason)
	p.resumed(start)
	return s
}

// detach is called when a session's socket is gone.
func (r *Room) detach(s *Session) {
	if !s.over && s.p != nil && s.p.session == s {
		s.p.log.Info("signal connection lost")
		if s.p.mediaClosed {
			s.end()
			r.remove(s.p, livekit.DisconnectReason_SIGNAL_CLOSE) // nothing is left to resume
			return
		}
	}
	s.end()
}

// remove ends a participant: its tracks, subscriptions, session and transports.
func (r *Room) remove(p *participant, reason livekit.DisconnectReason) {
	if r.participants[p.identity] != p {
		return
	}
	delete(r.participants, p.identity)
	delete(r.bySID, p.sid)
	delete(r.speakers, p.sid)
	if p.guest == nil {
		r.node.crowd.Add(-1)
	}
	p.close()
	wasActive := p.state == livekit.ParticipantInfo_ACTIVE
	p.state = livekit.ParticipantInfo_DISCONNECTED
	p.reason = reason
	p.version++
	p.endForwards()
	if !p.hidden() {
		r.broadcast(p)
	}
	p.log.Info("participant left", "reason", reason)
	r.left(p, wasActive)
}

// broadcast tells everybody who may see it about a participant's present state.
func (r *Room) broadcast(p *participant) {
	p.told, p.dirty = r.now(), false
	p.touch()
	update := &livekit.SignalResponse{Message: &livekit.SignalResponse_Update{
		Update: &livekit.ParticipantUpdate{Participants: []*livekit.ParticipantInfo{p.proto()}},
	}}
	for _, o := range r.participants {
		if o == p || !p.hidden() {
			o.send(update)
		}
	}
}

// changed has everybody told of a change of p's own making: at once if there was
// none lately, else together with those that follow shortly.
func (p *participant) changed() {
	r := p.room
	p.version++
	p.touch()
	if wait := tellEvery - r.now().Sub(p.told); wait <= 0 {
		r.broadcast(p)
	} else if !p.dirty {
		p.dirty = true
		time.AfterFunc(wait, func() {
			r.post(func() {
				if p.dirty && !p.closed {
					r.broadcast(p)
				}
			})
		})
	}
}

// proto describes the room.
func (r *Room) proto() *livekit.Room {
	info := &livekit.Room{
		Sid: r.sid, Name: r.name, Metadata: r.settings.metadata, MaxParticipants: r.settings.maxParticipants,
		EmptyTimeout: seconds(r.settings.emptyTimeout), DepartureTimeout: seconds(r.settings.departureTimeout),
		CreationTime: r.created.Unix(), CreationTimeMs: r.created.UnixMilli(), EnabledCodecs: enabledCodecs(),
		ActiveRecording: r.recorded(),
	}
	for _, p := range r.participants {
		if p.hidden() {
			continue
		}
		info.NumParticipants++
		if len(p.published) > 0 {
			info.NumPublishers++
		}
	}
	return info
}

func enabledCodecs() []*livekit.Codec {
	return []*livekit.Codec{
		{Mime: "video/VP8"}, {Mime: "video/H264"}, {Mime: "video/VP9"}, {Mime: "video/AV1"},
		{Mime: "audio/opus"}, {Mime: codec.MimeRED},
	}
}

func leaveResponse(action livekit.LeaveRequest_Action, reason livekit.DisconnectReason) *livekit.SignalResponse {
	return &livekit.SignalResponse{Message: &livekit.SignalResponse_Leave{Leave: &livekit.LeaveRequest{
		CanReconnect: action != livekit.LeaveRequest_DISCONNECT, Reason: reason, Action: action,
	}}}
}

func (r *Room) String() string { return fmt.Sprintf("%s (%s)", r.name, r.sid) }
