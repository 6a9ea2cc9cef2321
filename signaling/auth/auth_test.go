package auth

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	lkauth "github.com/livekit/protocol/auth"
	"github.com/stretchr/testify/require"
)

const (
	testKey    = "key1"
	testSecret = "secret-one-secret-one-secret-one"
	otherKey   = "key2"
)

func newTestVerifier(t *testing.T, keys map[string]string) *Verifier {
	t.Helper()
	if keys == nil {
		keys = map[string]string{testKey: testSecret, otherKey: "secret-two-secret-two-secret-two"}
	}
	v, err := NewVerifier(keys)
	require.NoError(t, err)
	return v
}

// claimsFor are the claims of a good token, to be spoilt by tests.
func claimsFor(identity, room string) jwt.MapClaims {
	now := time.Now()
	return jwt.MapClaims{
		"iss": testKey, "sub": identity,
		"nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(time.Hour).Unix(),
		"video": map[string]any{"roomJoin": true, "room": room},
	}
}

func sign(t *testing.T, method jwt.SigningMethod, claims jwt.MapClaims, key any) string {
	t.Helper()
	token, err := jwt.NewWithClaims(method, claims).SignedString(key)
	require.NoError(t, err)
	return token
}

func with(claims jwt.MapClaims, name string, value any) jwt.MapClaims {
	if value == nil {
		delete(claims, name)
	} else {
		claims[name] = value
	}
	return claims
}

func requireRefused(t *testing.T, err error, status int, reason Reason) {
	t.Helper()
	var refusal *Error
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, reason, refusal.Reason)
	require.Equal(t, status, refusal.Status)
	require.NotEmpty(t, refusal.Message)
}

func TestVerifyAcceptsGenuineToken(t *testing.T) {
	v := newTestVerifier(t, nil)
	token, err := lkauth.NewAccessToken(testKey, testSecret).
		SetIdentity("user:1#a").SetName("Lê Thị Bưởi").SetValidFor(time.Hour).
		SetVideoGrant(&lkauth.VideoGrant{RoomJoin: true, Room: "hop"}).ToJWT()
	require.NoError(t, err)

	claims, err := v.Verify(token)
	require.NoError(t, err)
	require.Equal(t, testKey, claims.APIKey)
	require.Equal(t, "user:1#a", claims.Grants.Identity)
	require.Equal(t, "Lê Thị Bưởi", claims.Grants.Name)
	require.WithinDuration(t, time.Now().Add(time.Hour), claims.ExpiresAt, 5*time.Second)
	room, err := claims.Join("hop")
	require.NoError(t, err)
	require.Equal(t, "hop", room)
}

func TestVerifyRefuses(t *testing.T) {
	v := newTestVerifier(t, nil)
	good := claimsFor("a", "hop")
	genuine := sign(t, jwt.SigningMethodHS256, good, []byte(testSecret))
	parts := strings.Split(genuine, ".")
	forged, err := json.Marshal(with(claimsFor("admin", "hop"), "name", "x"))
	require.NoError(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	hs := jwt.SigningMethodHS256

	tests := map[string]struct {
		token  string
		reason Reason
	}{
		"none at all":  {"", ReasonMissing},
		"not a JWT":    {"hello", ReasonInvalid},
		"three dots":   {"a.b.c", ReasonInvalid},
		"alg none":     {sign(t, jwt.SigningMethodNone, good, jwt.UnsafeAllowNoneSignatureType), ReasonInvalid},
		"alg None":     {header(t, "None") + "." + parts[1] + ".", ReasonInvalid},
		"no signature": {parts[0] + "." + parts[1] + ".", ReasonInvalid},
		"other key's secret": {
			sign(t, hs, good, []byte("secret-two-secret-two-secret-two")), ReasonInvalid},
		"tampered payload": {
			parts[0] + "." + base64.RawURLEncoding.EncodeToString(forged) + "." + parts[2], ReasonInvalid},
		"RS256":                  {sign(t, jwt.SigningMethodRS256, good, rsaKey), ReasonInvalid},
		"HS512, same secret":     {sign(t, jwt.SigningMethodHS512, good, []byte(testSecret)), ReasonInvalid},
		"empty secret":           {sign(t, hs, good, []byte("")), ReasonInvalid},
		"unknown key":            {sign(t, hs, with(claimsFor("a", "hop"), "iss", "key9"), []byte(testSecret)), ReasonUnknownKey},
		"no key":                 {sign(t, hs, with(claimsFor("a", "hop"), "iss", nil), []byte(testSecret)), ReasonUnknownKey},
		"expired":                {sign(t, hs, with(claimsFor("a", "hop"), "exp", time.Now().Add(-2*time.Minute).Unix()), []byte(testSecret)), ReasonExpired},
		"expired, wrong secret":  {sign(t, hs, with(claimsFor("a", "hop"), "exp", 1), []byte("x")), ReasonInvalid},
		"not yet valid":          {sign(t, hs, with(claimsFor("a", "hop"), "nbf", time.Now().Add(2*time.Minute).Unix()), []byte(testSecret)), ReasonNotYetValid},
		"without expiry":         {sign(t, hs, with(claimsFor("a", "hop"), "exp", nil), []byte(testSecret)), ReasonInvalid},
		"huge":                   {sign(t, hs, with(claimsFor("a", "hop"), "metadata", strings.Repeat("m", MaxTokenLength)), []byte(testSecret)), ReasonInvalid},
		"grants of another type": {sign(t, hs, with(claimsFor("a", "hop"), "video", "yes"), []byte(testSecret)), ReasonInvalid},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := v.Verify(tc.token)
			requireRefused(t, err, http.StatusUnauthorized, tc.reason)
		})
	}
	_, err = v.Verify(genuine)
	require.NoError(t, err, "the unspoilt token must pass, or the cases above prove nothing")
}

