package sfu

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
)

// TestDisorder: whatever speakers, mutes and wishes there were, and whatever negotiation
// is under way, who speaks then is soon heard in a stream of its own.
func TestDisorder(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, single bool) {
		seed := rand.Uint64()
		t.Log("seed", seed)
		rnd := rand.New(rand.NewPCG(seed, 0))
		h := newHall(t, 40)
		bob := h.listener("bob", single)
		for range 8 {
			bob.delay.Store(int64(time.Duration(rnd.IntN(3)*rnd.IntN(150)) * time.Millisecond))
			for range rnd.IntN(15) {
				h.disturb(rnd, bob)
				time.Sleep(time.Duration(rnd.IntN(40)) * time.Millisecond)
			}
			k := rnd.IntN(len(h.voices))
			bob.inRoom(func(_ *Room, p *participant) {
				delete(p.declined, h.voices[k].t.info.Sid)
				h.voices[k].t.setMuted(false)
			})
			bob.mu.Lock()
			clear(bob.media)
			bob.mu.Unlock()
			v := h.call(k)
			bob.until("the speaker in a stream of its own", func() bool { return bob.hearing(v).own > 5 })
			bob.inRoom(func(_ *Room, p *participant) { // or there were no places left in time
				clear(p.declined)
				for _, s := range p.subs {
					s.asked = false
				}
			})
		}
	})
}

// disturb does one of the things that change what a listener is sent.
func (h *hall) disturb(rnd *rand.Rand, c *testClient) {
	v := h.voices[rnd.IntN(len(h.voices))]
	on := rnd.IntN(3) > 0
	switch rnd.IntN(8) {
	case 0, 1, 2, 3:
		h.call(int(v.id))
	case 4:
		c.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Subscription{
			Subscription: &livekit.UpdateSubscription{TrackSids: []string{v.t.info.Sid}, Subscribe: on}}})
	case 5:
		c.inRoom(func(*Room, *participant) { v.t.setMuted(!on) })
	case 6, 7:
		c.inRoom(func(_ *Room, p *participant) {
			v.t.loud = true
			p.bring(v.t)
		})
	}
}
