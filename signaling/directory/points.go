package directory

import (
	"context"
	"slices"
	"strings"
	"time"
)

// PointKind says what stands at a point.
type PointKind string

// The kinds of points.
const (
	RoomDevice PointKind = "room_device" // a meeting room with a device of its own
	Laptop     PointKind = "laptop"      // a commune's laptop
	Phone      PointKind = "phone"
)

// PointKinds lists the kinds in the order of display.
func PointKinds() []PointKind { return []PointKind{RoomDevice, Laptop, Phone} }

var pointKindNames = map[PointKind]message{
	RoomDevice: {"Thiết bị phòng họp", "Room device"},
	Laptop:     {"Máy tính xách tay", "Laptop"},
	Phone:      {"Điện thoại", "Phone"},
}

// Label names k for people: in Vietnamese for "vi...", else in English.
func (k PointKind) Label(lang string) string {
	n, ok := pointKindNames[k]
	switch {
	case !ok:
		return string(k)
	case strings.HasPrefix(lang, "vi"):
		return n.vi
	default:
		return n.en
	}
}

// Point (điểm cầu) is a place from which people take part in a meeting.
type Point struct {
	ID         string    `json:"id"`
	Code       string    `json:"code"` // as of a unit
	UnitID     string    `json:"unitId"`
	Name       string    `json:"name"`  // ≤ 200 characters
	Place      string    `json:"place"` // ≤ 300 characters
	Kind       PointKind `json:"kind"`
	Technician string    `json:"technician"` // who stands by there, ≤ 200 characters
	TechPhone  string    `json:"techPhone"`
	Enabled    bool      `json:"enabled"`
	Version    int64     `json:"version"`
	CreatedAt  time.Time `json:"createdAt"`
	UpdatedAt  time.Time `json:"updatedAt"`
}

func (p *Point) clean() error {
	var c cleaner
	c.code("code", &p.Code)
	c.text("name", &p.Name, maxName, true)
	c.text("place", &p.Place, maxPlace, false)
	c.text("technician", &p.Technician, maxName, false)
	c.phone("techPhone", &p.TechPhone)
	if c.err == nil && !slices.Contains(PointKinds(), p.Kind) {
		return fail("invalid_kind", "kind", allPointKinds())
	}
	return c.err
}

func allPointKinds() string {
	labels := make([]string, 0, len(pointKindNames))
	for _, k := range PointKinds() {
		labels = append(labels, k.Label("vi"))
	}
	return strings.Join(labels, ", ")
}

func (p *Point) search() string {
	return searchText(p.Name, p.Code, p.Place, p.Technician, p.TechPhone, digits(p.TechPhone))
}

const pointColumns = "id, code, unit_id, name, place, kind, technician, tech_phone, enabled, version, created_at, updated_at, sort_key"

func scanKeyedPoint(s scanner) (keyed[Point], error) {
	var p Point
	var key []byte
	var created, updated int64
	err := s.Scan(&p.ID, &p.Code, &p.UnitID, &p.Name, &p.Place, &p.Kind, &p.Technician, &p.TechPhone, &p.Enabled, &p.Version, &created, &updated, &key)
	p.CreatedAt, p.UpdatedAt = fromMillis(created), fromMillis(updated)
	return keyed[Point]{p, key, p.ID}, err
}

func scanPoint(s scanner) (Point, error) {
	k, err := scanKeyedPoint(s)
	return k.item, err
}

// Point gives one point, or ErrNotFound.
func (d *Directory) Point(ctx context.Context, id string) (Point, error) {
	return one(scanPoint, d.db.QueryRow(ctx, "SELECT "+pointColumns+" FROM points WHERE id = $1", known(id)))
}

// SearchPoints lists points by name; place, code, technician and phone are
// searched, too.
func (d *Directory) SearchPoints(ctx context.Context, q Query) (Page[Point], error) {
	c, err := q.conditions("unit_id")
	if err != nil {
		return Page[Point]{}, err
	}
	if q.Enabled != nil {
		c.add("enabled = " + c.arg(*q.Enabled))
	}
	return page(ctx, d.db, scanKeyedPoint, pointColumns, "points", &q, c)
}

// CreatePoint adds p; ID, Version and times are given by the server.
func (d *Directory) CreatePoint(ctx context.Context, p Point) (Point, error) {
	if err := p.clean(); err != nil {
		return Point{}, err
	}
	p.ID = newID()
	err := d.write(ctx, "code", func(tx txReader) error {
		n, err := count(ctx, tx, "SELECT count(*) FROM points")
		if err != nil {
			return err
		}
		if n >= MaxPoints {
			return fail("too_many", "", MaxPoints)
		}
		if err := requireUnit(ctx, tx, p.UnitID); err != nil {
			return err
		}
		return d.insertPoint(ctx, tx, &p)
	})
	if err != nil {
		return Point{}, err
	}
	return p, nil
}

func (d *Directory) insertPoint(ctx context.Context, tx txReader, p *Point) error {
	now := d.millis()
	p.Version, p.CreatedAt, p.UpdatedAt = 1, fromMillis(now), fromMillis(now)
	_, err := tx.ExecContext(ctx, `INSERT INTO points
		(id, code, unit_id, name, place, kind, technician, tech_phone, enabled, sort_key, search, version, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1, $12, $12)`,
		p.ID, p.Code, p.UnitID, p.Name, p.Place, string(p.Kind), p.Technician, p.TechPhone, p.Enabled, SortKey(p.Name), p.search(), now)
	return err
}

// UpdatePoint writes p over the row of p.ID if that still has p.Version.
func (d *Directory) UpdatePoint(ctx context.Context, p Point) (Point, error) {
	if err := p.clean(); err != nil {
		return Point{}, err
	}
	err := d.write(ctx, "code", func(tx txReader) error {
		if err := requireUnit(ctx, tx, p.UnitID); err != nil {
			return err
		}
		return d.replacePoint(ctx, tx, &p)
	})
	if err != nil {
		return Point{}, err
	}
	return d.Point(ctx, p.ID)
}

func (d *Directory) replacePoint(ctx context.Context, tx txReader, p *Point) error {
	res, err := tx.ExecContext(ctx, `UPDATE points SET code = $3, unit_id = $4, name = $5, place = $6, kind = $7,
		technician = $8, tech_phone = $9, enabled = $10, sort_key = $11, search = $12, version = version + 1, updated_at = $13
		WHERE id = $1 AND version = $2`,
		known(p.ID), p.Version, p.Code, p.UnitID, p.Name, p.Place, string(p.Kind), p.Technician, p.TechPhone, p.Enabled, SortKey(p.Name), p.search(), d.millis())
	if err != nil {
		return err
	}
	return updated(ctx, tx, res, "points", p.ID)
}

// RemovePoint removes a point.
func (d *Directory) RemovePoint(ctx context.Context, id string, version int64) error {
	return d.write(ctx, "", func(tx txReader) error {
		res, err := tx.ExecContext(ctx, "DELETE FROM points WHERE id = $1 AND version = $2", known(id), version)
		if err != nil {
			return err
		}
		return updated(ctx, tx, res, "points", id)
	})
}
