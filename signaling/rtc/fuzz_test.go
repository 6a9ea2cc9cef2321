package rtc

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/livekit"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

func FuzzJoinRequest(f *testing.F) {
	join := &livekit.JoinRequest{
		ClientInfo:     &livekit.ClientInfo{Sdk: livekit.ClientInfo_JS, Version: "2.23.0"},
		PublisherOffer: &livekit.SessionDescription{Type: "offer", Sdp: "v=0\r\n"},
	}
	for _, compression := range []livekit.WrappedJoinRequest_Compression{0, 1, 2} {
		f.Add(wrapJoin(f, join, compression))
	}
	f.Add("")
	f.Add("====")
	f.Add(wrapJoin(f, &livekit.JoinRequest{Metadata: strings.Repeat("a", maxJoinRequestSize)}, livekit.WrappedJoinRequest_GZIP))
	f.Fuzz(func(t *testing.T, param string) {
		got, err := decodeJoinRequest(param)
		if err != nil {
			var refusal *requestError
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, 400, refusal.status)
			require.Nil(t, got)
			return
		}
		// What was accepted can be sent on to a node and says the same there.
		plain, err := proto.Marshal(got)
		require.NoError(t, err)
		again, err := decodeJoinRequest(wrapJoin(t, got, livekit.WrappedJoinRequest_GZIP))
		if len(plain) <= maxJoinRequestSize {
			require.NoError(t, err)
			require.True(t, proto.Equal(got, again))
		}
	})
}

func FuzzSignalDecode(f *testing.F) {
	for _, req := range []*livekit.SignalRequest{
		muteRequest("TR_1"), pingRequest(1),
		{Message: &livekit.SignalRequest_Offer{Offer: &livekit.SessionDescription{Type: "offer", Sdp: "v=0\r\n", Id: 1}}},
		{Message: &livekit.SignalRequest_Trickle{Trickle: &livekit.TrickleRequest{CandidateInit: "{}", Target: 1}}},
		{Message: &livekit.SignalRequest_Leave{Leave: &livekit.LeaveRequest{}}},
	} {
		binary, err := proto.Marshal(req)
		require.NoError(f, err)
		f.Add(false, binary)
		text, err := protojson.Marshal(req)
		require.NoError(f, err)
		f.Add(true, text)
	}
	f.Add(true, []byte(`{"mute":{"x":[[[[{}]]]]}}`))
	f.Add(false, []byte{0xff})
	f.Fuzz(func(t *testing.T, asText bool, payload []byte) {
		messageType := websocket.BinaryMessage
		if asText {
			messageType = websocket.TextMessage
		}
		req, err := decodeRequest(messageType, payload)
		if err != nil {
			require.Nil(t, req)
			return
		}
		require.NotNil(t, req.Message)
		binary, err := proto.Marshal(req)
		require.NoError(t, err)
		again, err := decodeRequest(websocket.BinaryMessage, binary)
		require.NoError(t, err)
		twice, err := proto.Marshal(again)
		require.NoError(t, err)
		require.Equal(t, len(binary), len(twice))
	})
}

func TestGunzipStopsAtItsLimit(t *testing.T) {
	out, err := gunzip(gzipped(t, make([]byte, 1000)), 1000)
	require.NoError(t, err)
	require.Len(t, out, 1000)
	_, err = gunzip(gzipped(t, make([]byte, 1001)), 1000)
	require.Error(t, err)
	_, err = gunzip(gzipped(t, make([]byte, 1000))[:20], 1000)
	require.Error(t, err, "cut off")
}

func TestJoinRequestWithoutPadding(t *testing.T) {
	param := wrapJoin(t, &livekit.JoinRequest{Metadata: "m"}, livekit.WrappedJoinRequest_NONE)
	_, err := base64.RawURLEncoding.DecodeString(param)
	require.Error(t, err, "the test needs a padded value")
	for _, p := range []string{param, strings.TrimRight(param, "=")} {
		join, err := decodeJoinRequest(p)
		require.NoError(t, err)
		require.Equal(t, "m", join.Metadata)
	}
}
