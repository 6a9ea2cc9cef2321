package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

var ctx = context.Background()

func TestUnitTree(t *testing.T) {
	each(t, func(t *testing.T, d *Directory) {
		root := mustUnit(t, d, "lg", "")
		require.Equal(t, "LG", root.Code)
		require.Equal(t, int64(1), root.Version)
		_, err := d.CreateUnit(ctx, Unit{Code: "X", Name: "x"})
		require.Equal(t, "root_exists", code(err))
		_, err = d.CreateUnit(ctx, Unit{Code: "LG", Name: "x", ParentID: root.ID})
		require.Equal(t, "duplicate", code(err))
		for _, nowhere := range []string{newID(), "x", "a\x00b", "' OR 1=1 --"} {
			_, err = d.CreateUnit(ctx, Unit{Code: "X", Name: "x", ParentID: nowhere})
			require.Equal(t, "unknown_unit", code(err), "%q", nowhere)
			_, err = d.Unit(ctx, nowhere)
			require.ErrorIs(t, err, ErrNotFound)
			require.ErrorIs(t, d.RemoveUnit(ctx, nowhere, 1), ErrNotFound)
			_, err = d.UpdateUnit(ctx, Unit{ID: nowhere, Version: 1, Code: "X", Name: "x", ParentID: root.ID})
			require.ErrorIs(t, err, ErrNotFound)
		}
		a := mustUnit(t, d, "A", root.ID)
		b := mustUnit(t, d, "B", a.ID)
		c := mustUnit(t, d, "C", b.ID)

		move := func(u Unit, parent string) error {
			u.ParentID = parent
			_, err := d.UpdateUnit(ctx, u)
			return err
		}
		for _, to := range []string{a.ID, b.ID, c.ID} {
			require.ErrorIs(t, move(a, to), ErrUnitCycle)
		}
		require.Equal(t, "root_kept", code(move(root, c.ID)))
		require.Equal(t, "root_exists", code(move(a, "")))
		require.Equal(t, "unknown_unit", code(move(a, newID())))
		require.NoError(t, move(c, a.ID))
		require.ErrorIs(t, move(c, b.ID), ErrConflict, "stale")
		above, err := d.Ancestors(ctx, c.ID)
		require.NoError(t, err)
		require.Equal(t, []string{c.ID, a.ID, root.ID}, above)

		require.Equal(t, "unit_has_children", code(d.RemoveUnit(ctx, a.ID, a.Version)))
		require.ErrorIs(t, d.RemoveUnit(ctx, b.ID, 99), ErrConflict)
		require.NoError(t, d.RemoveUnit(ctx, b.ID, b.Version))

		user := mustUser(t, d, "an", "Lê An", c.ID)
		require.Equal(t, "unit_has_users", code(d.RemoveUnit(ctx, c.ID, 2)))
		require.NoError(t, d.RemoveUser(ctx, user.ID, user.Version))
		p, err := d.CreatePoint(ctx, Point{Code: "P", Name: "p", UnitID: c.ID, Kind: Laptop})
		require.NoError(t, err)
		require.Equal(t, "unit_has_points", code(d.RemoveUnit(ctx, c.ID, 2)))
		require.NoError(t, d.RemovePoint(ctx, p.ID, p.Version))
		require.NoError(t, d.RemoveUnit(ctx, c.ID, 2))
	})
}

func TestUnitDepthIsBounded(t *testing.T) {
	each(t, func(t *testing.T, d *Directory) {
		root := mustUnit(t, d, "U1", "")
		at := root
		for i := 2; i <= MaxDepth; i++ {
			at = mustUnit(t, d, fmt.Sprintf("U%d", i), at.ID)
		}
		_, err := d.CreateUnit(ctx, Unit{Code: "DEEP", Name: "x", ParentID: at.ID})
		require.Equal(t, "unit_too_deep", code(err))
		// A branch of two moved to where only one fits.
		p := mustUnit(t, d, "P", root.ID)
		mustUnit(t, d, "Q", p.ID)
		above, err := d.Ancestors(ctx, at.ID)
		require.NoError(t, err)
		p.ParentID = above[1]
		_, err = d.UpdateUnit(ctx, p)
		require.Equal(t, "unit_too_deep", code(err))
		p.ParentID = above[2]
		_, err = d.UpdateUnit(ctx, p)
		require.NoError(t, err)
		tree, err := d.Units(ctx)
		require.NoError(t, err)
		require.Len(t, tree, MaxDepth+2)
		require.Equal(t, MaxDepth-1, slices.MaxFunc(tree, func(a, b Unit) int { return a.Depth - b.Depth }).Depth)
	})
}

