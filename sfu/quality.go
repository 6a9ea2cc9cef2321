package sfu

import (
	"time"

	"github.com/livekit/protocol/livekit"
)

// Bounds of connection quality: share of packets lost and round-trip time, of
// the worst track a participant receives.
const (
	poorLoss, goodLoss = 0.08, 0.02
	poorRTT, goodRTT   = 600 * time.Millisecond, 250 * time.Millisecond
	staleReport        = 15 * time.Second
	bestScore          = 5
)

// updateQuality tells everybody whose connection became better or worse.
func (r *Room) updateQuality() {
	var changed []*livekit.ConnectionQualityInfo
	for _, p := range r.participants {
		q, score := p.measureQuality(r.now())
		if p.qualityOK && q == p.quality {
			continue
		}
		p.quality, p.score, p.qualityOK = q, score, true
		p.touch()
		if !p.hidden() {
			changed = append(changed, &livekit.ConnectionQualityInfo{ParticipantSid: p.sid, Quality: q, Score: score})
		}
	}
	if len(changed) == 0 {
		return
	}
	update := &livekit.SignalResponse{Message: &livekit.SignalResponse_ConnectionQuality{
		ConnectionQuality: &livekit.ConnectionQualityUpdate{Updates: changed},
	}}
	for _, p := range r.participants {
		p.send(update)
	}
}

// tellQuality tells a participant that has just come how the others' lines are;
// after that it hears of changes.
func (p *participant) tellQuality() {
	var known []*livekit.ConnectionQualityInfo
	for _, o := range p.room.participants {
		if o != p && o.qualityOK && !o.hidden() {
			known = append(known, &livekit.ConnectionQualityInfo{ParticipantSid: o.sid, Quality: o.quality, Score: o.score})
		}
	}
	if len(known) > 0 {
		p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_ConnectionQuality{
			ConnectionQuality: &livekit.ConnectionQualityUpdate{Updates: known},
		}})
	}
}

// measureQuality judges by what the participant's client reported of the
// tracks it receives. Score goes from 0 to 5.
func (p *participant) measureQuality(now time.Time) (livekit.ConnectionQuality, float32) {
	if p.guest != nil {
		return p.like.quality, p.like.score // of its source
	}
	if !p.mediaLost.IsZero() || (p.session == nil && p.state == livekit.ParticipantInfo_ACTIVE) {
		return livekit.ConnectionQuality_LOST, 0
	}
	var loss float64
	var rtt time.Duration
	for _, s := range p.subs {
		st := s.down.Stats()
		if now.Sub(st.At) > staleReport {
			continue
		}
		loss, rtt = max(loss, float64(st.Lost)/256), max(rtt, st.RTT)
	}
	switch {
	case loss > poorLoss || rtt > poorRTT:
		return livekit.ConnectionQuality_POOR, 2
	case loss > goodLoss || rtt > goodRTT:
		return livekit.ConnectionQuality_GOOD, 4
	}
	return livekit.ConnectionQuality_EXCELLENT, bestScore
}
