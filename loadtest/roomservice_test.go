package loadtest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/stretchr/testify/require"
	"github.com/twitchtv/twirp"
)

// admin returns the stock server SDK's client of the server under test.
func admin(t testing.TB) *lksdk.RoomServiceClient {
	srv := server(t)
	return lksdk.NewRoomServiceClient(srv.URL, srv.Key, srv.Secret)
}

// requireCode fails the test unless err is a Twirp error of that code.
func requireCode(t testing.TB, code twirp.ErrorCode, err error) {
	t.Helper()
	var e twirp.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.Code(), "%v", err)
}

// getsNothingMore waits until nothing of the track has come for a second.
func (p *peer) getsNothingMore(trackSID string) {
	p.t.Helper()
	r := p.receives(trackSID)
	until(p.t, 10*time.Second, func() bool {
		before := r.account.Stats().Packets
		return !within(time.Second, func() bool { return r.account.Stats().Packets > before })
	}, func() string { return p.identity() + " gets media of " + trackSID })
}

func TestAdminRooms(t *testing.T) {
	t.Parallel()
	ctx, rooms, name := t.Context(), admin(t), roomName(t)
	made, err := rooms.CreateRoom(ctx, &livekit.CreateRoomRequest{Name: name, EmptyTimeout: 600, DepartureTimeout: 30, MaxParticipants: 2, Metadata: "first"})
	require.NoError(t, err)
	require.NotEmpty(t, made.Sid)
	require.Equal(t, []uint32{600, 30, 2, 0}, []uint32{made.EmptyTimeout, made.DepartureTimeout, made.MaxParticipants, made.NumParticipants})
	again, err := rooms.CreateRoom(ctx, &livekit.CreateRoomRequest{Name: name, Metadata: "second"})
	require.NoError(t, err)
	require.Equal(t, made.Sid, again.Sid)
	require.Equal(t, "first", again.Metadata, "a room that exists is left as it is")

	an, bich := join(t, name, "an"), join(t, name, "bich")
	require.Equal(t, made.Sid, an.room.SID())
	require.Equal(t, "first", an.room.Metadata())
	chi := dialRoom(t, name, "chi", nil)
	chi.await("a refusal", func(r *livekit.SignalResponse) bool {
		return r.GetLeave().GetReason() == livekit.DisconnectReason_JOIN_FAILURE
	})
	join(t, name, "recorder", withGrant(func(g *auth.VideoGrant) { g.Recorder, g.Hidden = true, true }))

	list, err := rooms.ListRooms(ctx, &livekit.ListRoomsRequest{Names: []string{name, "no such room"}})
	require.NoError(t, err)
	require.Len(t, list.Rooms, 1)
	require.EqualValues(t, 2, list.Rooms[0].NumParticipants, "a hidden recorder is not counted")
	require.True(t, list.Rooms[0].ActiveRecording)
	everybody, err := rooms.ListParticipants(ctx, &livekit.ListParticipantsRequest{Room: name})
	require.NoError(t, err)
	require.Len(t, everybody.Participants, 3)

	updated, err := rooms.UpdateRoomMetadata(ctx, &livekit.UpdateRoomMetadataRequest{Room: name, Metadata: "agenda"})
	require.NoError(t, err)
	require.Equal(t, "agenda", updated.Metadata)
	until(t, 5*time.Second, func() bool { return an.room.Metadata() == "agenda" && bich.room.Metadata() == "agenda" },
		func() string { return "everybody has the room's metadata" })
	_, err = rooms.UpdateRoomMetadata(ctx, &livekit.UpdateRoomMetadataRequest{Room: "no such room"})
	requireCode(t, twirp.NotFound, err)
}

