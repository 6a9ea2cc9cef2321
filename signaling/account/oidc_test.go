package account

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"diemcau/signaling/store"
	"diemcau/signaling/store/storetest"
)

// ssoEverywhere runs a test on both databases with a provider whose subject s-1
// is the user "sso".
func ssoEverywhere(t *testing.T, test func(t *testing.T, b *bench, p *identityProvider)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var p *identityProvider
		b := newBench(t, db, func(o *Options) {
			p = newIdentityProvider(t, o.Now)
			o.OIDC = &OIDCOptions{Issuer: p.server.URL, ClientID: clientID, ClientSecret: clientSecret,
				RedirectURL: "https://hop.example.vn/api/v1/oidc/callback", UnitClaim: "don_vi", RoleClaim: "realm_access.roles",
				AfterLogout: "https://hop.example.vn/"}
		})
		b.people.subjects[p.server.URL+" s-1"] = b.people.users["sso"]
		test(t, b, p)
	})
}

// begin starts single sign-on and answers where the provider sends the browser.
func (w *browser) begin(p *identityProvider, returnTo string) *url.URL {
	w.b.t.Helper()
	r := w.expect(http.StatusSeeOther, "", "GET", "/oidc/start?return_to="+url.QueryEscape(returnTo), nil)
	return p.authorize(r.Header.Get("Location"))
}

// back is the browser coming back from the provider.
func (w *browser) back(u *url.URL) reply {
	w.b.t.Helper()
	w.header.Set("Sec-Fetch-Site", "cross-site")
	defer w.header.Del("Sec-Fetch-Site")
	return w.do("GET", "/oidc/callback?"+u.RawQuery, nil)
}

func (w *browser) refused(status int, code string, u *url.URL) {
	w.b.t.Helper()
	r := w.back(u)
	require.Equal(w.b.t, status, r.StatusCode, "%s", r.body)
	require.Equal(w.b.t, code, r.text(w.b.t, "code"))
	require.Empty(w.b.t, w.cookie("diemcau"))
	require.Equal(w.b.t, code, w.b.lastRecord().Result)
	require.Zero(w.b.t, w.b.count(`SELECT COUNT(*) FROM account_sessions`))
}

func TestSingleSignOn(t *testing.T) {
	ssoEverywhere(t, func(t *testing.T, b *bench, p *identityProvider) {
		w := b.browser()
		w.expect(http.StatusOK, "", "GET", "/session/methods", nil)
		back := w.begin(p, "/meetings/m1?tab=agenda")
		r := w.back(back)
		require.Equal(t, http.StatusSeeOther, r.StatusCode, "%s", r.body)
		require.Equal(t, "/meetings/m1?tab=agenda", r.Header.Get("Location"))
		r = w.expect(http.StatusOK, "", "GET", "/session", nil)
		require.Equal(t, "Đỗ Một Lần", r.text(t, "name"))
		w.csrf = r.text(t, "csrfToken")
		require.Equal(t, []Claims{{Issuer: p.server.URL, Subject: "s-1", Login: "mot.lan", Name: "Đỗ Một Lần",
			Email: "mot.lan@thanhhoa.gov.vn", EmailVerified: true, Unit: "Sở Nội vụ", Roles: []string{"thu-ky", "dai-bieu"}}}, b.people.claims)

		var logout struct{ LogoutURL string }
		require.NoError(t, json.Unmarshal(w.expect(http.StatusOK, "", "DELETE", "/session", nil).body, &logout))
		u, err := url.Parse(logout.LogoutURL)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(logout.LogoutURL, p.server.URL+"/logout?"))
		require.Equal(t, "tinh", u.Query().Get("realm"))
		require.Equal(t, clientID, u.Query().Get("client_id"))
		require.Equal(t, "https://hop.example.vn/", u.Query().Get("post_logout_redirect_uri"))
		require.Equal(t, 2, strings.Count(u.Query().Get("id_token_hint"), "."))
		w.expect(http.StatusUnauthorized, "not_signed_in", "GET", "/whoami", nil)
	})
}

