package configs

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

const goodSecret = "0123456789abcdef0123456789abcdef"

var withKey = []string{"DIEMCAU_KEYS__test=" + goodSecret}

// write puts a configuration into a file named c.yaml and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// messages lists the errors of err, with the directory of path cut off.
func messages(t *testing.T, err error, path string) []string {
	t.Helper()
	var errs Errors
	require.True(t, errors.As(err, &errs), "%T: %v", err, err)
	var lines []string
	for _, e := range errs {
		lines = append(lines, strings.TrimPrefix(e.Error(), filepath.Dir(path)+"/"))
	}
	return lines
}

func TestDefaults(t *testing.T) {
	c, err := Load("", withKey)
	require.NoError(t, err)
	require.Equal(t, &Config{
		Listen:  "127.0.0.1:7880",
		DataDir: "./data",
		Trusted: []string{},
		RTC:     RTC{UDPPort: 7882, TCPPort: 7881, NodeIPs: []string{}},
		SFU:     SFU{Egress: "auto"},
		Room:    Room{AutoCreate: true, EmptyTimeout: 300 * time.Second, DepartureTimeout: 20 * time.Second, Loudest: 6},
		TURN:    TURN{Enabled: true, ShareHTTPS: true},
		Keys:    map[string]string{"test": goodSecret},
		Webhook: Webhook{URLs: []string{}},
		OIDC:    OIDC{UnitClaim: "unit", RoleClaim: "roles", Roles: []string{}},
		Log:     Log{Level: "info", Format: "text"},
	}, c)
	require.True(t, c.Loopback())
	require.Empty(t, c.Unused())
}

func TestNoKeyIsRefusedOutsideDemo(t *testing.T) {
	_, err := Load("", nil)
	require.ErrorContains(t, err, "keys: at least one API key")
}

func TestDemo(t *testing.T) {
	c, err := Load("", nil, Demo())
	require.NoError(t, err)
	require.True(t, c.Demo)
	require.Equal(t, "127.0.0.1:7880", c.Listen)
	require.True(t, c.RTC.UseLoopback)
	require.Equal(t, map[string]string{"devkey": "devsecret-devsecret-devsecret-devsecret"}, c.Keys)
}

func TestDemoSecretIsRefusedOutsideDemo(t *testing.T) {
	path := write(t, "keys:\n  devkey: "+DemoSecret+"\n")
	_, err := Load(path, nil)
	require.Equal(t, []string{
		"c.yaml:2: keys.devkey: is the public secret of the demonstration; make your own with `openssl rand -hex 32`",
	}, messages(t, err, path))
}

func TestLayersOverrideInOrder(t *testing.T) {
	path := write(t, "listen: 127.0.0.1:1000\nrtc:\n  udp_port: 1001\n  tcp_port: 1002\n  node_ips: [203.0.113.7]\nkeys:\n  file: "+goodSecret+"\n")
	env := []string{
		"DIEMCAU_RTC__UDP_PORT=2001", "DIEMCAU_RTC__NODE_IPS=203.0.113.8, 2001:db8::8", "DIEMCAU_LISTEN=127.0.0.1:2000",
		"DIEMCAU_LOG__LEVEL=debug", "DIEMCAU_KEYS__Env=" + goodSecret, "DIEMCAU_RTC__USE_LOOPBACK=false",
		"DIEMCAU_URL=http://127.0.0.1:7880", "DIEMCAU_TEST_HOST_ROLE=x", "OTHER=1",
	}
	c, err := Load(path, env, Demo(), Flag("--listen", "listen", "127.0.0.1:3000"), Flag("--tls-cert", "tls.cert", "a"), Flag("--tls-key", "tls.key", "b"))
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:3000", c.Listen)
	require.Equal(t, RTC{UDPPort: 2001, TCPPort: 1002, NodeIPs: []string{"203.0.113.8", "2001:db8::8"}}, c.RTC)
	require.Equal(t, TLS{Cert: "a", Key: "b"}, c.TLS)
	require.Equal(t, "debug", c.Log.Level)
	require.Equal(t, map[string]string{"devkey": DemoSecret, "file": goodSecret, "Env": goodSecret}, c.Keys)
}

