package rtc

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	lkauth "github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"diemcau/signaling/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testKey    = "key1"
	testSecret = "secret-one-secret-one-secret-one"
	soon       = 10 * time.Second // for what must happen
)

// fakeBridge is a node: it answers each Open with a join or reconnect response
// and hands the session to the test.
type fakeBridge struct {
	opened chan *fakeSession

	mu      sync.Mutex
	openErr error
	buffer  int // of Responses
}

func newFakeBridge() *fakeBridge {
	return &fakeBridge{opened: make(chan *fakeSession, 16), buffer: 64}
}

func (b *fakeBridge) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.openErr = err
}

func (b *fakeBridge) Open(ctx context.Context, start *livekit.StartSession) (Session, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.openErr != nil {
		return nil, b.openErr
	}
	s := &fakeSession{
		start:     start,
		requests:  make(chan *livekit.SignalRequest, 1024),
		responses: make(chan *livekit.SignalResponse, b.buffer),
		closed:    make(chan struct{}),
	}
	if start.Reconnect {
		s.responses <- &livekit.SignalResponse{Message: &livekit.SignalResponse_Reconnect{Reconnect: &livekit.ReconnectResponse{}}}
	} else {
		s.responses <- joinResponse(start)
	}
	b.opened <- s
	return s, nil
}

func (b *fakeBridge) Probe(context.Context, *livekit.StartSession) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.openErr
}

func joinResponse(start *livekit.StartSession) *livekit.SignalResponse {
	return &livekit.SignalResponse{Message: &livekit.SignalResponse_Join{Join: &livekit.JoinResponse{
		Room:        &livekit.Room{Name: start.RoomName},
		Participant: &livekit.ParticipantInfo{Sid: "PA_1", Identity: start.Identity, Name: start.Name},
	}}}
}

type fakeSession struct {
	start     *livekit.StartSession
	requests  chan *livekit.SignalRequest
	responses chan *livekit.SignalResponse
	closed    chan struct{}

	mu      sync.Mutex
	sendErr error
}

func (s *fakeSession) failSends(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sendErr = err
}

func (s *fakeSession) Send(r *livekit.SignalRequest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sendErr != nil {
		return s.sendErr
	}
	select {
	case s.requests <- r:
		return nil
	default:
		return errors.New("queue is full")
	}
}

func (s *fakeSession) Responses() <-chan *livekit.SignalResponse { return s.responses }

func (s *fakeSession) Close() { close(s.closed) } // a second Close panics

func within[T any](t *testing.T, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(soon):
		require.FailNow(t, "did not happen: "+what)
		panic("unreachable")
	}
}

func (s *fakeSession) request(t *testing.T) *livekit.SignalRequest {
	t.Helper()
	return within(t, s.requests, "a request at the node")
}

// pipeListener accepts in-memory connections, whose blocking a synctest bubble
// understands.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	server, client := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// rig is a Handler behind a real HTTP server.
type rig struct {
	t        *testing.T
	bridge   *fakeBridge
	handler  *Handler
	verifier *auth.Verifier
	registry *prometheus.Registry
	logs     *syncBuffer
	url      string // http://host:port
	dialer   websocket.Dialer
}

