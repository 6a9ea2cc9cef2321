package office

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/account"
	"diemcau/signaling/directory"
)

func TestClaims(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		ctx, d, root := t.Context(), b.office.directory, b.root(t)
		unit, err := d.CreateUnit(ctx, directory.Unit{Code: "SNV", Name: "Sở Nội vụ", ParentID: root})
		require.NoError(t, err)
		other, err := d.CreateUnit(ctx, directory.Unit{Code: "STC", Name: "Sở Tài chính", ParentID: root})
		require.NoError(t, err)
		sso := &OIDC{Roles: map[string]directory.Role{"dai-bieu": directory.Delegate, "thu-ky": directory.Secretary, "admin": directory.Administrator}}
		s := &users{db: b.office.db, directory: d, oidc: sso, log: slog.New(slog.DiscardHandler)}
		c := account.Claims{Issuer: "https://sso", Subject: "1", Login: "lan.le@tinh.vn", Name: "Lê Thị Lan", Unit: "snv",
			Email: "lan.le@tinh.vn", EmailVerified: true, Roles: []string{"dai-bieu", "admin", "khac"}}
		roles := func(id string) []directory.RoleIn {
			held, err := d.Assignments(ctx, id)
			require.NoError(t, err)
			list := []directory.RoleIn{}
			for _, h := range held {
				list = append(list, directory.RoleIn{Role: h.Role, UnitID: h.UnitID})
			}
			return list
		}
		u, err := s.FromClaims(ctx, c)
		require.NoError(t, err)
		require.Equal(t, unit.ID, u.Unit)
		require.Equal(t, []directory.RoleIn{{Role: directory.Delegate, UnitID: unit.ID}}, roles(u.ID), "never an administrator")
		again, err := s.FromClaims(ctx, c)
		require.NoError(t, err)
		require.Equal(t, u, again)

		// What was given here stays; what the provider gave follows it.
		require.NoError(t, d.Assign(ctx, directory.Assignment{UserID: u.ID, Role: directory.Chair, UnitID: root}))
		c.Roles, c.Unit = []string{"thu-ky"}, "STC"
		_, err = s.FromClaims(ctx, c)
		require.NoError(t, err)
		require.ElementsMatch(t, []directory.RoleIn{{Role: directory.Chair, UnitID: root}, {Role: directory.Secretary, UnitID: other.ID}}, roles(u.ID))

		// The login of somebody else leads nowhere.
		for _, login := range []string{"goc", "GOC", "lan.le@tinh.vn", "", "a b", "\u202egoc"} {
			_, err = s.FromClaims(ctx, account.Claims{Issuer: "https://sso", Subject: "2 " + login, Login: login, Name: "X", Unit: "SNV"})
			require.ErrorIs(t, err, account.ErrNoUser, login)
		}
		// The same subject of another provider is another person.
		_, err = s.FromClaims(ctx, account.Claims{Issuer: "https://other", Subject: "1", Login: "khac", Name: "Khác", Unit: "SNV"})
		require.NoError(t, err)
		_, err = s.FromClaims(ctx, account.Claims{Issuer: "https://sso", Subject: "3", Login: "ba", Name: "Ba", Unit: "KHONG-CO"})
		require.ErrorIs(t, err, account.ErrNoUser, "no unit")
		sso.Unit = "SNV"
		_, err = s.FromClaims(ctx, account.Claims{Issuer: "https://sso", Subject: "3", Login: "ba", Name: "Ba"})
		require.NoError(t, err)
		// Who was removed here does not come back by signing in.
		now, err := d.User(ctx, u.ID)
		require.NoError(t, err)
		require.NoError(t, d.RemoveUser(ctx, u.ID, now.Version))
		_, err = s.FromClaims(ctx, c)
		require.ErrorIs(t, err, account.ErrNoUser)
		s.oidc = nil
		_, err = s.FromClaims(ctx, c)
		require.ErrorIs(t, err, account.ErrNoUser)
	})
}
