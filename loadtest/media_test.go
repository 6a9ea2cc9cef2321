package loadtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"
)

func TestAudioArrives(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		room := roomName(t)
		an := join(t, room, "an", withMode(m))
		bich := join(t, room, "bich", withMode(m))
		pub, _ := an.publishTone(30)
		bich.told("TrackPublished", "an", pub.SID())
		r := bich.receives(pub.SID())
		require.True(t, strings.EqualFold(webrtc.MimeTypeOpus, r.track.Codec().MimeType), r.track.Codec().MimeType)
		require.Equal(t, livekit.TrackSource_MICROPHONE, r.pub.Source())
		require.Equal(t, "tone", r.pub.Name())
		r.flows(t, 100)
		require.Empty(t, r.check())
		// A few packets of padding only may open a stream.
		packets := slices.DeleteFunc(r.snapshot(), func(p recorded) bool { return p.size == 0 })
		for i := 1; i < len(packets); i++ {
			// 20 ms at 48 kHz, or a little more where the sender's clock was behind.
			step := packets[i].timestamp - packets[i-1].timestamp
			require.InDelta(t, 960, step, 480, "packet %d", i)
			require.Equal(t, len(opusFrame), packets[i].size)
		}
	})
}

func TestSimulcastVideoArrives(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		room := roomName(t)
		an := join(t, room, "an", withMode(m))
		bich := join(t, room, "bich", withMode(m))
		pub := an.publishClip()
		r := bich.receives(pub.SID())
		require.True(t, strings.EqualFold(webrtc.MimeTypeVP8, r.track.Codec().MimeType), r.track.Codec().MimeType)
		info := r.pub.TrackInfo()
		require.Equal(t, uint32(1280), info.Width)
		require.Equal(t, uint32(720), info.Height)
		require.Len(t, info.Layers, 3)
		// Without a wish the subscriber gets the best picture.
		until(t, 10*time.Second, func() bool { w, h := r.keyFrameSince(time.Time{}); return w == 1280 && h == 720 },
			func() string {
				w, h := r.keyFrameSince(time.Time{})
				return fmt.Sprintf("1280×720; have %d×%d", w, h)
			})
		r.flows(t, 300)
		require.Empty(t, r.check())
		require.Zero(t, r.account.Stats().Freezes, "%+v", r.account.Stats())
	})
}

func TestH264Arrives(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		layer, err := MakeH264Clip(context.Background(), t.TempDir())
		require.NoError(t, err)
		room := roomName(t)
		an := join(t, room, "an", withMode(m))
		bich := join(t, room, "bich", withMode(m))
		track, _, err := NewClipTrack(layer, "")
		require.NoError(t, err)
		pub, err := an.room.LocalParticipant.PublishTrack(track, &lksdk.TrackPublicationOptions{VideoWidth: 640, VideoHeight: 360})
		require.NoError(t, err)
		r := bich.receives(pub.SID())
		require.True(t, strings.EqualFold(webrtc.MimeTypeH264, r.track.Codec().MimeType), r.track.Codec().MimeType)
		r.flows(t, 150)
		require.Empty(t, r.check())
	})
}

// TestLayerSwitch walks through the sizes by both kinds of wish.
func TestLayerSwitch(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		room := roomName(t)
		an := join(t, room, "an", withMode(m))
		bich := join(t, room, "bich", withMode(m))
		pub := an.publishClip()
		r := bich.receives(pub.SID())
		settled := func(width, height int) func() bool {
			return func() bool { w, h := r.keyFrameSince(time.Time{}); return w == width && h == height }
		}
		until(t, 10*time.Second, settled(1280, 720), func() string { return "the best picture first" })
		steps := []struct {
			name          string
			ask           func()
			width, height int
		}{
			{"size 320×180", func() { r.pub.SetVideoDimensions(320, 180) }, 320, 180},
			{"size 640×360", func() { r.pub.SetVideoDimensions(640, 360) }, 640, 360},
			{"size 1280×720", func() { r.pub.SetVideoDimensions(1280, 720) }, 1280, 720},
			{"size 160×90", func() { r.pub.SetVideoDimensions(160, 90) }, 320, 180},
			{"size 1280×720 again", func() { r.pub.SetVideoDimensions(1280, 720) }, 1280, 720},
		}
		for _, s := range steps {
			asked := time.Now()
			s.ask()
			until(t, 2*time.Second, settled(s.width, s.height), func() string {
				w, h := r.keyFrameSince(time.Time{})
				return fmt.Sprintf("%s: have %d×%d", s.name, w, h)
			})
			t.Logf("%s: %v", s.name, time.Since(asked).Round(time.Millisecond))
			r.flows(t, 20)
		}
		require.Empty(t, r.check())
		require.Zero(t, r.account.Stats().Freezes, "%+v", r.account.Stats())
	})
}

