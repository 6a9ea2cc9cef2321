package roomservice

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
	"unicode/utf8"

	lkauth "github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/twitchtv/twirp"

	"diemcau/signaling/auth"
)

// Bounds of what a request may hold.
const (
	maxData         = 64_000 // bytes of a data packet, as stock clients have it
	maxDestinations = 1024
	maxText         = 256 // bytes of a name, a topic or a method
	nonceLength     = 16  // bytes, a UUID

	// revokeAhead is for how long after a removal tokens are still refused,
	// unless the request says otherwise: LiveKit's allowance for clocks.
	revokeAhead  = time.Minute
	moveValidity = 10 * time.Minute // of the token to another room, as of refreshed ones
)

// service implements livekit.RoomService: for each method the grant it needs,
// the form of its request, and what it asks of the rooms.
type service struct {
	auth  *auth.Verifier
	rooms Rooms
	log   *slog.Logger
}

func claimsOf(ctx context.Context) *auth.Claims {
	c, _ := ctx.Value(claimsKey{}).(*auth.Claims)
	return c
}

// granted checks one grant of the caller's.
func granted(ctx context.Context, name string, has func(*lkauth.VideoGrant) bool) error {
	c := claimsOf(ctx)
	if c == nil || c.Grants.Video == nil || !has(c.Grants.Video) {
		return twirp.PermissionDenied.Errorf("permissions denied: access token does not grant %s", name)
	}
	return nil
}

func mayCreate(ctx context.Context) error {
	return granted(ctx, "roomCreate", func(g *lkauth.VideoGrant) bool { return g.RoomCreate })
}

func mayList(ctx context.Context) error {
	return granted(ctx, "roomList", func(g *lkauth.VideoGrant) bool { return g.RoomList })
}

func mayAdminister(ctx context.Context, room string) error {
	return granted(ctx, "roomAdmin for the room", func(g *lkauth.VideoGrant) bool { return g.RoomAdmin && g.Room == room })
}

// maySend also checks the form: source and destination must differ.
func maySend(ctx context.Context, room, destination string) error {
	if err := mayAdminister(ctx, room); err != nil {
		return err
	}
	err := granted(ctx, "destinationRoom for the room", func(g *lkauth.VideoGrant) bool { return g.DestinationRoom == destination })
	switch {
	case err != nil:
		return err
	case room == destination:
		return invalid("destination_room", "cannot be the same as source room")
	}
	return checkRoomName("destination_room", destination)
}

func invalid(field, problem string) error { return twirp.InvalidArgumentError(field, problem) }

// checkText checks a text of the request.
func checkText(field, text string, most int) error {
	switch {
	case len(text) > most:
		return invalid(field, fmt.Sprintf("is longer than %d bytes", most))
	case !utf8.ValidString(text):
		return invalid(field, "is not UTF-8")
	}
	return nil
}

func checkRoomName(field, name string) error {
	if err := auth.CheckRoomName(name); err != nil {
		return invalid(field, "is not a room's name: "+err.Error())
	}
	return nil
}

func (s *service) CreateRoom(ctx context.Context, req *livekit.CreateRoomRequest) (*livekit.Room, error) {
	if err := mayCreate(ctx); err != nil {
		return nil, err
	}
	if req.Egress != nil {
		return nil, twirp.Unimplemented.Error("this server has no egress")
	}
	if err := checkRoomName("name", req.Name); err != nil {
		return nil, err
	}
	if err := checkText("metadata", req.Metadata, auth.MaxMetadataLength); err != nil {
		return nil, err
	}
	return s.rooms.CreateRoom(ctx, req)
}

func (s *service) ListRooms(ctx context.Context, req *livekit.ListRoomsRequest) (*livekit.ListRoomsResponse, error) {
	if err := mayList(ctx); err != nil {
		return nil, err
	}
	rooms, err := s.rooms.ListRooms(ctx, req.Names)
	if err != nil {
		return nil, err
	}
	return &livekit.ListRoomsResponse{Rooms: rooms}, nil
}

