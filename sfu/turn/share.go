package turn

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"time"
)

const (
	helloTime     = 10 * time.Second // for a TLS handshake and the first byte after it
	maxHandshakes = 2048             // at once; above it new connections are closed
	acceptPause   = 50 * time.Millisecond
)

// accept takes the connections of a TURN port.
func (s *Server) accept(l net.Listener, secure bool) {
	defer s.wg.Done()
	acceptLoop(s.ctx, l, &s.wg, func(c net.Conn) {
		if secure {
			t := tls.Server(c, s.tls)
			if handshake(s.ctx, t) != nil {
				_ = c.Close()
				return
			}
			c = t
		}
		s.queue.put(newStream(c, nil, s.queue))
	})
}

// acceptLoop gives each connection a goroutine, which wg counts, until the
// listener is closed. When the process is out of descriptors it waits a little.
func acceptLoop(ctx context.Context, l net.Listener, wg *sync.WaitGroup, serve func(net.Conn)) {
	slots := make(chan struct{}, maxHandshakes)
	for {
		c, err := l.Accept()
		if err != nil {
			var ne net.Error
			if errors.Is(err, net.ErrClosed) || !errors.As(err, &ne) {
				return
			}
			select {
			case <-time.After(acceptPause):
				continue
			case <-ctx.Done():
				return
			}
		}
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetWriteBuffer(streamBuffer)
		}
		select {
		case slots <- struct{}{}:
		default:
			_ = c.Close()
			continue
		}
		wg.Go(func() {
			defer func() { <-slots }()
			serve(c)
		})
	}
}

// handshake gives a client helloTime for its TLS handshake.
func handshake(ctx context.Context, t *tls.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, helloTime)
	defer cancel()
	return t.HandshakeContext(ctx)
}

// shared is the web server's listener without the connections that are TURN's.
// It ends the TLS of all: who is who shows in the ClientHello (the name of the
// domain, RFC 6066 section 3; the protocols of HTTP, RFC 7301) or, where both
// have one name, in the first byte inside: a STUN message begins with two zero
// bits (RFC 8489 section 5), a request of HTTP with a letter.
type shared struct {
	net.Listener
	server *Server
	tls    *tls.Config
	web    chan net.Conn
	ctx    context.Context // ends with the listener
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// Shares says whether TURN over TLS is to share the port of the web server.
func (s *Server) Shares() bool { return s != nil && s.cfg.WebPort != 0 && s.tls != nil }

// Share takes over a TCP listener and returns one that accepts the connections
// of the web server, with TLS done: *tls.Conn where the client names a protocol
// of HTTP, else a net.Conn over one. protocols are those of HTTP, by preference.
// Closing it closes l and cuts handshakes under way.
func (s *Server) Share(l net.Listener, protocols []string) net.Listener {
	web := s.cfg.Web.Clone()
	web.NextProtos = protocols
	own := s.tls.Clone()
	if d := s.cfg.Domain; d != "" && s.cfg.Certificate != nil {
		web.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			if strings.EqualFold(h.ServerName, d) {
				own := own.Clone()
				if httpClient(h.SupportedProtos) { // somebody looks at the domain with a browser
					own.NextProtos = protocols
				}
				return own, nil
			}
			return nil, nil //nolint:nilnil // the web server's own
		}
	}
	// Clients of TURN may offer "stun.turn" (RFC 7443) or nothing; a server that
	// knows only HTTP would have to refuse the former.
	web.NextProtos = append(append([]string(nil), web.NextProtos...), "stun.turn", "webrtc")
	sh := &shared{Listener: l, server: s, tls: web, web: make(chan net.Conn)}
	sh.ctx, sh.cancel = context.WithCancel(context.Background())
	sh.wg.Go(func() {
		defer sh.cancel()
		acceptLoop(sh.ctx, l, &sh.wg, sh.serve)
	})
	return sh
}

func httpClient(protocols []string) bool {
	for _, p := range protocols {
		if p == "h2" || strings.HasPrefix(p, "http/") {
			return true
		}
	}
	return false
}

// serve finds out what one connection is and passes it on.
func (sh *shared) serve(c net.Conn) {
	t := tls.Server(c, sh.tls)
	if handshake(sh.ctx, t) != nil {
		_ = c.Close()
		return
	}
	state := t.ConnectionState()
	if httpClient([]string{state.NegotiatedProtocol}) {
		sh.pass(t)
		return
	}
	_ = t.SetReadDeadline(time.Now().Add(helloTime))
	in := bufio.NewReaderSize(t, maxFrame+4)
	stop := context.AfterFunc(sh.ctx, func() { _ = c.Close() })
	first, err := in.Peek(1)
	stop()
	if err != nil || t.SetReadDeadline(time.Time{}) != nil {
		_ = t.Close()
		return
	}
	if first[0]>>6 == 0 {
		sh.server.queue.put(newStream(t, in, sh.server.queue))
		return
	}
	sh.pass(&peeked{Conn: t, in: in})
}

func (sh *shared) pass(c net.Conn) {
	select {
	case sh.web <- c:
	case <-sh.ctx.Done():
		_ = c.Close()
	}
}

// Accept implements net.Listener.
func (sh *shared) Accept() (net.Conn, error) {
	select {
	case c := <-sh.web:
		return c, nil
	case <-sh.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (sh *shared) Close() error {
	err := sh.Listener.Close()
	sh.cancel()
	sh.wg.Wait()
	return err
}

// peeked is a connection of which the first bytes have been looked at.
type peeked struct {
	*tls.Conn
	in *bufio.Reader
}

// Read implements net.Conn.
func (p *peeked) Read(b []byte) (int, error) { return p.in.Read(b) }
