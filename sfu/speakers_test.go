package sfu

import (
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"diemcau/sfu/downtrack"
)

// talk publishes a microphone and sends packets of the level that is in the
// channel last (in -dBov) until the test ends.
func (c *testClient) talk(levels <-chan uint8) (sid string) {
	c.t.Helper()
	sid = c.addTrack(&livekit.AddTrackRequest{
		Cid: "mic", Type: livekit.TrackType_AUDIO, Source: livekit.TrackSource_MICROPHONE,
	})
	track, err := webrtc.NewTrackLocalStaticRTP(
		webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "mic", "s")
	require.NoError(c.t, err)
	sender, err := c.pub.AddTrack(track)
	require.NoError(c.t, err)
	c.negotiate()
	var levelID uint8
	for _, e := range sender.GetParameters().HeaderExtensions {
		if e.URI == sdp.AudioLevelURI {
			levelID = uint8(e.ID)
		}
	}
	require.NotZero(c.t, levelID, "the audio level extension is negotiated")
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		level := uint8(127)
		for seq := uint16(0); ; seq++ {
			select {
			case level = <-levels:
			case <-tick.C:
			case <-done:
				return
			}
			p := &rtp.Packet{
				Header:  rtp.Header{Version: 2, SequenceNumber: seq, Timestamp: uint32(seq) * 960},
				Payload: []byte{0xf8, 0xff, 0xfe},
			}
			_ = p.SetExtension(levelID, []byte{level})
			_ = track.WriteRTP(p)
		}
	}()
	c.t.Cleanup(func() { close(done); <-ended })
	return sid
}

func speaks(sid string, active bool) func(*livekit.SignalResponse) bool {
	return func(m *livekit.SignalResponse) bool {
		for _, s := range m.GetSpeakersChanged().GetSpeakers() {
			if s.Sid == sid && s.Active == active && (s.Level > 0) == active {
				return true
			}
		}
		return false
	}
}

func TestWhoSpeaksIsToldToThoseWhoHear(t *testing.T) {
	t.Parallel()
	n := newTestNode(t)
	levels := make(chan uint8)
	alice := connect(t, n, "room", "alice", false)
	bob := connect(t, n, "room", "bob", false)
	sid := alice.talk(levels)
	levels <- 15
	who := alice.join.Participant.Sid
	bob.await("alice speaking", speaks(who, true))
	alice.await("herself speaking", speaks(who, true))
	bob.until("sound", func() bool { return len(bob.media[sid]) > 5 })

	// Who comes while she speaks is told, though nothing changes.
	carol := connect(t, n, "room", "carol", false)
	carol.await("alice speaking", speaks(who, true))

	levels <- 90
	bob.await("alice silent", speaks(who, false))
	carol.await("alice silent", speaks(who, false))

	alice.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Mute{
		Mute: &livekit.MuteTrackRequest{Sid: sid, Muted: true}}})
	alice.participantSeen("alice", func(p *livekit.ParticipantInfo) bool {
		return len(p.Tracks) == 1 && p.Tracks[0].Muted
	})
	bob.forget()
	levels <- 15 // a muted microphone never speaks
	heard := uint64(0)
	require.Eventually(t, func() bool {
		alice.inRoom(func(r *Room, _ *participant) { heard, _ = r.tracks[sid].layers[downtrack.MaxLayers-1].Counts() })
		return heard > 250 // five seconds in all: several intervals of sound since
	}, waitFor, 50*time.Millisecond)
	bob.mu.Lock()
	defer bob.mu.Unlock()
	for _, m := range bob.seen {
		require.Nil(t, m.GetSpeakersChanged())
	}
}

func TestALatecomerIsToldTheQualityOfTheOthers(t *testing.T) {
	t.Parallel()
	n := newTestNode(t)
	alice := connect(t, n, "room", "alice", false)
	known := func(sid string) func(*livekit.SignalResponse) bool {
		return func(m *livekit.SignalResponse) bool {
			for _, u := range m.GetConnectionQuality().GetUpdates() {
				if u.ParticipantSid == sid && u.Quality == livekit.ConnectionQuality_EXCELLENT {
					return true
				}
			}
			return false
		}
	}
	who := alice.join.Participant.Sid
	alice.await("her own quality", known(who))
	bob := connect(t, n, "room", "bob", true)
	bob.await("alice's quality, though it does not change", known(who))
}
