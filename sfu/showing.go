package sfu

import (
	"cmp"
	"slices"
	"time"

	"github.com/livekit/protocol/livekit"
)

// What a client receives without asking for it is bounded, so that in a room of
// hundreds who all publish its descriptions stay small. The rest it can ask for.
const (
	maxAutoVideo     = 20  // cameras; screen shares come on top
	maxSubscriptions = 400 // in all
)

// wants tells whether p is to receive a track as it asked at joining.
func (p *participant) wants(t *publication) bool {
	return p.autoSubscribe && !p.closed && !t.p.closed && !p.declined[t.info.Sid] && p.maySubscribe(t)
}

// maybeSubscribe subscribes to a track of the room as the client asked at
// joining, if there is room for it.
func (p *participant) maybeSubscribe(t *publication) {
	if p.subs[t.info.Sid] != nil || !p.wants(t) {
		return
	}
	switch {
	case t.info.Type == livekit.TrackType_AUDIO:
		if p.audioSections() < p.room.places() {
			p.subscribe(t)
		} else if t.loud {
			p.bring(t)
		}
	case t.info.Source == livekit.TrackSource_SCREEN_SHARE || p.freeVideos() > 0:
		p.subscribe(t)
	}
}

// freeVideos is how many more cameras p may be given unasked. One of these that the
// client declined is not made up for: it receives as few as it wants.
func (p *participant) freeVideos() int { return maxAutoVideo - p.autoVideos() - len(p.spared) }

// autoVideos counts the cameras that p was given unasked.
func (p *participant) autoVideos() (n int) {
	for _, s := range p.subs {
		if s.autoVideo() {
			n++
		}
	}
	return n
}

// camera tells whether a track is a picture other than a screen.
func (t *publication) camera() bool {
	return t.info.Type == livekit.TrackType_VIDEO && t.info.Source != livekit.TrackSource_SCREEN_SHARE
}

func (s *subscription) autoVideo() bool { return !s.asked && s.track.camera() }

// showSpeaker has those who receive as many cameras as there is room for see a
// speaker, in place of the camera of who spoke longest ago.
func (r *Room) showSpeaker(p *participant) {
	p.spokeAt = r.now()
	for _, t := range p.published {
		if !t.camera() || t.info.Muted {
			continue
		}
		for _, o := range r.participants {
			o.show(t)
		}
	}
}

func (p *participant) show(t *publication) {
	if p.subs[t.info.Sid] != nil || !p.wants(t) {
		return
	}
	if free := p.freeVideos(); free > 0 || !p.settled() && free > -moreUnsettled {
		p.subscribe(t)
		return
	}
	if oldest := p.dullest(); oldest != nil {
		p.room.unsubscribe(oldest)
		p.subscribe(t)
	}
}

// dullest is the camera whose owner spoke longest ago, not counting who speaks or presides;
// nil if there is none.
func (p *participant) dullest() (oldest *subscription) {
	for _, s := range p.subs {
		if s.autoVideo() && s.track.p.interest() < interestSpeaks &&
			(oldest == nil || s.track.p.spokeAt.Before(oldest.track.p.spokeAt)) {
			oldest = s
		}
	}
	return oldest
}

// While it connects, a client of LiveKit's puts off telling its user of tracks. One whose
// media section went to another track meanwhile would stay with it for good, under the name of
// the first. So until a client has settled nothing is taken from it for something
// else: it receives a few more for a moment, and gives them back.
const (
	settleWithin  = 3 * time.Second // of the media connection
	moreUnsettled = 4               // cameras
)

// settling begins to wait until the client has settled.
func (p *participant) settling() { p.settles = p.room.now().Add(settleWithin) }

func (p *participant) settled() bool { return !p.settles.IsZero() && !p.room.now().Before(p.settles) }

// trim takes back what a client was given too much before it had settled.
func (p *participant) trim() {
	if !p.settled() {
		return
	}
	for p.audioSections() > p.room.places() {
		old := p.silent(func(*subscription) bool { return true })
		if old == nil {
			break
		}
		p.room.unsubscribe(old)
	}
	for p.autoVideos() > maxAutoVideo {
		old := p.dullest()
		if old == nil {
			break
		}
		p.room.unsubscribe(old)
	}
}

// Who is shown where there is not room for all.
const (
	interestNone = iota
	interestSpeaks
	interestChair
)

func (p *participant) interest() int {
	switch {
	case p.chair:
		return interestChair
	case p.room.speakers[p.sid] != nil:
		return interestSpeaks
	}
	return interestNone
}

// byInterest lists the room's tracks, those that everybody should have first.
func (r *Room) byInterest() []*publication {
	tracks := make([]*publication, 0, len(r.tracks))
	for _, t := range r.tracks {
		tracks = append(tracks, t)
	}
	slices.SortFunc(tracks, func(a, b *publication) int {
		return cmp.Or(
			order(b.loud, a.loud), cmp.Compare(b.p.interest(), a.p.interest()), order(a.info.Muted, b.info.Muted),
			b.p.spokeAt.Compare(a.p.spokeAt), a.p.joined.Compare(b.p.joined), cmp.Compare(a.info.Sid, b.info.Sid),
		)
	})
	return tracks
}

// order puts false before true.
func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// fill gives the places that became free since the last time to others.
func (r *Room) fill() {
	if !r.vacant {
		return
	}
	r.vacant = false
	tracks := r.byInterest()
	for _, p := range r.participants {
		p.fill(tracks)
	}
}

// fill subscribes to as many of the tracks as there is room for.
func (p *participant) fill(tracks []*publication) {
	if !p.autoSubscribe {
		return
	}
	videos, sounds := p.freeVideos() > 0, p.audioSections() < p.room.places()
	for _, t := range tracks {
		if t.camera() && !videos || t.info.Type == livekit.TrackType_AUDIO && !sounds && !t.loud {
			continue
		}
		before := len(p.subs)
		p.maybeSubscribe(t)
		if len(p.subs) != before {
			videos, sounds = p.freeVideos() > 0, p.audioSections() < p.room.places()
		}
	}
}
