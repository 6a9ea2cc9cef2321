package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"
)

// HashParams are the costs of argon2id (RFC 9106, section 3.1).
type HashParams struct {
	MemoryKiB uint32
	Passes    uint32
	Lanes     uint8
}

// DefaultHash costs about 50 ms of one core: 2,000 people can sign in within the
// minutes before a meeting, and a guess costs an attacker 32 MiB.
var DefaultHash = HashParams{MemoryKiB: 32 << 10, Passes: 2, Lanes: 1}

// Whatever stands in the store, hashing takes no more than this.
var mostHash = HashParams{MemoryKiB: 256 << 10, Passes: 10, Lanes: 8}

const (
	saltLength     = 16
	hashLength     = 32
	maxHashWaiting = 64
	hashPatience   = 5 * time.Second
)

var (
	errHashBusy  = errors.New("account: too many passwords are being checked")
	errHashText  = errors.New("account: a password hash of unknown form")
	errHashLimit = errors.New("account: the costs of a password hash are out of bounds")
)

func (p HashParams) valid() bool {
	return p.MemoryKiB >= 8*uint32(p.Lanes) && p.MemoryKiB <= mostHash.MemoryKiB && p.Passes >= 1 &&
		p.Passes <= mostHash.Passes && p.Lanes >= 1 && p.Lanes <= mostHash.Lanes
}

// hasher makes and checks password hashes, a few at a time, for each takes tens
// of megabytes.
type hasher struct {
	params  HashParams
	slots   chan struct{}
	waiting atomic.Int64
	dummy   string       // the hash of no password, for users there are not
	dummies atomic.Int64 // how often dummy was checked
	checks  atomic.Int64 // hashes computed by check, the dummy's among them
}

func newHasher(params HashParams, atOnce int) (*hasher, error) {
	if !params.valid() || atOnce < 1 {
		return nil, errHashLimit
	}
	h := &hasher{params: params, slots: make(chan struct{}, atOnce)}
	h.dummy = h.hash(rand.Text())
	return h, nil
}

// enter takes one of the slots; the caller must call leave. It fails with
// errHashBusy when the queue is full or too slow.
func (h *hasher) enter(ctx context.Context) (leave func(), err error) {
	if h.waiting.Add(1) > int64(maxHashWaiting+cap(h.slots)) {
		h.waiting.Add(-1)
		return nil, errHashBusy
	}
	timer := time.NewTimer(hashPatience)
	defer timer.Stop()
	select {
	case h.slots <- struct{}{}:
		return func() { <-h.slots; h.waiting.Add(-1) }, nil
	case <-timer.C:
		err = errHashBusy
	case <-ctx.Done():
		err = ctx.Err()
	}
	h.waiting.Add(-1)
	return nil, err
}

// hash makes the hash of a password in the PHC string format:
// $argon2id$v=19$m=32768,t=2,p=1$salt$hash. The caller holds a slot.
func (h *hasher) hash(password string) string {
	salt := make([]byte, saltLength)
	_, _ = rand.Read(salt) // never fails
	return encodeHash(h.params, salt, compute(h.params, password, salt))
}

// check compares a password with a stored hash; stale says that the hash should
// be made anew with the present costs. The caller holds a slot.
func (h *hasher) check(password, stored string) (ok, stale bool, err error) {
	params, salt, want, err := decodeHash(stored)
	if err != nil {
		return false, false, err
	}
	h.checks.Add(1)
	ok = subtle.ConstantTimeCompare(compute(params, password, salt), want) == 1
	return ok, params != h.params, nil
}

// checkNobody takes as long as check and is never right.
func (h *hasher) checkNobody(password string) {
	h.dummies.Add(1)
	_, _, _ = h.check(password, h.dummy)
}

func compute(p HashParams, password string, salt []byte) []byte {
	return argon2.IDKey([]byte(password), salt, p.Passes, p.MemoryKiB, p.Lanes, hashLength)
}

func encodeHash(p HashParams, salt, hash []byte) string {
	text := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.MemoryKiB, p.Passes, p.Lanes,
		text.EncodeToString(salt), text.EncodeToString(hash))
}

func decodeHash(stored string) (p HashParams, salt, hash []byte, err error) {
	parts := strings.Split(stored, "$")
	if len(stored) > 256 || len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" ||
		parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, nil, nil, errHashText
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.MemoryKiB, &p.Passes, &p.Lanes); err != nil {
		return p, nil, nil, errHashText
	}
	salt, err1 := base64.RawStdEncoding.Strict().DecodeString(parts[4])
	hash, err2 := base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(salt) < 8 || len(hash) != hashLength {
		return p, nil, nil, errHashText
	}
	if !p.valid() {
		return p, nil, nil, errHashLimit
	}
	if encodeHash(p, salt, hash) != stored { // "m=+5", "p=1x"
		return p, nil, nil, errHashText
	}
	return p, salt, hash, nil
}
