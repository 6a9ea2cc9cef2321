package roomservice

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	lkauth "github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/psrpc"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"diemcau/signaling/auth"
)

const (
	key    = "testkey"
	secret = "0123456789abcdef0123456789abcdef"
)

// rooms is a Rooms that does as its fields say and notes what it was asked.
type rooms struct {
	Rooms // what a test does not expect panics
	err   error
	asked []string
	also  func(method string)
	token string
}

func (r *rooms) note(method string) error {
	r.asked = append(r.asked, method)
	if r.also != nil {
		r.also(method)
	}
	return r.err
}

func (r *rooms) ListRooms(ctx context.Context, _ []string) ([]*livekit.Room, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		return nil, errors.New("no deadline")
	}
	return nil, r.note("ListRooms")
}

func (r *rooms) GetParticipant(_ context.Context, _, identity string) (*livekit.ParticipantInfo, error) {
	return &livekit.ParticipantInfo{Identity: identity, Name: "An", Permission: &livekit.ParticipantPermission{CanSubscribe: true, Hidden: true},
		Attributes: map[string]string{"seat": "1"}, KindDetails: []livekit.ParticipantInfo_KindDetail{livekit.ParticipantInfo_BRIDGE_RTSP}}, r.note("GetParticipant")
}

func (r *rooms) RemoveParticipant(context.Context, string, string) error {
	return r.note("RemoveParticipant")
}

func (r *rooms) MoveParticipant(_ context.Context, _, _, _, token string) error {
	r.token = token
	return r.note("MoveParticipant")
}

func newHandler(t *testing.T, r Rooms) (*Handler, *auth.Verifier) {
	t.Helper()
	v, err := auth.NewVerifier(map[string]string{key: secret})
	require.NoError(t, err)
	h, err := New(Options{Auth: v, Rooms: r, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()})
	require.NoError(t, err)
	return h, v
}

func token(t *testing.T, g *lkauth.VideoGrant) string {
	t.Helper()
	jwt, err := lkauth.NewAccessToken(key, secret).SetIdentity("api").SetVideoGrant(g).ToJWT()
	require.NoError(t, err)
	return jwt
}

// call makes a JSON request and returns the status, the error code and its text.
func call(h http.Handler, method, jwt string, body io.Reader) (status int, code, msg string) {
	r := httptest.NewRequest(http.MethodPost, PathPrefix+method, body)
	r.Header.Set("Content-Type", "application/json")
	if jwt != "" {
		r.Header.Set("Authorization", "Bearer "+jwt)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var failure struct{ Code, Msg string }
	_ = json.Unmarshal(w.Body.Bytes(), &failure) // an answer without an error has neither
	return w.Code, failure.Code, failure.Msg
}

func TestErrorsOfRooms(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		code   string
		msg    string
	}{
		{nil, http.StatusOK, "", ""},
		{psrpc.NewErrorf(psrpc.NotFound, "requested room does not exist"), http.StatusNotFound, "not_found", "requested room does not exist"},
		{psrpc.NewErrorf(psrpc.FailedPrecondition, "not now"), http.StatusPreconditionFailed, "failed_precondition", "not now"},
		{context.DeadlineExceeded, http.StatusRequestTimeout, "deadline_exceeded", "the room did not answer in time"},
		{errors.New("something secret"), http.StatusInternalServerError, "internal", "internal error"},
	} {
		h, _ := newHandler(t, &rooms{err: c.err})
		status, code, msg := call(h, "ListRooms", token(t, &lkauth.VideoGrant{RoomList: true}), strings.NewReader("{}"))
		require.Equal(t, c.status, status, "%v", c.err)
		require.Equal(t, c.code, code)
		require.Equal(t, c.msg, msg)
	}
}

// unread fails the test if anybody reads it.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

// endless is a body that does not end and does not say how long it is.
type endless struct{ read int }

func (e *endless) Read(b []byte) (int, error) {
	e.read += len(b)
	return len(b), nil
}

