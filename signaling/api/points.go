package api

import (
	"errors"

	"diemcau/signaling/directory"
	"diemcau/signaling/problem"
)

// PointFields are what is written of a meeting point.
type PointFields struct {
	Code       string              `json:"code"`
	UnitID     string              `json:"unitId"`
	Name       string              `json:"name"`
	Place      string              `json:"place" required:"false"`
	Kind       directory.PointKind `json:"kind" doc:"room_device, laptop or phone"`
	Technician string              `json:"technician" required:"false"`
	TechPhone  string              `json:"techPhone" required:"false"`
	Enabled    *bool               `json:"enabled,omitempty" doc:"without it: true for a new one, else as it was"`
}

func (f PointFields) point() directory.Point {
	return directory.Point{Code: f.Code, UnitID: f.UnitID, Name: f.Name, Place: f.Place, Kind: f.Kind,
		Technician: f.Technician, TechPhone: f.TechPhone, Enabled: f.Enabled == nil || *f.Enabled}
}

type newPoint struct{ Body PointFields }

type changedPoint struct {
	ByID
	Body struct {
		PointFields
		Version int64 `json:"version" minimum:"1"`
	}
}

func unitOfPoint(p directory.Point) string { return p.UnitID }

func (a *API) points() {
	d := a.o.Directory
	handle(a, route{"listPoints", get, "/points", "directory", "Meeting points", "point.list", 0, false, nil},
		func(c *call, in *query) (*list[directory.Point], error) {
			c.about("unit:" + in.Unit)
			if err := a.need(c, directory.DirectoryRead, in.Unit); err != nil {
				return nil, err
			}
			page, err := d.SearchPoints(c, in.query())
			return pageOf(page.Items, page.Next), err
		})
	handle(a, route{"getPoint", get, "/points/{id}", "directory", "One meeting point", "point.read", 0, false, nil},
		func(c *call, in *ByID) (*one[directory.Point], error) {
			c.about("point:" + in.ID)
			p, err := needFor(a, c, directory.DirectoryRead, d.Point, in.ID, unitOfPoint)
			if err != nil {
				return nil, err
			}
			return &one[directory.Point]{p}, nil
		})
	handle(a, route{"createPoint", post, "/points", "directory", "Add a meeting point", "point.create", 0, false, nil},
		func(c *call, in *newPoint) (*one[directory.Point], error) {
			c.about("point:" + in.Body.Code)
			if err := a.needIn(c, in.Body.UnitID); err != nil {
				return nil, err
			}
			p, err := d.CreatePoint(c, in.Body.point())
			if err == nil {
				c.about("point:" + p.ID)
				c.detail = p.Code + " " + p.Name
			}
			return &one[directory.Point]{p}, err
		})
	handle(a, route{"updatePoint", put, "/points/{id}", "directory", "Change a meeting point", "point.update", 0, false, nil}, a.updatePoint)
	handle(a, route{"removePoint", remove, "/points/{id}", "directory", "Remove a meeting point and the enrolment of its devices", "point.remove", 0, false, nil},
		func(c *call, in *removal) (*none, error) {
			c.about("point:" + in.ID)
			p, err := needFor(a, c, directory.DirectoryManage, d.Point, in.ID, unitOfPoint)
			if err != nil {
				return nil, err
			}
			c.detail = p.Code + " " + p.Name
			if err := d.RemovePoint(c, p.ID, in.Version); err != nil {
				return nil, err
			}
			return nil, a.o.Accounts.EndPoint(c, p.ID)
		})
}

// needIn asks for the right to manage what is put into a unit. A unit that is not
// there is for the directory to refuse, if the caller may everything.
func (a *API) needIn(c *call, unit string) error {
	refused := a.need(c, directory.DirectoryManage, unit)
	if !errors.Is(refused, problem.Forbidden) {
		return refused
	}
	if _, err := a.o.Directory.Unit(c, unit); err == nil {
		return refused
	} else if refused := a.missing(c, directory.DirectoryManage, err); !errors.Is(refused, directory.ErrNotFound) {
		return refused
	}
	return nil
}

func (a *API) updatePoint(c *call, in *changedPoint) (*one[directory.Point], error) {
	c.about("point:" + in.ID)
	d := a.o.Directory
	old, err := needFor(a, c, directory.DirectoryManage, d.Point, in.ID, unitOfPoint)
	if err != nil {
		return nil, err
	}
	if err := a.needIn(c, in.Body.UnitID); err != nil {
		return nil, err
	}
	p := in.Body.point()
	p.ID, p.Version = old.ID, in.Body.Version
	if in.Body.Enabled == nil {
		p.Enabled = old.Enabled
	}
	if p, err = d.UpdatePoint(c, p); err != nil {
		return nil, err
	}
	if !p.Enabled {
		c.detail = "disabled"
		err = a.o.Accounts.EndPoint(c, p.ID)
	}
	return &one[directory.Point]{p}, err
}
