package conference

import (
	"context"
	"regexp"
	"strings"

	"diemcau/signaling/account"
	"diemcau/signaling/live"
	"diemcau/signaling/meeting"
	"diemcau/signaling/problem"
)

// meetingForm is what the server makes as ids of meetings; others' are not looked up.
var meetingForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// identityOf is who somebody is in meetings, without device.
func identityOf(p account.Principal) string {
	id, _, _ := strings.Cut(p.Identity, "#")
	return id
}

// caller is who makes the request of ctx, if the session may do anything yet.
func caller(ctx context.Context) (account.Principal, error) {
	p, ok := account.From(ctx)
	switch {
	case !ok:
		return p, problem.NotSignedIn
	case p.MustChange:
		return p, problem.PasswordMustChange
	}
	return p, nil
}

// enter is caller for one meeting: guests have only their own.
func enter(ctx context.Context, id string) (account.Principal, error) {
	p, err := caller(ctx)
	if err != nil {
		return p, err
	}
	if !meetingForm.MatchString(id) || p.Kind == account.KindGuest && p.Meeting != id {
		return p, problem.NotFound
	}
	return p, nil
}

// reader is caller for what costs more to answer than to ask for: a copy of a whole
// meeting, its history, a search. One person's requests must not keep its loop from
// the others' commands.
func (s *Service) reader(ctx context.Context) (account.Principal, error) {
	p, err := caller(ctx)
	if err == nil && !s.reads.allow(p.SessionID) {
		return p, tooFast
	}
	return p, err
}

// admitted is enter for who is not in the lobby.
func admitted(ctx context.Context, id string) (account.Principal, error) {
	p, err := enter(ctx, id)
	if err == nil && p.Lobby {
		return p, problem.InLobby
	}
	return p, err
}

// letIn says whether a guest who waited when the session was looked up, which for a
// socket is when it was opened, has been let into the meeting since.
func (s *Service) letIn(ctx context.Context, id string, p account.Principal) (in bool) {
	err := s.hub.Look(ctx, id, func(st *meeting.State) { in = st.People[identityOf(p)] != nil })
	return err == nil && in
}

// viewerOf is p as a viewer of a meeting.
func (s *Service) viewerOf(ctx context.Context, p account.Principal, id string) (meeting.Viewer, error) {
	v := meeting.Viewer{ID: identityOf(p)}
	unit, err := s.unitOf(ctx, id)
	if err != nil {
		return v, err
	}
	v.Permissions, err = s.o.People.Permissions(ctx, v.ID, unit)
	return v, err
}

// sees says whether a viewer may see the meeting, or at least waits in its lobby.
func sees(st *meeting.State, v meeting.Viewer) (in, waits bool) {
	standing := meeting.Standing(st, v)
	if strings.HasPrefix(standing, "lobby ") {
		return false, true
	}
	return standing[2] == 'v', false
}

// look calls fn with the state of a meeting that the caller may see; to everybody
// else it is not there.
func (s *Service) look(ctx context.Context, id string, fn func(st *meeting.State, v meeting.Viewer)) (account.Principal, error) {
	p, err := admitted(ctx, id)
	if err != nil {
		return p, err
	}
	v, err := s.viewerOf(ctx, p, id)
	if err != nil {
		return p, err
	}
	err = live.ErrNoMeeting
	if e := s.hub.Look(ctx, id, func(st *meeting.State) {
		if in, _ := sees(st, v); in {
			err = nil
			fn(st, v)
		}
	}); e != nil {
		return p, e
	}
	return p, err
}

// conducts says whether somebody is a chair or a secretary.
func conducts(st *meeting.State, identity string) bool {
	p := st.People[identity]
	return p != nil && (p.Role == meeting.RoleChair || p.Role == meeting.RoleSecretary)
}
