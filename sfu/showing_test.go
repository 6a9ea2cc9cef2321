package sfu

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"

	"github.com/stretchr/testify/assert"

	"diemcau/sfu/downtrack"
)

// cameras makes published pictures without clients, each of its own participant.
func cameras(r *Room, host *participant, count int) (tracks []*publication) {
	for i := range count {
		p := &participant{
			room: r, sid: fmt.Sprintf("PA_point%03d", i), identity: fmt.Sprintf("point%03d", i),
			perm: host.perm, joined: r.now(), published: make(map[string]*publication),
		}
		t := &publication{
			p: p, info: &livekit.TrackInfo{
				Sid: fmt.Sprintf("TR_camera%03d", i), Type: livekit.TrackType_VIDEO, Source: livekit.TrackSource_CAMERA,
			},
			encodings:   []*encoding{newEncoding(livekit.TrackType_VIDEO, "vp8", nil, "")},
			subscribers: make(map[*participant]*subscription),
		}
		t.encoding = t.encodings[0]
		t.demanded = downtrack.MaxLayers - 1
		p.published[t.info.Sid], r.tracks[t.info.Sid] = t, t
		tracks = append(tracks, t)
	}
	return tracks
}

func (p *participant) has(t *publication) bool { return p.subs[t.info.Sid] != nil }

func TestCamerasBeyondThePlaces(t *testing.T) {
	n := newTestNode(t)
	host := connect(t, n, "room", "host", false)
	var tracks []*publication
	host.inRoom(func(r *Room, p *participant) {
		tracks = cameras(r, p, 40)
		tracks[33].p.chair = true
		tracks[34].info.Source = livekit.TrackSource_SCREEN_SHARE
		tracks[35].p.spokeAt = r.now()
	})
	bob := connect(t, n, "room", "bob", false)
	manual := connect(t, n, "room", "manual", false, func(s *livekit.StartSession, _ *auth.ClaimGrants) { s.AutoSubscribe = false })
	manual.inRoom(func(r *Room, p *participant) {
		assert.Empty(t, p.subs)
		r.vacant = true
		r.fill()
		assert.Empty(t, p.subs)
	})
	bob.inRoom(func(r *Room, p *participant) {
		assert.Len(t, p.subs, maxAutoVideo+1)
		for _, i := range []int{33, 34, 35} {
			assert.True(t, p.has(tracks[i]), "chair, screen and speaker go first")
		}
		assert.Zero(t, p.freeVideos())
	})
	bob.participantSeen("bob", state(livekit.ParticipantInfo_ACTIVE))
	t.Run("nothing is taken from who has just joined", func(t *testing.T) {
		bob.inRoom(func(r *Room, p *participant) {
			p.settles = r.now().Add(time.Hour)
			first := maps.Clone(p.subs)
			shown := 0
			for _, tr := range tracks {
				if !p.has(tr) && shown <= moreUnsettled {
					r.showSpeaker(tr.p)
					shown++
				}
			}
			assert.Len(t, p.subs, maxAutoVideo+1+moreUnsettled, "a few more, within bounds")
			taken := 0
			for sid := range first {
				if p.subs[sid] == nil {
					taken++
				}
			}
			assert.LessOrEqual(t, taken, 1)
			p.settles = r.now()
			p.trim()
			assert.Len(t, p.subs, maxAutoVideo+1)
		})
	})
	t.Run("a speaker takes the place of who spoke longest ago", func(t *testing.T) {
		bob.inRoom(func(r *Room, p *participant) {
			for i, tr := range tracks {
				if !p.has(tr) {
					r.showSpeaker(tr.p)
					assert.True(t, p.has(tr), "camera %d", i)
					assert.Len(t, p.subs, maxAutoVideo+1)
				}
			}
			assert.True(t, p.has(tracks[33]) && p.has(tracks[34]), "chair and screen stay")
			assert.False(t, p.has(tracks[0]))
		})
	})
	ask := func(on bool, sids ...string) {
		bob.inRoom(func(_ *Room, p *participant) {
			p.updateSubscription(&livekit.UpdateSubscription{TrackSids: sids, Subscribe: on})
		})
	}
	t.Run("what a client asks for comes on top, stays, and goes without a trace", func(t *testing.T) {
		ask(true, tracks[0].info.Sid)
		bob.inRoom(func(r *Room, p *participant) {
			assert.Len(t, p.subs, maxAutoVideo+2)
			for _, tr := range tracks[1:] {
				r.showSpeaker(tr.p)
			}
			assert.True(t, p.has(tracks[0]))
		})
		ask(false, tracks[0].info.Sid)
		bob.inRoom(func(r *Room, p *participant) {
			assert.False(t, p.has(tracks[0]))
			r.showSpeaker(tracks[0].p)
			assert.False(t, p.has(tracks[0]), "declined")
			assert.Empty(t, p.spared)
			assert.Len(t, p.subs, maxAutoVideo+1)
		})
	})
	t.Run("what it declines is not made up for", func(t *testing.T) {
		var sid string
		bob.inRoom(func(_ *Room, p *participant) {
			for _, s := range p.subs {
				if s.autoVideo() && !s.track.p.chair {
					sid = s.track.info.Sid
				}
			}
		})
		ask(false, sid)
		bob.inRoom(func(r *Room, p *participant) {
			r.fill()
			assert.Len(t, p.subs, maxAutoVideo)
		})
	})
	t.Run("what others give up is", func(t *testing.T) {
		bob.inRoom(func(r *Room, p *participant) {
			shown := 0
			for _, tr := range tracks {
				if p.has(tr) && tr.camera() && shown < 5 {
					r.unpublish(tr)
					shown++
				}
			}
			assert.Equal(t, 5, shown)
			assert.Less(t, len(p.subs), maxAutoVideo)
			r.fill()
			assert.Len(t, p.subs, maxAutoVideo)
			assert.False(t, r.vacant)
		})
	})
}
