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
	defaultLoudest = 6                      // audio tracks forwarded to each participant
	minPlaces      = 12                     // for audio that a participant did not ask for
	loudHold       = 500 * time.Millisecond // after a voice was heard, only a louder one displaces it
	louderBy       = 6.0                    // dB, so much louder
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
		if t.info.Type != livekit.TrackType_AUDIO || t.info.Muted || t.p.closed || t.p.hidden() {
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
	for _, t := range r.tracks { // first who is not any more, so that there are never too many
		if t.loud && !slices.Contains(loud, t) {
			t.loud = false
			t.refresh()
		}
	}
	for _, t := range loud {
		t.loudAt = now
		if !t.loud {
			t.loud = true
			t.refresh()
		}
		for _, p := range r.participants {
			p.bring(t)
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

// places is how many tracks a participant receives, or may receive at once, that
// it did not ask for.
func (r *Room) places() int { return max(minPlaces, r.loudest+2) }

// bring has the participant receive a loud track. If there is no place left, the
// one that has been silent longest loses its own. Until the client knows the new
// one it is heard in the stream of another silent one.
func (p *participant) bring(t *publication) {
	if p.subs[t.info.Sid] != nil || !p.wants(t) {
		return
	}
	full := p.room.places()
	if !p.settled() {
		full += p.room.loudest
	}
	if p.audioSections() >= full {
		old := p.silent(func(*subscription) bool { return true })
		if old == nil || p.unanswered() >= maxUnanswered {
			return // who does not answer must not pile up sections
		}
		p.room.unsubscribe(old)
	}
	p.subscribe(t)
	if s := p.subs[t.info.Sid]; s != nil {
		s.borrow()
	}
}

// encrypted tells whether a track is encrypted end to end.
func (t *publication) encrypted() bool { return t.info.Encryption != livekit.Encryption_NONE }

// plain tells whether a track is sound in Opus only, in RED or not, that everybody
// can play.
func (t *publication) plain() bool {
	return !t.encrypted() && len(t.encodings) == 1 && strings.EqualFold(t.downCodec().MimeType, webrtc.MimeTypeOpus)
}

// audioSections counts the tracks whose sound p receives, or may, unasked.
func (p *participant) audioSections() (n int) {
	for _, s := range p.subs {
		if s.autoAudio() {
			n++
		}
	}
	return n
}

// unanswered counts those that the client does not know yet.
func (p *participant) unanswered() (n int) {
	for _, s := range p.subs {
		if s.autoAudio() && !s.loan.negotiated {
			n++
		}
	}
	return n
}

func (s *subscription) autoAudio() bool {
	return !s.asked && s.track.info.Type == livekit.TrackType_AUDIO
}

// silent is the audio subscription of p that was loud longest ago of those that
// fit, not counting those that are now, that p asked for, or that are lent; nil
// if there is none.
func (p *participant) silent(fits func(*subscription) bool) (oldest *subscription) {
	for _, s := range p.subs {
		if !s.autoAudio() || s.track.loud || s.loan.to != nil || !fits(s) {
			continue
		}
		if oldest == nil || s.track.loudAt.Before(oldest.track.loudAt) {
			oldest = s
		}
	}
	return oldest
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
