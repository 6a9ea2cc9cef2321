package directory

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"
)

func TestCan(t *testing.T) {
	each(t, func(t *testing.T, d *Directory) {
		root := mustUnit(t, d, "R", "")
		area := mustUnit(t, d, "A", root.ID)
		commune := mustUnit(t, d, "C", area.ID)
		other := mustUnit(t, d, "O", root.ID)
		u := mustUser(t, d, "an", "Lê An", commune.ID)
		can := func(p Permission, unit string) bool {
			t.Helper()
			ok, err := d.Can(ctx, u.ID, p, unit)
			require.NoError(t, err)
			list, err := d.PermissionsIn(ctx, u.ID, unit)
			require.NoError(t, err)
			require.Equal(t, ok, slices.Contains(list, p), "PermissionsIn says the same")
			where, err := d.UnitsWhere(ctx, u.ID, p)
			require.NoError(t, err)
			if known(unit) != "" {
				require.Equal(t, ok, slices.Contains(where, unit), "UnitsWhere says the same")
			}
			return ok
		}
		require.False(t, can(VoteCast, commune.ID))
		require.NoError(t, d.Assign(ctx, Assignment{u.ID, Delegate, area.ID}))
		require.NoError(t, d.Assign(ctx, Assignment{u.ID, Delegate, area.ID}), "twice is no error")
		require.True(t, can(VoteCast, commune.ID))
		require.True(t, can(VoteCast, area.ID))
		require.False(t, can(VoteCast, root.ID))
		require.False(t, can(VoteCast, ""))
		require.False(t, can(VoteCast, other.ID))
		for _, unit := range []string{newID(), "x", "a\x00", "' OR '1'='1", "NULL"} {
			require.False(t, can(VoteCast, unit), unit)
			ok, err := d.Can(ctx, unit, VoteCast, commune.ID)
			require.NoError(t, err)
			require.False(t, ok)
		}
		_, err := d.Can(ctx, u.ID, "vote.steal", commune.ID)
		require.Equal(t, "invalid_permission", code(err))

		no, err := d.SetOverride(ctx, Override{UnitID: root.ID, Role: Delegate, Permission: VoteCast})
		require.NoError(t, err)
		require.False(t, can(VoteCast, commune.ID))
		yes, err := d.SetOverride(ctx, Override{UnitID: commune.ID, Role: Delegate, Permission: VoteCast, Allow: true})
		require.NoError(t, err)
		require.True(t, can(VoteCast, commune.ID))
		require.False(t, can(VoteCast, area.ID))
		_, err = d.SetOverride(ctx, Override{UnitID: commune.ID, Role: Delegate, Permission: VoteCast})
		require.ErrorIs(t, err, ErrConflict, "it is there already")
		yes.Allow = false
		changed, err := d.SetOverride(ctx, yes)
		require.NoError(t, err)
		require.Equal(t, int64(2), changed.Version)
		require.False(t, can(VoteCast, commune.ID))
		require.ErrorIs(t, d.RemoveOverride(ctx, yes), ErrConflict, "stale")
		require.NoError(t, d.RemoveOverride(ctx, changed))
		require.NoError(t, d.RemoveOverride(ctx, no))
		require.True(t, can(VoteCast, commune.ID))
		list, err := d.Overrides(ctx, commune.ID)
		require.NoError(t, err)
		require.Empty(t, list)

		// A move takes along what is inherited.
		commune.ParentID = other.ID
		_, err = d.UpdateUnit(ctx, commune)
		require.NoError(t, err)
		require.False(t, can(VoteCast, commune.ID))
		require.True(t, can(VoteCast, area.ID))
		roles, err := d.RolesIn(ctx, u.ID, area.ID)
		require.NoError(t, err)
		require.Equal(t, []Role{Delegate}, roles)

		u, err = d.User(ctx, u.ID)
		require.NoError(t, err)
		u.Enabled = false
		u, err = d.UpdateUser(ctx, u)
		require.NoError(t, err)
		require.False(t, can(VoteCast, area.ID), "disabled")
	})
}

