package signaling

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"

	"diemcau/signaling/auth"
	"diemcau/signaling/roomservice"
	"diemcau/signaling/rtc"
)

const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10 // a join request with an SDP offer travels in the URL
	shutdownTimeout   = 3 * time.Second
)

// Options are what a Server needs.
type Options struct {
	Listen string      // TCP address, such as "127.0.0.1:7880"
	TLS    *tls.Config // nil: plain HTTP
	// Share, if set, takes connections that are not HTTP out of the listener and
	// does the TLS of the others, with these protocols; only with TLS.
	Share func(l net.Listener, protocols []string) net.Listener
	// Proxies pass requests on to us and are believed whom they come from.
	Proxies []netip.Prefix
	Keys    map[string]string // API key to secret
	Demo    bool              // offers tokens to whoever asks
	DemoKey string            // the API key that signs them; required with Demo
	Bridge  rtc.Bridge        // required
	Rooms   roomservice.Rooms // nil: no RoomService
	Client  http.Handler      // the web client; required
	// API, if set, puts further routes on a router at /api/v1.
	API func(r chi.Router) error
	// Socket serves what is below /ws/v1/; nil: nothing.
	Socket  http.Handler
	Ready   func() error         // nil: always ready
	CA      []byte               // PEM certificate offered at /ca.crt; nil: none
	Version string               // told by /api/v1/config
	Log     *slog.Logger         // required
	Metrics *prometheus.Registry // nil: a registry of its own
}

// Server is the HTTP server. Make one with New.
type Server struct {
	options  Options
	verifier *auth.Verifier
	rtc      *rtc.Handler
	rooms    http.Handler // below /twirp/
	demo     *demoTokens  // nil without Demo
	metrics  *prometheus.Registry
	handler  http.Handler
	stopping atomic.Bool

	mu       sync.Mutex
	listener net.Listener // guarded by mu; nil before Bind and after Serve
}

// New returns a Server that does not listen yet. Errors: a required option is
// missing, a key or secret is empty, or Metrics holds other metrics of the same
// names.
func New(o Options) (*Server, error) {
	if o.Bridge == nil || o.Client == nil || o.Log == nil {
		return nil, errors.New("signaling: Bridge, Client and Log are required")
	}
	verifier, err := auth.NewVerifier(o.Keys)
	if err != nil {
		return nil, err
	}
	s := &Server{options: o, verifier: verifier, metrics: o.Metrics}
	if s.metrics == nil {
		s.metrics = prometheus.NewRegistry()
	}
	s.rtc, err = rtc.New(rtc.Options{Auth: verifier, Bridge: o.Bridge, Log: o.Log, Metrics: s.metrics})
	if err != nil {
		return nil, fmt.Errorf("signaling: %w", err)
	}
	s.rooms = http.HandlerFunc(noSuchService)
	if o.Rooms != nil {
		s.rooms, err = roomservice.New(roomservice.Options{Auth: verifier, Rooms: o.Rooms, Log: o.Log, Metrics: s.metrics})
		if err != nil {
			return nil, fmt.Errorf("signaling: %w", err)
		}
	}
	if o.Demo {
		if _, ok := o.Keys[o.DemoKey]; !ok {
			return nil, errors.New("signaling: DemoKey is not among Keys")
		}
		s.demo = newDemoTokens(verifier, o.DemoKey)
	}
	s.handler, err = s.routes()
	if err != nil {
		return nil, fmt.Errorf("signaling: %w", err)
	}
	return s, nil
}

// Handler returns what the server serves, for tests and for other listeners.
func (s *Server) Handler() http.Handler { return s.handler }

// Bind starts listening, so that connections queue up until Serve, and returns
// the address. Serve calls it when nobody has.
func (s *Server) Bind() (net.Addr, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		listener, err := net.Listen("tcp", s.options.Listen)
		if err != nil {
			return nil, fmt.Errorf("signaling: %w", err)
		}
		s.listener = listener
	}
	return s.listener.Addr(), nil
}

// Serve serves until ctx ends, then ends the signal sessions so that their
// clients resume, finishes running requests and returns nil. It gives all that
// 10 s and then cuts what is left. It returns an error if it cannot listen or
// the listener fails.
func (s *Server) Serve(ctx context.Context) error {
	if _, err := s.Bind(); err != nil {
		return err
	}
	s.mu.Lock()
	listener := s.listener
	s.mu.Unlock()
	server := &http.Server{
		Handler:           s.handler,
		TLSConfig:         s.options.TLS.Clone(),
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// Failed TLS handshakes mostly: a browser that does not trust us yet.
		ErrorLog: slog.NewLogLogger(s.options.Log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	if s.options.Share != nil {
		server.TLSConfig.NextProtos = []string{"h2", "http/1.1"} // has Serve speak HTTP/2 too
		listener = s.options.Share(listener, server.TLSConfig.NextProtos)
	}
	go func() {
		if s.options.TLS != nil && s.options.Share == nil {
			failed <- server.ServeTLS(listener, "", "")
		} else {
			failed <- server.Serve(listener)
		}
	}()
	var serveErr error
	select {
	case <-ctx.Done():
	case serveErr = <-failed:
		failed <- http.ErrServerClosed
	}
	err := s.stop(server)
	<-failed
	if serveErr != nil {
		return fmt.Errorf("signaling: %w", serveErr)
	}
	return err
}

// stop ends sessions first: Shutdown does not know of hijacked connections.
func (s *Server) stop(server *http.Server) error {
	s.stopping.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if err := s.rtc.Shutdown(ctx); err != nil {
		s.options.Log.Warn("signal sessions were cut", "error", err)
	}
	if err := server.Shutdown(ctx); err != nil {
		s.options.Log.Warn("requests were cut", "error", err)
		return server.Close()
	}
	return nil
}
