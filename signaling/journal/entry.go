package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Bounds of a draft.
const (
	MaxBody = 1 << 20 // bytes of an entry's body
	MaxName = 200     // characters of a meeting, command, author or owner
	// MaxDrafts is how many entries one Append may add.
	MaxDrafts = 256
)

// Hash is a SHA-256 sum.
type Hash [sha256.Size]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Entry is one record of a meeting's chain. The package comment says how it is
// hashed.
type Entry struct {
	Meeting string
	Seq     uint64    // from 1
	Fence   uint64    // of the writer, from 1
	At      time.Time // UTC, whole milliseconds, never before the entry before
	Command string    // made by the client, once per meeting and author; or empty
	Author  string
	Body    []byte // canonical JSON
	Prev    Hash   // of the entry before
	Hash    Hash   // of this one
}

// Draft is an entry to be.
type Draft struct {
	// Command is the client's id of the command, at most MaxName characters. The
	// entries of one command are one Append, of which one carries the id. It is
	// empty for what the server does by itself.
	Command string
	Author  string // who did it, 1 to MaxName characters
	Body    []byte // JSON, at most MaxBody bytes
}

// ErrInvalid reports a draft or name that the journal does not take.
var ErrInvalid = errors.New("journal: invalid")

const magic = "diemcau.entry.1\n"

// Encode returns the bytes that are hashed.
func (e *Entry) Encode() []byte {
	b := make([]byte, 0, len(magic)+72+len(e.Meeting)+len(e.Command)+len(e.Author)+len(e.Body))
	b = append(b, magic...)
	b = appendBytes(b, e.Meeting)
	b = binary.BigEndian.AppendUint64(b, e.Seq)
	b = binary.BigEndian.AppendUint64(b, e.Fence)
	b = binary.BigEndian.AppendUint64(b, uint64(e.At.UnixMilli()))
	b = appendBytes(b, e.Command)
	b = appendBytes(b, e.Author)
	b = appendBytes(b, string(e.Body))
	return append(b, e.Prev[:]...)
}

// Sum returns the hash that the entry's fields have, whatever Hash says.
func (e *Entry) Sum() Hash { return sha256.Sum256(e.Encode()) }

func appendBytes(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

// Decode reads what Encode made, and nothing else. Hash is set.
func Decode(b []byte) (Entry, error) {
	r := reader{rest: b}
	if string(r.take(uint64(len(magic)))) != magic {
		return Entry{}, fmt.Errorf("%w: not an entry", ErrInvalid)
	}
	e := Entry{Meeting: string(r.field()), Seq: r.number(), Fence: r.number()}
	e.At = time.UnixMilli(int64(r.number())).UTC()
	e.Command, e.Author = string(r.field()), string(r.field())
	e.Body = bytes.Clone(r.field())
	copy(e.Prev[:], r.take(sha256.Size))
	if r.short || len(r.rest) > 0 {
		return Entry{}, fmt.Errorf("%w: an entry of the wrong length", ErrInvalid)
	}
	e.Hash = sha256.Sum256(b)
	return e, nil
}

// reader takes bytes off the front and remembers when there were too few.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.short, r.rest = true, nil
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) number() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) field() []byte {
	b := r.take(4)
	if b == nil {
		return nil
	}
	return r.take(uint64(binary.BigEndian.Uint32(b)))
}

// Canonical returns the one form of a JSON value that the journal keeps: no space
// between tokens, members sorted by name, of members with the same name the last,
// numbers as they were written.
func Canonical(raw []byte) ([]byte, error) {
	if !utf8.Valid(raw) {
		return nil, fmt.Errorf("%w: body is not UTF-8", ErrInvalid)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return nil, fmt.Errorf("%w: body: %w", ErrInvalid, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: body: more than one JSON value", ErrInvalid)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return nil, fmt.Errorf("%w: body: %w", ErrInvalid, err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// checked returns the drafts with canonical bodies.
func checked(drafts []Draft) ([]Draft, error) {
	if len(drafts) == 0 || len(drafts) > MaxDrafts {
		return nil, fmt.Errorf("%w: %d drafts in one append", ErrInvalid, len(drafts))
	}
	out := make([]Draft, len(drafts))
	type id struct{ command, author string }
	seen := make(map[id]bool)
	for i, d := range drafts {
		if err := checkName("author", d.Author); err != nil {
			return nil, err
		}
		if d.Command != "" {
			if err := checkName("command", d.Command); err != nil {
				return nil, err
			}
			if seen[id{d.Command, d.Author}] {
				return nil, fmt.Errorf("%w: one command id twice in one append", ErrInvalid)
			}
			seen[id{d.Command, d.Author}] = true
		}
		if len(d.Body) > MaxBody {
			return nil, fmt.Errorf("%w: body of %d bytes", ErrInvalid, len(d.Body))
		}
		body, err := Canonical(d.Body)
		if err != nil {
			return nil, err
		}
		if len(body) > MaxBody { // escapes may be longer than what they stand for
			return nil, fmt.Errorf("%w: body of %d bytes", ErrInvalid, len(body))
		}
		out[i] = Draft{Command: d.Command, Author: d.Author, Body: body}
	}
	return out, nil
}

// checkName refuses what could be taken for another name when it is shown. A name
// is not normalised but refused: two spellings must not be one author.
func checkName(what, s string) error {
	// UTF-8 has at most 4 bytes a character; longer strings need no counting.
	if s == "" || len(s) > 4*MaxName || utf8.RuneCountInString(s) > MaxName {
		return fmt.Errorf("%w: %s has no or too many characters", ErrInvalid, what)
	}
	if !utf8.ValidString(s) || !norm.NFC.IsNormalString(s) || strings.ContainsFunc(s, forbidden) {
		return fmt.Errorf("%w: %s has characters that are not allowed", ErrInvalid, what)
	}
	return nil
}

func forbidden(r rune) bool {
	return unicode.IsControl(r) || (r >= 0x202A && r <= 0x202E) || (r >= 0x2066 && r <= 0x2069)
}
