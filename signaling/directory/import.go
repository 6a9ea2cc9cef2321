package directory

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/xuri/excelize/v2"

	"diemcau/signaling/store"
)

// Table is what a spreadsheet lists.
type Table string

// The tables. Rows are known again by code (units, points) or login (users).
const (
	TableUnits  Table = "units"
	TablePoints Table = "points"
	TableUsers  Table = "users"
)

// column is a column of a table; its headings are the labels of the field.
type column struct {
	field    string
	required bool
}

var tableColumns = map[Table][]column{
	TableUnits:  {{"code", true}, {"name", true}, {"shortName", false}, {"kind", false}, {"parentId", false}, {"sortOrder", false}},
	TablePoints: {{"code", true}, {"name", true}, {"unitId", true}, {"place", false}, {"kind", false}, {"technician", false}, {"techPhone", false}, {"enabled", false}},
	TableUsers:  {{"login", true}, {"fullName", true}, {"unitId", true}, {"positionId", false}, {"mail", false}, {"phone", false}, {"enabled", false}, {"roles", false}},
}

// RowError is one thing wrong in a file.
type RowError struct {
	Row     int    // as the spreadsheet program counts, the heading is 1; 0: the whole file
	Cell    string // "C7", or "" if it is about the row
	Column  string // field of the column: "unitId"
	Problem *Error
}

// Text says what is wrong, and where: "C7: Đơn vị: không có đơn vị này".
func (e RowError) Text(lang string) string {
	switch {
	case e.Cell != "":
		return e.Cell + ": " + e.Problem.Text(lang)
	case e.Row != 0 && strings.HasPrefix(lang, "vi"):
		return "dòng " + strconv.Itoa(e.Row) + ": " + e.Problem.Text(lang)
	case e.Row != 0:
		return "row " + strconv.Itoa(e.Row) + ": " + e.Problem.Text(lang)
	default:
		return e.Problem.Text(lang)
	}
}

// Report tells what an import did, or would do.
type Report struct {
	Rows      int // without the heading and empty rows
	Created   int
	Updated   int
	Unchanged int
	Written   bool       // false: a dry run, or there are errors
	Errors    []RowError // all of them, by row and column
}

// ImportOptions of Import.
type ImportOptions struct {
	DryRun       bool // check everything and write nothing
	AddPositions bool // add unknown positions to the list instead of refusing them
}

// Import reads a table and adds and changes entries in one transaction, all or
// nothing. What is not in the file stays; a column that is not in the file
// stays as it is; an empty cell empties. Reading the same file again changes
// nothing. Headings are Vietnamese or English, in any order.
//
// A file reaches every unit and may give every role, so callers ask for
// DirectoryManage and, for users, RoleAssign at the root. On SQLite the other
// writers wait while it is written, for 20,000 users over a second.
//
// If anything is wrong the report lists all of it, and the error is
// ErrImportRejected unless it was a dry run. A file that cannot be read at all
// is an *Error, too.
func (d *Directory) Import(ctx context.Context, table Table, format Format, r io.Reader, opt ImportOptions) (Report, error) {
	rows, bad, err := readSheet(format, r)
	if err != nil {
		return Report{}, err
	}
	recs, headingErrors, err := records(table, rows)
	if err != nil {
		return Report{}, err
	}
	bad = append(bad, headingErrors...)
	var report Report
	run := func(r reader) (*plan, error) {
		p := newPlan(recs, bad, opt)
		err := p.make(ctx, r, table)
		report = p.report()
		return p, err
	}
	if opt.DryRun {
		// The real run plans again in its transaction, so this needs none.
		_, err := run(d.db)
		return report, err
	}
	err = d.write(ctx, "file", func(tx txReader) error {
		p, err := run(tx)
		if err != nil {
			return err
		}
		if len(report.Errors) > 0 {
			return fail("import_rejected", "", len(report.Errors))
		}
		return p.apply(ctx, d, tx)
	})
	if errors.Is(err, ErrLastAdministrator) {
		report.Errors = append(report.Errors, RowError{Problem: ErrLastAdministrator})
	}
	report.Written = err == nil
	return report, err
}

