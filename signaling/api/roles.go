package api

import (
	"fmt"
	"slices"
	"strings"

	"diemcau/signaling/directory"
	"diemcau/signaling/problem"
)

// roleBody is a role with what it may do where no override says otherwise.
type roleBody struct {
	Role        directory.Role         `json:"role"`
	Label       string                 `json:"label"`
	Permissions []directory.Permission `json:"permissions" nullable:"false"`
}

type permissionBody struct {
	Permission directory.Permission `json:"permission"`
	Label      string               `json:"label"`
}

type roleTable struct {
	Body struct {
		Roles       []roleBody       `json:"roles" nullable:"false"`
		Permissions []permissionBody `json:"permissions" nullable:"false"`
	}
}

// Language is the part of an input that says which language texts shall have.
type Language struct {
	AcceptLanguage string `header:"Accept-Language"`
}

func (l Language) lang() string {
	if problem.English(l.AcceptLanguage) {
		return "en"
	}
	return "vi"
}

// roleIn is a role in a unit; the schema of directory.RoleIn would be the same.
type roleIn = directory.RoleIn

type userRoles struct {
	Body struct {
		Version int64    `json:"version" doc:"of the user"`
		Roles   []roleIn `json:"roles" nullable:"false"`
	}
}

type changedRoles struct {
	ByID
	Body struct {
		Version int64    `json:"version" minimum:"1" doc:"of the user"`
		Roles   []roleIn `json:"roles" nullable:"false" maxItems:"50"`
	}
}

func (a *API) roles() {
	d := a.o.Directory
	handle(a, route{"listRoles", get, "/roles", "roles", "All roles and permissions with their names", "role.list", 0, false, nil},
		func(c *call, in *Language) (*roleTable, error) {
			if err := a.needAnywhere(c, directory.DirectoryRead); err != nil {
				return nil, err
			}
			return roleNames(in.lang()), nil
		})
	handle(a, route{"getUserRoles", get, "/users/{id}/roles", "roles", "The roles of a user", "role.read", 0, false, nil},
		func(c *call, in *ByID) (*userRoles, error) {
			c.about("user:" + in.ID)
			u, err := needFor(a, c, directory.DirectoryRead, d.User, in.ID, unitOfUser)
			if err != nil {
				return nil, err
			}
			return a.rolesOf(c, u)
		})
	handle(a, route{"getUnitRoles", get, "/units/{id}/roles", "roles", "Who holds a role given in exactly this unit", "role.read", 0, false, nil},
		func(c *call, in *ByID) (*list[directory.Assignment], error) {
			c.about("unit:" + in.ID)
			u, err := needFor(a, c, directory.DirectoryRead, d.Unit, in.ID, unitID)
			if err != nil {
				return nil, err
			}
			held, err := d.AssignmentsIn(c, u.ID)
			return pageOf(held, ""), err
		})
	handle(a, route{"setUserRoles", put, "/users/{id}/roles", "roles", "Make these the only roles of a user", "role.assign", 0, false, nil}, a.setRoles)
}

func roleNames(lang string) *roleTable {
	var t roleTable
	for _, r := range directory.Roles() {
		t.Body.Roles = append(t.Body.Roles, roleBody{r, r.Label(lang), r.Presets()})
	}
	for _, p := range directory.Permissions() {
		t.Body.Permissions = append(t.Body.Permissions, permissionBody{p, p.Label(lang)})
	}
	return &t
}

func (a *API) rolesOf(c *call, u directory.User) (*userRoles, error) {
	held, err := a.o.Directory.Assignments(c, u.ID)
	if err != nil {
		return nil, err
	}
	var out userRoles
	out.Body.Version, out.Body.Roles = u.Version, []roleIn{}
	for _, h := range held {
		out.Body.Roles = append(out.Body.Roles, roleIn{Role: h.Role, UnitID: h.UnitID})
	}
	return &out, nil
}

// setRoles asks for role.assign in the unit of each role that is given or taken,
// and nothing for those that stay.
func (a *API) setRoles(c *call, in *changedRoles) (*userRoles, error) {
	c.about("user:" + in.ID)
	d := a.o.Directory
	u, err := d.User(c, in.ID)
	if err != nil {
		return nil, a.missing(c, directory.RoleAssign, err)
	}
	before, err := a.rolesOf(c, u)
	if err != nil {
		return nil, err
	}
	changed := difference(before.Body.Roles, in.Body.Roles)
	if len(changed) == 0 {
		// Who changes nothing still learns the roles, and counts the version up.
		changed = []roleIn{{UnitID: u.UnitID}}
	}
	for _, r := range changed {
		if err := a.need(c, directory.RoleAssign, r.UnitID); err != nil {
			return nil, err
		}
	}
	// The roles compared above are those of the version that SetRoles asks for.
	if u.Version != in.Body.Version {
		return nil, directory.ErrConflict
	}
	c.detail = roleList(before.Body.Roles) + " → " + roleList(in.Body.Roles)
	if err := d.SetRoles(c, u.ID, in.Body.Version, in.Body.Roles); err != nil {
		return nil, err
	}
	if u, err = d.User(c, u.ID); err != nil {
		return nil, err
	}
	return a.rolesOf(c, u)
}

// difference lists what is in one of two lists only.
func difference(a, b []roleIn) []roleIn {
	var out []roleIn
	for _, r := range a {
		if !slices.Contains(b, r) {
			out = append(out, r)
		}
	}
	for _, r := range b {
		if !slices.Contains(a, r) {
			out = append(out, r)
		}
	}
	return out
}

func roleList(roles []roleIn) string {
	names := make([]string, 0, len(roles))
	for _, r := range roles {
		names = append(names, fmt.Sprintf("%s@%s", r.Role, r.UnitID))
	}
	return "[" + strings.Join(names, " ") + "]"
}
