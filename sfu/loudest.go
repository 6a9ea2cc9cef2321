package sfu

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/webrtc/v4"

	"diemcau/sfu/downtrack"
)

// Of the sound of a room, only the loudest tracks are forwarded: more than a few
// voices at once nobody understands. Who is among them stays until others were
// heard later or are clearly louder.

const (
	defaultLoudest = 6               // audio tracks forwarded to each participant
	loudHold       = 2 * time.Second // after a voice was heard, only a louder one displaces it
	louderBy       = 6.0             // dB, so much louder
)

// audioTracks are the room's audio tracks that are not muted, the most worth
// hearing first.
func (r *Room) audioTracks(now time.Time) []*publication {
	type heard struct {
		t    *publication
		rank float64
	}
	var all []heard
	for _, t := range r.tracks {
		if t.info.Type != livekit.TrackType_AUDIO || t.info.Muted {
			continue
		}
		h := heard{t: t, rank: -1e9} // never heard
		for _, l := range t.layers {
			if l == nil {
				continue
			}
			level, last := l.Voice()
			since := now.Sub(last)
			switch {
			case last.IsZero():
			case since < loudHold:
				h.rank = level
				if t.loud {
					h.rank += louderBy
				}
			default:
				h.rank = -since.Seconds()
			}
		}
		all = append(all, h)
	}
	slices.SortFunc(all, func(a, b heard) int {
		if c := cmp.Compare(b.rank, a.rank); c != 0 {
			return c
		}
		return cmp.Compare(a.t.info.Sid, b.t.info.Sid)
	})
	tracks := make([]*publication, len(all))
	for i := range all {
		tracks[i] = all[i].t
	}
	return tracks
}

// updateLoudest decides which audio tracks are forwarded. Who is among them hears
// one fewer.
func (r *Room) updateLoudest() {
	now := r.now()
	tracks := r.audioTracks(now)
	loud := tracks[:min(len(tracks), r.loudest)]
	for _, t := range r.tracks {
		if t.info.Type != livekit.TrackType_AUDIO {
			continue
		}
		is := slices.Contains(loud, t)
		if is {
			t.loudAt = now
		}
		if is == t.loud {
			continue
		}
		t.loud = is
		for _, s := range t.subscribers {
			s.down.SetWish(s.wish())
		}
	}
	if len(tracks) > maxAudioSections {
		for _, t := range loud {
			r.bringTo(t)
		}
	}
}

// onset is called when a track begins to be loud; it must not wait.
func (r *Room) onset() {
	if r.onsets.Swap(true) {
		return // the loop has yet to look
	}
	if r.tryPost(func() {
		r.onsets.Store(false)
		r.updateLoudest()
	}) != nil {
		r.onsets.Store(false)
	}
}

// bringTo has everybody who should hear a loud track receive it: those who have
// no place left for it get it in place of one that has long been silent.
func (r *Room) bringTo(t *publication) {
	for _, p := range r.participants {
		if p.subs[t.info.Sid] != nil || !p.wants(t) {
			continue
		}
		switch s := p.silent(); {
		case s == nil || p.audioSections() < maxAudioSections:
			p.subscribe(t)
		case s.track.plain() && t.plain():
			s.rebind(t)
		default:
			p.room.unsubscribe(s)
			p.subscribe(t)
		}
	}
}

// plain tells whether a track is sound in Opus only, in RED or not.
func (t *publication) plain() bool {
	return len(t.encodings) == 1 && strings.EqualFold(t.downCodec().MimeType, webrtc.MimeTypeOpus)
}

// audioSections counts the media sections in which p receives audio.
func (p *participant) audioSections() (n int) {
	for _, s := range p.subs {
		if s.track.info.Type == livekit.TrackType_AUDIO {
			n++
		}
	}
	return n
}

// silent is the audio subscription of p that was loud longest ago, not counting
// those that are now or that p asked for; nil if there is none.
func (p *participant) silent() (oldest *subscription) {
	for _, s := range p.subs {
		if s.track.info.Type != livekit.TrackType_AUDIO || s.asked || s.track.loud {
			continue
		}
		if oldest == nil || s.track.loudAt.Before(oldest.track.loudAt) {
			oldest = s
		}
	}
	return oldest
}

// rebind makes a subscription carry another track of the same kind: the media
// changes at once, and the description that says whose it is follows.
func (s *subscription) rebind(t *publication) {
	p := s.sub
	old := s.track
	delete(p.subs, old.info.Sid)
	delete(old.subscribers, p)
	s.track = t
	p.subs[t.info.Sid] = s
	t.subscribers[p] = s
	s.down.Rebind(t.info.Sid, streamID(t), isStereo(t.info), s.wish())
	for i, l := range t.layers {
		if l != nil {
			s.down.SetLayer(i, l)
		}
	}
	p.sub.Negotiate(false)
	p.room.announce(s)
}

// streamID is how a track is called in descriptions: clients take the publisher
// and the track from it.
func streamID(t *publication) string { return t.p.sid + "|" + t.info.Sid }

// audioWish is what is sent of an audio track.
func (s *subscription) audioWish() downtrack.Wish {
	if !s.track.loud {
		return downtrack.Wish{Layer: downtrack.None}
	}
	return downtrack.Wish{Layer: downtrack.MaxLayers - 1}
}