func (s *service) DeleteRoom(ctx context.Context, req *livekit.DeleteRoomRequest) (*livekit.DeleteRoomResponse, error) {
	if err := mayCreate(ctx); err != nil {
		return nil, err
	}
	if err := s.rooms.DeleteRoom(ctx, req.Room); err != nil {
		return nil, err
	}
	return &livekit.DeleteRoomResponse{}, nil
}

func (s *service) UpdateRoomMetadata(ctx context.Context, req *livekit.UpdateRoomMetadataRequest) (*livekit.Room, error) {
	if err := mayAdminister(ctx, req.Room); err != nil {
		return nil, err
	}
	if err := checkText("metadata", req.Metadata, auth.MaxMetadataLength); err != nil {
		return nil, err
	}
	return s.rooms.UpdateRoomMetadata(ctx, req.Room, req.Metadata)
}

func (s *service) ListParticipants(ctx context.Context, req *livekit.ListParticipantsRequest) (*livekit.ListParticipantsResponse, error) {
	if err := mayAdminister(ctx, req.Room); err != nil {
		return nil, err
	}
	all, err := s.rooms.ListParticipants(ctx, req.Room)
	if err != nil {
		return nil, err
	}
	return &livekit.ListParticipantsResponse{Participants: all}, nil
}

func (s *service) GetParticipant(ctx context.Context, req *livekit.RoomParticipantIdentity) (*livekit.ParticipantInfo, error) {
	if err := mayAdminister(ctx, req.Room); err != nil {
		return nil, err
	}
	return s.rooms.GetParticipant(ctx, req.Room, req.Identity)
}

// RemoveParticipant revokes the participant's tokens first, so that it finds the
// door shut whenever it comes back.
func (s *service) RemoveParticipant(ctx context.Context, req *livekit.RoomParticipantIdentity) (*livekit.RemoveParticipantResponse, error) {
	if err := mayAdminister(ctx, req.Room); err != nil {
		return nil, err
	}
	if req.RevokeTokenTs < 0 {
		return nil, invalid("revoke_token_ts", "must not be negative")
	}
	if _, err := s.rooms.GetParticipant(ctx, req.Room, req.Identity); err != nil {
		return nil, err
	}
	before := time.Now().Add(revokeAhead)
	if req.RevokeTokenTs != 0 {
		before = time.Unix(req.RevokeTokenTs, 0)
	}
	if s.auth.Revoke(req.Room, req.Identity, before) {
		s.log.WarnContext(ctx, "too many revoked tokens to remember; the oldest was forgotten")
	}
	if err := s.rooms.RemoveParticipant(ctx, req.Room, req.Identity); err != nil {
		return nil, err
	}
	return &livekit.RemoveParticipantResponse{}, nil
}

func (s *service) MutePublishedTrack(ctx context.Context, req *livekit.MuteRoomTrackRequest) (*livekit.MuteRoomTrackResponse, error) {
	if err := mayAdminister(ctx, req.Room); err != nil {
		return nil, err
	}
	track, err := s.rooms.MutePublishedTrack(ctx, req)
	if err != nil {
		return nil, err
	}
	return &livekit.MuteRoomTrackResponse{Track: track}, nil
}

func (s *service) UpdateParticipant(ctx context.Context, req *livekit.UpdateParticipantRequest) (*livekit.ParticipantInfo, error) {
	if err := mayAdminister(ctx, req.Room); err != nil {
		return nil, err
	}
	if err := checkText("name", req.Name, auth.MaxNameLength); err != nil {
		return nil, err
	}
	if err := checkText("metadata", req.Metadata, auth.MaxMetadataLength); err != nil {
		return nil, err
	}
	total := 0
	for k, v := range req.Attributes {
		if total += len(k) + len(v); total > auth.MaxMetadataLength {
			return nil, invalid("attributes", fmt.Sprintf("are longer than %d bytes", auth.MaxMetadataLength))
		}
	}
	return s.rooms.UpdateParticipant(ctx, req)
}

