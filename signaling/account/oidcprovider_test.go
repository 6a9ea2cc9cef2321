package account

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

const (
	clientID     = "diemcau"
	clientSecret = "s3cret of the client"
)

// identityProvider is an OpenID Connect provider. Its knobs make it hostile.
type identityProvider struct {
	t      *testing.T
	server *httptest.Server
	now    func() time.Time
	key    *rsa.PrivateKey

	down atomic.Bool
	mu   sync.Mutex
	// guarded by mu:
	codes  map[string]url.Values // what each code was asked for with
	claims map[string]any        // beside the usual ones; nil deletes
	sign   func(claims map[string]any) string
	asked  int // token requests
	next   int
}

func newIdentityProvider(t *testing.T, now func() time.Time) *identityProvider {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	p := &identityProvider{t: t, now: now, key: key, codes: make(map[string]url.Values)}
	p.sign = func(claims map[string]any) string { return p.signed(jose.RS256, p.key, "k1", claims) }
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, "application/json", map[string]any{
			"issuer": p.server.URL, "authorization_endpoint": p.server.URL + "/authorize",
			"token_endpoint": p.server.URL + "/token", "jwks_uri": p.server.URL + "/keys",
			"end_session_endpoint":                  p.server.URL + "/logout?realm=tinh",
			"id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"},
		})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, "application/json", jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
			{Key: &key.PublicKey, KeyID: "k1", Algorithm: "RS256", Use: "sig"}}})
	})
	mux.HandleFunc("/token", p.token)
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.down.Load() {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(p.server.Close)
	return p
}

func (p *identityProvider) signed(alg jose.SignatureAlgorithm, key any, id string, claims map[string]any) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", id))
	require.NoError(p.t, err)
	payload, err := json.Marshal(claims)
	require.NoError(p.t, err)
	signature, err := signer.Sign(payload)
	require.NoError(p.t, err)
	text, err := signature.CompactSerialize()
	require.NoError(p.t, err)
	return text
}

// authorize is the person agreeing at the provider's page: the address that the
// browser is sent back to.
func (p *identityProvider) authorize(at string) *url.URL {
	u, err := url.Parse(at)
	require.NoError(p.t, err)
	q := u.Query()
	require.Equal(p.t, p.server.URL+"/authorize", u.Scheme+"://"+u.Host+u.Path)
	require.Equal(p.t, "code", q.Get("response_type"))
	require.Equal(p.t, clientID, q.Get("client_id"))
	require.Equal(p.t, "S256", q.Get("code_challenge_method"))
	require.Contains(p.t, q.Get("scope"), "openid")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next++
	code := rand.Text()
	p.codes[code] = q
	back, err := url.Parse(q.Get("redirect_uri"))
	require.NoError(p.t, err)
	back.RawQuery = url.Values{"code": {code}, "state": {q.Get("state")}}.Encode()
	return back
}

func (p *identityProvider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	id, secret, _ := r.BasicAuth()
	if id == "" {
		id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
	}
	secret, _ = url.QueryUnescape(secret)
	asked, known := p.codes[r.FormValue("code")]
	challenge := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if !known || id != clientID || secret != clientSecret || encode(challenge[:]) != asked.Get("code_challenge") ||
		r.FormValue("redirect_uri") != asked.Get("redirect_uri") {
		writeJSON(w, http.StatusBadRequest, "application/json", map[string]string{"error": "invalid_grant"})
		return
	}
	delete(p.codes, r.FormValue("code"))
	claims := map[string]any{
		"iss": p.server.URL, "sub": "s-1", "aud": clientID, "nonce": asked.Get("nonce"),
		"iat": p.now().Unix(), "exp": p.now().Add(5 * time.Minute).Unix(),
		"preferred_username": "mot.lan", "name": "Đỗ Một Lần", "email": "mot.lan@thanhhoa.gov.vn", "email_verified": true,
		"don_vi": "Sở Nội vụ", "realm_access": map[string]any{"roles": []string{"thu-ky", "dai-bieu"}},
	}
	for name, value := range p.claims {
		if value == nil {
			delete(claims, name)
		} else {
			claims[name] = value
		}
	}
	writeJSON(w, http.StatusOK, "application/json", map[string]any{
		"access_token": "at", "token_type": "Bearer", "expires_in": 300, "id_token": p.sign(claims)})
}
