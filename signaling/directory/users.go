package directory

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"
)

// User is a person with an account. What they sign in with is kept elsewhere.
type User struct {
	ID         string    `json:"id"`
	Login      string    `json:"login"`    // as NormalizeLogin gives it, unique
	FullName   string    `json:"fullName"` // ≤ 200 characters
	Mail       string    `json:"mail"`     // or ""
	Phone      string    `json:"phone"`    // or "", as it was written
	PositionID string    `json:"positionId"`
	UnitID     string    `json:"unitId"`
	Enabled    bool      `json:"enabled"` // a disabled user may do nothing
	Version    int64     `json:"version"`
	CreatedAt  time.Time `json:"createdAt"`
	UpdatedAt  time.Time `json:"updatedAt"`
}

func (u *User) clean() error {
	var c cleaner
	c.apply(&u.Login, NormalizeLogin)
	c.text("fullName", &u.FullName, maxName, true)
	c.mail("mail", &u.Mail)
	c.phone("phone", &u.Phone)
	return c.err
}

func (u *User) search() string {
	return searchText(u.FullName, u.Login, u.Mail, u.Phone, digits(u.Phone))
}

const userColumns = "id, login, full_name, mail, phone, COALESCE(position_id, ''), unit_id, enabled, version, created_at, updated_at, sort_key"

func scanKeyedUser(s scanner) (keyed[User], error) {
	var u User
	var key []byte
	var created, updated int64
	err := s.Scan(&u.ID, &u.Login, &u.FullName, &u.Mail, &u.Phone, &u.PositionID, &u.UnitID, &u.Enabled, &u.Version, &created, &updated, &key)
	u.CreatedAt, u.UpdatedAt = fromMillis(created), fromMillis(updated)
	return keyed[User]{u, key, u.ID}, err
}

func scanUser(s scanner) (User, error) {
	k, err := scanKeyedUser(s)
	return k.item, err
}

// User gives one user, or ErrNotFound.
func (d *Directory) User(ctx context.Context, id string) (User, error) {
	return one(scanUser, d.db.QueryRow(ctx, "SELECT "+userColumns+" FROM users WHERE id = $1", known(id)))
}

// UserByLogin finds a user by login name in any case, or gives ErrNotFound.
func (d *Directory) UserByLogin(ctx context.Context, login string) (User, error) {
	login, err := NormalizeLogin(login)
	if err != nil {
		return User{}, ErrNotFound
	}
	return one(scanUser, d.db.QueryRow(ctx, "SELECT "+userColumns+" FROM users WHERE login = $1", login))
}

// UsersByID gives those of ids that there are, in no particular order.
func (d *Directory) UsersByID(ctx context.Context, ids []string) ([]User, error) {
	users := make([]User, 0, len(ids))
	for chunk := range slices.Chunk(ids, 500) {
		var c conditions
		for _, id := range chunk {
			c.add(c.arg(known(id)))
		}
		list, err := all(ctx, d.db, scanUser, "SELECT "+userColumns+" FROM users WHERE id IN ("+strings.Join(c.parts, ", ")+")", c.args...)
		if err != nil {
			return nil, err
		}
		users = append(users, list...)
	}
	return users, nil
}

// SearchUsers lists users by given name in Vietnamese order; login, mail and
// phone are searched, too.
func (d *Directory) SearchUsers(ctx context.Context, q Query) (Page[User], error) {
	c, err := q.conditions("unit_id")
	if err != nil {
		return Page[User]{}, err
	}
	if q.Enabled != nil {
		c.add("enabled = " + c.arg(*q.Enabled))
	}
	if q.Role != "" {
		if !q.Role.Valid() {
			return Page[User]{}, fail("invalid_role", "role", allRoleLabels())
		}
		c.add("EXISTS (SELECT 1 FROM role_assignments a WHERE a.user_id = users.id AND a.role = " + c.arg(string(q.Role)) + ")")
	}
	return page(ctx, d.db, scanKeyedUser, userColumns, "users", &q, c)
}

