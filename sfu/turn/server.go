package turn

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/logging"
	"github.com/pion/turn/v5"
	"github.com/prometheus/client_golang/prometheus"
)

// Config says how clients reach the TURN server. A port that is 0 is not used.
type Config struct {
	// Domain is the name under which clients reach it; empty: the names of the
	// certificate, and without TLS the addresses of the media sockets.
	Domain  string
	UDPPort int // TURN over UDP
	TCPPort int // TURN over TCP
	TLSPort int // TURN over TLS, on a port of its own
	// ExternalTLS says that a proxy in front ends the TLS of TLSPort.
	ExternalTLS bool
	// PublicTLSPort is the TLS port as clients see it; 0: as it is here.
	PublicTLSPort int
	// Certificate serves Domain; nil: that of Web.
	Certificate *tls.Certificate
	// Web is the TLS of the web server; nil if it has none.
	Web *tls.Config
	// WebPort is the port of the web server if TURN over TLS shares it, see Share.
	WebPort int
}

// enabled says whether there is any way in.
func (c *Config) enabled() bool {
	return c.UDPPort != 0 || c.TCPPort != 0 || c.TLSPort != 0 || c.WebPort != 0 && c.Web != nil
}

// Peer is a media socket of this node.
type Peer struct {
	Local   netip.AddrPort
	Offered []netip.AddrPort // what clients are told of it
}

// Options are what New needs besides the configuration.
type Options struct {
	Peers   []Peer // the only addresses that are relayed to
	Log     *slog.Logger
	Pion    logging.LoggerFactory // for pion/turn
	Metrics *prometheus.Registry  // nil: none
}

const realm = "diemcau"

// Server is the TURN server. All methods of a nil Server do nothing.
type Server struct {
	cfg    Config
	log    *slog.Logger
	peers  *peerTable
	urls   []string
	secret [32]byte

	sessions sessions
	queue    *connQueue        // streams on their way to pion/turn
	tls      *tls.Config       // nil: TLS is not ours to end
	leaf     *x509.Certificate // of tls
	sockets  []net.Listener    // their accept loops feed queue
	wg       sync.WaitGroup    // accept loops and handshakes
	ctx      context.Context   // ends handshakes
	cancel   context.CancelFunc
	turn     *turn.Server
}

// New opens the sockets and starts to serve. It returns nil if no way in is
// configured. Errors: a port is taken, or TLS is asked for without a certificate
// that covers the domain.
func New(cfg Config, o Options) (*Server, error) {
	if !cfg.enabled() {
		return nil, nil
	}
	s := &Server{cfg: cfg, log: o.Log, peers: newPeerTable(o.Peers), queue: newConnQueue()}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.sessions.byID = make(map[string]*session)
	_, _ = rand.Read(s.secret[:]) // never fails
	if err := s.certificates(); err != nil {
		return nil, err
	}
	s.urls = s.makeURLs(o.Peers)
	if len(s.urls) == 0 {
		o.Log.Warn("no TURN: the certificate names no host; set turn.domain")
	}
	if err := s.listen(o); err != nil {
		_ = s.Close()
		return nil, err
	}
	if o.Metrics != nil {
		o.Metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "diemcau", Subsystem: "turn", Name: "allocations", Help: "Relayed addresses in use.",
		}, func() float64 { return float64(s.sessions.count()) }))
	}
	return s, nil
}

// listen opens the ports and starts pion/turn over them.
func (s *Server) listen(o Options) error {
	generator := &relays{server: s}
	permit := func(_ net.Addr, peer net.IP) bool { return s.peers.allows(peer) }
	config := turn.ServerConfig{
		Realm: realm, AuthHandler: s.authenticate, QuotaHandler: s.quota, LoggerFactory: o.Pion,
		ListenerConfigs: []turn.ListenerConfig{{Listener: s.queue, RelayAddressGenerator: generator, PermissionHandler: permit}},
		EventHandler: turn.EventHandler{
			OnAllocationCreated: func(client, _ net.Addr, _, _, _ string, _ net.Addr, _ int) { s.queue.allocated(client, true) },
			OnAllocationDeleted: func(client, _ net.Addr, _, _, _ string) { s.queue.allocated(client, false) },
		},
	}
	if s.cfg.UDPPort != 0 {
		for _, p := range o.Peers {
			addr := netip.AddrPortFrom(p.Local.Addr(), uint16(s.cfg.UDPPort))
			sock, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
			if err != nil {
				closeAll(config.PacketConnConfigs)
				return fmt.Errorf("turn.udp_port %d: %w", s.cfg.UDPPort, err)
			}
			_ = sock.SetReadBuffer(socketBuffer) // the kernel may grant less
			_ = sock.SetWriteBuffer(socketBuffer)
			config.PacketConnConfigs = append(config.PacketConnConfigs, turn.PacketConnConfig{
				PacketConn: sock, RelayAddressGenerator: generator, PermissionHandler: permit,
			})
		}
	}
	for _, p := range []struct {
		key  string
		port int
		tls  bool
	}{{"turn.tcp_port", s.cfg.TCPPort, false}, {"turn.tls_port", s.cfg.TLSPort, !s.cfg.ExternalTLS}} {
		if p.port == 0 {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", p.port))
		if err != nil {
			closeAll(config.PacketConnConfigs)
			return fmt.Errorf("%s %d: %w", p.key, p.port, err)
		}
		s.sockets = append(s.sockets, l)
		s.wg.Add(1)
		go s.accept(l, p.tls)
	}
	server, err := turn.NewServer(config)
	if err != nil {
		closeAll(config.PacketConnConfigs)
		return fmt.Errorf("TURN: %w", err)
	}
	s.turn = server
	return nil
}

func closeAll(sockets []turn.PacketConnConfig) {
	for _, c := range sockets {
		_ = c.PacketConn.Close()
	}
}

// Close ends all relaying and closes the sockets. A listener that Share gave
// out is closed by its owner.
func (s *Server) Close() error {
	if s == nil {
		return nil
	}
	var errs []error
	for _, l := range s.sockets {
		errs = append(errs, l.Close())
	}
	s.cancel()
	s.queue.end()
	s.wg.Wait()
	s.sessions.closeAll()
	if s.turn != nil {
		errs = append(errs, s.turn.Close())
	}
	return errors.Join(errs...)
}

// ICEServers gives a participant a way in: the servers with credentials that
// work from now until End, and for new relayed addresses at most credentialLife.
func (s *Server) ICEServers(participant string) []*livekit.ICEServer {
	if s == nil || len(s.urls) == 0 {
		return nil
	}
	username, password := s.credentials(participant)
	return []*livekit.ICEServer{{Urls: s.urls, Username: username, Credential: password}}
}

// End refuses the credentials of a participant from now on and closes its
// relayed addresses.
func (s *Server) End(participant string) {
	if s != nil {
		s.sessions.end(participant)
	}
}
