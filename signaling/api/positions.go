package api

import "diemcau/signaling/directory"

// PositionFields are what is written of a position.
type PositionFields struct {
	Name      string `json:"name"`
	SortOrder int    `json:"sortOrder" required:"false"`
}

type newPosition struct{ Body PositionFields }

type changedPosition struct {
	ByID
	Body struct {
		PositionFields
		Version int64 `json:"version" minimum:"1"`
	}
}

// positions are one list for all units, so that changing it is asked at the root.
func (a *API) positions() {
	d := a.o.Directory
	handle(a, route{"listPositions", get, "/positions", "directory", "The list of positions", "position.list", 0, false, nil},
		func(c *call, _ *struct{}) (*list[directory.Position], error) {
			if err := a.needAnywhere(c, directory.DirectoryRead); err != nil {
				return nil, err
			}
			all, err := d.Positions(c)
			return pageOf(all, ""), err
		})
	handle(a, route{"createPosition", post, "/positions", "directory", "Add a position", "position.create", 0, false, nil},
		func(c *call, in *newPosition) (*one[directory.Position], error) {
			if err := a.need(c, directory.CatalogManage, ""); err != nil {
				return nil, err
			}
			p, err := d.CreatePosition(c, directory.Position{Name: in.Body.Name, SortOrder: in.Body.SortOrder})
			if err == nil {
				c.about("position:" + p.ID)
				c.detail = p.Name
			}
			return &one[directory.Position]{p}, err
		})
	handle(a, route{"updatePosition", put, "/positions/{id}", "directory", "Change a position", "position.update", 0, false, nil},
		func(c *call, in *changedPosition) (*one[directory.Position], error) {
			c.about("position:" + in.ID)
			if err := a.need(c, directory.CatalogManage, ""); err != nil {
				return nil, err
			}
			p, err := d.UpdatePosition(c, directory.Position{ID: in.ID, Version: in.Body.Version, Name: in.Body.Name, SortOrder: in.Body.SortOrder})
			return &one[directory.Position]{p}, err
		})
	handle(a, route{"removePosition", remove, "/positions/{id}", "directory", "Remove a position that nobody holds", "position.remove", 0, false, nil},
		func(c *call, in *removal) (*none, error) {
			c.about("position:" + in.ID)
			if err := a.need(c, directory.CatalogManage, ""); err != nil {
				return nil, err
			}
			return nil, d.RemovePosition(c, in.ID, in.Version)
		})
}