func TestLastOfRepeatedVariablesCounts(t *testing.T) {
	c, err := Load("", append([]string{"DIEMCAU_LOG__LEVEL=loud", "DIEMCAU_LOG__LEVEL=warn"}, withKey...))
	require.NoError(t, err)
	require.Equal(t, "warn", c.Log.Level)
}

func TestFileErrors(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"empty file", "", nil},
		{"only comments", "# nothing\n", nil},
		{"sections without keys", "rtc:\nkeys:\ntls: ~\n", nil},
		{"aliases", "listen: &a 127.0.0.1:7000\ndata_dir: *a\n", nil},
		{"unknown keys", "lisen: x\nrtc:\n  udp: 1\n", []string{
			"c.yaml:1: lisen: unknown key; known here: data_dir, database, debug, keys, listen, log, oidc, public_url, redis, room, rtc, sfu, storage, tls, trusted_proxies, turn, webhook",
			"c.yaml:3: rtc.udp: unknown key; known here: node_ips, tcp_port, udp_port, use_loopback",
		}},
		{"wrong types", "listen: 7880\nrtc:\n  udp_port: \"7882\"\n  tcp_port: 1.5\n  node_ips: 10.0.0.1\n  use_loopback: yes\nkeys: [a]\nlog: text\ndata_dir:\n", []string{
			"c.yaml:1: listen: must be text, not a number; put it in quotes",
			"c.yaml:3: rtc.udp_port: must be a whole number, not text",
			"c.yaml:4: rtc.tcp_port: must be a whole number, not a number",
			"c.yaml:5: rtc.node_ips: must be a list, as in [a, b], not text",
			"c.yaml:6: rtc.use_loopback: must be true or false, not text",
			"c.yaml:7: keys: must be keys and values, not a list",
			"c.yaml:8: log: must be keys and values, not text",
			"c.yaml:9: data_dir: must be text, not nothing",
		}},
		{"wrong types within", "rtc:\n  node_ips:\n    - 10.0.0.1\n    - 7\n    - {}\n", []string{
			"c.yaml:4: rtc.node_ips: each item must be text, not a number; put it in quotes",
			"c.yaml:5: rtc.node_ips: each item must be text, not keys and values",
		}},
		{"secret that is a number", "keys:\n  a: 12345678901234567890123456789012\n", []string{
			"c.yaml:2: keys.a: must be text, not a number; put it in quotes",
		}},
		{"keys twice", "listen: 127.0.0.1:1\nrtc:\n  udp_port: 1\n  udp_port: 2\nlisten: 127.0.0.1:2\n", []string{
			"c.yaml:4: rtc.udp_port: given twice, first in line 3",
			"c.yaml:5: listen: given twice, first in line 1",
		}},
		{"a list as key", "[a]: b\n", []string{"c.yaml:1: a key must be plain text, not a list"}},
		{"not a mapping", "- a\n", []string{"c.yaml:1: must be keys and values, not a list"}},
		{"two documents", "listen: 127.0.0.1:1\n---\nlisten: 127.0.0.1:2\n", []string{"c.yaml:2: a second YAML document; only one is read"}},
		{"not YAML", "listen: \"127\nrtc: {\n", []string{"c.yaml:3: not YAML: found unexpected end of stream"}},
		{"values", "listen: 127.0.0.1\nrtc:\n  udp_port: 0\n  tcp_port: 65536\n  node_ips: [10.0.0.300, 0.0.0.0, 10.0.0.1, 10.0.0.1]\n" +
			"tls:\n  cert: a.pem\nlog: {level: loud, format: xml}\nredis:\n  url: http://x\ndatabase: {url: mysql://x}\nstorage: {url: x}\ndata_dir: ' '\n", []string{
			"c.yaml:1: listen: must be host:port, as in 127.0.0.1:7880 or [::]:7880",
			"c.yaml:3: rtc.udp_port: must be from 1 to 65535",
			"c.yaml:4: rtc.tcp_port: must be from 1 to 65535",
			`c.yaml:5: rtc.node_ips: "10.0.0.300" is not an IP address`,
			"c.yaml:5: rtc.node_ips: 0.0.0.0 is not the address of one machine",
			"c.yaml:5: rtc.node_ips: 10.0.0.1 stands there twice",
			"c.yaml:7: tls.cert: is set without tls.key; set both or neither",
			"c.yaml:8: log.level: must be one of debug, info, warn, error",
			"c.yaml:8: log.format: must be one of text, json",
			"c.yaml:10: redis.url: must be a URL that begins with redis:// or rediss://",
			"c.yaml:11: database.url: must be a URL that begins with postgres:// or postgresql://",
			"c.yaml:12: storage.url: must be a URL that begins with s3:// or file://",
			"c.yaml:13: data_dir: must name a directory",
		}},
		{"single sign-on", "public_url: https://a.vn/x\noidc:\n  issuer: ldap://x\n  roles: [secretary, a=b=c, ' =chair']\n", []string{
			"c.yaml: oidc.client_id: is needed with oidc.issuer",
			"c.yaml:1: public_url: must be https:// and a host, as in https://hop.example.vn",
			"c.yaml:3: oidc.issuer: must be a URL that begins with https:// or http://",
			"c.yaml:4: oidc.roles: \"secretary\" must be VALUE=ROLE, as in thu-ky=secretary",
			"c.yaml:4: oidc.roles: \"a=b=c\" must be VALUE=ROLE, as in thu-ky=secretary",
			"c.yaml:4: oidc.roles: \" =chair\" must be VALUE=ROLE, as in thu-ky=secretary",
		}},
		{"proxies", "trusted_proxies: [10.0.0.5, 'fd00::/8', proxy, 10.0.0.0/33, 0.0.0.0/0, '::/0', '::ffff:10.0.0.0/104']\n", []string{
			`c.yaml:1: trusted_proxies: "proxy" is not an IP address or network, as in 10.0.0.5 or 10.0.0.0/24`,
			`c.yaml:1: trusted_proxies: "10.0.0.0/33" is not an IP address or network, as in 10.0.0.5 or 10.0.0.0/24`,
			"c.yaml:1: trusted_proxies: 0.0.0.0/0 is everybody: anybody could pretend to come from anywhere",
			"c.yaml:1: trusted_proxies: ::/0 is everybody: anybody could pretend to come from anywhere",
			`c.yaml:1: trusted_proxies: "::ffff:10.0.0.0/104" is not an IP address or network, as in 10.0.0.5 or 10.0.0.0/24`,
		}},
		{"weak keys", "keys:\n  a: short\n  b c: " + goodSecret + "\n  d: ' " + goodSecret + "'\n", []string{
			"c.yaml:2: keys.a: the secret must have at least 32 characters; `openssl rand -hex 32` makes one",
			"c.yaml:3: keys.b c: the name of a key is 1 to 64 letters, digits, dots, hyphens or underscores",
			"c.yaml:4: keys.d: the secret begins or ends with white space",
		}},
		{"rooms", "room:\n  auto_create: 1\n  empty_timeout: 300\n  departure_timeout: 1500ms\n  max_participants: -1\n  loudest: 0\n", []string{
			"c.yaml:2: room.auto_create: must be true or false, not a number",
			"c.yaml:3: room.empty_timeout: must be a time, as in 90s, 5m or 1h30m, not a number",
			"c.yaml:4: room.departure_timeout: must be whole seconds, from 1s to 8760h",
			"c.yaml:5: room.max_participants: must be from 0 (no limit) to 1000000",
			"c.yaml:6: room.loudest: must be from 1 to 50",
		}},
		{"webhooks", "webhook:\n  urls: [ftp://x/y, https://a/b, https://a/b]\n  api_key: nobody\n", []string{
			"c.yaml:2: webhook.urls: each must be a URL that begins with http:// or https://",
			"c.yaml:2: webhook.urls: the same URL stands there twice",
			"c.yaml:3: webhook.api_key: must be one of keys",
		}},
		{"webhooks without a key", "webhook:\n  urls: [https://a/b]\n", []string{
			"c.yaml: webhook.api_key: is needed with webhook.urls: it signs the events, and must be one of keys",
		}},
		{"webhooks and rooms as they should be", "room: {auto_create: false, empty_timeout: 1h30m, max_participants: 7, loudest: 3}\nwebhook: {urls: [http://a/b], api_key: test}\n", nil},
		{"node addresses", "rtc:\n  node_ips: [203.0.113.5/10.0.0.5, 10.0.0.5, 203.0.113.5/10.0.0.6, \"2001:db8::7/2001:db8::5\"]\n", nil},
		{"bad node addresses", "rtc:\n  node_ips:\n  - 203.0.113.5/\n  - 203.0.113.5/::1\n  - 1.2.3.4/1.2.3.4/1.2.3.4\n  - 203.0.113.5/10.0.0.5\n  - ::ffff:203.0.113.5/10.0.0.5\n", []string{
			`c.yaml:2: rtc.node_ips: "" is not an IP address`,
			"c.yaml:2: rtc.node_ips: 203.0.113.5/::1: both must be IPv4 or both IPv6",
			`c.yaml:2: rtc.node_ips: "1.2.3.4/1.2.3.4/1.2.3.4" must be an IP address, or two of them as PUBLIC/LOCAL`,
			"c.yaml:2: rtc.node_ips: ::ffff:203.0.113.5/10.0.0.5 stands there twice",
		}},
		{"TURN", "turn: {domain: turn.tinh.gov.vn, udp_port: 3478, tcp_port: 3478, tls_port: 5349, external_tls: true, public_tls_port: 443}\n", nil},
		{"TURN without a certificate", "turn:\n  domain: a_b\n  udp_port: 7882\n  tcp_port: 7881\n  tls_port: 7880\n  public_tls_port: -1\n", []string{
			"c.yaml:2: turn.domain: must be a name, as in turn.tinh.gov.vn, or an IP address",
			"c.yaml:3: turn.udp_port: is rtc.udp_port; they need one each",
			"c.yaml:4: turn.tcp_port: is rtc.tcp_port; they need one each",
			"c.yaml:5: turn.tls_port: needs a certificate: turn.tls_cert and turn.tls_key, or tls.cert and tls.key",
			"c.yaml:5: turn.tls_port: is the port of listen; they need one each; to share it, set turn.share_https and leave turn.tls_port out",
			"c.yaml:6: turn.public_tls_port: must be from 1 to 65535, or 0 for none",
		}},
		{"TURN behind a proxy", "turn:\n  external_tls: true\n", []string{
			"c.yaml:2: turn.external_tls: needs turn.tls_port, where the proxy connects to",
		}},
		{"TURN behind a proxy without a name", "turn:\n  tls_port: 5349\n  external_tls: true\n  tls_cert: a\n  tls_key: b\n", []string{
			"c.yaml:3: turn.external_tls: needs turn.domain, the name of the proxy's certificate",
			"c.yaml:4: turn.tls_cert: needs turn.domain, the name that it is for",
		}},
		{"decoding and validation together", "rtc:\n  udp: 1\n  tcp_port: 7880\n", []string{
			"c.yaml:2: rtc.udp: unknown key; known here: node_ips, tcp_port, udp_port, use_loopback",
			"c.yaml:3: rtc.tcp_port: is the port of listen; they need one each",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, test.text)
			c, err := Load(path, withKey)
			if test.want == nil {
				require.NoError(t, err)
				return
			}
			require.Nil(t, c)
			require.Equal(t, test.want, messages(t, err, path))
		})
	}
}

