package configs

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// minSecret is the least length of an API secret in characters: HS256 wants a
// key as long as its hash output (RFC 7518 section 3.2), which is 32 bytes.
const minSecret = 32

// Bounds of what may be set for rooms.
const (
	maxRoomTimeout  = 8760 * time.Hour // a year
	maxParticipants = 1_000_000
	maxLoudest      = 50
)

var (
	keyName  = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	hostName = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
)

// Validate checks the values against each other and against what the server can
// use. It reads no files and looks up no names. An error is of type Errors.
func (c *Config) Validate() error {
	if errs := c.check(); len(errs) > 0 {
		return errs
	}
	return nil
}

// check collects what is wrong, with keys and without places.
func (c *Config) check() Errors {
	var errs Errors
	fail := func(key, format string, args ...any) {
		errs = append(errs, &Error{Key: key, Message: fmt.Sprintf(format, args...)})
	}
	port := checkListen(c.Listen, fail)
	if strings.TrimSpace(c.DataDir) == "" {
		fail("data_dir", "must name a directory")
	}
	switch {
	case c.TLS.Cert != "" && c.TLS.Key == "":
		fail("tls.cert", "is set without tls.key; set both or neither")
	case c.TLS.Cert == "" && c.TLS.Key != "":
		fail("tls.key", "is set without tls.cert; set both or neither")
	}
	checkPort("rtc.udp_port", c.RTC.UDPPort, fail)
	checkPort("rtc.tcp_port", c.RTC.TCPPort, fail)
	if c.RTC.TCPPort == port && port != 0 {
		fail("rtc.tcp_port", "is the port of listen; they need one each")
	}
	checkNodeIPs(c.RTC.NodeIPs, fail)
	checkWord("sfu.egress", c.SFU.Egress, []string{"auto", EgressPion}, fail)
	c.checkRoom(fail)
	c.checkTURN(fail)
	c.checkKeys(fail)
	c.checkWebhook(fail)
	checkPublicURL(c.PublicURL, fail)
	checkProxies(c.Trusted, fail)
	c.checkOIDC(fail)
	checkURL("redis.url", c.Redis.URL, []string{"redis", "rediss"}, fail)
	checkURL("database.url", c.Database.URL, []string{"postgres", "postgresql"}, fail)
	checkURL("storage.url", c.Storage.URL, []string{"s3", "file"}, fail)
	checkWord("log.level", c.Log.Level, []string{"debug", "info", "warn", "error"}, fail)
	checkWord("log.format", c.Log.Format, []string{"text", "json"}, fail)
	checkDebug(c.Debug.Listen, fail)
	return errs
}

// checkPublicURL: browsers compare origins, which have no path.
func checkPublicURL(text string, fail failFunc) {
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.TrimSuffix(u.Path, "/") != "" ||
		u.RawQuery != "" || u.Fragment != "" {
		fail("public_url", "must be https:// and a host, as in https://hop.example.vn")
	}
}

func checkProxies(networks []string, fail failFunc) {
	for _, text := range networks {
		switch p, ok := parseNetwork(text); {
		case !ok:
			fail("trusted_proxies", "%q is not an IP address or network, as in 10.0.0.5 or 10.0.0.0/24", text)
		case p.Bits() == 0:
			fail("trusted_proxies", "%s is everybody: anybody could pretend to come from anywhere", text)
		}
	}
}

// parseNetwork reads a network, or an address as the network of one machine.
func parseNetwork(text string) (netip.Prefix, bool) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err == nil && !p.Addr().Is4In6()
}

var roleRule = regexp.MustCompile(`^[^=\s][^=]*=[a-z]+$`)

func (c *Config) checkOIDC(fail failFunc) {
	o := c.OIDC
	checkURL("oidc.issuer", o.Issuer, []string{"https", "http"}, fail)
	if o.Issuer != "" && o.ClientID == "" {
		fail("oidc.client_id", "is needed with oidc.issuer")
	}
	if o.Issuer != "" && c.PublicURL == "" {
		fail("public_url", "is needed with oidc.issuer, which sends browsers back there")
	}
	for _, r := range o.Roles {
		if !roleRule.MatchString(r) {
			fail("oidc.roles", "%q must be VALUE=ROLE, as in thu-ky=secretary", r)
		}
	}
}

// checkDebug refuses an address that others could reach: what is shown there is for
// this machine's operator only.
func checkDebug(listen string, fail failFunc) {
	if listen == "" {
		return
	}
	addr, err := netip.ParseAddrPort(listen)
	if err != nil || addr.Port() == 0 || !addr.Addr().IsLoopback() {
		fail("debug.listen", "must be a loopback address and a port, as in 127.0.0.1:6060")
	}
}

type failFunc func(key, format string, args ...any)

// checkListen checks host:port and returns the port, or 0 if it has none.
func checkListen(listen string, fail failFunc) int {
	host, portText, err := net.SplitHostPort(listen)
	if err != nil {
		fail("listen", "must be host:port, as in 127.0.0.1:7880 or [::]:7880")
		return 0
	}
	port, err := strconv.Atoi(portText)
	if err != nil || port < 1 || port > 65535 {
		fail("listen", "its port must be a number from 1 to 65535")
		return 0
	}
	_, err = netip.ParseAddr(host)
	if host != "" && err != nil && !isHostName(host) {
		fail("listen", "its host must be an IP address or a name")
	}
	return port
}

