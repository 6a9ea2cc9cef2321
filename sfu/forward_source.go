package sfu

import (
	"maps"
	"slices"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/webrtc/v4"
	"google.golang.org/protobuf/proto"

	"diemcau/sfu/downtrack"
	"diemcau/sfu/uptrack"
)

// The source's side of a forward: its room's loop runs all of this.

// trackLikeness is a track of a source's.
type trackLikeness struct {
	info      *livekit.TrackInfo
	encodings []encodingLikeness // in the source's order
	backup    int                // encoding that all are to have who can; 0: the preferred one
}

type encodingLikeness struct {
	codec  webrtc.RTPCodecCapability
	about  *livekit.SimulcastCodecInfo
	layers [downtrack.MaxLayers]*uptrack.Layer
}

// portray makes the participant's likeness.
func (p *participant) portray() *likeness {
	l := &likeness{
		name: p.name, metadata: p.metadata, attributes: maps.Clone(p.attributes), kind: p.kind,
		kindDetails: append(slices.Clone(p.kindDetails), livekit.ParticipantInfo_FORWARDED),
		perm:        guestPermission(p.perm), chair: p.chair, allowed: p.allowed,
		quality: p.quality, score: p.score,
	}
	if !p.qualityOK { // not measured yet
		l.quality, l.score = livekit.ConnectionQuality_EXCELLENT, bestScore
	}
	if s := p.room.speakers[p.sid]; s != nil {
		l.speaking = s.Level
	}
	for _, t := range p.published {
		tl := trackLikeness{info: t.proto(), backup: t.backup}
		for _, e := range t.encodings {
			tl.encodings = append(tl.encodings, encodingLikeness{codec: e.codec, about: proto.CloneOf(e.about), layers: e.layers})
		}
		l.tracks = append(l.tracks, tl)
	}
	return l
}

// guestPermission is what remains of a permission where there is no client.
func guestPermission(perm *livekit.ParticipantPermission) *livekit.ParticipantPermission {
	return &livekit.ParticipantPermission{
		CanPublish: perm.CanPublish, CanPublishSources: perm.CanPublishSources, Hidden: perm.Hidden, Agent: perm.Agent,
	}
}

// mirror lays down a source's present likeness for all rooms that it is forwarded to.
func (p *participant) mirror() {
	l := p.portray()
	for _, f := range p.forwards {
		f.likeness.Store(l)
		f.toGuest.say(f.to, f.follow)
	}
}

// heed takes what the destination reported last, and the forward's end.
func (f *forward) heed() {
	p := f.source
	if f.state.Load() == forwardOver {
		p.dropForwards(func(o *forward) bool { return o == f })
		return
	}
	now, before := f.report.Load(), f.heeded
	if now == before || p.closed {
		return
	}
	f.heeded = now
	for sid, t := range p.published {
		w := now.track(sid)
		if w.received && !before.track(sid).received {
			p.tellSubscribed(t)
		}
		t.assign()
		t.demand(p.room.now())
	}
}

// dropForwards forgets forwards that are over, and what they wanted.
func (p *participant) dropForwards(over func(*forward) bool) {
	left := slices.DeleteFunc(slices.Clone(p.forwards), over)
	if len(left) == len(p.forwards) {
		return
	}
	p.forwards = left
	p.heardIn()
	if p.closed {
		return
	}
	p.log.Info("forward ended", "left", len(left))
	for _, t := range p.published {
		t.assign()
		t.demand(p.room.now())
	}
}

// heardIn notes which rooms are to look at once when p begins to speak.
func (p *participant) heardIn() {
	rooms := make([]*Room, 0, len(p.forwards))
	for _, f := range p.forwards {
		rooms = append(rooms, f.to)
	}
	p.onward.Store(&rooms)
}

// onset is called when a track of p's begins to be loud; it must not wait.
func (p *participant) onset() {
	p.room.onset()
	if rooms := p.onward.Load(); rooms != nil {
		for _, r := range *rooms {
			r.onset()
		}
	}
}

// wantedElsewhere is the highest layer of encoding i that a room wants to which the
// track is forwarded.
func (t *publication) wantedElsewhere(i int) int {
	want := downtrack.None
	for _, f := range t.p.forwards {
		want = max(want, f.heeded.track(t.info.Sid).layers[i])
	}
	return want
}

// backupElsewhere is the backup codec that another room needs: for a source, one
// that it is forwarded to; for a guest, any.
func (t *publication) backupElsewhere() int {
	backup := t.lent.backup
	for _, f := range t.p.forwards {
		backup = max(backup, f.heeded.track(t.info.Sid).backup)
	}
	return backup
}