func TestAdminDeletesARoom(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		ctx, rooms, name := t.Context(), admin(t), roomName(t)
		an, bich := join(t, name, "an", withMode(m)), join(t, name, "bich", withMode(m))
		raw := dialRoom(t, name, "chi", nil)
		raw.awaitJoin()
		pub, _ := bich.publishTone(30)
		an.receives(pub.SID()).flows(t, 20)
		sid := an.room.SID()
		_, err := rooms.DeleteRoom(ctx, &livekit.DeleteRoomRequest{Room: name})
		require.NoError(t, err)
		raw.await("leave", func(r *livekit.SignalResponse) bool {
			return r.GetLeave().GetReason() == livekit.DisconnectReason_ROOM_DELETED && r.GetLeave().GetAction() == livekit.LeaveRequest_DISCONNECT
		})
		an.told("Disconnected", "", "")
		bich.told("Disconnected", "", "")
		an.getsNothingMore(pub.SID())
		list, err := rooms.ListRooms(ctx, &livekit.ListRoomsRequest{Names: []string{name}})
		require.NoError(t, err)
		require.Empty(t, list.Rooms)
		_, err = rooms.DeleteRoom(ctx, &livekit.DeleteRoomRequest{Room: name})
		requireCode(t, twirp.NotFound, err)
		require.NotEqual(t, sid, join(t, name, "an", withMode(m)).room.SID(), "the name may be used again")
	})
}

func TestAdminRemovesAParticipant(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		ctx, rooms, name := t.Context(), admin(t), roomName(t)
		an, bich, chi := join(t, name, "an", withMode(m)), join(t, name, "bich", withMode(m)), join(t, name, "chi", withMode(m))
		fromAn, _ := an.publishTone(30)
		fromBich, _ := bich.publishTone(30)
		bich.receives(fromAn.SID()).flows(t, 20)
		an.receives(fromBich.SID()).flows(t, 20)

		_, err := rooms.RemoveParticipant(ctx, &livekit.RoomParticipantIdentity{Room: name, Identity: "bich"})
		require.NoError(t, err)
		bich.told("Disconnected", "", string(lksdk.ParticipantRemoved))
		an.told("ParticipantDisconnected", "bich", "")
		bich.getsNothingMore(fromAn.SID())
		an.getsNothingMore(fromBich.SID())
		chi.receives(fromAn.SID()).flows(t, 20) // the others go on

		// Its token gives nothing back, nor one of this minute.
		_, err = tryJoin(t, name, "bich", withMode(m))
		require.Error(t, err)
		status, body := get(t, "/rtc/validate", mint(t, name, "bich", nil))
		require.Equal(t, http.StatusUnauthorized, status)
		require.Contains(t, body, "revoked")
		status, _ = get(t, "/rtc/validate", mint(t, name+"-other", "bich", nil))
		require.Equal(t, http.StatusOK, status, "another room is another matter")
		_, err = rooms.RemoveParticipant(ctx, &livekit.RoomParticipantIdentity{Room: name, Identity: "bich"})
		requireCode(t, twirp.NotFound, err)

		// With a time of the caller's own, tokens from after it are good.
		_, err = rooms.RemoveParticipant(ctx, &livekit.RoomParticipantIdentity{Room: name, Identity: "chi", RevokeTokenTs: 1})
		require.NoError(t, err)
		chi.told("Disconnected", "", string(lksdk.ParticipantRemoved))
		join(t, name, "chi", withMode(m))
	})
}

func TestAdminMutes(t *testing.T) {
	t.Parallel()
	ctx, rooms, name := t.Context(), admin(t), roomName(t)
	an, bich := join(t, name, "an"), join(t, name, "bich")
	pub, _ := an.publishTone(30)
	bich.receives(pub.SID()).flows(t, 20)
	req := &livekit.MuteRoomTrackRequest{Room: name, Identity: "an", TrackSid: pub.SID(), Muted: true}
	res, err := rooms.MutePublishedTrack(ctx, req)
	require.NoError(t, err)
	require.True(t, res.Track.Muted)
	bich.told("TrackMuted", "an", pub.SID())
	until(t, 5*time.Second, pub.IsMuted, func() string { return "the publisher mutes itself" })
	bich.getsNothingMore(pub.SID())
	req.Muted = false
	_, err = rooms.MutePublishedTrack(ctx, req)
	requireCode(t, twirp.FailedPrecondition, err)
	pub.SetMuted(false) // its owner may
	bich.receives(pub.SID()).flows(t, 20)
	req.Muted, req.TrackSid = true, "TR_nothing"
	_, err = rooms.MutePublishedTrack(ctx, req)
	requireCode(t, twirp.NotFound, err)
}

