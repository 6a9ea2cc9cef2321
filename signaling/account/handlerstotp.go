package account

import (
	"errors"
	"net/http"

	"github.com/go-chi/chi/v5"
)

func (h *Handler) postTOTP(w http.ResponseWriter, r *http.Request) {
	const action = "totp.enrol"
	s, ctx := h.service, r.Context()
	p, _ := From(ctx)
	var body struct {
		Password string `json:"password"`
	}
	uri, err := func() (string, error) {
		if problem := readBody(w, r, &body); problem != nil {
			return "", problem
		}
		if _, err := s.reauthenticate(ctx, p, body.Password); err != nil {
			return "", err
		}
		user, err := s.users.ByID(ctx, p.ID)
		if err != nil {
			return "", err
		}
		return s.enrolTOTP(ctx, user)
	}()
	if h.done(w, r, action, "user:"+p.ID, err) {
		answer(w, http.StatusCreated, struct {
			URI string `json:"uri"`
		}{uri})
	}
}

type recoveryBody struct {
	RecoveryCodes []string `json:"recoveryCodes"`
}

func (h *Handler) postTOTPConfirm(w http.ResponseWriter, r *http.Request) {
	p, _ := From(r.Context())
	var body struct {
		Code string `json:"code"`
	}
	var codes []string
	err := asError(readBody(w, r, &body))
	if err == nil {
		codes, err = h.service.confirmTOTP(r.Context(), p.ID, body.Code)
	}
	if h.done(w, r, "totp.confirm", "user:"+p.ID, err) {
		answer(w, http.StatusOK, recoveryBody{codes})
	}
}

func (h *Handler) postTOTPDisable(w http.ResponseWriter, r *http.Request) {
	p, _ := From(r.Context())
	err := h.bothSteps(w, r, p)
	if err == nil {
		err = h.service.RemoveTOTP(r.Context(), p.ID)
	}
	if h.done(w, r, "totp.disable", "user:"+p.ID, err) {
		answerNothing(w)
	}
}

func (h *Handler) postRecovery(w http.ResponseWriter, r *http.Request) {
	p, _ := From(r.Context())
	var codes []string
	err := h.bothSteps(w, r, p)
	if err == nil {
		codes, err = h.service.renewRecovery(r.Context(), p.ID)
	}
	if h.done(w, r, "totp.recovery", "user:"+p.ID, err) {
		answer(w, http.StatusOK, recoveryBody{codes})
	}
}

// bothSteps asks for the password and a code again.
func (h *Handler) bothSteps(w http.ResponseWriter, r *http.Request, p Principal) error {
	var body struct {
		Password string `json:"password"`
		Code     string `json:"code"`
	}
	if problem := readBody(w, r, &body); problem != nil {
		return problem
	}
	if _, err := h.service.reauthenticate(r.Context(), p, body.Password); err != nil {
		return err
	}
	return h.service.checkCode(r.Context(), p.ID, body.Code, []counter{{"code again user " + p.ID, &limitCode}})
}

// asError avoids an error that holds a nil *Problem.
func asError(p *Problem) error {
	if p == nil {
		return nil
	}
	return p
}

// subordinate finds the user of the path whose sign-in the caller may reset.
func (h *Handler) subordinate(w http.ResponseWriter, r *http.Request, action string) (User, bool) {
	s, ctx := h.service, r.Context()
	id := chi.URLParam(r, "id")
	object := "user:" + cleaned(id, maxID)
	p, _ := From(ctx)
	err := error(ErrNoUser)
	var user User
	if validID(id) {
		user, err = s.users.ByID(ctx, id)
	}
	// Whoever may not do this learns nothing of who there is.
	allowed := false
	if err == nil {
		allowed, err = s.options.Access.Allows(ctx, p, PermissionResetSignIn, user.Unit)
	}
	if err == nil && allowed {
		allowed, err = s.options.Access.Outranks(ctx, p, user.ID)
	}
	if errors.Is(err, ErrNoUser) || err == nil && !allowed {
		err = problemForbidden
	}
	if err != nil {
		h.done(w, r, action, object, err)
		return user, false
	}
	return user, true
}

// putPassword gives another user a password that must be changed at once.
func (h *Handler) putPassword(w http.ResponseWriter, r *http.Request) {
	const action = "account.password"
	user, ok := h.subordinate(w, r, action)
	if !ok {
		return
	}
	var body struct {
		Password string `json:"password"`
	}
	err := asError(readBody(w, r, &body))
	if err == nil {
		err = h.service.SetPassword(r.Context(), user, body.Password, true)
	}
	if h.done(w, r, action, "user:"+user.ID, err) {
		answerNothing(w)
	}
}

func (h *Handler) deleteTOTP(w http.ResponseWriter, r *http.Request) {
	const action = "account.totp"
	user, ok := h.subordinate(w, r, action)
	if ok && h.done(w, r, action, "user:"+user.ID, h.service.RemoveTOTP(r.Context(), user.ID)) {
		answerNothing(w)
	}
}

func (h *Handler) deleteUserSessions(w http.ResponseWriter, r *http.Request) {
	const action = "account.sessions"
	user, ok := h.subordinate(w, r, action)
	if ok && h.done(w, r, action, "user:"+user.ID, h.service.EndSessions(r.Context(), user.ID)) {
		answerNothing(w)
	}
}
