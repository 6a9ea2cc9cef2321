package auth

import (
	"errors"
	"fmt"
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
