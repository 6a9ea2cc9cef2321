package account

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/text/unicode/norm"
)

// OIDCOptions say how to reach an OpenID Connect provider.
type OIDCOptions struct {
	Issuer       string
	ClientID     string
	ClientSecret string   // empty for a public client
	RedirectURL  string   // of /api/v1/oidc/callback as the provider knows it
	Scopes       []string // beside openid; default profile, email
	// Names of claims in the ID token: an exact name, or a path with dots such as
	// realm_access.roles. Defaults: preferred_username, name, email, unit, roles.
	LoginClaim, NameClaim, EmailClaim, UnitClaim, RoleClaim string
	// AfterLogout is where the provider sends the browser after signing out there.
	AfterLogout string
	// Client makes the requests to the provider; default one with a timeout of 10 s.
	Client *http.Client
}

// Claims are what a provider says of a person. Values are checked as text, not
// for what they mean.
type Claims struct {
	Issuer, Subject    string
	Login, Name, Email string // may be empty
	EmailVerified      bool
	Unit               string // "" when the claim is missing
	Roles              []string
}

const (
	maxIDToken        = 16 << 10
	maxProviderAnswer = 1 << 20
	providerPatience  = 10 * time.Second
	discoverAgain     = 10 * time.Second // after a failure
	maxExchanges      = 16               // at the provider at a time
	maxRoles          = 50
	maxClaim          = 200 // characters
)

// algorithms are those of ID tokens that we accept, whatever the provider says.
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512,
	oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA}

var (
	errProviderDown = errors.New("account: the single sign-on provider does not answer")
	errIDToken      = errors.New("account: the ID token was refused")
)

// provider is the OpenID Connect provider. It is looked up when first needed, so
// that the server starts, and local accounts work, while it is away.
type provider struct {
	options OIDCOptions
	now     func() time.Time
	client  *http.Client
	looking chan struct{} // held by who looks the provider up
	slots   chan struct{}

	mu       sync.Mutex
	found    *discovered // guarded by mu
	failedAt time.Time   // guarded by mu
}

type discovered struct {
	oauth    oauth2.Config
	verifier *oidc.IDTokenVerifier
	endURL   string // end_session_endpoint, or ""
	iss      bool   // the provider sends iss with each answer (RFC 9207)
}

func newProvider(o OIDCOptions, now func() time.Time) (*provider, error) {
	for name, value := range map[string]string{"issuer": o.Issuer, "redirect URL": o.RedirectURL} {
		u, err := url.Parse(value)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			return nil, fmt.Errorf("account: the single sign-on %s %q is not an address", name, value)
		}
	}
	if o.ClientID == "" {
		return nil, errors.New("account: single sign-on needs a client id")
	}
	if u, err := url.Parse(o.Issuer); err != nil || u.Scheme != "https" && !loopback(u.Hostname()) {
		// Whoever is on the way would answer with keys of their own and be anybody.
		return nil, fmt.Errorf("account: the single sign-on issuer %q must be https://", o.Issuer)
	}
	if o.Scopes == nil {
		o.Scopes = []string{"profile", "email"}
	}
	for _, d := range []struct {
		claim *string
		name  string
	}{{&o.LoginClaim, "preferred_username"}, {&o.NameClaim, "name"}, {&o.EmailClaim, "email"},
		{&o.UnitClaim, "unit"}, {&o.RoleClaim, "roles"}} {
		if *d.claim == "" {
			*d.claim = d.name
		}
	}
	client := http.Client{Timeout: providerPatience}
	if o.Client != nil {
		client = *o.Client
	}
	client.Transport = boundedTransport{client.Transport}
	return &provider{options: o, now: now, client: &client,
		looking: make(chan struct{}, 1), slots: make(chan struct{}, maxExchanges)}, nil
}

func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// boundedTransport cuts answers off after maxProviderAnswer bytes.
type boundedTransport struct{ next http.RoundTripper }

