package account

import (
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
)

// Routes adds the routes of signing in to r, which is /api/v1 behind Authenticate.
func (h *Handler) Routes(r chi.Router) {
	r.Get("/session", h.getSession)
	r.Get("/session/methods", h.getMethods)
	r.Post("/session", h.postSession)
	r.Delete("/session", h.deleteSession)
	r.Get("/oidc/start", h.ssoStart)
	r.Get("/oidc/callback", h.ssoCallback)
	r.Post("/devices/enrol", h.enrol)
	r.Post("/guest-links/redeem", h.postGuest)

	own := r.With(h.requireUser)
	own.Post("/password", h.postPassword)
	own.Post("/totp", h.postTOTP)
	own.Post("/totp/confirm", h.postTOTPConfirm)
	own.Post("/totp/disable", h.postTOTPDisable)
	own.Post("/totp/recovery-codes", h.postRecovery)
	own.Get("/sessions", h.getSessions)
	own.Delete("/sessions", h.deleteSessions)
	own.Delete("/sessions/{id}", h.deleteOneSession)

	user := r.With(h.Require(KindUser))
	user.Get("/devices", h.getDevices)
	user.Post("/devices/codes", h.postDeviceCode)
	user.Delete("/devices/{id}", h.deleteDevice)
	user.Get("/guest-links", h.getGuestLinks)
	user.Post("/guest-links", h.postGuestLink)
	user.Delete("/guest-links/{id}", h.deleteGuestLink)
	user.Get("/guests", h.getGuests)
	user.Post("/guests/{id}/admit", h.admitGuest)
	user.Post("/guests/{id}/refuse", h.refuseGuest)
	user.Put("/accounts/{id}/password", h.putPassword)
	user.Delete("/accounts/{id}/totp", h.deleteTOTP)
	user.Delete("/accounts/{id}/sessions", h.deleteUserSessions)
}

// sessionBody is the session as its owner sees it.
type sessionBody struct {
	Kind               Kind   `json:"kind"`
	ID                 string `json:"id"`
	Identity           string `json:"identity"`
	Name               string `json:"name"`
	Unit               string `json:"unit,omitempty"`
	SessionID          string `json:"sessionId"`
	CSRFToken          string `json:"csrfToken"`
	Meeting            string `json:"meeting,omitempty"`
	Lobby              bool   `json:"lobby,omitempty"`
	MustChangePassword bool   `json:"mustChangePassword,omitempty"`
	TOTP               bool   `json:"totp,omitempty"`
	RecoveryCodesLeft  *int   `json:"recoveryCodesLeft,omitempty"`
}

func bodyOf(p Principal, token string) sessionBody {
	return sessionBody{Kind: p.Kind, ID: p.ID, Identity: p.Identity, Name: p.Name, Unit: p.Unit, SessionID: p.SessionID,
		CSRFToken: csrfToken(token), Meeting: p.Meeting, Lobby: p.Lobby, MustChangePassword: p.MustChange}
}

func (h *Handler) getSession(w http.ResponseWriter, r *http.Request) {
	there, ok := r.Context().Value(contextKey{}).(*present)
	if !ok {
		WriteProblem(w, r, problemNotSignedIn)
		return
	}
	body := bodyOf(there.Principal, there.token)
	if there.Kind == KindUser {
		var err error
		if body.TOTP, err = h.service.hasTOTP(r.Context(), there.ID); err != nil {
			h.failed(w, r, err)
			return
		}
		if body.TOTP {
			left, err := h.service.recoveryLeft(r.Context(), there.ID)
			if err != nil {
				h.failed(w, r, err)
				return
			}
			body.RecoveryCodesLeft = &left
		}
	}
	answer(w, http.StatusOK, body)
}

func (h *Handler) getMethods(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, struct {
		Password bool `json:"password"`
		SSO      bool `json:"sso"`
	}{true, h.service.sso != nil})
}

func (h *Handler) postSession(w http.ResponseWriter, r *http.Request) {
	const action = "session.create"
	var body struct {
		Login    string `json:"login"`
		Password string `json:"password"`
		TOTP     string `json:"totp"`
	}
	if p := readBody(w, r, &body); p != nil {
		h.done(w, r, action, "unknown", p)
		return
	}
	login, ok1 := shownText(body.Login, maxLogin)
	password, ok2 := prepared(body.Password)
	code, ok3 := optionalText(body.TOTP, 40)
	if !ok1 || !ok2 || !ok3 {
		h.done(w, r, action, "unknown", problemField)
		return
	}
	there, signed := From(r.Context())
	if signed && there.Kind == KindPoint {
		h.done(w, r, action, "unknown", problemDeviceEnrolled)
		return
	}
	s := h.service
	marks := s.deviceMarks(r)
	in, err := s.signIn(r.Context(), attempt{login: login, password: password, code: code, client: clientOf(r),
		marks: marks, replaces: presentSession(r.Context())})
	object := "unknown"
	if in.user.ID != "" {
		object = "user:" + in.user.ID
	}
	if err != nil {
		h.done(w, r, action, object, err)
		return
	}
	h.audit(r, object, action, object, "ok")
	s.markDevice(w, r, marks, in)
	h.welcome(w, r, in.token, in.session)
}

