package signaling

import (
	"net/http"
	"net/netip"
	"strings"
)

// maxHops bounds how many proxies may stand one behind the other.
const maxHops = 8

// fromProxies puts the client's address into the RemoteAddr of what a trusted proxy
// passes on. Without it all clients have the proxy's: whoever guesses passwords there
// keeps everybody from signing in, and no line of a log says who it was.
//
// X-Forwarded-For is read from its end. Each proxy adds the address that it saw, so
// that the last one which is not a proxy's is the client; what stands before it the
// client may have written. From anybody else the header means nothing.
func fromProxies(trusted []netip.Prefix) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if len(trusted) == 0 {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if client, ok := clientBehind(trusted, r); ok {
				passed := *r
				passed.RemoteAddr = netip.AddrPortFrom(client, 0).String()
				r = &passed
			}
			next.ServeHTTP(w, r)
		})
	}
}

// clientBehind is whom a trusted proxy brings the request from.
func clientBehind(trusted []netip.Prefix, r *http.Request) (client netip.Addr, ok bool) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !within(trusted, peer.Addr()) {
		return client, false
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= max(0, len(hops)-maxHops); i-- {
		hop, valid := parseHop(hops[i])
		if !valid {
			break // nobody vouches for what stands before it
		}
		client, ok = hop, true
		if !within(trusted, hop) {
			break
		}
	}
	return client, ok
}

// parseHop reads an address, with a port or without.
func parseHop(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil {
		with, err := netip.ParseAddrPort(text)
		if err != nil {
			return addr, false
		}
		addr = with.Addr()
	}
	return addr.Unmap().WithZone(""), true
}

func within(trusted []netip.Prefix, addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	for _, p := range trusted {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
