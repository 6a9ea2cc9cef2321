package account

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSessionTimeouts(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		w := b.browser()
		w.signIn("lan.le", goodPass)
		for range 13 { // in use, each 12 hours less a bit
			b.clock.forward(12*time.Hour - time.Minute)
			w.expect(http.StatusOK, "", "GET", "/whoami", nil)
		}
		b.clock.forward(12 * time.Hour) // seven days are over
		w.expect(http.StatusUnauthorized, "not_signed_in", "GET", "/whoami", nil)

		w.csrf = ""
		w.signIn("lan.le", goodPass)
		b.clock.forward(12 * time.Hour)
		w.expect(http.StatusUnauthorized, "not_signed_in", "GET", "/whoami", nil)
		require.NoError(t, b.service.Sweep(t.Context()))
		require.Zero(t, b.count(`SELECT COUNT(*) FROM account_sessions`), "what expired is gone")
	})
}

// An attacker plants a session, his own or one without anybody, in the victim's
// browser: after signing in it must not be the victim's.
func TestSessionFixation(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		attacker, victim := b.browser(), b.browser()
		attacker.signIn("o.xa", goodPass)
		planted := attacker.cookie("diemcau")
		victim.setCookie("diemcau", planted)
		// Without the session's CSRF token the sign-in is refused, and with it the
		// planted session ends.
		victim.expect(http.StatusForbidden, "csrf", "POST", "/session", fields{"login": "lan.le", "password": goodPass})
		victim.csrf = attacker.csrf
		victim.signIn("lan.le", goodPass)
		require.NotEqual(t, planted, victim.cookie("diemcau"))
		attacker.expect(http.StatusUnauthorized, "not_signed_in", "GET", "/whoami", nil)

		victim = b.browser()
		victim.setCookie("diemcau", encode(make([]byte, tokenLength)))
		victim.signIn("lan.le", goodPass)
		require.NotEqual(t, encode(make([]byte, tokenLength)), victim.cookie("diemcau"))
	})
}

func TestCookieFlags(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		h := NewHandler(b.service)
		post := func(secure bool) map[string]*http.Cookie {
			r := httptest.NewRequest("POST", "/session", strings.NewReader(`{"login":"lan.le","password":"`+goodPass+`"}`))
			r.Header.Set("Content-Type", "application/json")
			if secure {
				r.TLS = &tls.ConnectionState{}
			}
			w := httptest.NewRecorder()
			h.postSession(w, r)
			require.Equal(t, http.StatusCreated, w.Code)
			cookies := make(map[string]*http.Cookie)
			for _, c := range w.Result().Cookies() {
				cookies[c.Name] = c
				require.True(t, c.HttpOnly, c.Name)
				require.Equal(t, secure, c.Secure, c.Name)
				require.Equal(t, "/", c.Path)
				require.Empty(t, c.Domain)
				require.Equal(t, http.SameSiteLaxMode, c.SameSite)
			}
			return cookies
		}
		cookies := post(true)
		require.Len(t, cookies, 2)
		require.Equal(t, 7*24*60*60, cookies["__Host-diemcau"].MaxAge)
		require.Contains(t, cookies, "__Host-diemcau-device")
		cookies = post(false)
		require.Len(t, cookies, 2)
		require.Contains(t, cookies, "diemcau")
		require.Contains(t, cookies, "diemcau-device")
	})
}

func TestCSRF(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		w := b.browser()
		w.signIn("lan.le", goodPass)
		other := b.browser()
		other.signIn("quantri", goodPass)
		good := w.csrf
		for name, token := range map[string]string{"none": "", "another session's": other.csrf, "cut": good[:20], "the cookie": w.cookie("diemcau")} {
			w.csrf = token
			for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
				r := w.expect(http.StatusForbidden, "csrf", method, "/whoami", fields{})
				require.NotContains(t, string(r.body), "lan", name)
			}
		}
		require.Equal(t, "csrf", b.lastRecord().Result)
		w.csrf = good
		w.expect(http.StatusOK, "", "POST", "/whoami", fields{})
		for name, header := range map[string]http.Header{
			"another site":       {"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}},
			"a sibling":          {"Sec-Fetch-Site": {"same-site"}},
			"old browser":        {"Origin": {"https://evil.example"}},
			"opaque origin":      {"Origin": {"null"}},
			"scheme of our host": {"Sec-Fetch-Site": {"cross-site"}, "Origin": {b.server.URL}},
		} {
			w.header = header
			w.expect(http.StatusForbidden, "cross_origin", "POST", "/whoami", fields{})
			stranger := b.browser()
			stranger.header = header
			r := stranger.try("lan.le", goodPass) // being signed in as somebody else
			require.Equal(t, http.StatusForbidden, r.StatusCode, name)
		}
		w.header = http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {b.server.URL}}
		w.expect(http.StatusOK, "", "POST", "/whoami", fields{})
	})
}

