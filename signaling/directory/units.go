package directory

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// Unit (đơn vị) is a node of the tree. There is one root.
type Unit struct {
	ID        string    `json:"id"`
	Code      string    `json:"code"`     // human-made, unique, upper case, ≤ 40 of A-Z 0-9 . _ -
	ParentID  string    `json:"parentId"` // "" for the root
	Name      string    `json:"name"`     // ≤ 200 characters
	ShortName string    `json:"shortName"`
	Kind      string    `json:"kind"`      // free text: "Sở", "Xã"; ≤ 60 characters
	SortOrder int       `json:"sortOrder"` // among its siblings, then by name
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
	Depth     int       `json:"depth"` // 0 for the root; given by Units only
}

func (u *Unit) clean() error {
	var c cleaner
	c.code("code", &u.Code)
	c.text("name", &u.Name, maxName, true)
	c.text("shortName", &u.ShortName, maxShort, false)
	c.text("kind", &u.Kind, maxShort, false)
	c.order(u.SortOrder)
	return c.err
}

func (u *Unit) search() string { return searchText(u.Name, u.ShortName, u.Code) }

const unitColumns = "id, code, COALESCE(parent_id, ''), name, short_name, kind, sort_order, version, created_at, updated_at, sort_key"

func scanKeyedUnit(s scanner) (keyed[Unit], error) {
	var u Unit
	var key []byte
	var created, updated int64
	err := s.Scan(&u.ID, &u.Code, &u.ParentID, &u.Name, &u.ShortName, &u.Kind, &u.SortOrder, &u.Version, &created, &updated, &key)
	u.CreatedAt, u.UpdatedAt = fromMillis(created), fromMillis(updated)
	return keyed[Unit]{u, key, u.ID}, err
}

func scanUnit(s scanner) (Unit, error) {
	k, err := scanKeyedUnit(s)
	return k.item, err
}

// Unit gives one unit, or ErrNotFound.
func (d *Directory) Unit(ctx context.Context, id string) (Unit, error) {
	return one(scanUnit, d.db.QueryRow(ctx, "SELECT "+unitColumns+" FROM units WHERE id = $1", known(id)))
}

// UnitByCode finds a unit by its code in any case, or gives ErrNotFound.
func (d *Directory) UnitByCode(ctx context.Context, code string) (Unit, error) {
	code, err := cleanCode("code", code)
	if err != nil {
		return Unit{}, ErrNotFound
	}
	return one(scanUnit, d.db.QueryRow(ctx, "SELECT "+unitColumns+" FROM units WHERE code = $1", code))
}

// Units gives the whole tree, each unit followed by what is below it, siblings
// by their order, then by name.
func (d *Directory) Units(ctx context.Context) ([]Unit, error) {
	return unitTree(ctx, d.db)
}

func unitTree(ctx context.Context, r reader) ([]Unit, error) {
	list, err := all(ctx, r, scanKeyedUnit, "SELECT "+unitColumns+" FROM units")
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b keyed[Unit]) int {
		if a.item.SortOrder != b.item.SortOrder {
			return a.item.SortOrder - b.item.SortOrder
		}
		if c := bytes.Compare(a.key, b.key); c != 0 {
			return c
		}
		return strings.Compare(a.item.Code, b.item.Code)
	})
	children := map[string][]Unit{}
	for _, e := range list {
		children[e.item.ParentID] = append(children[e.item.ParentID], e.item)
	}
	tree := make([]Unit, 0, len(list))
	var visit func(parent string, depth int)
	visit = func(parent string, depth int) {
		for _, u := range children[parent] {
			u.Depth = depth
			tree = append(tree, u)
			if depth <= MaxDepth {
				visit(u.ID, depth+1)
			}
		}
	}
	visit("", 0)
	return tree, nil
}

// SearchUnits lists units by name.
func (d *Directory) SearchUnits(ctx context.Context, q Query) (Page[Unit], error) {
	c, err := q.conditions("id")
	if err != nil {
		return Page[Unit]{}, err
	}
	return page(ctx, d.db, scanKeyedUnit, unitColumns, "units", &q, c)
}

const ancestorsQuery = `WITH RECURSIVE up(id, parent_id, depth) AS (
	SELECT id, parent_id, 0 FROM units WHERE id = $1
	UNION ALL SELECT u.id, u.parent_id, up.depth + 1 FROM units u JOIN up ON u.id = up.parent_id WHERE up.depth < 64)
	SELECT id FROM up ORDER BY depth`

// Ancestors gives the ids of the unit itself, its parent, and so on up to the
// root; ErrNotFound if there is no such unit.
func (d *Directory) Ancestors(ctx context.Context, unitID string) ([]string, error) {
	return ancestors(ctx, d.db, unitID)
}

func ancestors(ctx context.Context, r reader, unitID string) ([]string, error) {
	ids, err := all(ctx, r, scanString, ancestorsQuery, known(unitID))
	if err == nil && len(ids) == 0 {
		return nil, ErrNotFound
	}
	return ids, err
}

func scanString(s scanner) (string, error) {
	var v string
	err := s.Scan(&v)
	return v, err
}

// placeError tells why a unit cannot stand where parents (the parent of every
// unit, "" for the root) put it: the code of a refusal, or "". The walk is
// bounded, so a cycle of very many units passes for too deep.
func placeError(parents map[string]string, id string) string {
	// Brent's way of finding a cycle: wait at one unit, for twice as long each time.
	wait, steps, level := id, 0, 1
	for at := parents[id]; at != ""; at = parents[at] {
		if at == wait {
			return "unit_cycle"
		}
		if level++; level > 8*MaxDepth {
			break
		}
		if steps++; steps&(steps-1) == 0 {
			wait = at
		}
	}
	if level > MaxDepth {
		return "unit_too_deep"
	}
	return ""
}

