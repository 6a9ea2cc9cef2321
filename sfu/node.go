package sfu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/utils/guid"
	"github.com/prometheus/client_golang/prometheus"

	"diemcau/sfu/egress"
	"diemcau/sfu/fanout"
	"diemcau/sfu/transport"
	"diemcau/sfu/turn"
)

// Config is what a node needs to know.
type Config struct {
	UDPPort     int      // one UDP port for the media of all participants
	TCPPort     int      // one TCP port likewise (ICE-TCP)
	NodeIPs     []string // addresses to offer, PUBLIC or PUBLIC/LOCAL; empty: all of this machine
	UseLoopback bool     // offer loopback addresses too
	Version     string   // of the program, for the log
	Rooms       RoomOptions
	TURN        turn.Config
	Log         *slog.Logger
	Metrics     *prometheus.Registry
	// Events, if set, is told what happens in the rooms, in order within a room.
	// Rooms call it on their loops: it must not block.
	Events func(*livekit.WebhookEvent)
	// PionEgress has media sealed and sent by the peer connections one packet at a time,
	// instead of past them in trains.
	PionEgress bool
}

// Errors of Open.
var (
	ErrShuttingDown = errors.New("node is shutting down")
	ErrBadSession   = errors.New("session request is incomplete")
	ErrNoRoom       = errors.New("requested room does not exist")
)

// Node is one SFU: sockets, fan-out workers and rooms.
type Node struct {
	cfg Config
	id  string
	log *slog.Logger
	api *transport.API
	// turn lets those in whom the media ports do not reach; nil without TURN.
	turn *turn.Server
	fan  *fanout.Pool
	met  *metrics
	wg   sync.WaitGroup // room loops, clean-ups of participants, followTide
	done chan struct{}  // closed with the node

	crowd atomic.Int64 // participants in all rooms
	sent  egress.Counters

	mu     sync.Mutex
	rooms  map[string]*Room
	closed bool
}

// NewNode opens the media sockets and starts the fan-out workers.
func NewNode(cfg Config) (*Node, error) {
	api, err := transport.NewAPI(transport.Config{
		UDPPort: cfg.UDPPort, TCPPort: cfg.TCPPort, NodeIPs: cfg.NodeIPs,
		UseLoopback: cfg.UseLoopback, Log: cfg.Log, PionEgress: cfg.PionEgress,
	})
	if err != nil {
		return nil, err
	}
	relay, err := newTURN(cfg, api)
	if err != nil {
		return nil, errors.Join(err, api.Close())
	}
	n := &Node{
		cfg: cfg, id: guid.New("ND_"), log: cfg.Log, api: api, turn: relay,
		rooms: make(map[string]*Room), done: make(chan struct{}),
	}
	var sender func() fanout.Sender
	if !cfg.PionEgress {
		sender = func() fanout.Sender { return egress.NewShard(&n.sent, cfg.Log) }
	}
	n.fan = fanout.New(runtime.GOMAXPROCS(0), sender, cfg.Log)
	n.met = newMetrics(cfg.Metrics, n)
	n.wg.Add(1)
	go n.followTide()
	return n, nil
}

// Open starts the session of a participant, or resumes it. It returns
// ErrShuttingDown, ErrBadSession or ErrNoRoom; what goes wrong later is told to the client
// in the session.
func (n *Node) Open(ctx context.Context, start *livekit.StartSession) (*Session, error) {
	if start.RoomName == "" || start.Identity == "" {
		return nil, ErrBadSession
	}
	grants := &auth.ClaimGrants{}
	if err := json.Unmarshal([]byte(start.GrantsJson), grants); err != nil {
		return nil, fmt.Errorf("%w: grants: %w", ErrBadSession, err)
	}
	if grants.Video == nil {
		return nil, fmt.Errorf("%w: no video grant", ErrBadSession)
	}
	for {
		room, err := n.roomToJoin(start)
		if err != nil {
			return nil, err
		}
		reply := make(chan *Session, 1)
		if !room.post(func() { reply <- room.open(start, grants) }) {
			continue // the room closed meanwhile
		}
		select {
		case s := <-reply:
			if s != nil {
				return s, nil
			}
		case <-room.done:
		case <-ctx.Done():
			go func() { // the room will answer: give back what nobody wants
				select {
				case s := <-reply:
					if s != nil {
						s.Close()
					}
				case <-room.done:
				}
			}()
			return nil, ctx.Err()
		}
	}
}

// room returns the room of that name and makes it if need be, as req says.
func (n *Node) room(name string, req *livekit.CreateRoomRequest) (*Room, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, ErrShuttingDown
	}
	r := n.rooms[name]
	if r == nil {
		r = newRoom(n, name, req)
		n.rooms[name] = r
		n.met.rooms.Inc()
		n.wg.Add(1)
		go r.loop()
	}
	return r, nil
}

// forget is called by a room's loop when it ends.
func (n *Node) forget(r *Room) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.rooms[r.name] == r {
		delete(n.rooms, r.name)
		n.met.rooms.Dec()
	}
	if len(n.rooms) == 0 && !n.closed {
		n.cleanup(giveBack) // an idle node gives back what its rooms took
	}
}

// Close tells every client to come back, ends all rooms and closes the sockets.
// It returns ctx's error if that takes too long.
func (n *Node) Close(ctx context.Context) error {
	n.mu.Lock()
	if !n.closed {
		close(n.done)
	}
	n.closed = true
	rooms := make([]*Room, 0, len(n.rooms))
	for _, r := range n.rooms {
		rooms = append(rooms, r)
	}
	n.mu.Unlock()
	for _, r := range rooms {
		r.post(r.shutdown)
	}
	done := make(chan struct{})
	go func() {
		n.wg.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
		n.fan.Close()
	case <-ctx.Done():
		err = ctx.Err()
	}
	return errors.Join(err, n.turn.Close(), n.api.Close())
}

// newTURN makes the TURN server in front of the media sockets.
func newTURN(cfg Config, api *transport.API) (*turn.Server, error) {
	var peers []turn.Peer
	for _, a := range api.MediaAddresses() {
		peers = append(peers, turn.Peer{Local: a.Local, Offered: a.Offered})
	}
	return turn.New(cfg.TURN, turn.Options{Peers: peers, Log: cfg.Log, Pion: api.LoggerFactory(), Metrics: cfg.Metrics})
}

// TURN is the node's TURN server, nil without one.
func (n *Node) TURN() *turn.Server { return n.turn }

// cleanup runs wait in the background; Close waits for it.
func (n *Node) cleanup(wait func()) {
	n.wg.Add(1)
	go func() {
		defer n.wg.Done()
		wait()
	}()
}
