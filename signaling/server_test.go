package signaling

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/livekit"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"diemcau/signaling/rtc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testKey    = "testkey"
	testSecret = "test-secret-test-secret-test-secret"
	soon       = 10 * time.Second
)

// echoBridge is a node whose sessions join and then stay silent.
type echoBridge struct{}

type echoSession struct{ responses chan *livekit.SignalResponse }

func (echoBridge) Open(_ context.Context, start *livekit.StartSession) (rtc.Session, error) {
	s := echoSession{make(chan *livekit.SignalResponse, 1)}
	s.responses <- &livekit.SignalResponse{Message: &livekit.SignalResponse_Join{Join: &livekit.JoinResponse{
		Participant: &livekit.ParticipantInfo{Identity: start.Identity, Name: start.Name},
	}}}
	return s, nil
}
func (s echoSession) Send(*livekit.SignalRequest) error         { return nil }
func (s echoSession) Responses() <-chan *livekit.SignalResponse { return s.responses }
func (s echoSession) Close()                                    {}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func newTestServer(t *testing.T, change func(*Options)) (*Server, *lockedBuffer) {
	t.Helper()
	logs := &lockedBuffer{}
	o := Options{
		Listen: "127.0.0.1:0",
		Keys:   map[string]string{testKey: testSecret}, Demo: true, DemoKey: testKey,
		Bridge: echoBridge{}, Version: "1.2.3",
		Client: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("client " + r.URL.Path)) }),
		Log:    slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	require.NoError(t, err)
	return s, logs
}

