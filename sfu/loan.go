package sfu

import (
	"time"

	"github.com/livekit/protocol/livekit"

	"diemcau/sfu/downtrack"
	"diemcau/sfu/uptrack"
)

// A client plays a stream only when a description told it whose it is, which takes
// a round trip or more: too long for the first syllable of a speaker it does not
// receive yet. So a silent stream that it has is lent to the speaker meanwhile.
// Nothing is lent to or from an encrypted track: a client decrypts a stream with
// the key of the one whose it is by the description, or not at all if that one does
// not encrypt. What is said meanwhile is sent from the ring.

const (
	maxUnanswered = 4 // tracks brought that a client has not answered
	// answerTaken and what the client's last offer took, of the latter at most
	// maxOfferTook, is how long after an answer the stream is surely taken in by the
	// client: with one peer connection the answer is ours and on its way. An offer
	// takes both ways and as much work, and no packet tells that the client is ready.
	answerTaken  = 200 * time.Millisecond
	maxOfferTook = 2 * time.Second
)

// loan is a subscription's part in that.
type loan struct {
	negotiated bool          // the client knows the stream
	from       *subscription // its stream carries this one's track
	to         *subscription // this one's stream carries its track
}

// borrow has the track of s heard in a silent stream until its own is negotiated.
func (s *subscription) borrow() {
	if s.over || s.sub.closed || s.loan.negotiated || s.loan.from != nil || !s.track.plain() {
		return
	}
	from := s.sub.silent((*subscription).lends)
	if from == nil {
		return
	}
	s.loan.from, from.loan.to = from, s
	from.down.Carry(s.track.layers, s.wish())
}

// lends tells whether what comes in the stream of s is played by the client: a
// muted track is not.
func (s *subscription) lends() bool {
	return s.loan.negotiated && !s.track.info.Muted && !s.sub.disabled[s.track.info.Sid] && s.track.plain()
}

// negotiated is called when the transport can send the stream of s.
func (s *subscription) negotiated() {
	if !s.sub.single && s.loan.from == nil {
		s.settle()
		return
	}
	r := s.sub.room
	time.AfterFunc(answerTaken+min(s.sub.offerTook, maxOfferTook), func() { r.post(s.settle) })
}

// settle is called when the client knows the stream of s.
func (s *subscription) settle() {
	if s.over || s.loan.negotiated {
		return
	}
	s.loan.negotiated = true
	s.down.Announced()
	from := s.loan.from
	if from == nil {
		s.refresh()
		return
	}
	s.loan.from, from.loan.to = nil, nil
	s.down.TakeOver(s.wish(), from.down, from.track.layers, from.wish())
}

// endLoans ends those of a subscription that is over.
func (s *subscription) endLoans() {
	if from := s.loan.from; from != nil {
		s.loan.from, from.loan.to = nil, nil
		from.down.Carry(from.track.layers, from.wish())
	}
	if to := s.loan.to; to != nil {
		s.loan.to, to.loan.from = nil, nil
		to.borrow()
	}
}

// refresh sends of the track what is wanted now, wherever it is sent.
func (s *subscription) refresh() {
	if to := s.loan.to; to != nil {
		if s.lends() && s.wish().Layer == downtrack.None {
			return
		}
		// It is needed itself, or not played any more.
		s.loan.to, to.loan.from = nil, nil
		s.down.Carry(s.track.layers, s.wish())
		to.borrow()
		return
	}
	if s.loan.from != nil {
		s.loan.from.down.SetWish(s.wish())
		return
	}
	s.down.SetWish(s.sendWish())
}

// sendWish is the wish for the subscription's own stream.
func (s *subscription) sendWish() downtrack.Wish {
	w := s.wish()
	if !s.loan.negotiated && (s.track.info.Type == livekit.TrackType_AUDIO || s.sub.losesEarly()) {
		w.Layer = downtrack.None
	}
	return w
}

// losesEarly tells whether the client loses packets of a stream that overtake the answer
// that tells of it. A browser leaves them aside and asks for a key frame sooner than it is
// certain to have taken in the answer. Pion, in LiveKit's Go SDK, goes on reading packets of
// what it does not know beside the track, in a data race.
func (p *participant) losesEarly() bool {
	return p.single && p.client.GetSdk() == livekit.ClientInfo_GO
}

// setLayer makes known that layer i of the track is received as l, or ended.
func (s *subscription) setLayer(i int, l *uptrack.Layer) {
	if s.loan.to == nil {
		s.down.SetLayer(i, l)
	}
	if s.loan.from != nil {
		s.loan.from.down.SetLayer(i, l)
	}
}

// refresh sends of a track what its subscribers are to have now.
func (t *publication) refresh() {
	for _, s := range t.subscribers {
		s.refresh()
	}
}
