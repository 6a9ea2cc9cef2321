package sfu

import (
	"strings"
	"testing"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/stretchr/testify/require"
)

// participantSeen waits until c is told about identity in the given state.
func (c *testClient) participantSeen(identity string, match func(*livekit.ParticipantInfo) bool) *livekit.ParticipantInfo {
	c.t.Helper()
	var found *livekit.ParticipantInfo
	c.await("an update about "+identity, func(m *livekit.SignalResponse) bool {
		for _, p := range m.GetUpdate().GetParticipants() {
			if p.Identity == identity && match(p) {
				found = p
				return true
			}
		}
		return false
	})
	return found
}

func state(s livekit.ParticipantInfo_State) func(*livekit.ParticipantInfo) bool {
	return func(p *livekit.ParticipantInfo) bool { return p.State == s }
}

func TestJoinAndLeaveAreSeenByOthers(t *testing.T) {
	both(t, func(t *testing.T, single bool) {
		n := newTestNode(t)
		alice := connect(t, n, "room", "alice", single)
		bob := connect(t, n, "room", "bob", single)
		require.Len(t, bob.join.OtherParticipants, 1)
		require.Equal(t, "alice", bob.join.OtherParticipants[0].Identity)
		require.NotEmpty(t, bob.join.ServerInfo.Version)
		require.True(t, strings.HasPrefix(bob.join.EnabledPublishCodecs[0].Mime, "video/"))
		alice.participantSeen("bob", state(livekit.ParticipantInfo_ACTIVE))
		bob.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Leave{Leave: &livekit.LeaveRequest{}}})
		gone := alice.participantSeen("bob", state(livekit.ParticipantInfo_DISCONNECTED))
		require.Equal(t, livekit.DisconnectReason_CLIENT_INITIATED, gone.DisconnectReason)
	})
}

func TestDuplicateIdentityEndsTheFirst(t *testing.T) {
	n := newTestNode(t)
	first := connect(t, n, "room", "alice", false)
	second := connect(t, n, "room", "alice", false)
	m := first.await("leave", func(m *livekit.SignalResponse) bool { return m.GetLeave() != nil })
	require.Equal(t, livekit.DisconnectReason_DUPLICATE_IDENTITY, m.GetLeave().Reason)
	require.Equal(t, livekit.LeaveRequest_DISCONNECT, m.GetLeave().Action)
	first.until("the end of the first session", func() bool { return first.over })
	require.NotEqual(t, first.join.Participant.Sid, second.join.Participant.Sid)
	second.participantSeen("alice", state(livekit.ParticipantInfo_ACTIVE))
}

func TestResumeKeepsParticipantAndMedia(t *testing.T) {
	n := newTestNode(t)
	alice := connect(t, n, "room", "alice", false)
	bob := connect(t, n, "room", "bob", false)
	sid, layers := alice.simulcast()
	defer play(t, layers)()
	bob.until("media", func() bool { return len(bob.media[sid]) > 20 })

	bob.resume(n, "bob")
	bob.mu.Lock()
	require.NotNil(t, bob.seen[0].GetReconnect(), "the first message of a resumed session")
	bob.mu.Unlock()
	bob.participantSeen("alice", state(livekit.ParticipantInfo_ACTIVE))
	bob.await("an ICE-restart offer", func(m *livekit.SignalResponse) bool { return m.GetOffer() != nil })
	bob.mu.Lock()
	before := len(bob.media[sid])
	bob.mu.Unlock()
	bob.until("media after the restart", func() bool { return len(bob.media[sid]) > before+50 })
	alice.mu.Lock()
	defer alice.mu.Unlock()
	for _, m := range alice.seen {
		for _, p := range m.GetUpdate().GetParticipants() {
			require.NotEqual(t, livekit.ParticipantInfo_DISCONNECTED, p.State, "nobody notices a resume")
		}
	}
}

func TestResumeOfAnUnknownSessionMustRejoin(t *testing.T) {
	n := newTestNode(t)
	start := startSession("room", "bob", false)
	start.Reconnect, start.ParticipantId = true, "PA_unknown"
	s, err := n.Open(t.Context(), start)
	require.NoError(t, err)
	m := <-s.Responses()
	require.Equal(t, livekit.LeaveRequest_RECONNECT, m.GetLeave().Action)
	require.Equal(t, livekit.DisconnectReason_STATE_MISMATCH, m.GetLeave().Reason)
	_, open := <-s.Responses()
	require.False(t, open)
}

