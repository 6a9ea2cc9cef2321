package directory

import (
	"context"
	"slices"
	"strings"
)

// units plans a table of units. Parents may stand below their children in the
// file, so places are checked when all rows are known.
func (p *plan) units(s *state) {
	type row struct {
		rec      record
		old, new Unit
		parent   string // code
		moved    bool
	}
	seen := map[string]int{}
	rows := make([]*row, 0, len(p.records))
	byCode := make(map[string]string, len(s.units)) // id
	parents := make(map[string]string, len(s.units))
	for _, u := range s.units {
		byCode[u.Code], parents[u.ID] = u.ID, u.ParentID
	}
	for _, rec := range p.records {
		code := p.key(rec, "code", seen, func(v string) (string, error) { return cleanCode("code", v) })
		old := s.unitByCode[code]
		r := &row{rec: rec, old: old, new: old}
		if old.ID == "" {
			r.new = Unit{ID: newID(), Code: code}
		}
		p.text(rec, "name", &r.new.Name, maxName, true)
		p.text(rec, "shortName", &r.new.ShortName, maxShort, false)
		p.text(rec, "kind", &r.new.Kind, maxShort, false)
		p.number(rec, "sortOrder", &r.new.SortOrder)
		_, r.moved = rec.values["parentId"]
		p.field(rec, "parentId", &r.parent, func(v string) (string, error) {
			if v == "" {
				return "", nil
			}
			return cleanCode("parentId", v)
		})
		if code != "" {
			byCode[code] = r.new.ID
			rows = append(rows, r)
		}
	}
	root := ""
	if len(s.units) > 0 {
		root = s.units[0].ID
	}
	rowOf := make(map[string]record, len(rows))
	for _, r := range rows {
		if r.moved || r.old.ID == "" {
			root = p.parent(r.rec, &r.new, r.parent, byCode, root)
		}
		parents[r.new.ID] = r.new.ParentID
		rowOf[r.new.ID] = r.rec
	}
	p.places(parents, rowOf)
	if len(parents) > MaxUnits {
		p.errors = append(p.errors, RowError{Problem: fail("too_many", "", MaxUnits)})
	}
	// A parent is written before its children.
	depths := make(map[string]int, len(rows))
	for _, r := range rows {
		for at := r.new.ID; at != "" && depths[r.new.ID] <= MaxDepth; at = parents[at] {
			depths[r.new.ID]++
		}
	}
	slices.SortStableFunc(rows, func(a, b *row) int { return depths[a.new.ID] - depths[b.new.ID] })
	for _, r := range rows {
		switch {
		case r.old.ID == "":
			p.created++
			p.writes = append(p.writes, func(ctx context.Context, d *Directory, tx txReader) error { return d.insertUnit(ctx, tx, &r.new) })
		case r.old != r.new:
			p.updated++
			p.writes = append(p.writes, func(ctx context.Context, d *Directory, tx txReader) error { return d.replaceUnit(ctx, tx, &r.new) })
		default:
			p.unchanged++
		}
	}
}

// parent resolves the parent of a row. It gives the root's id, which the first
// row without a parent makes in an empty directory.
func (p *plan) parent(rec record, u *Unit, code string, byCode map[string]string, root string) string {
	if code == "" {
		switch {
		case root == "":
			root = u.ID
		case root != u.ID:
			p.add(rec, "parentId", fail("root_exists", "parentId"))
			return root
		}
		u.ParentID = ""
		return root
	}
	id, ok := byCode[code]
	switch {
	case !ok:
		p.add(rec, "parentId", fail("unknown_unit", "parentId"))
	case root == u.ID:
		p.add(rec, "parentId", fail("root_kept", "parentId"))
	default:
		u.ParentID = id
	}
	return root
}

// places checks the tree as it would be. A unit that is not in the file can be
// too deep only because of a row above it.
func (p *plan) places(parents map[string]string, rowOf map[string]record) {
	told := map[int]bool{}
	for id := range parents {
		code := placeError(parents, id)
		if code == "" {
			continue
		}
		at := id
		for range 4 * MaxDepth {
			if _, ok := rowOf[at]; ok || at == "" {
				break
			}
			at = parents[at]
		}
		rec, ok := rowOf[at]
		if !ok || told[rec.row] {
			continue
		}
		told[rec.row] = true
		if code == "unit_too_deep" {
			p.add(rec, "parentId", fail(code, "parentId", MaxDepth))
		} else {
			p.add(rec, "parentId", fail(code, "parentId"))
		}
	}
}

