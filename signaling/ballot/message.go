package ballot

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
)

const (
	// tokenSize is the length of a token and of an ID, in bytes.
	tokenSize = 32
	// nameMax bounds the names of meetings, votes and choices, in characters.
	nameMax = 64

	labelID   = "diemcau ballot id v1"
	labelVote = "diemcau ballot v1"
)

// ErrVote says that a meeting or vote has a name that cannot be signed for.
var ErrVote = errors.New("ballot: the name of a meeting or vote is not valid")

// Vote names the vote that a ballot is good for. Both names have 1 to 64
// characters of A-Z, a-z, 0-9, ".", "_" and "-".
type Vote struct {
	Meeting string
	ID      string
}

// Token is what the voter's browser holds and nobody else: who knows it can cast
// its ballot, and change the choice until the vote closes. 32 random bytes.
type Token [tokenSize]byte

// ID is the number of a ballot: the hash of its token and its vote. It may be
// published; it neither names the voter nor lets anyone cast.
type ID [tokenSize]byte

// NewToken draws a token from random, or from the system when random is nil.
func NewToken(random io.Reader) (Token, error) {
	if random == nil {
		random = rand.Reader
	}
	var t Token
	_, err := io.ReadFull(random, t[:])
	return t, err
}

// ID is the number of the ballot that t is for in the vote, or ErrVote.
func (t Token) ID(vote Vote) (ID, error) {
	suffix, err := vote.message()
	if err != nil {
		return ID{}, err
	}
	h := sha256.New()
	writeLabel(h, labelID)
	h.Write(suffix)
	h.Write(t[:])
	return ID(h.Sum(nil)), nil
}

// String is the ID as 64 lower-case hexadecimal digits, which is how it stands in
// the journal.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads the form that String writes, and no other form of the same bytes.
func ParseID(s string) (ID, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != tokenSize || ID(b).String() != s {
		return ID{}, ErrRequest
	}
	return ID(b), nil
}

// prepared is the input message of RFC 9474 section 4.1: the prefix, then what is
// the same for all ballots of the vote.
func (id ID) prepared(vote Vote) ([]byte, error) {
	suffix, err := vote.message()
	if err != nil {
		return nil, err
	}
	return append(id[:], suffix...), nil
}

// message is label, meeting and vote, each behind its length, so that no two votes
// share one.
func (v Vote) message() ([]byte, error) {
	if !validName(v.Meeting) || !validName(v.ID) {
		return nil, ErrVote
	}
	var b []byte
	for _, part := range []string{labelVote, v.Meeting, v.ID} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(part)))
		b = append(b, part...)
	}
	return b, nil
}

func writeLabel(w io.Writer, label string) {
	_, _ = w.Write(binary.BigEndian.AppendUint16(nil, uint16(len(label))))
	_, _ = io.WriteString(w, label)
}

func validName(s string) bool {
	if s == "" || len(s) > nameMax {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

var encoding = base64.RawURLEncoding.Strict()

// decode reads base64url of exactly size bytes. The length is compared first
// because the decoder would pass over line breaks.
func decode(s string, size int) ([]byte, error) {
	if len(s) != encoding.EncodedLen(size) {
		return nil, ErrRequest
	}
	b, err := encoding.DecodeString(s)
	if err != nil || len(b) != size {
		return nil, ErrRequest
	}
	return b, nil
}