func TestQualitySwitch(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		room := roomName(t)
		an := join(t, room, "an", withMode(m))
		bich := join(t, room, "bich", withMode(m))
		pub := an.publishClip()
		r := bich.receives(pub.SID())
		for _, s := range []struct {
			quality livekit.VideoQuality
			width   int
		}{{livekit.VideoQuality_LOW, 320}, {livekit.VideoQuality_HIGH, 1280}, {livekit.VideoQuality_MEDIUM, 640}} {
			require.NoError(t, r.pub.SetVideoQuality(s.quality))
			until(t, 2*time.Second, func() bool { w, _ := r.keyFrameSince(time.Time{}); return w == s.width },
				func() string {
					w, _ := r.keyFrameSince(time.Time{})
					return fmt.Sprintf("%v; width is %d", s.quality, w)
				})
			r.flows(t, 20)
		}
		require.Empty(t, r.check())
	})
}

// TestSubscribersHaveTheirOwnLayers: one's wish does not change another's picture.
func TestSubscribersHaveTheirOwnLayers(t *testing.T) {
	t.Parallel()
	room := roomName(t)
	an := join(t, room, "an")
	small := join(t, room, "small")
	large := join(t, room, "large")
	pub := an.publishClip()
	low, high := small.receives(pub.SID()), large.receives(pub.SID())
	low.pub.SetVideoDimensions(320, 180)
	until(t, 5*time.Second, func() bool {
		lw, _ := low.keyFrameSince(time.Time{})
		hw, _ := high.keyFrameSince(time.Time{})
		return lw == 320 && hw == 1280
	}, func() string { return "320 for one and 1280 for the other" })
	since := time.Now()
	high.flows(t, 400)
	for _, p := range high.snapshot() {
		if p.at.After(since) && p.width != 0 {
			require.Equal(t, 1280, p.width)
		}
	}
	require.Empty(t, low.check())
	require.Empty(t, high.check())
}

func TestDisabledTrackPausesAndComesBack(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		room := roomName(t)
		an := join(t, room, "an", withMode(m))
		bich := join(t, room, "bich", withMode(m))
		pub := an.publishClip()
		r := bich.receives(pub.SID())
		r.flows(t, 50)
		r.pub.SetEnabled(false)
		quiet := func() bool {
			before := r.account.Stats().Frames
			return !within(700*time.Millisecond, func() bool { return r.account.Stats().Frames > before })
		}
		until(t, 10*time.Second, quiet, func() string { return "the stream pauses" })
		resumed := time.Now()
		r.pub.SetEnabled(true)
		r.flows(t, 100)
		w, _ := r.keyFrameSince(resumed)
		require.NotZero(t, w, "it comes back with a key frame")
		require.Empty(t, r.check())
	})
}

func TestMute(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		room := roomName(t)
		an := join(t, room, "an", withMode(m))
		bich := join(t, room, "bich", withMode(m))
		pub, _ := an.publishTone(30)
		r := bich.receives(pub.SID())
		r.flows(t, 20)
		pub.SetMuted(true)
		bich.told("TrackMuted", "an", pub.SID())
		late := join(t, room, "late", withMode(m))
		until(t, 5*time.Second, func() bool {
			mic := late.sees("an").GetTrackPublication(livekit.TrackSource_MICROPHONE)
			return mic != nil && mic.IsMuted()
		}, func() string { return "a late joiner sees it muted" })
		pub.SetMuted(false)
		bich.told("TrackUnmuted", "an", pub.SID())
		late.told("TrackUnmuted", "an", pub.SID())
		r.flows(t, 50)
		for _, fault := range r.check() {
			require.NotContains(t, fault, "follows number", "numbers are continuous over a mute")
		}
	})
}

func TestUnpublish(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		room := roomName(t)
		an := join(t, room, "an", withMode(m))
		bich := join(t, room, "bich", withMode(m))
		pub := an.publishClip()
		bich.receives(pub.SID())
		require.NoError(t, an.room.LocalParticipant.UnpublishTrack(pub.SID()))
		bich.told("TrackUnpublished", "an", pub.SID())
		again, _ := an.publishTone(30)
		bich.receives(again.SID()).flows(t, 20)
	})
}

