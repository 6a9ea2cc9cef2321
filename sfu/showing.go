package sfu

import "github.com/livekit/protocol/livekit"

// What a client receives without asking for it is bounded, so that in a room of
// hundreds who all publish its descriptions stay small. The rest it can ask for.
const (
	maxAudioSections = 12  // the loudest take turns in them
	maxAutoVideo     = 20  // cameras; screen shares come on top
	maxSubscriptions = 400 // in all
)

// wants tells whether p is to receive a track as it asked at joining.
func (p *participant) wants(t *publication) bool {
	return p.autoSubscribe && !p.closed && !p.declined[t.info.Sid] && p.maySubscribe(t)
}

// maybeSubscribe subscribes to a track of the room as the client asked at
// joining, if there is room for it.
func (p *participant) maybeSubscribe(t *publication) {
	if !p.wants(t) {
		return
	}
	switch {
	case t.info.Type == livekit.TrackType_AUDIO:
		if p.audioSections() < maxAudioSections {
			p.subscribe(t)
		} else if t.loud {
			p.room.bringTo(t)
		}
	case t.info.Source == livekit.TrackSource_SCREEN_SHARE || p.autoVideos() < maxAutoVideo:
		p.subscribe(t)
	}
}

// autoVideos counts the cameras p receives without having asked.
func (p *participant) autoVideos() (n int) {
	for _, s := range p.subs {
		if s.autoVideo() {
			n++
		}
	}
	return n
}

func (s *subscription) autoVideo() bool {
	return !s.asked && s.track.info.Type == livekit.TrackType_VIDEO && s.track.info.Source != livekit.TrackSource_SCREEN_SHARE
}

// showSpeaker has those who receive as many cameras as there is room for see a
// speaker, in place of the camera of who spoke longest ago.
func (r *Room) showSpeaker(p *participant) {
	p.spokeAt = r.now()
	for _, t := range p.published {
		if t.info.Type != livekit.TrackType_VIDEO || t.info.Muted {
			continue
		}
		for _, o := range r.participants {
			if o.subs[t.info.Sid] != nil || !o.wants(t) || o.autoVideos() < maxAutoVideo {
				continue
			}
			var oldest *subscription
			for _, s := range o.subs {
				if s.autoVideo() && !s.track.p.chair && r.speakers[s.track.p.sid] == nil &&
					(oldest == nil || s.track.p.spokeAt.Before(oldest.track.p.spokeAt)) {
					oldest = s
				}
			}
			if oldest != nil {
				r.unsubscribe(oldest)
				o.subscribe(t)
			}
		}
	}
}
