package turn

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
	"github.com/stretchr/testify/require"
)

// shareWith starts a web server whose port TURN shares, and returns its address.
func shareWith(t *testing.T, cfg Config) (*Server, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	cfg.WebPort = l.Addr().(*net.TCPAddr).Port
	s := start(t, cfg)
	require.True(t, s.Shares())
	protocols := []string{"h2", "http/1.1"}
	web := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Proto+" "+r.Host)
		}),
		TLSConfig: &tls.Config{NextProtos: protocols}, ReadHeaderTimeout: waitFor,
	}
	shared := s.Share(l, protocols)
	done := make(chan error, 1)
	go func() { done <- web.Serve(shared) }()
	t.Cleanup(func() {
		_ = web.Close()
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	return s, l.Addr().String()
}

func TestWebAndTURNShareAPort(t *testing.T) {
	web, own := certificate(t, "cau.tinh.gov.vn"), certificate(t, "turn.tinh.gov.vn")
	both := certificate(t, "cau.tinh.gov.vn", "127.0.0.1")
	for _, test := range []struct {
		name            string
		cfg             Config
		turn            string   // name that TURN clients ask for
		protocols       []string // that they offer
		webCert, theirs tls.Certificate
	}{
		{"by the first byte", Config{Web: &tls.Config{Certificates: []tls.Certificate{both}}}, "cau.tinh.gov.vn", nil, both, both},
		{"by the protocol", Config{Web: &tls.Config{Certificates: []tls.Certificate{both}}}, "cau.tinh.gov.vn", []string{"stun.turn"}, both, both},
		{"by address, without a name", Config{Web: &tls.Config{Certificates: []tls.Certificate{both}}}, "127.0.0.1", nil, both, both},
		{"by the name", Config{Web: &tls.Config{Certificates: []tls.Certificate{web}}, Domain: "turn.tinh.gov.vn", Certificate: &own}, "turn.tinh.gov.vn", nil, web, own},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, address := shareWith(t, test.cfg)
			ice := s.ICEServers(alice)[0]
			conn, err := tls.Dial("tcp", address, trust(t, test.turn, test.protocols, test.theirs))
			require.NoError(t, err)
			c := client(t, turn.NewSTUNConn(conn), address, ice.Username, ice.Credential)
			relay := allocate(t, c)
			bounces(t, relay, offered)

			for _, protocols := range [][]string{{"h2", "http/1.1"}, {"http/1.1"}, nil} {
				conn, err := tls.Dial("tcp", address, trust(t, "cau.tinh.gov.vn", protocols, test.webCert))
				require.NoError(t, err)
				want := "http/1.1"
				if len(protocols) == 0 {
					want = ""
				} else if protocols[0] == "h2" {
					want = "h2"
				}
				require.Equal(t, want, conn.ConnectionState().NegotiatedProtocol)
				if want != "h2" {
					require.Equal(t, "HTTP/1.1 x", get(t, conn))
				}
				require.NoError(t, conn.Close())
			}
			hc := &http.Client{Timeout: waitFor, Transport: &http.Transport{
				TLSClientConfig: trust(t, "cau.tinh.gov.vn", nil, test.webCert), ForceAttemptHTTP2: true,
			}}
			defer hc.CloseIdleConnections()
			resp, err := hc.Get("https://" + address)
			require.NoError(t, err)
			defer resp.Body.Close()
			require.Equal(t, 2, resp.ProtoMajor)
			bounces(t, relay, offered)
		})
	}
}

// TestBrowserAtTheTURNDomain: somebody types the name of the TURN server.
func TestBrowserAtTheTURNDomain(t *testing.T) {
	web, own := certificate(t, "cau.tinh.gov.vn"), certificate(t, "turn.tinh.gov.vn")
	_, address := shareWith(t, Config{Web: &tls.Config{Certificates: []tls.Certificate{web}}, Domain: "turn.tinh.gov.vn", Certificate: &own})
	conn, err := tls.Dial("tcp", address, trust(t, "TURN.tinh.gov.vn", []string{"h2", "http/1.1"}, own))
	require.NoError(t, err)
	defer conn.Close()
	require.Equal(t, "h2", conn.ConnectionState().NegotiatedProtocol)
}

func get(t *testing.T, conn net.Conn) string {
	t.Helper()
	require.NoError(t, conn.SetDeadline(time.Now().Add(waitFor)))
	_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(b)
}

