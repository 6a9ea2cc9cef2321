package light

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/rtp"
)

// Options describe a participant.
type Options struct {
	Room, Identity string
	// TwoPeerConnections has it use the protocol with two of them (/rtc), else /rtc/v1.
	TwoPeerConnections bool
	// AutoSubscribe has the server send it all that is published.
	AutoSubscribe bool
	// AdaptiveStream tells the server that it will ask for sizes, so that it begins with
	// the smallest picture.
	AdaptiveStream bool
	// Sample has all that it receives decrypted and looked at.
	Sample bool
	// Dynacast has it send no layer that nobody wants.
	Dynacast bool
	// Listen has it note what others publish; see Knows.
	Listen bool
}

// Sections to receive in that a browser's first offer has.
const (
	firstAudio = 3
	firstVideo = 3
)

// pingInterval is that of stock clients.
const pingInterval = 5 * time.Second

// Participant is one member of a room.
type Participant struct {
	group   *Group
	o       Options
	started time.Time
	// joinTime is set before Join returns.
	joinTime time.Duration

	sid    string // set before Join returns
	joined chan struct{}
	left   chan struct{} // closed by Leave
	over   chan struct{} // closed when the server has ended the session
	reader sync.WaitGroup

	negMu    sync.Mutex
	conn     *signal // guarded by negMu
	pub, sub *link   // the same one with one peer connection; guarded by negMu
	sections []*section
	version  uint64
	offerID  uint32
	offering bool // an offer of ours awaits its answer
	wanted   bool // and another is to follow
	pubs     []*Publication
	early    map[livekit.SignalTarget][]string // candidates that came before a description
	tracks   map[string]bool                   // that others publish
	lastSDP  [2]string                         // offer and answer, of the link that receives
	resuming bool                              // the connection was lost on purpose
	back     chan struct{}                     // closed when the server has taken us back
	ended    error                             // why the server sent us away

	layersMu sync.Mutex
	layers   map[uint32]*layer // by SSRC; guarded by layersMu

	books  books
	report *task
}

// books are what was received.
type books struct {
	group                  *Group
	mu                     sync.Mutex // guards all below
	twccID                 uint8
	tag                    int // bytes that sealing adds to a packet
	codecs                 [128]codec
	streams                map[uint32]*stream // by SSRC
	list                   []*stream          // those that were, too
	repairs                map[uint32]*stream // by the SSRC of the RTX stream
	arrivals               arrivals
	bytes                  uint64
	firstVideo, firstFrame int64            // ns, when the first packet and picture came; 0: none did
	subscribed             map[string]int64 // when a track was subscribed to, ns
	unknown                uint64           // packets of a format that was not negotiated
	measured               *Delays          // of a sample
	refused                uint64
	header                 rtp.Header
	plain                  []byte
	out                    []byte
	numbers                []uint16
	rateAt                 int64
	rateBytes              uint64
	rate                   float64 // bit/s
	reportAt               int64
	pingAt                 int64
	roundTrip              int64
}

// Join enters the room and returns when media can flow. Errors: the server refuses, or
// ctx ends first.
func (g *Group) Join(ctx context.Context, o Options) (*Participant, error) {
	p := &Participant{
		group: g, o: o, started: time.Now(), joined: make(chan struct{}), left: make(chan struct{}), over: make(chan struct{}),
		early: map[livekit.SignalTarget][]string{}, layers: map[uint32]*layer{},
		tracks: map[string]bool{},
	}
	p.books.group = g
	p.books.streams, p.books.repairs, p.books.subscribed = map[uint32]*stream{}, map[uint32]*stream{}, map[string]int64{}
	if o.Sample {
		p.books.measured = &Delays{}
	}
	if err := p.enter(ctx); err != nil {
		p.Leave()
		return nil, err
	}
	return p, nil
}

func (p *Participant) enter(ctx context.Context) error {
	token, err := p.group.token(p.o.Room, p.o.Identity)
	if err != nil {
		return err
	}
	if p.pub, err = p.newLink(); err != nil {
		return err
	}
	p.sub = p.pub
	path, query := "rtc/v1", url.Values{}
	if p.o.TwoPeerConnections {
		if p.sub, err = p.newLink(); err != nil {
			return err
		}
		path = "rtc"
		query.Set("auto_subscribe", flag(p.o.AutoSubscribe))
		query.Set("adaptive_stream", flag(p.o.AdaptiveStream))
		p.addSections(kindData, 1)
	} else {
		p.addSections(kindAudio, firstAudio)
		p.addSections(kindVideo, firstVideo)
		p.addSections(kindData, 1)
		request, err := p.joinRequest()
		if err != nil {
			return err
		}
		query.Set("join_request", request)
	}
	if p.conn, err = dial(ctx, p.group.base, path, token, query); err != nil {
		return err
	}
	conn := p.conn
	p.reader.Go(func() { p.read(conn) })
	select {
	case <-p.joined:
	case <-p.over:
		return p.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
	if p.o.TwoPeerConnections {
		p.negMu.Lock()
		err := p.offerLocked()
		p.negMu.Unlock()
		if err != nil {
			return err
		}
	}
	if err := p.sub.await(ctx); err != nil {
		return fmt.Errorf("no media: %w", errors.Join(err, p.Err()))
	}
	p.books.mu.Lock()
	p.books.tag = p.sub.overhead
	p.books.mu.Unlock()
	p.joinTime = time.Since(p.started)
	p.report = p.group.reports.add(time.Now(), p.makeReports)
	return nil
}

func (p *Participant) newLink() (*link, error) {
	return newLink(p.group.local, p.group.cert, p.receive)
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

func (p *Participant) joinRequest() (string, error) {
	offer, err := p.describe()
	if err != nil {
		return "", err
	}
	auto := p.o.AutoSubscribe
	return wrap(&livekit.JoinRequest{
		ClientInfo:         clientInfo(),
		ConnectionSettings: &livekit.ConnectionSettings{AutoSubscribe: auto, AdaptiveStream: p.o.AdaptiveStream},
		PublisherOffer:     offer,
	})
}

// Err tells why the server ended the session, nil if it did not.
func (p *Participant) Err() error {
	p.negMu.Lock()
	defer p.negMu.Unlock()
	return p.ended
}

// Identity is its own.
func (p *Participant) Identity() string { return p.o.Identity }

// Started is when it began to join.
func (p *Participant) Started() time.Time { return p.started }

// JoinTime is how long it took until media could flow.
func (p *Participant) JoinTime() time.Duration { return p.joinTime }

// Leave ends everything and waits for it. It may be called twice.
func (p *Participant) Leave() {
	p.negMu.Lock()
	select {
	case <-p.left:
		p.negMu.Unlock()
		return
	default:
	}
	close(p.left)
	conn, pubs := p.conn, p.pubs
	p.negMu.Unlock()
	p.report.stop()
	for _, t := range pubs {
		t.stop()
	}
	if conn != nil {
		_ = conn.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Leave{Leave: &livekit.LeaveRequest{
			Reason: livekit.DisconnectReason_CLIENT_INITIATED, Action: livekit.LeaveRequest_DISCONNECT,
		}}})
	}
	if p.pub != nil {
		p.pub.close()
	}
	if p.sub != nil && p.sub != p.pub {
		p.sub.close()
	}
	if conn != nil {
		conn.close()
	}
	p.reader.Wait()
}

// layer is the one that sends under the number, nil if none does.
func (p *Participant) layer(ssrc uint32) *layer {
	p.layersMu.Lock()
	defer p.layersMu.Unlock()
	return p.layers[ssrc]
}
