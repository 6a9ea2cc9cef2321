package sfu

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/pion/webrtc/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// forwardToB has a participant of room a forwarded to room b.
func forwardToB(t *testing.T, n *Node, identity string) {
	t.Helper()
	require.NoError(t, n.ForwardParticipant(t.Context(), "a", identity, "b"))
}

// gauge reads a figure of the node's.
func gauge(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	all, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range all {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// events are what a node's observer was told.
type events struct {
	mu   sync.Mutex
	told []*livekit.WebhookEvent
}

func (e *events) tell(w *livekit.WebhookEvent) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.told = append(e.told, w)
}

// of lists the names of the events about an identity in a room.
func (e *events) of(room, identity string) (names []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range e.told {
		if w.Room.Name == room && w.Participant.GetIdentity() == identity {
			names = append(names, w.Event)
		}
	}
	return names
}

// shows says how large a client shows a track.
func (c *testClient) shows(sid string, w, h uint32) {
	c.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_TrackSetting{
		TrackSetting: &livekit.UpdateTrackSettings{TrackSids: []string{sid}, Width: w, Height: h}}})
}

func (c *testClient) muteOwn(sid string, muted bool) {
	c.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Mute{Mute: &livekit.MuteTrackRequest{Sid: sid, Muted: muted}}})
}

func muted(muted bool) func(*livekit.ParticipantInfo) bool {
	return func(p *livekit.ParticipantInfo) bool { return len(p.Tracks) == 1 && p.Tracks[0].Muted == muted }
}

// TestAForwardedParticipantIsReceivedInTheOtherRoom as one of its own, whether its
// tracks were there before or come later.
func TestAForwardedParticipantIsReceivedInTheOtherRoom(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, single bool) {
		var told events
		reg := prometheus.NewRegistry()
		n, err := NewNode(Config{
			UDPPort: freePort(t), TCPPort: freePort(t), UseLoopback: true, NodeIPs: []string{"127.0.0.1"},
			Log: slog.New(slog.DiscardHandler), Metrics: reg, Events: told.tell,
		})
		require.NoError(t, err)
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), waitFor)
			defer cancel()
			require.NoError(t, n.Close(ctx))
		})
		alice := connect(t, n, "a", "alice", single, func(_ *livekit.StartSession, g *auth.ClaimGrants) {
			g.Metadata, g.Attributes = "m", map[string]string{"seat": "1"}
			g.SetKindDetail(livekit.ParticipantInfo_BRIDGE_RTSP)
		})
		bob := connect(t, n, "b", "bob", single)
		sid, layers := alice.simulcast()
		defer play(t, layers)()
		alice.participantSeen("alice", tracks(1))

		forwardToB(t, n, "alice")
		info := bob.participantSeen("alice", tracks(1))
		require.Equal(t, []string{"ALICE", "m", "1", sid}, []string{info.Name, info.Metadata, info.Attributes["seat"], info.Tracks[0].Sid})
		require.Equal(t, livekit.ParticipantInfo_ACTIVE, info.State)
		require.Equal(t, livekit.ParticipantInfo_STANDARD, info.Kind)
		require.Equal(t, []livekit.ParticipantInfo_KindDetail{livekit.ParticipantInfo_BRIDGE_RTSP, livekit.ParticipantInfo_FORWARDED}, info.KindDetails)
		require.Equal(t, []livekit.ParticipantInfo_KindDetail{livekit.ParticipantInfo_BRIDGE_RTSP}, alice.join.Participant.KindDetails)
		require.NotEqual(t, alice.join.Participant.Sid, info.Sid)
		require.True(t, info.Permission.CanPublish)
		require.False(t, info.Permission.CanSubscribe || info.Permission.CanPublishData)
		bob.until("the high layer", func() bool { return bob.lastWidthLocked(sid) == 1280 })
		bob.shows(sid, 320, 180)
		bob.until("the low layer", func() bool { return bob.lastWidthLocked(sid) == 320 })
		bob.shows(sid, 1280, 720)
		bob.until("the high layer again", func() bool { return bob.lastWidthLocked(sid) == 1280 })
		alice.await("word that somebody receives it", func(m *livekit.SignalResponse) bool { return m.GetTrackSubscribed().GetTrackSid() == sid })

		second := alice.microphone()
		bob.until("sound", func() bool { return len(bob.media[second]) > 5 })
		late := connect(t, n, "b", "late", single)
		require.Len(t, late.join.OtherParticipants, 2)
		late.until("both", func() bool { return len(late.media[sid]) > 5 && len(late.media[second]) > 5 })
		bob.mu.Lock()
		requireContinuous(t, bob.media[sid])
		bob.mu.Unlock()

		forwardToB(t, n, "alice") // again: nothing happens
		list, err := n.ListParticipants(t.Context(), "b")
		require.NoError(t, err)
		require.Len(t, list, 3)
		require.EqualValues(t, 2, gauge(t, reg, "diemcau_sfu_published_tracks"))
		require.EqualValues(t, 3, gauge(t, reg, "diemcau_sfu_participants"))
		require.EqualValues(t, 1, gauge(t, reg, "diemcau_sfu_forwards"))
		require.NoError(t, n.RemoveParticipant(t.Context(), "b", "alice"))
		bob.participantSeen("alice", state(livekit.ParticipantInfo_DISCONNECTED))
		require.EqualValues(t, 2, gauge(t, reg, "diemcau_sfu_published_tracks"))
		require.EqualValues(t, 3, gauge(t, reg, "diemcau_sfu_participants"))
		require.Zero(t, gauge(t, reg, "diemcau_sfu_forwards"))
		require.Equal(t, []string{
			eventParticipantJoined, eventTrackPublished, eventTrackPublished,
			eventTrackUnpublished, eventTrackUnpublished, eventParticipantLeft,
		}, told.of("b", "alice"))
	})
}

