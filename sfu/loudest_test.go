package sfu

import (
	"log/slog"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/stretchr/testify/require"

	"diemcau/sfu/downtrack"
	"diemcau/sfu/fanout"
)

// bareRoom is a room whose loop does not run.
func bareRoom(loudest int) *Room {
	return &Room{
		loudest: loudest, inbox: make(chan func(), 64), done: make(chan struct{}), tracks: make(map[string]*publication),
	}
}

func TestTheLoudestAreThoseHeardLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := fanout.New(1, nil, slog.New(slog.DiscardHandler))
		r := bareRoom(2)
		p := &participant{room: r, perm: &livekit.ParticipantPermission{}, published: make(map[string]*publication)}
		var voices []*voice
		for i := range 5 {
			voices = append(voices, newVoice(r, p, pool, i))
		}
		defer func() {
			for _, v := range voices {
				v.close()
				v.t.layers[downtrack.MaxLayers-1].Wait()
			}
			pool.Close()
		}()
		pass := func(d time.Duration) {
			for range d / (20 * time.Millisecond) {
				for _, v := range voices {
					v.say()
				}
				time.Sleep(20 * time.Millisecond)
				synctest.Wait()
				select {
				case fn := <-r.inbox:
					fn()
				default:
				}
			}
			r.updateLoudest()
		}
		loud := func() (who []int) {
			for i, v := range voices {
				if v.t.loud {
					who = append(who, i)
				}
			}
			return who
		}
		at := func(level uint32, who ...int) {
			for _, i := range who {
				voices[i].level.Store(level)
			}
		}
		pass(time.Second)
		require.Equal(t, []int{0, 1}, loud(), "nobody speaks: somebody is forwarded all the same")
		at(30, 3)
		pass(60 * time.Millisecond)
		require.Contains(t, loud(), 3, "on the onset, not with the next look")
		at(30, 4)
		pass(100 * time.Millisecond)
		require.Equal(t, []int{3, 4}, loud())
		at(30, 3)
		pass(time.Second)
		at(27, 0)
		pass(time.Second)
		require.Equal(t, []int{3, 4}, loud(), "hardly louder: who is heard stays")
		at(12, 0)
		pass(time.Second)
		require.Len(t, loud(), 2)
		require.Contains(t, loud(), 0, "clearly louder")
		at(127, 0, 3, 4)
		at(90, 2)
		pass(time.Second)
		held := loud()
		pass(10 * time.Second)
		require.Equal(t, held, loud(), "silence changes nothing")
		at(35, 1)
		pass(400 * time.Millisecond)
		require.Contains(t, loud(), 1, "however softly, if the others are silent")
		voices[1].t.info.Muted = true
		r.updateLoudest()
		require.NotContains(t, loud(), 1)
	})
}

// TestNothingIsTakenFromWhoHasJustJoined: a client that is still connecting keeps for good
// what is taken from it, so it receives more for a moment.
func TestNothingIsTakenFromWhoHasJustJoined(t *testing.T) {
	h := newHall(t, 30)
	c := h.listener("listener", true)
	type counts struct{ brought, taken, more, bounded, trimmed int }
	var got counts
	loudest := 0
	c.inRoom(func(r *Room, p *participant) {
		loudest = r.loudest
		p.settles = r.now().Add(time.Hour)
		first := maps.Clone(p.subs)
		for _, v := range h.voices {
			if p.subs[v.t.info.Sid] == nil && got.brought < r.loudest {
				p.bring(v.t)
				got.brought++
			}
		}
		for sid := range first {
			if p.subs[sid] == nil {
				got.taken++
			}
		}
		p.trim()
		got.more = p.audioSections()
		for _, s := range p.subs {
			s.loan.negotiated = true
		}
		for _, v := range h.voices {
			p.bring(v.t)
		}
		got.bounded = p.audioSections()
		p.settles = r.now()
		p.trim()
		got.trimmed = p.audioSections()
	})
	require.Equal(t, counts{loudest, 0, h.places + loudest, h.places + loudest, h.places}, got)
}
