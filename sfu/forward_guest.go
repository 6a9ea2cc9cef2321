package sfu

import (
	"maps"
	"slices"

	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"

	"diemcau/sfu/downtrack"
)

// The guest's side of a forward: the destination's loop runs all of this.

// report is what is wanted of a guest's tracks. It is not changed once it is laid
// down.
type report map[string]wanted // by track sid

// wanted is that of one track. Encodings have the source's numbers.
type wanted struct {
	layers   [maxCodecs]int // highest layer of each encoding, downtrack.None: nothing of it
	backup   int            // encoding that somebody needs; 0: none but the preferred one
	received bool           // somebody has subscribed
}

// track is what is wanted of a track; there may be no report yet.
func (r *report) track(sid string) wanted {
	if r != nil {
		if w, ok := (*r)[sid]; ok {
			return w
		}
	}
	var w wanted
	for i := range w.layers {
		w.layers[i] = downtrack.None
	}
	return w
}

// receive lets a guest in.
func (r *Room) receive(f *forward) {
	l := f.likeness.Load()
	g := r.someone(f.identity)
	g.state, g.perm, g.guest, g.like = livekit.ParticipantInfo_ACTIVE, l.perm, f, &likeness{}
	g.resembleWho(l)
	f.guest = g
	r.participants[g.identity], r.bySID[g.sid] = g, g
	r.node.met.forwards.Inc()
	g.log.Info("participant joined, forwarded", "from", f.from.name)
	g.version++
	if !g.hidden() {
		r.broadcast(g)
	}
	r.emit(eventParticipantJoined, g, nil)
	r.entered(g)
	g.resemble(l)
}

// follow makes the guest resemble its source, or ends it.
func (f *forward) follow() {
	g := f.guest
	if g == nil || g.closed {
		return
	}
	over := f.state.Load() == forwardOver // before the likeness, which tells why
	if l := f.likeness.Load(); over {
		g.room.remove(g, l.left)
	} else if l != g.like {
		g.resemble(l)
	}
}

// resemble takes over a likeness, first what it takes away.
func (g *participant) resemble(l *likeness) {
	r, changed := g.room, g.resembleWho(l)
	g.like = l
	if g.allowed != l.allowed {
		g.allowed = l.allowed
		g.permitSubscribers()
	}
	if !proto.Equal(g.perm, l.perm) {
		g.setPermission(l.perm)
	}
	for sid, t := range g.published {
		if !slices.ContainsFunc(l.tracks, func(tl trackLikeness) bool { return tl.info.Sid == sid }) {
			g.log.Info("track unpublished", "track", sid)
			r.unpublish(t)
			changed = true
		}
	}
	for _, tl := range l.tracks {
		t := g.published[tl.info.Sid]
		switch {
		case t != nil:
			changed = t.resemble(tl) || changed
		case g.mayPublish(tl.info.Source):
			g.introduce(g.newGuestTrack(tl))
			changed = false // that told everything
		}
	}
	if changed {
		g.changed()
	}
}

// resembleWho takes over what the source is called and says about itself.
func (g *participant) resembleWho(l *likeness) (changed bool) {
	changed = g.name != l.name || g.metadata != l.metadata || !maps.Equal(g.attributes, l.attributes)
	g.name, g.metadata, g.attributes = l.name, l.metadata, l.attributes
	g.kind, g.kindDetails, g.chair = l.kind, l.kindDetails, l.chair
	return changed
}

func (g *participant) newGuestTrack(tl trackLikeness) *publication {
	t := &publication{p: g, lent: tl, info: proto.CloneOf(tl.info), subscribers: make(map[*participant]*subscription)}
	for _, el := range tl.encodings {
		t.encodings = append(t.encodings, el.encoding())
	}
	t.encoding = t.encodings[0]
	return t
}

func (el *encodingLikeness) encoding() *encoding {
	return &encoding{codec: el.codec, about: el.about, layers: el.layers, demanded: downtrack.None}
}

// resemble takes over the likeness of a track, and tells whether others must hear
// of it.
func (t *publication) resemble(tl trackLikeness) (changed bool) {
	r, muted := t.p.room, t.info.Muted
	changed = !proto.Equal(t.lent.info, tl.info)
	reassign, more := t.lent.backup != tl.backup, len(tl.encodings) > len(t.encodings)
	t.lent = tl
	if changed {
		t.info = proto.CloneOf(tl.info)
		t.info.Muted = tl.info.Muted || t.mutedHere
	}
	for i, el := range tl.encodings {
		if i == len(t.encodings) {
			t.encodings = append(t.encodings, el.encoding())
			continue
		}
		e := t.encodings[i]
		before := e.received()
		e.codec, e.about = el.codec, el.about
		for j, l := range el.layers {
			if e.layers[j] != l {
				e.layers[j] = l
				t.tellLayer(e, j)
			}
		}
		reassign = reassign || !before && e.received()
	}
	if reassign {
		t.assign()
	}
	if t.info.Muted != muted {
		t.setMuted(t.info.Muted)
	}
	if more {
		for _, o := range r.participants {
			o.maybeSubscribe(t) // it may have been none of its codecs so far
		}
	}
	return changed
}

// muteGuest mutes a track of a guest's in this room only, or takes that back, which
// opens no microphone that its source has closed. Its source is not told.
func (t *publication) muteGuest(muted bool) {
	t.mutedHere = muted
	t.muteAndTell(muted || t.lent.info.Muted)
}

// speaker is a guest's part in who speaks: its source's room listens.
func (g *participant) guestSpeaker() *livekit.SpeakerInfo {
	if g.like.speaking == 0 {
		return nil
	}
	for _, t := range g.published {
		if t.info.Type == livekit.TrackType_AUDIO && !t.info.Muted {
			return &livekit.SpeakerInfo{Sid: g.sid, Level: g.like.speaking, Active: true}
		}
	}
	return nil
}

// report lays down what is wanted of the guest's tracks.
func (g *participant) report() {
	now := make(report, len(g.published))
	for sid, t := range g.published {
		w := (*report)(nil).track(sid)
		for i := range t.encodings {
			w.layers[i] = t.wanted(i)
		}
		w.backup = t.backupNeeded()
		for _, s := range t.subscribers {
			w.received = w.received || len(s.can) > 0
		}
		now[sid] = w
	}
	f := g.guest
	if before := f.report.Load(); before == nil || !maps.Equal(*before, now) {
		f.report.Store(&now)
		f.toSource.say(f.from, f.heed)
	}
}