func TestAdminUpdatesAParticipant(t *testing.T) {
	t.Parallel()
	ctx, rooms, name := t.Context(), admin(t), roomName(t)
	join(t, name, "an")
	bich := join(t, name, "bich")
	info, err := rooms.UpdateParticipant(ctx, &livekit.UpdateParticipantRequest{
		Room: name, Identity: "an", Name: "Bà An", Metadata: "chair", Attributes: map[string]string{"hand": "up", "seat": "1"},
	})
	require.NoError(t, err)
	require.Equal(t, []string{"Bà An", "chair", "up"}, []string{info.Name, info.Metadata, info.Attributes["hand"]})
	an := bich.sees("an")
	until(t, 5*time.Second, func() bool {
		return an.Name() == "Bà An" && an.Metadata() == "chair" && an.Attributes()["hand"] == "up"
	},
		func() string { return "the others are told" })
	_, err = rooms.UpdateParticipant(ctx, &livekit.UpdateParticipantRequest{Room: name, Identity: "an", Attributes: map[string]string{"hand": ""}})
	require.NoError(t, err)
	until(t, 5*time.Second, func() bool {
		return an.Attributes()["hand"] == "" && an.Attributes()["seat"] == "1" && an.Name() == "Bà An"
	},
		func() string { return "an empty attribute goes, the rest stays" })
	_, err = rooms.UpdateParticipant(ctx, &livekit.UpdateParticipantRequest{Room: name, Identity: "an", Metadata: strings.Repeat("x", 70_000)})
	requireCode(t, twirp.InvalidArgument, err)
	_, err = rooms.UpdateParticipant(ctx, &livekit.UpdateParticipantRequest{Room: name, Identity: "nobody", Name: "x"})
	requireCode(t, twirp.NotFound, err)
}

// permit changes one participant's permission by the API.
func permit(t testing.TB, room, identity string, change func(*livekit.ParticipantPermission)) {
	t.Helper()
	ctx, rooms := t.Context(), admin(t)
	info, err := rooms.GetParticipant(ctx, &livekit.RoomParticipantIdentity{Room: room, Identity: identity})
	require.NoError(t, err)
	change(info.Permission)
	_, err = rooms.UpdateParticipant(ctx, &livekit.UpdateParticipantRequest{Room: room, Identity: identity, Permission: info.Permission})
	require.NoError(t, err)
}

func TestAdminTakesAndGivesPermissions(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		name := roomName(t)
		an, bich := join(t, name, "an", withMode(m)), join(t, name, "bich", withMode(m))
		pub, _ := an.publishTone(30)
		bich.receives(pub.SID()).flows(t, 20)

		permit(t, name, "bich", func(p *livekit.ParticipantPermission) { p.CanSubscribe = false })
		bich.getsNothingMore(pub.SID())
		permit(t, name, "bich", func(p *livekit.ParticipantPermission) { p.CanSubscribe = true })
		until(t, 10*time.Second, func() bool { return bich.count("TrackSubscribed", "an", pub.SID()) == 2 },
			func() string { return "the subscription comes back" })
		bich.receives(pub.SID()).flows(t, 20)

		permit(t, name, "an", func(p *livekit.ParticipantPermission) { p.CanPublish = false })
		bich.told("TrackUnpublished", "an", pub.SID())
		bich.getsNothingMore(pub.SID())
		until(t, 5*time.Second, func() bool { return len(an.room.LocalParticipant.TrackPublications()) == 0 },
			func() string { return "the publisher takes the track down" })
		require.False(t, an.room.LocalParticipant.Permissions().CanPublish)
		permit(t, name, "an", func(p *livekit.ParticipantPermission) { p.CanPublish = true })
		pub, _ = an.publishTone(30)
		bich.receives(pub.SID()).flows(t, 20)

		permit(t, name, "an", func(p *livekit.ParticipantPermission) { p.Hidden = true })
		bich.told("ParticipantDisconnected", "an", "")
		bich.getsNothingMore(pub.SID())
		before := bich.count("TrackSubscribed", "an", "")
		permit(t, name, "an", func(p *livekit.ParticipantPermission) { p.Hidden = false })
		until(t, 10*time.Second, func() bool { return bich.count("TrackSubscribed", "an", "") > before },
			func() string { return "who is hidden no more is seen and heard" })
		bich.receives(pub.SID()).flows(t, 20)
	})
}

