package account

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// CSRFHeader is the header that carries the session's CSRF token.
const CSRFHeader = "X-CSRF-Token"

// Handler is the HTTP side of a Service.
type Handler struct{ service *Service }

// NewHandler serves s by HTTP.
func NewHandler(s *Service) *Handler { return &Handler{s} }

type contextKey struct{}

// present is what a request's context holds.
type present struct {
	Principal
	session session
	token   string
}

// From answers who makes the request of ctx; ok is false when nobody is signed in.
func From(ctx context.Context) (p Principal, ok bool) {
	there, ok := ctx.Value(contextKey{}).(*present)
	if !ok {
		return Principal{}, false
	}
	return there.Principal, true
}

// WithPrincipal puts p into a context as Authenticate does, for tests of other
// packages and for commands of the server itself.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, &present{Principal: p})
}

// presentSession is the id of the session of ctx, or "".
func presentSession(ctx context.Context) string {
	if there, ok := ctx.Value(contextKey{}).(*present); ok {
		return there.session.ID
	}
	return ""
}

// Authenticate finds out who makes a request, and refuses what another site had
// a browser send: unsafe methods of another origin, unsafe methods without the
// session's CSRF token, WebSockets of another origin. Requests without a session
// go on without a Principal; Require is what stops them.
func (h *Handler) Authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := h.service
		if s.origins.Check(r) != nil || isUpgrade(r) && !s.CheckOrigin(r) {
			h.refuse(w, r, problemCrossOrigin)
			return
		}
		cookie, err := r.Cookie(s.cookieName(r, ""))
		if err != nil {
			next.ServeHTTP(w, r)
			return
		}
		p, n, err := s.resume(r.Context(), cookie.Value)
		if errors.Is(err, errNoSession) {
			s.clearCookie(w, r, "")
			next.ServeHTTP(w, r)
			return
		}
		if err == nil {
			err = h.touch(w, r, n, cookie.Value)
		}
		if err != nil {
			h.failed(w, r, err)
			return
		}
		r = r.WithContext(context.WithValue(r.Context(), contextKey{}, &present{p, n, cookie.Value}))
		if !isSafe(r.Method) && subtle.ConstantTimeCompare([]byte(r.Header.Get(CSRFHeader)), []byte(csrfToken(cookie.Value))) != 1 {
			h.refuse(w, r, problemCSRF)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// touch keeps a session in use alive, and the cookie of a room device, which
// lasts longer than browsers keep cookies.
func (h *Handler) touch(w http.ResponseWriter, r *http.Request, n session, token string) error {
	s := h.service
	if s.now().Sub(n.Seen) < touchEvery {
		return nil
	}
	if n.Kind == KindPoint && !isUpgrade(r) {
		s.setSessionCookie(w, r, token, n.Expires.Sub(s.now()))
	}
	return s.touch(r.Context(), n)
}

func isSafe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

func isUpgrade(r *http.Request) bool {
	// A list of protocols is taken for a WebSocket, too, if it names that one.
	return strings.Contains(strings.ToLower(strings.Join(r.Header.Values("Upgrade"), ",")), "websocket") ||
		r.Method == http.MethodConnect
}

// CheckOrigin reports whether a WebSocket is opened by a page of this server.
// What sends no Origin is not a browser, and nobody's cookies can be borrowed
// with it.
func (s *Service) CheckOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || s.trusted[origin] {
		return true
	}
	scheme := "http"
	if s.https(r) {
		scheme = "https"
	}
	u, err := url.Parse(origin)
	return err == nil && u.Scheme == scheme && strings.EqualFold(u.Host, r.Host)
}

// Require lets through who is of one of the kinds, or of any if none is named:
// no guest who waits in the lobby, nor a user who must change the password first.
func (h *Handler) Require(kinds ...Kind) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, ok := From(r.Context())
			switch {
			case !ok:
				h.unknown(w, r)
			case len(kinds) > 0 && !slices.Contains(kinds, p.Kind):
				h.refuse(w, r, problemForbidden)
			case p.Lobby:
				h.refuse(w, r, problemLobby)
			case p.MustChange:
				h.refuse(w, r, problemPasswordOld)
			default:
				next.ServeHTTP(w, r)
			}
		})
	}
}

// requireUser is for a user's own sign-in, which must-change does not stop.
func (h *Handler) requireUser(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := From(r.Context())
		switch {
		case !ok:
			h.unknown(w, r)
		case p.Kind != KindUser:
			h.refuse(w, r, problemForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// may asks Access, and answers the request if the answer is no.
func (h *Handler) may(w http.ResponseWriter, r *http.Request, action, object, permission, scope string) bool {
	p, _ := From(r.Context())
	ok, err := h.service.options.Access.Allows(r.Context(), p, permission, scope)
	if err == nil && !ok {
		err = problemForbidden
	}
	if err != nil {
		return h.done(w, r, action, object, err)
	}
	return true
}

// unknown refuses who is not signed in. Reading leaves no line: pages whose session
// is over ask again and again.
func (h *Handler) unknown(w http.ResponseWriter, r *http.Request) {
	if isSafe(r.Method) {
		WriteProblem(w, r, problemNotSignedIn)
		return
	}
	h.refuse(w, r, problemNotSignedIn)
}

// refuse answers with p and leaves a line in the audit log.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, p *Problem) {
	h.auditHere(r, "request", cleaned(r.Method+" "+r.URL.Path, 120), p.Code)
	WriteProblem(w, r, p)
}

// failed answers with the problem of err.
func (h *Handler) failed(w http.ResponseWriter, r *http.Request, err error) {
	p := statusOf(err)
	if p.Status >= http.StatusInternalServerError && r.Context().Err() == nil {
		h.service.options.Log.ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "code", p.Code, "error", err)
	}
	WriteProblem(w, r, p)
}

// done writes the audit line of an action, and answers if it failed.
func (h *Handler) done(w http.ResponseWriter, r *http.Request, action, object string, err error) bool {
	if err == nil {
		h.auditHere(r, action, object, "ok")
		return true
	}
	h.auditHere(r, action, object, statusOf(err).Code)
	h.failed(w, r, err)
	return false
}

func (h *Handler) auditHere(r *http.Request, action, object, result string) {
	p, _ := From(r.Context())
	h.audit(r, p.Identity, action, object, result)
}

func (h *Handler) audit(r *http.Request, who, action, object, result string) {
	h.service.options.Audit(r.Context(), Record{Who: who, From: addressOf(r.RemoteAddr), Action: action, Object: object,
		Result: result, At: h.service.now()})
}

// clientOf is what is noted of the client of r.
func clientOf(r *http.Request) client {
	return client{address: addressOf(r.RemoteAddr), label: agentLabel(r.UserAgent())}
}
