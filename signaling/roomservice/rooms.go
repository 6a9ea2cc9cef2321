package roomservice

import (
	"context"

	"github.com/livekit/protocol/livekit"
)

// Rooms is where the rooms are. Errors that are a psrpc.Error, or wrap one, are
// told to the caller with their code and text; of any other error only that it
// happened. Methods return when ctx ends.
type Rooms interface {
	CreateRoom(ctx context.Context, req *livekit.CreateRoomRequest) (*livekit.Room, error)
	ListRooms(ctx context.Context, names []string) ([]*livekit.Room, error)
	DeleteRoom(ctx context.Context, room string) error
	UpdateRoomMetadata(ctx context.Context, room, metadata string) (*livekit.Room, error)

	ListParticipants(ctx context.Context, room string) ([]*livekit.ParticipantInfo, error)
	GetParticipant(ctx context.Context, room, identity string) (*livekit.ParticipantInfo, error)
	RemoveParticipant(ctx context.Context, room, identity string) error
	// MoveParticipant hands the participant's client a token for another room
	// and has it connect anew.
	MoveParticipant(ctx context.Context, room, identity, destination, token string) error
	// ForwardParticipant has the participant take part in another room too.
	ForwardParticipant(ctx context.Context, room, identity, destination string) error
	UpdateParticipant(ctx context.Context, req *livekit.UpdateParticipantRequest) (*livekit.ParticipantInfo, error)
	MutePublishedTrack(ctx context.Context, req *livekit.MuteRoomTrackRequest) (*livekit.TrackInfo, error)
	UpdateSubscriptions(ctx context.Context, req *livekit.UpdateSubscriptionsRequest) error

	SendData(ctx context.Context, req *livekit.SendDataRequest) error
	PerformRpc(ctx context.Context, req *livekit.PerformRpcRequest) (payload string, err error)
}
