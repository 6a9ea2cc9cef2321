package directory

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/xuri/excelize/v2"
)

// Format of a spreadsheet file.
type Format string

// The formats. CSV is UTF-8 with or without a byte order mark, separated by
// commas or semicolons; XLSX is the first sheet of a workbook.
const (
	CSV  Format = "csv"
	XLSX Format = "xlsx"
)

// Bounds of a spreadsheet file.
const (
	MaxFileRows  = 20_000   // the heading not counted
	MaxFileBytes = 10 << 20 // as uploaded
	maxUnzipped  = 48 << 20
	maxElements  = 2_000_000 // XML elements of a workbook, about 100 for each row
	maxColumns   = 64
)

// sheetRow is a row as it stands in the file, empty ones left out.
type sheetRow struct {
	number int // as the spreadsheet program shows it, the heading is 1
	cells  []string
}

// readSheet reads all rows, the heading first. Trouble of the whole file is
// the error, trouble of cells is listed.
func readSheet(format Format, r io.Reader) ([]sheetRow, []RowError, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxFileBytes+1))
	if err != nil {
		return nil, nil, err
	}
	if len(data) > MaxFileBytes {
		return nil, nil, fail("file_too_large", "file", MaxFileBytes>>20)
	}
	var rows []sheetRow
	var bad []RowError
	switch format {
	case CSV:
		rows, bad, err = readCSV(data)
	case XLSX:
		rows, bad, err = readXLSX(data)
	default:
		err = fail("invalid_format", "file")
	}
	if err == nil && len(rows) == 0 && len(bad) == 0 {
		err = fail("empty_file", "file")
	}
	return rows, bad, err
}

// sheetRows collects rows and keeps the bounds.
type sheetRows struct{ list []sheetRow }

func (s *sheetRows) add(number int, cells []string) error {
	if !slices.ContainsFunc(cells, func(c string) bool { return strings.TrimSpace(c) != "" }) {
		return nil
	}
	if len(cells) > maxColumns {
		return fail("too_many_columns", "file", maxColumns)
	}
	if len(s.list) > MaxFileRows {
		return fail("too_many_rows", "file", MaxFileRows)
	}
	s.list = append(s.list, sheetRow{number, cells})
	return nil
}

func readCSV(data []byte) ([]sheetRow, []RowError, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(data) {
		return nil, nil, fail("not_utf8", "file")
	}
	c := csv.NewReader(bytes.NewReader(data))
	c.Comma = separator(data)
	c.FieldsPerRecord = -1
	var rows sheetRows
	for {
		cells, err := c.Read()
		var syntax *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return rows.list, nil, nil
		case errors.As(err, &syntax):
			// What follows a broken quote cannot be told apart into cells.
			return rows.list, []RowError{{Row: syntax.Line, Problem: fail("bad_csv", "")}}, nil
		case err != nil:
			return nil, nil, err
		}
		line, _ := c.FieldPos(0)
		if err := rows.add(line, cells); err != nil {
			return nil, nil, err
		}
	}
}

// separator looks which of the two the heading has more of, outside quotes.
func separator(data []byte) rune {
	line, _, _ := bytes.Cut(data, []byte("\n"))
	quoted, balance := false, 0
	for _, b := range line {
		switch {
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == ';':
			balance++
		case b == ',':
			balance--
		}
	}
	if balance > 0 {
		return ';'
	}
	return ','
}

// readXLSX looks through the package first: the spreadsheet library builds
// whole sheets in memory and is no match for a file made to burst it.
func readXLSX(data []byte) (list []sheetRow, bad []RowError, err error) {
	// The library has met malformed files with a panic before.
	defer func() {
		if recover() != nil {
			list, bad, err = nil, nil, fail("bad_xlsx", "file")
		}
	}()
	bad, err = inspectXLSX(data)
	if err != nil {
		return nil, nil, err
	}
	f, err := excelize.OpenReader(bytes.NewReader(data), excelize.Options{
		RawCellValue: true, UnzipSizeLimit: maxUnzipped, UnzipXMLSizeLimit: maxUnzipped,
	})
	if err != nil {
		return nil, nil, fail("bad_xlsx", "file")
	}
	defer f.Close()
	sheets := f.GetSheetList()
	if len(sheets) == 0 {
		return nil, nil, fail("empty_file", "file")
	}
	it, err := f.Rows(sheets[0])
	if err != nil {
		return nil, nil, fail("bad_xlsx", "file")
	}
	defer it.Close()
	var rows sheetRows
	for number := 1; it.Next(); number++ {
		cells, err := it.Columns()
		if err != nil {
			return nil, nil, fail("bad_xlsx", "file")
		}
		if err := rows.add(number, cells); err != nil {
			return nil, nil, err
		}
	}
	if it.Error() != nil {
		return nil, nil, fail("bad_xlsx", "file")
	}
	return rows.list, bad, nil
}

// A cell that begins with one of these is a formula to some spreadsheet
// programs, also when it is read from CSV.
const formulaStart = "=+-@\t\r"

// guardCell puts an apostrophe before what a spreadsheet would run as a
// formula, and before what unguardCell would otherwise take for guarded.
func guardCell(v string) string {
	if bare := strings.TrimLeft(v, "'"); bare != "" && strings.IndexByte(formulaStart, bare[0]) >= 0 {
		return "'" + v
	}
	return v
}

// unguardCell undoes guardCell exactly, and leaves everything else as it is.
func unguardCell(v string) string {
	if bare := strings.TrimLeft(v, "'"); len(bare) < len(v) && bare != "" && strings.IndexByte(formulaStart, bare[0]) >= 0 {
		return v[1:]
	}
	return v
}

// writeSheet writes rows, guarded, the heading first.
func writeSheet(format Format, w io.Writer, rows [][]string) error {
	switch format {
	case CSV:
		return writeCSV(w, rows)
	case XLSX:
		return writeXLSX(w, rows)
	default:
		return fail("invalid_format", "file")
	}
}

// writeCSV begins with a byte order mark: without it Excel takes the file for
// one of the old encodings.
func writeCSV(w io.Writer, rows [][]string) error {
	if _, err := io.WriteString(w, "\ufeff"); err != nil {
		return err
	}
	// Lines end with LF: with UseCRLF the writer drops CR from cells.
	c := csv.NewWriter(w)
	for _, row := range rows {
		guarded := make([]string, len(row))
		for i, v := range row {
			guarded[i] = guardCell(v)
		}
		if err := c.Write(guarded); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

func writeXLSX(w io.Writer, rows [][]string) error {
	f := excelize.NewFile()
	defer f.Close()
	sheet, err := f.NewStreamWriter(f.GetSheetName(0))
	if err != nil {
		return err
	}
	if err := sheet.SetColWidth(1, maxColumns, 24); err != nil {
		return err
	}
	bold, err := f.NewStyle(&excelize.Style{Font: &excelize.Font{Bold: true}})
	if err != nil {
		return err
	}
	for n, row := range rows {
		cells := make([]any, len(row))
		for i, v := range row {
			// Always text: a number would lose the zero of a telephone number.
			cells[i] = excelize.Cell{Value: guardCell(v)}
			if n == 0 {
				cells[i] = excelize.Cell{StyleID: bold, Value: v}
			}
		}
		at, err := excelize.CoordinatesToCellName(1, n+1)
		if err != nil {
			return err
		}
		if err := sheet.SetRow(at, cells); err != nil {
			return err
		}
	}
	if err := sheet.Flush(); err != nil {
		return err
	}
	return f.Write(w)
}
