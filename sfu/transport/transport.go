package transport

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"diemcau/sfu/egress"
)

// Events are called from the transport's goroutines, never from inside one of
// its methods; each may block for a short while. All must be set.
type Events struct {
	Candidate func(webrtc.ICECandidateInit)
	// Offer and Answer carry a description for the client, the id it answers to
	// or is to be answered with, and which track each media section carries.
	Offer  func(sdp string, id uint32, mids map[string]string)
	Answer func(sdp string, id uint32, mids map[string]string)
	// Sections asks the client, which alone makes offers on this peer, for so
	// many more receiving media sections; 0, 0 for a renegotiation only.
	Sections func(audio, video uint32)
	Track    func(*webrtc.TrackRemote, *webrtc.RTPReceiver)
	Data     func(label string, msg []byte)
	// Feedback is transport-wide feedback of the client's, an RTCP packet that says
	// anything. It is called from a socket's reader: it must not block, nor keep the packet.
	Feedback func(packet []byte)
	// Estimate is the client's own of what it can receive (REMB), in bits per second.
	Estimate func(bps int64)
	State    func(webrtc.PeerConnectionState)
	// Failed reports a description or candidate of the client's that was refused.
	// The transport goes on with what it had, unless it is stuck: then it can
	// negotiate no more and must be replaced.
	Failed func(what string, err error, stuck bool)
}

// Limits of the queues.
const (
	maxOps        = 8192 // operations waiting for the transport's goroutine
	maxClientOps  = 256  // of them, those that a client's messages made
	maxCandidates = 128  // remote candidates for one description; more are ignored
	maxSections   = 1024 // media sections of a client's offer

	gatherWithin = 5 * time.Second
)

// ErrBusy is returned when the operations queue of a transport is full.
var ErrBusy = errors.New("transport: too many operations waiting")

// ErrClosed is returned after Close.
var ErrClosed = errors.New("transport: closed")

// Transport is one peer connection. Its methods queue work for its own
// goroutine and do not block; results come back through Events.
type Transport struct {
	pc     *webrtc.PeerConnection
	ev     Events
	log    *slog.Logger
	offers bool // we make the offers; else the client does

	ops       operations
	clientOps atomic.Int32  // waiting in ops
	wake      chan struct{} // there is an operation, or a negotiation is wanted
	wanted    atomic.Bool
	restarted atomic.Bool // the wanted negotiation restarts ICE
	done      chan struct{}
	once      sync.Once
	wg        sync.WaitGroup

	data     channels
	turns    turns
	outlet   *outlet // nil: everything goes through pc
	local    localCandidates
	gathered chan struct{} // has an entry when the gathering state has changed

	// Owned by run.
	formats    formats
	offerID    uint32
	offering   bool // an offer of ours awaits its answer
	wantOffer  bool
	restart    bool
	candidates []webrtc.ICECandidateInit // that came before a description
	nCandidate int                       // since the last description
	asked      [2]int                    // media sections already asked for since the last offer: audio, video
	wantAsk    bool
}

// New makes a transport; offers says that this side makes the offers, with data
// channels of its own.
func (a *API) New(offers bool, ev Events, log *slog.Logger) (*Transport, error) {
	t := &Transport{
		ev: ev, log: log, offers: offers,
		wake: make(chan struct{}, 1), done: make(chan struct{}), gathered: make(chan struct{}, 1),
		turns: a.turns,
	}
	bufs := &buffers{
		exceeded: func() { t.abuse("streams") }, feedback: ev.Feedback, estimate: ev.Estimate,
		overrun: func() { log.Warn("peer's media waits unread; dropped", "bytes", rtpWaitingBytes) },
	}
	if !a.pion {
		t.outlet = &outlet{feedback: ev.Feedback, in: &bufs.in}
		t.outlet.paths = newPaths(a.media, t.outlet.take, func(from, to *egress.Route) { a.peers.move(t.outlet, from, to) })
	}
	pc, formats, err := a.newPeerConnection(bufs, !offers, t.outlet)
	if err != nil {
		return nil, err
	}
	t.pc, t.formats = pc, formats
	t.data.init(t)
	t.local.send = ev.Candidate
	pc.OnICECandidate(t.local.found)
	pc.OnICEGatheringStateChange(func(webrtc.ICEGatheringState) {
		select {
		case t.gathered <- struct{}{}:
		default: // still unread from the change before
		}
	})
	pc.OnTrack(ev.Track)
	pc.OnConnectionStateChange(ev.State)
	pc.OnDataChannel(t.data.offered)
	if offers {
		if err := t.data.create(pc); err != nil {
			_ = pc.Close()
			return nil, err
		}
	}
	t.wg.Add(1)
	go t.run()
	return t, nil
}

