package account

import (
	"errors"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
)

// pointFor finds a point that the caller may enrol devices of. Whoever may not
// learns nothing of which points there are.
func (h *Handler) pointFor(w http.ResponseWriter, r *http.Request, action, id string) (Point, bool) {
	object := "point:" + cleaned(id, maxID)
	point, err := Point{}, error(ErrNoPoint)
	if validID(id) {
		point, err = h.service.options.Points.Point(r.Context(), id)
	}
	if errors.Is(err, ErrNoPoint) {
		err = problemForbidden
	}
	if err != nil {
		return point, h.done(w, r, action, object, err)
	}
	return point, h.may(w, r, action, object, PermissionDevices, point.Unit)
}

func (h *Handler) postDeviceCode(w http.ResponseWriter, r *http.Request) {
	const action = "device.code"
	var body struct {
		Point string `json:"point"`
	}
	if problem := readBody(w, r, &body); problem != nil {
		h.done(w, r, action, "point:", problem)
		return
	}
	point, ok := h.pointFor(w, r, action, body.Point)
	if !ok {
		return
	}
	p, _ := From(r.Context())
	code, expires, err := h.service.newDeviceCode(r.Context(), point, p.Identity)
	if h.done(w, r, action, "point:"+point.ID, err) {
		answer(w, http.StatusCreated, struct {
			Point   string    `json:"point"`
			Code    string    `json:"code"`
			Expires time.Time `json:"expires"`
		}{point.ID, code, expires})
	}
}

// enrol makes the calling browser a device of a point.
func (h *Handler) enrol(w http.ResponseWriter, r *http.Request) {
	const action = "device.enrol"
	s, ctx := h.service, r.Context()
	var body struct {
		Code  string `json:"code"`
		Label string `json:"label"`
	}
	if problem := readBody(w, r, &body); problem != nil {
		h.done(w, r, action, "unknown", problem)
		return
	}
	label, ok := optionalText(body.Label, maxLabel)
	if !ok || !isSixDigits(body.Code) {
		h.done(w, r, action, "unknown", problemField)
		return
	}
	c := clientOf(r)
	if label == "" {
		label = c.label
	}
	administrator := ""
	if p, ok := From(ctx); ok && p.Kind == KindUser && !p.MustChange {
		allowed, err := s.options.Access.Allows(ctx, p, PermissionDevices, p.Unit)
		if err != nil {
			h.done(w, r, action, "unknown", err)
			return
		}
		if allowed {
			administrator = p.ID
		}
	}
	token, n, err := s.enrolDevice(ctx, body.Code, label, c, presentSession(ctx), administrator)
	object := "unknown"
	if err == nil {
		object = "point:" + n.Subject
	}
	if h.done(w, r, action, object, err) {
		h.welcome(w, r, token, n)
	}
}

func (h *Handler) getDevices(w http.ResponseWriter, r *http.Request) {
	point, ok := h.pointFor(w, r, "device.list", r.URL.Query().Get("point"))
	if !ok {
		return
	}
	list, err := h.service.devices(r.Context(), point.ID)
	if h.done(w, r, "device.list", "point:"+point.ID, err) {
		answer(w, http.StatusOK, listed(list, ""))
	}
}

func (h *Handler) deleteDevice(w http.ResponseWriter, r *http.Request) {
	const action = "device.revoke"
	id := chi.URLParam(r, "id")
	n, err := session{}, error(problemForbidden)
	if validID(id) {
		n, err = h.service.deviceByID(r.Context(), id)
		if errors.Is(err, problemNotFound) {
			err = problemForbidden
		}
	}
	if err != nil {
		h.done(w, r, action, "session:"+cleaned(id, maxID), err)
		return
	}
	// A point that is gone has no unit: its devices are those of who may everywhere.
	point, err := h.service.options.Points.Point(r.Context(), n.Subject)
	if err != nil && !errors.Is(err, ErrNoPoint) {
		h.done(w, r, action, "point:"+n.Subject, err)
		return
	}
	if !h.may(w, r, action, "point:"+n.Subject, PermissionDevices, point.Unit) {
		return
	}
	ended, err := h.service.endSessions(r.Context(), `id = $1 AND kind = $2`, id, string(KindPoint))
	if err == nil && len(ended) == 0 {
		err = problemNotFound
	}
	if h.done(w, r, action, "point:"+n.Subject, err) {
		answerNothing(w)
	}
}