func TestPermissionsAreEnforced(t *testing.T) {
	no, yes := false, true
	n := newTestNode(t)
	alice := connect(t, n, "room", "alice", false)
	viewer := connect(t, n, "room", "viewer", false, withGrant(func(g *auth.VideoGrant) {
		g.CanPublish, g.CanPublishData, g.CanUpdateOwnMetadata = &no, &no, &no
	}))
	speaker := connect(t, n, "room", "speaker", false, withGrant(func(g *auth.VideoGrant) {
		g.CanPublishSources = []string{"microphone"}
		g.CanSubscribe = &no
	}))
	hidden := connect(t, n, "room", "hidden", false, withGrant(func(g *auth.VideoGrant) { g.Hidden = true; g.CanPublish = &yes }))

	refused := func(c *testClient, reason livekit.RequestResponse_Reason) *livekit.RequestResponse {
		t.Helper()
		m := c.await("refusal", func(m *livekit.SignalResponse) bool { return m.GetRequestResponse() != nil })
		require.Equal(t, reason, m.GetRequestResponse().Reason)
		return m.GetRequestResponse()
	}
	add := func(source livekit.TrackSource) *livekit.SignalRequest {
		return &livekit.SignalRequest{Message: &livekit.SignalRequest_AddTrack{AddTrack: &livekit.AddTrackRequest{
			Cid: "x", Type: livekit.TrackType_VIDEO, Source: source}}}
	}
	viewer.send(add(livekit.TrackSource_CAMERA))
	require.Equal(t, "x", refused(viewer, livekit.RequestResponse_NOT_ALLOWED).GetAddTrack().GetCid())
	speaker.send(add(livekit.TrackSource_CAMERA))
	refused(speaker, livekit.RequestResponse_NOT_ALLOWED)

	viewer.forget()
	viewer.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_UpdateMetadata{
		UpdateMetadata: &livekit.UpdateParticipantMetadata{Name: "chair", RequestId: 7}}})
	require.Equal(t, uint32(7), refused(viewer, livekit.RequestResponse_NOT_ALLOWED).RequestId)

	sid, layers := alice.simulcast()
	defer play(t, layers)()
	viewer.until("media", func() bool { return len(viewer.media[sid]) > 0 })
	hidden.until("media", func() bool { return len(hidden.media[sid]) > 0 })
	speaker.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Subscription{
		Subscription: &livekit.UpdateSubscription{TrackSids: []string{sid}, Subscribe: true}}})
	speaker.await("a refusal of the subscription", func(m *livekit.SignalResponse) bool {
		return m.GetSubscriptionPermissionUpdate().GetTrackSid() == sid
	})
	speaker.mu.Lock()
	require.Empty(t, speaker.media)
	speaker.mu.Unlock()

	alice.mu.Lock()
	defer alice.mu.Unlock()
	for _, m := range alice.seen {
		for _, p := range m.GetUpdate().GetParticipants() {
			require.NotEqual(t, "hidden", p.Identity)
			require.NotEqual(t, "chair", p.Name)
		}
	}
}

func TestBadRequestsAreAnsweredAndHarmNobody(t *testing.T) {
	n := newTestNode(t)
	alice := connect(t, n, "room", "alice", false)
	bob := connect(t, n, "room", "bob", false)
	sid, layers := alice.simulcast()
	defer play(t, layers)()
	bob.until("media", func() bool { return len(bob.media[sid]) > 0 })

	answered := func(m *livekit.SignalRequest) *livekit.RequestResponse {
		t.Helper()
		bob.forget()
		bob.send(m)
		return bob.await("request_response", func(m *livekit.SignalResponse) bool {
			return m.GetRequestResponse() != nil
		}).GetRequestResponse()
	}
	require.Contains(t, answered(&livekit.SignalRequest{Message: &livekit.SignalRequest_Offer{
		Offer: &livekit.SessionDescription{Type: "offer", Sdp: "v=0 nonsense", Id: 3}}}).Message, "offer")
	require.Contains(t, answered(&livekit.SignalRequest{Message: &livekit.SignalRequest_Trickle{
		Trickle: &livekit.TrickleRequest{CandidateInit: "{"}}}).Message, "candidate")
	require.Equal(t, livekit.RequestResponse_NOT_FOUND, answered(&livekit.SignalRequest{
		Message: &livekit.SignalRequest_Mute{Mute: &livekit.MuteTrackRequest{Sid: sid, Muted: true}}}).Reason,
		"muting a track of somebody else's")
	require.Equal(t, livekit.RequestResponse_UNSUPPORTED_TYPE, answered(&livekit.SignalRequest{}).Reason)
	require.Equal(t, livekit.RequestResponse_UNCLASSIFIED_ERROR, answered(&livekit.SignalRequest{
		Message: &livekit.SignalRequest_AddTrack{AddTrack: &livekit.AddTrackRequest{Type: livekit.TrackType_DATA}}}).Reason)
	require.Equal(t, livekit.RequestResponse_LIMIT_EXCEEDED, answered(&livekit.SignalRequest{
		Message: &livekit.SignalRequest_UpdateMetadata{UpdateMetadata: &livekit.UpdateParticipantMetadata{
			Metadata: strings.Repeat("x", maxMetadata+1)}}}).Reason)
	bob.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Subscription{
		Subscription: &livekit.UpdateSubscription{TrackSids: []string{"TR_unknown"}, Subscribe: true}}})
	bob.await("subscription_response", func(m *livekit.SignalResponse) bool {
		return m.GetSubscriptionResponse().GetErr() == livekit.SubscriptionError_SE_TRACK_NOTFOUND
	})
	bob.mu.Lock()
	before := len(bob.media[sid])
	bob.mu.Unlock()
	bob.until("media as before", func() bool { return len(bob.media[sid]) > before+20 })
	alice.mu.Lock()
	defer alice.mu.Unlock()
	for _, m := range alice.seen {
		require.Nil(t, m.GetLeave())
		require.Nil(t, m.GetRequestResponse())
	}
}

