package rtc

import (
	"context"
	"net/http"
	"testing"

	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/logger"
	"github.com/livekit/server-sdk-go/v2/signalling"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// sdkHandler takes what the SDK's transport has decoded.
type sdkHandler struct {
	messages chan proto.Message
	closed   chan struct{}
}

func (h *sdkHandler) SetLogger(logger.Logger) {}
func (h *sdkHandler) HandleMessage(m proto.Message) error {
	h.messages <- m
	return nil
}
func (h *sdkHandler) OnTransportClose() { close(h.closed) }

func (h *sdkHandler) next(t *testing.T) *livekit.SignalResponse {
	t.Helper()
	res, ok := within(t, h.messages, "a message at the SDK").(*livekit.SignalResponse)
	require.True(t, ok)
	return res
}

// The signal client of server-sdk-go, with both of its protocols.
func TestStockGoSDK(t *testing.T) {
	log := logger.GetDiscardLogger()
	for name, tc := range map[string]struct {
		kind   signalling.Signalling
		single bool
	}{
		"two peer connections": {signalling.NewSignalling(signalling.SignallingParams{Logger: log}), false},
		"join request":         {signalling.NewSignallingJoinRequest(signalling.SignallingJoinRequestParams{Logger: log}), true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			grants := r.grants("svc:test")
			grants.Video.SetCanUpdateOwnMetadata(true)
			token := r.token(grants)
			params := signalling.ConnectParams{AutoSubscribe: true, Attributes: map[string]string{"k": "v"}}
			ctx, cancel := context.WithTimeout(context.Background(), soon)
			defer cancel()

			connect := func() (signalling.SignalTransport, *sdkHandler) {
				h := &sdkHandler{messages: make(chan proto.Message, 64), closed: make(chan struct{})}
				return signalling.NewSignalTransportWebSocket(signalling.SignalTransportWebSocketParams{
					Logger: log, Version: "2.18.1", Protocol: 16, Signalling: tc.kind,
					SignalTransportHandler: h, SignalHandler: h,
				}), h
			}
			transport, h := connect()
			require.NoError(t, transport.Join(ctx, r.url, token, params, nil, webrtc.SessionDescription{}))
			s := within(t, r.bridge.opened, "a session at the node")
			require.Equal(t, tc.single, s.start.UseSinglePeerConnection)
			require.Equal(t, livekit.ClientInfo_GO, s.start.Client.Sdk)
			require.True(t, s.start.AutoSubscribe)
			require.Contains(t, s.start.GrantsJson, `"attributes":{"k":"v"}`)
			require.Equal(t, "svc:test", h.next(t).GetJoin().GetParticipant().GetIdentity())
			transport.Start()
			require.NotEmpty(t, h.next(t).GetRefreshToken())
			require.NoError(t, transport.SendMessage(tc.kind.SignalMuteTrack(&livekit.MuteTrackRequest{Sid: "TR_1"})))
			require.Equal(t, "TR_1", s.request(t).GetMute().GetSid())
			transport.Close()
			within(t, h.closed, "the transport's end")
			within(t, s.closed, "the session's end")

			again, h := connect()
			require.NoError(t, again.Reconnect(ctx, r.url, token, params, "PA_1"))
			s = within(t, r.bridge.opened, "a session at the node")
			require.True(t, s.start.Reconnect)
			require.Equal(t, "PA_1", s.start.ParticipantId)
			require.NotNil(t, h.next(t).GetReconnect())
			again.Start()
			again.Close()
			within(t, h.closed, "the transport's end")

			require.Error(t, again.Join(ctx, r.url, "nonsense", params, nil, webrtc.SessionDescription{}))
			req, err := tc.kind.HTTPRequestForValidate(ctx, "2.18.1", 16, r.url, "nonsense", &params, "")
			require.NoError(t, err)
			res, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			res.Body.Close()
			require.Equal(t, http.StatusUnauthorized, res.StatusCode)
		})
	}
}
