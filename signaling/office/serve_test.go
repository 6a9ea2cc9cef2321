package office

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/livekit"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"diemcau/sfu"
	"diemcau/signaling"
	"diemcau/signaling/auth"
	"diemcau/signaling/rtc"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// clock is the server's time. It stands until a test moves it.
type clock struct{ ms atomic.Int64 }

func (c *clock) now() time.Time { return time.UnixMilli(c.ms.Load()) }

func (c *clock) pass(d time.Duration) { c.ms.Add(d.Milliseconds()) }

// at sets the clock to a time of Viet Nam.
func (c *clock) at(t *testing.T, text string) {
	t.Helper()
	when, err := time.ParseInLocation("2006-01-02 15:04", text, time.FixedZone("ICT", 7*3600))
	require.NoError(t, err)
	c.ms.Store(when.UnixMilli())
}

// whole is all that `diemcau serve` runs, put together as main.go does it: the SFU
// node, people and meetings, and the web server before both.
type whole struct {
	t       *testing.T
	options Options
	clock   clock
	host    string // of the web server: 127.0.0.1:PORT, the same after a restart
	media   int    // port of the media, UDP and TCP
	web     *http.Transport
	stop    func()
}

const (
	serveKey    = "councilkey"
	serveSecret = "council-secret-council-secret-council"
)

// newWhole makes a server on an empty database, with the administrator that
// `diemcau admin create` makes.
func newWhole(t *testing.T, url string) *whole {
	w := &whole{t: t, options: options(t, url), host: fmt.Sprintf("127.0.0.1:%d", freePort(t)), media: freePort(t),
		web: &http.Transport{MaxIdleConnsPerHost: 32}}
	w.options.Mint, w.options.Now = nil, w.clock.now
	w.clock.at(t, "2026-12-07 08:00")
	w.command(goodPass+"\n", "admin", "create", "--login", "quantri", "--name", "Trần Văn Gốc")
	w.start()
	t.Cleanup(func() {
		w.stop()
		w.web.CloseIdleConnections()
	})
	return w
}

// command runs a command of the program on the server's data and gives what it prints.
func (w *whole) command(stdin string, args ...string) string {
	w.t.Helper()
	root := &cobra.Command{Use: "diemcau", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(Commands(func(string, string, bool) (Place, error) {
		return Place{DatabaseURL: w.options.DatabaseURL, DataDir: w.options.DataDir}, nil
	})...)
	var out bytes.Buffer
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(io.Discard)
	root.SetArgs(args)
	require.NoError(w.t, root.ExecuteContext(context.Background()), "%v: %s", args, out.String())
	return out.String()
}

// givenPorts are those that this process has asked for already.
var givenPorts sync.Map

// freePort is a port that is free for UDP and TCP, below those that the system gives
// to clients.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 10_000 + rand.IntN(20_000)
		if _, given := givenPorts.LoadOrStore(port, true); given {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		u, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		l.Close()
		if err == nil {
			u.Close()
			return port
		}
	}
	require.FailNow(t, "no free port")
	return 0
}

func (w *whole) start() {
	t := w.t
	keys := map[string]string{serveKey: serveSecret}
	node, err := sfu.NewNode(sfu.Config{UDPPort: w.media, TCPPort: w.media, UseLoopback: true, NodeIPs: []string{"127.0.0.1"}, Log: w.options.Log})
	require.NoError(t, err)
	o := w.options
	o.Mint, err = auth.NewSigner(keys)
	require.NoError(t, err)
	o.Media = Media(node)
	meetings, err := Open(context.Background(), o)
	require.NoError(t, err)
	server, err := signaling.New(signaling.Options{
		Listen: w.host, Keys: keys, Bridge: joined{node, meetings}, API: meetings.API, Socket: meetings.Socket(), Rooms: node,
		Ready:  func() error { return meetings.Ready(context.Background()) },
		Client: http.NotFoundHandler(), Version: "test", Log: o.Log,
	})
	require.NoError(t, err)
	_, err = server.Bind()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx) }()
	var once sync.Once
	w.stop = func() {
		once.Do(func() {
			w.web.CloseIdleConnections()
			cancel()
			require.NoError(t, <-served)
			require.NoError(t, meetings.Close())
			closing, done := context.WithTimeout(context.Background(), patience)
			defer done()
			require.NoError(t, node.Close(closing))
		})
	}
}

// joined lets signalling open sessions at the node, once the meeting admits them, as
// main.go does.
type joined struct {
	node     *sfu.Node
	meetings *Office
}

func (j joined) Open(ctx context.Context, start *livekit.StartSession) (rtc.Session, error) {
	if err := j.meetings.Admit(ctx, start); err != nil {
		return nil, err
	}
	session, err := j.node.Open(ctx, start)
	if err != nil {
		return nil, err
	}
	return session, nil
}

// browser is a new browser, with no cookies yet.
func (w *whole) browser() *browser {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(w.t, err)
	return &browser{t: w.t, base: "http://" + w.host + "/api/v1", http: &http.Client{Jar: jar, Timeout: time.Minute, Transport: w.web},
		header: http.Header{"Origin": {"http://" + w.host}, "Sec-Fetch-Site": {"same-origin"}}}
}

// dial opens a WebSocket of the server with a browser's cookies, or none.
func (w *whole) dial(from *browser, path string, query url.Values) (*websocket.Conn, *http.Response, error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	dialer := websocket.Dialer{}
	header := http.Header{}
	if from != nil {
		dialer.Jar = from.http.Jar
		header.Set("Origin", "http://"+w.host)
	}
	return dialer.DialContext(ctx, (&url.URL{Scheme: "ws", Host: w.host, Path: path, RawQuery: query.Encode()}).String(), header)
}

// board is what a reader of a socket has learned so far, for a test that waits.
type board struct {
	mu   sync.Mutex
	news chan struct{} // guarded by mu; closed by the next note
}

func newBoard() *board { return &board{news: make(chan struct{})} }

// note changes what is known.
func (b *board) note(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
	close(b.news)
	b.news = make(chan struct{})
}

// until waits for is, which is called with mu held.
func (b *board) until(t *testing.T, what string, is func() bool) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		b.mu.Lock()
		ok, news := is(), b.news
		b.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-news:
		case <-timeout.C:
			require.FailNow(t, "did not happen: "+what)
		}
	}
}