func TestWebSocketOrigin(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		w := b.browser()
		w.signIn("lan.le", goodPass)
		for origin, want := range map[string]int{
			"": http.StatusOK, b.server.URL: http.StatusOK, "https://hop.example.vn": http.StatusOK,
			"https://evil.example": http.StatusForbidden, "null": http.StatusForbidden,
			"https" + strings.TrimPrefix(b.server.URL, "http"): http.StatusForbidden,
			b.server.URL + ".evil.example":                     http.StatusForbidden,
			"http://x@" + b.server.Listener.Addr().String():    http.StatusOK, // browsers send no user part
		} {
			r := httptest.NewRequest("GET", b.server.URL+"/api/v1/ws", nil)
			r.AddCookie(&http.Cookie{Name: "diemcau", Value: w.cookie("diemcau")})
			if origin != "" {
				r.Header.Set("Origin", origin)
			}
			// What a list of protocols asks for is a WebSocket, too.
			for _, upgrade := range []string{"WebSocket", "x, websocket"} {
				r.Header.Set("Upgrade", upgrade)
				answer := httptest.NewRecorder()
				b.handler().ServeHTTP(answer, r)
				require.Equal(t, want, answer.Code, origin)
			}
		}
	}, func(o *Options) { o.Origins = []string{"https://hop.example.vn"} })
}

func TestOwnSessions(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		here, there, other := b.browser(), b.browser(), b.browser()
		there.header.Set("User-Agent", "Mozilla/5.0 (Windows NT 10.0) Gecko Firefox/140.0")
		here.signIn("lan.le", goodPass)
		b.clock.forward(time.Second)
		there.signIn("lan.le", goodPass)
		foreign := other.signIn("quantri", goodPass).text(t, "sessionId")
		var list []listedSession
		require.NoError(t, json.Unmarshal(here.expect(http.StatusOK, "", "GET", "/sessions", nil).body, &list))
		require.Len(t, list, 2)
		require.Equal(t, "Firefox, Windows", list[0].Label)
		require.Equal(t, "127.0.0.1", list[0].Address)
		require.False(t, list[0].Current)
		require.True(t, list[1].Current)

		here.expect(http.StatusNotFound, "not_found", "DELETE", "/sessions/"+foreign, nil)
		other.expect(http.StatusOK, "", "GET", "/whoami", nil)
		here.expect(http.StatusNoContent, "", "DELETE", "/sessions/"+list[0].ID, nil)
		here.expect(http.StatusNotFound, "not_found", "DELETE", "/sessions/"+list[0].ID, nil)
		there.expect(http.StatusUnauthorized, "not_signed_in", "GET", "/whoami", nil)
		here.expect(http.StatusNotFound, "not_found", "DELETE", "/sessions/%27%20OR%201=1", nil)

		there.csrf = ""
		there.signIn("lan.le", goodPass)
		here.expect(http.StatusNoContent, "", "DELETE", "/sessions", nil)
		here.expect(http.StatusUnauthorized, "not_signed_in", "GET", "/whoami", nil)
		there.expect(http.StatusUnauthorized, "not_signed_in", "GET", "/whoami", nil)
		other.expect(http.StatusOK, "", "GET", "/whoami", nil)
	})
}

func TestRecheck(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		id := b.browser().signIn("lan.le", goodPass).text(t, "sessionId")
		p, ok, err := b.service.Recheck(t.Context(), Principal{SessionID: id})
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, "lan", p.ID)
		for range 3 { // a socket keeps its session alive
			b.clock.forward(11 * time.Hour)
			_, ok, err = b.service.Recheck(t.Context(), p)
			require.NoError(t, err)
			require.True(t, ok)
		}
		require.NoError(t, b.service.EndSessions(t.Context(), "lan"))
		require.Equal(t, []string{id}, b.endedIDs())
		_, ok, err = b.service.Recheck(t.Context(), p)
		require.NoError(t, err)
		require.False(t, ok)
	})
}

