package transport

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"
)

// opusParams are the format parameters of Opus in each media section.
func opusParams(t *testing.T, desc string) (lines []string) {
	t.Helper()
	var d sdp.SessionDescription
	require.NoError(t, d.UnmarshalString(desc))
	for _, m := range d.MediaDescriptions {
		for _, a := range m.Attributes {
			if a.Key == "fmtp" && strings.HasPrefix(a.Value, "111 ") {
				lines = append(lines, a.Value)
			}
		}
	}
	return lines
}

func TestOnlyStereoTracksAreAskedForInStereo(t *testing.T) {
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	require.NoError(t, err)
	defer func() { require.NoError(t, pc.Close()) }()
	for _, id := range []string{"voice", "music"} {
		track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, id, "s")
		require.NoError(t, err)
		_, err = pc.AddTrack(track)
		require.NoError(t, err)
	}
	desc, err := pc.CreateOffer(nil)
	require.NoError(t, err)
	// As livekit-client offers it, for every track alike.
	desc.SDP = strings.ReplaceAll(desc.SDP, "useinbandfec=1", "useinbandfec=1;stereo=1")

	answers := make(chan string, 1)
	tr, err := newTestAPI(t).New(false, Events{
		Candidate: func(webrtc.ICECandidateInit) {},
		Answer:    func(answer string, _ uint32, _ map[string]string) { answers <- answer },
		State:     func(webrtc.PeerConnectionState) {},
		Failed:    func(_ string, err error, _ bool) { answers <- err.Error() },
	}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { tr.Close(); tr.Wait() }()
	require.NoError(t, tr.SetOffer(desc.SDP, 1, map[string]Wanted{"music": {Stereo: true}, "voice": {}}))
	got := opusParams(t, within(t, answers))
	require.Len(t, got, 2)
	require.NotContains(t, got[0], wantsStereo)
	require.Contains(t, got[0], "useinbandfec=1")
	require.Contains(t, got[1], ";"+wantsStereo+";"+stereoBudget)

	require.NoError(t, tr.SetOffer(desc.SDP, 2, map[string]Wanted{"music": {}, "voice": {}}))
	for _, params := range opusParams(t, within(t, answers)) {
		require.NotContains(t, params, wantsStereo)
	}
}

// stereoLocal is a track of ours in stereo.
type stereoLocal struct{ *webrtc.TrackLocalStaticRTP }

func (stereoLocal) Stereo() bool { return true }

func TestStereoIsAnnouncedWhereItIsSent(t *testing.T) {
	tr, e := newTestTransport(t, true)
	for _, stereo := range []bool{false, true} {
		track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, "TR", "PA")
		require.NoError(t, err)
		var local webrtc.TrackLocal = track
		if stereo {
			local = stereoLocal{track}
		}
		require.NoError(t, tr.AddTrack(local, func(_ *webrtc.RTPSender, err error) { require.NoError(t, err) }))
	}
	tr.Negotiate(false)
	got := opusParams(t, within(t, e.offers).sdp)
	require.Len(t, got, 2)
	require.NotContains(t, got[0], sendsStereo)
	require.Contains(t, got[1], ";"+sendsStereo)
}
