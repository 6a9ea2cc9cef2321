package auth

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	lkauth "github.com/livekit/protocol/auth"
)

// MaxTokenLength is the longest accepted encoded token, in bytes. Tokens travel
// in URLs, so anything longer would not survive the way here anyhow.
const MaxTokenLength = 16 << 10

const bearerPrefix = "Bearer "

// Verifier checks tokens against a fixed set of API keys. It is safe for
// concurrent use.
type Verifier struct {
	secrets map[string]string
	// decoy stands in for the secret of an unknown key, so that a guess at a
	// key's name costs the same work as a guess at a signature.
	decoy string
	// revoked is what Revoke was told.
	revoked revocations
}

// NewVerifier returns a Verifier for keys, a map from API key to secret. Empty
// keys and secrets are errors: HMAC would accept them.
func NewVerifier(keys map[string]string) (*Verifier, error) {
	secrets := make(map[string]string, len(keys))
	for key, secret := range keys {
		if key == "" || secret == "" {
			return nil, errors.New("auth: an API key and its secret must not be empty")
		}
		secrets[key] = secret
	}
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return nil, fmt.Errorf("auth: no randomness: %w", err)
	}
	return &Verifier{secrets: secrets, decoy: hex.EncodeToString(random)}, nil
}

// Claims is what a genuine, current token says.
type Claims struct {
	APIKey    string
	Grants    *lkauth.ClaimGrants // Identity is always set from the token's subject
	ExpiresAt time.Time
	NotBefore time.Time // or when it was issued; zero if it says neither

	holder holder // as the token has them, whatever becomes of Grants
}

// FromRequest verifies the token of r, taken from `Authorization: Bearer` or,
// without that header, from the `access_token` query parameter. Errors are
// *Error with status 401.
func (v *Verifier) FromRequest(r *http.Request) (*Claims, error) {
	token := r.URL.Query().Get("access_token")
	if header := r.Header.Get("Authorization"); header != "" {
		if len(header) < len(bearerPrefix) || !strings.EqualFold(header[:len(bearerPrefix)], bearerPrefix) {
			return nil, unauthorized(ReasonInvalid, "authorization header must be a Bearer token")
		}
		token = header[len(bearerPrefix):]
	}
	return v.Verify(token)
}

// Verify checks token: its form, algorithm (HS256 and nothing else), signature,
// and times (with one minute of tolerance for clocks). A token without an expiry
// is refused, and so is one that was revoked. Errors are *Error with status 401; that a token is expired is only
// said of a token whose signature is right.
func (v *Verifier) Verify(token string) (*Claims, error) {
	switch {
	case token == "":
		return nil, unauthorized(ReasonMissing, "no access token: send access_token or an Authorization header")
	case len(token) > MaxTokenLength:
		return nil, unauthorized(ReasonInvalid, "access token is too long")
	}
	parsed, err := lkauth.ParseAPIToken(token)
	if err != nil {
		return nil, unauthorized(ReasonInvalid, "access token is malformed")
	}
	secret, known := v.secrets[parsed.APIKey()]
	if !known {
		secret = v.decoy
	}
	registered, grants, err := parsed.Verify(secret)
	switch {
	case !known:
		return nil, unauthorized(ReasonUnknownKey, "access token is signed with an unknown API key")
	case errors.Is(err, jwt.ErrTokenExpired):
		return nil, unauthorized(ReasonExpired, "access token is expired")
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return nil, unauthorized(ReasonNotYetValid, "access token is not valid yet: check the clock of its issuer")
	case err != nil:
		return nil, unauthorized(ReasonInvalid, "access token has an invalid signature")
	case registered.ExpiresAt == nil:
		return nil, unauthorized(ReasonInvalid, "access token has no expiry")
	}
	c := &Claims{APIKey: parsed.APIKey(), Grants: grants, ExpiresAt: registered.ExpiresAt.Time}
	if grants.Video != nil {
		c.holder = holder{grants.Video.Room, grants.Identity}
	}
	switch {
	case registered.NotBefore != nil:
		c.NotBefore = registered.NotBefore.Time
	case registered.IssuedAt != nil:
		c.NotBefore = registered.IssuedAt.Time
	}
	if err := v.CheckRevoked(c); err != nil {
		return nil, err
	}
	return c, nil
}