func TestKeyMissingNamesTheFile(t *testing.T) {
	path := write(t, "listen: 127.0.0.1:1\n")
	_, err := Load(path, nil)
	require.Equal(t, []string{"c.yaml: keys: at least one API key with its secret is needed; `openssl rand -hex 32` makes a secret"}, messages(t, err, path))
}

func TestListen(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:7880": "", ":7880": "", "[::]:443": "", "[fe80::1%eth0]:443": "", "localhost:80": "", "cau.tinh.gov.vn:443": "",
		"":               "must be host:port, as in 127.0.0.1:7880 or [::]:7880",
		"::1:80":         "must be host:port, as in 127.0.0.1:7880 or [::]:7880",
		"127.0.0.1:0":    "its port must be a number from 1 to 65535",
		"127.0.0.1:http": "its port must be a number from 1 to 65535",
		"127.0.0.256:80": "its host must be an IP address or a name",
		"-x:80":          "its host must be an IP address or a name",
		"a..b:80":        "its host must be an IP address or a name",
	} {
		_, err := Load("", withKey, Flag("--listen", "listen", listen))
		if want == "" {
			require.NoError(t, err, listen)
		} else {
			require.EqualError(t, err, "--listen: listen: "+want)
		}
	}
}

func TestEnvironmentErrorsNameTheVariable(t *testing.T) {
	_, err := Load("", append([]string{
		"DIEMCAU_LISTN=x", "DIEMCAU_RTC__UDP=1", "DIEMCAU_RTC=1", "DIEMCAU_KEYS=a", "DIEMCAU_LISTEN__PORT=1", "DIEMCAU_=1",
		"DIEMCAU_RTC__UDP_PORT=many", "DIEMCAU_RTC__TCP_PORT=0", "DIEMCAU_RTC__USE_LOOPBACK=1", "DIEMCAU_KEYS__b=short", "DIEMCAU_ROOM__EMPTY_TIMEOUT=5",
	}, withKey...))
	top := "no such configuration key; known here: DATA_DIR, DATABASE, DEBUG, KEYS, LISTEN, LOG, OIDC, PUBLIC_URL, REDIS, ROOM, RTC, SFU, STORAGE, TLS, TRUSTED_PROXIES, TURN, WEBHOOK"
	require.Equal(t, []string{
		"DIEMCAU_: " + top,
		"DIEMCAU_KEYS: " + top,
		"DIEMCAU_KEYS__b: keys.b: the secret must have at least 32 characters; `openssl rand -hex 32` makes one",
		"DIEMCAU_LISTEN__PORT: " + top,
		"DIEMCAU_LISTN: " + top,
		"DIEMCAU_ROOM__EMPTY_TIMEOUT: room.empty_timeout: must be a time, as in 90s, 5m or 1h30m",
		"DIEMCAU_RTC: " + top,
		"DIEMCAU_RTC__TCP_PORT: rtc.tcp_port: must be from 1 to 65535",
		"DIEMCAU_RTC__UDP: no such configuration key; known here: NODE_IPS, TCP_PORT, UDP_PORT, USE_LOOPBACK",
		"DIEMCAU_RTC__UDP_PORT: rtc.udp_port: must be a whole number",
		"DIEMCAU_RTC__USE_LOOPBACK: rtc.use_loopback: must be true or false",
	}, messages(t, err, ""))
}

