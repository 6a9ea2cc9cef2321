package directory

import (
	"context"
	"io"
	"strconv"
	"strings"
)

// Export writes a table as Import reads it, with headings and values in lang
// ("vi...", else English), entries in the order of the directory. Cells that a
// spreadsheet program would take for formulas are guarded by an apostrophe,
// which Import takes away.
func (d *Directory) Export(ctx context.Context, table Table, format Format, w io.Writer, lang string) error {
	columns, ok := tableColumns[table]
	if !ok || format != CSV && format != XLSX {
		return fail("invalid_format", "file")
	}
	s, err := loadState(ctx, d.db)
	if err != nil {
		return err
	}
	heading := make([]string, len(columns))
	for i, c := range columns {
		heading[i] = fieldLabel(c.field, strings.HasPrefix(lang, "vi"))
	}
	rows := [][]string{heading}
	switch table {
	case TableUnits:
		for _, u := range s.units {
			rows = append(rows, []string{u.Code, u.Name, u.ShortName, u.Kind, s.unitCode[u.ParentID], strconv.Itoa(u.SortOrder)})
		}
	case TablePoints:
		points, err := all(ctx, d.db, scanPoint, "SELECT "+pointColumns+" FROM points ORDER BY sort_key, id")
		if err != nil {
			return err
		}
		for _, p := range points {
			rows = append(rows, []string{p.Code, p.Name, s.unitCode[p.UnitID], p.Place, p.Kind.Label(lang), p.Technician, p.TechPhone, yesNo(p.Enabled, lang)})
		}
	default:
		users, err := d.userRows(ctx, s, lang)
		if err != nil {
			return err
		}
		rows = append(rows, users...)
	}
	return writeSheet(format, w, rows)
}

func (d *Directory) userRows(ctx context.Context, s *state, lang string) ([][]string, error) {
	users, err := all(ctx, d.db, scanUser, "SELECT "+userColumns+" FROM users ORDER BY sort_key, id")
	if err != nil {
		return nil, err
	}
	held, err := rolesByUser(ctx, d.db)
	if err != nil {
		return nil, err
	}
	positions := map[string]string{}
	for _, p := range s.positions {
		positions[p.ID] = p.Name
	}
	rows := make([][]string, 0, len(users))
	for _, u := range users {
		roles := make([]string, 0, len(held[u.ID]))
		for _, r := range held[u.ID] {
			roles = append(roles, r.Role.Label(lang)+"@"+s.unitCode[r.UnitID])
		}
		rows = append(rows, []string{
			u.Login, u.FullName, s.unitCode[u.UnitID], positions[u.PositionID], u.Mail, u.Phone,
			yesNo(u.Enabled, lang), strings.Join(roles, "; "),
		})
	}
	return rows, nil
}

func yesNo(v bool, lang string) string {
	switch {
	case strings.HasPrefix(lang, "vi") && v:
		return "Có"
	case strings.HasPrefix(lang, "vi"):
		return "Không"
	case v:
		return "Yes"
	default:
		return "No"
	}
}