func TestSingleSignOnRefuses(t *testing.T) {
	ssoEverywhere(t, func(t *testing.T, b *bench, p *identityProvider) {
		stranger, err := rsa.GenerateKey(rand.Reader, 2048)
		require.NoError(t, err)
		genuine := p.sign
		now := b.clock.Now()
		for name, c := range map[string]struct {
			claims map[string]any
			sign   func(map[string]any) string
		}{
			"another nonce":         {claims: map[string]any{"nonce": "another"}},
			"no nonce":              {claims: map[string]any{"nonce": nil}},
			"another audience":      {claims: map[string]any{"aud": "other"}},
			"several, not for us":   {claims: map[string]any{"aud": []string{clientID, "other"}, "azp": "other"}},
			"several, without azp":  {claims: map[string]any{"aud": []string{clientID, "other"}}},
			"another issuer":        {claims: map[string]any{"iss": "https://evil.example"}},
			"expired":               {claims: map[string]any{"exp": now.Add(-time.Minute).Unix()}},
			"without expiry":        {claims: map[string]any{"exp": nil}},
			"no subject":            {claims: map[string]any{"sub": nil}},
			"odd subject":           {claims: map[string]any{"sub": "s-1\u202e"}},
			"bidi in the name":      {claims: map[string]any{"name": "a\u202eb"}},
			"long login":            {claims: map[string]any{"preferred_username": strings.Repeat("a", 101)}},
			"roles of numbers":      {claims: map[string]any{"realm_access": map[string]any{"roles": []int{1}}}},
			"huge":                  {claims: map[string]any{"x": strings.Repeat("a", maxIDToken)}},
			"access token of other": {claims: map[string]any{"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}},
			"another key":           {sign: func(c map[string]any) string { return p.signed(jose.RS256, stranger, "k1", c) }},
			"alg none": {sign: func(c map[string]any) string {
				parts := strings.Split(genuine(c), ".")
				return encode([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
			}},
			"signed with the client's secret": {sign: func(c map[string]any) string {
				return p.signed(jose.HS256, []byte(clientSecret+strings.Repeat("x", 32)), "k1", c)
			}},
			"signed with the public key": {sign: func(c map[string]any) string {
				return p.signed(jose.HS256, p.key.N.Bytes(), "k1", c)
			}},
			"no ID token": {sign: func(map[string]any) string { return "" }},
			"no JWT":      {sign: func(map[string]any) string { return "a.b.c" }},
		} {
			p.mu.Lock()
			p.claims, p.sign = c.claims, genuine
			if c.sign != nil {
				p.sign = c.sign
			}
			p.mu.Unlock()
			w := b.browser()
			back := w.begin(p, "/")
			t.Run(name, func(*testing.T) { w.refused(http.StatusForbidden, "sso_failed", back) })
		}
		p.mu.Lock()
		p.claims, p.sign = nil, genuine
		p.mu.Unlock()
		b.clock.forward(time.Minute) // so many failures are throttled
		w := b.browser()
		require.Equal(t, http.StatusSeeOther, w.back(w.begin(p, "/")).StatusCode, "the unspoilt one must pass")
	})
}

func TestSingleSignOnState(t *testing.T) {
	ssoEverywhere(t, func(t *testing.T, b *bench, p *identityProvider) {
		with := func(u *url.URL, name, value string) *url.URL {
			q := maps.Clone(u.Query())
			q.Set(name, value)
			return &url.URL{RawQuery: q.Encode()}
		}
		w := b.browser()
		w.refused(http.StatusForbidden, "sso_failed", with(w.begin(p, "/"), "state", "another"))
		w.refused(http.StatusForbidden, "sso_failed", with(w.begin(p, "/"), "state", ""))
		w.refused(http.StatusForbidden, "sso_failed", with(w.begin(p, "/"), "code", "another"))
		w.refused(http.StatusForbidden, "sso_failed", with(w.begin(p, "/"), "code", ""))
		w.refused(http.StatusForbidden, "sso_failed", with(w.begin(p, "/"), "iss", "https://evil.example"))
		w.refused(http.StatusForbidden, "sso_failed", with(w.begin(p, "/"), "error", "access_denied"))
		// An attacker's own sign-in, finished in the victim's browser.
		w.refused(http.StatusForbidden, "sso_failed", b.browser().begin(p, "/"))
		attacker := b.browser().begin(p, "/")
		w.begin(p, "/")
		w.refused(http.StatusForbidden, "sso_failed", attacker)
		// The attacker's code with the victim's state: its verifier is another.
		mine := w.begin(p, "/")
		w.refused(http.StatusForbidden, "sso_failed", with(mine, "code", attacker.Query().Get("code")))
		// Too late.
		late := w.begin(p, "/")
		b.clock.forward(flowLasts)
		w.refused(http.StatusForbidden, "sso_failed", late)
		// A forged cookie.
		back := w.begin(p, "/")
		w.setCookie("diemcau-sso", w.cookie("diemcau-sso")+"AA")
		w.refused(http.StatusForbidden, "sso_failed", back)

		// Coming back twice, with the cookie kept by the attacker.
		back = w.begin(p, "/")
		kept := w.cookie("diemcau-sso")
		require.Equal(t, http.StatusSeeOther, w.back(back).StatusCode)
		require.Empty(t, w.cookie("diemcau-sso"))
		again := b.browser()
		again.setCookie("diemcau-sso", kept)
		asked := p.asked
		require.Equal(t, http.StatusForbidden, again.back(back).StatusCode)
		require.Equal(t, asked, p.asked, "the provider is not even asked")
	})
}

func TestReturnTo(t *testing.T) {
	ssoEverywhere(t, func(t *testing.T, b *bench, _ *identityProvider) {
		for _, to := range []string{"//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)",
			"evil", "/\t/evil.example", "/a\r\nSet-Cookie: x=y", "/%5cevil\x00", "///evil.example", " /", "/%2f%zz", "/%5Cevil.example",
			"/%2Fevil.example", "/" + strings.Repeat("a", 600), "http:evil", "/à"} {
			b.browser().expect(http.StatusBadRequest, "invalid_return", "GET", "/oidc/start?return_to="+url.QueryEscape(to), nil)
		}
		for _, to := range []string{"", "/", "/meetings/1?x=//y#z", "/a//b"} {
			b.browser().expect(http.StatusSeeOther, "", "GET", "/oidc/start?return_to="+url.QueryEscape(to), nil)
		}
	})
}

func TestProviderDown(t *testing.T) {
	ssoEverywhere(t, func(t *testing.T, b *bench, p *identityProvider) {
		p.down.Store(true)
		w := b.browser()
		w.expect(http.StatusServiceUnavailable, "sso_unavailable", "GET", "/oidc/start", nil)
		b.browser().signIn("lan.le", goodPass) // local accounts work
		w.header.Set("Accept", "text/html,*/*;q=0.8")
		r := w.expect(http.StatusSeeOther, "", "GET", "/oidc/start", nil)
		require.Equal(t, "/sign-in?error=sso_unavailable", r.Header.Get("Location"))
		w.header.Del("Accept")
		p.down.Store(false)
		w.expect(http.StatusServiceUnavailable, "sso_unavailable", "GET", "/oidc/start", nil) // asked again a bit later
		b.clock.forward(discoverAgain)
		back := w.begin(p, "/")
		p.down.Store(true) // in the middle
		r = w.back(back)
		require.Equal(t, http.StatusServiceUnavailable, r.StatusCode)
		require.Equal(t, "sso_unavailable", r.text(t, "code"))
		require.Equal(t, "sso_unavailable", b.lastRecord().Result)
	})
}

func TestSingleSignOnAccounts(t *testing.T) {
	ssoEverywhere(t, func(t *testing.T, b *bench, p *identityProvider) {
		w := b.browser()
		user := b.people.users["sso"]
		user.Enabled = false
		b.people.set(user)
		w.refused(http.StatusForbidden, "account_disabled", w.begin(p, "/"))
		p.mu.Lock()
		p.claims = map[string]any{"sub": "s-2"} // the login of a known user, and another subject
		p.mu.Unlock()
		w.refused(http.StatusForbidden, "sso_no_account", w.begin(p, "/"))

		device := b.browser()
		device.expect(http.StatusCreated, "", "POST", "/devices/enrol", fields{"code": b.deviceCode(b.administrator())})
		back := device.begin(p, "/")
		r := device.back(back)
		require.Equal(t, http.StatusConflict, r.StatusCode)
		device.expect(http.StatusOK, "", "GET", "/whoami", nil)
	})
}

func TestNoSingleSignOn(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		b.browser().expect(http.StatusNotFound, "sso_off", "GET", "/oidc/start", nil)
		b.browser().expect(http.StatusNotFound, "sso_off", "GET", "/oidc/callback?code=x&state=y", nil)
		for _, o := range []OIDCOptions{
			{}, {Issuer: "ftp://x", ClientID: "x", RedirectURL: "https://x"}, {Issuer: "https://x", RedirectURL: "https://x"},
			{Issuer: "https://x", ClientID: "x", RedirectURL: "/callback"},
			{Issuer: "http://sso.example.vn", ClientID: "x", RedirectURL: "https://x"}, // anybody on the way would be the provider
		} {
			_, err := newProvider(o, time.Now)
			require.Error(t, err)
		}
	})
}

// Codes that lead nowhere do not keep the provider busy, nor fill a table.
func TestSingleSignOnIsThrottled(t *testing.T) {
	ssoEverywhere(t, func(t *testing.T, b *bench, p *identityProvider) {
		w := b.browser()
		last := 0
		for range 60 {
			back := w.begin(p, "/")
			q := back.Query()
			q.Set("code", "another")
			last = w.back(&url.URL{RawQuery: q.Encode()}).StatusCode
		}
		require.Equal(t, http.StatusTooManyRequests, last)
		// A code that is refused is tried once more, with the client's secret elsewhere.
		require.LessOrEqual(t, p.asked, 2*(limitLink.free+1))
		require.LessOrEqual(t, b.count(`SELECT COUNT(*) FROM account_sso_states`), limitLink.free+1)
		// Whom the provider knows and we do not is no guess.
		b.clock.forward(time.Hour)
		p.mu.Lock()
		p.claims = map[string]any{"sub": "s-2"}
		p.mu.Unlock()
		for range 40 {
			w.refused(http.StatusForbidden, "sso_no_account", w.begin(p, "/"))
		}
	})
}

// A provider's error page does not fill the log, nor look like lines of it.
func TestProviderErrorsAreClipped(t *testing.T) {
	err := providerDown(errors.New("502: " + strings.Repeat("<p>\nlevel=INFO msg=\"signed in\" ", 10000)))
	require.ErrorIs(t, err, errProviderDown)
	require.Less(t, len(err.Error()), 500)
	require.NotContains(t, err.Error(), "\n")
}

func TestClaimNames(t *testing.T) {
	all := map[string]any{"https://x.vn/role": "a", "a": map[string]any{"b": map[string]any{"c": "d"}, "b.c": "e"}}
	require.Equal(t, "a", find(all, "https://x.vn/role"))
	require.Equal(t, "e", find(all, "a.b.c"))
	require.Nil(t, find(all, "a.x"))
	require.Nil(t, find(all, "https"))
}

// An answer without end fills no memory.
func TestProviderAnswersAreBounded(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 64 {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	client := http.Client{Transport: boundedTransport{}}
	answer, err := client.Get(server.URL)
	require.NoError(t, err)
	defer answer.Body.Close()
	n, err := io.Copy(io.Discard, answer.Body)
	require.NoError(t, err)
	require.Equal(t, int64(maxProviderAnswer), n)
}
