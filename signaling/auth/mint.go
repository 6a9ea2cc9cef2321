package auth

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	lkauth "github.com/livekit/protocol/auth"
)

// ErrTooLong says that a token would be longer than MaxTokenLength, so that
// nobody could come back with it.
var ErrTooLong = errors.New("auth: token would be too long")

// Mint signs grants under apiKey, valid for validFor from now. Errors: apiKey is
// not among the Verifier's keys, or ErrTooLong.
func (v *Verifier) Mint(apiKey string, grants *lkauth.ClaimGrants, validFor time.Duration) (string, error) {
	secret, ok := v.secrets[apiKey]
	if !ok {
		return "", errors.New("auth: unknown API key")
	}
	// Whatever room configuration the grants hold came in a token of the same
	// holder, so that handing it back tells nothing new.
	token := lkauth.NewAccessToken(apiKey, secret).SetValidFor(validFor).SetAllowSensitiveCredentials(true)
	*token.GetGrants() = *grants.Clone()
	signed, err := token.ToJWT()
	if err != nil {
		return "", fmt.Errorf("auth: sign token: %w", err)
	}
	if len(signed) > MaxTokenLength {
		return "", ErrTooLong
	}
	return signed, nil
}

// Signer mints tokens of the server's own under one of its API keys.
type Signer struct {
	verifier *Verifier
	key      string
}

// NewSigner returns a Signer that uses the first of keys by name. Errors are
// NewVerifier's, or that there is no key.
func NewSigner(keys map[string]string) (*Signer, error) {
	if len(keys) == 0 {
		return nil, errors.New("auth: no API key to sign tokens with")
	}
	v, err := NewVerifier(keys)
	if err != nil {
		return nil, err
	}
	return &Signer{verifier: v, key: slices.Min(slices.Collect(maps.Keys(keys)))}, nil
}

// Mint signs grants, valid for validFor from now.
func (s *Signer) Mint(grants *lkauth.ClaimGrants, validFor time.Duration) (string, error) {
	return s.verifier.Mint(s.key, grants, validFor)
}