// record is a row by field.
type record struct {
	row    int
	values map[string]string
	cells  map[string]string // names of the cells: "C7"
}

// records finds the columns of the heading and gives each row by field.
func records(table Table, rows []sheetRow) ([]record, []RowError, error) {
	columns, ok := tableColumns[table]
	if !ok {
		return nil, nil, fail("invalid_format", "file")
	}
	if len(rows) == 0 {
		return nil, nil, nil
	}
	heading := rows[0]
	fields := make([]string, len(heading.cells)) // "" where the heading is empty
	var bad []RowError
	for i, h := range heading.cells {
		if strings.TrimSpace(h) == "" {
			continue
		}
		field := fieldOfHeading(columns, h)
		switch {
		case field == "":
			bad = append(bad, RowError{heading.number, cellName(i, heading.number), "", fail("unknown_column", "")})
		case slices.Contains(fields, field):
			bad = append(bad, RowError{heading.number, cellName(i, heading.number), field, fail("duplicate_column", field)})
		default:
			fields[i] = field
		}
	}
	for _, c := range columns {
		if c.required && !slices.Contains(fields, c.field) {
			bad = append(bad, RowError{heading.number, "", c.field, fail("missing_column", c.field)})
		}
	}
	recs := make([]record, 0, len(rows)-1)
	for _, row := range rows[1:] {
		rec := record{row.number, make(map[string]string, len(fields)), make(map[string]string, len(fields))}
		for i, f := range fields {
			if f == "" {
				continue
			}
			rec.cells[f] = cellName(i, row.number)
			rec.values[f] = ""
			if i < len(row.cells) {
				rec.values[f] = strings.TrimSpace(unguardCell(row.cells[i]))
			}
		}
		for i, c := range row.cells {
			if (i >= len(fields) || strings.TrimSpace(heading.cells[i]) == "") && strings.TrimSpace(c) != "" {
				bad = append(bad, RowError{row.number, cellName(i, row.number), "", fail("extra_cell", "")})
			}
		}
		recs = append(recs, rec)
	}
	return recs, bad, nil
}

// fieldOfHeading knows a heading in both languages whatever its case and marks.
func fieldOfHeading(columns []column, heading string) string {
	heading = strings.Join(searchWords(heading), " ")
	for _, c := range columns {
		l := fieldLabels[c.field]
		for _, name := range []string{l.vi, l.en, c.field} {
			if strings.Join(searchWords(name), " ") == heading {
				return c.field
			}
		}
	}
	return ""
}

func cellName(col, row int) string {
	name, err := excelize.CoordinatesToCellName(col+1, row)
	if err != nil {
		return ""
	}
	return name
}

// plan is an import worked out against what is stored.
type plan struct {
	records   []record
	options   ImportOptions
	errors    []RowError
	created   int
	updated   int
	unchanged int
	writes    []func(ctx context.Context, d *Directory, tx txReader) error
}

func newPlan(recs []record, bad []RowError, opt ImportOptions) *plan {
	return &plan{records: recs, errors: slices.Clone(bad), options: opt}
}

func (p *plan) make(ctx context.Context, r reader, table Table) error {
	s, err := loadState(ctx, r)
	if err != nil {
		return err
	}
	switch table {
	case TableUnits:
		p.units(s)
		return nil
	case TablePoints:
		return p.points(ctx, r, s)
	default:
		return p.users(ctx, r, s)
	}
}

func (p *plan) report() Report {
	slices.SortStableFunc(p.errors, func(a, b RowError) int {
		return cmp.Or(a.Row-b.Row, len(a.Cell)-len(b.Cell), strings.Compare(a.Cell, b.Cell))
	})
	return Report{Rows: len(p.records), Created: p.created, Updated: p.updated, Unchanged: p.unchanged, Errors: p.errors}
}

func (p *plan) apply(ctx context.Context, d *Directory, tx txReader) error {
	for _, write := range p.writes {
		if err := write(ctx, d, tx); err != nil {
			return err
		}
	}
	return nil
}