type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func newRig(t *testing.T) *rig {
	r := bareRig(t)
	server := httptest.NewServer(r.handler)
	r.url = server.URL
	t.Cleanup(func() {
		r.shutdown()
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return r
}

// newPipeRig is a rig for synctest bubbles.
func newPipeRig(t *testing.T) *rig {
	r := bareRig(t)
	listener := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: r.handler}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	r.url = "http://pipe.test"
	r.dialer.NetDialContext = listener.dial
	t.Cleanup(func() {
		r.shutdown()
		_ = server.Close()
		<-served
	})
	return r
}

func bareRig(t *testing.T) *rig {
	t.Helper()
	verifier, err := auth.NewVerifier(map[string]string{testKey: testSecret})
	require.NoError(t, err)
	r := &rig{t: t, bridge: newFakeBridge(), verifier: verifier, registry: prometheus.NewRegistry(), logs: &syncBuffer{}}
	r.handler, err = New(Options{
		Auth: verifier, Bridge: r.bridge, Metrics: r.registry,
		Log: slog.New(slog.NewTextHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	require.NoError(t, err)
	return r
}

func (r *rig) shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	require.NoError(r.t, r.handler.Shutdown(ctx))
}

func (r *rig) grants(identity string) *lkauth.ClaimGrants {
	return &lkauth.ClaimGrants{Identity: identity, Video: &lkauth.VideoGrant{RoomJoin: true, Room: "hop"}}
}

func (r *rig) token(g *lkauth.ClaimGrants) string {
	r.t.Helper()
	token, err := r.verifier.Mint(testKey, g, time.Hour)
	require.NoError(r.t, err)
	return token
}

func (r *rig) query(identity string) url.Values {
	return url.Values{"access_token": {r.token(r.grants(identity))}}
}

// client is a test's end of a WebSocket.
type client struct {
	t  *testing.T
	ws *websocket.Conn
}

func (r *rig) dial(path string, q url.Values) (*client, *http.Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	target := "ws" + strings.TrimPrefix(r.url, "http") + path + "?" + q.Encode()
	ws, res, err := r.dialer.DialContext(ctx, target, nil)
	if err != nil {
		return nil, res, err
	}
	return &client{t: r.t, ws: ws}, res, nil
}

// connect dials and returns both ends.
func (r *rig) connect(path string, q url.Values) (*client, *fakeSession) {
	r.t.Helper()
	c, res, err := r.dial(path, q)
	if err != nil && res != nil {
		body, _ := io.ReadAll(res.Body)
		require.NoError(r.t, err, "%s: %s", res.Status, body)
	}
	require.NoError(r.t, err)
	r.t.Cleanup(func() { _ = c.ws.Close() })
	return c, within(r.t, r.bridge.opened, "a session at the node")
}

// join connects and reads the first messages.
func (r *rig) join(identity string) (*client, *fakeSession) {
	r.t.Helper()
	c, s := r.connect("/rtc", r.query(identity))
	require.NotNil(r.t, c.read().GetJoin())
	require.NotEmpty(r.t, c.read().GetRefreshToken())
	return c, s
}

// read returns the next message; it fails the test if the socket ends instead.
func (c *client) read() *livekit.SignalResponse {
	c.t.Helper()
	res, err := c.next()
	require.NoError(c.t, err)
	return res
}

func (c *client) next() (*livekit.SignalResponse, error) {
	messageType, payload, err := c.ws.ReadMessage()
	if err != nil {
		return nil, err
	}
	res := &livekit.SignalResponse{}
	if messageType == websocket.TextMessage {
		err = protojson.Unmarshal(payload, res)
	} else {
		err = proto.Unmarshal(payload, res)
	}
	return res, err
}

// readUntilClosed returns all messages up to the end, and its close code (0 if
// there was no close frame).
func (c *client) readUntilClosed() (messages []*livekit.SignalResponse, code int) {
	c.t.Helper()
	for {
		res, err := c.next()
		var closed *websocket.CloseError
		if errors.As(err, &closed) {
			return messages, closed.Code
		}
		if err != nil {
			return messages, 0
		}
		messages = append(messages, res)
	}
}

func (c *client) send(req *livekit.SignalRequest) {
	c.t.Helper()
	payload, err := proto.Marshal(req)
	require.NoError(c.t, err)
	require.NoError(c.t, c.ws.WriteMessage(websocket.BinaryMessage, payload))
}

func muteRequest(sid string) *livekit.SignalRequest {
	return &livekit.SignalRequest{Message: &livekit.SignalRequest_Mute{Mute: &livekit.MuteTrackRequest{Sid: sid, Muted: true}}}
}

func pingRequest(at int64) *livekit.SignalRequest {
	return &livekit.SignalRequest{Message: &livekit.SignalRequest_PingReq{PingReq: &livekit.Ping{Timestamp: at}}}
}

func speakers(sid string) *livekit.SignalResponse {
	return &livekit.SignalResponse{Message: &livekit.SignalResponse_SpeakersChanged{
		SpeakersChanged: &livekit.SpeakersChanged{Speakers: []*livekit.SpeakerInfo{{Sid: sid}}},
	}}
}

// lastLeave returns the Leave that the messages end with.
func lastLeave(t *testing.T, messages []*livekit.SignalResponse) *livekit.LeaveRequest {
	t.Helper()
	require.NotEmpty(t, messages)
	leave := messages[len(messages)-1].GetLeave()
	require.NotNil(t, leave, "the last message is no leave: %v", messages[len(messages)-1])
	return leave
}

func wrapJoin(t testing.TB, join *livekit.JoinRequest, compression livekit.WrappedJoinRequest_Compression) string {
	t.Helper()
	plain, err := proto.Marshal(join)
	require.NoError(t, err)
	if compression == livekit.WrappedJoinRequest_GZIP {
		plain = gzipped(t, plain)
	}
	wrapped, err := proto.Marshal(&livekit.WrappedJoinRequest{Compression: compression, JoinRequest: plain})
	require.NoError(t, err)
	return base64.URLEncoding.EncodeToString(wrapped)
}

func gzipped(t testing.TB, plain []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, err := w.Write(plain)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return buf.Bytes()
}

// counter returns the value of the metric of that name one of whose labels has
// that value; 0 if there is none.
func (r *rig) counter(name, label string) float64 {
	r.t.Helper()
	families, err := r.registry.Gather()
	require.NoError(r.t, err)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, pair := range metric.GetLabel() {
				if family.GetName() == name && pair.GetValue() == label {
					return metric.GetCounter().GetValue()
				}
			}
		}
	}
	return 0
}
