package office

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"diemcau/signaling/account"
	"diemcau/signaling/directory"
	"diemcau/signaling/store"
)

// OIDC says how people of a single sign-on provider become users here.
type OIDC struct {
	account.OIDCOptions
	// Roles are what values of the role claim mean; others mean nothing. A role is
	// held in the user's own unit.
	Roles map[string]directory.Role
	// Unit is the code of the unit of people whose unit claim is missing or not
	// the code of a unit; "" refuses them.
	Unit string
	// Administrators lets Roles name the administrator.
	Administrators bool
}

// NewOIDC is single sign-on for browsers that come to public, an origin, with roles by the
// value of the role claim. Errors: a role that there is not.
func NewOIDC(public string, roles map[string]string, unit string, administrators bool, o account.OIDCOptions) (*OIDC, error) {
	out := &OIDC{OIDCOptions: o, Roles: make(map[string]directory.Role, len(roles)), Unit: unit, Administrators: administrators}
	for value, name := range roles {
		role := directory.Role(name)
		if !role.Valid() {
			return nil, fmt.Errorf("office: %q is no role", name)
		}
		out.Roles[value] = role
	}
	out.RedirectURL, out.AfterLogout = public+"/api/v1/oidc/callback", public+"/"
	return out, nil
}

// users are the directory's users as signing in sees them.
type users struct {
	db        *store.DB
	directory *directory.Directory
	oidc      *OIDC
	log       *slog.Logger
}

func accountUser(u directory.User, err error) (account.User, error) {
	if errors.Is(err, directory.ErrNotFound) {
		return account.User{}, account.ErrNoUser
	}
	return account.User{ID: u.ID, Login: u.Login, Name: u.FullName, Unit: u.UnitID, Enabled: u.Enabled}, err
}

func (s *users) ByLogin(ctx context.Context, login string) (account.User, error) {
	return accountUser(s.directory.UserByLogin(ctx, login))
}

func (s *users) ByID(ctx context.Context, id string) (account.User, error) {
	return accountUser(s.directory.User(ctx, id))
}

// FromClaims finds the user of a subject or makes one, and has unit and roles
// follow the claims at each sign-in. A login that somebody else has already is
// refused: the provider must not lead to an account that was made here. Should
// the process end between the two writes that make a user, the login is taken by
// a user without a subject, whom an administrator removes.
func (s *users) FromClaims(ctx context.Context, c account.Claims) (account.User, error) {
	if s.oidc == nil {
		return account.User{}, account.ErrNoUser
	}
	u, err := s.bySubject(ctx, c)
	if errors.Is(err, directory.ErrNotFound) {
		u, err = s.make(ctx, c)
	}
	if err != nil {
		return account.User{}, s.refusal(ctx, c, err)
	}
	if u, err = s.follow(ctx, u, c); err != nil {
		return account.User{}, s.refusal(ctx, c, err)
	}
	return accountUser(u, nil)
}

// refusal makes what the directory does not take a subject that is refused.
func (s *users) refusal(ctx context.Context, c account.Claims, err error) error {
	var refused *directory.Error
	if !errors.As(err, &refused) {
		return err
	}
	s.log.WarnContext(ctx, "single sign-on: somebody was refused", "issuer", c.Issuer, "subject", c.Subject, "error", err)
	return account.ErrNoUser
}

func (s *users) bySubject(ctx context.Context, c account.Claims) (directory.User, error) {
	var id string
	err := s.db.QueryRow(ctx, `SELECT user_id FROM sso_subjects WHERE issuer = $1 AND subject = $2`, c.Issuer, c.Subject).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return directory.User{}, directory.ErrNotFound
	}
	if err != nil {
		return directory.User{}, fmt.Errorf("office: %w", err)
	}
	u, err := s.directory.User(ctx, id)
	if errors.Is(err, directory.ErrNotFound) {
		// The user was removed here, which must last: the provider does not undo it.
		return u, account.ErrNoUser
	}
	return u, err
}

func (s *users) make(ctx context.Context, c account.Claims) (directory.User, error) {
	unit, err := s.unitOf(ctx, c)
	if err != nil {
		return directory.User{}, err
	}
	name := c.Name
	if name == "" {
		name = c.Login
	}
	u := directory.User{Login: c.Login, FullName: name, UnitID: unit, Enabled: true}
	if c.EmailVerified {
		u.Mail = c.Email
	}
	if u, err = s.directory.CreateUser(ctx, u); err != nil {
		return u, err
	}
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO sso_subjects (issuer, subject, user_id) VALUES ($1, $2, $3)`, c.Issuer, c.Subject, u.ID)
		return err
	})
	if err != nil {
		return u, errors.Join(err, s.directory.RemoveUser(context.WithoutCancel(ctx), u.ID, u.Version))
	}
	return u, nil
}

func (s *users) unitOf(ctx context.Context, c account.Claims) (string, error) {
	for _, code := range []string{c.Unit, s.oidc.Unit} {
		if code == "" {
			continue
		}
		u, err := s.directory.UnitByCode(ctx, code)
		if err == nil {
			return u.ID, nil
		}
		if !errors.Is(err, directory.ErrNotFound) {
			return "", err
		}
	}
	return "", directory.ErrNotFound
}

// follow has unit and roles be as the claims say. Roles that the mapping does not
// know, or that are held in other units, were given here and stay.
func (s *users) follow(ctx context.Context, u directory.User, c account.Claims) (directory.User, error) {
	unit, err := s.unitOf(ctx, c)
	if err != nil {
		return u, err
	}
	old := u.UnitID
	if unit != old {
		u.UnitID = unit
		if u, err = s.directory.UpdateUser(ctx, u); err != nil {
			return u, err
		}
	}
	held, err := s.directory.Assignments(ctx, u.ID)
	if err != nil {
		return u, err
	}
	var before, after []directory.RoleIn
	for _, h := range held {
		r := directory.RoleIn{Role: h.Role, UnitID: h.UnitID}
		before = append(before, r)
		if !s.mapped(r.Role) || r.UnitID != old && r.UnitID != unit {
			after = append(after, r)
		}
	}
	for _, value := range c.Roles {
		role, ok := s.oidc.Roles[value]
		r := directory.RoleIn{Role: role, UnitID: unit}
		if ok && s.mapped(role) && !slices.Contains(after, r) {
			after = append(after, r)
		}
	}
	if sameRoles(before, after) {
		return u, nil
	}
	if err := s.directory.SetRoles(ctx, u.ID, u.Version, after); err != nil {
		return u, err
	}
	return s.directory.User(ctx, u.ID)
}

// mapped reports whether the provider has a say about a role.
func (s *users) mapped(role directory.Role) bool {
	if role == directory.Administrator && !s.oidc.Administrators {
		return false
	}
	for _, r := range s.oidc.Roles {
		if r == role {
			return true
		}
	}
	return false
}

func sameRoles(a, b []directory.RoleIn) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(r directory.RoleIn) bool { return !slices.Contains(b, r) })
}

// cutIdentity splits "user:<id>#<device>" into kind and id.
func cutIdentity(identity string) (kind, id string) {
	kind, id, _ = strings.Cut(identity, ":")
	id, _, _ = strings.Cut(id, "#")
	return kind, id
}