func TestChangePassword(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		here, there := b.browser(), b.browser()
		here.signIn("lan.le", goodPass)
		there.signIn("lan.le", goodPass)
		before := here.cookie("diemcau")
		change := func(status int, code, current, next string) reply {
			return here.expect(status, code, "POST", "/password", fields{"current": current, "new": next})
		}
		change(http.StatusUnauthorized, "bad_credentials", "sai mật khẩu rồi", "mật khẩu mới toanh")
		change(http.StatusUnprocessableEntity, "password_length", goodPass, "ngắn")
		change(http.StatusUnprocessableEntity, "password_common", goodPass, "1234567890")
		change(http.StatusUnprocessableEntity, "password_same", goodPass, goodPass)
		there.expect(http.StatusOK, "", "GET", "/whoami", nil)
		r := change(http.StatusCreated, "", goodPass, "mật khẩu mới toanh")
		here.csrf = r.text(t, "csrfToken")
		here.expect(http.StatusOK, "", "GET", "/whoami", nil)
		require.NotEqual(t, before, here.cookie("diemcau"))
		there.expect(http.StatusUnauthorized, "not_signed_in", "GET", "/whoami", nil)
		b.browser().expect(http.StatusUnauthorized, "bad_credentials", "POST", "/session", fields{"login": "lan.le", "password": goodPass})
		here.signIn("lan.le", "mật khẩu mới toanh")

		// Guessing the password from a stolen session stops, and locks no sign-in.
		for range 12 {
			here.do("POST", "/password", fields{"current": "đoán bừa thôi mà", "new": goodPass})
			b.clock.forward(31 * time.Second)
		}
		change(http.StatusTooManyRequests, "throttled", "mật khẩu mới toanh", goodPass)
		b.browser().signIn("lan.le", "mật khẩu mới toanh")
	})
}

func TestResetByAdministrator(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		admin, lan := b.browser(), b.browser()
		admin.signIn("quantri", goodPass)
		lan.signIn("lan.le", goodPass)
		body := fields{"password": "tạm thời một hôm"}
		for _, id := range []string{"far", "boss", "nobody", "%27--"} {
			admin.expect(http.StatusForbidden, "forbidden", "PUT", "/accounts/"+id+"/password", body)
			admin.expect(http.StatusForbidden, "forbidden", "DELETE", "/accounts/"+id+"/totp", nil)
			admin.expect(http.StatusForbidden, "forbidden", "DELETE", "/accounts/"+id+"/sessions", nil)
		}
		lan.expect(http.StatusForbidden, "forbidden", "PUT", "/accounts/admin/password", body)
		b.browser().expect(http.StatusUnauthorized, "not_signed_in", "PUT", "/accounts/lan/password", body)
		b.browser().signIn("chutich", goodPass)

		admin.expect(http.StatusUnprocessableEntity, "password_length", "PUT", "/accounts/lan/password", fields{"password": "x"})
		lan.expect(http.StatusOK, "", "GET", "/whoami", nil)
		admin.expect(http.StatusNoContent, "", "PUT", "/accounts/lan/password", body)
		lan.expect(http.StatusUnauthorized, "not_signed_in", "GET", "/whoami", nil)
		lan.csrf = ""
		r := lan.signIn("lan.le", "tạm thời một hôm")
		require.Equal(t, true, r.field(t, "mustChangePassword"))
		lan.expect(http.StatusForbidden, "password_must_change", "GET", "/whoami", nil)
		lan.expect(http.StatusForbidden, "password_must_change", "GET", "/guests?meeting=m1", nil)
		r = lan.expect(http.StatusCreated, "", "POST", "/password", fields{"current": "tạm thời một hôm", "new": goodPass})
		lan.csrf = r.text(t, "csrfToken")
		lan.expect(http.StatusOK, "", "GET", "/whoami", nil)
		admin.expect(http.StatusNoContent, "", "DELETE", "/accounts/lan/sessions", nil)
		lan.expect(http.StatusUnauthorized, "not_signed_in", "GET", "/whoami", nil)
	})
}