// Two moves that are right alone and a cycle together: one must lose.
func TestConcurrentMovesMakeNoCycle(t *testing.T) {
	each(t, func(t *testing.T, d *Directory) {
		root := mustUnit(t, d, "R", "")
		for i := range 8 {
			a, b := mustUnit(t, d, fmt.Sprintf("A%d", i), root.ID), mustUnit(t, d, fmt.Sprintf("B%d", i), root.ID)
			a.ParentID, b.ParentID = b.ID, a.ID
			errs := make([]error, 2)
			var wg sync.WaitGroup
			for j, u := range []Unit{a, b} {
				wg.Go(func() { _, errs[j] = d.UpdateUnit(ctx, u) })
			}
			wg.Wait()
			if errs[0] != nil {
				errs[0], errs[1] = errs[1], errs[0]
			}
			require.NoError(t, errs[0])
			require.ErrorIs(t, errs[1], ErrUnitCycle)
		}
		tree, err := d.Units(ctx)
		require.NoError(t, err)
		require.Len(t, tree, 17, "every unit is still reached from the root")
	})
}

func TestConcurrentEditorsNoticeEachOther(t *testing.T) {
	each(t, func(t *testing.T, d *Directory) {
		root := mustUnit(t, d, "R", "")
		u := mustUser(t, d, "an", "Lê An", root.ID)
		const editors = 8
		errs := make([]error, editors)
		var wg sync.WaitGroup
		for i := range editors {
			wg.Go(func() {
				mine := u
				mine.FullName = fmt.Sprintf("Lê An %d", i)
				_, errs[i] = d.UpdateUser(ctx, mine)
			})
		}
		wg.Wait()
		won := 0
		for i, err := range errs {
			if err == nil {
				won++
				got, err := d.User(ctx, u.ID)
				require.NoError(t, err)
				require.Equal(t, fmt.Sprintf("Lê An %d", i), got.FullName)
				require.Equal(t, int64(2), got.Version)
				continue
			}
			require.ErrorIs(t, err, ErrConflict)
		}
		require.Equal(t, 1, won)
	})
}

