package rtc

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"
)

// maxJoinRequestSize bounds a join request after decompression, in bytes.
const maxJoinRequestSize = 256 << 10

// decodeJoinRequest reads the `join_request` query parameter: the base64url of a
// WrappedJoinRequest, padded or not, that holds a JoinRequest, plain or gzipped.
// Errors are *requestError with status 400.
func decodeJoinRequest(param string) (*livekit.JoinRequest, error) {
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(param, "="))
	if err != nil {
		return nil, badRequest("join_request is not base64url")
	}
	wrapped := &livekit.WrappedJoinRequest{}
	if err := proto.Unmarshal(raw, wrapped); err != nil {
		return nil, badRequest("join_request is not a WrappedJoinRequest")
	}
	plain := wrapped.JoinRequest
	switch wrapped.Compression {
	case livekit.WrappedJoinRequest_NONE:
	case livekit.WrappedJoinRequest_GZIP:
		if plain, err = gunzip(plain, maxJoinRequestSize); err != nil {
			return nil, badRequest("join_request " + err.Error())
		}
	default:
		return nil, badRequest("join_request has an unknown compression")
	}
	if len(plain) > maxJoinRequestSize {
		return nil, badRequest("join_request is too large")
	}
	join := &livekit.JoinRequest{}
	if err := proto.Unmarshal(plain, join); err != nil {
		return nil, badRequest("join_request is not a JoinRequest")
	}
	return join, nil
}

// gunzip inflates data to at most limit bytes; more is an error, found after
// limit+1 bytes, however far the data would go on.
func gunzip(data []byte, limit int64) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("is not gzip")
	}
	out, err := io.ReadAll(io.LimitReader(reader, limit+1))
	if err != nil {
		return nil, fmt.Errorf("does not decompress")
	}
	if int64(len(out)) > limit {
		return nil, fmt.Errorf("is too large")
	}
	return out, nil
}

// requestError is a refusal decided from the request alone.
type requestError struct {
	status  int
	reason  string // label of the refusal metric
	message string
}

func (e *requestError) Error() string { return e.message }

func badRequest(message string) *requestError {
	return &requestError{status: http.StatusBadRequest, reason: "bad_request", message: message}
}
