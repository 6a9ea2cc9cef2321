package transport

import (
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
)

// roamAfter is how long nothing may come on the selected path before another one
// on which the client sends checks takes its place. Longer than iceKeepalive,
// whose answers come on a path that works.
const roamAfter = 2 * time.Second

// roaming moves a peer connection to the client's new address when that changed
// without an ICE restart: a NAT gave it another port, or the client went on
// from another interface. ICE itself nominates once (RFC 8445 section 8), so the
// peer would stay with the dead path until it fails.
//
// A check is proof enough: it is signed with the password of the session, and
// consent (RFC 7675) is asked for on the new path as on any other.
type roaming struct {
	mu       sync.Mutex
	selected string                   // address of the client on the selected path
	seen     map[string]ice.Candidate // clients' candidates that sent checks, by address
}

// follow learns which path is selected.
func (r *roaming) follow(p *webrtc.ICECandidatePair) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.selected = roamKey(p.Remote.Protocol.String(), p.Remote.Address, int(p.Remote.Port))
}

func roamKey(network, address string, port int) string {
	return network + " " + net.JoinHostPort(address, strconv.Itoa(port))
}

// check is called for each check of the client's, after it was verified, and
// says whether to select its path.
func (r *roaming) check(remote ice.Candidate) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := roamKey(remote.NetworkType().NetworkShort(), remote.Address(), remote.Port())
	if r.seen == nil || len(r.seen) > maxCandidates {
		r.seen = make(map[string]ice.Candidate)
	}
	r.seen[key] = remote
	if r.selected == "" || key == r.selected {
		return false
	}
	current, known := r.seen[r.selected]
	return known && time.Since(current.LastReceived()) > roamAfter
}