func unitParents(ctx context.Context, r reader) (map[string]string, error) {
	type edge struct{ id, parent string }
	edges, err := all(ctx, r, func(s scanner) (edge, error) {
		var e edge
		err := s.Scan(&e.id, &e.parent)
		return e, err
	}, "SELECT id, COALESCE(parent_id, '') FROM units")
	parents := make(map[string]string, len(edges))
	for _, e := range edges {
		parents[e.id] = e.parent
	}
	return parents, err
}

// CreateUnit adds u; ID, Version and times are given by the server. The first
// unit is the root, every other one needs a parent.
func (d *Directory) CreateUnit(ctx context.Context, u Unit) (Unit, error) {
	if err := u.clean(); err != nil {
		return Unit{}, err
	}
	u.ID = newID()
	err := d.write(ctx, "code", func(tx txReader) error {
		n, err := count(ctx, tx, "SELECT count(*) FROM units")
		if err != nil {
			return err
		}
		if n >= MaxUnits {
			return fail("too_many", "", MaxUnits)
		}
		if u.ParentID == "" {
			if n > 0 {
				return fail("root_exists", "parentId")
			}
		} else {
			above, err := ancestors(ctx, tx, u.ParentID)
			if errors.Is(err, ErrNotFound) {
				return fail("unknown_unit", "parentId")
			}
			if err != nil {
				return err
			}
			if len(above) >= MaxDepth {
				return fail("unit_too_deep", "parentId", MaxDepth)
			}
		}
		return d.insertUnit(ctx, tx, &u)
	})
	if err != nil {
		return Unit{}, err
	}
	return u, nil
}

func (d *Directory) insertUnit(ctx context.Context, tx txReader, u *Unit) error {
	now := d.millis()
	u.Version, u.CreatedAt, u.UpdatedAt = 1, fromMillis(now), fromMillis(now)
	_, err := tx.ExecContext(ctx, `INSERT INTO units
		(id, code, parent_id, name, short_name, kind, sort_order, sort_key, search, version, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10, $10)`,
		u.ID, u.Code, nullable(u.ParentID), u.Name, u.ShortName, u.Kind, u.SortOrder, SortKey(u.Name), u.search(), now)
	return err
}

// UpdateUnit writes u over the row of u.ID if that still has u.Version. A new
// ParentID moves the unit with everything below it.
func (d *Directory) UpdateUnit(ctx context.Context, u Unit) (Unit, error) {
	if err := u.clean(); err != nil {
		return Unit{}, err
	}
	err := d.write(ctx, "code", func(tx txReader) error {
		parents, err := unitParents(ctx, tx)
		if err != nil {
			return err
		}
		if err := moveError(parents, u.ID, u.ParentID); err != nil {
			return err
		}
		return d.replaceUnit(ctx, tx, &u)
	})
	if err != nil {
		return Unit{}, err
	}
	return d.Unit(ctx, u.ID)
}

// moveError tells why the unit cannot be put below parent. It changes parents.
func moveError(parents map[string]string, id, parent string) error {
	old, found := parents[id]
	switch {
	case !found:
		return ErrNotFound
	case old == parent:
		return nil
	case old == "":
		return fail("root_kept", "parentId")
	case parent == "":
		return fail("root_exists", "parentId")
	}
	if _, ok := parents[parent]; !ok {
		return fail("unknown_unit", "parentId")
	}
	parents[id] = parent
	if placeError(parents, id) == "unit_cycle" {
		return fail("unit_cycle", "parentId")
	}
	for below := range parents {
		if placeError(parents, below) != "" {
			return fail("unit_too_deep", "parentId", MaxDepth)
		}
	}
	return nil
}

func (d *Directory) replaceUnit(ctx context.Context, tx txReader, u *Unit) error {
	res, err := tx.ExecContext(ctx, `UPDATE units SET code = $3, parent_id = $4, name = $5, short_name = $6, kind = $7,
		sort_order = $8, sort_key = $9, search = $10, version = version + 1, updated_at = $11 WHERE id = $1 AND version = $2`,
		known(u.ID), u.Version, u.Code, nullable(u.ParentID), u.Name, u.ShortName, u.Kind, u.SortOrder, SortKey(u.Name), u.search(), d.millis())
	if err != nil {
		return err
	}
	return updated(ctx, tx, res, "units", u.ID)
}

// RemoveUnit removes a unit that has no units, users or points. Roles that
// people of other units hold in it end with it.
func (d *Directory) RemoveUnit(ctx context.Context, id string, version int64) error {
	return d.write(ctx, "", func(tx txReader) error {
		for _, use := range []struct{ code, query string }{
			{"unit_has_children", "SELECT count(*) FROM units WHERE parent_id = $1"},
			{"unit_has_users", "SELECT count(*) FROM users WHERE unit_id = $1"},
			{"unit_has_points", "SELECT count(*) FROM points WHERE unit_id = $1"},
		} {
			n, err := count(ctx, tx, use.query, known(id))
			if err != nil {
				return err
			}
			if n > 0 {
				return fail(use.code, "", n)
			}
		}
		res, err := tx.ExecContext(ctx, "DELETE FROM units WHERE id = $1 AND version = $2", known(id), version)
		if err != nil {
			return err
		}
		return updated(ctx, tx, res, "units", id)
	})
}

// requireUnit refuses a unit id that is not there.
func requireUnit(ctx context.Context, r reader, id string) error {
	n, err := count(ctx, r, "SELECT count(*) FROM units WHERE id = $1", known(id))
	if err == nil && n == 0 {
		return fail("unknown_unit", "unitId")
	}
	return err
}
