package sfu

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/livekit/protocol/livekit"
	"github.com/livekit/psrpc"
)

// The administration of rooms: what the server API asks for. Each method of Node
// gives the room's loop a command and waits for its reply, at most until ctx
// ends; a command whose caller has given up is carried out all the same. Errors
// are psrpc.Error, whose code says what is wrong, or ctx's.

// Errors of administration.
var (
	errNoRoom        = psrpc.NewError(psrpc.NotFound, ErrNoRoom)
	errNoParticipant = psrpc.NewErrorf(psrpc.NotFound, "participant does not exist")
	errNodeClosing   = psrpc.NewError(psrpc.Unavailable, ErrShuttingDown)
)

// find returns the room of that name.
func (n *Node) find(name string) (*Room, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, errNodeClosing
	}
	if r := n.rooms[name]; r != nil {
		return r, nil
	}
	return nil, errNoRoom
}

// roomToJoin returns the room that a client wants to enter, and makes it if that
// is allowed.
func (n *Node) roomToJoin(start *livekit.StartSession) (*Room, error) {
	if !n.cfg.Rooms.CreateOnly {
		return n.room(start.RoomName, start.CreateRoom)
	}
	r, err := n.find(start.RoomName)
	switch {
	case errors.Is(err, ErrNoRoom):
		return nil, ErrNoRoom
	case err != nil:
		return nil, ErrShuttingDown
	}
	return r, nil
}

// Probe returns what Open would refuse, without opening anything.
func (n *Node) Probe(start *livekit.StartSession) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.closed:
		return ErrShuttingDown
	case n.cfg.Rooms.CreateOnly && n.rooms[start.RoomName] == nil:
		return ErrNoRoom
	}
	return nil
}

// ask has the loop of r run fn and returns what fn does.
func ask[T any](ctx context.Context, r *Room, fn func() (T, error)) (T, error) {
	type reply struct {
		value T
		err   error
	}
	var none T
	replies := make(chan reply, 1)
	select {
	case r.inbox <- func() {
		v, err := fn()
		replies <- reply{v, err}
	}:
	case <-r.done:
		return none, errNoRoom
	case <-ctx.Done():
		return none, ctx.Err()
	}
	select {
	case a := <-replies:
		return a.value, a.err
	case <-ctx.Done():
		return none, ctx.Err()
	case <-r.done:
	}
	select { // the command may have been the room's last
	case a := <-replies:
		return a.value, a.err
	default:
		return none, errNoRoom
	}
}

// inRoom runs fn on the loop of the named room.
func inRoom[T any](ctx context.Context, n *Node, room string, fn func(r *Room) (T, error)) (T, error) {
	r, err := n.find(room)
	if err != nil {
		var none T
		return none, err
	}
	return ask(ctx, r, func() (T, error) { return fn(r) })
}

// withParticipant is inRoom for one participant of the room.
func withParticipant[T any](ctx context.Context, n *Node, room, identity string, fn func(p *participant) (T, error)) (T, error) {
	return inRoom(ctx, n, room, func(r *Room) (T, error) {
		p := r.participants[identity]
		if p == nil {
			var none T
			return none, errNoParticipant
		}
		return fn(p)
	})
}

// CreateRoom makes a room that stays for its empty timeout without anybody in
// it. A room that exists already is returned as it is.
func (n *Node) CreateRoom(ctx context.Context, req *livekit.CreateRoomRequest) (*livekit.Room, error) {
	for {
		r, err := n.room(req.Name, req)
		if err != nil {
			return nil, errNodeClosing
		}
		info, err := ask(ctx, r, func() (*livekit.Room, error) { return r.proto(), nil })
		if !errors.Is(err, ErrNoRoom) {
			return info, err
		} // it closed meanwhile
	}
}

// ListRooms describes the rooms of those names, or all rooms if there are none,
// sorted by name.
func (n *Node) ListRooms(ctx context.Context, names []string) ([]*livekit.Room, error) {
	n.mu.Lock()
	var rooms []*Room
	for name, r := range n.rooms {
		if len(names) == 0 || slices.Contains(names, name) {
			rooms = append(rooms, r)
		}
	}
	n.mu.Unlock()
	slices.SortFunc(rooms, func(a, b *Room) int { return cmp.Compare(a.name, b.name) })
	infos := make([]*livekit.Room, 0, len(rooms))
	for _, r := range rooms {
		info, err := ask(ctx, r, func() (*livekit.Room, error) { return r.proto(), nil })
		switch {
		case errors.Is(err, ErrNoRoom): // it closed meanwhile
		case err != nil:
			return nil, err
		default:
			infos = append(infos, info)
		}
	}
	return infos, nil
}

// DeleteRoom ends a room with everybody in it.
func (n *Node) DeleteRoom(ctx context.Context, room string) error {
	_, err := inRoom(ctx, n, room, func(r *Room) (struct{}, error) {
		r.log.Info("room deleted")
		r.end(livekit.LeaveRequest_DISCONNECT, livekit.DisconnectReason_ROOM_DELETED)
		return struct{}{}, nil
	})
	return err
}