func header(t *testing.T, alg string) string {
	t.Helper()
	encoded, err := json.Marshal(map[string]string{"alg": alg, "typ": "JWT"})
	require.NoError(t, err)
	return base64.RawURLEncoding.EncodeToString(encoded)
}

// A secret that is public text, such as the PEM of an RSA key, must not let its
// readers sign with HMAC a token that claims RS256, nor the reverse.
func TestVerifyAlgorithmConfusion(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	v := newTestVerifier(t, map[string]string{testKey: string(public)})

	hmacToken := sign(t, jwt.SigningMethodHS256, claimsFor("a", "hop"), public)
	parts := strings.Split(hmacToken, ".")
	_, err = v.Verify(header(t, "RS256") + "." + parts[1] + "." + parts[2])
	requireRefused(t, err, http.StatusUnauthorized, ReasonInvalid)
	_, err = v.Verify(sign(t, jwt.SigningMethodRS256, claimsFor("a", "hop"), key))
	requireRefused(t, err, http.StatusUnauthorized, ReasonInvalid)
}

func TestFromRequest(t *testing.T) {
	v := newTestVerifier(t, nil)
	token := sign(t, jwt.SigningMethodHS256, claimsFor("a", "hop"), []byte(testSecret))
	request := func(query, header string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/rtc?"+query, nil)
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		return r
	}
	for name, r := range map[string]*http.Request{
		"query":                  request("access_token="+token, ""),
		"header":                 request("", "Bearer "+token),
		"header wins over query": request("access_token=nonsense", "bearer "+token),
	} {
		t.Run(name, func(t *testing.T) {
			claims, err := v.FromRequest(r)
			require.NoError(t, err)
			require.Equal(t, "a", claims.Grants.Identity)
		})
	}
	_, err := v.FromRequest(request("access_token="+token, "Basic abc"))
	requireRefused(t, err, http.StatusUnauthorized, ReasonInvalid)
	_, err = v.FromRequest(request("", ""))
	requireRefused(t, err, http.StatusUnauthorized, ReasonMissing)
}

func TestJoin(t *testing.T) {
	video := func(room string) *lkauth.VideoGrant { return &lkauth.VideoGrant{RoomJoin: true, Room: room} }
	tests := map[string]struct {
		grants lkauth.ClaimGrants
		asked  string
		reason Reason
	}{
		"no video grant":      {lkauth.ClaimGrants{Identity: "a"}, "", ReasonNotGranted},
		"no roomJoin":         {lkauth.ClaimGrants{Identity: "a", Video: &lkauth.VideoGrant{Room: "hop", RoomAdmin: true}}, "", ReasonNotGranted},
		"no room":             {lkauth.ClaimGrants{Identity: "a", Video: video("")}, "hop", ReasonNotGranted},
		"another room":        {lkauth.ClaimGrants{Identity: "a", Video: video("hop")}, "hop2", ReasonWrongRoom},
		"empty identity":      {lkauth.ClaimGrants{Video: video("hop")}, "", ReasonBadClaims},
		"identity with a NUL": {lkauth.ClaimGrants{Identity: "a\x00b", Video: video("hop")}, "", ReasonBadClaims},
		"identity not UTF-8":  {lkauth.ClaimGrants{Identity: "a\xff", Video: video("hop")}, "", ReasonBadClaims},
		"long identity":       {lkauth.ClaimGrants{Identity: strings.Repeat("a", 257), Video: video("hop")}, "", ReasonBadClaims},
		"long room":           {lkauth.ClaimGrants{Identity: "a", Video: video(strings.Repeat("r", 257))}, "", ReasonBadClaims},
		"long metadata":       {lkauth.ClaimGrants{Identity: "a", Video: video("hop"), Metadata: strings.Repeat("m", 64001)}, "", ReasonBadClaims},
		"long attributes":     {lkauth.ClaimGrants{Identity: "a", Video: video("hop"), Attributes: map[string]string{"k": strings.Repeat("m", 64000)}}, "", ReasonBadClaims},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := (&Claims{Grants: &tc.grants}).Join(tc.asked)
			requireRefused(t, err, http.StatusForbidden, tc.reason)
		})
	}
}

func TestNewVerifierRefusesEmptySecrets(t *testing.T) {
	for _, keys := range []map[string]string{{"k": ""}, {"": "s"}} {
		_, err := NewVerifier(keys)
		require.Error(t, err)
	}
}

func TestMint(t *testing.T) {
	v := newTestVerifier(t, nil)
	yes := true
	grants := &lkauth.ClaimGrants{
		Identity: "point:7", Name: "Xã Tân Lập", Metadata: "m", Attributes: map[string]string{"k": "v"},
		Video: &lkauth.VideoGrant{RoomJoin: true, Room: "hop", CanPublish: &yes, CanPublishSources: []string{"camera"}},
	}
	token, err := v.Mint(otherKey, grants, 10*time.Minute)
	require.NoError(t, err)
	claims, err := v.Verify(token)
	require.NoError(t, err)
	require.Equal(t, otherKey, claims.APIKey)
	require.Equal(t, grants, claims.Grants)
	require.WithinDuration(t, time.Now().Add(10*time.Minute), claims.ExpiresAt, 5*time.Second)

	grants.Metadata = strings.Repeat("m", MaxTokenLength)
	_, err = v.Mint(testKey, grants, time.Minute)
	require.ErrorIs(t, err, ErrTooLong)
	_, err = v.Mint("nobody", grants, time.Minute)
	require.Error(t, err)
	require.False(t, errors.Is(err, ErrTooLong))
}