func TestChangesOfAForwardedParticipantAreSeen(t *testing.T) {
	t.Parallel()
	n := newTestNode(t)
	alice, bob := connect(t, n, "a", "alice", false), connect(t, n, "b", "bob", false)
	forwardToB(t, n, "alice")
	sid := alice.publish("camera", webrtc.MimeTypeVP8, livekit.TrackType_VIDEO, livekit.TrackSource_CAMERA)
	bob.until("media", func() bool { return len(bob.media[sid]) > 5 })

	alice.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_UpdateMetadata{
		UpdateMetadata: &livekit.UpdateParticipantMetadata{Name: "Xã Quảng Trạch", Metadata: "m", Attributes: map[string]string{"a": "1"}}}})
	bob.participantSeen("alice", func(p *livekit.ParticipantInfo) bool {
		return p.Name == "Xã Quảng Trạch" && p.Metadata == "m" && p.Attributes["a"] == "1"
	})
	alice.muteOwn(sid, true)
	bob.participantSeen("alice", muted(true))
	before := bob.silent(sid) // while alice goes on sending
	alice.muteOwn(sid, false)
	bob.until("media again", func() bool { return len(bob.media[sid]) > before+5 })

	perm := proto.CloneOf(alice.join.Participant.Permission)
	perm.Hidden = true
	update := func() {
		t.Helper()
		_, err := n.UpdateParticipant(t.Context(), &livekit.UpdateParticipantRequest{Room: "a", Identity: "alice", Permission: perm})
		require.NoError(t, err)
	}
	bob.forget()
	update()
	bob.participantSeen("alice", state(livekit.ParticipantInfo_DISCONNECTED))
	before = bob.silent(sid)
	perm = proto.CloneOf(perm)
	perm.Hidden = false
	bob.forget()
	update()
	bob.participantSeen("alice", state(livekit.ParticipantInfo_ACTIVE))
	bob.until("media again", func() bool { return len(bob.media[sid]) > before+5 })
	perm = proto.CloneOf(perm)
	perm.CanPublish = false
	bob.forget()
	update()
	bob.participantSeen("alice", func(p *livekit.ParticipantInfo) bool { return len(p.Tracks) == 0 && !p.Permission.CanPublish })
	bob.silent(sid)
}

