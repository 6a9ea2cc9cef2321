package sfu

import (
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/livekit/psrpc"
	"google.golang.org/protobuf/proto"

	"diemcau/sfu/transport"
)

// RoomOptions are what holds for rooms for which nothing else is said.
type RoomOptions struct {
	CreateOnly       bool          // joining makes no room: it must have been created
	EmptyTimeout     time.Duration // a room that nobody has joined is kept so long; 0: 300 s
	DepartureTimeout time.Duration // and so long after the last has left; 0: 20 s
	MaxParticipants  uint32        // 0: no limit
	RemoteUnmute     bool          // administrators may unmute tracks of others
	Loudest          int           // audio tracks forwarded to each participant; 0: 6
}

const (
	defaultEmptyTimeout     = 300 * time.Second
	defaultDepartureTimeout = 20 * time.Second
)

// roomSettings are what one room was created with.
type roomSettings struct {
	emptyTimeout, departureTimeout time.Duration
	maxParticipants                uint32
	metadata                       string
}

// roomAdmin is what a room's loop keeps for its administration.
type roomAdmin struct {
	joined bool // somebody has been in the room
	calls  map[string]*rpcCall
}

// settings fills in what req leaves open; req may be nil.
func (o RoomOptions) settings(req *livekit.CreateRoomRequest) roomSettings {
	s := roomSettings{
		emptyTimeout: o.EmptyTimeout, departureTimeout: o.DepartureTimeout,
		maxParticipants: o.MaxParticipants, metadata: req.GetMetadata(),
	}
	if s.emptyTimeout == 0 {
		s.emptyTimeout = defaultEmptyTimeout
	}
	if s.departureTimeout == 0 {
		s.departureTimeout = defaultDepartureTimeout
	}
	if t := req.GetEmptyTimeout(); t != 0 {
		s.emptyTimeout = time.Duration(t) * time.Second
	}
	if t := req.GetDepartureTimeout(); t != 0 {
		s.departureTimeout = time.Duration(t) * time.Second
	}
	if m := req.GetMaxParticipants(); m != 0 {
		s.maxParticipants = m
	}
	return s
}

// seconds rounds up: a timeout told as 0 would mean none was set.
func seconds(d time.Duration) uint32 { return uint32((d + time.Second - 1) / time.Second) }

// dependent tells whether the participant serves the others and is none of them:
// it takes no place in the room and does not keep it open.
func (p *participant) dependent() bool { return dependent(p.kind, p.perm) }

func dependent(kind livekit.ParticipantInfo_Kind, perm *livekit.ParticipantPermission) bool {
	return kind == livekit.ParticipantInfo_AGENT || kind == livekit.ParticipantInfo_EGRESS || perm.Agent || perm.Recorder
}

// occupied tells whether anybody is in the room who keeps it open.
func (r *Room) occupied() bool {
	for _, p := range r.participants {
		if !p.dependent() {
			return true
		}
	}
	return false
}

// keptEmpty is how long the room stays without anybody.
func (r *Room) keptEmpty() time.Duration {
	if r.admin.joined {
		return r.settings.departureTimeout
	}
	return r.settings.emptyTimeout
}

// full tells whether the room has no place for a participant that wants to join.
// One that comes again takes the place it had.
func (r *Room) full(identity string, dependent bool) bool {
	if r.settings.maxParticipants == 0 || dependent {
		return false
	}
	var places uint32
	for _, p := range r.participants {
		if p.identity != identity && !p.dependent() {
			places++
		}
	}
	return places >= r.settings.maxParticipants
}

// recorded tells whether a recorder is in the room.
func (r *Room) recorded() bool {
	for _, p := range r.participants {
		if p.perm.Recorder {
			return true
		}
	}
	return false
}

// entered is called when p has joined.
func (r *Room) entered(p *participant) {
	if !p.dependent() {
		r.admin.joined = true
	}
	if p.perm.Recorder && !p.closed {
		r.tellRoom()
	}
}

// left is called when p is among the participants no more.
func (r *Room) left(p *participant, wasActive bool) {
	if !p.dependent() {
		r.emptySince = r.now()
	}
	if p.perm.Recorder {
		r.tellRoom()
	}
	r.dropCalls(p)
	if wasActive {
		r.emit(eventParticipantLeft, p, nil)
	} else {
		r.emit(eventConnectionAborted, p, nil)
	}
}

// tellRoom tells everybody about the room itself.
func (r *Room) tellRoom() {
	update := &livekit.SignalResponse{Message: &livekit.SignalResponse_RoomUpdate{
		RoomUpdate: &livekit.RoomUpdate{Room: r.proto()},
	}}
	for _, p := range r.participants {
		p.send(update)
	}
}

// end closes the room with everybody in it.
func (r *Room) end(action livekit.LeaveRequest_Action, reason livekit.DisconnectReason) {
	// All are told before any is removed: nobody is to see the others vanish.
	for _, p := range r.participants {
		p.leave(action, reason)
	}
	for _, p := range r.participants {
		r.remove(p, reason)
	}
	r.closed = true
}

// sendByAdmin sends a data packet that no participant sent.
func (r *Room) sendByAdmin(req *livekit.SendDataRequest) error {
	pkt := &livekit.DataPacket{
		Kind: req.Kind, DestinationIdentities: req.DestinationIdentities,
		Value: &livekit.DataPacket_User{User: &livekit.UserPacket{
			Payload: req.Data, Topic: req.Topic, Nonce: req.Nonce,
			DestinationIdentities: req.DestinationIdentities, DestinationSids: req.DestinationSids,
		}},
	}
	body, err := proto.Marshal(pkt)
	if err != nil {
		return psrpc.NewError(psrpc.InvalidArgument, err)
	}
	label := transport.Reliable
	if req.Kind == livekit.DataPacket_LOSSY {
		label = transport.Lossy
	}
	e := replayEntry{to: req.DestinationIdentities, sids: req.DestinationSids}
	for _, p := range r.participants {
		if e.isFor(p) {
			p.sendData(label, body)
		}
	}
	return nil
}
