package light

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// What we say we are: a browser with the stock client.
const (
	protocolVersion = 16
	sdkVersion      = "2.15.0"
)

const (
	signalTimeout = 20 * time.Second // of a dial, and of a write
	maxSignal     = 16 << 20         // bytes of a message
)

// signal is the connection of the LiveKit signal protocol.
type signal struct {
	conn *websocket.Conn
	mu   sync.Mutex // guards writing
}

// dial opens it. query must not hold what all have: token and version.
func dial(ctx context.Context, base *url.URL, path, token string, query url.Values) (*signal, error) {
	u := *base.JoinPath(path)
	query.Set("access_token", token)
	query.Set("protocol", fmt.Sprint(protocolVersion))
	query.Set("sdk", "js")
	query.Set("version", sdkVersion)
	u.RawQuery = query.Encode()
	dialer := websocket.Dialer{HandshakeTimeout: signalTimeout, ReadBufferSize: 4 << 10, WriteBufferSize: 4 << 10, WriteBufferPool: &writeBuffers}
	conn, response, err := dialer.DialContext(ctx, u.String(), nil)
	if err != nil {
		if response != nil {
			text, _ := io.ReadAll(io.LimitReader(response.Body, 300)) // it only explains
			_ = response.Body.Close()
			return nil, fmt.Errorf("%s: %s: %s", path, response.Status, bytes.TrimSpace(text))
		}
		return nil, err
	}
	conn.SetReadLimit(maxSignal)
	return &signal{conn: conn}, nil
}

var writeBuffers sync.Pool

// send writes one request.
func (s *signal) send(r *livekit.SignalRequest) error {
	b, err := proto.Marshal(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.conn.SetWriteDeadline(time.Now().Add(signalTimeout)); err != nil {
		return err
	}
	return s.conn.WriteMessage(websocket.BinaryMessage, b)
}

// errSignal is returned for what the server must not send.
var errSignal = errors.New("light: a signal message that does not parse")

// Fields of SignalResponse whose messages a participant heeds. The others, most of them
// about who comes and goes, would only cost time to parse.
var heeded = map[protowire.Number]bool{
	1: true, 2: true, 3: true, 4: true, 6: true, 8: true, 13: true, 14: true, 19: true, 22: true, 25: true,
}

// updates is the field of the messages that tell of others, which few listen to.
const updates = 5

// next reads until there is a message of those heeded, with listen also one of others.
func (s *signal) next(listen bool) (*livekit.SignalResponse, error) {
	for {
		_, b, err := s.conn.ReadMessage()
		if err != nil {
			return nil, err
		}
		number, _, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, errSignal
		}
		if !heeded[number] && (number != updates || !listen) {
			continue
		}
		r := &livekit.SignalResponse{}
		if err := proto.Unmarshal(b, r); err != nil {
			return nil, fmt.Errorf("%w: %w", errSignal, err)
		}
		return r, nil
	}
}

func (s *signal) close() { _ = s.conn.Close() }

// wrap makes the join_request parameter of the protocol with one peer connection.
func wrap(j *livekit.JoinRequest) (string, error) {
	plain, err := proto.Marshal(j)
	if err != nil {
		return "", err
	}
	var compressed bytes.Buffer
	w := gzip.NewWriter(&compressed)
	if _, err := w.Write(plain); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	b, err := proto.Marshal(&livekit.WrappedJoinRequest{Compression: livekit.WrappedJoinRequest_GZIP, JoinRequest: compressed.Bytes()})
	return base64.URLEncoding.EncodeToString(b), err
}

func clientInfo() *livekit.ClientInfo {
	return &livekit.ClientInfo{
		Sdk: livekit.ClientInfo_JS, Version: sdkVersion, Protocol: protocolVersion, Os: "linux", Browser: "chrome", BrowserVersion: "156",
	}
}