// CreateUser adds u; ID, Version and times are given by the server.
func (d *Directory) CreateUser(ctx context.Context, u User) (User, error) {
	if err := u.clean(); err != nil {
		return User{}, err
	}
	u.ID = newID()
	err := d.write(ctx, "login", func(tx txReader) error {
		n, err := count(ctx, tx, "SELECT count(*) FROM users")
		if err != nil {
			return err
		}
		if n >= MaxUsers {
			return fail("too_many", "", MaxUsers)
		}
		if err := u.requireReferences(ctx, tx); err != nil {
			return err
		}
		return d.insertUser(ctx, tx, &u)
	})
	if err != nil {
		return User{}, err
	}
	return u, nil
}

func (u *User) requireReferences(ctx context.Context, r reader) error {
	if err := requireUnit(ctx, r, u.UnitID); err != nil || u.PositionID == "" {
		return err
	}
	n, err := count(ctx, r, "SELECT count(*) FROM positions WHERE id = $1", known(u.PositionID))
	if err == nil && n == 0 {
		return fail("unknown_position", "positionId")
	}
	return err
}

func (d *Directory) insertUser(ctx context.Context, tx txReader, u *User) error {
	now := d.millis()
	u.Version, u.CreatedAt, u.UpdatedAt = 1, fromMillis(now), fromMillis(now)
	_, err := tx.ExecContext(ctx, `INSERT INTO users
		(id, login, full_name, mail, phone, position_id, unit_id, enabled, sort_key, search, version, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, $11, $11)`,
		u.ID, u.Login, u.FullName, u.Mail, u.Phone, nullable(u.PositionID), u.UnitID, u.Enabled, NameSortKey(u.FullName), u.search(), now)
	return err
}

// UpdateUser writes u over the row of u.ID if that still has u.Version. The
// last enabled administrator cannot be disabled.
func (d *Directory) UpdateUser(ctx context.Context, u User) (User, error) {
	if err := u.clean(); err != nil {
		return User{}, err
	}
	err := d.write(ctx, "login", func(tx txReader) error {
		if err := u.requireReferences(ctx, tx); err != nil {
			return err
		}
		return d.replaceUser(ctx, tx, &u)
	})
	if err != nil {
		return User{}, err
	}
	return d.User(ctx, u.ID)
}

func (d *Directory) replaceUser(ctx context.Context, tx txReader, u *User) error {
	res, err := tx.ExecContext(ctx, `UPDATE users SET login = $3, full_name = $4, mail = $5, phone = $6, position_id = $7,
		unit_id = $8, enabled = $9, sort_key = $10, search = $11, version = version + 1, updated_at = $12
		WHERE id = $1 AND version = $2`,
		known(u.ID), u.Version, u.Login, u.FullName, u.Mail, u.Phone, nullable(u.PositionID), u.UnitID, u.Enabled, NameSortKey(u.FullName), u.search(), d.millis())
	if err != nil {
		return err
	}
	return updated(ctx, tx, res, "users", u.ID)
}

// RemoveUser removes a user and their roles, but not the last enabled
// administrator. Who took part in meetings is disabled rather than removed.
func (d *Directory) RemoveUser(ctx context.Context, id string, version int64) error {
	return d.write(ctx, "", func(tx txReader) error {
		res, err := tx.ExecContext(ctx, "DELETE FROM users WHERE id = $1 AND version = $2", known(id), version)
		if err != nil {
			return err
		}
		return updated(ctx, tx, res, "users", id)
	})
}

// touchUser makes a change of a user's roles a change of the user, so that two
// editors notice each other. version 0 takes any.
func (d *Directory) touchUser(ctx context.Context, tx txReader, id string, version int64) error {
	query, args := "UPDATE users SET version = version + 1, updated_at = $2 WHERE id = $1", []any{known(id), d.millis()}
	if version != 0 {
		query, args = query+" AND version = $3", append(args, version)
	}
	var res sql.Result
	res, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return err
	}
	return updated(ctx, tx, res, "users", id)
}
