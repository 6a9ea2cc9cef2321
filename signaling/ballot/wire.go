package ballot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

const (
	// CastSize is the length of every body of POST /api/v1/ballots, in bytes: filled
	// up with blanks, so that its length on the wire does not tell the choice.
	CastSize = 1024
	// maxRevision bounds how often one ballot is changed.
	maxRevision = 1000
)

// ErrRequest says that a request is not of the form that docs/secret-votes.md gives.
var ErrRequest = errors.New("ballot: malformed request")

// CastRequest is a choice on its way to the server.
type CastRequest struct {
	Vote      Vote
	Token     Token
	Signature []byte // Size bytes
	Choice    string // the id of an option: the characters and length of a name
	Revision  int    // 1 for the first choice, one more for each change, to 1000
}

type castJSON struct {
	Meeting   string `json:"meeting"`
	Vote      string `json:"vote"`
	Token     string `json:"token"`
	Signature string `json:"signature"`
	Choice    string `json:"choice"`
	Revision  int    `json:"revision"`
}

// Marshal is the body to send, CastSize bytes.
func (r CastRequest) Marshal() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	body, err := json.Marshal(castJSON{
		Meeting: r.Vote.Meeting, Vote: r.Vote.ID,
		Token: encoding.EncodeToString(r.Token[:]), Signature: encoding.EncodeToString(r.Signature),
		Choice: r.Choice, Revision: r.Revision,
	})
	if err != nil {
		return nil, err
	}
	if len(body) > CastSize {
		return nil, fmt.Errorf("ballot: a body of %d bytes", len(body))
	}
	return append(body, bytes.Repeat([]byte{' '}, CastSize-len(body))...), nil
}

// ParseCast reads such a body, or says ErrRequest. It does not say whether the
// ballot is genuine: Public.Verify does.
func ParseCast(body []byte) (CastRequest, error) {
	if len(body) != CastSize {
		return CastRequest{}, ErrRequest
	}
	var in castJSON
	if err := unmarshal(body, &in); err != nil {
		return CastRequest{}, err
	}
	token, err := decode(in.Token, tokenSize)
	if err != nil {
		return CastRequest{}, err
	}
	signature, err := decode(in.Signature, Size)
	if err != nil {
		return CastRequest{}, err
	}
	r := CastRequest{
		Vote: Vote{Meeting: in.Meeting, ID: in.Vote}, Token: Token(token), Signature: signature,
		Choice: in.Choice, Revision: in.Revision,
	}
	return r, r.check()
}

func (r CastRequest) check() error {
	if !validName(r.Vote.Meeting) || !validName(r.Vote.ID) || !validName(r.Choice) ||
		len(r.Signature) != Size || r.Revision < 1 || r.Revision > maxRevision {
		return ErrRequest
	}
	return nil
}

// EncodeBlob and DecodeBlob are the form in which blinded messages and signatures
// (Size bytes) stand in JSON: base64url without padding, 342 characters.
func EncodeBlob(b []byte) string { return encoding.EncodeToString(b) }

// DecodeBlob reads that form and no other of the same bytes, or says ErrRequest.
func DecodeBlob(s string) ([]byte, error) { return decode(s, Size) }

// unmarshal reads one JSON object with known members and nothing behind it.
func unmarshal(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return ErrRequest
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return ErrRequest
	}
	return nil
}