func (s *service) UpdateSubscriptions(ctx context.Context, req *livekit.UpdateSubscriptionsRequest) (*livekit.UpdateSubscriptionsResponse, error) {
	if err := mayAdminister(ctx, req.Room); err != nil {
		return nil, err
	}
	if err := s.rooms.UpdateSubscriptions(ctx, req); err != nil {
		return nil, err
	}
	return &livekit.UpdateSubscriptionsResponse{}, nil
}

func (s *service) SendData(ctx context.Context, req *livekit.SendDataRequest) (*livekit.SendDataResponse, error) {
	if err := mayAdminister(ctx, req.Room); err != nil {
		return nil, err
	}
	switch {
	case len(req.Data) > maxData:
		return nil, invalid("data", fmt.Sprintf("is longer than %d bytes", maxData))
	case len(req.Nonce) != 0 && len(req.Nonce) != nonceLength:
		return nil, invalid("nonce", fmt.Sprintf("should be %d bytes or not present, got %d", nonceLength, len(req.Nonce)))
	case req.Kind != livekit.DataPacket_RELIABLE && req.Kind != livekit.DataPacket_LOSSY:
		return nil, invalid("kind", "must be RELIABLE or LOSSY")
	case len(req.DestinationIdentities)+len(req.DestinationSids) > maxDestinations:
		return nil, invalid("destination_identities", fmt.Sprintf("name more than %d destinations", maxDestinations))
	}
	if err := checkText("topic", req.GetTopic(), maxText); err != nil {
		return nil, err
	}
	if err := s.rooms.SendData(ctx, req); err != nil {
		return nil, err
	}
	return &livekit.SendDataResponse{}, nil
}

func (s *service) PerformRpc(ctx context.Context, req *livekit.PerformRpcRequest) (*livekit.PerformRpcResponse, error) {
	if err := mayAdminister(ctx, req.Room); err != nil {
		return nil, err
	}
	if req.DestinationIdentity == "" {
		return nil, invalid("destination_identity", "is required")
	}
	if err := checkText("method", req.Method, maxText); err != nil {
		return nil, err
	}
	payload, err := s.rooms.PerformRpc(ctx, req)
	if err != nil {
		return nil, err
	}
	return &livekit.PerformRpcResponse{Payload: payload}, nil
}

// ForwardParticipant has a participant take part in a second room too. Like LiveKit's
// it makes that room if need be, for which destinationRoom suffices.
func (s *service) ForwardParticipant(ctx context.Context, req *livekit.ForwardParticipantRequest) (*livekit.ForwardParticipantResponse, error) {
	if err := maySend(ctx, req.Room, req.DestinationRoom); err != nil {
		return nil, err
	}
	if err := s.rooms.ForwardParticipant(ctx, req.Room, req.Identity, req.DestinationRoom); err != nil {
		return nil, err
	}
	return &livekit.ForwardParticipantResponse{}, nil
}

// MoveParticipant gives the participant a token for the destination with the
// permissions it has now.
func (s *service) MoveParticipant(ctx context.Context, req *livekit.MoveParticipantRequest) (*livekit.MoveParticipantResponse, error) {
	if err := maySend(ctx, req.Room, req.DestinationRoom); err != nil {
		return nil, err
	}
	info, err := s.rooms.GetParticipant(ctx, req.Room, req.Identity)
	if err != nil {
		return nil, err
	}
	grants := &lkauth.ClaimGrants{
		Identity: info.Identity, Name: info.Name, Metadata: info.Metadata, Attributes: info.Attributes,
		Video: &lkauth.VideoGrant{RoomJoin: true, Room: req.DestinationRoom},
	}
	grants.SetParticipantKind(info.Kind)
	grants.SetKindDetail(info.KindDetails...)
	grants.Video.UpdateFromPermission(info.Permission)
	token, err := s.auth.Mint(claimsOf(ctx).APIKey, grants, moveValidity)
	if errors.Is(err, auth.ErrTooLong) {
		return nil, twirp.FailedPrecondition.Error("the participant's metadata and attributes are too long for a token")
	}
	if err != nil {
		return nil, err
	}
	if err := s.rooms.MoveParticipant(ctx, req.Room, req.Identity, req.DestinationRoom, token); err != nil {
		return nil, err
	}
	return &livekit.MoveParticipantResponse{}, nil
}
