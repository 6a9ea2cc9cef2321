package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"diemcau/signaling/account"
	"diemcau/signaling/directory"
)

// meBody is who makes the request, and what they may do.
type meBody struct {
	Kind               account.Kind `json:"kind" doc:"user, point or guest"`
	ID                 string       `json:"id"`
	Identity           string       `json:"identity"`
	Name               string       `json:"name"`
	Login              string       `json:"login,omitempty"`
	Position           string       `json:"position,omitempty"`
	Meeting            string       `json:"meeting,omitempty" doc:"the only one that a guest may enter"`
	Lobby              bool         `json:"lobby,omitempty"`
	MustChangePassword bool         `json:"mustChangePassword,omitempty"`
	Units              []meUnit     `json:"units" nullable:"false" doc:"one's own first, then those in which one holds a role"`
}

type meUnit struct {
	ID          string                 `json:"id"`
	Code        string                 `json:"code"`
	Name        string                 `json:"name"`
	Own         bool                   `json:"own"`
	Roles       []directory.Role       `json:"roles" nullable:"false" doc:"held here, from here or from above"`
	Permissions []directory.Permission `json:"permissions" nullable:"false"`
}

func (a *API) me() {
	huma.Register(a.huma, huma.Operation{
		OperationID: "getMe", Method: get, Path: "/me", Tags: []string{"session"}, Summary: "Who am I, and what may I do",
		Metadata: map[string]any{"mustChange": true},
	}, func(ctx context.Context, _ *struct{}) (*one[meBody], error) {
		p, _ := account.From(ctx)
		body, err := a.meOf(ctx, p)
		return &one[meBody]{body}, err
	})
}

func (a *API) meOf(ctx context.Context, p account.Principal) (meBody, error) {
	body := meBody{Kind: p.Kind, ID: p.ID, Identity: p.Identity, Name: p.Name, Meeting: p.Meeting, Lobby: p.Lobby,
		MustChangePassword: p.MustChange, Units: []meUnit{}}
	d := a.o.Directory
	ids := []string{}
	if p.Unit != "" {
		ids = append(ids, p.Unit)
	}
	if p.Kind == account.KindUser {
		u, err := d.User(ctx, p.ID)
		if err != nil {
			return body, err
		}
		body.Login = u.Login
		if u.PositionID != "" {
			position, err := d.Position(ctx, u.PositionID)
			if err != nil {
				return body, err
			}
			body.Position = position.Name
		}
		held, err := d.Assignments(ctx, p.ID)
		if err != nil {
			return body, err
		}
		for _, h := range held {
			ids = append(ids, h.UnitID)
		}
	}
	seen := map[string]bool{}
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		unit, err := a.meUnit(ctx, p, id)
		if err != nil {
			return body, err
		}
		body.Units = append(body.Units, unit)
	}
	return body, nil
}

func (a *API) meUnit(ctx context.Context, p account.Principal, id string) (meUnit, error) {
	u, err := a.o.Directory.Unit(ctx, id)
	if err != nil {
		return meUnit{}, err
	}
	m := meUnit{ID: u.ID, Code: u.Code, Name: u.Name, Own: id == p.Unit, Roles: []directory.Role{}, Permissions: []directory.Permission{}}
	if p.Kind != account.KindUser {
		return m, nil
	}
	if m.Roles, err = a.o.Directory.RolesIn(ctx, p.ID, id); err != nil {
		return m, err
	}
	m.Permissions, err = a.o.Directory.PermissionsIn(ctx, p.ID, id)
	return m, err
}
