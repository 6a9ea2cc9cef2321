package loadtest

import (
	"fmt"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/stretchr/testify/require"
	"github.com/twitchtv/twirp"
)

// TestAdminForwardsAParticipant: who is in one room is seen, heard and followed in
// another, as stock SDKs do it, until it leaves.
func TestAdminForwardsAParticipant(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		ctx, rooms, here := t.Context(), admin(t), roomName(t)
		there := here + "-2"
		an, bich, chi := join(t, here, "an", withMode(m)), join(t, here, "bich", withMode(m)), join(t, there, "chi", withMode(m))
		video := an.publishClip()
		req := &livekit.ForwardParticipantRequest{Room: here, Identity: "an", DestinationRoom: there}
		_, err := rooms.ForwardParticipant(ctx, req)
		require.NoError(t, err)
		seen := chi.sees("an")
		require.Equal(t, "Name of an", seen.Name())
		require.NotEqual(t, an.room.LocalParticipant.SID(), seen.SID())
		sound, _ := an.publishTone(20)
		picture, voice := chi.receives(video.SID()), chi.receives(sound.SID())
		until(t, 10*time.Second, func() bool { w, h := picture.keyFrameSince(time.Time{}); return w == 1280 && h == 720 },
			func() string {
				w, h := picture.keyFrameSince(time.Time{})
				return fmt.Sprintf("1280×720; have %d×%d", w, h)
			})
		picture.flows(t, 300)
		voice.flows(t, 100)
		require.Empty(t, picture.check())
		require.Empty(t, voice.check())
		chi.told("ActiveSpeakers", "an", "")
		bich.receives(sound.SID()).flows(t, 20)

		sound.SetMuted(true)
		chi.told("TrackMuted", "an", sound.SID())
		sound.SetMuted(false)
		chi.told("TrackUnmuted", "an", sound.SID())
		_, err = rooms.UpdateParticipant(ctx, &livekit.UpdateParticipantRequest{Room: here, Identity: "an", Metadata: "agenda"})
		require.NoError(t, err)
		chi.told("MetadataChanged", "an", "agenda")
		require.NoError(t, an.room.LocalParticipant.UnpublishTrack(video.SID()))
		chi.told("TrackUnpublished", "an", video.SID())

		_, err = rooms.ForwardParticipant(ctx, req)
		require.NoError(t, err, "again")
		everybody, err := rooms.ListParticipants(ctx, &livekit.ListParticipantsRequest{Room: there})
		require.NoError(t, err)
		require.Len(t, everybody.Participants, 2)
		_, err = rooms.ForwardParticipant(ctx, &livekit.ForwardParticipantRequest{Room: there, Identity: "an", DestinationRoom: here + "-3"})
		requireCode(t, twirp.FailedPrecondition, err)
		_, err = rooms.RemoveParticipant(ctx, &livekit.RoomParticipantIdentity{Room: there, Identity: "an"})
		require.NoError(t, err)
		chi.told("ParticipantDisconnected", "an", seen.SID())
		chi.getsNothingMore(sound.SID())
		bich.receives(sound.SID()).flows(t, 20)

		_, err = rooms.ForwardParticipant(ctx, req)
		require.NoError(t, err, "anew")
		until(t, 10*time.Second, func() bool { return chi.count("ParticipantConnected", "an", "") == 2 }, func() string { return "an comes again" })
		again := chi.sees("an").SID()
		an.leave()
		chi.told("ParticipantDisconnected", "an", again)
	})
}