// TestAGuestIsMutedInItsRoomOnly by an administrator of that room.
func TestAGuestIsMutedInItsRoomOnly(t *testing.T) {
	t.Parallel()
	n := newTestNode(t) // where administrators may not unmute
	alice, bob := connect(t, n, "a", "alice", false), connect(t, n, "b", "bob", false)
	at := connect(t, n, "a", "carol", false)
	sid := alice.microphone()
	forwardToB(t, n, "alice")
	bob.until("sound", func() bool { return len(bob.media[sid]) > 5 })
	mute := func(muted bool) *livekit.TrackInfo {
		t.Helper()
		info, err := n.MutePublishedTrack(t.Context(), &livekit.MuteRoomTrackRequest{Room: "b", Identity: "alice", TrackSid: sid, Muted: muted})
		require.NoError(t, err)
		return info
	}
	require.True(t, mute(true).Muted)
	bob.participantSeen("alice", muted(true))
	before := bob.silent(sid)
	at.mu.Lock()
	heard := len(at.media[sid])
	at.mu.Unlock()
	at.until("sound in the first room", func() bool { return len(at.media[sid]) > heard+20 })
	// What alice does does not lift it, and lifting it opens no microphone.
	alice.muteOwn(sid, true)
	at.participantSeen("alice", muted(true))
	require.Eventually(t, func() bool { return mute(false).Muted }, waitFor, tellEvery, "muted by alice")
	mute(true)
	at.forget()
	alice.muteOwn(sid, false)
	at.participantSeen("alice", muted(false))
	require.Equal(t, before, bob.silent(sid))
	require.False(t, mute(false).Muted)
	bob.until("sound again", func() bool { return len(bob.media[sid]) > before+5 })
	_, err := n.MutePublishedTrack(t.Context(), &livekit.MuteRoomTrackRequest{Room: "a", Identity: "alice", TrackSid: sid})
	require.ErrorContains(t, err, "remote unmute")
	_, err = n.MutePublishedTrack(t.Context(), &livekit.MuteRoomTrackRequest{Room: "b", Identity: "alice", TrackSid: "TR_other", Muted: true})
	require.ErrorContains(t, err, "not found")
	alice.mu.Lock()
	defer alice.mu.Unlock()
	for _, m := range alice.seen {
		require.Nil(t, m.GetMute(), "alice is told nothing")
	}
}

// highest waits until a publisher was last told that q is the highest layer wanted;
// -1: none.
func (c *testClient) highest(sid string, q int) {
	c.t.Helper()
	c.until("word about layers", func() bool {
		found := -2
		for _, m := range c.seen {
			if u := m.GetSubscribedQualityUpdate(); u.GetTrackSid() == sid {
				found = -1
				for _, s := range u.SubscribedQualities {
					if s.Enabled {
						found = max(found, int(s.Quality))
					}
				}
			}
		}
		return found == q
	})
}

// TestALayerWantedInAnotherRoomStaysOn whatever the publisher's own room wants.
func TestALayerWantedInAnotherRoomStaysOn(t *testing.T) {
	t.Parallel()
	n := newTestNode(t)
	alice := connect(t, n, "a", "alice", false)
	carol := connect(t, n, "a", "carol", false)
	bob := connect(t, n, "b", "bob", false)
	sid, layers := alice.simulcast()
	defer play(t, layers)()
	carol.until("media", func() bool { return len(carol.media[sid]) > 0 })
	carol.shows(sid, 320, 180)
	alice.highest(sid, 0)
	forwardToB(t, n, "alice")
	alice.highest(sid, 2)
	bob.until("the high layer", func() bool { return bob.lastWidthLocked(sid) == 1280 })
	bob.shows(sid, 640, 360)
	alice.highest(sid, 1)
	require.NoError(t, n.DeleteRoom(t.Context(), "b"))
	alice.highest(sid, 0)
}

