package directory

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/xuri/excelize/v2"
)

// inspectXLSX streams through the XML of a workbook (ECMA-376 part 1, 18.3.1)
// without keeping it: it refuses what would take too much memory and lists the
// cells that hold formulas, in all sheets, since the values beside them are
// whatever the last program that opened the file made of them.
func inspectXLSX(data []byte) ([]RowError, error) {
	pack, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fail("bad_xlsx", "file")
	}
	sheets, total := 0, uint64(0)
	for _, part := range pack.File {
		// archive/zip gives an error where a part is longer than it says.
		total += part.UncompressedSize64
		if total > maxUnzipped || part.UncompressedSize64 > maxUnzipped || len(pack.File) > 1000 {
			return nil, fail("file_too_large", "file", maxUnzipped>>20)
		}
		if isWorksheet(part.Name) {
			sheets++
		}
	}
	in := inspector{}
	for _, part := range pack.File {
		if ext := strings.ToLower(path.Ext(part.Name)); ext != ".xml" && ext != ".rels" {
			continue
		}
		in.prefix = ""
		if sheets > 1 {
			in.prefix = strings.TrimSuffix(path.Base(part.Name), path.Ext(part.Name)) + "!"
		}
		if err := in.part(part); err != nil {
			return nil, err
		}
	}
	return in.formulas, nil
}

func isWorksheet(name string) bool {
	name = strings.ToLower(strings.ReplaceAll(name, `\`, "/"))
	return strings.HasPrefix(strings.TrimPrefix(name, "/"), "xl/worksheets/") && strings.HasSuffix(name, ".xml")
}

type inspector struct {
	prefix   string // of the sheet, if there are several
	elements int
	formulas []RowError
	row, col int
}

func (in *inspector) part(part *zip.File) error {
	r, err := part.Open()
	if err != nil {
		return fail("bad_xlsx", "file")
	}
	defer r.Close()
	sheet := isWorksheet(part.Name)
	in.row, in.col = 0, 0
	tokens := xml.NewDecoder(r)
	tokens.CharsetReader = func(string, io.Reader) (io.Reader, error) { return nil, errors.New("not UTF-8") }
	for {
		token, err := tokens.RawToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fail("bad_xlsx", "file")
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if in.elements++; in.elements > maxElements {
			return fail("file_too_large", "file", maxUnzipped>>20)
		}
		if sheet {
			if err := in.element(start); err != nil {
				return err
			}
		}
	}
}

// element follows where in the sheet we are: rows and cells may leave out
// their reference and then follow the one before.
func (in *inspector) element(e xml.StartElement) error {
	at := ""
	for _, a := range e.Attr {
		if a.Name.Local == "r" && a.Name.Space == "" {
			at = a.Value
		}
	}
	switch e.Name.Local {
	case "row":
		in.row, in.col = in.row+1, 0
		if n, err := strconv.Atoi(at); err == nil {
			in.row = n
		}
		// Rows that are left out are made up by the library.
		if in.row < 1 || in.row > 5*MaxFileRows {
			return fail("too_many_rows", "file", MaxFileRows)
		}
	case "c":
		in.col++
		if col, row, err := excelize.CellNameToCoordinates(at); err == nil {
			in.col, in.row = col, row
		}
		if in.col > maxColumns {
			return fail("too_many_columns", "file", maxColumns)
		}
	case "f":
		name, err := excelize.CoordinatesToCellName(in.col, in.row)
		if err != nil {
			return fail("bad_xlsx", "file")
		}
		in.formulas = append(in.formulas, RowError{Row: in.row, Cell: in.prefix + name, Problem: fail("formula_cell", "")})
	}
	return nil
}