// UpdateRoomMetadata sets a room's metadata and tells everybody in it.
func (n *Node) UpdateRoomMetadata(ctx context.Context, room, metadata string) (*livekit.Room, error) {
	return inRoom(ctx, n, room, func(r *Room) (*livekit.Room, error) {
		r.settings.metadata = metadata
		r.tellRoom()
		return r.proto(), nil
	})
}

// ListParticipants describes everybody in a room, hidden ones too, in the order
// in which they joined.
func (n *Node) ListParticipants(ctx context.Context, room string) ([]*livekit.ParticipantInfo, error) {
	return inRoom(ctx, n, room, func(r *Room) ([]*livekit.ParticipantInfo, error) {
		infos := make([]*livekit.ParticipantInfo, 0, len(r.participants))
		for _, p := range r.participants {
			infos = append(infos, p.proto())
		}
		slices.SortFunc(infos, func(a, b *livekit.ParticipantInfo) int {
			return cmp.Or(cmp.Compare(a.JoinedAtMs, b.JoinedAtMs), cmp.Compare(a.Identity, b.Identity))
		})
		return infos, nil
	})
}

// GetParticipant describes one participant.
func (n *Node) GetParticipant(ctx context.Context, room, identity string) (*livekit.ParticipantInfo, error) {
	return withParticipant(ctx, n, room, identity, func(p *participant) (*livekit.ParticipantInfo, error) {
		return p.proto(), nil
	})
}

// RemoveParticipant ends a participant. That it does not come back is for those
// to see to who check tokens.
func (n *Node) RemoveParticipant(ctx context.Context, room, identity string) error {
	_, err := withParticipant(ctx, n, room, identity, func(p *participant) (struct{}, error) {
		p.leave(livekit.LeaveRequest_DISCONNECT, livekit.DisconnectReason_PARTICIPANT_REMOVED)
		p.room.remove(p, livekit.DisconnectReason_PARTICIPANT_REMOVED)
		return struct{}{}, nil
	})
	return err
}

// MoveParticipant sends a participant to another room: its client is given the
// token for that room and told to connect anew.
func (n *Node) MoveParticipant(ctx context.Context, room, identity, destination, token string) error {
	if n.cfg.Rooms.CreateOnly {
		if _, err := n.find(destination); err != nil {
			return err
		}
	}
	_, err := withParticipant(ctx, n, room, identity, func(p *participant) (struct{}, error) {
		if p.guest != nil {
			return struct{}{}, errForwarded
		}
		if p.session == nil { // nobody would get the token
			return struct{}{}, psrpc.NewErrorf(psrpc.Unavailable, "participant has lost its signal connection")
		}
		p.log.Info("participant moved", "to", destination)
		p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_RefreshToken{RefreshToken: token}})
		p.leave(livekit.LeaveRequest_RECONNECT, livekit.DisconnectReason_MIGRATION)
		p.room.remove(p, livekit.DisconnectReason_MIGRATION)
		return struct{}{}, nil
	})
	return err
}

// MutePublishedTrack mutes a track at its publisher and for everybody else, or
// takes that back, if the node may do so without its publisher's doing. A track of a
// forwarded participant is muted in this room only, and that can always be taken back.
func (n *Node) MutePublishedTrack(ctx context.Context, req *livekit.MuteRoomTrackRequest) (*livekit.TrackInfo, error) {
	return withParticipant(ctx, n, req.Room, req.Identity, func(p *participant) (*livekit.TrackInfo, error) {
		if !req.Muted && !n.cfg.Rooms.RemoteUnmute && p.guest == nil {
			return nil, psrpc.NewErrorf(psrpc.FailedPrecondition, "remote unmute not enabled")
		}
		return p.muteByAdmin(req.TrackSid, req.Muted)
	})
}

// UpdateParticipant changes what a participant is called, its metadata and its
// attributes (an empty text leaves them, an empty attribute goes), and what it
// may do; tracks and subscriptions follow at once.
func (n *Node) UpdateParticipant(ctx context.Context, req *livekit.UpdateParticipantRequest) (*livekit.ParticipantInfo, error) {
	return withParticipant(ctx, n, req.Room, req.Identity, func(p *participant) (*livekit.ParticipantInfo, error) {
		return p.updateByAdmin(req)
	})
}

// UpdateSubscriptions has a participant receive tracks, or receive them no more.
// It does all that is asked or nothing.
func (n *Node) UpdateSubscriptions(ctx context.Context, req *livekit.UpdateSubscriptionsRequest) error {
	_, err := withParticipant(ctx, n, req.Room, req.Identity, func(p *participant) (struct{}, error) {
		return struct{}{}, p.subscribeByAdmin(req)
	})
	return err
}

// SendData sends a data packet of the server's to everybody in a room, or to
// those named.
func (n *Node) SendData(ctx context.Context, req *livekit.SendDataRequest) error {
	_, err := inRoom(ctx, n, req.Room, func(r *Room) (struct{}, error) { return struct{}{}, r.sendByAdmin(req) })
	return err
}
