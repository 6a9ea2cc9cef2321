package transport

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/pion/logging"
	"github.com/pion/webrtc/v4"
)

// MediaAddress is one UDP address at which this node takes media.
type MediaAddress struct {
	Local netip.AddrPort // of the socket
	// Offered is what clients are told, in the order of the configuration: Local
	// itself, or what a NAT maps to it (RFC 4787 section 4), or both.
	Offered []netip.AddrPort
}

// nodeIPs is the meaning of the configured node addresses on this machine.
type nodeIPs struct {
	own     []netip.Addr                // to be offered as they are
	mapped  map[netip.Addr][]netip.Addr // public addresses by the local one they lead to
	foreign []netip.Addr                // public addresses that lead to every local one
}

// parseNodeIPs reads addresses of three forms against the addresses of this
// machine: one of them (offered), another (a NAT maps it to ours), and
// PUBLIC/LOCAL (a NAT maps PUBLIC to LOCAL).
func parseNodeIPs(texts []string, machine []netip.Addr) (*nodeIPs, error) {
	n := &nodeIPs{mapped: map[netip.Addr][]netip.Addr{}}
	for _, text := range texts {
		publicText, localText, pair := strings.Cut(text, "/")
		public, err := netip.ParseAddr(publicText)
		if err != nil {
			return nil, fmt.Errorf("rtc.node_ips: %q is not an IP address", publicText)
		}
		public = public.Unmap()
		if !pair {
			if slices.Contains(machine, public) {
				n.own = append(n.own, public)
			} else {
				n.foreign = append(n.foreign, public)
			}
			continue
		}
		local, err := netip.ParseAddr(localText)
		if err != nil {
			return nil, fmt.Errorf("rtc.node_ips: %q is not an IP address", localText)
		}
		local = local.Unmap()
		if local.Is4() != public.Is4() {
			return nil, fmt.Errorf("rtc.node_ips: %s: both must be IPv4 or both IPv6", text)
		}
		if !slices.Contains(machine, local) {
			return nil, fmt.Errorf("rtc.node_ips: %s: %s is not an address of this machine, which has %v", text, local, machine)
		}
		n.mapped[local] = append(n.mapped[local], public)
	}
	return n, nil
}

// keep says whether media is taken at a local address. Without own addresses and
// pairs every address is; a public address that leads to every local one does
// not narrow them down.
func (n *nodeIPs) keep(local netip.Addr) bool {
	if len(n.own) == 0 && (len(n.mapped) == 0 || len(n.foreign) > 0) {
		return true
	}
	_, mapped := n.mapped[local]
	return mapped || slices.Contains(n.own, local)
}

// offered lists what clients are told instead of a local address.
func (n *nodeIPs) offered(local netip.Addr) []netip.Addr {
	var list []netip.Addr
	if slices.Contains(n.own, local) {
		list = append(list, local)
	}
	public := n.mapped[local]
	if len(public) == 0 && !local.IsLoopback() {
		for _, f := range n.foreign {
			if f.Is4() == local.Is4() {
				public = append(public, f)
			}
		}
	}
	if list = append(list, public...); len(list) == 0 {
		list = append(list, local)
	}
	return list
}

// rules has ICE offer the public addresses of the local ones that are kept.
func (n *nodeIPs) rules(kept []netip.Addr) []webrtc.ICEAddressRewriteRule {
	var rules []webrtc.ICEAddressRewriteRule
	for _, local := range kept {
		offered := n.offered(local)
		if len(offered) == 1 && offered[0] == local {
			continue
		}
		rule := webrtc.ICEAddressRewriteRule{
			Local: local.String(), AsCandidateType: webrtc.ICECandidateTypeHost, Mode: webrtc.ICEAddressRewriteReplace,
		}
		if offered[0] == local {
			offered, rule.Mode = offered[1:], webrtc.ICEAddressRewriteAppend
		}
		for _, o := range offered {
			rule.External = append(rule.External, o.String())
		}
		rules = append(rules, rule)
	}
	return rules
}

// machineAddrs lists the addresses of this machine, without zones.
func machineAddrs() ([]netip.Addr, error) {
	nets, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("listing this machine's addresses: %w", err)
	}
	var list []netip.Addr
	for _, a := range nets {
		if n, ok := a.(*net.IPNet); ok {
			if addr, ok := netip.AddrFromSlice(n.IP); ok {
				list = append(list, addr.Unmap())
			}
		}
	}
	return list, nil
}

// LoggerFactory passes what Pion says to the node's log.
func (a *API) LoggerFactory() logging.LoggerFactory { return a.engine.LoggerFactory }

// MediaAddresses lists the UDP addresses of this node; none if UDP is disabled.
func (a *API) MediaAddresses() []MediaAddress { return a.addrs }
