package rtc

import (
	"errors"
	"fmt"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// MaxMessageSize is the longest signal message a client may send, in bytes.
const MaxMessageSize = 256 << 10

var (
	errMalformed   = errors.New("message does not parse as a SignalRequest")
	errUnknownType = errors.New("message is of no type this server knows")
)

// decodeRequest parses one WebSocket message: protobuf in a binary one,
// protobuf-JSON in a text one, whose unknown fields are ignored. Errors wrap
// errMalformed, or are errUnknownType for a message that parses and says nothing
// (a newer client's).
func decodeRequest(messageType int, payload []byte) (*livekit.SignalRequest, error) {
	req := &livekit.SignalRequest{}
	var err error
	if messageType == websocket.TextMessage {
		err = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(payload, req)
	} else {
		err = proto.Unmarshal(payload, req)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	if req.Message == nil {
		return nil, errUnknownType
	}
	return req, nil
}

// encodeResponse returns the WebSocket message type and payload of res.
func encodeResponse(res *livekit.SignalResponse, asJSON bool) (messageType int, payload []byte, err error) {
	if asJSON {
		payload, err = protojson.Marshal(res)
		return websocket.TextMessage, payload, err
	}
	payload, err = proto.Marshal(res)
	return websocket.BinaryMessage, payload, err
}