func TestUnsubscribeAndSubscribe(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		room := roomName(t)
		an := join(t, room, "an", withMode(m))
		bich := join(t, room, "bich", withMode(m), withConnect(lksdk.WithAutoSubscribe(false)))
		pub, _ := an.publishTone(30)
		bich.told("TrackPublished", "an", pub.SID())
		never(t, time.Second, func() bool { return bich.count("TrackSubscribed", "an", "") > 0 }, "a track that nobody asked for")
		remote := bich.sees("an").GetTrackPublication(livekit.TrackSource_MICROPHONE).(*lksdk.RemoteTrackPublication)
		require.NoError(t, remote.SetSubscribed(true))
		r := bich.receives(pub.SID())
		r.flows(t, 20)
		require.NoError(t, remote.SetSubscribed(false))
		quiet := func() bool {
			before := r.account.Stats().Packets
			return !within(500*time.Millisecond, func() bool { return r.account.Stats().Packets > before })
		}
		until(t, 5*time.Second, quiet, func() string { return "the track stops" })
		require.NoError(t, remote.SetSubscribed(true))
		until(t, 5*time.Second, func() bool { return bich.count("TrackSubscribed", "an", pub.SID()) == 2 },
			func() string { return fmt.Sprint("a second subscription; was told ", bich.history()) })
		bich.receives(pub.SID()).flows(t, 20)
	})
}

// TestLossIsRepaired drops every twentieth packet on the way to the subscriber.
func TestLossIsRepaired(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		var n atomic.Uint64
		tap := &Tap{Drop: func(h *rtp.Header) bool { return h.PayloadType != 0 && n.Add(1)%20 == 0 }}
		room := roomName(t)
		an := join(t, room, "an", withMode(m))
		bich := join(t, room, "bich", withMode(m), withTap(tap))
		pub := an.publishClip()
		r := bich.receives(pub.SID())
		r.flows(t, 600)
		require.Greater(t, tap.Dropped(), uint64(20))
		require.Greater(t, tap.Nacked(), uint64(20))
		// What was lost early enough has been sent again by now.
		settled := time.Now().Add(-time.Second)
		var holes []string
		packets := r.snapshot()
		for i := 1; i < len(packets) && packets[i].at.Before(settled); i++ {
			if packets[i].ext != packets[i-1].ext+1 {
				holes = append(holes, fmt.Sprintf("%d after %d", packets[i].ext, packets[i-1].ext))
			}
		}
		t.Logf("dropped %d, asked again %d, came late %d", tap.Dropped(), tap.Nacked(), r.account.Stats().Late)
		require.Empty(t, holes)
		require.Greater(t, r.account.Stats().Late, uint64(20), "repairs come late by nature")
	})
}

func TestSpeakers(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		room := roomName(t)
		an := join(t, room, "an", withMode(m))
		bich := join(t, room, "bich", withMode(m))
		pub, tone := an.publishTone(127)
		bich.receives(pub.SID()).flows(t, 50)
		require.Zero(t, bich.count("ActiveSpeakers", "an", ""), "silence is not speech")
		tone.Level.Store(20)
		bich.told("ActiveSpeakers", "an", "")
		require.True(t, bich.sees("an").IsSpeaking())
		require.Greater(t, bich.sees("an").AudioLevel(), float32(0))
		tone.Level.Store(127)
		until(t, 5*time.Second, func() bool { return !bich.sees("an").IsSpeaking() }, func() string { return "an falls silent" })
	})
}

func TestConnectionQuality(t *testing.T) {
	t.Parallel()
	room := roomName(t)
	an := join(t, room, "an")
	bich := join(t, room, "bich")
	pub, _ := an.publishTone(30)
	bich.receives(pub.SID())
	until(t, 15*time.Second, func() bool { return bich.count("ConnectionQuality", "an", "EXCELLENT") > 0 },
		func() string { return fmt.Sprint("the quality of a good connection; was told ", bich.history()) })
}

func TestSubscriberWithoutPermissionGetsNoTracks(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		room := roomName(t)
		an := join(t, room, "an", withMode(m))
		deaf := join(t, room, "deaf", withMode(m), withGrant(func(g *auth.VideoGrant) { g.SetCanSubscribe(false) }))
		bich := join(t, room, "bich", withMode(m))
		pub, _ := an.publishTone(30)
		bich.receives(pub.SID()).flows(t, 50)
		deaf.sees("an")
		if remote, ok := deaf.sees("an").GetTrackPublication(livekit.TrackSource_MICROPHONE).(*lksdk.RemoteTrackPublication); ok {
			require.NoError(t, remote.SetSubscribed(true))
		}
		before := bich.receives(pub.SID())
		before.flows(t, 50)
		require.Zero(t, deaf.count("TrackSubscribed", "an", ""))
	})
}