func TestOverrideIsChecked(t *testing.T) {
	each(t, func(t *testing.T, d *Directory) {
		root := mustUnit(t, d, "R", "")
		area := mustUnit(t, d, "A", root.ID)
		for _, p := range []Permission{DirectoryManage, RoleAssign, PermissionAdjust} {
			_, err := d.SetOverride(ctx, Override{UnitID: root.ID, Role: Administrator, Permission: p})
			require.Equal(t, "root_permission_kept", code(err))
			_, err = d.SetOverride(ctx, Override{UnitID: area.ID, Role: Administrator, Permission: p})
			require.NoError(t, err)
			_, err = d.SetOverride(ctx, Override{UnitID: root.ID, Role: Administrator, Permission: p, Allow: true, Version: 0})
			require.NoError(t, err)
			_, err = d.SetOverride(ctx, Override{UnitID: root.ID, Role: Administrator, Permission: p, Version: 1})
			require.Equal(t, "root_permission_kept", code(err), "nor by a change")
		}
		_, err := d.SetOverride(ctx, Override{UnitID: root.ID, Role: "king", Permission: VoteCast})
		require.Equal(t, "invalid_role", code(err))
		_, err = d.SetOverride(ctx, Override{UnitID: root.ID, Role: Chair, Permission: "x"})
		require.Equal(t, "invalid_permission", code(err))
		_, err = d.SetOverride(ctx, Override{UnitID: "a\x00", Role: Chair, Permission: VoteCast})
		require.ErrorIs(t, err, ErrNotFound)

		// Whom the area's administrators are denied, the root's can undo it.
		boss, local := mustUser(t, d, "boss", "Lê An", root.ID), mustUser(t, d, "local", "Lê Ba", area.ID)
		require.NoError(t, d.Assign(ctx, Assignment{boss.ID, Administrator, root.ID}))
		require.NoError(t, d.Assign(ctx, Assignment{local.ID, Administrator, area.ID}))
		for _, c := range []struct {
			user, unit string
			want       bool
		}{{boss.ID, root.ID, true}, {boss.ID, area.ID, true}, {local.ID, area.ID, false}, {local.ID, root.ID, false}} {
			got, err := d.CanAdjust(ctx, c.user, c.unit)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		}
	})
}

func TestLastAdministratorStays(t *testing.T) {
	each(t, func(t *testing.T, d *Directory) {
		root := mustUnit(t, d, "R", "")
		area := mustUnit(t, d, "A", root.ID)
		a, b := mustUser(t, d, "a", "Lê An", root.ID), mustUser(t, d, "b", "Lê Ba", area.ID)
		admin := func(u User) Assignment { return Assignment{u.ID, Administrator, root.ID} }
		require.NoError(t, d.Assign(ctx, admin(a)))
		require.NoError(t, d.Assign(ctx, Assignment{b.ID, Administrator, area.ID}), "one of an area does not count")
		a, err := d.User(ctx, a.ID)
		require.NoError(t, err)

		off := a
		off.Enabled = false
		refused := func() {
			t.Helper()
			_, err := d.UpdateUser(ctx, off)
			require.ErrorIs(t, err, ErrLastAdministrator)
			require.ErrorIs(t, d.RemoveUser(ctx, a.ID, a.Version), ErrLastAdministrator)
			require.ErrorIs(t, d.Unassign(ctx, admin(a)), ErrLastAdministrator)
			require.ErrorIs(t, d.SetRoles(ctx, a.ID, a.Version, []RoleIn{{Administrator, area.ID}}), ErrLastAdministrator)
			for _, file := range []string{
				"login,full name,unit,enabled\na,Lê An,R,no\n",
				"login,full name,unit,roles\na,Lê An,R,Delegate@R\n",
				"login,full name,unit,roles\na,Lê An,R,\n",
			} {
				report, err := d.Import(ctx, TableUsers, CSV, strings.NewReader(file), ImportOptions{DryRun: true})
				require.NoError(t, err)
				require.Equal(t, []string{"last_administrator"}, codes(report))
				_, err = d.Import(ctx, TableUsers, CSV, strings.NewReader(file), ImportOptions{})
				require.ErrorIs(t, err, ErrImportRejected)
			}
			got, err := d.User(ctx, a.ID)
			require.NoError(t, err)
			require.Equal(t, a, got, "nothing changed")
		}
		refused()
		require.NoError(t, d.Assign(ctx, admin(b)))
		b, err = d.User(ctx, b.ID)
		require.NoError(t, err)
		b.Enabled = false
		b, err = d.UpdateUser(ctx, b)
		require.NoError(t, err)
		refused() // a disabled one does not count
		b.Enabled = true
		_, err = d.UpdateUser(ctx, b)
		require.NoError(t, err)
		_, err = d.UpdateUser(ctx, off)
		require.NoError(t, err)
	})
}