func (p *plan) points(ctx context.Context, r reader, s *state) error {
	stored, err := all(ctx, r, scanPoint, "SELECT "+pointColumns+" FROM points")
	if err != nil {
		return err
	}
	byCode := make(map[string]Point, len(stored))
	for _, point := range stored {
		byCode[point.Code] = point
	}
	seen := map[string]int{}
	for _, rec := range p.records {
		code := p.key(rec, "code", seen, func(v string) (string, error) { return cleanCode("code", v) })
		old := byCode[code]
		point := old
		if old.ID == "" {
			point = Point{ID: newID(), Code: code, Kind: RoomDevice, Enabled: true}
		}
		p.text(rec, "name", &point.Name, maxName, true)
		p.unit(rec, s, &point.UnitID)
		p.text(rec, "place", &point.Place, maxPlace, false)
		if v := rec.values["kind"]; v != "" {
			kind, ok := kindOf(v)
			if !ok {
				p.add(rec, "kind", fail("invalid_kind", "kind", allPointKinds()))
			}
			point.Kind = kind
		}
		p.text(rec, "technician", &point.Technician, maxName, false)
		p.phone(rec, "techPhone", &point.TechPhone)
		p.bool(rec, "enabled", &point.Enabled)
		switch {
		case old.ID == "":
			p.created++
			p.writes = append(p.writes, func(ctx context.Context, d *Directory, tx txReader) error { return d.insertPoint(ctx, tx, &point) })
		case old != point:
			p.updated++
			p.writes = append(p.writes, func(ctx context.Context, d *Directory, tx txReader) error { return d.replacePoint(ctx, tx, &point) })
		default:
			p.unchanged++
		}
	}
	if len(stored)+p.created > MaxPoints {
		p.errors = append(p.errors, RowError{Problem: fail("too_many", "", MaxPoints)})
	}
	return nil
}

func (p *plan) users(ctx context.Context, r reader, s *state) error {
	stored, err := all(ctx, r, scanUser, "SELECT "+userColumns+" FROM users")
	if err != nil {
		return err
	}
	held, err := rolesByUser(ctx, r)
	if err != nil {
		return err
	}
	byLogin := make(map[string]User, len(stored))
	for _, u := range stored {
		byLogin[u.Login] = u
	}
	positions := make(map[string]string, len(s.positions))
	for _, pos := range s.positions {
		positions[positionKey(pos.Name)] = pos.ID
	}
	guard := newAdministratorGuard(s, stored, held)
	seen := map[string]int{}
	for _, rec := range p.records {
		login := p.key(rec, "login", seen, NormalizeLogin)
		old := byLogin[login]
		u := old
		if old.ID == "" {
			u = User{ID: newID(), Login: login, Enabled: true}
		}
		p.text(rec, "fullName", &u.FullName, maxName, true)
		p.unit(rec, s, &u.UnitID)
		p.position(rec, positions, &u.PositionID)
		p.field(rec, "mail", &u.Mail, func(v string) (string, error) { return cleanMail("mail", v) })
		p.phone(rec, "phone", &u.Phone)
		p.bool(rec, "enabled", &u.Enabled)
		before := held[old.ID]
		after := p.roles(rec, s, u.UnitID, before)
		guard.change(rec, u, after)
		p.user(old, u, before, after)
	}
	if len(stored)+p.created > MaxUsers {
		p.errors = append(p.errors, RowError{Problem: fail("too_many", "", MaxUsers)})
	}
	if rec, locked := guard.locked(); locked {
		p.add(rec, "", fail("last_administrator", ""))
	}
	return nil
}

