package directory

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
)

// facts are what Permits needs to decide about a user in a unit.
type facts struct {
	ancestors   []string
	assignments []Assignment
	overrides   []Override
}

// One statement, so that all facts are of one moment. Filled in are which unit
// and, if only one is asked for, which permission.
const factsQuery = `WITH RECURSIVE up(id, parent_id, depth) AS (
	SELECT id, parent_id, 0 FROM units WHERE %s
	UNION ALL SELECT u.id, u.parent_id, up.depth + 1 FROM units u JOIN up ON u.id = up.parent_id WHERE up.depth < 64)
	SELECT 0, up.depth, up.id, '', '', 0 FROM up
	UNION ALL SELECT 1, up.depth, up.id, a.role, '', 0 FROM up
		JOIN role_assignments a ON a.unit_id = up.id
		JOIN users u ON u.id = a.user_id AND u.enabled = $1
		WHERE a.user_id = $2
	UNION ALL SELECT 2, up.depth, up.id, o.role, o.permission, CASE WHEN o.allow = $1 THEN 1 ELSE 0 END FROM up
		JOIN permission_overrides o ON o.unit_id = up.id %s
	ORDER BY 1, 2`

// factsOf reads the facts for one permission, or for all ("").
func (d *Directory) factsOf(ctx context.Context, userID string, p Permission, unitID string) (facts, error) {
	args := []any{true, known(userID)}
	where, only := "parent_id IS NULL", ""
	if unitID != "" {
		args = append(args, known(unitID))
		where = fmt.Sprintf("id = $%d", len(args))
	}
	if p != "" {
		args = append(args, string(p))
		only = fmt.Sprintf("AND o.permission = $%d", len(args))
	}
	rows, err := d.db.Query(ctx, fmt.Sprintf(factsQuery, where, only), args...)
	if err != nil {
		return facts{}, fmt.Errorf("directory: permissions: %w", err)
	}
	defer rows.Close()
	var f facts
	for rows.Next() {
		if err := f.add(rows, userID); err != nil {
			return facts{}, fmt.Errorf("directory: permissions: %w", err)
		}
	}
	return f, rows.Err()
}

func (f *facts) add(rows *sql.Rows, userID string) error {
	var what, depth, allow int
	var unit, role, permission string
	if err := rows.Scan(&what, &depth, &unit, &role, &permission, &allow); err != nil {
		return err
	}
	switch what {
	case 0:
		f.ancestors = append(f.ancestors, unit)
	case 1:
		f.assignments = append(f.assignments, Assignment{UserID: userID, Role: Role(role), UnitID: unit})
	default:
		f.overrides = append(f.overrides, Override{UnitID: unit, Role: Role(role), Permission: Permission(permission), Allow: allow == 1})
	}
	return nil
}

// Can reports whether the user may do p in the unit; "" asks about the root,
// that is about everything. An unknown or disabled user and an unknown unit
// may nothing. The answer is of the store's present state, never cached.
func (d *Directory) Can(ctx context.Context, userID string, p Permission, unitID string) (bool, error) {
	if !p.Valid() {
		return false, fail("invalid_permission", "permission")
	}
	f, err := d.factsOf(ctx, userID, p, unitID)
	if err != nil {
		return false, err
	}
	return Permits(f.assignments, f.overrides, f.ancestors, p), nil
}

// PermissionsIn lists all that the user may do in the unit, as Can tells it.
func (d *Directory) PermissionsIn(ctx context.Context, userID, unitID string) ([]Permission, error) {
	f, err := d.factsOf(ctx, userID, "", unitID)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(Permissions(), func(p Permission) bool {
		return !Permits(f.assignments, f.overrides, f.ancestors, p)
	}), nil
}

// RolesIn lists the roles that the user holds in the unit, from it or from above.
func (d *Directory) RolesIn(ctx context.Context, userID, unitID string) ([]Role, error) {
	f, err := d.factsOf(ctx, userID, DirectoryRead, unitID)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(Roles(), func(r Role) bool {
		return !slices.ContainsFunc(f.assignments, func(a Assignment) bool { return a.Role == r })
	}), nil
}

// CanAdjust reports whether the user may set overrides and so must be asked
// before [Directory.SetOverride]. It takes PermissionAdjust in the unit above
// (at the root: in it), so that nobody widens what holds for themselves only
// because they administer one unit, and an administrator from above can always
// undo what was denied below.
func (d *Directory) CanAdjust(ctx context.Context, userID, unitID string) (bool, error) {
	unit, err := d.Unit(ctx, unitID)
	if err != nil {
		return false, err
	}
	return d.Can(ctx, userID, PermissionAdjust, unit.ParentID)
}

// UnitsWhere lists the ids of all units in which the user may do p, in the
// order of the tree.
func (d *Directory) UnitsWhere(ctx context.Context, userID string, p Permission) ([]string, error) {
	if !p.Valid() {
		return nil, fail("invalid_permission", "permission")
	}
	units, err := d.Units(ctx)
	if err != nil {
		return nil, err
	}
	assignments, err := all(ctx, d.db, scanAssignment, assignmentQuery+
		" WHERE user_id = $1 AND EXISTS (SELECT 1 FROM users u WHERE u.id = $1 AND u.enabled = $2)", known(userID), true)
	if err != nil || len(assignments) == 0 {
		return []string{}, err
	}
	overrides, err := all(ctx, d.db, scanOverride, overrideQuery+" WHERE permission = $1", string(p))
	if err != nil {
		return nil, err
	}
	ids := []string{}
	var path []string // from the root to the unit
	for _, u := range units {
		path = append(path[:u.Depth], u.ID)
		above := slices.Clone(path)
		slices.Reverse(above)
		if Permits(assignments, overrides, above, p) {
			ids = append(ids, u.ID)
		}
	}
	return ids, nil
}