// Two administrators who take each other's role at the same time: one remains.
func TestAdministratorsDemotingEachOther(t *testing.T) {
	each(t, func(t *testing.T, d *Directory) {
		root := mustUnit(t, d, "R", "")
		for i := range 6 {
			a, b := mustUser(t, d, fmt.Sprint("a", i), "Lê An", root.ID), mustUser(t, d, fmt.Sprint("b", i), "Lê Ba", root.ID)
			admins := []Assignment{{a.ID, Administrator, root.ID}, {b.ID, Administrator, root.ID}}
			for _, x := range admins {
				require.NoError(t, d.Assign(ctx, x))
			}
			clear, err := d.AssignmentsIn(ctx, root.ID)
			require.NoError(t, err)
			for _, x := range clear {
				if !slices.Contains(admins, x) {
					require.NoError(t, d.Unassign(ctx, x))
				}
			}
			errs := make([]error, 2)
			var wg sync.WaitGroup
			for j, x := range admins {
				wg.Go(func() { errs[j] = d.Unassign(ctx, x) })
			}
			wg.Wait()
			require.True(t, (errs[0] == nil) != (errs[1] == nil), "%v", errs)
			left, err := d.AssignmentsIn(ctx, root.ID)
			require.NoError(t, err)
			require.Len(t, left, 1)
		}
	})
}

func TestRolesAreChecked(t *testing.T) {
	each(t, func(t *testing.T, d *Directory) {
		root := mustUnit(t, d, "R", "")
		u := mustUser(t, d, "an", "Lê An", root.ID)
		require.Equal(t, "invalid_role", code(d.Assign(ctx, Assignment{u.ID, "king", root.ID})))
		require.Equal(t, "unknown_unit", code(d.Assign(ctx, Assignment{u.ID, Chair, newID()})))
		require.ErrorIs(t, d.Assign(ctx, Assignment{newID(), Chair, root.ID}), ErrNotFound)
		require.ErrorIs(t, d.Unassign(ctx, Assignment{"a\x00", Chair, root.ID}), ErrNotFound)
		require.NoError(t, d.SetRoles(ctx, u.ID, 1, []RoleIn{{Chair, root.ID}, {Chair, root.ID}, {Delegate, root.ID}}))
		require.ErrorIs(t, d.SetRoles(ctx, u.ID, 1, nil), ErrConflict)
		require.ErrorIs(t, d.SetRoles(ctx, u.ID, 0, nil), ErrConflict)
		list, err := d.Assignments(ctx, u.ID)
		require.NoError(t, err)
		require.Equal(t, []Assignment{{u.ID, Chair, root.ID}, {u.ID, Delegate, root.ID}}, list)
		var many []RoleIn
		for i := range MaxRoles + 1 {
			many = append(many, RoleIn{Chair, mustUnit(t, d, fmt.Sprint("U", i), root.ID).ID})
		}
		require.Equal(t, "too_many", code(d.SetRoles(ctx, u.ID, 2, many)))
		// A unit takes the roles held in it along.
		require.NoError(t, d.SetRoles(ctx, u.ID, 2, many[:1]))
		require.NoError(t, d.RemoveUnit(ctx, many[0].UnitID, 1))
		list, err = d.Assignments(ctx, u.ID)
		require.NoError(t, err)
		require.Empty(t, list)
	})
}

