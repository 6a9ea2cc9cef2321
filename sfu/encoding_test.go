package sfu

import (
	"testing"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"diemcau/sfu/codec"
)

// twoCodecs publishes a camera in H.264 with VP8 as the announced backup.
func (c *testClient) twoCodecs(policy livekit.BackupCodecPolicy) (sid string) {
	c.t.Helper()
	sid = c.addTrack(&livekit.AddTrackRequest{
		Cid: "camera", Type: livekit.TrackType_VIDEO, Source: livekit.TrackSource_CAMERA, BackupCodecPolicy: policy,
		SimulcastCodecs: []*livekit.SimulcastCodec{{Codec: "h264", Cid: "camera"}, {Codec: "vp8"}},
	})
	c.sendAs("camera", webrtc.MimeTypeH264)
	c.participantSeen(c.join.Participant.Identity, tracks(1))
	return sid
}

// told waits until a publisher was last told that a codec is wanted, or not.
func (c *testClient) told(sid, codec string, wanted bool) {
	c.t.Helper()
	c.until("word about "+codec, func() bool {
		var last *livekit.SubscribedQualityUpdate
		for _, m := range c.seen {
			if u := m.GetSubscribedQualityUpdate(); u.GetTrackSid() == sid {
				last = u
			}
		}
		for _, s := range last.GetSubscribedCodecs() {
			if s.Codec == codec {
				return s.Qualities[0].Enabled == wanted
			}
		}
		return false
	})
}

// backup publishes the backup codec, as clients do when told that it is wanted.
func (c *testClient) backup(sid string) {
	c.t.Helper()
	again := c.addTrack(&livekit.AddTrackRequest{
		Cid: "camera in VP8", Sid: sid, Type: livekit.TrackType_VIDEO,
		SimulcastCodecs: []*livekit.SimulcastCodec{{Codec: "vp8", Cid: "camera in VP8"}},
	})
	require.Equal(c.t, sid, again, "it is the same track")
	c.sendAs("camera in VP8", webrtc.MimeTypeVP8)
}

// gets waits until the newest packet of a track is in the given codec.
func (c *testClient) gets(sid, mime string) {
	c.t.Helper()
	c.until(mime, func() bool {
		if c.receivers[sid] == nil || len(c.media[sid]) == 0 {
			return false
		}
		newest := c.media[sid][len(c.media[sid])-1]
		for _, codec := range c.sub.GetReceivers() {
			for _, f := range codec.GetParameters().Codecs {
				if uint8(f.PayloadType) == newest.PayloadType {
					return f.MimeType == mime
				}
			}
		}
		return false
	})
}

var vp8Only = []string{webrtc.MimeTypeVP8, webrtc.MimeTypeOpus}

func TestABackupCodecIsPublishedWhenOneNeedsIt(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, single bool) {
		n := newTestNode(t)
		alice := connect(t, n, "room", "alice", single)
		bob := connect(t, n, "room", "bob", single)
		sid := alice.twoCodecs(livekit.BackupCodecPolicy_SIMULCAST)
		bob.gets(sid, webrtc.MimeTypeH264)

		carol := connectWith(t, n, "room", "carol", single, vp8Only)
		alice.told(sid, "vp8", true)
		alice.told(sid, "h264", true)
		alice.backup(sid)
		carol.gets(sid, webrtc.MimeTypeVP8)
		bob.gets(sid, webrtc.MimeTypeH264)
		alice.participantSeen("alice", func(p *livekit.ParticipantInfo) bool {
			return len(p.Tracks) == 1 && p.Tracks[0].MimeType == webrtc.MimeTypeH264 && len(p.Tracks[0].Codecs) == 2 &&
				p.Tracks[0].Codecs[1].MimeType == webrtc.MimeTypeVP8 && p.Tracks[0].Codecs[1].Mid != ""
		})
	})
}

func TestAllRegressToTheBackupCodecAndComeBack(t *testing.T) {
	t.Parallel()
	n := newTestNode(t)
	alice := connect(t, n, "room", "alice", false)
	bob := connect(t, n, "room", "bob", false)
	sid := alice.twoCodecs(livekit.BackupCodecPolicy_PREFER_REGRESSION)
	bob.gets(sid, webrtc.MimeTypeH264)
	carol := connectWith(t, n, "room", "carol", false, vp8Only)
	alice.told(sid, "vp8", true)
	bob.gets(sid, webrtc.MimeTypeH264) // until the other is there
	alice.backup(sid)
	carol.gets(sid, webrtc.MimeTypeVP8)
	bob.gets(sid, webrtc.MimeTypeVP8)
	alice.told(sid, "h264", false)

	carol.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Leave{Leave: &livekit.LeaveRequest{}}})
	alice.told(sid, "h264", true)
	bob.gets(sid, webrtc.MimeTypeH264)
	alice.told(sid, "vp8", false)
}