func do(s *Server, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

func askToken(s *Server, body string) *httptest.ResponseRecorder {
	return do(s, http.MethodPost, "/api/v1/demo/token", body, "Content-Type", "application/json; charset=utf-8")
}

func TestRoutes(t *testing.T) {
	ready := errors.New("no node has room")
	s, _ := newTestServer(t, func(o *Options) { o.CA = []byte("PEM"); o.Ready = func() error { return ready } })
	for _, tc := range []struct {
		method, path string
		status       int
		body         string // contained in the answer's
	}{
		{"GET", "/", 200, "client /"},
		{"GET", "/assets/x.js", 200, "client /assets/x.js"},
		{"HEAD", "/", 200, ""},
		{"GET", "/healthz", 200, "ok"},
		{"HEAD", "/healthz", 200, ""},
		{"POST", "/healthz", 405, "Method not allowed"},
		{"GET", "/readyz", 503, "not ready"},
		{"GET", "/metrics", 200, "diemcau_signal_sessions 0"},
		{"GET", "/ca.crt", 200, "PEM"},
		{"GET", "/api/v1/config", 200, `{"demo":true,"version":"1.2.3"}`},
		{"GET", "/api/v1/nothing", 404, "Không tìm thấy"},
		{"DELETE", "/api/v1/config", 405, "Method not allowed"},
		{"GET", "/rtc/validate", 401, "no access token"},
		{"GET", "//rtc/validate", 401, "no access token"},
		{"GET", "/rtc/v1/validate", 401, "no access token"},
		{"GET", "/rtc", 426, "WebSocket"},
		{"POST", "/twirp/livekit.RoomService/Nothing", 404, "bad_route"},
	} {
		w := do(s, tc.method, tc.path, "")
		require.Equal(t, tc.status, w.Code, "%s %s", tc.method, tc.path)
		require.Contains(t, w.Body.String(), tc.body, "%s %s", tc.method, tc.path)
		require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	}
	require.NotContains(t, do(s, "GET", "/readyz", "").Body.String(), "no node", "reasons are for the log")
	ready = nil
	require.Equal(t, 200, do(s, "GET", "/readyz", "").Code)
}

func TestOptionalRoutes(t *testing.T) {
	s, _ := newTestServer(t, func(o *Options) { o.Demo, o.DemoKey = false, "" })
	require.Equal(t, "client /ca.crt", do(s, "GET", "/ca.crt", "").Body.String())
	require.Equal(t, 404, askToken(s, `{"name":"a","room":"b"}`).Code, "no tokens without --demo")
	require.JSONEq(t, `{"demo":false,"version":"1.2.3"}`, do(s, "GET", "/api/v1/config", "").Body.String())
}

func TestCrossOrigin(t *testing.T) {
	s, _ := newTestServer(t, nil)
	for _, tc := range []struct {
		method, path string
		allowed      bool
	}{
		{"HEAD", "/", true},
		{"GET", "/rtc/validate", true}, // a refusal, which the page must be able to read
		{"GET", "/rtc/v1/validate", true},
		{"OPTIONS", "/rtc/validate", true},
		{"OPTIONS", "/twirp/livekit.RoomService/ListRooms", true},
		{"GET", "/api/v1/config", false},
		{"POST", "/api/v1/demo/token", false},
		{"OPTIONS", "/api/v1/demo/token", false},
		{"GET", "/metrics", false},
	} {
		w := do(s, tc.method, tc.path, "", "Origin", "https://elsewhere.example")
		want := ""
		if tc.allowed {
			want = "*"
		}
		require.Equal(t, want, w.Header().Get("Access-Control-Allow-Origin"), "%s %s", tc.method, tc.path)
	}
	w := do(s, "OPTIONS", "/twirp/x", "", "Access-Control-Request-Headers", "authorization")
	require.Equal(t, http.StatusNoContent, w.Code)
	require.Contains(t, w.Header().Get("Access-Control-Allow-Headers"), "Authorization")
}

func TestDemoToken(t *testing.T) {
	s, _ := newTestServer(t, nil)
	type answer struct{ Token, Identity, Room string }
	ask := func(name string) answer {
		body, err := json.Marshal(map[string]string{"name": name, "room": "Phong-1.a_b"})
		require.NoError(t, err)
		w := askToken(s, string(body))
		require.Equal(t, 200, w.Code, w.Body.String())
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		var a answer
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a))
		return a
	}
	// Decomposed as some keyboards send it, and with spaces around.
	first := ask("  Nguye\u0302\u0303n Va\u0306n A \n")
	require.Equal(t, "Phong-1.a_b", first.Room)
	require.Regexp(t, `^guest:[A-Z2-7]{26}$`, first.Identity)
	claims, err := s.verifier.Verify(first.Token)
	require.NoError(t, err)
	require.Equal(t, first.Identity, claims.Grants.Identity)
	require.Equal(t, "Nguyễn Văn A", claims.Grants.Name)
	require.True(t, claims.Grants.Video.RoomJoin)
	require.False(t, claims.Grants.Video.RoomAdmin)
	require.Equal(t, "Phong-1.a_b", claims.Grants.Video.Room)
	require.NotEqual(t, first.Identity, ask("Nguyễn Văn A").Identity)
	require.Equal(t, 200, askToken(s, `{"name":"👩‍🌾 Bưởi","room":"r"}`).Code, "joined emoji")
	require.Equal(t, 200, askToken(s, `{"name":"`+strings.Repeat("ữ", 60)+`","room":"r"}`).Code)
}

func TestDemoTokenRefusals(t *testing.T) {
	s, _ := newTestServer(t, nil)
	for name, tc := range map[string]struct {
		body   string
		status int
		title  string
	}{
		"no name":           {`{"room":"r"}`, 422, "Invalid name"},
		"blank name":        {`{"name":" \t\u00a0","room":"r"}`, 422, "Invalid name"},
		"invisible name":    {`{"name":"\u200d\u200d","room":"r"}`, 422, "Invalid name"},
		"long name":         {`{"name":"` + strings.Repeat("ữ", 61) + `","room":"r"}`, 422, "Invalid name"},
		"control character": {`{"name":"a\u0007b","room":"r"}`, 422, "Invalid name"},
		"bidi override":     {`{"name":"a\u202eb","room":"r"}`, 422, "Invalid name"},
		"no room":           {`{"name":"a"}`, 422, "Invalid room"},
		"room with a slash": {`{"name":"a","room":"a/b"}`, 422, "Invalid room"},
		"room and newline":  {`{"name":"a","room":"ab\n"}`, 422, "Invalid room"},
		"long room":         {`{"name":"a","room":"` + strings.Repeat("r", 65) + `"}`, 422, "Invalid room"},
		"unknown field":     {`{"name":"a","room":"r","admin":true}`, 400, "Malformed request"},
		"two values":        {`{"name":"a","room":"r"}{}`, 400, "Malformed request"},
		"not JSON":          {`name=a`, 400, "Malformed request"},
		"not UTF-8":         {"{\"name\":\"a\xff\",\"room\":\"r\"}", 400, "Malformed request"},
		"empty":             {``, 400, "Malformed request"},
		"large":             {`{"name":"` + strings.Repeat(" ", 5000) + `a","room":"r"}`, 413, "Content too large"},
	} {
		t.Run(name, func(t *testing.T) {
			w := askToken(s, tc.body)
			require.Equal(t, tc.status, w.Code)
			require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
			var p problem
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
			require.Equal(t, tc.title, p.Title)
			require.Equal(t, tc.status, p.Status)
			require.NotEmpty(t, p.Detail)
		})
	}
	w := do(s, "POST", "/api/v1/demo/token", `{"name":"a","room":"r"}`, "Content-Type", "text/plain")
	require.Equal(t, 415, w.Code, "a page of another origin may send text without asking")
}