func TestAdminSubscriptions(t *testing.T) {
	t.Parallel()
	ctx, rooms, name := t.Context(), admin(t), roomName(t)
	an, bich := join(t, name, "an"), join(t, name, "bich")
	pub, _ := an.publishTone(30)
	bich.receives(pub.SID()).flows(t, 20)
	req := &livekit.UpdateSubscriptionsRequest{Room: name, Identity: "bich", TrackSids: []string{pub.SID()}}
	_, err := rooms.UpdateSubscriptions(ctx, req)
	require.NoError(t, err)
	bich.getsNothingMore(pub.SID())
	req.Subscribe = true
	_, err = rooms.UpdateSubscriptions(ctx, req)
	require.NoError(t, err)
	until(t, 10*time.Second, func() bool { return bich.count("TrackSubscribed", "an", pub.SID()) == 2 },
		func() string { return "the subscription comes back" })
	bich.receives(pub.SID()).flows(t, 20)
	req.TrackSids = []string{pub.SID(), "TR_nothing"}
	_, err = rooms.UpdateSubscriptions(ctx, req)
	requireCode(t, twirp.NotFound, err)
}

func TestAdminSendsData(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		ctx, rooms, name := t.Context(), admin(t), roomName(t)
		an, bich := join(t, name, "an", withMode(m)), join(t, name, "bich", withMode(m))
		an.awaitData(bich)
		bich.awaitData(an)
		topic := "news"
		_, err := rooms.SendData(ctx, &livekit.SendDataRequest{Room: name, Data: []byte("to all"), Topic: &topic, Nonce: bytes.Repeat([]byte{7}, 16)})
		require.NoError(t, err)
		_, err = rooms.SendData(ctx, &livekit.SendDataRequest{Room: name, Data: []byte("to an"), Topic: &topic, DestinationIdentities: []string{"an"}})
		require.NoError(t, err)
		_, err = rooms.SendData(ctx, &livekit.SendDataRequest{Room: name, Data: []byte("to bich"), Topic: &topic, DestinationSids: []string{bich.room.LocalParticipant.SID()}})
		require.NoError(t, err)
		_, err = rooms.SendData(ctx, &livekit.SendDataRequest{Room: name, Data: []byte("lossy"), Kind: livekit.DataPacket_LOSSY})
		require.NoError(t, err)
		until(t, 5*time.Second, func() bool { return len(an.messages()) == 3 && len(bich.messages()) == 3 },
			func() string { return "each gets three packets" })
		require.Contains(t, an.messages(), dataMessage{"", "news", "to all"})
		require.Contains(t, an.messages(), dataMessage{"", "news", "to an"})
		require.Contains(t, bich.messages(), dataMessage{"", "news", "to bich"})
		require.Contains(t, bich.messages(), dataMessage{"", "", "lossy"})
		_, err = rooms.SendData(ctx, &livekit.SendDataRequest{Room: name, Data: make([]byte, 65_000)})
		requireCode(t, twirp.InvalidArgument, err)
	})
}

func TestAdminCallsAClient(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		name := roomName(t)
		an, bich := join(t, name, "an", withMode(m)), join(t, name, "bich", withMode(m))
		an.awaitData(bich)
		bich.awaitData(an)
		require.NoError(t, an.room.RegisterRpcMethod("greet", func(d lksdk.RpcInvocationData) (string, error) { return "hello " + d.Payload, nil }))
		require.NoError(t, an.room.RegisterRpcMethod("fail", func(lksdk.RpcInvocationData) (string, error) {
			return "", &lksdk.RpcError{Code: 101, Message: "not today"}
		}))
		srv := server(t)
		rooms := livekit.NewRoomServiceProtobufClient(srv.URL, http.DefaultClient) // the SDK does not have this method
		jwt, err := auth.NewAccessToken(srv.Key, srv.Secret).SetVideoGrant(&auth.VideoGrant{RoomAdmin: true, Room: name}).ToJWT()
		require.NoError(t, err)
		ctx, err := twirp.WithHTTPRequestHeaders(t.Context(), http.Header{"Authorization": {"Bearer " + jwt}})
		require.NoError(t, err)
		call := func(identity, method string) (*livekit.PerformRpcResponse, error) {
			return rooms.PerformRpc(ctx, &livekit.PerformRpcRequest{Room: name, DestinationIdentity: identity, Method: method, Payload: "an"})
		}
		res, err := call("an", "greet")
		require.NoError(t, err)
		require.Equal(t, "hello an", res.Payload)
		_, err = call("an", "fail")
		require.ErrorContains(t, err, "not today")
		_, err = call("bich", "greet")
		requireCode(t, twirp.InvalidArgument, err) // no such method there
		_, err = call("nobody", "greet")
		requireCode(t, twirp.NotFound, err)
	})
}