// isHostName follows RFC 1123 section 2.1. A name of digits and dots only is a
// mistyped address and none.
func isHostName(host string) bool {
	return len(host) <= 253 && hostName.MatchString(host) && strings.Trim(host, "0123456789.") != ""
}

func checkPort(key string, port int, fail failFunc) {
	if port < 1 || port > 65535 {
		fail(key, "must be from 1 to 65535")
	}
}

// checkNodeIPs checks that clients could send packets to each address, or to
// PUBLIC of PUBLIC/LOCAL.
func checkNodeIPs(ips []string, fail failFunc) {
	seen := map[string]bool{}
	for _, text := range ips {
		parts := strings.Split(text, "/")
		if len(parts) > 2 {
			fail("rtc.node_ips", "%q must be an IP address, or two of them as PUBLIC/LOCAL", text)
			continue
		}
		canonical, good := "", true
		var first netip.Addr
		for i, part := range parts {
			addr, err := netip.ParseAddr(part)
			addr = addr.Unmap()
			switch {
			case err != nil:
				fail("rtc.node_ips", "%q is not an IP address", part)
			case addr.IsUnspecified() || addr.IsMulticast() || addr.Zone() != "":
				fail("rtc.node_ips", "%s is not the address of one machine", part)
			case i == 1 && first.IsValid() && first.Is4() != addr.Is4():
				fail("rtc.node_ips", "%s: both must be IPv4 or both IPv6", text)
			default:
				canonical += "/" + addr.String()
				first = addr
				continue
			}
			good = false
		}
		if good && seen[canonical] {
			fail("rtc.node_ips", "%s stands there twice", text)
		}
		seen[canonical] = true
	}
}

// checkRoom checks what rooms are given. A timeout is told to clients in whole
// seconds.
func (c *Config) checkRoom(fail failFunc) {
	check := func(key string, d time.Duration) {
		if d < time.Second || d > maxRoomTimeout || d%time.Second != 0 {
			fail(key, "must be whole seconds, from 1s to %dh", maxRoomTimeout/time.Hour)
		}
	}
	check("room.empty_timeout", c.Room.EmptyTimeout)
	check("room.departure_timeout", c.Room.DepartureTimeout)
	if c.Room.MaxParticipants < 0 || c.Room.MaxParticipants > maxParticipants {
		fail("room.max_participants", "must be from 0 (no limit) to %d", maxParticipants)
	}
	if c.Room.Loudest < 1 || c.Room.Loudest > maxLoudest {
		fail("room.loudest", "must be from 1 to %d", maxLoudest)
	}
}

// checkWebhook checks the receivers of events and the key that signs these.
func (c *Config) checkWebhook(fail failFunc) {
	seen := map[string]bool{}
	for _, text := range c.Webhook.URLs {
		u, err := url.Parse(text)
		switch { // no message shows a URL: it may hold a secret
		case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
			fail("webhook.urls", "each must be a URL that begins with http:// or https://")
		case seen[text]:
			fail("webhook.urls", "the same URL stands there twice")
		}
		seen[text] = true
	}
	_, known := c.Keys[c.Webhook.APIKey]
	switch {
	case c.Webhook.APIKey != "" && !known:
		fail("webhook.api_key", "must be one of keys")
	case c.Webhook.APIKey == "" && len(c.Webhook.URLs) > 0:
		fail("webhook.api_key", "is needed with webhook.urls: it signs the events, and must be one of keys")
	}
}

// checkKeys checks names and secrets. Its messages never show a secret.
func (c *Config) checkKeys(fail failFunc) {
	if len(c.Keys) == 0 {
		fail("keys", "at least one API key with its secret is needed; `openssl rand -hex 32` makes a secret")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Keys)) {
		key, secret := "keys."+name, c.Keys[name]
		switch {
		case !keyName.MatchString(name):
			fail(key, "the name of a key is 1 to 64 letters, digits, dots, hyphens or underscores")
		case secret == DemoSecret && !c.Demo:
			fail(key, "is the public secret of the demonstration; make your own with `openssl rand -hex 32`")
		case secret != strings.TrimSpace(secret):
			fail(key, "the secret begins or ends with white space")
		case utf8.RuneCountInString(secret) < minSecret:
			fail(key, "the secret must have at least %d characters; `openssl rand -hex 32` makes one", minSecret)
		}
	}
}

// checkURL checks an optional URL. Its messages do not show it: it may hold a password.
func checkURL(key, text string, schemes []string, fail failFunc) {
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	if err != nil || !slices.Contains(schemes, u.Scheme) || u.Host == "" && u.Path == "" {
		fail(key, "must be a URL that begins with %s://", strings.Join(schemes, ":// or "))
	}
}

func checkWord(key, word string, words []string, fail failFunc) {
	if !slices.Contains(words, word) {
		fail(key, "must be one of %s", strings.Join(words, ", "))
	}
}
