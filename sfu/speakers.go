package sfu

import (
	"cmp"
	"math"
	"slices"

	"github.com/livekit/protocol/livekit"

	"diemcau/sfu/downtrack"
)

const (
	speechShare = 0.4 // of the packets of an interval must be loud to begin speaking
	quietShare  = 0.1 // at or below it speaking ends
	levelSteps  = 8   // levels are told in eighths
)

// updateSpeakers tells who began or stopped speaking, or changed in loudness,
// since the last time.
func (r *Room) updateSpeakers() {
	var changed []*livekit.SpeakerInfo
	for _, p := range r.participants {
		now, old := p.speaker(), r.speakers[p.sid]
		switch {
		case now == nil && old != nil:
			delete(r.speakers, p.sid)
			p.touch()
			changed = append(changed, &livekit.SpeakerInfo{Sid: p.sid})
		case now != nil && (old == nil || old.Level != now.Level):
			r.speakers[p.sid] = now
			p.touch()
			if old == nil {
				r.showSpeaker(p)
			}
			changed = append(changed, now)
		}
	}
	if len(changed) == 0 {
		return
	}
	for _, s := range changed {
		if p := r.bySID[s.Sid]; p != nil && !p.chair {
			p.reprioritize()
		}
	}
	slices.SortFunc(changed, func(a, b *livekit.SpeakerInfo) int { return cmp.Compare(b.Level, a.Level) })
	for _, o := range r.participants {
		heard := slices.DeleteFunc(slices.Clone(changed), func(s *livekit.SpeakerInfo) bool {
			return !r.hears(o, s.Sid)
		})
		if len(heard) > 0 {
			o.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_SpeakersChanged{
				SpeakersChanged: &livekit.SpeakersChanged{Speakers: heard},
			}})
		}
	}
}

// reprioritize has the bandwidth of everybody who sees p shared out again.
func (p *participant) reprioritize() {
	for _, t := range p.published {
		for _, s := range t.subscribers {
			s.refresh()
		}
	}
}

// hears tells whether o is, or is subscribed to, the speaker.
func (r *Room) hears(o *participant, sid string) bool {
	if o.sid == sid {
		return true
	}
	p := r.bySID[sid]
	if p == nil {
		return true // somebody who left
	}
	for _, t := range p.published {
		if t.info.Type == livekit.TrackType_AUDIO && t.subscribers[o] != nil {
			return true
		}
	}
	return false
}

// speaker is what the participant's microphones said since the last call; nil
// if nothing worth telling.
func (p *participant) speaker() *livekit.SpeakerInfo {
	if p.guest != nil {
		return p.guestSpeaker()
	}
	var level float32
	for _, t := range p.published {
		l := t.layers[downtrack.MaxLayers-1]
		if t.info.Type != livekit.TrackType_AUDIO || l == nil {
			continue
		}
		w := l.TakeLevel()
		share := float64(w.Loud) / float64(max(w.Packets, 1))
		least := speechShare
		if p.room.speakers[p.sid] != nil {
			least = quietShare
		}
		if t.info.Muted || w.Loud == 0 || share <= least {
			continue
		}
		// From -dBov to a linear level, RFC 6464, in steps upwards.
		linear := math.Pow(10, -float64(w.DBov)/20)
		level = max(level, float32(math.Ceil(linear*levelSteps)/levelSteps))
	}
	if level == 0 {
		return nil
	}
	return &livekit.SpeakerInfo{Sid: p.sid, Level: min(level, 1), Active: true}
}
