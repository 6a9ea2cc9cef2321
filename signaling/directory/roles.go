package directory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// RoleIn is a role held in a unit and everything below it.
type RoleIn struct {
	Role   Role   `json:"role"`
	UnitID string `json:"unitId"`
}

const assignmentQuery = "SELECT user_id, role, unit_id FROM role_assignments"

func scanAssignment(s scanner) (Assignment, error) {
	var a Assignment
	err := s.Scan(&a.UserID, &a.Role, &a.UnitID)
	return a, err
}

// Assignments lists a user's roles.
func (d *Directory) Assignments(ctx context.Context, userID string) ([]Assignment, error) {
	return all(ctx, d.db, scanAssignment, assignmentQuery+" WHERE user_id = $1 ORDER BY unit_id, role", known(userID))
}

// AssignmentsIn lists who holds a role given in exactly this unit.
func (d *Directory) AssignmentsIn(ctx context.Context, unitID string) ([]Assignment, error) {
	return all(ctx, d.db, scanAssignment, assignmentQuery+" WHERE unit_id = $1 ORDER BY role, user_id", known(unitID))
}

// Assign gives a role; giving it twice is no error.
func (d *Directory) Assign(ctx context.Context, a Assignment) error {
	return d.changeRoles(ctx, a.UserID, 0, func(roles []RoleIn) []RoleIn {
		return append(roles, RoleIn{a.Role, a.UnitID})
	})
}

// Unassign takes a role; taking one that is not held is no error. The last
// enabled administrator at the root keeps it.
func (d *Directory) Unassign(ctx context.Context, a Assignment) error {
	return d.changeRoles(ctx, a.UserID, 0, func(roles []RoleIn) []RoleIn {
		return slices.DeleteFunc(roles, func(r RoleIn) bool { return r == RoleIn{a.Role, a.UnitID} })
	})
}

// SetRoles makes roles the user's only ones, if the user still has version.
func (d *Directory) SetRoles(ctx context.Context, userID string, version int64, roles []RoleIn) error {
	if version == 0 {
		return ErrConflict
	}
	return d.changeRoles(ctx, userID, version, func([]RoleIn) []RoleIn { return slices.Clone(roles) })
}

func (d *Directory) changeRoles(ctx context.Context, userID string, version int64, change func([]RoleIn) []RoleIn) error {
	return d.write(ctx, "", func(tx txReader) error {
		held, err := all(ctx, tx, scanAssignment, assignmentQuery+" WHERE user_id = $1", known(userID))
		if err != nil {
			return err
		}
		before := make([]RoleIn, len(held))
		for i, a := range held {
			before[i] = RoleIn{a.Role, a.UnitID}
		}
		sortRoles(before)
		after := change(slices.Clone(before))
		sortRoles(after)
		after = slices.Compact(after)
		if err := checkRoles(ctx, tx, after); err != nil {
			return err
		}
		if slices.Equal(before, after) && version == 0 {
			// Nothing to do, but an unknown user is an error all the same.
			n, err := count(ctx, tx, "SELECT count(*) FROM users WHERE id = $1", known(userID))
			if err == nil && n == 0 {
				return ErrNotFound
			}
			return err
		}
		if err := d.touchUser(ctx, tx, userID, version); err != nil {
			return err
		}
		return writeRoles(ctx, tx, userID, before, after)
	})
}

func checkRoles(ctx context.Context, r reader, roles []RoleIn) error {
	if len(roles) > MaxRoles {
		return fail("too_many", "roles", MaxRoles)
	}
	for _, role := range roles {
		if !role.Role.Valid() {
			return fail("invalid_role", "role", allRoleLabels())
		}
		if err := requireUnit(ctx, r, role.UnitID); err != nil {
			return err
		}
	}
	return nil
}

