package loadtest

import (
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/stretchr/testify/require"
)

// refusedTrack asks to publish a track over a bare signalling connection and
// returns the server's reason. The SDK only waits for its own time limit.
func refusedTrack(t *testing.T, grant func(*auth.VideoGrant), source livekit.TrackSource) *livekit.RequestResponse {
	t.Helper()
	c := dialRoom(t, roomName(t), "an", grant)
	c.awaitJoin()
	kind := livekit.TrackType_AUDIO
	if source != livekit.TrackSource_MICROPHONE {
		kind = livekit.TrackType_VIDEO
	}
	c.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_AddTrack{
		AddTrack: &livekit.AddTrackRequest{Cid: "cid-1", Type: kind, Source: source, Name: "x"},
	}})
	var response *livekit.RequestResponse
	c.await("an answer to add_track", func(r *livekit.SignalResponse) bool {
		require.Nil(t, r.GetTrackPublished(), "it was published")
		response = r.GetRequestResponse()
		return response != nil
	})
	return response
}

func TestPublishingNeedsPermission(t *testing.T) {
	t.Parallel()
	r := refusedTrack(t, func(g *auth.VideoGrant) { g.SetCanPublish(false) }, livekit.TrackSource_MICROPHONE)
	require.Equal(t, livekit.RequestResponse_NOT_ALLOWED, r.Reason)
	require.Equal(t, "cid-1", r.GetAddTrack().GetCid(), "the answer names the request")
}

func TestPublishingNeedsTheSource(t *testing.T) {
	t.Parallel()
	microphoneOnly := func(g *auth.VideoGrant) {
		g.SetCanPublishSources([]livekit.TrackSource{livekit.TrackSource_MICROPHONE})
	}
	t.Run("refused", func(t *testing.T) {
		r := refusedTrack(t, microphoneOnly, livekit.TrackSource_SCREEN_SHARE)
		require.Equal(t, livekit.RequestResponse_NOT_ALLOWED, r.Reason)
	})
	t.Run("allowed", func(t *testing.T) {
		room := roomName(t)
		an := join(t, room, "an", withGrant(microphoneOnly))
		bich := join(t, room, "bich")
		pub, _ := an.publishTone(30)
		bich.receives(pub.SID())
		require.Equal(t, []livekit.TrackSource{livekit.TrackSource_MICROPHONE}, bich.sees("an").Permissions().GetCanPublishSources())
	})
}

func TestHiddenParticipantIsUnseen(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		room := roomName(t)
		an := join(t, room, "an", withMode(m))
		hidden := join(t, room, "hidden", withMode(m), withGrant(func(g *auth.VideoGrant) { g.Hidden = true }))
		bich := join(t, room, "bich", withMode(m))
		pub, _ := an.publishTone(30)
		hidden.receives(pub.SID()) // it hears
		an.sees("bich")
		never(t, time.Second, func() bool {
			return an.room.GetParticipantByIdentity("hidden") != nil || bich.room.GetParticipantByIdentity("hidden") != nil
		}, "the hidden participant is seen")
		hidden.leave()
		never(t, 500*time.Millisecond, func() bool { return an.count("ParticipantDisconnected", "hidden", "") > 0 }, "its leaving is seen")
	})
}

// TestPublisherChoosesWhoMaySubscribe uses subscription permissions.
func TestPublisherChoosesWhoMaySubscribe(t *testing.T) {
	t.Parallel()
	room := roomName(t)
	an := join(t, room, "an")
	bich := join(t, room, "bich")
	chi := join(t, room, "chi")
	an.room.LocalParticipant.SetSubscriptionPermission(&livekit.SubscriptionPermission{
		TrackPermissions: []*livekit.TrackPermission{{ParticipantIdentity: "bich", AllTracks: true}},
	})
	pub, _ := an.publishTone(30)
	bich.receives(pub.SID()).flows(t, 50)
	require.Zero(t, chi.count("TrackSubscribed", "an", ""))
	an.room.LocalParticipant.SetSubscriptionPermission(&livekit.SubscriptionPermission{AllParticipants: true})
	chi.receives(pub.SID()).flows(t, 20)
}

func TestCanSubscribeIsMirrored(t *testing.T) {
	t.Parallel()
	room := roomName(t)
	an := join(t, room, "an", withGrant(func(g *auth.VideoGrant) { g.SetCanSubscribe(false); g.SetCanPublish(false) }))
	p := an.room.LocalParticipant.Permissions()
	require.False(t, p.GetCanSubscribe())
	require.False(t, p.GetCanPublish())
	require.Equal(t, lksdk.ConnectionStateConnected, an.room.ConnectionState())
}
