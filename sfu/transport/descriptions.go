package transport

import (
	"errors"
	"fmt"
	"time"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// Offers and answers, ours and the client's, and the candidates that go with them.

// SetOffer applies the client's offer and answers it through Events.Answer.
// tracks says how the client is to send its tracks, by the track's id in the offer.
func (t *Transport) SetOffer(sdp string, id uint32, tracks map[string]Wanted) error {
	return t.postClient(func() {
		if err := t.answer(sdp, id, tracks); err != nil {
			t.ev.Failed("offer", err, t.pc.SignalingState() != webrtc.SignalingStateStable)
		}
	})
}

func (t *Transport) answer(offer string, id uint32, tracks map[string]Wanted) error {
	if t.offers {
		return errors.New("this peer connection takes no offers")
	}
	desc := webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: withoutRTCP(offer)}
	parsed, err := desc.Unmarshal()
	if err != nil {
		return fmt.Errorf("SDP does not parse: %w", err)
	}
	if err := checkOffer(parsed); err != nil {
		return err
	}
	if err := t.awaitGathered(); err != nil {
		return err // it may restart ICE
	}
	if err := t.awaitStarted(); err != nil {
		return err
	}
	turn := t.turns.take()
	defer t.turns.give(turn)
	t.formats.prepare(parsed)
	if err := t.pc.SetRemoteDescription(desc); err != nil {
		t.formats.failed()
		return err
	}
	t.nCandidate = 0
	t.flushCandidates()
	t.loosen()
	t.preferCodecs(parsed, tracks)
	answer, err := t.pc.CreateAnswer(nil)
	if err != nil {
		return err
	}
	t.local.hold()
	defer t.local.release()
	if err := t.pc.SetLocalDescription(answer); err != nil {
		return err
	}
	t.asked = [2]int{}
	t.ev.Answer(answerStereo(answer.SDP, parsed, tracks), id, t.mids())
	t.wantAsk = t.wantAsk || t.unmatched() != [2]int{}
	return nil
}

// checkOffer refuses what the peer connection would refuse only after it had
// taken up the offer.
func checkOffer(d *sdp.SessionDescription) error {
	if n := len(d.MediaDescriptions); n == 0 || n > maxSections {
		return fmt.Errorf("%d media sections", n)
	}
	for _, m := range d.MediaDescriptions {
		if mid, ok := m.Attribute(sdp.AttrKeyMID); !ok || mid == "" {
			return errors.New("a media section has no mid (RFC 5888)")
		}
	}
	for _, key := range []string{"ice-ufrag", "ice-pwd", "fingerprint"} {
		_, found := d.Attribute(key)
		for _, m := range d.MediaDescriptions {
			_, ok := m.Attribute(key)
			found = found || ok
		}
		if !found {
			return fmt.Errorf("no %s", key)
		}
	}
	return nil
}

// SetAnswer applies the client's answer to our offer of that id; id 0 is the
// last one.
func (t *Transport) SetAnswer(sdp string, id uint32) error {
	return t.postClient(func() {
		if !t.offering || (id != 0 && id != t.offerID) {
			t.log.Debug("stale answer", "id", id, "offer", t.offerID)
			return
		}
		desc := webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: withoutRTCP(sdp)}
		parsed, err := desc.Unmarshal()
		if err != nil {
			t.ev.Failed("answer", fmt.Errorf("SDP does not parse: %w", err), false)
			return
		}
		turn := t.turns.take()
		defer t.turns.give(turn)
		t.formats.prepare(parsed)
		err = t.pc.SetRemoteDescription(desc)
		t.offering = t.pc.SignalingState() != webrtc.SignalingStateStable
		if err != nil {
			t.formats.failed()
			t.ev.Failed("answer", err, false)
			return
		}
		t.nCandidate = 0
		t.flushCandidates()
	})
}

// AddCandidate adds a candidate of the client's.
func (t *Transport) AddCandidate(c webrtc.ICECandidateInit) error {
	return t.postClient(func() {
		if t.nCandidate++; t.nCandidate > maxCandidates || isRTCPCandidate(c.Candidate) {
			return
		}
		if d := t.pc.RemoteDescription(); d == nil || ofAnother(c, d) {
			t.candidates = append(t.candidates, c) // its description is on its way
			return
		}
		if err := t.pc.AddICECandidate(c); err != nil {
			t.ev.Failed("candidate", err, false)
		}
	})
}

func (t *Transport) flushCandidates() {
	for _, c := range t.candidates {
		if err := t.pc.AddICECandidate(c); err != nil {
			t.ev.Failed("candidate", err, false)
		}
	}
	t.candidates = nil
}

