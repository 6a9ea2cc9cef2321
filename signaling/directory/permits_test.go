package directory

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func asError(err error, to **Error) bool { return errors.As(err, to) }

func TestEveryRoleAndPermissionIsNamedAndPreset(t *testing.T) {
	require.Len(t, permissionIndex, len(permissions), "a permission stands twice")
	used := map[Permission]bool{}
	for _, r := range Roles() {
		require.True(t, r.Valid())
		require.NotEqual(t, r.Label("vi"), r.Label("en"))
		for _, p := range r.Presets() {
			require.True(t, p.Valid(), "%s has %s", r, p)
			used[p] = true
		}
	}
	for _, p := range Permissions() {
		require.NotEmpty(t, p.Label("vi"))
		require.NotEmpty(t, p.Label("en"))
		if p != IntegrationRead { // given to the account of another system by an override
			require.True(t, used[p], "nobody may %s", p)
		}
	}
	require.Len(t, presets, len(Roles()))
}

// The whole table of presets, so that a change of one is seen.
func TestPresets(t *testing.T) {
	got := map[Role]int{}
	for _, r := range Roles() {
		got[r] = len(r.Presets())
	}
	require.Equal(t, map[Role]int{Administrator: 11, Secretary: 38, Chair: 38, Operator: 16, Delegate: 17, Guest: 9, Observer: 1}, got)
	for _, p := range []Permission{VoteCast, MeetingJoin, DocumentRead, MeetingObserve, OpinionAnswer} {
		require.False(t, presets[Administrator][p], "an administrator takes no part in meetings: %s", p)
	}
	for _, r := range []Role{Secretary, Operator, Guest, Observer, Administrator} {
		require.False(t, presets[r][VoteCast], r)
	}
	for _, r := range []Role{Secretary, Chair, Operator, Delegate, Guest, Observer} {
		require.False(t, presets[r][DirectoryManage] || presets[r][RoleAssign] || presets[r][PermissionAdjust] || presets[r][AuditRead], r)
	}
}

func TestPermitsTable(t *testing.T) {
	// up is what Ancestors gives for the commune.
	up := []string{"commune", "area", "root"}
	at := func(r Role, unit string) Assignment { return Assignment{"u", r, unit} }
	over := func(unit string, r Role, p Permission, allow bool) Override {
		return Override{UnitID: unit, Role: r, Permission: p, Allow: allow}
	}
	for _, c := range []struct {
		name        string
		assignments []Assignment
		overrides   []Override
		p           Permission
		want        bool
	}{
		{"nobody", nil, nil, MeetingRead, false},
		{"preset here", []Assignment{at(Delegate, "commune")}, nil, VoteCast, true},
		{"preset from above", []Assignment{at(Delegate, "root")}, nil, VoteCast, true},
		{"not preset", []Assignment{at(Delegate, "root")}, nil, VoteRun, false},
		{"role elsewhere", []Assignment{at(Delegate, "other")}, nil, VoteCast, false},
		{"unknown role", []Assignment{at("king", "root")}, []Override{over("root", "king", VoteCast, true)}, VoteCast, false},
		{"unknown permission", []Assignment{at(Chair, "root")}, []Override{over("root", Chair, "x", true)}, "x", false},
		{"allowed here", []Assignment{at(Guest, "root")}, []Override{over("commune", Guest, VoteCast, true)}, VoteCast, true},
		{"allowed above", []Assignment{at(Guest, "root")}, []Override{over("root", Guest, VoteCast, true)}, VoteCast, true},
		{"allowed above the role's unit", []Assignment{at(Guest, "commune")}, []Override{over("root", Guest, VoteCast, true)}, VoteCast, true},
		{"allowed elsewhere", []Assignment{at(Guest, "root")}, []Override{over("other", Guest, VoteCast, true)}, VoteCast, false},
		{"allowed to another role", []Assignment{at(Guest, "root")}, []Override{over("root", Observer, VoteCast, true)}, VoteCast, false},
		{"another permission allowed", []Assignment{at(Guest, "root")}, []Override{over("root", Guest, VoteRun, true)}, VoteCast, false},
		{"allowed without a role", nil, []Override{over("root", Guest, VoteCast, true)}, VoteCast, false},
		{"denied here", []Assignment{at(Chair, "root")}, []Override{over("commune", Chair, VoteRun, false)}, VoteRun, false},
		{"denied above", []Assignment{at(Chair, "commune")}, []Override{over("area", Chair, VoteRun, false)}, VoteRun, false},
		{"denied above, allowed here", []Assignment{at(Chair, "root")}, []Override{over("root", Chair, VoteRun, false), over("commune", Chair, VoteRun, true)}, VoteRun, true},
		{"allowed above, denied here", []Assignment{at(Guest, "root")}, []Override{over("root", Guest, VoteRun, true), over("commune", Guest, VoteRun, false)}, VoteRun, false},
		{"three levels", []Assignment{at(Guest, "root")}, []Override{over("commune", Guest, VoteRun, false), over("area", Guest, VoteRun, true), over("root", Guest, VoteRun, true)}, VoteRun, false},
		{"same place, denial wins", []Assignment{at(Chair, "root")}, []Override{over("area", Chair, VoteRun, false), over("area", Chair, VoteRun, true)}, VoteRun, false},
		{"same place, other order", []Assignment{at(Chair, "root")}, []Override{over("area", Chair, VoteRun, true), over("area", Chair, VoteRun, false)}, VoteRun, false},
		{"denied to one of two roles", []Assignment{at(Chair, "root"), at(Secretary, "root")}, []Override{over("root", Chair, VoteRun, false)}, VoteRun, true},
		{"kept at the root", []Assignment{at(Administrator, "root")}, []Override{over("root", Administrator, DirectoryManage, false)}, DirectoryManage, true},
		{"not kept below", []Assignment{at(Administrator, "root")}, []Override{over("area", Administrator, DirectoryManage, false)}, DirectoryManage, false},
		{"others of the administrator are not kept", []Assignment{at(Administrator, "root")}, []Override{over("root", Administrator, AuditRead, false)}, AuditRead, false},
	} {
		for range 2 {
			require.Equal(t, c.want, Permits(c.assignments, c.overrides, up, c.p), c.name)
			slices.Reverse(c.overrides) // the order they are read in does not count
			slices.Reverse(c.assignments)
		}
	}
}

