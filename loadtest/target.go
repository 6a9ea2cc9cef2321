package loadtest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
)

// CheckLocal returns an error unless every address behind rawURL belongs to
// this machine (or this network namespace): a load test is aimed at a foreign
// server only on purpose.
func CheckLocal(ctx context.Context, rawURL string) error {
	u, err := url.Parse(rawURL)
	if err != nil {
		return err
	}
	if u.Hostname() == "" {
		return fmt.Errorf("%q has no host", rawURL)
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return err
	}
	own, err := ownAddrs()
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if a = a.Unmap().WithZone(""); !a.IsLoopback() && !own[a] {
			return fmt.Errorf("%s (%s) is not this machine", u.Hostname(), a)
		}
	}
	return nil
}

func ownAddrs() (map[netip.Addr]bool, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	own := make(map[netip.Addr]bool, len(list))
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own[p.Addr().Unmap().WithZone("")] = true
		}
	}
	return own, nil
}

// webURL turns ws and wss into http and https.
func webURL(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	case "http", "https":
	default:
		return nil, fmt.Errorf("%q: want http, https, ws or wss", rawURL)
	}
	return u, nil
}
