package api

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/danielgtaylor/huma/v2"

	"diemcau/signaling/directory"
	"diemcau/signaling/problem"
)

const xlsxType = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

// sheetTypes are the media types of spreadsheets.
var sheetTypes = map[directory.Format]string{directory.CSV: "text/csv", directory.XLSX: xlsxType}

// SheetPath names a table.
type SheetPath struct {
	Language
	Table directory.Table `path:"table" enum:"units,points,users"`
}

type importInput struct {
	SheetPath
	ContentType  string `header:"Content-Type"`
	DryRun       bool   `query:"dryRun" doc:"check everything and write nothing"`
	AddPositions bool   `query:"addPositions" doc:"add unknown positions to the list instead of refusing them"`
	RawBody      []byte `contentType:"text/csv"`
}

// importReport tells what an import did, or would do.
type importReport struct {
	Rows      int        `json:"rows" doc:"without the heading and empty rows"`
	Created   int        `json:"created"`
	Updated   int        `json:"updated"`
	Unchanged int        `json:"unchanged"`
	Written   bool       `json:"written" doc:"false: a dry run, or there are errors; then nothing was written"`
	Errors    []rowError `json:"errors" nullable:"false" doc:"all of them, by row and column; at most 1,000 are listed"`
	Total     int        `json:"errorCount"`
}

type rowError struct {
	Row    int    `json:"row" doc:"as the spreadsheet program counts, the heading is 1; 0: the whole file"`
	Cell   string `json:"cell" doc:"C7, or empty if it is about the row"`
	Column string `json:"column" doc:"field of the column"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

type exportInput struct {
	SheetPath
	Format directory.Format `query:"format" enum:"csv,xlsx" default:"xlsx"`
}

type exportOutput struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        []byte
}

const maxListed = 1000 // errors of one answer

func (a *API) sheets() {
	file := &huma.MediaType{Schema: &huma.Schema{Type: "string", Format: "binary"}}
	content := map[string]*huma.MediaType{"text/csv": file, xlsxType: file}
	handle(a, route{"importTable", post, "/imports/{table}", "directory", "Add and change entries from a spreadsheet, all or nothing", "directory.import", maxImport, false, content}, a.importTable)
	handle(a, route{"exportTable", get, "/exports/{table}", "directory", "A table as importTable reads it", "directory.export", 0, true, nil},
		func(c *call, in *exportInput) (*exportOutput, error) {
			c.about("table:" + string(in.Table))
			if err := a.need(c, directory.DirectoryManage, ""); err != nil {
				return nil, err
			}
			var b bytes.Buffer
			if err := a.o.Directory.Export(c, in.Table, in.Format, &b, in.lang()); err != nil {
				return nil, err
			}
			return &exportOutput{ContentType: sheetTypes[in.Format], Body: b.Bytes(),
				Disposition: fmt.Sprintf(`attachment; filename="%s.%s"`, in.Table, in.Format)}, nil
		})
}

// importTable answers the report also where the file was refused, with 200:
// the errors are what the caller came for.
func (a *API) importTable(c *call, in *importInput) (*one[importReport], error) {
	c.about("table:" + string(in.Table))
	// A file reaches every unit and may give every role.
	needs := []directory.Permission{directory.DirectoryManage}
	if in.Table == directory.TableUsers {
		needs = append(needs, directory.RoleAssign)
	}
	if in.AddPositions {
		needs = append(needs, directory.CatalogManage)
	}
	for _, p := range needs {
		if err := a.need(c, p, ""); err != nil {
			return nil, err
		}
	}
	format := directory.CSV
	if mediaType(in.ContentType) == xlsxType {
		format = directory.XLSX
	}
	report, err := a.o.Directory.Import(c, in.Table, format, bytes.NewReader(in.RawBody),
		directory.ImportOptions{DryRun: in.DryRun, AddPositions: in.AddPositions})
	c.detail = fmt.Sprintf("dry run %t, rows %d, created %d, updated %d, errors %d, written %t",
		in.DryRun, report.Rows, report.Created, report.Updated, len(report.Errors), report.Written)
	if err != nil && len(report.Errors) == 0 {
		return nil, err
	}
	if err != nil && !errors.Is(err, directory.ErrImportRejected) && !errors.Is(err, directory.ErrLastAdministrator) {
		return nil, err
	}
	return &one[importReport]{reportBody(report, in.lang())}, nil
}

func reportBody(r directory.Report, lang string) importReport {
	out := importReport{Rows: r.Rows, Created: r.Created, Updated: r.Updated, Unchanged: r.Unchanged, Written: r.Written,
		Errors: []rowError{}, Total: len(r.Errors)}
	for _, e := range r.Errors[:min(len(r.Errors), maxListed)] {
		out.Errors = append(out.Errors, rowError{e.Row, e.Cell, e.Column, problem.Code(e.Problem), e.Text(lang)})
	}
	return out
}
