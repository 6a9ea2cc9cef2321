package office

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	lkauth "github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/psrpc"

	"diemcau/signaling/conference"
	"diemcau/signaling/meeting"
	"diemcau/signaling/roomservice"
	"diemcau/signaling/rtc"
)

// Media is what meetings ask of the rooms of an SFU.
func Media(rooms roomservice.Rooms) conference.Media { return media{rooms} }

type media struct{ rooms roomservice.Rooms }

// notThere tells that the room, or the participant in it, does not exist.
func notThere(err error) bool {
	var e psrpc.Error
	return errors.As(err, &e) && e.Code() == psrpc.NotFound
}

// Permit makes a participant's permissions what the meeting grants.
func (m media) Permit(ctx context.Context, room, identity string, g meeting.Grant) error {
	_, err := m.rooms.UpdateParticipant(ctx, &livekit.UpdateParticipantRequest{
		Room: room, Identity: identity, Permission: conference.VideoGrant(room, g).ToPermission(),
	})
	if notThere(err) {
		return nil
	}
	return err
}

// Remove has a participant leave.
func (m media) Remove(ctx context.Context, room, identity string) error {
	if err := m.rooms.RemoveParticipant(ctx, room, identity); !notThere(err) {
		return err
	}
	return nil
}

// Present lists who is in a room.
func (m media) Present(ctx context.Context, room string) ([]string, error) {
	list, err := m.rooms.ListParticipants(ctx, room)
	if notThere(err) {
		return nil, nil
	}
	identities := make([]string, len(list))
	for i, p := range list {
		identities[i] = p.Identity
	}
	return identities, err
}

// Admit puts in place of a token's grants what a meeting's present state allows, at
// each join and each return. A room that is no meeting is left alone. Errors are
// *rtc.OpenError.
func (f *Office) Admit(ctx context.Context, start *livekit.StartSession) error {
	g, ours, err := f.conference.Admit(ctx, start.RoomName, start.Identity)
	switch {
	case err != nil:
		f.o.Log.WarnContext(ctx, "nobody admitted: it is not known who may join", "room", start.RoomName, "error", err)
		return &rtc.OpenError{Status: http.StatusServiceUnavailable, Message: "the meeting's state is not known now"}
	case !ours:
		return nil
	case !g.Join:
		return &rtc.OpenError{Status: http.StatusForbidden, Message: "not admitted to this meeting now"}
	}
	var claims lkauth.ClaimGrants
	if err := json.Unmarshal([]byte(start.GrantsJson), &claims); err != nil {
		return fmt.Errorf("office: grants of a session: %w", err)
	}
	claims.Video = conference.VideoGrant(start.RoomName, g)
	grants, err := json.Marshal(&claims)
	if err != nil {
		return fmt.Errorf("office: grants of a session: %w", err)
	}
	start.GrantsJson = string(grants)
	return nil
}
