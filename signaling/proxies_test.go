package signaling

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFromProxies(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")}
	for name, c := range map[string]struct {
		remote  string
		headers []string
		want    string
	}{
		"straight":                 {"203.0.113.9:5000", nil, "203.0.113.9:5000"},
		"a stranger's header":      {"203.0.113.9:5000", []string{"192.0.2.1"}, "203.0.113.9:5000"},
		"through the proxy":        {"10.1.0.2:5000", []string{"203.0.113.9"}, "203.0.113.9:0"},
		"invented before it":       {"10.1.0.2:5000", []string{"192.0.2.1, 10.1.0.3, 203.0.113.9"}, "203.0.113.9:0"},
		"invented in a header":     {"10.1.0.2:5000", []string{"192.0.2.1", "203.0.113.9"}, "203.0.113.9:0"},
		"through two":              {"10.1.0.2:5000", []string{"192.0.2.1, 203.0.113.9, 10.1.0.3"}, "203.0.113.9:0"},
		"with a port":              {"10.1.0.2:5000", []string{"203.0.113.9:4711"}, "203.0.113.9:0"},
		"IPv6":                     {"[fd00::2]:5000", []string{"2001:db8::7"}, "[2001:db8::7]:0"},
		"IPv6 with a port":         {"[fd00::2]:5000", []string{"[2001:db8::7]:80"}, "[2001:db8::7]:0"},
		"mapped":                   {"[::ffff:10.1.0.2]:5000", []string{"::ffff:203.0.113.9"}, "203.0.113.9:0"},
		"somebody near the proxy":  {"10.1.0.2:5000", []string{"10.1.7.7"}, "10.1.7.7:0"},
		"no header":                {"10.1.0.2:5000", nil, "10.1.0.2:5000"},
		"nonsense":                 {"10.1.0.2:5000", []string{"x"}, "10.1.0.2:5000"},
		"nonsense in between":      {"10.1.0.2:5000", []string{"192.0.2.1, x, 10.1.0.3"}, "10.1.0.3:0"},
		"longer than any chain is": {"10.1.0.2:5000", []string{"192.0.2.1" + strings.Repeat(", 10.1.0.3", 2000)}, "10.1.0.3:0"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = c.remote
			for _, h := range c.headers {
				r.Header.Add("X-Forwarded-For", h)
			}
			got := ""
			note := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr })
			fromProxies(trusted)(note).ServeHTTP(httptest.NewRecorder(), r)
			require.Equal(t, c.want, got)
			fromProxies(nil)(note).ServeHTTP(httptest.NewRecorder(), r)
			require.Equal(t, c.remote, got, "nobody is trusted unless it is said")
		})
	}
}

// The whole server reckons with the client's address, limits of the demonstration too.
func TestServerBehindProxy(t *testing.T) {
	s, logs := newTestServer(t, func(o *Options) { o.Proxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	do(s, http.MethodGet, "/healthz", "", "X-Forwarded-For", "203.0.113.9") // of 192.0.2.1, as httptest has it
	require.Contains(t, logs.String(), "203.0.113.9:0")
}
