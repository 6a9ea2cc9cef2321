package roomservice

import (
	"context"
	"strings"
	"testing"

	lkauth "github.com/livekit/protocol/auth"
	"github.com/livekit/psrpc"
	"github.com/stretchr/testify/require"
)

func (r *rooms) ForwardParticipant(_ context.Context, room, identity, destination string) error {
	return r.note(strings.Join([]string{"ForwardParticipant", room, identity, destination}, " "))
}

// TestForwardingNeedsBothRooms: to administer the one, and the other as destination.
func TestForwardingNeedsBothRooms(t *testing.T) {
	for name, c := range map[string]struct {
		grant             *lkauth.VideoGrant
		room, destination string
		code              string
	}{
		"both":                         {&lkauth.VideoGrant{RoomAdmin: true, Room: "a", DestinationRoom: "b"}, "a", "b", ""},
		"no destination":               {&lkauth.VideoGrant{RoomAdmin: true, Room: "a"}, "a", "b", "permission_denied"},
		"no destination, none asked":   {&lkauth.VideoGrant{RoomAdmin: true, Room: "a"}, "a", "", "invalid_argument"},
		"another destination":          {&lkauth.VideoGrant{RoomAdmin: true, Room: "a", DestinationRoom: "c"}, "a", "b", "permission_denied"},
		"administers the destination":  {&lkauth.VideoGrant{RoomAdmin: true, Room: "b", DestinationRoom: "b"}, "a", "b", "permission_denied"},
		"the other way round":          {&lkauth.VideoGrant{RoomAdmin: true, Room: "b", DestinationRoom: "a"}, "a", "b", "permission_denied"},
		"no administrator":             {&lkauth.VideoGrant{RoomJoin: true, Room: "a", DestinationRoom: "b"}, "a", "b", "permission_denied"},
		"makes and lists rooms":        {&lkauth.VideoGrant{RoomCreate: true, RoomList: true, DestinationRoom: "b"}, "a", "b", "permission_denied"},
		"the same room":                {&lkauth.VideoGrant{RoomAdmin: true, Room: "a", DestinationRoom: "a"}, "a", "a", "invalid_argument"},
		"a name that no room can have": {&lkauth.VideoGrant{RoomAdmin: true, Room: "a", DestinationRoom: "b\a"}, "a", "b\\u0007", "invalid_argument"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &rooms{}
			h, _ := newHandler(t, r)
			_, code, _ := call(h, "ForwardParticipant", token(t, c.grant),
				strings.NewReader(`{"room":"`+c.room+`","identity":"an","destination_room":"`+c.destination+`"}`))
			require.Equal(t, c.code, code)
			if c.code == "" {
				require.Equal(t, []string{"ForwardParticipant a an b"}, r.asked)
			} else {
				require.Empty(t, r.asked)
			}
		})
	}
	r := &rooms{err: psrpc.NewErrorf(psrpc.AlreadyExists, "identity is taken")}
	h, _ := newHandler(t, r)
	_, code, msg := call(h, "ForwardParticipant", token(t, &lkauth.VideoGrant{RoomAdmin: true, Room: "a", DestinationRoom: "b"}),
		strings.NewReader(`{"room":"a","identity":"an","destination_room":"b"}`))
	require.Equal(t, "already_exists", code)
	require.Equal(t, "identity is taken", msg)
}