func writeRoles(ctx context.Context, tx txReader, userID string, before, after []RoleIn) error {
	for _, r := range before {
		if !slices.Contains(after, r) {
			if _, err := tx.ExecContext(ctx, "DELETE FROM role_assignments WHERE user_id = $1 AND unit_id = $2 AND role = $3", known(userID), r.UnitID, string(r.Role)); err != nil {
				return err
			}
		}
	}
	for _, r := range after {
		if !slices.Contains(before, r) {
			if _, err := tx.ExecContext(ctx, "INSERT INTO role_assignments (user_id, unit_id, role) VALUES ($1, $2, $3)", userID, r.UnitID, string(r.Role)); err != nil {
				return err
			}
		}
	}
	return nil
}

func sortRoles(list []RoleIn) {
	slices.SortFunc(list, func(a, b RoleIn) int {
		return cmp.Or(strings.Compare(a.UnitID, b.UnitID), strings.Compare(string(a.Role), string(b.Role)))
	})
}

// Overrides lists what was changed in exactly this unit.
func (d *Directory) Overrides(ctx context.Context, unitID string) ([]Override, error) {
	return all(ctx, d.db, scanOverride, overrideQuery+" WHERE unit_id = $1 ORDER BY permission, role", known(unitID))
}

const overrideQuery = "SELECT unit_id, role, permission, allow, version FROM permission_overrides"

func scanOverride(s scanner) (Override, error) {
	var o Override
	err := s.Scan(&o.UnitID, &o.Role, &o.Permission, &o.Allow, &o.Version)
	return o, err
}

// SetOverride writes o and gives it with its new Version. Version 0 adds it
// (ErrConflict if it is there), else it is changed if it still has that version.
//
// Who holds PermissionAdjust in a unit may change what is below it, not what
// holds for themselves: callers ask [Directory.CanAdjust].
func (d *Directory) SetOverride(ctx context.Context, o Override) (Override, error) {
	if !o.Role.Valid() {
		return Override{}, fail("invalid_role", "role", allRoleLabels())
	}
	if !o.Permission.Valid() {
		return Override{}, fail("invalid_permission", "permission")
	}
	err := d.write(ctx, "", func(tx txReader) error {
		above, err := ancestors(ctx, tx, o.UnitID)
		switch {
		case err != nil:
			return err
		case len(above) == 1 && !o.Allow && keptAtRoot(o.Role, o.Permission):
			return fail("root_permission_kept", "permission")
		case o.Version == 0:
			return d.insertOverride(ctx, tx, o)
		}
		res, err := tx.ExecContext(ctx, `UPDATE permission_overrides SET allow = $5, version = version + 1, updated_at = $6
			WHERE unit_id = $1 AND permission = $2 AND role = $3 AND version = $4`,
			known(o.UnitID), string(o.Permission), string(o.Role), o.Version, o.Allow, d.millis())
		return touched(res, err)
	})
	if err != nil {
		return Override{}, err
	}
	o.Version++
	return o, nil
}

func (d *Directory) insertOverride(ctx context.Context, tx txReader, o Override) error {
	res, err := tx.ExecContext(ctx, `INSERT INTO permission_overrides (unit_id, permission, role, allow, version, updated_at)
		VALUES ($1, $2, $3, $4, 1, $5) ON CONFLICT DO NOTHING`,
		o.UnitID, string(o.Permission), string(o.Role), o.Allow, d.millis())
	return touched(res, err)
}

// RemoveOverride goes back to what is inherited, if o still has o.Version.
func (d *Directory) RemoveOverride(ctx context.Context, o Override) error {
	return d.write(ctx, "", func(tx txReader) error {
		res, err := tx.ExecContext(ctx, "DELETE FROM permission_overrides WHERE unit_id = $1 AND permission = $2 AND role = $3 AND version = $4",
			known(o.UnitID), string(o.Permission), string(o.Role), o.Version)
		return touched(res, err)
	})
}

// touched makes a statement that met no row a conflict.
func touched(res interface{ RowsAffected() (int64, error) }, err error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return fmt.Errorf("directory: %w", err)
	}
	if n == 0 {
		return ErrConflict
	}
	return nil
}
