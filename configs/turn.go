package configs

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// TURN says how clients reach the TURN server (RFC 8656). A port that is 0 is
// not used.
type TURN struct {
	Enabled       bool   `yaml:"enabled"`
	Domain        string `yaml:"domain"`
	ShareHTTPS    bool   `yaml:"share_https"`
	UDPPort       int    `yaml:"udp_port"`
	TCPPort       int    `yaml:"tcp_port"`
	TLSPort       int    `yaml:"tls_port"`
	ExternalTLS   bool   `yaml:"external_tls"`
	PublicTLSPort int    `yaml:"public_tls_port"`
	TLSCert       string `yaml:"tls_cert"`
	TLSKey        string `yaml:"tls_key"`
}

// ListenPort is the port of the web server.
func (c *Config) ListenPort() int {
	_, text, _ := net.SplitHostPort(c.Listen)
	port, _ := strconv.Atoi(text)
	return port
}

// checkTURN checks the TURN server's keys, those of a disabled one too.
func (c *Config) checkTURN(fail failFunc) {
	t := &c.TURN
	if d := t.Domain; d != "" && !isHostName(d) {
		if addr, err := netip.ParseAddr(d); err != nil || addr.Zone() != "" {
			fail("turn.domain", "must be a name, as in turn.tinh.gov.vn, or an IP address")
		}
	}
	for _, p := range []struct {
		key  string
		port int
	}{{"turn.udp_port", t.UDPPort}, {"turn.tcp_port", t.TCPPort}, {"turn.tls_port", t.TLSPort}, {"turn.public_tls_port", t.PublicTLSPort}} {
		if p.port < 0 || p.port > 65535 {
			fail(p.key, "must be from 1 to 65535, or 0 for none")
		}
	}
	switch {
	case t.TLSCert != "" && t.TLSKey == "":
		fail("turn.tls_cert", "is set without turn.tls_key; set both or neither")
	case t.TLSCert == "" && t.TLSKey != "":
		fail("turn.tls_key", "is set without turn.tls_cert; set both or neither")
	case t.TLSCert != "" && t.Domain == "":
		fail("turn.tls_cert", "needs turn.domain, the name that it is for")
	}
	switch {
	case t.ExternalTLS && t.TLSPort == 0:
		fail("turn.external_tls", "needs turn.tls_port, where the proxy connects to")
	case t.ExternalTLS && t.Domain == "":
		fail("turn.external_tls", "needs turn.domain, the name of the proxy's certificate")
	case t.ExternalTLS && t.TLSCert != "":
		fail("turn.external_tls", "the proxy ends TLS: remove turn.tls_cert and turn.tls_key")
	case t.TLSPort != 0 && !t.ExternalTLS && t.TLSCert == "" && c.TLS.Cert == "" && (!c.Demo || c.Loopback()):
		fail("turn.tls_port", "needs a certificate: turn.tls_cert and turn.tls_key, or tls.cert and tls.key")
	}
	c.checkTURNPorts(fail)
}

// checkTURNPorts checks that no port is given twice.
func (c *Config) checkTURNPorts(fail failFunc) {
	t := &c.TURN
	if t.UDPPort != 0 && t.UDPPort == c.RTC.UDPPort {
		fail("turn.udp_port", "is rtc.udp_port; they need one each")
	}
	used := map[int]string{c.ListenPort(): "the port of listen", c.RTC.TCPPort: "rtc.tcp_port"}
	for _, p := range []struct {
		key  string
		port int
	}{{"turn.tcp_port", t.TCPPort}, {"turn.tls_port", t.TLSPort}} {
		if p.port == 0 {
			continue
		}
		if other := used[p.port]; other != "" {
			hint := ""
			if other == "the port of listen" && strings.HasSuffix(p.key, "tls_port") {
				hint = "; to share it, set turn.share_https and leave turn.tls_port out"
			}
			fail(p.key, "is %s; they need one each%s", other, hint)
		}
		used[p.port] = p.key
	}
}