func TestDemoTokensAreLimitedByAddress(t *testing.T) {
	s, _ := newTestServer(t, nil)
	from := func(address string) int {
		r := httptest.NewRequest(http.MethodPost, "/api/v1/demo/token", strings.NewReader(`{"name":"a","room":"r"}`))
		r.Header.Set("Content-Type", "application/json")
		r.RemoteAddr = address
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		return w.Code
	}
	last := 0
	for range 20 * addressBurst {
		if last = from("[2001:db8::1]:1"); last != 200 {
			break
		}
	}
	require.Equal(t, 429, last)
	require.Equal(t, 429, from("[2001:db8::2]:9"), "the same network")
	require.Equal(t, 200, from("[2001:db8:0:1::1]:1"), "another network")
	require.Equal(t, 200, from("10.0.0.1:1"))
}

func TestAddressLimiterIsBounded(t *testing.T) {
	l := newAddressLimiter()
	for i := range maxAddresses {
		l.allow(fmt.Sprintf("10.1.%d.%d:1", i/250, i%250))
	}
	require.Len(t, l.buckets, maxAddresses)
	require.True(t, l.allow("192.0.2.1:1"))
	require.LessOrEqual(t, len(l.buckets), maxAddresses)
}

func TestPanicStaysWithItsRequest(t *testing.T) {
	s, logs := newTestServer(t, func(o *Options) {
		o.Client = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oh") })
	})
	w := do(s, "GET", "/x", "")
	require.Equal(t, 500, w.Code)
	require.NotContains(t, w.Body.String(), "oh")
	require.Contains(t, logs.String(), "request panicked")
	require.Equal(t, 200, do(s, "GET", "/healthz", "").Code)
}

func TestNewRefuses(t *testing.T) {
	client := http.NotFoundHandler()
	log := slog.New(slog.DiscardHandler)
	keys := map[string]string{testKey: testSecret}
	for name, o := range map[string]Options{
		"no bridge":      {Client: client, Log: log, Keys: keys},
		"no client":      {Bridge: echoBridge{}, Log: log, Keys: keys},
		"no log":         {Bridge: echoBridge{}, Client: client, Keys: keys},
		"empty secret":   {Bridge: echoBridge{}, Client: client, Log: log, Keys: map[string]string{"k": ""}},
		"other demo key": {Bridge: echoBridge{}, Client: client, Log: log, Keys: keys, Demo: true, DemoKey: "x"},
	} {
		_, err := New(o)
		require.Error(t, err, name)
	}
}

// serve runs s until the test ends or stop is called; stop returns what Serve
// returned.
func serve(t *testing.T, s *Server) (address string, stop func() error) {
	t.Helper()
	addr, err := s.Bind()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(2 * soon):
			return errors.New("Serve does not return")
		}
	})
	t.Cleanup(func() { require.NoError(t, stop()) })
	return addr.String(), stop
}