// TestBackupCodecsForAnotherRoom: who needs one there has it published, and all
// regress to it, in either room.
func TestBackupCodecsForAnotherRoom(t *testing.T) {
	t.Parallel()
	n := newTestNode(t)
	alice, dan := connect(t, n, "a", "alice", false), connect(t, n, "a", "dan", false)
	bob := connect(t, n, "b", "bob", false)
	sid := alice.twoCodecs(livekit.BackupCodecPolicy_PREFER_REGRESSION)
	forwardToB(t, n, "alice")
	bob.gets(sid, webrtc.MimeTypeH264)
	carol := connectWith(t, n, "b", "carol", false, vp8Only)
	alice.told(sid, "vp8", true)
	alice.backup(sid)
	carol.gets(sid, webrtc.MimeTypeVP8)
	bob.gets(sid, webrtc.MimeTypeVP8)
	dan.gets(sid, webrtc.MimeTypeVP8)
	alice.told(sid, "h264", false)
	carol.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Leave{Leave: &livekit.LeaveRequest{}}})
	alice.told(sid, "h264", true)
	bob.gets(sid, webrtc.MimeTypeH264)
	dan.gets(sid, webrtc.MimeTypeH264)
	alice.told(sid, "vp8", false)
	// The other way round: one in alice's room needs it.
	erin := connectWith(t, n, "a", "erin", false, vp8Only)
	erin.gets(sid, webrtc.MimeTypeVP8)
	bob.gets(sid, webrtc.MimeTypeVP8)
}

func TestAForwardedSpeakerIsTold(t *testing.T) {
	t.Parallel()
	n := newTestNode(t)
	levels := make(chan uint8)
	alice, bob := connect(t, n, "a", "alice", false), connect(t, n, "b", "bob", false)
	forwardToB(t, n, "alice")
	sid := alice.talk(levels)
	who := bob.participantSeen("alice", tracks(1)).Sid
	levels <- 15
	bob.await("alice speaking", speaks(who, true))
	alice.await("herself speaking", speaks(alice.join.Participant.Sid, true))
	carol := connect(t, n, "b", "carol", false)
	carol.await("alice speaking", speaks(who, true))
	_, err := n.MutePublishedTrack(t.Context(), &livekit.MuteRoomTrackRequest{Room: "b", Identity: "alice", TrackSid: sid, Muted: true})
	require.NoError(t, err)
	bob.await("alice silent here", speaks(who, false))
	_, err = n.MutePublishedTrack(t.Context(), &livekit.MuteRoomTrackRequest{Room: "b", Identity: "alice", TrackSid: sid})
	require.NoError(t, err)
	bob.forget()
	bob.await("alice speaking again", speaks(who, true))
	levels <- 90
	bob.await("alice silent", speaks(who, false))
}

// TestSubscriptionPermissionsHoldInAnotherRoom: by identity, for sids are of one
// room.
func TestSubscriptionPermissionsHoldInAnotherRoom(t *testing.T) {
	n := newTestNode(t)
	alice := connect(t, n, "a", "alice", false)
	allow := func(identities ...string) {
		m := &livekit.SubscriptionPermission{}
		for _, who := range identities {
			m.TrackPermissions = append(m.TrackPermissions, &livekit.TrackPermission{ParticipantIdentity: who, AllTracks: true})
		}
		alice.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_SubscriptionPermission{SubscriptionPermission: m}})
	}
	allow("bob")
	sid := alice.microphone()
	alice.participantSeen("alice", tracks(1))
	bob, carol := connect(t, n, "b", "bob", false), connect(t, n, "b", "carol", false)
	forwardToB(t, n, "alice")
	bob.until("sound", func() bool { return len(bob.media[sid]) > 20 })
	carol.participantSeen("alice", tracks(1))
	carol.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Subscription{
		Subscription: &livekit.UpdateSubscription{TrackSids: []string{sid}, Subscribe: true}}})
	permitted := func(allowed bool) func(m *livekit.SignalResponse) bool {
		return func(m *livekit.SignalResponse) bool {
			u := m.GetSubscriptionPermissionUpdate()
			return u.GetTrackSid() == sid && u.Allowed == allowed
		}
	}
	carol.await("a refusal", permitted(false))
	err := n.UpdateSubscriptions(t.Context(), &livekit.UpdateSubscriptionsRequest{Room: "b", Identity: "carol", TrackSids: []string{sid}, Subscribe: true})
	require.ErrorContains(t, err, "not allowed")
	carol.mu.Lock()
	require.Empty(t, carol.media)
	carol.mu.Unlock()
	allow("carol")
	bob.await("word that it may not any more", permitted(false))
	carol.await("word that it may", permitted(true))
	carol.until("sound", func() bool { return len(carol.media[sid]) > 5 })
	bob.silent(sid)
}
