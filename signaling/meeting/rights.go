package meeting

import (
	"encoding/json"
	"slices"
	"strings"
)

// Permission is one right that the directory grants to somebody in the unit that
// holds the meeting. What a person may do as a member of the meeting follows
// from the role there instead.
type Permission uint8

// Permissions, by the names the directory uses.
const (
	PermPrepare Permission = iota // "meeting.prepare": make, change, submit, cancel a meeting, its agenda and invitations
	PermApprove                   // "meeting.approve": approve or return what was submitted
	PermOperate                   // "meeting.operate": the operator's desk, without being invited
	PermArchive                   // "meeting.archive"
	PermAssign                    // "unit.assign": name the people of one's own unit that was invited
	permissionCount
)

var permissionNames = [permissionCount]string{"meeting.prepare", "meeting.approve", "meeting.operate", "meeting.archive", "unit.assign"}

func (p Permission) String() string { return permissionNames[p] }

// PermissionSet is a set of permissions. As JSON it is a list of names.
type PermissionSet uint32

// Permissions makes a set.
func Permissions(ps ...Permission) PermissionSet {
	var set PermissionSet
	for _, p := range ps {
		set |= 1 << p
	}
	return set
}

// ParsePermissions makes a set of names; names this package does not use are left out.
func ParsePermissions(names []string) PermissionSet {
	var set PermissionSet
	for p := range permissionCount {
		if slices.Contains(names, p.String()) {
			set |= 1 << p
		}
	}
	return set
}

// Has says whether the permission is in the set.
func (s PermissionSet) Has(p Permission) bool { return s&(1<<p) != 0 }

// MarshalJSON writes the names.
func (s PermissionSet) MarshalJSON() ([]byte, error) {
	names := []string{}
	for p := range permissionCount {
		if s.Has(p) {
			names = append(names, p.String())
		}
	}
	return json.Marshal(names)
}

// Role is what somebody is in one meeting.
type Role string

// Roles in a meeting. Whether a person votes is kept beside the role.
const (
	RoleChair     Role = "chair"     // chủ tọa: may preside; one does at a time
	RoleSecretary Role = "secretary" // thư ký
	RoleOperator  Role = "operator"  // kỹ thuật
	RoleDelegate  Role = "delegate"  // đại biểu
	RoleGuest     Role = "guest"     // khách mời
	RoleObserver  Role = "observer"  // dự thính: watches and is not seen
	RolePoint     Role = "point"     // điểm cầu: a room of people, never a voter
)

var roles = []Role{RoleChair, RoleSecretary, RoleOperator, RoleDelegate, RoleGuest, RoleObserver, RolePoint}

// who says who may give a command. Any one that applies is enough.
type who struct {
	presiding bool // the chair who presides now
	roles     []Role
	perms     PermissionSet
	service   bool // the server's own parts, svc:…
	anyone    bool // whoever signed in; decide looks closer
	anonymous bool // nobody: the actor must be empty
}

var (
	preparers  = who{roles: []Role{RoleSecretary}, perms: Permissions(PermPrepare)}
	stagers    = who{presiding: true, roles: []Role{RoleSecretary}, perms: Permissions(PermPrepare)}
	approvers  = who{perms: Permissions(PermApprove)}
	chairOnly  = who{presiding: true}
	conductors = who{presiding: true, roles: []Role{RoleSecretary}}
	desk       = who{presiding: true, roles: []Role{RoleSecretary, RoleOperator}, perms: Permissions(PermOperate)}
	secretary  = who{roles: []Role{RoleSecretary}}
	members    = who{roles: roles}
	services   = who{service: true}
	speakers   = who{roles: []Role{RoleChair, RoleSecretary, RoleDelegate, RoleGuest, RolePoint}}
)

func (w who) allows(s *State, a Actor) bool {
	switch {
	case w.anonymous, w.anyone:
		return true
	case w.perms&a.Permissions != 0:
		return true
	case w.presiding && s.Presiding != "" && s.Presiding == a.ID:
		return true
	case w.service && isService(a.ID):
		return true
	}
	p := s.People[a.ID]
	return p != nil && slices.Contains(w.roles, p.Role)
}

// String says it in words, for tables.
func (w who) String() string {
	var out []string
	if w.presiding {
		out = append(out, "the presiding chair")
	}
	for _, r := range w.roles {
		out = append(out, string(r))
	}
	for p := range permissionCount {
		if w.perms.Has(p) {
			out = append(out, "permission "+p.String())
		}
	}
	for _, c := range []struct {
		is   bool
		name string
	}{{w.service, "svc:"}, {w.anyone, "anyone signed in"}, {w.anonymous, "nobody in particular"}} {
		if c.is {
			out = append(out, c.name)
		}
	}
	return strings.Join(out, ", ")
}

func isService(id string) bool { return len(id) > 4 && id[:4] == "svc:" }
func isUser(id string) bool    { return len(id) > 5 && id[:5] == "user:" }
func isGuest(id string) bool   { return len(id) > 6 && id[:6] == "guest:" }
func isPoint(id string) bool   { return len(id) > 6 && id[:6] == "point:" }