func TestServeCarriesASessionAndStops(t *testing.T) {
	s, logs := newTestServer(t, nil)
	address, stop := serve(t, s)
	var demo struct{ Token string }
	require.NoError(t, json.Unmarshal(askToken(s, `{"name":"Bưởi","room":"r"}`).Body.Bytes(), &demo))
	ws, res, err := websocket.DefaultDialer.Dial("ws://"+address+"/rtc?access_token="+demo.Token, nil)
	require.NoError(t, err)
	res.Body.Close()
	defer ws.Close()
	first := readResponse(t, ws)
	require.Equal(t, "Bưởi", first.GetJoin().GetParticipant().GetName())
	require.Contains(t, do(s, "GET", "/metrics", "").Body.String(), "diemcau_signal_sessions 1")

	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	for {
		if leave := readResponse(t, ws).GetLeave(); leave != nil {
			require.Equal(t, livekit.LeaveRequest_RESUME, leave.Action)
			break
		}
	}
	_, _, err = ws.ReadMessage()
	require.True(t, websocket.IsCloseError(err, websocket.CloseGoingAway), "%v", err)
	require.NoError(t, <-stopped)
	require.Equal(t, 503, do(s, "GET", "/readyz", "").Code)
	require.NotContains(t, logs.String(), demo.Token, "tokens are not for logs")
}

func readResponse(t *testing.T, ws *websocket.Conn) *livekit.SignalResponse {
	t.Helper()
	_, payload, err := ws.ReadMessage()
	require.NoError(t, err)
	res := &livekit.SignalResponse{}
	require.NoError(t, proto.Unmarshal(payload, res))
	return res
}

// Who came by HTTPS is asked to come by nothing else. A demonstration's certificate is
// one that browsers only take by exception, which this would forbid.
func TestStrictTransport(t *testing.T) {
	get := func(address string, demo bool) string {
		s, _ := newTestServer(t, func(o *Options) {
			if o.Demo = demo; !demo {
				o.DemoKey = ""
			}
		})
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, address, nil))
		return w.Header().Get("Strict-Transport-Security")
	}
	require.Equal(t, "max-age=31536000", get("https://hop.example.vn/healthz", false))
	require.Empty(t, get("http://hop.example.vn/healthz", false))
	require.Empty(t, get("https://hop.example.vn/healthz", true))
}

func TestServeOverTLS(t *testing.T) {
	// httptest's own certificate, for 127.0.0.1.
	donor := httptest.NewTLSServer(http.NotFoundHandler())
	certificate := donor.TLS.Certificates[0]
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: donor.Certificate().Raw})
	donor.Close()
	s, _ := newTestServer(t, func(o *Options) {
		o.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
		o.CA = ca
	})
	address, _ := serve(t, s)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(ca))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Get("https://" + address + "/ca.crt")
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, ca, body)

	var demo struct{ Token string }
	require.NoError(t, json.Unmarshal(askToken(s, `{"name":"a","room":"r"}`).Body.Bytes(), &demo))
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: pool}}
	ws, upgraded, err := dialer.Dial("wss://"+address+"/rtc?access_token="+demo.Token, nil)
	require.NoError(t, err)
	upgraded.Body.Close()
	defer ws.Close()
	require.NotNil(t, readResponse(t, ws).GetJoin())
}

func TestServeFailsToListen(t *testing.T) {
	first, _ := newTestServer(t, nil)
	address, _ := serve(t, first)
	second, _ := newTestServer(t, func(o *Options) { o.Listen = address })
	require.Error(t, second.Serve(context.Background()))
}

// TestBallotsAreNotLogged: a line with an address and a time could tell whose each was.
func TestBallotsAreNotLogged(t *testing.T) {
	s, logs := newTestServer(t, func(o *Options) {
		o.API = func(r chi.Router) error {
			r.Post("/ballots", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
			r.Post("/other", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
			return nil
		}
	})
	require.Equal(t, http.StatusNoContent, do(s, http.MethodPost, "/api/v1/other", "").Code)
	require.Contains(t, logs.String(), "path=/api/v1/other")
	require.Equal(t, http.StatusNoContent, do(s, http.MethodPost, "/api/v1/ballots", "").Code)
	require.NotContains(t, logs.String(), "ballots")
}

func TestRoutesThatCannotBeMade(t *testing.T) {
	_, err := New(Options{
		Keys: map[string]string{testKey: testSecret}, Bridge: echoBridge{}, Client: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler),
		API: func(chi.Router) error { return errors.New("no routes") },
	})
	require.ErrorContains(t, err, "no routes")
}