func (t *Transport) run() {
	defer t.wg.Done()
	for {
		select {
		case <-t.wake:
		case <-t.done:
			t.data.close()
			if err := t.pc.GracefulClose(); err != nil {
				t.log.Debug("closing peer connection", "err", err)
			}
			return
		}
		for op := t.ops.take(); op != nil && !t.closed(); op = t.ops.take() {
			op()
		}
		if t.closed() {
			continue
		}
		if t.wanted.Swap(false) {
			t.wantOffer, t.wantAsk = t.wantOffer || t.offers, t.wantAsk || !t.offers
			t.restart = t.restarted.Swap(false) || t.restart
		}
		t.negotiate()
	}
}

func (t *Transport) closed() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

// rouse has run look at its operations and at what is wanted.
func (t *Transport) rouse() {
	select {
	case t.wake <- struct{}{}:
	default: // it will see everything
	}
}

// Close ends the transport without waiting; Wait waits.
func (t *Transport) Close() {
	t.once.Do(func() {
		t.outlet.close()
		close(t.done)
	})
}

// Wait returns when the transport's goroutines have ended after Close.
func (t *Transport) Wait() { t.wg.Wait() }

func (t *Transport) post(op func()) error {
	if t.closed() {
		return ErrClosed
	}
	if !t.ops.add(op) {
		return ErrBusy
	}
	t.rouse()
	return nil
}

// postClient is post for what a client's message asks, within a bound of its own.
func (t *Transport) postClient(op func()) error {
	if t.closed() {
		return ErrClosed
	}
	if t.clientOps.Add(1) > maxClientOps {
		t.clientOps.Add(-1)
		return ErrBusy
	}
	err := t.post(func() {
		t.clientOps.Add(-1)
		op()
	})
	if err != nil {
		t.clientOps.Add(-1)
	}
	return err
}

// abuse ends the transport of a peer that makes us keep too much of something.
func (t *Transport) abuse(what string) {
	t.log.Warn("peer exceeds a limit; its transport is closed", "limit", what)
	t.Close()
}

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
	desc := webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}
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
	t.turns.take()
	defer t.turns.give()
	t.formats.prepare(parsed)
	if err := t.pc.SetRemoteDescription(desc); err != nil {
		t.formats.failed()
		return err
	}
	t.nCandidate = 0
	t.flushCandidates()
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
		desc := webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp}
		parsed, err := desc.Unmarshal()
		if err != nil {
			t.ev.Failed("answer", fmt.Errorf("SDP does not parse: %w", err), false)
			return
		}
		t.turns.take()
		defer t.turns.give()
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
		if t.nCandidate++; t.nCandidate > maxCandidates {
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
	t.turns.take()
	defer t.turns.give()
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

// AddTrack starts sending track after the next negotiation and hands its sender
// to ready (nil with an error).
func (t *Transport) AddTrack(track webrtc.TrackLocal, ready func(*webrtc.RTPSender, error)) error {
	return t.post(func() {
		s, err := t.pc.AddTrack(track)
		ready(s, err)
	})
}

// RemoveTrack stops a sender; its media section is reused later.
func (t *Transport) RemoveTrack(s *webrtc.RTPSender) error {
	return t.post(func() {
		if err := t.pc.RemoveTrack(s); err != nil {
			t.log.Debug("removing a track", "err", err)
		}
	})
}

// WriteRTCP sends RTCP packets now, from any goroutine.
func (t *Transport) WriteRTCP(pkts []rtcp.Packet) error { return t.pc.WriteRTCP(pkts) }

// State is the present state of the peer connection.
func (t *Transport) State() webrtc.PeerConnectionState { return t.pc.ConnectionState() }

// Protocol tells the transport protocol of the selected path: "udp", "tcp" or
// "" while there is none.
func (t *Transport) Protocol() string {
	sctp := t.pc.SCTP()
	if sctp == nil || sctp.Transport() == nil || sctp.Transport().ICETransport() == nil {
		return ""
	}
	pair, err := sctp.Transport().ICETransport().GetSelectedCandidatePair()
	if err != nil || pair == nil || pair.Local == nil {
		return ""
	}
	return pair.Local.Protocol.String()
}
