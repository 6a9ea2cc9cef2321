package account

import (
	"errors"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
)

func (h *Handler) postGuestLink(w http.ResponseWriter, r *http.Request) {
	const action = "guest.link"
	var body struct {
		Meeting string    `json:"meeting"`
		Label   string    `json:"label"`
		Expires time.Time `json:"expires"`
		MaxUses int       `json:"maxUses"`
	}
	if problem := readBody(w, r, &body); problem != nil {
		h.done(w, r, action, "meeting:", problem)
		return
	}
	s := h.service
	label, ok := optionalText(body.Label, maxLabel)
	now := s.now()
	if !ok || !validID(body.Meeting) || body.MaxUses < 1 || body.MaxUses > maxLinkUses ||
		!body.Expires.After(now) || body.Expires.After(now.Add(longestLink)) {
		h.done(w, r, action, "meeting:"+cleaned(body.Meeting, maxID), problemField)
		return
	}
	if !h.may(w, r, action, "meeting:"+body.Meeting, PermissionGuestLinks, body.Meeting) {
		return
	}
	p, _ := From(r.Context())
	link, token, err := s.newGuestLink(r.Context(), GuestLink{Meeting: body.Meeting, Label: label, Expires: body.Expires,
		MaxUses: body.MaxUses}, p.Identity)
	if h.done(w, r, action, "meeting:"+body.Meeting, err) {
		answer(w, http.StatusCreated, struct {
			GuestLink
			Token string `json:"token"`
		}{link, token})
	}
}

func (h *Handler) getGuestLinks(w http.ResponseWriter, r *http.Request) {
	meeting, ok := h.meetingOf(w, r, "guest.link.list", PermissionGuestLinks)
	if !ok {
		return
	}
	list, err := h.service.guestLinks(r.Context(), meeting)
	if h.done(w, r, "guest.link.list", "meeting:"+meeting, err) {
		answer(w, http.StatusOK, list)
	}
}

// meetingOf is the meeting of the query, in which the caller has permission.
func (h *Handler) meetingOf(w http.ResponseWriter, r *http.Request, action, permission string) (string, bool) {
	meeting := r.URL.Query().Get("meeting")
	if !validID(meeting) {
		return "", h.done(w, r, action, "meeting:"+cleaned(meeting, maxID), problemField)
	}
	return meeting, h.may(w, r, action, "meeting:"+meeting, permission, meeting)
}

func (h *Handler) deleteGuestLink(w http.ResponseWriter, r *http.Request) {
	const action = "guest.link.revoke"
	id := chi.URLParam(r, "id")
	link, err := GuestLink{}, error(problemForbidden)
	if validID(id) {
		link, err = h.service.guestLink(r.Context(), id)
	}
	if errors.Is(err, problemNotFound) { // who may not do this learns nothing
		err = problemForbidden
	}
	if err != nil {
		h.done(w, r, action, "link:"+cleaned(id, maxID), err)
		return
	}
	if !h.may(w, r, action, "link:"+id, PermissionGuestLinks, link.Meeting) {
		return
	}
	p, _ := From(r.Context())
	if h.done(w, r, action, "link:"+id, h.service.revokeLink(r.Context(), id, p.Identity)) {
		answerNothing(w)
	}
}

// postGuest takes a guest into the lobby. A browser that was there before, by this or
// another link, leaves its old place.
func (h *Handler) postGuest(w http.ResponseWriter, r *http.Request) {
	const action = "guest.redeem"
	s, ctx := h.service, r.Context()
	var body struct {
		Token string `json:"token"`
		Name  string `json:"name"`
	}
	if problem := readBody(w, r, &body); problem != nil {
		h.done(w, r, action, "unknown", problem)
		return
	}
	name, ok := shownText(body.Name, maxName)
	if !ok {
		h.done(w, r, action, "unknown", problemName)
		return
	}
	p, signed := From(ctx)
	if signed && p.Kind == KindPoint {
		h.done(w, r, action, "unknown", problemDeviceEnrolled)
		return
	}
	if signed && p.Kind == KindUser {
		h.done(w, r, action, "unknown", problemSignedIn)
		return
	}
	c := clientOf(r)
	counters := []counter{{"link address " + addressName(c.address), &limitLink}}
	if wait, err := s.reserve(ctx, counters); err != nil || wait > 0 {
		h.done(w, r, action, "unknown", throttledOr(err, wait))
		return
	}
	token, guest, n, err := s.redeem(ctx, body.Token, name, c, presentSession(ctx))
	object := "unknown"
	if err == nil {
		object = "guest:" + guest.ID
		err = s.forgive(ctx, counters, true)
	}
	if h.done(w, r, action, object, err) {
		h.welcome(w, r, token, n)
	}
}

func (h *Handler) getGuests(w http.ResponseWriter, r *http.Request) {
	meeting, ok := h.meetingOf(w, r, "guest.list", PermissionGuestAdmit)
	if !ok {
		return
	}
	list, err := h.service.Lobby(r.Context(), meeting)
	if h.done(w, r, "guest.list", "meeting:"+meeting, err) {
		answer(w, http.StatusOK, list)
	}
}

func (h *Handler) admitGuest(w http.ResponseWriter, r *http.Request) {
	h.decideGuest(w, r, GuestAdmitted)
}

func (h *Handler) refuseGuest(w http.ResponseWriter, r *http.Request) {
	h.decideGuest(w, r, GuestRefused)
}

func (h *Handler) decideGuest(w http.ResponseWriter, r *http.Request, to GuestState) {
	action := "guest.admit"
	if to == GuestRefused {
		action = "guest.refuse"
	}
	id := chi.URLParam(r, "id")
	guest, err := Guest{}, error(problemForbidden)
	if validID(id) {
		guest, err = h.service.Guest(r.Context(), id)
	}
	if errors.Is(err, problemNotFound) {
		err = problemForbidden
	}
	if err != nil {
		h.done(w, r, action, "guest:"+cleaned(id, maxID), err)
		return
	}
	if !h.may(w, r, action, "guest:"+id, PermissionGuestAdmit, guest.Meeting) {
		return
	}
	p, _ := From(r.Context())
	if to == GuestAdmitted {
		guest, err = h.service.Admit(r.Context(), id, p.Identity)
	} else {
		guest, err = h.service.Refuse(r.Context(), id, p.Identity)
	}
	if h.done(w, r, action, "guest:"+id, err) {
		answer(w, http.StatusOK, guest)
	}
}
