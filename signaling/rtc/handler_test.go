package rtc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	lkauth "github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

func (r *rig) get(path string, q url.Values) (status int, body string) {
	r.t.Helper()
	res, err := http.Get(r.url + path + "?" + q.Encode())
	require.NoError(r.t, err)
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	require.NoError(r.t, err)
	return res.StatusCode, string(content)
}

func TestStartSessionOfTwoPeerConnections(t *testing.T) {
	r := newRig(t)
	grants := r.grants("user:1#phone")
	grants.Name = "Nguyễn Văn Ổi"
	attributes := base64.URLEncoding.EncodeToString([]byte(`{"ghe":"12"}`))
	grants.Video.SetCanUpdateOwnMetadata(true)
	c, s := r.connect("/rtc", url.Values{
		"access_token": {r.token(grants)}, "auto_subscribe": {"0"}, "adaptive_stream": {"1"},
		"subscriber_allow_pause": {"true"}, "disable_ice_lite": {"1"}, "sdk": {"js"}, "version": {"2.23.0"},
		"protocol": {"16"}, "client_protocol": {"2"}, "os": {"Android"}, "os_version": {"14"},
		"device_model": {"Pixel"}, "browser": {"Chrome"}, "browser_version": {"156"}, "network": {"wifi"},
		"capabilities": {"CAP_PACKET_TRAILER, CAP_OF_2050"}, "attributes": {attributes},
	})
	require.NotNil(t, c.read().GetJoin())

	var got lkauth.ClaimGrants
	require.NoError(t, json.Unmarshal([]byte(s.start.GrantsJson), &got))
	require.Equal(t, "user:1#phone", got.Identity)
	require.Equal(t, "hop", got.Video.Room)
	require.Equal(t, map[string]string{"ghe": "12"}, got.Attributes)
	require.True(t, strings.HasPrefix(s.start.ConnectionId, "CO_"))
	require.NotZero(t, s.start.TokenExpiresAt)
	s.start.ConnectionId, s.start.TokenExpiresAt, s.start.GrantsJson = "", 0, ""
	require.Empty(t, diff(&livekit.StartSession{
		RoomName: "hop", Identity: "user:1#phone", Name: "Nguyễn Văn Ổi",
		AdaptiveStream: true, DisableIceLite: true, SubscriberAllowPause: proto.Bool(true),
		CreateRoom: &livekit.CreateRoomRequest{Name: "hop"},
		Client: &livekit.ClientInfo{
			Sdk: livekit.ClientInfo_JS, Version: "2.23.0", Protocol: 16, ClientProtocol: 2, Os: "Android",
			OsVersion: "14", DeviceModel: "Pixel", Browser: "Chrome", BrowserVersion: "156", Network: "wifi",
			Address: "127.0.0.1", Capabilities: []livekit.ClientInfo_Capability{livekit.ClientInfo_CAP_PACKET_TRAILER},
		},
	}, s.start))
}

// diff is empty if the messages are equal.
func diff(want, got proto.Message) string {
	if proto.Equal(want, got) {
		return ""
	}
	return "want " + want.(interface{ String() string }).String() + "\n got " + got.(interface{ String() string }).String()
}

func TestDefaultsAreThoseOfStockServers(t *testing.T) {
	r := newRig(t)
	_, s := r.connect("/rtc", r.query("a"))
	require.True(t, s.start.AutoSubscribe)
	require.False(t, s.start.AdaptiveStream)
	require.False(t, s.start.UseSinglePeerConnection)
	require.Nil(t, s.start.SubscriberAllowPause)
	require.Nil(t, s.start.PublisherOffer)
}

func TestResumeParameters(t *testing.T) {
	r := newRig(t)
	q := r.query("a")
	q.Set("reconnect", "1")
	q.Set("reconnect_reason", "2")
	q.Set("sid", "PA_old")
	c, s := r.connect("/rtc", q)
	require.NotNil(t, c.read().GetReconnect())
	require.NotEmpty(t, c.read().GetRefreshToken())
	require.True(t, s.start.Reconnect)
	require.Equal(t, "PA_old", s.start.ParticipantId)
	require.Equal(t, livekit.ReconnectReason_RR_PUBLISHER_FAILED, s.start.ReconnectReason)
}