func TestACodecThatWasNotAnnounced(t *testing.T) {
	n := newTestNode(t)
	bob := connectWith(t, n, "room", "bob", false, vp8Only)
	alice := connect(t, n, "room", "alice", false)
	sid := alice.publish("camera", webrtc.MimeTypeH264, livekit.TrackType_VIDEO, livekit.TrackSource_CAMERA)
	bob.await("word that the codec is unsupported", func(m *livekit.SignalResponse) bool {
		return m.GetSubscriptionResponse().GetErr() == livekit.SubscriptionError_SE_CODEC_UNSUPPORTED
	})
	alice.backup(sid)
	bob.gets(sid, webrtc.MimeTypeVP8)
}

func TestAddTrackWithASIDIsRefused(t *testing.T) {
	n := newTestNode(t)
	alice := connect(t, n, "room", "alice", false)
	bob := connect(t, n, "room", "bob", false)
	sid := alice.twoCodecs(livekit.BackupCodecPolicy_SIMULCAST)
	vp8 := []*livekit.SimulcastCodec{{Codec: "vp8", Cid: "x"}}
	for _, c := range []struct {
		why    string
		who    *testClient
		req    *livekit.AddTrackRequest
		reason livekit.RequestResponse_Reason
	}{
		{"of another's", bob, &livekit.AddTrackRequest{Cid: "x", Sid: sid, SimulcastCodecs: vp8}, livekit.RequestResponse_NOT_FOUND},
		{"no codec", alice, &livekit.AddTrackRequest{Cid: "x", Sid: sid}, livekit.RequestResponse_UNCLASSIFIED_ERROR},
		{
			"a codec nobody knows", alice,
			&livekit.AddTrackRequest{Cid: "x", Sid: sid, SimulcastCodecs: []*livekit.SimulcastCodec{{Codec: "theora", Cid: "x"}}},
			livekit.RequestResponse_UNSUPPORTED_TYPE,
		},
		{
			"no id", alice, &livekit.AddTrackRequest{Sid: sid, SimulcastCodecs: []*livekit.SimulcastCodec{{Codec: "vp8"}}},
			livekit.RequestResponse_UNSUPPORTED_TYPE,
		},
	} {
		t.Run(c.why, func(t *testing.T) {
			c.who.forget()
			c.who.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_AddTrack{AddTrack: c.req}})
			c.who.await("a refusal", func(m *livekit.SignalResponse) bool { return m.GetRequestResponse().GetReason() == c.reason })
		})
	}
	alice.inRoom(func(r *Room, _ *participant) { require.Len(t, r.tracks[sid].encodings, 2) })
}

func TestCodecsAsAnnounced(t *testing.T) {
	video := func(codecs ...string) *livekit.AddTrackRequest {
		req := &livekit.AddTrackRequest{Cid: "a", Type: livekit.TrackType_VIDEO}
		for _, c := range codecs {
			req.SimulcastCodecs = append(req.SimulcastCodecs, &livekit.SimulcastCodec{Codec: c, Cid: "a"})
		}
		return req
	}
	audio := func(codecs ...string) *livekit.AddTrackRequest {
		req := video(codecs...)
		req.Type = livekit.TrackType_AUDIO
		return req
	}
	for _, c := range []struct {
		req  *livekit.AddTrackRequest
		want []string
	}{
		{video(), []string{""}},
		{video("vp9", "vp8"), []string{webrtc.MimeTypeVP9, webrtc.MimeTypeVP8}},
		{video("video/VP8", "video/h264"), []string{webrtc.MimeTypeVP8, webrtc.MimeTypeH264}},
		{video("vp8", "vp8", "", "theora"), []string{webrtc.MimeTypeVP8}},
		{audio(), []string{codec.MimeRED}},
		{audio("audio/PCMU", "audio/opus"), []string{webrtc.MimeTypePCMU, webrtc.MimeTypeOpus}},
		{audio("vp8"), []string{codec.MimeRED}},
	} {
		var got []string
		for _, e := range newEncodings(c.req) {
			got = append(got, e.codec.MimeType)
			require.Contains(t, e.cids, "a")
		}
		require.Equal(t, c.want, got, c.req)
	}
	plain := audio()
	plain.Stereo = true
	require.Equal(t, webrtc.MimeTypeOpus, newEncodings(plain)[0].codec.MimeType)
}