func TestSecretsAreNotInErrors(t *testing.T) {
	path := write(t, "keys:\n  a: geheim-geheim\n  b: [geheim-geheim]\n  c: {x: geheim-geheim}\nredis: {url: 'http://u:geheim-geheim@x'}\n")
	_, err := Load(path, []string{"DIEMCAU_KEYS__d=geheim-geheim", "DIEMCAU_DATABASE__URL=x://geheim-geheim"})
	require.Error(t, err)
	require.Len(t, messages(t, err, path), 6)
	require.NotContains(t, err.Error(), "geheim")
}

func TestFileThatCannotBeRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.yaml")
	_, err := Load(path, nil)
	require.Equal(t, []string{"none.yaml: no such file or directory"}, messages(t, err, path))

	path = write(t, strings.Repeat("# long\n", maxFile/7+1))
	_, err = Load(path, nil)
	require.Equal(t, []string{"c.yaml: larger than 1048576 bytes"}, messages(t, err, path))
}

func TestErrorsCanBeTakenApart(t *testing.T) {
	_, err := Load("", []string{"DIEMCAU_X=1"})
	var one *Error
	require.True(t, errors.As(err, &one))
	require.Equal(t, "DIEMCAU_X", one.Source)
	require.Error(t, (&Config{}).Validate())
}