func TestAdminMovesAParticipant(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		ctx, rooms, name := t.Context(), admin(t), roomName(t)
		an, bich := join(t, name, "an", withMode(m)), join(t, name, "bich", withMode(m))
		there := join(t, name+"-2", "chi", withMode(m))
		permit(t, name, "an", func(p *livekit.ParticipantPermission) {
			p.CanPublishSources = []livekit.TrackSource{livekit.TrackSource_MICROPHONE}
		})
		_, err := rooms.MoveParticipant(ctx, &livekit.MoveParticipantRequest{Room: name, Identity: "an", DestinationRoom: name + "-2"})
		require.NoError(t, err)
		bich.told("ParticipantDisconnected", "an", "")
		there.told("ParticipantConnected", "an", "")
		an.told("Reconnected", "", "")
		info, err := rooms.GetParticipant(ctx, &livekit.RoomParticipantIdentity{Room: name + "-2", Identity: "an"})
		require.NoError(t, err)
		require.Equal(t, []livekit.TrackSource{livekit.TrackSource_MICROPHONE}, info.Permission.CanPublishSources, "it has the permissions it had")
	})
}

// twirpCall sends a request by hand and returns the status and the error code.
func twirpCall(t testing.TB, method, token, contentType string, body []byte) (status int, code, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, signalURL(t, "http", "/twirp/livekit.RoomService/"+method, nil), bytes.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", contentType)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	var failure struct{ Code string }
	require.NoError(t, json.Unmarshal(b, &failure), "%s", b)
	return resp.StatusCode, failure.Code, string(b)
}

// adminMethods are all methods with a request that names the room.
var adminMethods = map[string]func(room string) string{
	"CreateRoom":          func(room string) string { return `{"name":"` + room + `"}` },
	"ListRooms":           func(string) string { return `{}` },
	"DeleteRoom":          func(room string) string { return `{"room":"` + room + `"}` },
	"ListParticipants":    func(room string) string { return `{"room":"` + room + `"}` },
	"GetParticipant":      aboutAn,
	"RemoveParticipant":   aboutAn,
	"MutePublishedTrack":  aboutAn,
	"UpdateParticipant":   aboutAn,
	"UpdateSubscriptions": aboutAn,
	"SendData":            func(room string) string { return `{"room":"` + room + `","data":"eA=="}` },
	"UpdateRoomMetadata":  func(room string) string { return `{"room":"` + room + `","metadata":"broken into"}` },
	"ForwardParticipant":  toOther,
	"MoveParticipant":     toOther,
	"PerformRpc":          func(room string) string { return `{"room":"` + room + `","destination_identity":"an","method":"x"}` },
}

func aboutAn(room string) string { return `{"room":"` + room + `","identity":"an"}` }

func toOther(room string) string {
	return `{"room":"` + room + `","identity":"an","destination_room":"other"}`
}

