package audit

import (
	"context"
	"net"
	"net/http"
	"net/netip"
)

type addressKey struct{}

// Address is the client's address as WithClient put it into ctx, or "".
func Address(ctx context.Context) string {
	address, _ := ctx.Value(addressKey{}).(string)
	return address
}

// WithClient lets what serves r ask for the client's address.
func WithClient(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), addressKey{}, addressOf(r.RemoteAddr))))
	})
}

// addressOf takes the port off: it tells nothing that could be kept.
func addressOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String()
	}
	return host
}
