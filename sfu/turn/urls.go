package turn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

const (
	maxHosts = 3 // names or addresses of one kind of URL; each costs clients a try
	maxURLs  = 6
)

// certificates finds what serves TLS: the configured certificate for the
// domain, or that of the web server.
func (s *Server) certificates() error {
	if s.cfg.TLSPort == 0 && s.cfg.WebPort == 0 || s.cfg.ExternalTLS && s.cfg.WebPort == 0 {
		return nil
	}
	if s.cfg.Certificate == nil && s.cfg.Web == nil {
		if s.cfg.TLSPort != 0 && !s.cfg.ExternalTLS {
			return errors.New("turn.tls_port: needs a certificate: turn.tls_cert and turn.tls_key, or tls.cert and tls.key")
		}
		return nil
	}
	if c := s.cfg.Certificate; c != nil {
		s.tls = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*c}}
	} else {
		s.tls = s.cfg.Web.Clone()
		s.tls.NextProtos = nil
	}
	var err error
	if s.leaf, err = leafOf(s.tls, s.cfg.Domain); err != nil {
		return fmt.Errorf("turn: %w", err)
	}
	if d := s.cfg.Domain; d != "" {
		if err := s.leaf.VerifyHostname(d); err != nil {
			return fmt.Errorf("turn.domain: the certificate does not cover it (%w); set turn.tls_cert and turn.tls_key", err)
		}
	}
	return nil
}

// leafOf returns the certificate that is served under a name.
func leafOf(config *tls.Config, name string) (*x509.Certificate, error) {
	var cert *tls.Certificate
	switch {
	case len(config.Certificates) > 0:
		cert = &config.Certificates[0]
	case config.GetCertificate != nil:
		var err error
		if cert, err = config.GetCertificate(&tls.ClientHelloInfo{ServerName: name}); err != nil {
			return nil, err
		}
	}
	switch {
	case cert == nil || len(cert.Certificate) == 0:
		return nil, errors.New("TLS has no certificate")
	case cert.Leaf != nil:
		return cert.Leaf, nil
	}
	return x509.ParseCertificate(cert.Certificate[0])
}

// makeURLs lists the servers, TLS first: what passes everywhere (RFC 7065).
func (s *Server) makeURLs(peers []Peer) []string {
	var urls []string
	add := func(scheme string, hosts []string, port int, transport string) {
		for _, h := range hosts {
			urls = append(urls, scheme+":"+net.JoinHostPort(h, strconv.Itoa(port))+"?transport="+transport)
		}
	}
	secure := s.secureHosts(peers)
	public := func(port int) int {
		if s.cfg.PublicTLSPort != 0 {
			return s.cfg.PublicTLSPort
		}
		return port
	}
	switch {
	case s.cfg.TLSPort != 0:
		add("turns", secure, public(s.cfg.TLSPort), "tcp")
	case s.cfg.WebPort != 0 && s.tls != nil:
		add("turns", secure, public(s.cfg.WebPort), "tcp")
	}
	plain := []string{s.cfg.Domain}
	if s.cfg.Domain == "" {
		plain = offeredHosts(peers)
	}
	if s.cfg.TCPPort != 0 {
		add("turn", plain, s.cfg.TCPPort, "tcp")
	}
	if s.cfg.UDPPort != 0 {
		add("turn", plain, s.cfg.UDPPort, "udp")
	}
	return urls[:min(len(urls), maxURLs)]
}

// secureHosts are the hosts for which a client accepts our certificate.
func (s *Server) secureHosts(peers []Peer) []string {
	if s.cfg.Domain != "" {
		return []string{s.cfg.Domain}
	}
	if s.tls == nil {
		return nil
	}
	var hosts []string
	for _, name := range s.leaf.DNSNames {
		if strings.Contains(name, ".") && !strings.HasPrefix(name, "*") {
			hosts = append(hosts, name)
		}
	}
	if len(hosts) == 0 { // a demonstration: its certificate names addresses
		for _, h := range offeredHosts(peers) {
			if s.leaf.VerifyHostname(h) == nil {
				hosts = append(hosts, h)
			}
		}
	}
	return hosts[:min(len(hosts), maxHosts)]
}

// offeredHosts are the addresses of the media sockets, loopback only if there is
// nothing else.
func offeredHosts(peers []Peer) []string {
	var hosts, loopback []string
	for _, p := range peers {
		for _, o := range p.Offered {
			list := &hosts
			if o.Addr().IsLoopback() {
				list = &loopback
			}
			if h := o.Addr().String(); !slices.Contains(*list, h) {
				*list = append(*list, h)
			}
		}
	}
	if len(hosts) == 0 {
		hosts = loopback
	}
	return oneOfEach(hosts)
}

// oneOfEach bounds a list so that both families stay in it.
func oneOfEach(hosts []string) []string {
	if len(hosts) <= maxHosts {
		return hosts
	}
	kept := hosts[:maxHosts:maxHosts]
	is4 := func(h string) bool { return netip.MustParseAddr(h).Is4() }
	for _, h := range hosts[maxHosts:] {
		if !slices.ContainsFunc(kept, func(k string) bool { return is4(k) == is4(h) }) {
			return append(slices.Clone(kept[:maxHosts-1]), h)
		}
	}
	return kept
}
