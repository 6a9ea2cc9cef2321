package democa

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	start = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	hosts = []string{"localhost", "may-chu", "cau.example.vn", "127.0.0.1", "192.0.2.7", "2001:db8::7"}
)

// leaf is the server certificate of a bundle.
func leaf(b *Bundle) *x509.Certificate { return b.TLS.Certificates[0].Leaf }

// get fetches / from a server of the bundle, called name, as a client that
// trusts only the certificates of pem.
func get(t *testing.T, b *Bundle, name string, pem []byte) error {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", b.TLS)
	require.NoError(t, err)
	server := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "xin chào") }),
		ReadHeaderTimeout: time.Second,
		ErrorLog:          nil,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() {
		_ = server.Close()
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	}()

	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(pem))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport, Timeout: 5 * time.Second}).Get("https://" + listener.Addr().String())
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, "xin chào", string(body))
	return nil
}

func TestClientThatTrustsTheAuthorityConnects(t *testing.T) {
	b, err := Open(t.TempDir(), "0.0.0.0:7880")
	require.NoError(t, err)
	hostname, err := os.Hostname()
	require.NoError(t, err)
	for _, name := range []string{"localhost", "127.0.0.1", hostname} {
		require.NoError(t, get(t, b, name, b.CA), name)
	}
	require.ErrorContains(t, get(t, b, "192.0.2.255", b.CA), "192.0.2.255")

	other, err := Open(t.TempDir(), "0.0.0.0:7880")
	require.NoError(t, err)
	require.Error(t, get(t, b, "localhost", other.CA), "another authority must not do")
}

func TestAuthorityCannotVouchForTheInternet(t *testing.T) {
	dir := t.TempDir()
	_, err := open(dir, hosts, start)
	require.NoError(t, err)
	ca, err := loadPair(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"))
	require.NoError(t, err)
	ca.cert.PermittedDNSDomains = append(ca.cert.PermittedDNSDomains, "example.vn") // what a thief of the key would try
	forged, err := makeServer(t.TempDir(), ca, hosts, start)
	require.NoError(t, err)
	require.Contains(t, forged.cert.DNSNames, "cau.example.vn")

	pem, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(pem))
	_, err = forged.cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: "cau.example.vn", CurrentTime: start})
	require.ErrorContains(t, err, "not permitted")
}

func TestShapeOfCertificates(t *testing.T) {
	dir := t.TempDir()
	b, err := open(filepath.Join(dir, "ca"), hosts, start)
	require.NoError(t, err)
	cert := leaf(b)
	require.Equal(t, []string{"localhost", "may-chu"}, cert.DNSNames)
	require.Len(t, cert.IPAddresses, 3)
	require.LessOrEqual(t, cert.NotAfter.Sub(cert.NotBefore), 398*24*time.Hour)
	require.Regexp(t, `^([0-9A-F]{2}:){31}[0-9A-F]{2}$`, b.Fingerprint)

	for name, mode := range map[string]os.FileMode{"ca.key": 0o600, "server.key": 0o600, "ca.crt": 0o644, "server.crt": 0o644, "": 0o700 | os.ModeDir} {
		info, err := os.Stat(filepath.Join(dir, "ca", name))
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode(), name)
	}
	entries, err := os.ReadDir(filepath.Join(dir, "ca"))
	require.NoError(t, err)
	require.Len(t, entries, 4, "no temporary file may stay")
}

func TestReopening(t *testing.T) {
	fewer := hosts[:5]
	tests := []struct {
		name    string
		hosts   []string
		after   time.Duration
		renewed bool
	}{
		{"same again", hosts, time.Hour, false},
		{"an address less", fewer, time.Hour, false},
		{"an address more", append(slices.Clone(hosts), "192.0.2.8"), time.Hour, true},
		{"a name more", append(slices.Clone(hosts), "may.local"), time.Hour, true},
		{"a name more that it may not vouch for", append(slices.Clone(hosts), "www.example.vn"), time.Hour, false},
		{"31 days before the end", hosts, (serverDays - 32) * 24 * time.Hour, false},
		{"29 days before the end", hosts, (serverDays - 30) * 24 * time.Hour, true},
		{"the clock set back", hosts, -48 * time.Hour, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			first, err := open(dir, hosts, start)
			require.NoError(t, err)
			second, err := open(dir, test.hosts, start.Add(test.after))
			require.NoError(t, err)
			require.Equal(t, first.CA, second.CA, "the authority stays")
			require.Equal(t, test.renewed, !leaf(first).Equal(leaf(second)))
			if test.renewed {
				third, err := open(dir, test.hosts, start.Add(test.after))
				require.NoError(t, err)
				require.True(t, leaf(second).Equal(leaf(third)), "renewed once")
			}
		})
	}
}

