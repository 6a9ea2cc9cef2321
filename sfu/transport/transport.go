package transport

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
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
	// Report is an RTCP packet of the client's, compound or not, that may say anything. It is
	// called from a socket's reader: it must not block, nor keep the packet.
	Report func(packet []byte)
	State  func(webrtc.PeerConnectionState)
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
	outlet   *outlet    // nil: everything goes through pc
	in       *receiving // nil: nothing is received
	local    localCandidates
	gathered chan struct{} // has an entry when the gathering state has changed

	// Owned by run.
	formats    formats
	loose      map[*webrtc.RTPTransceiver]bool // looked into by loosen
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
		exceeded: func() { t.abuse("streams") }, report: t.report,
		overrun: func() { log.Warn("peer's media waits unread; dropped", "bytes", rtpWaitingBytes) },
	}
	if !offers {
		t.in = newReceiving(a.reporter, bufs, log)
	}
	if !a.pion {
		t.outlet = &outlet{report: t.report, receiving: t.in}
		t.outlet.paths = newPaths(a.media, t.outlet.take, func(from, to *egress.Route) { a.peers.move(t.outlet, from, to) })
	}
	pc, formats, err := a.newPeerConnection(bufs, t.in, t.outlet)
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

// AddTrack starts sending track after the next negotiation and hands its sender
// to ready (nil with an error).
func (t *Transport) AddTrack(track webrtc.TrackLocal, ready func(*webrtc.RTPSender, error)) error {
	return t.post(func() {
		s, err := t.pc.AddTrack(track)
		if in, ok := track.(sectioned); ok && err == nil {
			for _, tr := range t.pc.GetTransceivers() {
				if tr.Sender() == s {
					in.Section(tr.Mid)
				}
			}
		}
		ready(s, err)
	})
}

// sectioned is a track that wants to know the mid of its media section when it is bound.
type sectioned interface {
	Section(mid func() string)
}

// RemoveTrack stops a sender; its media section is reused later.
func (t *Transport) RemoveTrack(s *webrtc.RTPSender) error {
	return t.post(func() {
		if err := t.pc.RemoveTrack(s); err != nil {
			t.log.Debug("removing a track", "err", err)
		}
	})
}

// Repairs says that stream rtx repairs stream ssrc of the peer's (RFC 4588), so that what is
// sent again need not wait for the stream's next packet. It is false while there are no such
// streams.
func (t *Transport) Repairs(rtx, ssrc uint32) bool { return t.in != nil && t.in.repairs(rtx, ssrc) }

// report takes an RTCP packet of the peer's.
func (t *Transport) report(packet []byte) {
	if t.in != nil {
		t.in.reported(packet, time.Now())
	}
	t.ev.Report(packet)
}

// Take has the packets of stream ssrc of the peer's given to fn as they come, on a goroutine of
// the node's, rather than wait for its reader, wherever that is possible; the reader gets the
// others. And it has told called for the peer's sender reports of the stream: the peer's clock
// (32.32 fixed-point seconds), the time stamp then, and when the report came. Neither may
// block, nor keep the packet.
func (t *Transport) Take(ssrc uint32, fn func(pkt []byte, at time.Time), told func(ntp uint64, rtp uint32, at time.Time)) {
	if t.in == nil {
		return
	}
	t.in.tellReports(ssrc, told)
	if stream, ok := t.in.bufs.in.streams.Load(ssrc); ok {
		if m, ok := stream.(*media); ok {
			m.take(fn)
		}
	}
}

// Ask sends RTCP packets to a publisher soon; it never blocks. It returns ErrAsked when
// that is too much: a publisher may be asked 400 times a second.
func (t *Transport) Ask(pkts []rtcp.Packet) error {
	if t.in == nil {
		return t.WriteRTCP(pkts)
	}
	return t.in.reporter.ask(t.in, pkts)
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