func TestPositions(t *testing.T) {
	each(t, func(t *testing.T, d *Directory) {
		root := mustUnit(t, d, "R", "")
		p, err := d.CreatePosition(ctx, Position{Name: "Chủ tịch", SortOrder: 2})
		require.NoError(t, err)
		_, err = d.CreatePosition(ctx, Position{Name: "CHỦ TỊCH"})
		require.ErrorIs(t, err, ErrDuplicate)
		q, err := d.CreatePosition(ctx, Position{Name: "Chu tich", SortOrder: 1})
		require.NoError(t, err, "marks count")
		list, err := d.Positions(ctx)
		require.NoError(t, err)
		require.Equal(t, []Position{q, p}, list)
		_, err = d.CreateUser(ctx, User{Login: "an", FullName: "Lê An", UnitID: root.ID, PositionID: newID()})
		require.Equal(t, "unknown_position", code(err))
		u, err := d.CreateUser(ctx, User{Login: "an", FullName: "Lê An", UnitID: root.ID, PositionID: p.ID})
		require.NoError(t, err)
		require.Equal(t, "position_in_use", code(d.RemovePosition(ctx, p.ID, 1)))
		p.Name = "Phó Chủ tịch"
		p, err = d.UpdatePosition(ctx, p)
		require.NoError(t, err)
		require.Equal(t, int64(2), p.Version)
		p.Version = 1
		_, err = d.UpdatePosition(ctx, p)
		require.ErrorIs(t, err, ErrConflict)
		require.NoError(t, d.RemoveUser(ctx, u.ID, 1))
		require.NoError(t, d.RemovePosition(ctx, p.ID, 2))
		require.Equal(t, "invalid_number", code(cleanOrder(-1)))
	})
}

func TestUsersAreUnique(t *testing.T) {
	each(t, func(t *testing.T, d *Directory) {
		root := mustUnit(t, d, "R", "")
		u := mustUser(t, d, "Nguyễn.An", "Lê An", root.ID)
		for _, same := range []string{"nguyễn.an", "NGUYỄN.AN", norm.NFD.String("nguyễn.an")} {
			_, err := d.CreateUser(ctx, User{Login: same, FullName: "x", UnitID: root.ID})
			require.ErrorIs(t, err, ErrDuplicate)
			got, err := d.UserByLogin(ctx, same)
			require.NoError(t, err)
			require.Equal(t, u.ID, got.ID)
		}
		for _, no := range []string{"nguyen.an", "", "a\x00", "' OR 1=1 --"} {
			_, err := d.UserByLogin(ctx, no)
			require.ErrorIs(t, err, ErrNotFound, no)
		}
		b := mustUser(t, d, "b", "Lê Ba", root.ID)
		many := append(make([]string, 600), u.ID, "a\x00", newID(), b.ID)
		both, err := d.UsersByID(ctx, many)
		require.NoError(t, err)
		require.ElementsMatch(t, []User{u, b}, both)
		for in, want := range map[string]string{"r": root.ID, "R": root.ID, "x": "", "a\x00": ""} {
			got, err := d.UnitByCode(ctx, in)
			require.Equal(t, want, got.ID)
			require.Equal(t, want == "", errors.Is(err, ErrNotFound))
		}
		b.Login = "NGUYỄN.an"
		_, err = d.UpdateUser(ctx, b)
		require.ErrorIs(t, err, ErrDuplicate)
	})
}