func TestJoinRequest(t *testing.T) {
	r := newRig(t)
	join := &livekit.JoinRequest{
		ClientInfo:            &livekit.ClientInfo{Sdk: livekit.ClientInfo_JS, Version: "2.23.0", Os: strings.Repeat("x", 500)},
		ConnectionSettings:    &livekit.ConnectionSettings{AutoSubscribe: true, AdaptiveStream: true, SubscriberAllowPause: proto.Bool(false)},
		Metadata:              "meta",
		ParticipantAttributes: map[string]string{"k": "v", "empty": ""},
		AddTrackRequests:      []*livekit.AddTrackRequest{{Cid: "mic"}},
		PublisherOffer:        &livekit.SessionDescription{Type: "offer", Sdp: "v=0"},
		Reconnect:             true, ParticipantSid: "PA_2", ReconnectReason: livekit.ReconnectReason_RR_SWITCH_CANDIDATE,
		SyncState: &livekit.SyncState{TrackSidsDisabled: []string{"TR_1"}},
	}
	for _, path := range []string{"/rtc", "/rtc/v1"} {
		for name, compression := range livekit.WrappedJoinRequest_Compression_value {
			t.Run(path+" "+name, func(t *testing.T) {
				grants := r.grants("a")
				grants.Video.SetCanUpdateOwnMetadata(true)
				_, s := r.connect(path, url.Values{
					"access_token": {r.token(grants)},
					"join_request": {wrapJoin(t, join, livekit.WrappedJoinRequest_Compression(compression))},
				})
				require.True(t, s.start.UseSinglePeerConnection)
				require.True(t, s.start.AutoSubscribe)
				require.True(t, s.start.AdaptiveStream)
				require.False(t, *s.start.SubscriberAllowPause)
				require.Equal(t, "mic", s.start.AddTrackRequests[0].Cid)
				require.Equal(t, "v=0", s.start.PublisherOffer.Sdp)
				require.True(t, s.start.Reconnect)
				require.Equal(t, "PA_2", s.start.ParticipantId)
				require.Equal(t, livekit.ReconnectReason_RR_SWITCH_CANDIDATE, s.start.ReconnectReason)
				require.Equal(t, []string{"TR_1"}, s.start.SyncState.TrackSidsDisabled)
				require.Len(t, s.start.Client.Os, maxClientField)
				require.Equal(t, "127.0.0.1", s.start.Client.Address)
				var got lkauth.ClaimGrants
				require.NoError(t, json.Unmarshal([]byte(s.start.GrantsJson), &got))
				require.Equal(t, "meta", got.Metadata)
				require.Equal(t, map[string]string{"k": "v"}, got.Attributes)
			})
		}
	}
}

func TestEmptyPublisherOfferIsNone(t *testing.T) {
	r := newRig(t)
	q := r.query("a")
	q.Set("join_request", wrapJoin(t, &livekit.JoinRequest{PublisherOffer: &livekit.SessionDescription{Type: "unknown"}}, livekit.WrappedJoinRequest_GZIP))
	_, s := r.connect("/rtc/v1", q)
	require.Nil(t, s.start.PublisherOffer)
	require.NotNil(t, s.start.Client)
}

// Each refusal is the same before the upgrade and at validate, where stock
// clients look for it, and none of them reaches the node.
func TestRefusals(t *testing.T) {
	r := newRig(t)
	token := func(change func(*lkauth.ClaimGrants)) url.Values {
		g := r.grants("a")
		change(g)
		return url.Values{"access_token": {r.token(g)}}
	}
	plus := func(q url.Values, key, value string) url.Values { q.Set(key, value); return q }
	joinMeta := wrapJoin(t, &livekit.JoinRequest{Metadata: "m"}, livekit.WrappedJoinRequest_NONE)
	odd, err := proto.Marshal(&livekit.WrappedJoinRequest{Compression: 9})
	require.NoError(t, err)
	bomb, err := proto.Marshal(&livekit.WrappedJoinRequest{
		Compression: livekit.WrappedJoinRequest_GZIP, JoinRequest: gzipped(t, make([]byte, 8<<20)),
	})
	require.NoError(t, err)
	b64 := base64.URLEncoding.EncodeToString

	tests := map[string]struct {
		path   string
		query  url.Values
		status int
		text   string
	}{
		"no token":           {"/rtc", url.Values{}, 401, "no access token"},
		"no token on v1":     {"/rtc/v1", url.Values{}, 401, "no access token"},
		"garbage token":      {"/rtc", url.Values{"access_token": {"x"}}, 401, "malformed"},
		"no join grant":      {"/rtc", token(func(g *lkauth.ClaimGrants) { g.Video.RoomJoin = false }), 403, "not grant joining"},
		"another room":       {"/rtc", plus(r.query("a"), "room", "hop2"), 403, "another room"},
		"empty identity":     {"/rtc", r.query(""), 403, "identity is empty"},
		"v1 without request": {"/rtc/v1", r.query("a"), 400, "join_request is required"},
		"not base64":         {"/rtc/v1", plus(r.query("a"), "join_request", "?"), 400, "base64url"},
		"not a message":      {"/rtc/v1", plus(r.query("a"), "join_request", b64([]byte{0xff, 0xff})), 400, "WrappedJoinRequest"},
		"odd compression":    {"/rtc/v1", plus(r.query("a"), "join_request", b64(odd)), 400, "unknown compression"},
		"decompression bomb": {"/rtc/v1", plus(r.query("a"), "join_request", b64(bomb)), 400, "too large"},
		"own metadata":       {"/rtc", plus(r.query("a"), "join_request", joinMeta), 403, "own metadata"},
		"own attributes":     {"/rtc", plus(r.query("a"), "attributes", b64([]byte(`{"a":"b"}`))), 403, "own metadata"},
		"bad attributes":     {"/rtc", plus(r.query("a"), "attributes", b64([]byte(`[1]`))), 400, "attributes"},
		"publish as a user":  {"/rtc", plus(r.query("user:1"), "publish", "x"), 403, "only to publish"},
		"publish, no grant": {"/rtc", plus(token(func(g *lkauth.ClaimGrants) { g.Video.SetCanPublish(false) }),
			"publish", "x"), 403, "not allow publishing"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, res, err := r.dial(tc.path, tc.query)
			require.Error(t, err)
			require.NotNil(t, res)
			require.Equal(t, tc.status, res.StatusCode)
			status, body := r.get(tc.path+"/validate", tc.query)
			require.Equal(t, tc.status, status)
			require.Contains(t, body, tc.text)
		})
	}
	require.Empty(t, r.bridge.opened)
	require.NotContains(t, r.logs.String(), "access_token=")
}