// Negotiate has changes described to the client, by an offer of ours or by
// asking for one; several calls in a row become one. With restart, ICE starts
// anew (RFC 8445 section 9).
func (t *Transport) Negotiate(restart bool) {
	if restart {
		t.restarted.Store(true)
	}
	t.wanted.Store(true)
	t.rouse()
}

// negotiate runs when no operation waits.
func (t *Transport) negotiate() {
	switch {
	case t.wantAsk && !t.offers && t.pc.RemoteDescription() != nil:
		t.wantAsk = false
		need := t.unmatched()
		audio, video := max(0, need[0]-t.asked[0]), max(0, need[1]-t.asked[1])
		t.asked[0] += audio
		t.asked[1] += video
		t.ev.Sections(uint32(audio), uint32(video))
	case t.wantOffer && (!t.offering || t.restart):
		if err := t.offer(); err != nil {
			t.log.Warn("offer to the client failed", "err", err)
		}
	}
}

func (t *Transport) offer() error {
	if t.offering {
		// The client resumes and may never have seen the pending offer. There is
		// no rollback, so either it gets that offer again, or the last answer is
		// taken as the answer to it and a new offer follows.
		last := t.pc.CurrentRemoteDescription()
		if last == nil {
			t.restart = false
			t.offerID++
			t.ev.Offer(t.offerStereo(t.pc.LocalDescription().SDP), t.offerID, t.mids())
			return nil
		}
		if err := t.pc.SetRemoteDescription(*last); err != nil {
			return fmt.Errorf("taking up the last answer: %w", err)
		}
		t.offering = false
	}
	var opts *webrtc.OfferOptions
	if t.restart && t.pc.RemoteDescription() != nil {
		opts = &webrtc.OfferOptions{ICERestart: true}
	}
	t.wantOffer, t.restart = false, false
	if opts != nil {
		if err := t.awaitGathered(); err != nil {
			return err
		}
	}
	turn := t.turns.take()
	defer t.turns.give(turn)
	offer, err := t.pc.CreateOffer(opts)
	if err != nil {
		return err
	}
	t.local.hold()
	defer t.local.release()
	if err := t.pc.SetLocalDescription(offer); err != nil {
		return err
	}
	t.offering = true
	t.offerID++
	t.ev.Offer(t.offerStereo(offer.SDP), t.offerID, t.mids())
	return nil
}

// awaitGathered waits for a gathering of candidates that is under way, for the
// ICE agent must not be restarted meanwhile. Only host candidates are gathered,
// which takes milliseconds.
func (t *Transport) awaitGathered() error {
	limit := time.NewTimer(gatherWithin)
	defer limit.Stop()
	for t.pc.ICEGatheringState() == webrtc.ICEGatheringStateGathering {
		select {
		case <-t.gathered:
		case <-t.done:
			return ErrClosed
		case <-limit.C:
			return errors.New("gathering of candidates does not end")
		}
	}
	return nil
}

// awaitStarted waits, after the first description of the client's, until ICE has taken
// up its credentials: a second one that came before would pass for a restart, and the
// client would go on with those of the first. It takes as long as a goroutine does to
// start.
func (t *Transport) awaitStarted() error {
	if t.pc.CurrentRemoteDescription() == nil {
		return nil
	}
	limit, look := time.NewTimer(gatherWithin), time.NewTicker(time.Millisecond)
	defer limit.Stop()
	defer look.Stop()
	for {
		remote, err := t.pc.SCTP().Transport().ICETransport().GetRemoteParameters()
		if err != nil || remote.UsernameFragment != "" {
			return nil // without an agent there is nothing to restart
		}
		select {
		case <-look.C:
		case <-t.done:
			return ErrClosed
		case <-limit.C:
			return errors.New("ICE does not start")
		}
	}
}

// unmatched counts sending sections (audio, video) the client has no place for.
func (t *Transport) unmatched() (n [2]int) {
	for _, tr := range t.pc.GetTransceivers() {
		if s := tr.Sender(); tr.Mid() != "" || s == nil || s.Track() == nil {
			continue
		}
		if tr.Kind() == webrtc.RTPCodecTypeAudio {
			n[0]++
		} else {
			n[1]++
		}
	}
	return n
}

// mids tells which track each sending section carries. A track may go at any time: the
// peer connection closes itself when the client ends DTLS.
func (t *Transport) mids() map[string]string {
	m := make(map[string]string)
	for _, tr := range t.pc.GetTransceivers() {
		if s := tr.Sender(); s != nil && tr.Mid() != "" {
			if track := s.Track(); track != nil {
				m[tr.Mid()] = track.ID()
			}
		}
	}
	return m
}
