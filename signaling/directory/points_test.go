package directory

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPoints(t *testing.T) {
	each(t, func(t *testing.T, d *Directory) {
		root := mustUnit(t, d, "R", "")
		area := mustUnit(t, d, "A", root.ID)
		p, err := d.CreatePoint(ctx, Point{Code: "p1", UnitID: root.ID, Name: "Điểm cầu một", Kind: RoomDevice, Enabled: true})
		require.NoError(t, err)
		stale := p
		p = Point{
			ID: p.ID, Version: 1, Code: "P2", UnitID: area.ID, Name: "Điểm cầu hai", Place: "Tầng 2", Kind: Phone,
			Technician: "Lê Thị Hoà", TechPhone: "0912 345 678",
		}
		got, err := d.UpdatePoint(ctx, p)
		require.NoError(t, err)
		require.False(t, got.UpdatedAt.Before(got.CreatedAt))
		p.Version, p.CreatedAt, p.UpdatedAt = 2, got.CreatedAt, got.UpdatedAt
		require.Equal(t, p, got)
		_, err = d.UpdatePoint(ctx, stale)
		require.ErrorIs(t, err, ErrConflict)
		stale.ID = newID()
		_, err = d.UpdatePoint(ctx, stale)
		require.ErrorIs(t, err, ErrNotFound)
		p.UnitID = newID()
		_, err = d.UpdatePoint(ctx, p)
		require.Equal(t, "unknown_unit", code(err))

		off, on := false, true
		for _, c := range []struct {
			q    Query
			want int
		}{
			{Query{Text: "hòa"}, 1}, {Query{Text: "0912345"}, 1}, {Query{Text: "tang 2 p2"}, 1}, {Query{Text: "mot"}, 0},
			{Query{Enabled: &off}, 1}, {Query{Enabled: &on}, 0}, {Query{UnitID: root.ID}, 0}, {Query{UnitID: root.ID, Below: true}, 1},
		} {
			page, err := d.SearchPoints(ctx, c.q)
			require.NoError(t, err)
			require.Len(t, page.Items, c.want, "%+v", c.q)
		}
		require.ErrorIs(t, d.RemovePoint(ctx, p.ID, 1), ErrConflict)
		require.NoError(t, d.RemovePoint(ctx, p.ID, 2))
		require.ErrorIs(t, d.RemovePoint(ctx, p.ID, 2), ErrNotFound)
	})
}