// A password that somebody else chose does not hold for ever, and one's own does.
func TestGivenPasswordExpires(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		user := b.people.users["lan"]
		require.NoError(t, b.service.SetPassword(t.Context(), user, "tạm thời một hôm", true))
		b.clock.forward(givenLasts - time.Minute)
		b.browser().signIn("lan.le", "tạm thời một hôm")
		b.clock.forward(time.Hour)
		body := fields{"login": "lan.le", "password": "tạm thời một hôm"}
		b.browser().expect(http.StatusForbidden, "password_expired", "POST", "/session", body)
		require.Equal(t, "password_expired", b.lastRecord().Result)
		body["password"] = "sai mật khẩu rồi"
		b.browser().expect(http.StatusUnauthorized, "bad_credentials", "POST", "/session", body)
		require.NoError(t, b.service.SetPassword(t.Context(), user, "tạm thời một hôm", true))
		r := b.browser()
		r.signIn("lan.le", "tạm thời một hôm")
		r.expect(http.StatusCreated, "", "POST", "/password", fields{"current": "tạm thời một hôm", "new": goodPass})
		b.clock.forward(10 * givenLasts)
		b.browser().signIn("lan.le", goodPass)
		b.browser().signIn("quantri", goodPass)
	})
}

func TestBodies(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		w := b.browser()
		for name, c := range map[string]struct {
			body   string
			status int
			code   string
		}{
			"empty":         {``, 400, "malformed"},
			"null":          {`null`, 400, "malformed"},
			"array":         {`[]`, 400, "malformed"},
			"unknown field": {`{"login":"a","password":"b","admin":true}`, 400, "malformed"},
			"two values":    {`{"login":"a","password":"b"}{}`, 400, "malformed"},
			"wrong type":    {`{"login":1}`, 400, "malformed"},
			"not UTF-8":     {"{\"login\":\"\xff\"}", 400, "malformed"},
			"too large":     {`{"login":"` + strings.Repeat("a", maxBody) + `"}`, 413, "too_large"},
			"deep":          {strings.Repeat(`{"login":`, 400), 400, "malformed"},
			"long login":    {`{"login":"` + strings.Repeat("a", 101) + `","password":"0123456789"}`, 422, "invalid_field"},
			"no login":      {`{"password":"0123456789"}`, 422, "invalid_field"},
			"control":       {`{"login":"a\u0000b","password":"0123456789"}`, 422, "invalid_field"},
			"bidi":          {`{"login":"a\u202eb","password":"0123456789"}`, 422, "invalid_field"},
			"bidi isolate":  {`{"login":"a\u2066b","password":"0123456789"}`, 422, "invalid_field"},
			"lone half":     {`{"login":"\ud800","password":"0123456789"}`, 401, "bad_credentials"}, // U+FFFD to Go
			"SQL":           {`{"login":"' OR 1=1 --","password":"' OR 1=1 --"}`, 401, "bad_credentials"},
			"script":        {`{"login":"<script>alert(1)</script>","password":"0123456789"}`, 401, "bad_credentials"},
			"long password": {`{"login":"lan.le","password":"` + strings.Repeat("a", 129) + `"}`, 422, "invalid_field"},
			"long code":     {`{"login":"lan.le","password":"0123456789","totp":"` + strings.Repeat("1", 41) + `"}`, 422, "invalid_field"},
		} {
			r := w.do("POST", "/session", c.body)
			require.Equal(t, c.status, r.StatusCode, name)
			require.Equal(t, c.code, r.text(t, "code"), name)
			require.NotContains(t, string(r.body), "script", name)
		}
		w.header.Set("Content-Type", "text/plain")
		w.expect(http.StatusUnsupportedMediaType, "media_type", "POST", "/session", `{"login":"lan.le","password":"x"}`)
	})
}

func TestProblemLanguage(t *testing.T) {
	for accept, want := range map[string]string{
		"": "vi", "en": "en", "en-US,en;q=0.9": "en", "vi-VN,vi;q=0.9,en;q=0.8": "vi", "fr": "vi", "*": "vi",
		"en;q=0.2,vi;q=0.1": "en", strings.Repeat("en-", 300): "vi", "\x00": "vi",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Language", accept)
		w := httptest.NewRecorder()
		WriteProblem(w, r, problemThrottled.after(1500*time.Millisecond))
		require.Equal(t, want, w.Header().Get("Content-Language"), accept)
		require.Equal(t, "2", w.Header().Get("Retry-After"))
		require.Equal(t, "throttled", problemThrottled.Code)
	}
}

func TestLoadKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "account.key")
	keys := make([]*Key, 8)
	var group sync.WaitGroup
	for i := range keys {
		group.Go(func() { keys[i], _ = LoadKey(path) })
	}
	group.Wait()
	for _, k := range keys {
		require.NotNil(t, k)
		require.Equal(t, keys[0].mac("x", "y"), k.mac("x", "y"), "all processes have one key")
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, left, 1)

	sealed := keys[0].seal("totp", "lan", []byte("secret"))
	require.False(t, bytes.Contains(sealed, []byte("secret")))
	_, err = keys[1].open("totp", "lan", sealed)
	require.NoError(t, err)
	_, err = keys[1].open("totp", "boss", sealed)
	require.ErrorIs(t, err, errSealed, "moved to another user's row")
	_, err = keys[1].open("sso", "lan", sealed)
	require.ErrorIs(t, err, errSealed)

	require.NoError(t, os.Chmod(path, 0o640))
	_, err = LoadKey(path)
	require.ErrorContains(t, err, "0600")
	require.NoError(t, os.Chmod(path, 0o600))
	require.NoError(t, os.WriteFile(path, []byte("short"), 0o600))
	_, err = LoadKey(path)
	require.ErrorContains(t, err, "5 bytes")
}

func TestRunEnds(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { b.service.Run(ctx); close(done) }()
		cancel()
		<-done
	})
}

func FuzzBodies(f *testing.F) {
	f.Add(`{"login":"lan.le","password":"x"}`)
	f.Add(`{"login":"a"} {`)
	f.Fuzz(func(t *testing.T, text string) {
		var body struct {
			Login    string `json:"login"`
			Password string `json:"password"`
		}
		if decodeBody(text, &body) == nil {
			require.True(t, json.Valid([]byte(text)))
		}
		if name, ok := shownText(body.Login, maxName); ok {
			again, ok := shownText(name, maxName)
			require.True(t, ok)
			require.Equal(t, name, again)
		}
	})
}

func FuzzDeviceMark(f *testing.F) {
	key, err := NewKey(make([]byte, keyLength))
	require.NoError(f, err)
	s := &Service{key: key}
	now := time.Unix(1_800_000_000, 0)
	m := deviceMark{device: newDeviceID(), user: "lan", epoch: 5, issued: now.Unix()}
	got, ok := s.decodeMark(s.encodeMark(m), now)
	require.True(f, ok)
	require.Equal(f, m, got)
	_, ok = s.decodeMark(s.encodeMark(m), now.Add(deviceLasts))
	require.False(f, ok, "old")
	f.Add(m.text() + ".AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		_, ok := s.decodeMark(text, now)
		require.False(t, ok, "nobody without the key makes a mark")
	})
}

// Each refused change leaves an audit line that says who, from where and why.
func TestRefusalsAreAudited(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		w := b.browser()
		identity := w.signIn("lan.le", goodPass).text(t, "identity")
		for code, act := range map[string]func(){
			"forbidden":     func() { w.do("POST", "/devices/codes", fields{"point": "p1"}) },
			"csrf":          func() { x := *w; x.csrf = ""; x.do("POST", "/whoami", fields{}) },
			"malformed":     func() { w.do("POST", "/password", "{") },
			"not_found":     func() { w.do("DELETE", "/sessions/none", nil) },
			"totp_inactive": func() { w.do("POST", "/totp/confirm", fields{"code": "123456"}) },
		} {
			before := len(b.audited())
			act()
			require.Len(t, b.audited(), before+1, code)
			r := b.lastRecord()
			require.Equal(t, code, r.Result)
			require.Equal(t, identity, r.Who)
			require.Equal(t, "127.0.0.1", r.From)
			require.NotEmpty(t, r.Action)
			require.Equal(t, b.clock.Now(), r.At)
		}
		b.clock.forward(13 * time.Hour)
		w.expect(http.StatusUnauthorized, "not_signed_in", "POST", "/whoami", fields{})
		require.Equal(t, Record{From: "127.0.0.1", Action: "request", Object: "POST /api/v1/whoami", Result: "not_signed_in",
			At: b.clock.Now()}, b.lastRecord())
	})
}