func TestBodies(t *testing.T) {
	h, _ := newHandler(t, &rooms{})
	status, code, _ := call(h, "ListRooms", "", unread{t})
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, "unauthenticated", code)
	status, code, _ = call(h, "ListRooms", "x.y.z", unread{t})
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, "unauthenticated", code)
	all := token(t, &lkauth.VideoGrant{RoomList: true})
	e := &endless{}
	_, code, _ = call(h, "ListRooms", all, e)
	require.Equal(t, "invalid_argument", code)
	require.Less(t, e.read, 4*maxBody)
	_, code, _ = call(h, "ListRooms", all, strings.NewReader("\x00"))
	require.Equal(t, "malformed", code)
	// A token in the query would stand in logs.
	r := httptest.NewRequest(http.MethodPost, PathPrefix+"ListRooms?access_token="+all, strings.NewReader("{}"))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, http.StatusUnauthorized, w.Code)
}

// TestTokensAreRevokedBeforeTheRemoval: or the removed would be back at once.
func TestTokensAreRevokedBeforeTheRemoval(t *testing.T) {
	joining, err := lkauth.NewAccessToken(key, secret).SetIdentity("an").
		SetVideoGrant(&lkauth.VideoGrant{RoomJoin: true, Room: "room"}).ToJWT()
	require.NoError(t, err)
	admin := token(t, &lkauth.VideoGrant{RoomAdmin: true, Room: "room"})
	r := &rooms{}
	h, v := newHandler(t, r)
	r.also = func(method string) {
		_, err := v.Verify(joining)
		require.Equal(t, method == "RemoveParticipant", err != nil, "when asked for %s", method)
	}
	_, code, _ := call(h, "RemoveParticipant", admin, strings.NewReader(`{"room":"room","identity":"an"}`))
	require.Empty(t, code)
	require.Equal(t, []string{"GetParticipant", "RemoveParticipant"}, r.asked)

	// A time of the caller's own goes before the default.
	h, v = newHandler(t, &rooms{})
	_, code, _ = call(h, "RemoveParticipant", admin, strings.NewReader(`{"room":"room","identity":"an","revoke_token_ts":"1"}`))
	require.Empty(t, code)
	_, err = v.Verify(joining)
	require.NoError(t, err)
	_, code, _ = call(h, "RemoveParticipant", admin, strings.NewReader(`{"room":"room","identity":"an","revoke_token_ts":"-1"}`))
	require.Equal(t, "invalid_argument", code)
	// Nobody is shut out who is not there.
	h, v = newHandler(t, &rooms{err: psrpc.NewErrorf(psrpc.NotFound, "participant does not exist")})
	_, code, _ = call(h, "RemoveParticipant", admin, strings.NewReader(`{"room":"room","identity":"an"}`))
	require.Equal(t, "not_found", code)
	_, err = v.Verify(joining)
	require.NoError(t, err)
}

// TestMovedParticipantTakesItsPermissionsAlong and no other.
func TestMovedParticipantTakesItsPermissionsAlong(t *testing.T) {
	r := &rooms{}
	h, v := newHandler(t, r)
	mover := token(t, &lkauth.VideoGrant{RoomAdmin: true, Room: "room", DestinationRoom: "other", RoomCreate: true})
	_, code, _ := call(h, "MoveParticipant", mover, strings.NewReader(`{"room":"room","identity":"an","destination_room":"other"}`))
	require.Empty(t, code)
	claims, err := v.Verify(r.token)
	require.NoError(t, err)
	require.Equal(t, "an", claims.Grants.Identity)
	require.Equal(t, "An", claims.Grants.Name)
	require.Equal(t, map[string]string{"seat": "1"}, claims.Grants.Attributes)
	require.Equal(t, []livekit.ParticipantInfo_KindDetail{livekit.ParticipantInfo_BRIDGE_RTSP}, claims.Grants.GetKindDetails())
	g := claims.Grants.Video
	require.True(t, g.RoomJoin && g.Hidden && g.GetCanSubscribe())
	require.Equal(t, "other", g.Room)
	require.False(t, g.GetCanPublish() || g.GetCanPublishData() || g.RoomAdmin || g.RoomCreate)
	require.WithinDuration(t, time.Now().Add(moveValidity), claims.ExpiresAt, time.Minute)
	same := token(t, &lkauth.VideoGrant{RoomAdmin: true, Room: "room", DestinationRoom: "room"})
	_, code, _ = call(h, "MoveParticipant", same, strings.NewReader(`{"room":"room","identity":"an","destination_room":"room"}`))
	require.Equal(t, "invalid_argument", code)
}

func TestOptionsAreRequired(t *testing.T) {
	_, err := New(Options{})
	require.Error(t, err)
}
