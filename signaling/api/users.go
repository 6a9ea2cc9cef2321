package api

import "diemcau/signaling/directory"

// UserFields are what is written of a user.
type UserFields struct {
	Login      string `json:"login"`
	FullName   string `json:"fullName"`
	Mail       string `json:"mail" required:"false"`
	Phone      string `json:"phone" required:"false"`
	PositionID string `json:"positionId" required:"false"`
	UnitID     string `json:"unitId"`
	Enabled    *bool  `json:"enabled,omitempty" doc:"without it: true for a new one, else as it was"`
}

func (f UserFields) user() directory.User {
	return directory.User{Login: f.Login, FullName: f.FullName, Mail: f.Mail, Phone: f.Phone,
		PositionID: f.PositionID, UnitID: f.UnitID, Enabled: f.Enabled == nil || *f.Enabled}
}

type newUser struct{ Body UserFields }

type changedUser struct {
	ByID
	Body struct {
		UserFields
		Version int64 `json:"version" minimum:"1"`
	}
}

func unitOfUser(u directory.User) string { return u.UnitID }

func (a *API) users() {
	d := a.o.Directory
	handle(a, route{"listUsers", get, "/users", "directory", "Users, by given name in Vietnamese order", "user.list", 0, false, nil},
		func(c *call, in *query) (*list[directory.User], error) {
			c.about("unit:" + in.Unit)
			if err := a.need(c, directory.DirectoryRead, in.Unit); err != nil {
				return nil, err
			}
			page, err := d.SearchUsers(c, in.query())
			return pageOf(page.Items, page.Next), err
		})
	handle(a, route{"getUser", get, "/users/{id}", "directory", "One user", "user.read", 0, false, nil},
		func(c *call, in *ByID) (*one[directory.User], error) {
			c.about("user:" + in.ID)
			u, err := needFor(a, c, directory.DirectoryRead, d.User, in.ID, unitOfUser)
			if err != nil {
				return nil, err
			}
			return &one[directory.User]{u}, nil
		})
	handle(a, route{"createUser", post, "/users", "directory", "Add a user, who has no role and no password yet", "user.create", 0, false, nil},
		func(c *call, in *newUser) (*one[directory.User], error) {
			c.about("unit:" + in.Body.UnitID)
			if err := a.needIn(c, in.Body.UnitID); err != nil {
				return nil, err
			}
			u, err := d.CreateUser(c, in.Body.user())
			if err == nil {
				c.about("user:" + u.ID)
				c.detail = u.Login
			}
			return &one[directory.User]{u}, err
		})
	handle(a, route{"updateUser", put, "/users/{id}", "directory", "Change a user", "user.update", 0, false, nil}, a.updateUser)
	handle(a, route{"removeUser", remove, "/users/{id}", "directory", "Remove a user who has taken part in nothing; others are disabled", "user.remove", 0, false, nil},
		func(c *call, in *removal) (*none, error) {
			c.about("user:" + in.ID)
			u, err := a.manageUser(c, in.ID)
			if err != nil {
				return nil, err
			}
			c.detail = u.Login
			if err := d.RemoveUser(c, u.ID, in.Version); err != nil {
				return nil, err
			}
			return nil, a.o.Accounts.EndSessions(c, u.ID)
		})
}

// manageUser loads a user whom the caller may manage: in the user's unit, and
// in each unit in which the user holds a role, since a change of the user can
// end or take over what comes with it.
func (a *API) manageUser(c *call, id string) (directory.User, error) {
	u, err := needFor(a, c, directory.DirectoryManage, a.o.Directory.User, id, unitOfUser)
	if err != nil {
		return u, err
	}
	held, err := a.o.Directory.Assignments(c, u.ID)
	if err != nil {
		return u, err
	}
	for _, role := range held {
		if err := a.need(c, directory.RoleAssign, role.UnitID); err != nil {
			return u, err
		}
	}
	return u, nil
}

func (a *API) updateUser(c *call, in *changedUser) (*one[directory.User], error) {
	c.about("user:" + in.ID)
	old, err := a.manageUser(c, in.ID)
	if err != nil {
		return nil, err
	}
	if err := a.needIn(c, in.Body.UnitID); err != nil {
		return nil, err
	}
	u := in.Body.user()
	u.ID, u.Version = old.ID, in.Body.Version
	if in.Body.Enabled == nil {
		u.Enabled = old.Enabled
	}
	if u, err = a.o.Directory.UpdateUser(c, u); err != nil {
		return nil, err
	}
	switch {
	case !u.Enabled:
		c.detail = "disabled"
		err = a.o.Accounts.EndSessions(c, u.ID)
	case u.Login != old.Login:
		c.detail = "login " + old.Login + " → " + u.Login
	}
	return &one[directory.User]{u}, err
}