// Every role, permission and combination of overrides on three levels, against
// the rule said in another way: the first level with an entry decides.
func TestPermitsExhaustively(t *testing.T) {
	up := []string{"a", "b", "root"}
	n := 0
	for _, r := range Roles() {
		for _, p := range Permissions() {
			for bits := range 27 { // none, allow, deny on each level
				var overrides []Override
				want, decided := slices.Contains(r.Presets(), p), false
				for i, v := 0, bits; i < 3; i, v = i+1, v/3 {
					if v%3 == 0 {
						continue
					}
					allow := v%3 == 1
					overrides = append(overrides, Override{UnitID: up[i], Role: r, Permission: p, Allow: allow})
					if kept := !allow && i == 2 && r == Administrator && (p == DirectoryManage || p == RoleAssign || p == PermissionAdjust); !decided && !kept {
						want, decided = allow, true
					}
				}
				for _, unit := range append(up, "elsewhere") {
					got := Permits([]Assignment{{"u", r, unit}}, overrides, up, p)
					require.Equal(t, want && unit != "elsewhere", got, "%s in %s, %s, %v", r, unit, p, overrides)
					n++
				}
			}
		}
	}
	t.Logf("%d cases", n)
	require.Equal(t, len(Roles())*len(Permissions())*27*4, n)
}

type world struct {
	assignments []Assignment
	overrides   []Override
	ancestors   []string
	permission  Permission
}

func drawWorld(t *rapid.T) world {
	units := []string{"u0", "u1", "u2", "u3", "u4", "u5"}
	w := world{ancestors: units[:rapid.IntRange(1, len(units)).Draw(t, "levels")]}
	permission := rapid.SampledFrom([]Permission{DirectoryManage, PermissionAdjust, VoteCast, MeetingRun, MeetingRead, AuditRead})
	w.permission = permission.Draw(t, "p")
	for range rapid.IntRange(0, 5).Draw(t, "n") {
		w.assignments = append(w.assignments, Assignment{"u", rapid.SampledFrom(Roles()).Draw(t, "role"), rapid.SampledFrom(units).Draw(t, "unit")})
	}
	for range rapid.IntRange(0, 12).Draw(t, "m") {
		w.overrides = append(w.overrides, Override{
			UnitID: rapid.SampledFrom(units).Draw(t, "at"), Role: rapid.SampledFrom(Roles()).Draw(t, "of"),
			Permission: permission.Draw(t, "what"), Allow: rapid.Bool().Draw(t, "allow"),
		})
	}
	return w
}

func TestPermitsProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		got := Permits(w.assignments, w.overrides, w.ancestors, w.permission)
		held := map[Role]bool{}
		for _, a := range w.assignments {
			if slices.Contains(w.ancestors, a.UnitID) {
				held[a.Role] = true
			}
		}
		// An override never grants to who has no role there.
		if len(held) == 0 && got {
			t.Fatal("granted without a role")
		}
		// Overrides of roles not held, of other permissions and other places count for nothing.
		mine := slices.DeleteFunc(slices.Clone(w.overrides), func(o Override) bool {
			return !held[o.Role] || o.Permission != w.permission || !slices.Contains(w.ancestors, o.UnitID)
		})
		if got != Permits(w.assignments, mine, w.ancestors, w.permission) {
			t.Fatal("a foreign override counted")
		}
		// A denial in the unit itself, to every role held, denies; nothing further away helps.
		if len(w.ancestors) > 1 {
			denied := slices.Clone(w.overrides)
			for r := range held {
				denied = append(denied, Override{UnitID: w.ancestors[0], Role: r, Permission: w.permission})
			}
			if Permits(w.assignments, denied, w.ancestors, w.permission) {
				t.Fatal("a nearest denial did not win")
			}
		}
		// One more role never takes anything away.
		more := append(slices.Clone(w.assignments), Assignment{"u", rapid.SampledFrom(Roles()).Draw(t, "more"), w.ancestors[0]})
		if got && !Permits(more, w.overrides, w.ancestors, w.permission) {
			t.Fatal("a role took a permission away")
		}
		// Order counts for nothing.
		slices.Reverse(w.overrides)
		slices.Reverse(w.assignments)
		if got != Permits(w.assignments, w.overrides, w.ancestors, w.permission) {
			t.Fatal("order counted")
		}
	})
}

// Whatever the overrides, an administrator of the root can manage the root.
func TestNobodyIsLockedOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		root := w.ancestors[len(w.ancestors)-1]
		for _, p := range []Permission{DirectoryManage, RoleAssign, PermissionAdjust} {
			if !Permits([]Assignment{{"u", Administrator, root}}, w.overrides, []string{root}, p) {
				t.Fatal(fmt.Sprint("lost ", p))
			}
		}
	})
}
