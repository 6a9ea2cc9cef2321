package signaling

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// One address may make addressBurst requests at once and addressRate a second
// after that: an office behind one address joins a meeting together.
const (
	addressRate  = 5
	addressBurst = 60
	maxAddresses = 4096
)

// addressLimiter limits requests by client address. It is safe for concurrent use.
type addressLimiter struct {
	mu      sync.Mutex
	buckets map[netip.Prefix]*rate.Limiter // guarded by mu; at most maxAddresses
	rest    *rate.Limiter                  // shared by those that found buckets full
}

func newAddressLimiter() *addressLimiter {
	return &addressLimiter{
		buckets: make(map[netip.Prefix]*rate.Limiter),
		rest:    rate.NewLimiter(addressRate, addressBurst),
	}
}

// allow takes one request of remote, a host:port as in http.Request.RemoteAddr.
func (l *addressLimiter) allow(remote string) bool {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bucketLocked(addressKey(remote), now).AllowN(now, 1)
}

func (l *addressLimiter) bucketLocked(key netip.Prefix, now time.Time) *rate.Limiter {
	if bucket := l.buckets[key]; bucket != nil {
		return bucket
	}
	if len(l.buckets) >= maxAddresses {
		for k, bucket := range l.buckets {
			if bucket.TokensAt(now) >= addressBurst { // as good as new
				delete(l.buckets, k)
			}
		}
		if len(l.buckets) >= maxAddresses {
			return l.rest
		}
	}
	bucket := rate.NewLimiter(addressRate, addressBurst)
	l.buckets[key] = bucket
	return bucket
}

// addressKey is the network that one client can be anywhere in: the address of
// IPv4, the /64 of IPv6. What does not parse shares one key.
func addressKey(remote string) netip.Prefix {
	addrPort, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	addr := addrPort.Addr().Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
