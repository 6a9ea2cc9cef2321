package configs

import (
	"cmp"
	_ "embed"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"time"
)

// Reference is the text of reference.yaml: every key, documented, with its
// default value.
//
//go:embed reference.yaml
var Reference []byte

// What a demonstration runs with. The secret is public, so Load refuses it
// outside a demonstration.
const (
	DemoListen  = "127.0.0.1:7880"
	DemoDataDir = "./data/demo"
	DemoKey     = "devkey"
	DemoSecret  = "devsecret-devsecret-devsecret-devsecret" //nolint:gosec // public by design, see above
	DemoRoom    = "hop-giao-ban"
)

// Config is the whole configuration. The meaning and default of each key stand
// in reference.yaml. Keys holds secrets: do not log a Config.
type Config struct {
	// Demo says that the configuration was loaded with the Demo option.
	Demo bool `yaml:"-"`

	Listen    string            `yaml:"listen"`
	PublicURL string            `yaml:"public_url"`
	Trusted   []string          `yaml:"trusted_proxies"`
	DataDir   string            `yaml:"data_dir"`
	TLS       TLS               `yaml:"tls"`
	RTC       RTC               `yaml:"rtc"`
	SFU       SFU               `yaml:"sfu"`
	Room      Room              `yaml:"room"`
	TURN      TURN              `yaml:"turn"`
	Keys      map[string]string `yaml:"keys"`
	Redis     Service           `yaml:"redis"`
	Database  Service           `yaml:"database"`
	Storage   Service           `yaml:"storage"`
	OIDC      OIDC              `yaml:"oidc"`
	Webhook   Webhook           `yaml:"webhook"`
	Log       Log               `yaml:"log"`
	Debug     Debug             `yaml:"debug"`
}

// Proxies is Trusted as networks.
func (c *Config) Proxies() []netip.Prefix {
	var all []netip.Prefix
	for _, text := range c.Trusted {
		if p, ok := parseNetwork(text); ok { // checked by Validate
			all = append(all, p)
		}
	}
	return all
}

// TLS names the certificate of the web server: both files or neither.
type TLS struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// RTC says where clients reach the media ports.
type RTC struct {
	UDPPort     int      `yaml:"udp_port"`
	TCPPort     int      `yaml:"tcp_port"`
	NodeIPs     []string `yaml:"node_ips"`
	UseLoopback bool     `yaml:"use_loopback"`
}

// SFU says how media is forwarded.
type SFU struct {
	Egress string `yaml:"egress"`
}

// EgressPion is the egress that sends one packet at a time.
const EgressPion = "pion"

// Room says what holds for a room that was created without saying otherwise.
type Room struct {
	AutoCreate         bool          `yaml:"auto_create"`
	EmptyTimeout       time.Duration `yaml:"empty_timeout"`
	DepartureTimeout   time.Duration `yaml:"departure_timeout"`
	MaxParticipants    int           `yaml:"max_participants"`
	EnableRemoteUnmute bool          `yaml:"enable_remote_unmute"`
	Loudest            int           `yaml:"loudest"`
}

// Webhook says who is told what happens in the rooms.
type Webhook struct {
	URLs   []string `yaml:"urls"`
	APIKey string   `yaml:"api_key"`
}

// Service is another server that diemcau uses, by its URL.
type Service struct {
	URL string `yaml:"url"`
}

// OIDC says who else signs people in. Roles are VALUE=ROLE.
type OIDC struct {
	Issuer         string   `yaml:"issuer"`
	ClientID       string   `yaml:"client_id"`
	ClientSecret   string   `yaml:"client_secret"`
	UnitClaim      string   `yaml:"unit_claim"`
	RoleClaim      string   `yaml:"role_claim"`
	Roles          []string `yaml:"roles"`
	Unit           string   `yaml:"unit"`
	Administrators bool     `yaml:"administrators"`
}

// RoleMap is Roles by value.
func (o OIDC) RoleMap() map[string]string {
	m := make(map[string]string, len(o.Roles))
	for _, r := range o.Roles {
		value, role, _ := strings.Cut(r, "=") // checked by Validate
		m[value] = role
	}
	return m
}

// Log says what is logged and how.
type Log struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

// Debug says where the program shows its inner state.
type Debug struct {
	Listen string `yaml:"listen"`
}

// Unused names the keys that are set and that this version does not use.
func (c *Config) Unused() []string {
	var keys []string
	for _, s := range []struct {
		key string
		url string
	}{{"redis.url", c.Redis.URL}, {"storage.url", c.Storage.URL}} {
		if s.url != "" {
			keys = append(keys, s.key)
		}
	}
	return keys
}

// DatabaseURL is where meetings are kept: database.url, or SQLite in data_dir.
func (c *Config) DatabaseURL() string {
	return cmp.Or(c.Database.URL, "sqlite:"+filepath.Join(c.DataDir, "diemcau.db"))
}

// Loopback says whether the web server is reached from this machine only. A
// name counts as loopback only if it is localhost.
func (c *Config) Loopback() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
