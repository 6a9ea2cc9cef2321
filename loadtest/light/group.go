package light

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/livekit/protocol/auth"
)

// Server is what a Group joins.
type Server struct {
	// URL is http(s) or ws(s); Key and Secret are its API key.
	URL, Key, Secret string
}

// Group is what participants of one program share: the clocks that send for all of them,
// a certificate, and the number by which they know each other's packets.
type Group struct {
	server  Server
	base    *url.URL   // ws or wss
	local   netip.Addr // ours, by which the server is reached
	cert    certificate
	run     uint32
	media   *Clock
	reports *Clock

	mu        sync.Mutex
	published map[string]*lateness // by track; guarded by mu
}

// late is the lateness of a track that one of the group publishes, else nil.
func (g *Group) late(track string) *lateness {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.published[track]
}

// NewGroup looks where the server is; nothing is sent to it. Close ends the group.
// Errors: the URL is none, or its host is not known.
func NewGroup(ctx context.Context, server Server) (*Group, error) {
	base, err := signalBase(server.URL)
	if err != nil {
		return nil, err
	}
	local, err := localAddr(ctx, base)
	if err != nil {
		return nil, err
	}
	cert, err := newCertificate()
	if err != nil {
		return nil, err
	}
	return &Group{
		server: server, base: base, local: local, cert: cert, run: rand.Uint32(), //nolint:gosec // no secret
		media: NewClock(), reports: NewClock(), published: map[string]*lateness{},
	}, nil
}

// Close ends the clocks. The participants must have left.
func (g *Group) Close() {
	g.media.Close()
	g.reports.Close()
}

func signalBase(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, err
	}
	switch u.Scheme {
	case "http", "ws":
		u.Scheme = "ws"
	case "https", "wss":
		u.Scheme = "wss"
	default:
		return nil, fmt.Errorf("%q: want http, https, ws or wss", raw)
	}
	if u.Hostname() == "" {
		return nil, fmt.Errorf("%q has no host", raw)
	}
	return u, nil
}

// localAddr is the address that packets to the host are sent from. No packet is.
func localAddr(ctx context.Context, u *url.URL) (netip.Addr, error) {
	port := u.Port()
	if port == "" {
		port = "443"
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return netip.Addr{}, err
	}
	defer func() { _ = conn.Close() }() // nothing was sent
	addr, ok := conn.LocalAddr().(*net.UDPAddr)
	if !ok {
		return netip.Addr{}, errors.New("light: no UDP address")
	}
	return addr.AddrPort().Addr().Unmap().WithZone(""), nil
}

// token lets identity into the room.
func (g *Group) token(room, identity string) (string, error) {
	grant := &auth.VideoGrant{RoomJoin: true, Room: room}
	return auth.NewAccessToken(g.server.Key, g.server.Secret).SetIdentity(identity).SetName(identity).
		SetValidFor(24 * time.Hour).SetVideoGrant(grant).ToJWT()
}
