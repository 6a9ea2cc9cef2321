package auth

import (
	"sync"
	"time"
)

// maxRevocations bounds what is remembered of revoked tokens. When more are
// revoked the oldest are forgotten: their tokens have most likely expired.
const maxRevocations = 1 << 16

// revocations remembers, by room and identity, since when a token must be to be
// accepted. They are kept in memory and do not outlive the process.
type revocations struct {
	mu     sync.Mutex
	before map[holder]time.Time
}

type holder struct{ room, identity string }

// Revoke has every token for identity in room refused that is valid since before
// t. An earlier t than one given before changes nothing. forgot tells that an
// older revocation had to be forgotten.
func (v *Verifier) Revoke(room, identity string, t time.Time) (forgot bool) {
	r := &v.revoked
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.before == nil {
		r.before = make(map[holder]time.Time)
	}
	h := holder{room, identity}
	if !t.After(r.before[h]) {
		return false
	}
	if _, known := r.before[h]; !known && len(r.before) >= maxRevocations {
		var oldest holder
		first := true
		for k, at := range r.before {
			if first || at.Before(r.before[oldest]) {
				oldest, first = k, false
			}
		}
		delete(r.before, oldest)
		forgot = true
	}
	r.before[h] = t
	return forgot
}

// CheckRevoked checks claims that were verified a while ago against what was
// revoked since. Errors are *Error with status 401.
func (v *Verifier) CheckRevoked(c *Claims) error {
	r := &v.revoked
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.NotBefore.Before(r.before[c.holder]) {
		return unauthorized(ReasonRevoked, "access token has been revoked")
	}
	return nil
}