func TestUnused(t *testing.T) {
	c, err := Load("", append([]string{"DIEMCAU_REDIS__URL=redis://x", "DIEMCAU_STORAGE__URL=file:///x"}, withKey...))
	require.NoError(t, err)
	require.Equal(t, []string{"redis.url", "storage.url"}, c.Unused())
}

func TestLoopback(t *testing.T) {
	for listen, want := range map[string]bool{
		"127.0.0.1:1": true, "127.9.9.9:1": true, "[::1]:1": true, "localhost:1": true,
		"0.0.0.0:1": false, ":1": false, "[::]:1": false, "10.0.0.1:1": false, "a.vn:1": false, "x": false,
	} {
		require.Equal(t, want, (&Config{Listen: listen}).Loopback(), listen)
	}
}

// TestReferenceIsComplete checks that reference.yaml has every field of Config,
// and that a comment with a default and an example stands above every value.
func TestReferenceIsComplete(t *testing.T) {
	var doc yaml.Node
	require.NoError(t, yaml.Unmarshal(Reference, &doc))
	got := map[string]bool{}
	var walk func(prefix string, node *yaml.Node)
	walk = func(prefix string, node *yaml.Node) {
		for i := 0; i < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			name := prefix + key.Value
			require.NotEmpty(t, key.HeadComment, "%s has no comment above it", name)
			if value.Kind == yaml.MappingNode && len(value.Content) > 0 {
				walk(name+".", value)
				continue
			}
			got[name] = true
			require.Contains(t, key.HeadComment, "Default: ", name)
			require.Contains(t, key.HeadComment, "Example: ", name)
		}
	}
	walk("", doc.Content[0])

	want := map[string]bool{}
	var fields func(prefix string, typ reflect.Type)
	fields = func(prefix string, typ reflect.Type) {
		for i := range typ.NumField() {
			field := typ.Field(i)
			tag := field.Tag.Get("yaml")
			require.NotEmpty(t, tag, field.Name)
			switch {
			case tag == "-":
			case field.Type.Kind() == reflect.Struct:
				fields(prefix+tag+".", field.Type)
			default:
				want[prefix+tag] = true
			}
		}
	}
	fields("", reflect.TypeFor[Config]())
	require.Equal(t, want, got)
}

