// Package client serves the web client: the TypeScript program under web/,
// built by `npm run build` into web/dist and embedded in the binary.
//
// The files under assets/ carry a hash of their content in their names and may
// be cached for ever; index.html names them and is asked for anew each time.
// Every path without a file extension is a page of the client and is answered
// with index.html.
package client

import (
	"bytes"
	"crypto/rand"
	"embed"
	"encoding/base64"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// dist holds .gitkeep at least, so that the module compiles before the web
// client was ever built.
//
//go:embed all:web/dist
var dist embed.FS

// noncePlaceholder stands in index.html where each answer puts a nonce of its
// own, for the few style elements that the widget library adds at run time.
const noncePlaceholder = "__CSP_NONCE__"

// Handler serves the embedded build. If the web client was not built, every
// page is answered with 503 and a text that says how to build it.
func Handler() http.Handler {
	files, err := fs.Sub(dist, "web/dist")
	if err != nil {
		panic(err) // the path is a constant: it cannot be invalid
	}
	return newHandler(files)
}

type handler struct {
	files fs.FS
	index []byte // nil: the web client was not built
}

func newHandler(files fs.FS) http.Handler {
	index, err := fs.ReadFile(files, "index.html")
	if err != nil {
		index = nil
	}
	return &handler{files: files, index: index}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	if name != "" && name != "index.html" && h.serveFile(w, r, name) {
		return
	}
	// What looks like a file is one that is not there (of an older build, say):
	// a page in its place would only be misread as a script or style sheet.
	if path.Ext(name) != "" && name != "index.html" && !strings.HasPrefix(name, "r/") {
		http.NotFound(w, r)
		return
	}
	h.serveIndex(w, r)
}

// serveFile answers with an embedded file and reports whether there is one.
func (h *handler) serveFile(w http.ResponseWriter, r *http.Request, name string) bool {
	if !fs.ValidPath(name) || strings.HasPrefix(path.Base(name), ".") || strings.HasSuffix(name, ".gz") {
		return false
	}
	body, err := fs.ReadFile(h.files, name)
	if err != nil {
		return false
	}
	header := w.Header()
	setSecurity(header)
	header.Set("Content-Type", contentType(name))
	if strings.HasPrefix(name, "assets/") {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		header.Set("Cache-Control", "no-cache")
	}
	if packed, err := fs.ReadFile(h.files, name+".gz"); err == nil {
		header.Add("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Get("Accept-Encoding")) {
			header.Set("Content-Encoding", "gzip")
			body = packed
		}
	}
	write(w, r, http.StatusOK, body)
	return true
}

func (h *handler) serveIndex(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	setSecurity(header)
	header.Set("Cache-Control", "no-cache")
	if h.index == nil {
		header.Set("Content-Type", "text/plain; charset=utf-8")
		header.Set("Retry-After", "60")
		write(w, r, http.StatusServiceUnavailable, []byte("The web client is not part of this build. Run `make build` and start the server again.\n"))
		return
	}
	nonce := newNonce()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", contentPolicy(nonce, r.Host))
	write(w, r, http.StatusOK, bytes.ReplaceAll(h.index, []byte(noncePlaceholder), []byte(nonce)))
}

// write answers with the whole body, or with its length only for HEAD. A
// client that is gone is no concern of ours.
func write(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// setSecurity sets the headers that every answer carries. The devices are for
// our own pages only, never for a page that frames us.
func setSecurity(header http.Header) {
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Permissions-Policy", "camera=(self), microphone=(self), display-capture=(self), "+
		"speaker-selection=(self), screen-wake-lock=(self), autoplay=(self), geolocation=(), payment=(), usb=()")
}

// plainHost is a host with an optional port, as it may stand in a policy.
var plainHost = regexp.MustCompile(`^(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(:[0-9]{1,5})?$`)

// contentPolicy allows what the client needs and nothing else. Browsers from
// before Content Security Policy Level 3 settled it do not count WebSockets of
// the same host among 'self', so the host is named too.
func contentPolicy(nonce, host string) string {
	connect := "connect-src 'self'"
	if plainHost.MatchString(host) {
		connect += " ws://" + host + " wss://" + host
	}
	return strings.Join([]string{
		"default-src 'none'",
		"script-src 'self'",
		"style-src 'self' 'nonce-" + nonce + "'",
		"img-src 'self' blob: data:",
		"media-src 'self' blob: data:",
		"font-src 'self'",
		connect,
		"worker-src 'self' blob:",
		"manifest-src 'self'",
		"base-uri 'none'",
		"form-action 'self'",
		"frame-ancestors 'none'",
	}, "; ")
}

func newNonce() string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails: see crypto/rand
	return base64.RawURLEncoding.EncodeToString(random[:])
}

// contentType is fixed for what a build holds: the machine's own table of
// types, which mime consults, may be incomplete or wrong.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".html":
		return "text/html; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".woff2":
		return "font/woff2"
	case ".json":
		return "application/json"
	}
	if byExtension := mime.TypeByExtension(path.Ext(name)); byExtension != "" {
		return byExtension
	}
	return "application/octet-stream"
}

// acceptsGzip reads an Accept-Encoding header (RFC 9110, 12.5.3): gzip is
// named, or everything is, and not with weight zero.
func acceptsGzip(header string) bool {
	everything := false
	for part := range strings.SplitSeq(header, ",") {
		coding, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		refused := false
		if weight, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			q, err := strconv.ParseFloat(weight, 64)
			refused = err != nil || q == 0
		}
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip":
			return !refused
		case "*":
			everything = !refused
		}
	}
	return everything
}
