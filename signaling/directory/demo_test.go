package directory

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"

	"diemcau/signaling/store"
	"diemcau/signaling/store/storetest"
)

func TestDemoProvince(t *testing.T) {
	data := Demo(1)
	require.Equal(t, data, Demo(1), "deterministic")
	other := Demo(2)
	require.NotEqual(t, data.Users, other.Users)
	require.Equal(t, data.Units, other.Units)

	kinds := map[string]string{}
	for _, u := range data.Units {
		kinds[u.Code] = u.Kind
		for _, r := range u.Name {
			require.True(t, unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(" ,", r), u.Name)
		}
	}
	rooms, communes := 0, map[string]bool{}
	for _, p := range data.Points {
		if k := kinds[p.UnitID]; k == "Xã" || k == "Phường" {
			communes[p.UnitID] = true
		} else {
			rooms++
			require.Equal(t, RoomDevice, p.Kind)
		}
		require.NotEmpty(t, p.Technician)
		require.NotEmpty(t, p.TechPhone)
	}
	require.Equal(t, 83, rooms)
	require.Len(t, communes, 132)
	require.Len(t, data.Points, 215)
	roles := map[Role]int{}
	for _, a := range data.Roles {
		roles[a.Role]++
	}
	require.Equal(t, map[Role]int{Administrator: 2, Chair: 3, Secretary: 138, Operator: 2, Delegate: 90, Guest: 1, Observer: 1}, roles)
	names := map[string]bool{}
	for _, u := range data.Users {
		require.True(t, norm.NFC.IsNormalString(u.FullName))
		require.GreaterOrEqual(t, len(strings.Fields(u.FullName)), 3)
		names[u.FullName] = true
	}
	require.Greater(t, len(names), len(data.Users)*9/10)
}

func TestSeed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		data := Demo(7)
		require.NoError(t, Seed(ctx, db, data))
		require.NoError(t, Seed(ctx, db, Demo(8)), "once")
		d := New(db)
		tree, err := d.Units(ctx)
		require.NoError(t, err)
		require.Len(t, tree, len(data.Units))
		n := 0
		for q := (Query{Limit: MaxPage}); ; {
			p, err := d.SearchPoints(ctx, q)
			require.NoError(t, err)
			n += len(p.Items)
			if q.Cursor = p.Next; q.Cursor == "" {
				break
			}
		}
		require.Equal(t, 215, n)
		delegates, err := d.SearchUsers(ctx, Query{Role: Delegate, Limit: MaxPage})
		require.NoError(t, err)
		require.Len(t, delegates.Items, 90)
		for i := range delegates.Items[1:] {
			a, b := delegates.Items[i].FullName, delegates.Items[i+1].FullName
			require.LessOrEqual(t, bytes.Compare(NameSortKey(a), NameSortKey(b)), 0, "%s, %s", a, b)
		}
		admin, err := d.UserByLogin(ctx, "quantri")
		require.NoError(t, err)
		ok, err := d.Can(ctx, admin.ID, DirectoryManage, tree[len(tree)-1].ID)
		require.NoError(t, err)
		require.True(t, ok)
		// The whole province through a file and back changes nothing.
		for _, table := range []Table{TableUnits, TablePoints, TableUsers} {
			var b bytes.Buffer
			require.NoError(t, d.Export(ctx, table, XLSX, &b, "vi"))
			r, err := d.Import(ctx, table, XLSX, &b, ImportOptions{})
			require.NoError(t, err)
			require.Equal(t, r.Rows, r.Unchanged)
		}
	})
}

func TestSeedWritesAllOrNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		data := Demo(1)
		data.Roles = append(data.Roles, Assignment{"nobody", Chair, "LG"})
		require.Error(t, Seed(ctx, db, data))
		tree, err := New(db).Units(ctx)
		require.NoError(t, err)
		require.Empty(t, tree)
	})
}

// crowd fills a directory with n users over a tree of 100 units.
func crowd(b *testing.B, n int) (*Directory, []string, []string) {
	b.Helper()
	data := Demo(1)
	for i := range n {
		p := data.Users[i%len(data.Users)]
		p.Login = fmt.Sprint("crowd", i)
		data.Users = append(data.Users, p)
		data.Roles = append(data.Roles, Assignment{p.Login, Delegate, p.UnitID})
	}
	db := storetest.Open(b, storetest.SQLite(b))
	require.NoError(b, Seed(ctx, db, data))
	d := New(db)
	ids := func(table string) []string {
		list, err := all(ctx, db, scanString, "SELECT id FROM "+table)
		require.NoError(b, err)
		return list
	}
	return d, ids("users"), ids("units")
}

func BenchmarkCan(b *testing.B) {
	d, users, units := crowd(b, 2_000)
	i := 0
	for b.Loop() {
		if _, err := d.Can(ctx, users[i*7%len(users)], VoteCast, units[i*3%len(units)]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func BenchmarkPermits(b *testing.B) {
	assignments := []Assignment{{"u", Delegate, "root"}, {"u", Secretary, "c"}}
	overrides := []Override{{UnitID: "b", Role: Delegate, Permission: VoteCast}}
	ancestors := []string{"c", "b", "a", "root"}
	for b.Loop() {
		Permits(assignments, overrides, ancestors, VoteCast)
	}
}

func BenchmarkSearchUsers(b *testing.B) {
	d, _, _ := crowd(b, 5_000)
	for _, text := range []string{"hoà", "nguyen van", "crowd4999", "khôngcó"} {
		b.Run(text, func(b *testing.B) {
			for b.Loop() {
				if _, err := d.SearchUsers(ctx, Query{Text: text}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkImportUsers(b *testing.B) {
	d := New(storetest.Open(b, storetest.SQLite(b)))
	require.NoError(b, Seed(ctx, d.db, Demo(1)))
	round := 0
	for b.Loop() {
		round++
		var file strings.Builder
		file.WriteString("login,full name,unit,phone,roles\n")
		for i := range MaxFileRows {
			fmt.Fprintf(&file, "user%d,Nguyễn Văn An %d,SNV,0912345678,delegate\n", i, round)
		}
		if _, err := d.Import(ctx, TableUsers, CSV, strings.NewReader(file.String()), ImportOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