// welcome sets the cookie of a new session and answers it.
func (h *Handler) welcome(w http.ResponseWriter, r *http.Request, token string, n session) {
	p, err := h.service.principal(r.Context(), n)
	if err != nil {
		h.failed(w, r, err)
		return
	}
	h.service.setSessionCookie(w, r, token, n.Expires.Sub(n.Created))
	answer(w, http.StatusCreated, bodyOf(p, token))
}

func (h *Handler) deleteSession(w http.ResponseWriter, r *http.Request) {
	s := h.service
	there, ok := r.Context().Value(contextKey{}).(*present)
	if !ok {
		WriteProblem(w, r, problemNotSignedIn)
		return
	}
	_, err := s.endSessions(r.Context(), `id = $1`, there.SessionID)
	if !h.done(w, r, "session.end", "session:"+there.SessionID, err) {
		return
	}
	s.clearCookie(w, r, "")
	logout := ""
	if s.sso != nil && there.session.Method == methodSSO {
		idToken, err := s.key.open("id token", there.ID, there.session.idToken)
		if err == nil {
			logout = s.sso.logoutURL(string(idToken))
		}
	}
	answer(w, http.StatusOK, struct {
		LogoutURL string `json:"logoutUrl,omitempty"`
	}{logout})
}

type listedSession struct {
	ID      string    `json:"id"`
	Label   string    `json:"label"`
	Address string    `json:"address"`
	Created time.Time `json:"created"`
	Seen    time.Time `json:"seen"`
	Current bool      `json:"current"`
	MadeBy  string    `json:"madeBy,omitempty"`
}

func listed(sessions []session, current string) []listedSession {
	list := make([]listedSession, 0, len(sessions))
	for _, n := range sessions {
		list = append(list, listedSession{n.ID, n.Label, n.Address, n.Created, n.Seen, n.ID == current, n.MadeBy})
	}
	return list
}

func (h *Handler) getSessions(w http.ResponseWriter, r *http.Request) {
	p, _ := From(r.Context())
	list, err := h.service.sessions(r.Context(), `kind = $1 AND subject = $2`, string(KindUser), p.ID)
	if err != nil {
		h.failed(w, r, err)
		return
	}
	answer(w, http.StatusOK, listed(list, p.SessionID))
}

// deleteSessions signs the user out everywhere, here too.
func (h *Handler) deleteSessions(w http.ResponseWriter, r *http.Request) {
	p, _ := From(r.Context())
	err := h.service.EndSessions(r.Context(), p.ID)
	if h.done(w, r, "session.end.all", "user:"+p.ID, err) {
		h.service.clearCookie(w, r, "")
		answerNothing(w)
	}
}

func (h *Handler) deleteOneSession(w http.ResponseWriter, r *http.Request) {
	p, _ := From(r.Context())
	id := chi.URLParam(r, "id")
	err := error(problemNotFound)
	if validID(id) {
		var over []Over
		over, err = h.service.endSessions(r.Context(), `id = $1 AND kind = $2 AND subject = $3`, id, string(KindUser), p.ID)
		if err == nil && len(over) == 0 {
			err = problemNotFound
		}
	}
	if h.done(w, r, "session.end", "session:"+cleaned(id, maxID), err) {
		if id == p.SessionID {
			h.service.clearCookie(w, r, "")
		}
		answerNothing(w)
	}
}

func (h *Handler) postPassword(w http.ResponseWriter, r *http.Request) {
	p, _ := From(r.Context())
	var body struct {
		Current string `json:"current"`
		New     string `json:"new"`
	}
	if problem := readBody(w, r, &body); problem != nil {
		h.done(w, r, "password.change", "user:"+p.ID, problem)
		return
	}
	s := h.service
	marks := s.deviceMarks(r)
	in, err := s.changePassword(r.Context(), p, body.Current, body.New, marks, clientOf(r))
	if h.done(w, r, "password.change", "user:"+p.ID, err) {
		s.markDevice(w, r, marks, in)
		h.welcome(w, r, in.token, in.session)
	}
}
