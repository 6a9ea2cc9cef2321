package sfu

import (
	"slices"
	"time"

	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"

	"diemcau/sfu/transport"
)

// Bounds of data packets and of what is kept of reliable ones for participants
// that resume.
const (
	maxDataPacket  = 64<<10 + 4<<10 // bytes: clients send up to 64,000 and an envelope
	maxReplay      = 512            // packets
	maxReplayBytes = 2 << 20

	// What one participant may send to the room, lasting and at once. A sender
	// of reliable data is held back by its channel; lossy data is dropped.
	dataBytesPerSecond   = 512 << 10
	dataBurst            = 2 << 20
	dataPacketsPerSecond = 1000
	floodEvery           = 10 * time.Second // least time between two words about more
)

// dataMessage is a data packet of a participant's, not yet checked.
type dataMessage struct {
	from  *participant
	label string
	pkt   *livekit.DataPacket
}

// receiveData parses what came over a data channel, on the channel's goroutine,
// and waits for a place in the room's queue: a sender that floods is held back.
func (r *Room) receiveData(p *participant, label string, msg []byte) {
	if label == transport.DataTrack {
		return // data tracks are announced first, and announcing is refused
	}
	pkt := &livekit.DataPacket{}
	var err error
	if len(msg) <= maxDataPacket {
		err = proto.Unmarshal(msg, pkt)
	}
	if err != nil || len(msg) > maxDataPacket {
		r.node.met.data.WithLabelValues("malformed").Inc()
		p.log.Debug("data packet refused", "bytes", len(msg), "err", err)
		return
	}
	if !p.maySend(label == transport.Reliable, len(msg)) {
		return
	}
	select {
	case r.data <- dataMessage{p, label, pkt}:
	case <-r.done:
	}
}

// maySend holds back a sender of too much reliable data, and refuses too much lossy
// data. It is also false if the participant has left.
func (p *participant) maySend(reliable bool, bytes int) bool {
	now := time.Now()
	if p.inPackets.AllowN(now, 1) {
		if p.inData.AllowN(now, bytes) {
			return true
		}
	} else if reliable && p.inPackets.Wait(p.ctx) != nil {
		return false
	}
	if p.flooded.AllowN(now, 1) {
		p.log.Warn("data beyond the limit held back or dropped", "bytesPerSecond", dataBytesPerSecond, "packetsPerSecond", dataPacketsPerSecond)
	}
	if reliable {
		return p.inData.WaitN(p.ctx, bytes) == nil
	}
	p.room.node.met.data.WithLabelValues("rate").Inc()
	return false
}

// route stamps a data packet with its sender and passes it on.
func (r *Room) route(m dataMessage) {
	p, pkt := m.from, m.pkt
	if p.closed {
		return
	}
	if !p.perm.CanPublishData {
		r.node.met.data.WithLabelValues("permission").Inc()
		p.log.Debug("data packet without permission ignored")
		return
	}
	reliable := m.label == transport.Reliable
	if reliable && pkt.Sequence != 0 {
		if pkt.Sequence <= p.lastSeq {
			return // sent again after a resume
		}
		p.lastSeq = pkt.Sequence
	}
	pkt.ParticipantIdentity, pkt.ParticipantSid = p.identity, p.sid
	if p.hidden() {
		pkt.ParticipantIdentity, pkt.ParticipantSid = "", ""
	}
	to, sids := pkt.DestinationIdentities, []string(nil)
	switch v := pkt.Value.(type) {
	case *livekit.DataPacket_User:
		u := v.User
		if u == nil {
			return
		}
		u.ParticipantIdentity, u.ParticipantSid = pkt.ParticipantIdentity, pkt.ParticipantSid
		if len(to) == 0 {
			to = u.DestinationIdentities
		}
		sids = u.DestinationSids
	case *livekit.DataPacket_Speaker:
		return // the server's to say
	case *livekit.DataPacket_RpcAck, *livekit.DataPacket_RpcResponse:
		if r.answeredCall(p, pkt) {
			return
		}
	}
	body, err := proto.Marshal(pkt)
	if err != nil {
		p.log.Warn("data packet does not encode", "err", err)
		return
	}
	e := replayEntry{sender: p.sid, seq: pkt.Sequence, to: to, sids: sids, body: body}
	if reliable && pkt.Sequence != 0 {
		r.replay.add(e)
	}
	for _, o := range r.participants {
		if o != p && e.isFor(o) {
			o.sendData(m.label, body)
		}
	}
}

func (p *participant) sendData(label string, body []byte) {
	if p.guest != nil {
		return // its client is in another room
	}
	if err := p.primary().SendData(label, body); err != nil {
		p.log.Warn("receiver of data too slow or gone; it has to join anew", "err", err)
		p.leave(livekit.LeaveRequest_RECONNECT, livekit.DisconnectReason_UNKNOWN_REASON)
		p.room.remove(p, livekit.DisconnectReason_UNKNOWN_REASON)
	}
}

type replayEntry struct {
	sender   string
	seq      uint32
	number   uint64 // running, over all senders
	to, sids []string
	body     []byte
}

func (e *replayEntry) isFor(p *participant) bool {
	return (len(e.to) == 0 && len(e.sids) == 0) || slices.Contains(e.to, p.identity) || slices.Contains(e.sids, p.sid)
}

// replayLog keeps the newest reliable packets within bounds.
type replayLog struct {
	entries []replayEntry
	bytes   int
	newest  uint64 // number of the newest entry
}

func (l *replayLog) add(e replayEntry) {
	l.newest++
	e.number = l.newest
	l.entries = append(l.entries, e)
	l.bytes += len(e.body)
	drop := 0
	for len(l.entries)-drop > maxReplay || l.bytes > maxReplayBytes {
		l.bytes -= len(l.entries[drop].body)
		drop++
	}
	if drop > 0 {
		l.entries = slices.Delete(l.entries, 0, drop)
	}
}

// replayTo sends p the reliable packets of a sender that it did not get, though
// none from before it joined.
func (r *Room) replayTo(p *participant, sender string, lastSeq uint32) {
	for _, e := range r.replay.entries {
		if e.sender == sender && e.seq > lastSeq && e.number > p.replayed && e.isFor(p) && !p.closed {
			p.sendData(transport.Reliable, e.body)
		}
	}
}