func TestMetadataAndMuteReachOthers(t *testing.T) {
	n := newTestNode(t)
	alice := connect(t, n, "room", "alice", false)
	bob := connect(t, n, "room", "bob", false)
	alice.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_UpdateMetadata{
		UpdateMetadata: &livekit.UpdateParticipantMetadata{
			Name: "Điểm cầu xã Quảng Trạch", Metadata: "m", Attributes: map[string]string{"a": "1", "b": "2"}}}})
	bob.participantSeen("alice", func(p *livekit.ParticipantInfo) bool {
		return p.Name == "Điểm cầu xã Quảng Trạch" && p.Metadata == "m" && p.Attributes["a"] == "1"
	})
	alice.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_UpdateMetadata{
		UpdateMetadata: &livekit.UpdateParticipantMetadata{Attributes: map[string]string{"a": ""}}}})
	bob.participantSeen("alice", func(p *livekit.ParticipantInfo) bool {
		_, has := p.Attributes["a"]
		return !has && p.Attributes["b"] == "2" && p.Metadata == "m"
	})
	sid, layers := alice.simulcast()
	defer play(t, layers)()
	bob.until("media", func() bool { return len(bob.media[sid]) > 0 })
	alice.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Mute{
		Mute: &livekit.MuteTrackRequest{Sid: sid, Muted: true}}})
	bob.participantSeen("alice", func(p *livekit.ParticipantInfo) bool {
		return len(p.Tracks) == 1 && p.Tracks[0].Muted
	})
}

func TestUnpublishAndPublishAgain(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, single bool) {
		n := newTestNode(t)
		alice := connect(t, n, "room", "alice", single)
		bob := connect(t, n, "room", "bob", single)
		sid, layers := alice.simulcast()
		stop := play(t, layers)
		bob.until("media", func() bool { return len(bob.media[sid]) > 20 })
		stop()
		for _, tr := range alice.pub.GetTransceivers() {
			if s := tr.Sender(); s != nil && s.Track() != nil {
				require.NoError(t, alice.pub.RemoveTrack(s))
			}
		}
		alice.negotiate()
		bob.participantSeen("alice", func(p *livekit.ParticipantInfo) bool {
			return p.Version > 3 && len(p.Tracks) == 0 && p.State == livekit.ParticipantInfo_ACTIVE
		})
		alice.forget()
		again, layers := alice.simulcast()
		require.NotEqual(t, sid, again)
		defer play(t, layers)()
		bob.until("media of the second track", func() bool { return len(bob.media[again]) > 20 })
	})
}

func TestReliableDataIsReplayedOnce(t *testing.T) {
	n := newTestNode(t)
	alice := connect(t, n, "room", "alice", false)
	bob := connect(t, n, "room", "bob", false)
	alice.openData()
	for seq := range uint32(3) {
		alice.sendUser(seq + 1)
		alice.sendUser(seq + 1) // as after a resume: only once to others
	}
	bob.until("three packets", func() bool { return len(bob.data) == 3 })
	bob.resume(n, "bob")
	bob.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_SyncState{SyncState: &livekit.SyncState{
		DatachannelReceiveStates: []*livekit.DataChannelReceiveState{
			{PublisherSid: alice.join.Participant.Sid, LastSeq: 1},
		}}}})
	bob.until("two of them again", func() bool { return len(bob.data) == 5 })
	require.Equal(t, uint32(2), bob.data[3].Sequence)
	require.Equal(t, uint32(3), bob.data[4].Sequence)
}

func (c *testClient) sendUser(seq uint32) {
	c.t.Helper()
	require.NoError(c.t, c.reliable().Send(encodeUser(c.t, seq)))
}
