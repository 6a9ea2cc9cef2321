package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"database/sql"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"diemcau/signaling/store"
)

// ssoStart sends the browser to the provider.
func (h *Handler) ssoStart(w http.ResponseWriter, r *http.Request) {
	s := h.service
	to := r.URL.Query().Get("return_to")
	if to == "" {
		to = "/"
	}
	switch {
	case s.sso == nil:
		h.ssoProblem(w, r, problemNoSSO)
		return
	case !safePath(to):
		h.ssoProblem(w, r, problemReturn)
		return
	}
	d, err := s.sso.discover(r.Context())
	if err != nil {
		s.options.Log.WarnContext(r.Context(), "single sign-on", "error", err)
		h.ssoProblem(w, r, problemSSODown)
		return
	}
	f := flow{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), ReturnTo: to,
		Expires: millis(s.now().Add(flowLasts))}
	sealed, err := s.sealFlow(f)
	if err != nil {
		h.ssoProblem(w, r, problemInternal)
		return
	}
	// Lax: the provider sends the browser back from another site.
	s.setCookie(w, r, "sso", sealed, flowLasts, http.SameSiteLaxMode)
	http.Redirect(w, r, d.oauth.AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)),
		http.StatusSeeOther)
}

// ssoCallback takes the provider's answer from the browser that was sent there.
func (h *Handler) ssoCallback(w http.ResponseWriter, r *http.Request) {
	s := h.service
	if s.sso == nil {
		h.ssoProblem(w, r, problemNoSSO)
		return
	}
	cookie, err := r.Cookie(s.cookieName(r, "sso"))
	s.clearCookie(w, r, "sso")
	f, ok := flow{}, false
	if err == nil && len(cookie.Value) <= 4096 {
		f, ok = s.openFlow(cookie.Value)
	}
	q := r.URL.Query()
	if !ok || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(f.State)) != 1 {
		h.ssoRefused(w, r, "", problemSSO, errors.New("no such sign-in was begun in this browser"))
		return
	}
	in, err := h.ssoFinish(r, f, q)
	if err != nil {
		problem := problemSSO
		var p *Problem
		switch {
		case errors.As(err, &p):
			problem = p
		case errors.Is(err, errProviderDown):
			problem = problemSSODown
		case errors.Is(err, ErrNoUser):
			problem = problemSSOUser
		case !errors.Is(err, errIDToken):
			problem = statusOf(err)
		}
		h.ssoRefused(w, r, in.user.ID, problem, err)
		return
	}
	h.audit(r, "user:"+in.user.ID, "session.create.sso", "user:"+in.user.ID, "ok")
	s.markDevice(w, r, in.marks, in.signedIn)
	s.setSessionCookie(w, r, in.token, in.session.Expires.Sub(in.session.Created))
	http.Redirect(w, r, f.ReturnTo, http.StatusSeeOther)
}

type ssoSignedIn struct {
	signedIn
	marks []deviceMark
}

func (h *Handler) ssoFinish(r *http.Request, f flow, q url.Values) (in ssoSignedIn, err error) {
	s, ctx := h.service, r.Context()
	if p, ok := From(ctx); ok && p.Kind == KindPoint {
		return in, problemDeviceEnrolled
	}
	d, err := s.sso.discover(ctx)
	if err != nil {
		return in, err
	}
	// Another provider's answer mixed in is told by its issuer (RFC 9207).
	if iss := q.Get("iss"); iss != s.sso.options.Issuer && (iss != "" || d.iss) {
		return in, errIDToken
	}
	if q.Get("error") != "" || q.Get("code") == "" || len(q.Get("code")) > 2048 {
		return in, errIDToken
	}
	counters := []counter{{"sso address " + addressName(clientOf(r).address), &limitLink}}
	if wait, err := s.reserve(ctx, counters); err != nil || wait > 0 {
		return in, throttledOr(err, wait)
	}
	if err := s.useState(ctx, f); err != nil {
		return in, err
	}
	claims, raw, err := s.sso.redeem(ctx, d, q.Get("code"), f.Verifier, f.Nonce)
	if err == nil || errors.Is(err, errProviderDown) { // of no account here, perhaps, but no guess
		err = errors.Join(err, s.forgive(ctx, counters, true))
	}
	if err != nil {
		return in, err
	}
	if in.user, err = s.users.FromClaims(ctx, claims); err != nil {
		return in, err
	}
	if !in.user.Enabled {
		return in, problemDisabled
	}
	held, err := readCredentials(ctx, s.db.QueryRow, in.user.ID)
	if err != nil {
		return in, err
	}
	in.epoch, in.marks = held.changed, s.deviceMarks(r)
	in.device = deviceOf(in.marks, in.user.ID)
	c := clientOf(r)
	in.session = session{Kind: KindUser, Method: methodSSO, Subject: in.user.ID, Device: deviceName(in.device),
		Label: c.label, Address: c.address, idToken: s.key.seal("id token", in.user.ID, []byte(raw))}
	in.token, err = s.startUser(ctx, &in.session, presentSession(ctx), nil)
	return in, err
}

// useState lets each sign-in that was begun come back once.
func (s *Service) useState(ctx context.Context, f flow) error {
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO account_sso_states (state, expires) VALUES ($1, $2)`,
			hashToken(f.State), f.Expires)
		return err
	})
	if store.IsUnique(err) {
		return errIDToken
	}
	return err
}

func (h *Handler) ssoRefused(w http.ResponseWriter, r *http.Request, userID string, p *Problem, cause error) {
	object := "unknown"
	if userID != "" {
		object = "user:" + userID
	}
	h.audit(r, "", "session.create.sso", object, p.Code)
	h.service.options.Log.WarnContext(r.Context(), "single sign-on was refused", "code", p.Code, "error", cause)
	h.ssoProblem(w, r, p)
}

// ssoProblem answers a browser that shows pages with the sign-in page, which says
// what the code means, and anybody else with the problem.
func (h *Handler) ssoProblem(w http.ResponseWriter, r *http.Request, p *Problem) {
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.Redirect(w, r, h.service.options.SignInPage+"?error="+url.QueryEscape(p.Code), http.StatusSeeOther)
		return
	}
	WriteProblem(w, r, p)
}
