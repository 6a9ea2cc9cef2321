package loadtest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/stretchr/testify/require"
)

func TestJoinAndLeaveAreSeenByOthers(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		room := roomName(t)
		an := join(t, room, "an", withMode(m), withToken(func(at *auth.AccessToken) {
			at.SetName("Nguyễn Thị Ân").SetMetadata("chủ toạ").SetAttributes(map[string]string{"unit": "UBND tỉnh"})
		}))
		require.Equal(t, room, an.room.Name())
		require.NotEmpty(t, an.room.SID())
		require.NotEmpty(t, an.room.ServerInfo().GetVersion())
		bich := join(t, room, "bich", withMode(m))
		an.told("ParticipantConnected", "bich", bich.room.LocalParticipant.SID())

		seen := bich.sees("an")
		require.Equal(t, "Nguyễn Thị Ân", seen.Name())
		require.Equal(t, "chủ toạ", seen.Metadata())
		require.Equal(t, map[string]string{"unit": "UBND tỉnh"}, seen.Attributes())
		require.Equal(t, an.room.LocalParticipant.SID(), seen.SID())
		require.True(t, seen.Permissions().GetCanPublish())

		bich.leave()
		an.told("ParticipantDisconnected", "bich", bich.room.LocalParticipant.SID())
		until(t, 5*time.Second, func() bool { return len(an.room.GetRemoteParticipants()) == 0 },
			func() string { return "an is alone" })
	})
}

func TestModesMeet(t *testing.T) {
	t.Parallel()
	room := roomName(t)
	two := join(t, room, "two", withMode(twoPCs))
	one := join(t, room, "one", withMode(onePC))
	fromTwo, _ := two.publishTone(30)
	fromOne, _ := one.publishTone(30)
	one.receives(fromTwo.SID()).flows(t, 50)
	two.receives(fromOne.SID()).flows(t, 50)
}

func TestRoomsAreSeparate(t *testing.T) {
	t.Parallel()
	a := join(t, roomName(t)+"-a", "an")
	b := join(t, roomName(t)+"-b", "bich")
	pub, _ := a.publishTone(30)
	witness := join(t, roomName(t)+"-a", "witness")
	witness.receives(pub.SID())
	a.awaitData(witness)
	send(t, a, "x", lksdk.WithDataPublishReliable(true))
	until(t, 5*time.Second, func() bool { return len(witness.messages()) == 1 }, func() string { return "the witness gets the message" })
	require.Empty(t, b.room.GetRemoteParticipants())
	require.Empty(t, b.messages())
	require.Empty(t, b.history())
}

func TestDuplicateIdentityReplacesTheFirst(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		room := roomName(t)
		witness := join(t, room, "witness", withMode(m))
		first := join(t, room, "an", withMode(m))
		second := join(t, room, "an", withMode(m))
		first.told("Disconnected", "", string(lksdk.DuplicateIdentity))
		require.Equal(t, livekit.DisconnectReason_DUPLICATE_IDENTITY, first.room.DisconnectReason())
		until(t, 5*time.Second, func() bool {
			rp := witness.room.GetParticipantByIdentity("an")
			return rp != nil && rp.SID() == second.room.LocalParticipant.SID()
		}, func() string { return fmt.Sprintf("the witness sees the second; was told %v", witness.history()) })
		require.Len(t, witness.room.GetRemoteParticipants(), 1)
		pub, _ := second.publishTone(30)
		witness.receives(pub.SID())
	})
}

func TestLateJoinerReceivesWhatIsThere(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		room := roomName(t)
		an := join(t, room, "an", withMode(m))
		audio, _ := an.publishTone(30)
		video := an.publishClip()
		join(t, room, "first", withMode(m)).receives(video.SID())

		late := join(t, room, "late", withMode(m))
		late.receives(audio.SID()).flows(t, 20)
		r := late.receives(video.SID())
		r.flows(t, 50)
		packets := r.snapshot()
		key := slices.IndexFunc(packets, func(p recorded) bool { return p.width > 0 })
		require.GreaterOrEqual(t, key, 0, "a key frame")
		if m == twoPCs {
			require.Zero(t, key, "the first packet is that of a key frame")
		}
		// With one peer connection media can overtake the answer that declares it.
		require.Less(t, packets[key].at.Sub(packets[0].at), FreezeGap, "a late joiner can decode at once")
		require.Empty(t, r.check())
	})
}

// TestPublishWithTheJoinRequest: the track stands in the first message.
func TestPublishWithTheJoinRequest(t *testing.T) {
	t.Parallel()
	room := roomName(t)
	layers, err := NewClipTracks(simulcastClip(t))
	require.NoError(t, err)
	tone, _, err := NewToneTrack(30)
	require.NoError(t, err)
	an := join(t, room, "an", withMode(onePC), withConnect(
		lksdk.WithSimulcastTrack(layers, &lksdk.TrackPublicationOptions{Name: "clip"}),
		lksdk.WithTrack(tone, &lksdk.TrackPublicationOptions{Name: "tone"})))
	require.Len(t, an.room.LocalParticipant.TrackPublications(), 2)
	bich := join(t, room, "bich", withMode(onePC))
	for _, pub := range an.room.LocalParticipant.TrackPublications() {
		r := bich.receives(pub.SID())
		r.flows(t, 50)
		require.Empty(t, r.check(), pub.Name())
	}
}

func TestOwnNameMetadataAndAttributes(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		room := roomName(t)
		an := join(t, room, "an", withMode(m), withGrant(func(g *auth.VideoGrant) { g.SetCanUpdateOwnMetadata(true) }))
		bich := join(t, room, "bich", withMode(m))
		seen := bich.sees("an")
		an.room.LocalParticipant.SetMetadata("đang phát biểu")
		bich.told("MetadataChanged", "an", "đang phát biểu")
		an.room.LocalParticipant.SetAttributes(map[string]string{"hand": "raised"})
		bich.told("AttributesChanged", "an", "map[hand:raised]")
		an.room.LocalParticipant.SetName("Ân")
		until(t, 5*time.Second, func() bool { return seen.Name() == "Ân" }, func() string { return "the new name; have " + seen.Name() })
		// An attribute set to nothing is gone, and what was not named stays.
		an.room.LocalParticipant.SetAttributes(map[string]string{"hand": "", "seat": "12"})
		until(t, 5*time.Second, func() bool {
			return seen.Attributes()["seat"] == "12" && seen.Attributes()["hand"] == ""
		}, func() string { return fmt.Sprint("attributes ", seen.Attributes()) })
		require.Equal(t, "đang phát biểu", seen.Metadata())
	})
}

func TestMetadataNeedsPermission(t *testing.T) {
	t.Parallel()
	room := roomName(t)
	an := join(t, room, "an")
	bich := join(t, room, "bich", withGrant(func(g *auth.VideoGrant) { g.SetCanUpdateOwnMetadata(true) }))
	an.room.LocalParticipant.SetMetadata("not allowed")
	seen := bich.sees("an")
	// A later, allowed update shows that the first had time to be seen.
	bich.room.LocalParticipant.SetMetadata("allowed")
	an.told("MetadataChanged", "bich", "allowed")
	require.Empty(t, seen.Metadata())
}