func TestServerCertificateEndsWithItsAuthority(t *testing.T) {
	dir := t.TempDir()
	_, err := open(dir, hosts, start)
	require.NoError(t, err)
	b, err := open(dir, hosts, start.AddDate(authorityYears, 0, -60))
	require.NoError(t, err)
	require.Equal(t, start.AddDate(authorityYears, 0, 0), leaf(b).NotAfter)
}

func TestDamageIsReportedAndKept(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(t *testing.T, dir string)
		want  string
	}{
		{"authority cut short", truncate("ca.crt"), "ca.crt is damaged"},
		{"authority's key cut short", truncate("ca.key"), "ca.key is damaged"},
		{"authority's key missing", remove("ca.key"), "one is missing"},
		{"authority missing", remove("ca.crt"), "one is missing"},
		{"server certificate cut short", truncate("server.crt"), "server.crt is damaged"},
		{"server key missing", remove("server.key"), "one is missing"},
		{"certificate in place of a key", copyFrom("ca.crt", "ca.key"), "ca.key is damaged"},
		{"key of another certificate", copyFrom("server.key", "ca.key"), "do not belong together"},
		{"server certificate as authority", func(t *testing.T, dir string) {
			copyFrom("server.crt", "ca.crt")(t, dir)
			copyFrom("server.key", "ca.key")(t, dir)
		}, "not the certificate of an authority"},
		{"server certificate of another authority", func(t *testing.T, dir string) {
			remove("ca.crt")(t, dir)
			remove("ca.key")(t, dir)
			_, err := makeAuthority(dir, hosts, start)
			require.NoError(t, err)
		}, "not signed by the authority"},
		{"PEM around nothing", func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "ca.crt"), encodeCert([]byte("x")), 0o600))
		}, "ca.crt is damaged"},
		{"key open to others", func(t *testing.T, dir string) {
			require.NoError(t, os.Chmod(filepath.Join(dir, "ca.key"), 0o640))
		}, "can be read by other users (mode 0640)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			_, err := open(dir, hosts, start)
			require.NoError(t, err)
			test.spoil(t, dir)
			before := snapshot(t, dir)
			_, err = open(dir, hosts, start)
			require.ErrorContains(t, err, test.want)
			require.ErrorContains(t, err, dir, "the error names the file")
			require.Equal(t, before, snapshot(t, dir), "nothing is replaced")
		})
	}
}

func TestAuthorityPastItsTime(t *testing.T) {
	dir := t.TempDir()
	_, err := open(dir, hosts, start)
	require.NoError(t, err)
	_, err = open(dir, hosts, start.AddDate(authorityYears, 0, 1))
	require.ErrorContains(t, err, "ended on 2036-11-22")
}

func TestDirectoryThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := Open(filepath.Join(file, "ca"), "0.0.0.0:7880")
	require.Error(t, err)
}

func TestHosts(t *testing.T) {
	got, err := Hosts("may-chu.local:7880")
	require.NoError(t, err)
	require.Equal(t, []string{"localhost", "may-chu.local"}, got[:2])
	require.Contains(t, got, "127.0.0.1")
	for _, h := range got {
		ip := net.ParseIP(h)
		require.False(t, ip != nil && (ip.IsUnspecified() || ip.IsLinkLocalUnicast()), h)
	}
	_, err = Hosts("no port")
	require.Error(t, err)
}

func TestInstructions(t *testing.T) {
	b, err := open(t.TempDir(), hosts, start)
	require.NoError(t, err)
	text := b.Instructions([]string{"https://192.0.2.7:7880", "https://[2001:db8::7]:7880"})
	for _, part := range []string{"https://192.0.2.7:7880/ca.crt", b.CAFile, b.Fingerprint, "Windows:", "Android:", "iOS:"} {
		require.Contains(t, text, part)
	}
	require.NotContains(t, text, "%!")
}

func truncate(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		require.NoError(t, os.Truncate(filepath.Join(dir, name), 40))
	}
}

func remove(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		require.NoError(t, os.Remove(filepath.Join(dir, name)))
	}
}

func copyFrom(from, to string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		data, err := os.ReadFile(filepath.Join(dir, from))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, to), data, 0o600))
	}
}

func TestURLsOfAServer(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:7880": "https://127.0.0.1:7880", "[::1]:80": "https://[::1]:80", "hop.tinh.gov.vn:443": "https://hop.tinh.gov.vn:443",
	} {
		urls, err := URLs(listen, true)
		require.NoError(t, err)
		require.Equal(t, []string{want}, urls)
	}
	everywhere, err := URLs(":7880", false)
	require.NoError(t, err)
	require.NotEmpty(t, everywhere)
	for _, u := range everywhere {
		require.Regexp(t, `^http://.+:7880$`, u)
		require.NotContains(t, u, "127.0.0.1")
	}
	_, err = URLs("no port", false)
	require.Error(t, err)
}

// snapshot reads every file of dir.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		files[e.Name()] = string(data)
	}
	return files
}
