package api

import (
	"fmt"

	"diemcau/signaling/directory"
	"diemcau/signaling/problem"
)

// OverridePath names a permission of a role in a unit.
type OverridePath struct {
	ByID
	Role       directory.Role       `path:"role" maxLength:"40"`
	Permission directory.Permission `path:"permission" maxLength:"60"`
}

type changedOverride struct {
	OverridePath
	Body struct {
		Allow   bool  `json:"allow"`
		Version int64 `json:"version" required:"false" minimum:"0" doc:"0 or none: there is no override yet"`
	}
}

type removedOverride struct {
	OverridePath
	Version int64 `query:"version" required:"true" minimum:"1"`
}

// overrides change what a role may do in a unit and below it.
func (a *API) overrides() {
	d := a.o.Directory
	handle(a, route{"listOverrides", get, "/units/{id}/overrides", "roles", "What roles may do otherwise in exactly this unit", "permission.list", 0, false, nil},
		func(c *call, in *ByID) (*list[directory.Override], error) {
			c.about("unit:" + in.ID)
			u, err := needFor(a, c, directory.PermissionAdjust, d.Unit, in.ID, unitID)
			if err != nil {
				return nil, err
			}
			all, err := d.Overrides(c, u.ID)
			return pageOf(all, ""), err
		})
	handle(a, route{"setOverride", put, "/units/{id}/overrides/{role}/{permission}", "roles", "Allow or deny a permission to a role from this unit on", "permission.adjust", 0, false, nil},
		func(c *call, in *changedOverride) (*one[directory.Override], error) {
			if err := a.adjust(c, in.OverridePath); err != nil {
				return nil, err
			}
			c.detail += fmt.Sprintf(" allow=%t", in.Body.Allow)
			o, err := d.SetOverride(c, directory.Override{UnitID: in.ID, Role: in.Role, Permission: in.Permission,
				Allow: in.Body.Allow, Version: in.Body.Version})
			return &one[directory.Override]{o}, err
		})
	handle(a, route{"removeOverride", remove, "/units/{id}/overrides/{role}/{permission}", "roles", "Go back to what is inherited", "permission.adjust", 0, false, nil},
		func(c *call, in *removedOverride) (*none, error) {
			if err := a.adjust(c, in.OverridePath); err != nil {
				return nil, err
			}
			c.detail += " inherited"
			return nil, d.RemoveOverride(c, directory.Override{UnitID: in.ID, Role: in.Role, Permission: in.Permission, Version: in.Version})
		})
}

// adjust asks whether the caller may set overrides in the unit, which the
// directory answers by the unit above.
func (a *API) adjust(c *call, in OverridePath) error {
	c.about("unit:" + in.ID)
	c.detail = string(in.Role) + " " + string(in.Permission)
	ok, err := a.o.Directory.CanAdjust(c, c.ID, in.ID)
	if err != nil {
		return a.missing(c, directory.PermissionAdjust, err)
	}
	if !ok {
		return problem.Forbidden
	}
	return nil
}
