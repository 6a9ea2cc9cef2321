package directory

import (
	"context"
	"strings"
	"time"

	"golang.org/x/text/cases"
)

// Position (chức vụ) is an entry of the list that users' positions are taken from.
type Position struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"` // unique whatever its case, ≤ 200 characters
	SortOrder int       `json:"sortOrder"`
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

func (p *Position) clean() error {
	var c cleaner
	c.text("name", &p.Name, maxName, true)
	c.order(p.SortOrder)
	return c.err
}

// positionKey is the form in which names are unique; marks do count.
func positionKey(name string) string {
	return cases.Fold().String(strings.Join(strings.Fields(name), " "))
}

const positionColumns = "id, name, sort_order, version, created_at, updated_at"

func scanPosition(s scanner) (Position, error) {
	var p Position
	var created, updated int64
	err := s.Scan(&p.ID, &p.Name, &p.SortOrder, &p.Version, &created, &updated)
	p.CreatedAt, p.UpdatedAt = fromMillis(created), fromMillis(updated)
	return p, err
}

// Position gives one position, or ErrNotFound.
func (d *Directory) Position(ctx context.Context, id string) (Position, error) {
	return one(scanPosition, d.db.QueryRow(ctx, "SELECT "+positionColumns+" FROM positions WHERE id = $1", known(id)))
}

// Positions lists all positions in their order.
func (d *Directory) Positions(ctx context.Context) ([]Position, error) {
	return positionList(ctx, d.db)
}

func positionList(ctx context.Context, r reader) ([]Position, error) {
	return all(ctx, r, scanPosition, "SELECT "+positionColumns+" FROM positions ORDER BY sort_order, id")
}

// CreatePosition adds p; ID, Version and times are given by the server.
func (d *Directory) CreatePosition(ctx context.Context, p Position) (Position, error) {
	if err := p.clean(); err != nil {
		return Position{}, err
	}
	p.ID = newID()
	err := d.write(ctx, "name", func(tx txReader) error {
		n, err := count(ctx, tx, "SELECT count(*) FROM positions")
		if err != nil {
			return err
		}
		if n >= MaxPositions {
			return fail("too_many", "", MaxPositions)
		}
		return d.insertPosition(ctx, tx, &p)
	})
	if err != nil {
		return Position{}, err
	}
	return p, nil
}

func (d *Directory) insertPosition(ctx context.Context, tx txReader, p *Position) error {
	now := d.millis()
	p.Version, p.CreatedAt, p.UpdatedAt = 1, fromMillis(now), fromMillis(now)
	_, err := tx.ExecContext(ctx, `INSERT INTO positions (id, name, name_key, sort_order, version, created_at, updated_at)
		VALUES ($1, $2, $3, $4, 1, $5, $5)`, p.ID, p.Name, positionKey(p.Name), p.SortOrder, now)
	return err
}

// UpdatePosition writes p over the row of p.ID if that still has p.Version.
func (d *Directory) UpdatePosition(ctx context.Context, p Position) (Position, error) {
	if err := p.clean(); err != nil {
		return Position{}, err
	}
	err := d.write(ctx, "name", func(tx txReader) error {
		res, err := tx.ExecContext(ctx, `UPDATE positions SET name = $3, name_key = $4, sort_order = $5,
			version = version + 1, updated_at = $6 WHERE id = $1 AND version = $2`,
			known(p.ID), p.Version, p.Name, positionKey(p.Name), p.SortOrder, d.millis())
		if err != nil {
			return err
		}
		return updated(ctx, tx, res, "positions", p.ID)
	})
	if err != nil {
		return Position{}, err
	}
	return d.Position(ctx, p.ID)
}

// RemovePosition removes a position that no user holds.
func (d *Directory) RemovePosition(ctx context.Context, id string, version int64) error {
	return d.write(ctx, "", func(tx txReader) error {
		n, err := count(ctx, tx, "SELECT count(*) FROM users WHERE position_id = $1", known(id))
		if err != nil {
			return err
		}
		if n > 0 {
			return fail("position_in_use", "", n)
		}
		res, err := tx.ExecContext(ctx, "DELETE FROM positions WHERE id = $1 AND version = $2", known(id), version)
		if err != nil {
			return err
		}
		return updated(ctx, tx, res, "positions", id)
	})
}