func (p *plan) user(old, u User, before, after []RoleIn) {
	sameRoles := slices.Equal(before, after)
	switch {
	case old.ID == "":
		p.created++
		p.writes = append(p.writes, func(ctx context.Context, d *Directory, tx txReader) error { return d.insertUser(ctx, tx, &u) })
	case old != u || !sameRoles:
		p.updated++
		p.writes = append(p.writes, func(ctx context.Context, d *Directory, tx txReader) error { return d.replaceUser(ctx, tx, &u) })
	default:
		p.unchanged++
		return
	}
	if !sameRoles {
		p.writes = append(p.writes, func(ctx context.Context, _ *Directory, tx txReader) error {
			return writeRoles(ctx, tx, u.ID, before, after)
		})
	}
}

// position looks up a position by name, adding it to the list if that is wanted.
func (p *plan) position(rec record, positions map[string]string, to *string) {
	name, ok := "", false
	if _, ok = rec.values["positionId"]; !ok {
		return
	}
	failed := len(p.errors)
	p.text(rec, "positionId", &name, maxName, false)
	if len(p.errors) > failed {
		return
	}
	if name == "" {
		*to = ""
		return
	}
	id, ok := positions[positionKey(name)]
	if !ok {
		if !p.options.AddPositions || len(positions) >= MaxPositions {
			p.add(rec, "positionId", fail("unknown_position", "positionId"))
			return
		}
		added := Position{ID: newID(), Name: name}
		id = added.ID
		positions[positionKey(name)] = id
		p.writes = append(p.writes, func(ctx context.Context, d *Directory, tx txReader) error { return d.insertPosition(ctx, tx, &added) })
	}
	*to = id
}

// roles reads "Thư ký@SNV; Đại biểu": roles, each in a unit given by its code
// or else in the user's own.
func (p *plan) roles(rec record, s *state, ownUnit string, before []RoleIn) []RoleIn {
	v, ok := rec.values["roles"]
	if !ok {
		return before
	}
	var list []RoleIn
	for entry := range strings.SplitSeq(v, ";") {
		name, code, given := strings.Cut(entry, "@")
		if name = strings.TrimSpace(name); name == "" && !given {
			continue
		}
		role, ok := roleOf(name)
		if !ok {
			p.add(rec, "roles", fail("invalid_role", "roles", allRoleLabels()))
			continue
		}
		unit := ownUnit
		if given {
			u, ok := s.unitByCode[strings.ToUpper(strings.TrimSpace(code))]
			if !ok {
				p.add(rec, "roles", fail("unknown_unit", "roles"))
				continue
			}
			unit = u.ID
		}
		list = append(list, RoleIn{role, unit})
	}
	sortRoles(list)
	list = slices.Compact(list)
	if len(list) > MaxRoles {
		p.add(rec, "roles", fail("too_many", "roles", MaxRoles))
	}
	return list
}

func rolesByUser(ctx context.Context, r reader) (map[string][]RoleIn, error) {
	list, err := all(ctx, r, scanAssignment, assignmentQuery)
	if err != nil {
		return nil, err
	}
	held := map[string][]RoleIn{}
	for _, a := range list {
		held[a.UserID] = append(held[a.UserID], RoleIn{a.Role, a.UnitID})
	}
	for _, roles := range held {
		sortRoles(roles)
	}
	return held, nil
}

// administratorGuard follows who can still manage everything, so that a dry
// run finds what the write would be refused for.
type administratorGuard struct {
	root    string
	enabled map[string]bool // ids of enabled administrators at the root
	before  int
	last    record // that took one away
}

func newAdministratorGuard(s *state, users []User, held map[string][]RoleIn) *administratorGuard {
	g := &administratorGuard{enabled: map[string]bool{}}
	if len(s.units) > 0 {
		g.root = s.units[0].ID
	}
	for _, u := range users {
		if u.Enabled && slices.Contains(held[u.ID], RoleIn{Administrator, g.root}) {
			g.enabled[u.ID] = true
		}
	}
	g.before = len(g.enabled)
	return g
}

func (g *administratorGuard) change(rec record, u User, roles []RoleIn) {
	if u.Enabled && slices.Contains(roles, RoleIn{Administrator, g.root}) {
		g.enabled[u.ID] = true
	} else if g.enabled[u.ID] {
		delete(g.enabled, u.ID)
		g.last = rec
	}
}

func (g *administratorGuard) locked() (record, bool) {
	return g.last, g.before > 0 && len(g.enabled) == 0
}
