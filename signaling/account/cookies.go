package account

import (
	"net/http"
	"time"
)

// https reports whether the browser reached us by HTTPS.
func (s *Service) https(r *http.Request) bool { return s.options.HTTPS || r.TLS != nil }

// cookieName is the name of one of our cookies; "" is the session's. The prefix
// __Host- makes browsers refuse the cookie from other hosts, plain HTTP and
// subdomains (RFC 6265bis, section 4.1.3.2).
func (s *Service) cookieName(r *http.Request, kind string) string {
	name := "diemcau"
	if kind != "" {
		name += "-" + kind
	}
	if s.https(r) {
		return "__Host-" + name
	}
	return name
}

func (s *Service) setCookie(w http.ResponseWriter, r *http.Request, kind, value string, lasts time.Duration,
	sameSite http.SameSite) {
	age := int(lasts / time.Second)
	if value == "" {
		age = -1
	}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // G124: Secure whenever the browser reached us by HTTPS
		Name: s.cookieName(r, kind), Value: value, Path: "/", MaxAge: age,
		HttpOnly: true, Secure: s.https(r), SameSite: sameSite,
	})
}

func (s *Service) setSessionCookie(w http.ResponseWriter, r *http.Request, token string, lasts time.Duration) {
	s.setCookie(w, r, "", token, min(lasts, deviceLasts), http.SameSiteLaxMode)
}

func (s *Service) clearCookie(w http.ResponseWriter, r *http.Request, kind string) {
	s.setCookie(w, r, kind, "", 0, http.SameSiteLaxMode)
}