// TestAdminNeedsItsGrant tries every method with every kind of token that must
// not do, and then looks whether anything happened.
func TestAdminNeedsItsGrant(t *testing.T) {
	t.Parallel()
	srv, room := server(t), roomName(t)
	an := join(t, room, "an")
	token := func(secret string, ttl time.Duration, g *auth.VideoGrant) string {
		at := auth.NewAccessToken(srv.Key, secret).SetIdentity("intruder").SetValidFor(ttl)
		if g != nil {
			at.SetVideoGrant(g)
		}
		jwt, err := at.ToJWT()
		require.NoError(t, err)
		return jwt
	}
	everything := &auth.VideoGrant{RoomCreate: true, RoomList: true, RoomAdmin: true, Room: room, DestinationRoom: "other"}
	now := time.Now().Unix()
	expired := claims(t, srv.Secret, map[string]any{"iss": srv.Key, "sub": "intruder", "nbf": now - 7200, "exp": now - 3600, "video": everything})
	joining := token(srv.Secret, time.Minute, &auth.VideoGrant{RoomJoin: true, Room: room})
	otherRoom := token(srv.Secret, time.Minute, &auth.VideoGrant{RoomAdmin: true, Room: room + "x", DestinationRoom: "other"})
	otherDestination := token(srv.Secret, time.Minute, &auth.VideoGrant{RoomAdmin: true, Room: room, DestinationRoom: "elsewhere"})
	onlyAdmin := token(srv.Secret, time.Minute, &auth.VideoGrant{RoomAdmin: true, Room: room})
	for method, body := range adminMethods {
		for name, c := range map[string]struct {
			token, code string
			status      int
		}{
			"no token":     {"", "unauthenticated", http.StatusUnauthorized},
			"garbage":      {"not.a.token", "unauthenticated", http.StatusUnauthorized},
			"wrong secret": {token("another-secret-another-secret-another", time.Minute, everything), "unauthenticated", http.StatusUnauthorized},
			"expired":      {expired, "unauthenticated", http.StatusUnauthorized},
			"no grant":     {token(srv.Secret, time.Minute, nil), "permission_denied", http.StatusForbidden},
			"participant":  {joining, "permission_denied", http.StatusForbidden},
			"other room":   {otherRoom, "permission_denied", http.StatusForbidden},
		} {
			status, code, text := twirpCall(t, method, c.token, "application/json", []byte(body(room)))
			require.Equal(t, c.code, code, "%s with %s: %s", method, name, text)
			require.Equal(t, c.status, status, "%s with %s", method, name)
			require.NotContains(t, text, srv.Secret)
		}
	}
	for _, method := range []string{"ForwardParticipant", "MoveParticipant"} {
		for _, tok := range []string{otherDestination, onlyAdmin} {
			_, code, _ := twirpCall(t, method, tok, "application/json", []byte(toOther(room)))
			require.Equal(t, "permission_denied", code, method)
		}
	}
	for _, method := range []string{"CreateRoom", "DeleteRoom", "ListRooms"} {
		_, code, _ := twirpCall(t, method, onlyAdmin, "application/json", []byte(adminMethods[method](room)))
		require.Equal(t, "permission_denied", code, method)
	}
	require.Equal(t, lksdk.ConnectionStateConnected, an.room.ConnectionState())
	require.Empty(t, an.room.Metadata())
	_, err := admin(t).GetParticipant(t.Context(), &livekit.RoomParticipantIdentity{Room: room, Identity: "an"})
	require.NoError(t, err)
}

func TestAdminRefusesBadRequests(t *testing.T) {
	t.Parallel()
	srv, room := server(t), roomName(t)
	jwt, err := auth.NewAccessToken(srv.Key, srv.Secret).SetVideoGrant(&auth.VideoGrant{RoomCreate: true, RoomAdmin: true, Room: room}).ToJWT()
	require.NoError(t, err)
	large := []byte(`{"name":"` + strings.Repeat("x", 300<<10) + `"}`)
	for _, c := range []struct {
		name, method, contentType string
		body                      []byte
		code                      string
	}{
		{"garbage as JSON", "CreateRoom", "application/json", []byte("{{{"), "malformed"},
		{"garbage as protobuf", "CreateRoom", "application/protobuf", []byte{0xff, 0xff, 0xff}, "malformed"},
		{"another type", "CreateRoom", "text/plain", []byte("name=x"), "bad_route"},
		{"no such method", "Destroy", "application/json", []byte("{}"), "bad_route"},
		{"too large", "CreateRoom", "application/json", large, "invalid_argument"},
		{"no name", "CreateRoom", "application/json", []byte("{}"), "invalid_argument"},
		{"long name", "CreateRoom", "application/json", []byte(`{"name":"` + strings.Repeat("x", 257) + `"}`), "invalid_argument"},
		{"name of control characters", "CreateRoom", "application/json", []byte(`{"name":"a\u0007"}`), "invalid_argument"},
		{"short nonce", "SendData", "application/json", []byte(`{"room":"` + room + `","nonce":"eA=="}`), "invalid_argument"},
		{"long metadata", "CreateRoom", "application/json", []byte(`{"name":"a","metadata":"` + strings.Repeat("x", 65_000) + `"}`), "invalid_argument"},
		{"no such room", "DeleteRoom", "application/json", []byte(`{"room":"no such room"}`), "not_found"},
		{"no such participant", "GetParticipant", "application/json", []byte(aboutAn(room)), "not_found"},
	} {
		_, code, text := twirpCall(t, c.method, jwt, c.contentType, c.body)
		require.Equal(t, c.code, code, "%s: %s", c.name, text)
	}
	status, code, _ := twirpCall(t, "CreateRoom", jwt, "application/json", []byte(`{"name":"`+room+`","emptyTimeout":60}`))
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, code)
}