func TestSearchAndPages(t *testing.T) {
	each(t, func(t *testing.T, d *Directory) {
		root := mustUnit(t, d, "R", "")
		area := mustUnit(t, d, "A", root.ID)
		commune := mustUnit(t, d, "C", area.ID)
		for i, name := range []string{"Nguyễn Văn Hoà", "Trần Thị Hòa", "Lê Đức Hoa", "Đỗ Thị Ánh", "Phạm Thanh", "Lò Thị Hoàn"} {
			u := mustUser(t, d, fmt.Sprint("user", i), name, []string{root.ID, area.ID, commune.ID}[i%3])
			if i == 0 {
				require.NoError(t, d.Assign(ctx, Assignment{u.ID, Chair, root.ID}))
				u, err := d.User(ctx, u.ID)
				require.NoError(t, err)
				u.Enabled, u.Phone = false, "+84 912-345-678"
				_, err = d.UpdateUser(ctx, u)
				require.NoError(t, err)
			}
		}
		find := func(q Query) []string {
			t.Helper()
			p, err := d.SearchUsers(ctx, q)
			require.NoError(t, err)
			require.Empty(t, p.Next)
			names := []string{}
			for _, u := range p.Items {
				names = append(names, u.FullName)
			}
			return names
		}
		hoa := []string{"Lê Đức Hoa", "Nguyễn Văn Hoà", "Trần Thị Hòa", "Lò Thị Hoàn"}
		for _, text := range []string{"hoa", "HOÀ", "Hòa", norm.NFD.String("hoà"), "hoa "} {
			require.Equal(t, hoa, find(Query{Text: text}), text)
		}
		require.Equal(t, []string{"Lê Đức Hoa"}, find(Query{Text: "duc le"}), "words in any order")
		require.Equal(t, []string{"Đỗ Thị Ánh"}, find(Query{Text: "do"}))
		require.Equal(t, []string{"Nguyễn Văn Hoà"}, find(Query{Text: "84912345"}))
		require.Equal(t, []string{"Nguyễn Văn Hoà"}, find(Query{Text: "+84 912"}))
		require.Equal(t, []string{"Phạm Thanh"}, find(Query{Text: "user4"}))
		require.Empty(t, find(Query{Text: "oa"}), "a word is found by its beginning")
		require.Len(t, find(Query{Text: "%"}), 6, "nothing to search for")
		require.Empty(t, find(Query{Text: "h%a _"}))
		require.Equal(t, []string{"Lê Đức Hoa", "Lò Thị Hoàn"}, find(Query{UnitID: commune.ID}))
		require.Len(t, find(Query{UnitID: area.ID, Below: true}), 4)
		require.Len(t, find(Query{UnitID: root.ID, Below: true, Text: "hoa"}), 4)
		require.Empty(t, find(Query{UnitID: "a\x00b", Below: true}))
		require.Equal(t, []string{"Nguyễn Văn Hoà"}, find(Query{Role: Chair}))
		off, on := false, true
		require.Equal(t, []string{"Nguyễn Văn Hoà"}, find(Query{Enabled: &off}))
		require.Len(t, find(Query{Enabled: &on}), 5)

		var paged []string
		q := Query{Limit: 2}
		for {
			p, err := d.SearchUsers(ctx, q)
			require.NoError(t, err)
			for _, u := range p.Items {
				paged = append(paged, u.FullName)
			}
			if q.Cursor = p.Next; q.Cursor == "" {
				break
			}
			require.Len(t, p.Items, 2)
		}
		require.Equal(t, find(Query{}), paged)
		for _, limit := range []int{-1, MaxPage + 1} {
			_, err := d.SearchUsers(ctx, Query{Limit: limit})
			require.Equal(t, "invalid_number", code(err))
		}
		for _, cursor := range []string{"x", "!!", "AAAA", strings.Repeat("A", 100_000), "' OR 1=1"} {
			_, err := d.SearchUsers(ctx, Query{Cursor: cursor})
			require.Equal(t, "bad_cursor", code(err))
		}
		_, err := d.SearchUsers(ctx, Query{Role: "king"})
		require.Equal(t, "invalid_role", code(err))
		_, err = d.SearchUsers(ctx, Query{Text: strings.Repeat("a ", 200)})
		require.Equal(t, "too_long", code(err))
		units, err := d.SearchUnits(ctx, Query{Text: "don vi a", UnitID: root.ID, Below: true})
		require.NoError(t, err)
		require.Len(t, units.Items, 1)
	})
}