func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	next := t.next
	if next == nil {
		next = http.DefaultTransport
	}
	answer, err := next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(answer.Body, maxProviderAnswer), answer.Body}
	return answer, nil
}

// known is the provider if it was found before.
func (p *provider) known() *discovered {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.found
}

func (p *provider) failedLately() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	since := p.now().Sub(p.failedAt)
	return since >= 0 && since < discoverAgain
}

// discover answers the provider, looking it up if need be. The error is
// errProviderDown.
func (p *provider) discover(ctx context.Context) (*discovered, error) {
	if d := p.known(); d != nil {
		return d, nil
	}
	if p.failedLately() {
		return nil, errProviderDown
	}
	select {
	case p.looking <- struct{}{}:
		defer func() { <-p.looking }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if d := p.known(); d != nil {
		return d, nil
	}
	if p.failedLately() { // while we waited
		return nil, errProviderDown
	}
	// What is made here fetches keys later, so it must not end with this request.
	lasting := oidc.ClientContext(context.WithoutCancel(ctx), p.client)
	found, err := p.lookUp(lasting)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.failedAt = p.now()
		return nil, providerDown(err)
	}
	p.found = found
	return found, nil
}

// providerDown keeps of an error what fits into a line of the log: it may hold a
// whole page of the provider's.
func providerDown(err error) error {
	return fmt.Errorf("%w: %s", errProviderDown, cleaned(err.Error(), 300))
}

func (p *provider) lookUp(ctx context.Context) (*discovered, error) {
	at, err := oidc.NewProvider(ctx, p.options.Issuer)
	if err != nil {
		return nil, err
	}
	var more struct {
		End string `json:"end_session_endpoint"`
		Iss bool   `json:"authorization_response_iss_parameter_supported"`
	}
	if err := at.Claims(&more); err != nil {
		return nil, err
	}
	return &discovered{
		oauth: oauth2.Config{
			ClientID: p.options.ClientID, ClientSecret: p.options.ClientSecret, Endpoint: at.Endpoint(),
			RedirectURL: p.options.RedirectURL, Scopes: append([]string{oidc.ScopeOpenID}, p.options.Scopes...),
		},
		verifier: at.Verifier(&oidc.Config{ClientID: p.options.ClientID, SupportedSigningAlgs: algorithms, Now: p.now}),
		endURL:   more.End,
		iss:      more.Iss,
	}, nil
}

// redeem exchanges an authorization code for an ID token and checks it: signature,
// issuer, audience, time (OpenID Connect Core 1.0, section 3.1.3.7) and nonce.
func (p *provider) redeem(ctx context.Context, d *discovered, code, verifier, nonce string) (Claims, string, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	default:
		return Claims{}, "", errProviderDown
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, p.client), providerPatience)
	defer cancel()
	token, err := d.oauth.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused) && refused.Response.StatusCode < http.StatusInternalServerError:
		return Claims{}, "", fmt.Errorf("%w: the code: %s", errIDToken, cleaned(refused.ErrorCode, 40))
	case err != nil:
		return Claims{}, "", providerDown(err)
	}
	raw, _ := token.Extra("id_token").(string)
	if raw == "" || len(raw) > maxIDToken {
		return Claims{}, "", fmt.Errorf("%w: none, or too long", errIDToken)
	}
	id, err := d.verifier.Verify(ctx, raw)
	if err != nil {
		return Claims{}, "", fmt.Errorf("%w: %w", errIDToken, err)
	}
	if id.Nonce != nonce {
		return Claims{}, "", fmt.Errorf("%w: another nonce", errIDToken)
	}
	if id.AccessTokenHash != "" {
		if err := id.VerifyAccessToken(token.AccessToken); err != nil {
			return Claims{}, "", fmt.Errorf("%w: %w", errIDToken, err)
		}
	}
	var all map[string]any
	if err := id.Claims(&all); err != nil {
		return Claims{}, "", fmt.Errorf("%w: %w", errIDToken, err)
	}
	// A token for several must say that it was made for us (section 3.1.3.7, 4).
	if azp, there := all["azp"]; there && azp != p.options.ClientID || !there && len(id.Audience) > 1 {
		return Claims{}, "", fmt.Errorf("%w: made for another client", errIDToken)
	}
	claims, err := p.claims(id.Issuer, id.Subject, all)
	return claims, raw, err
}

