package sfu

import "github.com/livekit/protocol/livekit"

// Names of the events of a room, as LiveKit's webhooks have them.
const (
	eventRoomStarted       = "room_started"
	eventRoomFinished      = "room_finished"
	eventParticipantJoined = "participant_joined" // its media is connected
	eventParticipantLeft   = "participant_left"
	eventConnectionAborted = "participant_connection_aborted" // it left before it joined
	eventTrackPublished    = "track_published"
	eventTrackUnpublished  = "track_unpublished"
)

// emit tells the node's observer, if it has one. p and t are nil where the event
// is about neither. Events of a track carry only who published it.
func (r *Room) emit(event string, p *participant, t *publication) {
	tell := r.node.cfg.Events
	if tell == nil {
		return
	}
	e := &livekit.WebhookEvent{Event: event, Room: r.proto()}
	switch {
	case t != nil:
		e.Participant = &livekit.ParticipantInfo{Sid: p.sid, Identity: p.identity, Name: p.name}
		e.Track = t.proto()
	case p != nil:
		e.Participant = p.proto()
	}
	tell(e)
}