func TestValidateSucceeds(t *testing.T) {
	r := newRig(t)
	status, body := r.get("/rtc/validate", r.query("a"))
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "success", body)
	q := r.query("a")
	q.Set("join_request", wrapJoin(t, &livekit.JoinRequest{}, livekit.WrappedJoinRequest_GZIP))
	status, body = r.get("/rtc/v1/validate", q)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "success", body)
	require.Empty(t, r.bridge.opened, "validate must not open a session")
}

func TestPlainRequestIsTold(t *testing.T) {
	r := newRig(t)
	status, _ := r.get("/rtc", r.query("a"))
	require.Equal(t, http.StatusUpgradeRequired, status)
	require.Empty(t, r.bridge.opened)
}

func TestOpenErrors(t *testing.T) {
	r := newRig(t)
	for name, tc := range map[string]struct {
		err    error
		status int
		body   string
	}{
		"unknown room": {&OpenError{404, "requested room does not exist"}, 404, "requested room does not exist"},
		"draining":     {&OpenError{503, "node is draining"}, 503, "node is draining"},
		"no status":    {&OpenError{0, "secret detail"}, 500, "internal error"},
		"internal":     {io.ErrUnexpectedEOF, 500, "internal error"},
		"timeout":      {context.DeadlineExceeded, 503, "did not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			r.bridge.fail(tc.err)
			_, res, err := r.dial("/rtc", r.query("a"))
			require.Error(t, err)
			require.Equal(t, tc.status, res.StatusCode)
			status, body := r.get("/rtc/validate", r.query("a"))
			require.Equal(t, tc.status, status)
			require.Contains(t, body, tc.body)
			require.NotContains(t, body, "secret")
		})
	}
}

func TestFailedUpgradeClosesSession(t *testing.T) {
	r := newRig(t)
	req, err := http.NewRequest(http.MethodGet, r.url+"/rtc?"+r.query("a").Encode(), nil)
	require.NoError(t, err)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
	req.Header.Set("Sec-WebSocket-Version", "12")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, http.StatusBadRequest, res.StatusCode)
	s := within(t, r.bridge.opened, "a session at the node")
	within(t, s.closed, "the session's end")
}

func TestRefusalsAreCounted(t *testing.T) {
	r := newRig(t)
	for range 3 {
		_, _, err := r.dial("/rtc", url.Values{})
		require.Error(t, err)
	}
	require.Equal(t, 3.0, r.counter("diemcau_signal_refusals_total", "token_missing"))
}

func TestPublishOnlyConnection(t *testing.T) {
	r := newRig(t)
	q := r.query("a")
	q.Set("publish", "screen")
	_, s := r.connect("/rtc", q)
	require.Equal(t, "a#screen", s.start.Identity)
	var got lkauth.ClaimGrants
	require.NoError(t, json.Unmarshal([]byte(s.start.GrantsJson), &got))
	require.False(t, got.Video.GetCanSubscribe())
}
