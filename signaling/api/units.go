package api

import (
	"slices"

	"diemcau/signaling/directory"
)

// UnitFields are what is written of a unit.
type UnitFields struct {
	Code      string `json:"code"`
	ParentID  string `json:"parentId" required:"false" doc:"empty for the root only"`
	Name      string `json:"name"`
	ShortName string `json:"shortName" required:"false"`
	Kind      string `json:"kind" required:"false"`
	SortOrder int    `json:"sortOrder" required:"false"`
}

func (f UnitFields) unit() directory.Unit {
	return directory.Unit{Code: f.Code, ParentID: f.ParentID, Name: f.Name, ShortName: f.ShortName, Kind: f.Kind, SortOrder: f.SortOrder}
}

type newUnit struct{ Body UnitFields }

type changedUnit struct {
	ByID
	Body struct {
		UnitFields
		Version int64 `json:"version" minimum:"1"`
	}
}

func unitID(u directory.Unit) string { return u.ID }

func (a *API) units() {
	d := a.o.Directory
	handle(a, route{"listUnits", get, "/units", "directory", "The tree of units, or a search in it", "unit.list", 0, false, nil}, a.listUnits)
	handle(a, route{"getUnit", get, "/units/{id}", "directory", "One unit", "unit.read", 0, false, nil},
		func(c *call, in *ByID) (*one[directory.Unit], error) {
			c.about("unit:" + in.ID)
			if err := a.needAnywhere(c, directory.DirectoryRead); err != nil {
				return nil, err
			}
			u, err := d.Unit(c, in.ID)
			return &one[directory.Unit]{u}, err
		})
	handle(a, route{"createUnit", post, "/units", "directory", "Add a unit", "unit.create", 0, false, nil},
		func(c *call, in *newUnit) (*one[directory.Unit], error) {
			c.about("unit:" + in.Body.Code)
			if err := a.needIn(c, in.Body.ParentID); err != nil {
				return nil, err
			}
			u, err := d.CreateUnit(c, in.Body.unit())
			if err == nil {
				c.about("unit:" + u.ID)
				c.detail = u.Code + " " + u.Name
			}
			return &one[directory.Unit]{u}, err
		})
	handle(a, route{"updateUnit", put, "/units/{id}", "directory", "Change or move a unit", "unit.update", 0, false, nil}, a.updateUnit)
	handle(a, route{"removeUnit", remove, "/units/{id}", "directory", "Remove an empty unit", "unit.remove", 0, false, nil},
		func(c *call, in *removal) (*none, error) {
			c.about("unit:" + in.ID)
			u, err := needFor(a, c, directory.DirectoryManage, d.Unit, in.ID, func(u directory.Unit) string { return u.ParentID })
			if err != nil {
				return nil, err
			}
			c.detail = u.Code + " " + u.Name
			// Roles that people hold in it end with it.
			if held, err := d.AssignmentsIn(c, u.ID); err != nil {
				return nil, err
			} else if len(held) > 0 {
				if err := a.need(c, directory.RoleAssign, u.ID); err != nil {
					return nil, err
				}
			}
			return nil, d.RemoveUnit(c, u.ID, in.Version)
		})
}

func (a *API) listUnits(c *call, in *query) (*list[directory.Unit], error) {
	if err := a.needAnywhere(c, directory.DirectoryRead); err != nil {
		return nil, err
	}
	if in.Text != "" || in.Cursor != "" || in.Limit > 0 {
		page, err := a.o.Directory.SearchUnits(c, in.query())
		return pageOf(page.Items, page.Next), err
	}
	tree, err := a.o.Directory.Units(c)
	if err != nil || in.Unit == "" {
		return pageOf(tree, ""), err
	}
	top := slices.IndexFunc(tree, func(u directory.Unit) bool { return u.ID == in.Unit })
	if top < 0 {
		return pageOf[directory.Unit](nil, ""), nil
	}
	end := top + 1
	for !in.Only && end < len(tree) && tree[end].Depth > tree[top].Depth {
		end++
	}
	return pageOf(tree[top:end], ""), nil
}

func (a *API) updateUnit(c *call, in *changedUnit) (*one[directory.Unit], error) {
	c.about("unit:" + in.ID)
	d := a.o.Directory
	old, err := needFor(a, c, directory.DirectoryManage, d.Unit, in.ID, unitID)
	if err != nil {
		return nil, err
	}
	if in.Body.ParentID != old.ParentID {
		// Moving takes it out of one unit and puts it into another.
		for _, parent := range []string{old.ParentID, in.Body.ParentID} {
			if err := a.needIn(c, parent); err != nil {
				return nil, err
			}
		}
		c.detail = "parent " + old.ParentID + " → " + in.Body.ParentID
	}
	u := in.Body.unit()
	u.ID, u.Version = old.ID, in.Body.Version
	u, err = d.UpdateUnit(c, u)
	return &one[directory.Unit]{u}, err
}