// TestReferenceIsValid loads the reference as if an operator had copied it.
func TestReferenceIsValid(t *testing.T) {
	path := write(t, string(Reference))
	c, err := Load(path, withKey)
	require.NoError(t, err)
	defaults, err := Load("", withKey)
	require.NoError(t, err)
	require.Equal(t, defaults, c)
}

func FuzzLoad(f *testing.F) {
	f.Add(string(Reference), "DIEMCAU_RTC__UDP_PORT", "1")
	f.Add("keys: {a: &x b, c: *x}\n<<: {listen: a}\n", "DIEMCAU_KEYS__a", goodSecret)
	f.Add("? [a]\n: !!int {}\n---\n", "DIEMCAU_", "")
	f.Add("rtc: &r\n  node_ips: [!!binary aGk=, 0x7f, 2001-01-01, ~]\n  udp_port: 0o17\ntls: *r\n", "DIEMCAU_RTC__NODE_IPS", ",,")
	const path = "fuzz.yaml"
	f.Fuzz(func(t *testing.T, text, name, value string) {
		read := func(string) ([]byte, error) { return []byte(text), nil }
		c, err := load(read, path, []string{name + "=" + value})
		if err == nil {
			if err := c.Validate(); err != nil {
				t.Fatalf("loaded, and yet: %v", err)
			}
			return
		}
		variable, _, _ := strings.Cut(name, "=")
		var errs Errors
		if c != nil || !errors.As(err, &errs) || len(errs) == 0 {
			t.Fatalf("config %v with error %v", c, err)
		}
		for _, e := range errs {
			if e.Source != path && e.Source != variable || e.Message == "" || e.Line < 0 {
				t.Fatalf("no place or no message: %#v", e)
			}
		}
	})
}