// Each hostile text in each field: refused, or stored in NFC as it is.
func TestHostileText(t *testing.T) {
	each(t, func(t *testing.T, d *Directory) {
		root := mustUnit(t, d, "R", "")
		refused, stored := 0, 0
		n := 0 // keeps keys apart
		try := func(name, field string, write func(s string, n int) (string, error)) {
			n++
			s := hostile[name]
			got, err := write(s, n)
			if err != nil {
				require.NotContains(t, code(err), "not an *Error", "%s in %s", name, field)
				refused++
				return
			}
			require.NotContains(t, refusedAnywhere, name, field)
			require.Equal(t, strings.TrimSpace(norm.NFC.String(s)), got, "%s in %s", name, field)
			stored++
		}
		for name := range hostile {
			try(name, "unit.name", func(s string, n int) (string, error) {
				u, err := d.CreateUnit(ctx, Unit{Code: fmt.Sprint("U", n), Name: s, ParentID: root.ID})
				return readBack(d.Unit, u.ID, err, func(u Unit) string { return u.Name })
			})
			try(name, "unit.shortName", func(s string, n int) (string, error) {
				u, err := d.CreateUnit(ctx, Unit{Code: fmt.Sprint("U", n), Name: "x", ShortName: s, ParentID: root.ID})
				return readBack(d.Unit, u.ID, err, func(u Unit) string { return u.ShortName })
			})
			try(name, "unit.kind", func(s string, n int) (string, error) {
				u, err := d.CreateUnit(ctx, Unit{Code: fmt.Sprint("U", n), Name: "x", Kind: s, ParentID: root.ID})
				return readBack(d.Unit, u.ID, err, func(u Unit) string { return u.Kind })
			})
			try(name, "unit.code", func(s string, n int) (string, error) {
				u, err := d.CreateUnit(ctx, Unit{Code: s, Name: "x", ParentID: root.ID})
				return readBack(d.Unit, u.ID, err, func(u Unit) string { return u.Code })
			})
			for _, field := range []string{"code", "name", "place", "technician", "techPhone", "unitId"} {
				try(name, "point."+field, func(s string, n int) (string, error) {
					p := Point{Code: fmt.Sprint("P", n), Name: "x", Kind: Phone, UnitID: root.ID}
					*pointField(&p, field) = s
					p, err := d.CreatePoint(ctx, p)
					return readBack(d.Point, p.ID, err, func(p Point) string { return *pointField(&p, field) })
				})
			}
			_, err := d.CreatePoint(ctx, Point{Code: fmt.Sprint("PK", n), Name: "x", Kind: PointKind(hostile[name]), UnitID: root.ID})
			require.Equal(t, "invalid_kind", code(err))
			for _, field := range []string{"login", "fullName", "mail", "phone", "positionId", "unitId"} {
				try(name, "user."+field, func(s string, n int) (string, error) {
					u := User{Login: fmt.Sprint("user", n), FullName: "x", UnitID: root.ID}
					*userField(&u, field) = s
					u, err := d.CreateUser(ctx, u)
					return readBack(d.User, u.ID, err, func(u User) string { return *userField(&u, field) })
				})
			}
			try(name, "position.name", func(s string, n int) (string, error) {
				p, err := d.CreatePosition(ctx, Position{Name: s})
				return readBack(d.Position, p.ID, err, func(p Position) string { return p.Name })
			})
			// A search with it finds nothing it should not and breaks nothing.
			_, err = d.SearchUsers(ctx, Query{Text: hostile[name], UnitID: hostile[name]})
			if err != nil {
				require.NotContains(t, code(err), "not an *Error", name)
			}
		}
		t.Logf("%d refused, %d stored", refused, stored)
		require.Greater(t, refused, 200)
		require.Greater(t, stored, 50)
		_, err := d.Unit(ctx, root.ID)
		require.NoError(t, err, "the tables are still there")
	})
}

func readBack[T any](get func(context.Context, string) (T, error), id string, err error, field func(T) string) (string, error) {
	if err != nil {
		return "", err
	}
	v, err := get(ctx, id)
	return field(v), err
}

func pointField(p *Point, field string) *string {
	return map[string]*string{"code": &p.Code, "name": &p.Name, "place": &p.Place, "technician": &p.Technician, "techPhone": &p.TechPhone, "unitId": &p.UnitID}[field]
}

func userField(u *User, field string) *string {
	return map[string]*string{"login": &u.Login, "fullName": &u.FullName, "mail": &u.Mail, "phone": &u.Phone, "positionId": &u.PositionID, "unitId": &u.UnitID}[field]
}

// The walk finds the same as one that remembers where it was.
func TestPlaceErrorProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "n")
		parents := map[string]string{}
		for i := range n {
			parent := ""
			if p := rapid.IntRange(-1, n-1).Draw(t, "parent"); p >= 0 {
				parent = fmt.Sprint(p)
			}
			parents[fmt.Sprint(i)] = parent
		}
		for id := range parents {
			seen, want := map[string]bool{}, ""
			for at := id; at != ""; at = parents[at] {
				if seen[at] {
					want = "unit_cycle"
					break
				}
				seen[at] = true
			}
			if want == "" && len(seen) > MaxDepth {
				want = "unit_too_deep"
			}
			if got := placeError(parents, id); got != want {
				t.Fatalf("%s of %v: %q, not %q", id, parents, got, want)
			}
		}
	})
}
