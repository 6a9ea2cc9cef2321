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
	CastSize = 4096
	// maxChoices bounds what is marked on one ballot.
	maxChoices = 50
	// maxRevision bounds how often one ballot is changed.
	maxRevision = 1000
)

// ErrRequest says that a request is not of the form that docs/secret-votes.md gives.
var ErrRequest = errors.New("ballot: malformed request")

// CastRequest is a choice on its way to the server.
type CastRequest struct {
	Vote      Vote
	Token     Token
	Signature []byte   // Size bytes
	Choices   []string // ids of what is marked, sorted, each once, 0 to 50, in the form of names
	Revision  int      // 1 for the first choice, one more for each change, to 1000
}

type castJSON struct {
	Meeting   string   `json:"meeting"`
	Vote      string   `json:"vote"`
	Token     string   `json:"token"`
	Signature string   `json:"signature"`
	Choices   []string `json:"choices"`
	Revision  int      `json:"revision"`
}

// Marshal is the body to send, CastSize bytes.
func (r CastRequest) Marshal() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	body, err := json.Marshal(castJSON{
		Meeting: r.Vote.Meeting, Vote: r.Vote.ID,
		Token: encoding.EncodeToString(r.Token[:]), Signature: encoding.EncodeToString(r.Signature),
		Choices: r.Choices, Revision: r.Revision,
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
		Choices: in.Choices, Revision: in.Revision,
	}
	return r, r.check()
}

func (r CastRequest) check() error {
	if !validName(r.Vote.Meeting) || !validName(r.Vote.ID) || len(r.Signature) != Size ||
		r.Choices == nil || len(r.Choices) > maxChoices || r.Revision < 1 || r.Revision > maxRevision {
		return ErrRequest
	}
	for i, choice := range r.Choices {
		// Sorted: the order in which a voter marked would tell ballots apart.
		if !validName(choice) || i > 0 && choice <= r.Choices[i-1] {
			return ErrRequest
		}
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