// TestGarbage: what is neither ends, and the others do not notice.
func TestGarbage(t *testing.T) {
	cert := certificate(t, "cau.tinh.gov.vn")
	s, address := shareWith(t, Config{Web: &tls.Config{Certificates: []tls.Certificate{cert}}, TCPPort: freePort(t)})
	ended := func(c net.Conn, what string) {
		t.Helper()
		require.NoError(t, c.SetReadDeadline(time.Now().Add(waitFor)), what)
		_, err := io.Copy(io.Discard, c)
		var ne net.Error
		require.False(t, err != nil && errorsAs(err, &ne) && ne.Timeout(), "%s: still open: %v", what, err)
		_ = c.Close()
	}
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 4000)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	for what, first := range map[string]string{
		"noise": string(noise), "HTTP": "GET / HTTP/1.1\r\n\r\n", "an old ClientHello": "\x80\x2e\x01\x03\x01",
		"a huge record": "\x16\x03\x01\xff\xff" + string(noise), "nothing": "",
	} {
		for _, to := range []string{address, addr(s.cfg.TCPPort)} {
			c, err := net.Dial("tcp", to)
			require.NoError(t, err)
			_, err = io.WriteString(c, first)
			require.NoError(t, err)
			if to == address || first == "" || first[0] >= 0x40 && first[0] < 0x80 {
				// The first bytes of a frame that never ends: see TestSlowClients.
				_ = c.(*net.TCPConn).CloseWrite() // the server may have been quicker
			}
			ended(c, what)
		}
	}
	// A STUN length that wraps around 16 bits sends pion/turn's reader into a loop.
	wrap := append([]byte{0, 1, 0xff, 0xec, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 12)...)
	inTLS, err := tls.Dial("tcp", address, trust(t, "cau.tinh.gov.vn", nil, cert))
	require.NoError(t, err)
	plain, err := net.Dial("tcp", addr(s.cfg.TCPPort))
	require.NoError(t, err)
	for _, c := range []net.Conn{inTLS, plain} {
		_, err = c.Write(wrap)
		require.NoError(t, err)
		ended(c, "a length that wraps")
	}
	conn, err := tls.Dial("tcp", address, trust(t, "cau.tinh.gov.vn", []string{"http/1.1"}, cert))
	require.NoError(t, err)
	defer conn.Close()
	require.Equal(t, "HTTP/1.1 x", get(t, conn))
	require.Eventually(t, func() bool {
		s.queue.mu.Lock()
		defer s.queue.mu.Unlock()
		return len(s.queue.streams) == 0
	}, waitFor, 10*time.Millisecond)
}

// pipeListener accepts what a test puts into it.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { close(l.done); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// TestSlowClients: a client that stops anywhere before it has a relayed address
// is cut off in time.
func TestSlowClients(t *testing.T) {
	cert := certificate(t, "cau.tinh.gov.vn")
	for _, test := range []struct {
		name  string
		limit time.Duration
		say   func(c net.Conn, config *tls.Config)
	}{
		{"says nothing", helloTime, func(net.Conn, *tls.Config) {}},
		{"half a ClientHello", helloTime, func(c net.Conn, _ *tls.Config) { _, _ = c.Write([]byte("\x16\x03\x01\x02\x00\x01")) }},
		{"a handshake and nothing", helloTime, func(c net.Conn, config *tls.Config) { _ = tls.Client(c, config).Handshake() }},
		{"half a STUN message", introTime, func(c net.Conn, config *tls.Config) { _, _ = tls.Client(c, config).Write([]byte{0, 1}) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := trust(t, "cau.tinh.gov.vn", nil, cert)
			synctest.Test(t, func(t *testing.T) {
				s := &Server{queue: newConnQueue(), cfg: Config{Web: &tls.Config{Certificates: []tls.Certificate{cert}}}}
				s.tls = s.cfg.Web.Clone()
				l := newPipeListener()
				shared := s.Share(l, []string{"http/1.1"})
				stopped := make(chan struct{})
				go func() { // in the place of pion/turn
					defer close(stopped)
					for {
						c, err := s.queue.Accept()
						if err != nil {
							return
						}
						_, err = c.Read(make([]byte, maxFrame))
						_ = c.Close()
						if err == nil {
							t.Error("a frame out of nothing")
						}
					}
				}()
				ours, theirs := net.Pipe()
				began := time.Now()
				l.conns <- theirs
				test.say(ours, config)
				_, _ = io.Copy(io.Discard, ours)
				require.WithinDuration(t, began.Add(test.limit), time.Now(), time.Second)
				_ = shared.Close()
				s.queue.end()
				<-stopped
			})
		})
	}
}

func errorsAs(err error, target *net.Error) bool {
	ne, ok := err.(net.Error) //nolint:errorlint // the reader's own
	*target = ne
	return ok
}

// FuzzStream: whatever a client sends, a stream gives whole frames of the bytes
// sent, in order, or ends.
func FuzzStream(f *testing.F) {
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest)
	require.NoError(f, err)
	f.Add(m.Raw)
	f.Add(append(append([]byte(nil), m.Raw...), 0x40, 0, 0, 3, 'a', 'b', 'c', 0))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte{0, 1, 0xff, 0xec, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0x40, 0, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		s := newStream(memoryConn{Reader: bytes.NewReader(data)}, nil, newConnQueue())
		buf := make([]byte, maxFrame)
		rest := data
		for {
			n, err := s.Read(buf)
			if err != nil {
				return
			}
			if n < 4 || n%4 != 0 || n >= maxFrame || !bytes.HasPrefix(rest, buf[:n]) {
				t.Fatalf("frame of %d bytes", n)
			}
			length := int(binary.BigEndian.Uint16(buf[2:]))
			if want := length + 20; buf[0]>>6 == 0 && n != want {
				t.Fatalf("STUN message of %d bytes, want %d", n, want)
			}
			rest = rest[n:]
		}
	})
}

// memoryConn is a connection whose other side has said all it will.
type memoryConn struct {
	net.Conn
	*bytes.Reader
}

func (c memoryConn) Read(p []byte) (int, error)    { return c.Reader.Read(p) }
func (memoryConn) SetReadDeadline(time.Time) error { return nil }

func TestReadNeedsRoom(t *testing.T) {
	s := newStream(memoryConn{Reader: bytes.NewReader(nil)}, nil, newConnQueue())
	_, err := s.Read(make([]byte, 100))
	require.ErrorContains(t, err, "too small")
	_, err = s.Read(make([]byte, maxFrame))
	require.ErrorIs(t, err, io.EOF)
	require.False(t, httpClient(strings.Fields("stun.turn webrtc")))
}
