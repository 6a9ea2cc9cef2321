package client

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func gzipped(t *testing.T, text string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return buf.Bytes()
}

const script = "console.log('điểm cầu')"

func built(t *testing.T) http.Handler {
	t.Helper()
	return newHandler(fstest.MapFS{
		".gitkeep":               {},
		"index.html":             {Data: []byte(`<meta property="csp-nonce" content="__CSP_NONCE__">`)},
		"favicon.svg":            {Data: []byte("<svg/>")},
		"assets/index-1a.js":     {Data: []byte(script)},
		"assets/index-1a.js.gz":  {Data: gzipped(t, script)},
		"assets/font-2b.woff2":   {Data: []byte("font")},
		"assets/.secret":         {Data: []byte("no")},
		"assets/only-3c.css.gz":  {Data: gzipped(t, "x")},
		"assets/unknown-4d.blob": {Data: []byte("blob")},
	})
}

func get(h http.Handler, method, target string, header ...string) *http.Response {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, response *http.Response) string {
	t.Helper()
	data, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(data)
}

func TestPagesAreTheIndex(t *testing.T) {
	h := built(t)
	for _, target := range []string{"/", "/index.html", "/r/hop-giao-ban", "/r/phong.so.2", "/deep/page", "//", "/../.."} {
		response := get(h, http.MethodGet, target)
		require.Equal(t, http.StatusOK, response.StatusCode, target)
		require.Equal(t, "text/html; charset=utf-8", response.Header.Get("Content-Type"), target)
		require.Equal(t, "no-cache", response.Header.Get("Cache-Control"), target)
		require.Contains(t, body(t, response), "csp-nonce", target)
	}
}

func TestEveryIndexHasItsOwnNonce(t *testing.T) {
	h := built(t)
	seen := map[string]bool{}
	for range 20 {
		response := get(h, http.MethodGet, "/")
		text := body(t, response)
		require.NotContains(t, text, noncePlaceholder)
		nonce := regexp.MustCompile(`content="([^"]+)"`).FindStringSubmatch(text)[1]
		require.Contains(t, response.Header.Get("Content-Security-Policy"), "'nonce-"+nonce+"'")
		require.False(t, seen[nonce], "a nonce came twice")
		seen[nonce] = true
	}
}

func TestAssets(t *testing.T) {
	h := built(t)
	response := get(h, http.MethodGet, "/assets/index-1a.js")
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, script, body(t, response))
	require.Equal(t, "text/javascript; charset=utf-8", response.Header.Get("Content-Type"))
	require.Equal(t, "public, max-age=31536000, immutable", response.Header.Get("Cache-Control"))
	require.Equal(t, "Accept-Encoding", response.Header.Get("Vary"))
	require.Equal(t, "nosniff", response.Header.Get("X-Content-Type-Options"))

	packed := get(h, http.MethodGet, "/assets/index-1a.js", "Accept-Encoding", "br, gzip;q=0.8")
	require.Equal(t, "gzip", packed.Header.Get("Content-Encoding"))
	reader, err := gzip.NewReader(packed.Body)
	require.NoError(t, err)
	text, err := io.ReadAll(reader)
	require.NoError(t, err)
	require.Equal(t, script, string(text))

	require.Equal(t, "font/woff2", get(h, http.MethodGet, "/assets/font-2b.woff2").Header.Get("Content-Type"))
	require.Equal(t, "application/octet-stream", get(h, http.MethodGet, "/assets/unknown-4d.blob").Header.Get("Content-Type"))
	require.Equal(t, "no-cache", get(h, http.MethodGet, "/favicon.svg").Header.Get("Cache-Control"))
}

func TestWhatIsNotThere(t *testing.T) {
	h := built(t)
	for _, target := range []string{"/assets/index-0old.js", "/.gitkeep", "/assets/.secret", "/assets/index-1a.js.gz", "/assets/only-3c.css", "/wp-login.php", "/..%2f..%2fetc/passwd.txt"} {
		require.Equal(t, http.StatusNotFound, get(h, http.MethodGet, target).StatusCode, target)
	}
	response := get(h, http.MethodPost, "/")
	require.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
	require.Equal(t, "GET, HEAD", response.Header.Get("Allow"))
}

func TestHeadSendsNoBody(t *testing.T) {
	response := get(built(t), http.MethodHead, "/assets/index-1a.js")
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, strconv.Itoa(len(script)), response.Header.Get("Content-Length"))
	require.Empty(t, body(t, response))
}

func TestNotBuilt(t *testing.T) {
	h := newHandler(fstest.MapFS{".gitkeep": {}})
	response := get(h, http.MethodGet, "/")
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	require.Contains(t, body(t, response), "make build")
}

func TestEmbeddedHandlerAnswers(t *testing.T) {
	// With a build the client itself, without one the text: never a broken page.
	response := get(Handler(), http.MethodGet, "/")
	require.Contains(t, []int{http.StatusOK, http.StatusServiceUnavailable}, response.StatusCode)
	require.NotContains(t, body(t, response), noncePlaceholder)
}

func TestPolicyNamesOnlyPlainHosts(t *testing.T) {
	for host, want := range map[string]string{
		"127.0.0.1:7880":        "connect-src 'self' ws://127.0.0.1:7880 wss://127.0.0.1:7880;",
		"[::1]:7880":            "connect-src 'self' ws://[::1]:7880 wss://[::1]:7880;",
		"hop.quangtri.gov.vn":   "connect-src 'self' ws://hop.quangtri.gov.vn wss://hop.quangtri.gov.vn;",
		"a; script-src *":       "connect-src 'self';",
		"evil.example 'unsafe'": "connect-src 'self';",
		"":                      "connect-src 'self';",
		"h:123456":              "connect-src 'self';",
		"a\r\nSet-Cookie: x=1":  "connect-src 'self';",
		strings.Repeat(":", 3):  "connect-src 'self';",
	} {
		require.Contains(t, contentPolicy("n", host), want, host)
	}
}

func TestAcceptsGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "br": false, "gzip": true, "GZIP": true, "deflate, gzip": true, "gzip;q=0": false, "gzip; q=0.0": false,
		"*": true, "*;q=0": false, "gzip;q=0, *": false, "gzip;q=x": false, "identity": false,
	} {
		require.Equal(t, want, acceptsGzip(header), header)
	}
}