func (p *plan) add(rec record, field string, problem *Error) {
	p.errors = append(p.errors, RowError{rec.row, rec.cells[field], field, problem})
}

// field runs a check on the cell of a field and lists what it finds; without
// the column *to stays.
func (p *plan) field(rec record, field string, to *string, check func(string) (string, error)) {
	v, ok := rec.values[field]
	if !ok {
		return
	}
	v, err := check(v)
	var problem *Error
	switch {
	case err == nil:
		*to = v
	case errors.As(err, &problem):
		p.add(rec, field, problem)
	}
}

func (p *plan) text(rec record, field string, to *string, limit int, required bool) {
	p.field(rec, field, to, func(v string) (string, error) { return cleanText(field, v, limit, required) })
}

func (p *plan) phone(rec record, field string, to *string) {
	p.field(rec, field, to, func(v string) (string, error) { return cleanPhone(field, v) })
}

// key checks the key of a row, "" if it is wrong or stood in a row before.
func (p *plan) key(rec record, field string, seen map[string]int, check func(string) (string, error)) string {
	key := ""
	p.field(rec, field, &key, check)
	if key == "" {
		return ""
	}
	if first, twice := seen[key]; twice {
		p.add(rec, field, fail("duplicate_row", field, first))
		return ""
	}
	seen[key] = rec.row
	return key
}

func (p *plan) bool(rec record, field string, to *bool) {
	v, ok := rec.values[field]
	if !ok || v == "" {
		return
	}
	switch strings.Join(searchWords(v), " ") {
	case "co", "yes", "true", "1", "x":
		*to = true
	case "khong", "no", "false", "0":
		*to = false
	default:
		p.add(rec, field, fail("invalid_bool", field))
	}
}

func (p *plan) number(rec record, field string, to *int) {
	v, ok := rec.values[field]
	if !ok {
		return
	}
	n, err := strconv.Atoi(cmp.Or(v, "0"))
	if err != nil || cleanOrder(n) != nil {
		p.add(rec, field, fail("invalid_number", field, 0, maxSortOrder))
		return
	}
	*to = n
}

// unit looks up the unit that a cell names by its code.
func (p *plan) unit(rec record, s *state, to *string) {
	code := ""
	p.field(rec, "unitId", &code, func(v string) (string, error) { return cleanCode("unitId", v) })
	if code == "" {
		return
	}
	u, ok := s.unitByCode[code]
	if !ok {
		p.add(rec, "unitId", fail("unknown_unit", "unitId"))
		return
	}
	*to = u.ID
}

// state is what is stored, by the keys of spreadsheets.
type state struct {
	units      []Unit
	unitByCode map[string]Unit
	unitCode   map[string]string // by id
	positions  []Position
}

func loadState(ctx context.Context, r reader) (*state, error) {
	units, err := unitTree(ctx, r)
	if err != nil {
		return nil, err
	}
	positions, err := positionList(ctx, r)
	if err != nil {
		return nil, err
	}
	s := &state{units: units, positions: positions, unitByCode: map[string]Unit{}, unitCode: map[string]string{}}
	for _, u := range units {
		u.Depth = 0
		s.unitByCode[u.Code] = u
		s.unitCode[u.ID] = u.Code
	}
	return s, nil
}

// kindOf finds a point kind by its name in either language.
func kindOf(v string) (PointKind, bool) {
	for _, k := range PointKinds() {
		if sameWords(v, string(k)) || sameWords(v, k.Label("vi")) || sameWords(v, k.Label("en")) {
			return k, true
		}
	}
	return "", false
}

func roleOf(v string) (Role, bool) {
	for _, r := range Roles() {
		if sameWords(v, string(r)) || sameWords(v, r.Label("vi")) || sameWords(v, r.Label("en")) {
			return r, true
		}
	}
	return "", false
}

func sameWords(a, b string) bool {
	return store.Fold(strings.Join(strings.Fields(a), " ")) == store.Fold(b)
}
