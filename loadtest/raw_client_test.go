package loadtest

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// mint makes a token for the server under test.
func mint(t testing.TB, room, identity string, grant func(*auth.VideoGrant)) string {
	t.Helper()
	srv := server(t)
	g := &auth.VideoGrant{RoomJoin: true, Room: room}
	if grant != nil {
		grant(g)
	}
	jwt, err := auth.NewAccessToken(srv.Key, srv.Secret).SetIdentity(identity).SetVideoGrant(g).ToJWT()
	require.NoError(t, err)
	return jwt
}

// signalURL is the address of a signalling endpoint ("/rtc", "/rtc/validate" ...).
func signalURL(t testing.TB, scheme, path string, query url.Values) string {
	t.Helper()
	u, err := webURL(server(t).URL)
	require.NoError(t, err)
	if scheme == "ws" {
		u.Scheme = strings.Replace(u.Scheme, "http", "ws", 1)
	}
	u.Path = path
	q := url.Values{"protocol": {"16"}, "sdk": {"go"}, "version": {"2.18.1"}, "auto_subscribe": {"1"}}
	if strings.HasPrefix(path, "/rtc/v1") {
		q.Set("join_request", joinRequest())
	}
	for k, v := range query {
		q[k] = v
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// joinRequest is the least that the one-peer-connection protocol asks for.
func joinRequest() string {
	var compressed bytes.Buffer
	w := gzip.NewWriter(&compressed)
	_, _ = w.Write(mustMarshal(&livekit.JoinRequest{ClientInfo: &livekit.ClientInfo{Sdk: livekit.ClientInfo_GO, Version: "2.18.1", Protocol: 16}}))
	_ = w.Close() // neither fails on a bytes.Buffer
	return base64.URLEncoding.EncodeToString(mustMarshal(&livekit.WrappedJoinRequest{
		Compression: livekit.WrappedJoinRequest_GZIP, JoinRequest: compressed.Bytes(),
	}))
}

// rawClient speaks the signal protocol without any media.
type rawClient struct {
	t         testing.TB
	conn      *websocket.Conn
	responses chan *livekit.SignalResponse // closed when the socket is
	done      chan struct{}                // closed by close
	reader    sync.WaitGroup
	lastKind  atomic.Int32 // of the newest message, websocket.TextMessage or BinaryMessage
}

// dialRoom connects to /rtc and starts reading.
func dialRoom(t testing.TB, room, identity string, grant func(*auth.VideoGrant)) *rawClient {
	t.Helper()
	query := url.Values{"access_token": {mint(t, room, identity, grant)}}
	conn, resp, err := websocket.DefaultDialer.Dial(signalURL(t, "ws", "/rtc", query), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	return newRawClient(t, conn)
}

// newRawClient reads from conn until the test ends.
func newRawClient(t testing.TB, conn *websocket.Conn) *rawClient {
	c := &rawClient{t: t, conn: conn, responses: make(chan *livekit.SignalResponse, 256), done: make(chan struct{})}
	c.reader.Go(c.read)
	t.Cleanup(c.close)
	return c
}

// mustMarshal is for messages that cannot fail to marshal.
func mustMarshal(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

func (c *rawClient) close() {
	select {
	case <-c.done:
		return
	default:
	}
	close(c.done)
	c.conn.Close()
	c.reader.Wait()
}

func (c *rawClient) read() {
	defer close(c.responses)
	for {
		kind, b, err := c.conn.ReadMessage()
		if err != nil {
			return
		}
		c.lastKind.Store(int32(kind))
		r := &livekit.SignalResponse{}
		if kind == websocket.TextMessage {
			err = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(b, r)
		} else {
			err = proto.Unmarshal(b, r)
		}
		if err != nil {
			c.t.Errorf("the server sent something that does not parse: %v", err)
			return
		}
		select {
		case c.responses <- r:
		case <-c.done:
			return
		}
	}
}

func (c *rawClient) send(r *livekit.SignalRequest) {
	c.t.Helper()
	c.sendBytes(websocket.BinaryMessage, mustMarshal(r))
}

func (c *rawClient) sendBytes(kind int, b []byte) {
	c.t.Helper()
	require.NoError(c.t, c.conn.WriteMessage(kind, b))
}

// await reads responses until one is wanted, at most 10 s.
func (c *rawClient) await(what string, wanted func(*livekit.SignalResponse) bool) {
	c.t.Helper()
	limit := time.After(10 * time.Second)
	for {
		select {
		case r, ok := <-c.responses:
			if !ok {
				c.t.Fatalf("the connection ended before %s", what)
			}
			if wanted(r) {
				return
			}
		case <-limit:
			c.t.Fatalf("no %s in 10 s", what)
		}
	}
}

func (c *rawClient) awaitJoin() *livekit.JoinResponse {
	c.t.Helper()
	var j *livekit.JoinResponse
	c.await("join", func(r *livekit.SignalResponse) bool { j = r.GetJoin(); return j != nil })
	return j
}

// awaitEnd reads until the server ends the connection and returns the last
// leave it sent, nil if none.
func (c *rawClient) awaitEnd() *livekit.LeaveRequest {
	c.t.Helper()
	var leave *livekit.LeaveRequest
	limit := time.After(10 * time.Second)
	for {
		select {
		case r, ok := <-c.responses:
			if !ok {
				return leave
			}
			if r.GetLeave() != nil {
				leave = r.GetLeave()
			}
		case <-limit:
			c.t.Fatal("the server does not end the connection in 10 s")
		}
	}
}

// awaitPong shows that the session goes on.
func (c *rawClient) awaitPong() {
	c.t.Helper()
	now := time.Now().UnixMilli()
	c.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_PingReq{PingReq: &livekit.Ping{Timestamp: now}}})
	c.await("an answer to ping_req", func(r *livekit.SignalResponse) bool {
		return r.GetPongResp().GetLastPingTimestamp() == now
	})
}
