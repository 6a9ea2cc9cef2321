package office

import (
	"context"
	"errors"
	"slices"

	"diemcau/signaling/account"
	"diemcau/signaling/directory"
	"diemcau/signaling/live"
	"diemcau/signaling/meeting"
)

// points are the meeting points as room devices see them. A disabled point has
// no devices.
type points struct{ directory *directory.Directory }

func (p points) Point(ctx context.Context, id string) (account.Point, error) {
	point, err := p.directory.Point(ctx, id)
	if errors.Is(err, directory.ErrNotFound) || err == nil && !point.Enabled {
		return account.Point{}, account.ErrNoPoint
	}
	return account.Point{ID: point.ID, Name: point.Name, Unit: point.UnitID}, err
}

// access answers what signing in asks about permissions, from the directory and
// from the roles in meetings.
type access struct {
	directory *directory.Directory
	hub       *live.Hub // nil in commands, which ask nothing of meetings
}

// Allows says whether p has permission in a unit or a meeting.
func (a *access) Allows(ctx context.Context, p account.Principal, permission, scope string) (bool, error) {
	if p.Kind != account.KindUser || p.MustChange {
		return false, nil
	}
	switch permission {
	case account.PermissionResetSignIn:
		return a.directory.Can(ctx, p.ID, directory.DirectoryManage, scope)
	case account.PermissionDevices:
		return a.directory.Can(ctx, p.ID, directory.DeviceEnrol, scope)
	case account.PermissionGuestLinks:
		return a.inMeeting(ctx, p, scope, directory.GuestInvite, meeting.RoleChair, meeting.RoleSecretary)
	case account.PermissionGuestAdmit:
		return a.inMeeting(ctx, p, scope, directory.GuestAdmit, meeting.RoleChair, meeting.RoleSecretary, meeting.RoleOperator)
	}
	return false, nil
}

// inMeeting: by one of the roles in the meeting, or by a permission in the unit
// that holds it.
func (a *access) inMeeting(ctx context.Context, p account.Principal, id string, permission directory.Permission, roles ...meeting.Role) (bool, error) {
	unit, allowed := "", false
	err := a.hub.Look(ctx, id, func(s *meeting.State) {
		unit = s.Info.Unit
		person := s.People["user:"+p.ID]
		allowed = person != nil && slices.Contains(roles, person.Role)
	})
	switch {
	case errors.Is(err, live.ErrNoMeeting):
		return false, nil
	case err != nil || allowed:
		return allowed, err
	case unit == "":
		return false, nil // "" would ask about the root
	}
	return a.directory.Can(ctx, p.ID, permission, unit)
}

// Outranks: whoever could give themselves each of the user's roles gains nothing
// by becoming the user. Nobody resets their own sign-in this way: a session that
// was left open must not be enough for it.
func (a *access) Outranks(ctx context.Context, p account.Principal, userID string) (bool, error) {
	if p.Kind != account.KindUser || p.ID == userID {
		return false, nil
	}
	held, err := a.directory.Assignments(ctx, userID)
	if err != nil {
		return false, err
	}
	for _, role := range held {
		ok, err := a.directory.Can(ctx, p.ID, directory.RoleAssign, role.UnitID)
		if err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// people are the users and points as meetings see them.
type people struct{ directory *directory.Directory }

// maxName is the most characters that a meeting takes for a name.
const maxName = 120

// Person gives the name, unit and position of "user:<id>" or "point:<id>".
// Nobody of this id, or somebody who is disabled, is directory.ErrNotFound.
func (p people) Person(ctx context.Context, identity string) (meeting.PersonInfo, error) {
	kind, id := cutIdentity(identity)
	switch kind {
	case "user":
		u, err := p.directory.User(ctx, id)
		if err != nil {
			return meeting.PersonInfo{}, err
		}
		if !u.Enabled {
			return meeting.PersonInfo{}, directory.ErrNotFound
		}
		info := meeting.PersonInfo{ID: identity, Name: clip(u.FullName), Unit: u.UnitID}
		if u.PositionID == "" {
			return info, nil
		}
		position, err := p.directory.Position(ctx, u.PositionID)
		info.Position = clip(position.Name)
		return info, err
	case "point":
		point, err := p.directory.Point(ctx, id)
		if err != nil {
			return meeting.PersonInfo{}, err
		}
		if !point.Enabled {
			return meeting.PersonInfo{}, directory.ErrNotFound
		}
		return meeting.PersonInfo{ID: identity, Name: clip(point.Name), Unit: point.UnitID,
			Personal: point.Kind != directory.RoomDevice}, nil
	}
	return meeting.PersonInfo{}, directory.ErrNotFound
}

// UnitName gives the name of a unit.
func (p people) UnitName(ctx context.Context, id string) (string, error) {
	u, err := p.directory.Unit(ctx, id)
	return u.Name, err
}

// Permissions gives what an identity may do in a unit that holds meetings. Only
// users have any. The directory's permissions are finer than those that a meeting
// asks for before it knows one's role in it.
func (p people) Permissions(ctx context.Context, identity, unit string) (meeting.PermissionSet, error) {
	kind, id := cutIdentity(identity)
	if kind != "user" || unit == "" {
		return 0, nil
	}
	in, err := p.directory.PermissionsIn(ctx, id, unit)
	if err != nil {
		return 0, err
	}
	var set []meeting.Permission
	for _, m := range []struct {
		needs []directory.Permission
		gives meeting.Permission
	}{
		{[]directory.Permission{directory.MeetingPrepare}, meeting.PermPrepare},
		{[]directory.Permission{directory.MeetingApprove}, meeting.PermApprove},
		{[]directory.Permission{directory.LayoutControl, directory.DeviceControl}, meeting.PermOperate},
		{[]directory.Permission{directory.MinutesIssue}, meeting.PermArchive},
	} {
		if !slices.ContainsFunc(m.needs, func(n directory.Permission) bool { return !slices.Contains(in, n) }) {
			set = append(set, m.gives)
		}
	}
	// Naming the people of one's unit is a right in that unit, whoever holds the meeting.
	u, err := p.directory.User(ctx, id)
	if errors.Is(err, directory.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	own, err := p.directory.Can(ctx, id, directory.InvitationManage, u.UnitID)
	if own {
		set = append(set, meeting.PermAssign)
	}
	return meeting.Permissions(set...), err
}

func clip(s string) string {
	if r := []rune(s); len(r) > maxName {
		return string(r[:maxName-1]) + "…"
	}
	return s
}