// claims picks the configured claims out of an ID token.
func (p *provider) claims(issuer, subject string, all map[string]any) (Claims, error) {
	c := Claims{Issuer: issuer, Subject: subject}
	if subject == "" || len(subject) > 255 || cleaned(subject, 255) != norm.NFC.String(subject) {
		return c, fmt.Errorf("%w: subject", errIDToken)
	}
	for _, f := range []struct {
		into  *string
		claim string
		limit int
	}{{&c.Login, p.options.LoginClaim, maxLogin}, {&c.Name, p.options.NameClaim, maxName},
		{&c.Email, p.options.EmailClaim, maxClaim}, {&c.Unit, p.options.UnitClaim, maxClaim}} {
		text, _ := find(all, f.claim).(string)
		var ok bool
		if *f.into, ok = optionalText(text, f.limit); !ok {
			return c, fmt.Errorf("%w: claim %s", errIDToken, f.claim)
		}
	}
	c.EmailVerified, _ = all["email_verified"].(bool)
	switch roles := find(all, p.options.RoleClaim).(type) {
	case nil:
	case string:
		c.Roles = []string{roles}
	case []any:
		for _, role := range roles {
			text, ok := role.(string)
			if !ok {
				return c, fmt.Errorf("%w: claim %s", errIDToken, p.options.RoleClaim)
			}
			c.Roles = append(c.Roles, text)
		}
	default:
		return c, fmt.Errorf("%w: claim %s", errIDToken, p.options.RoleClaim)
	}
	if len(c.Roles) > maxRoles || slices.ContainsFunc(c.Roles, func(r string) bool { _, ok := shownText(r, maxClaim); return !ok }) {
		return c, fmt.Errorf("%w: claim %s", errIDToken, p.options.RoleClaim)
	}
	return c, nil
}

// find looks a claim up by its exact name, or else along a path with dots.
func find(claims map[string]any, name string) any {
	if value, there := claims[name]; there {
		return value
	}
	first, rest, dotted := strings.Cut(name, ".")
	if inner, ok := claims[first].(map[string]any); ok && dotted {
		return find(inner, rest)
	}
	return nil
}

// logoutURL is where the browser signs out at the provider (OpenID Connect
// RP-Initiated Logout 1.0, section 2), or "" when that is not known at once.
func (p *provider) logoutURL(idToken string) string {
	d := p.known()
	if d == nil || d.endURL == "" {
		return ""
	}
	u, err := url.Parse(d.endURL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	q := u.Query()
	q.Set("client_id", p.options.ClientID)
	if idToken != "" {
		q.Set("id_token_hint", idToken)
	}
	if p.options.AfterLogout != "" {
		q.Set("post_logout_redirect_uri", p.options.AfterLogout)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// flow is a sign-in on its way through the provider. The browser keeps it,
// sealed, in a cookie: the answer must come back to the browser that began.
type flow struct {
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"`
	ReturnTo string `json:"r"`
	Expires  int64  `json:"e"` // unix milliseconds
}

const flowLasts = 10 * time.Minute

func (s *Service) sealFlow(f flow) (string, error) {
	plain, err := json.Marshal(f)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(s.key.seal("sso", "", plain)), nil
}

func (s *Service) openFlow(text string) (f flow, ok bool) {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return f, false
	}
	plain, err := s.key.open("sso", "", sealed)
	if err != nil || json.Unmarshal(plain, &f) != nil {
		return f, false
	}
	return f, millis(s.now()) < f.Expires
}
