package directory

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"diemcau/signaling/store"
	"diemcau/signaling/store/storetest"
)

func codes(r Report) []string {
	list := []string{}
	for _, e := range r.Errors {
		list = append(list, strings.TrimPrefix(e.Cell+" "+e.Problem.Code, " "))
	}
	return list
}

func imported(t *testing.T, d *Directory, table Table, file string, opt ImportOptions) Report {
	t.Helper()
	r, err := d.Import(ctx, table, CSV, strings.NewReader(file), opt)
	require.NoError(t, err, "%v", codes(r))
	return r
}

const unitsFile = "\ufeffMã;Tên;Đơn vị cấp trên;Tên viết tắt;Loại;Thứ tự\r\n" +
	"c1;Xã \"\"Một\"\";A;;Xã;2\r\n" + // a child before its parent
	"R;Tỉnh Lam Giang;;LG;Tỉnh;\r\n" +
	";;;;;\r\n" +
	"A;Khu vực Hạc Thành;r;;Khu vực;1\r\n"

func TestImportUnits(t *testing.T) {
	each(t, func(t *testing.T, d *Directory) {
		file := strings.Replace(unitsFile, `Xã ""Một""`, `"Xã ""Một"""`, 1)
		dry := imported(t, d, TableUnits, file, ImportOptions{DryRun: true})
		require.Equal(t, Report{Rows: 3, Created: 3}, dry)
		tree, err := d.Units(ctx)
		require.NoError(t, err)
		require.Empty(t, tree, "a dry run writes nothing")
		require.Equal(t, Report{Rows: 3, Created: 3, Written: true}, imported(t, d, TableUnits, file, ImportOptions{}))
		tree, err = d.Units(ctx)
		require.NoError(t, err)
		require.Equal(t, []string{"R", "A", "C1"}, []string{tree[0].Code, tree[1].Code, tree[2].Code})
		require.Equal(t, `Xã "Một"`, tree[2].Name)
		require.Equal(t, 2, tree[2].SortOrder)
		require.Equal(t, Report{Rows: 3, Unchanged: 3, Written: true}, imported(t, d, TableUnits, file, ImportOptions{}), "again")
		again, err := d.Units(ctx)
		require.NoError(t, err)
		require.Equal(t, tree, again)
		// English headings, commas, fewer columns: the rest stays.
		require.Equal(t, Report{Rows: 1, Updated: 1, Written: true}, imported(t, d, TableUnits, "NAME,code\nXã Hai,c1\n", ImportOptions{}))
		u, err := d.Unit(ctx, tree[2].ID)
		require.NoError(t, err)
		require.Equal(t, tree[1].ID, u.ParentID)
		require.Equal(t, "Xã Hai", u.Name)
	})
}

// Everything that is wrong is listed, by row and cell, and nothing is written.
func TestImportListsEveryError(t *testing.T) {
	each(t, func(t *testing.T, d *Directory) {
		imported(t, d, TableUnits, "Mã,Tên,Đơn vị cấp trên\nR,Tỉnh,\nA,Khu vực,R\nB,Xã,A\n", ImportOptions{})
		for _, c := range []struct {
			table Table
			file  string
			want  []string
		}{
			{TableUnits, "Mã,Tên,Đơn vị cấp trên,Thứ tự\n,x,R,1\nX Y,,R,-1\nN1,a,,1\nN2,b,NOPE,x\nR,Tỉnh,A,\nA,a\u202eb,B,\nn1,again,R,99999999\nN3,tự,N3,", []string{
				"A2 required", "A3 invalid_code", "B3 required", "D3 invalid_number", "C4 root_exists", "C5 unknown_unit", "D5 invalid_number",
				"C6 root_kept", "B7 forbidden_character", "C7 unit_cycle", "A8 duplicate_row", "D8 invalid_number", "C9 unit_cycle",
			}},
			{TableUnits, "Mã,Mã,Màu,Đơn vị cấp trên\nR,R,đỏ,,thừa", []string{"missing_column", "B1 duplicate_column", "C1 unknown_column", "E2 extra_cell"}},
			{TablePoints, "Mã,Tên,Đơn vị,Loại,Điện thoại kỹ thuật,Hoạt động,Cán bộ kỹ thuật\nP1,Một,NOPE,xe đạp,12,có lẽ," + strings.Repeat("a", 201) + "\nP2,Hai,,,,,\nP2,Ba,A,Laptop,+84912345678,x,\n", []string{
				"C2 unknown_unit", "D2 invalid_kind", "E2 invalid_phone", "F2 invalid_bool", "G2 too_long", "C3 required", "A4 duplicate_row",
			}},
			{TableUsers, "Tên đăng nhập,Họ và tên,Đơn vị,Chức vụ,Thư điện tử,Điện thoại,Vai trò\nа,,A,Vua,x,1,Vua; Thư ký@NOPE; Đại biểu\nan,An,A,,,,\nAN,An,A,,,,\n", []string{
				"A2 invalid_login", "B2 required", "D2 unknown_position", "E2 invalid_mail", "F2 invalid_phone", "G2 invalid_role", "G2 unknown_unit", "A4 duplicate_row",
			}},
		} {
			dry, err := d.Import(ctx, c.table, CSV, strings.NewReader(c.file), ImportOptions{DryRun: true})
			require.NoError(t, err)
			require.Equal(t, c.want, codes(dry))
			real, err := d.Import(ctx, c.table, CSV, strings.NewReader(c.file), ImportOptions{})
			require.ErrorIs(t, err, ErrImportRejected)
			require.False(t, real.Written)
			require.Equal(t, c.want, codes(real))
			for _, e := range real.Errors {
				require.NotContains(t, e.Text("vi")+e.Text("en"), "%!")
			}
		}
		tree, err := d.Units(ctx)
		require.NoError(t, err)
		require.Len(t, tree, 3)
		n, err := count(ctx, d.db, "SELECT (SELECT count(*) FROM points) + (SELECT count(*) FROM users) + (SELECT count(*) FROM positions)")
		require.NoError(t, err)
		require.Zero(t, n)
		require.Equal(t, "C7: Đơn vị: không có đơn vị này", RowError{7, "C7", "unitId", fail("unknown_unit", "unitId")}.Text("vi"))
	})
}

// Hostile text in a file is refused by cell, or stored in NFC as it is.
func TestImportHostileText(t *testing.T) {
	each(t, func(t *testing.T, d *Directory) {
		root := mustUnit(t, d, "R", "")
		for name, s := range hostile {
			var b bytes.Buffer
			c := csv.NewWriter(&b)
			require.NoError(t, c.WriteAll([][]string{{"login", "full name", "unit"}, {"an", s, "R"}}))
			r, err := d.Import(ctx, TableUsers, CSV, &b, ImportOptions{})
			if slices.Contains(refusedAnywhere, name) || name == "only spaces" {
				require.Error(t, err, name)
				if name != "bad utf8" {
					require.Len(t, r.Errors, 1, name)
					require.Equal(t, "B2", r.Errors[0].Cell)
				}
				continue
			}
			require.NoError(t, err, name)
			u, err := d.UserByLogin(ctx, "an")
			require.NoError(t, err)
			require.Equal(t, norm.NFC.String(s), u.FullName, name)
			require.Equal(t, root.ID, u.UnitID)
		}
	})
}

func TestImportKeepsTheTreeShallow(t *testing.T) {
	each(t, func(t *testing.T, d *Directory) {
		file := "code,name,parent unit\nU1,x,\n"
		for i := 2; i <= MaxDepth+2; i++ {
			file += fmt.Sprintf("U%d,x,U%d\n", i, i-1)
		}
		r, err := d.Import(ctx, TableUnits, CSV, strings.NewReader(file), ImportOptions{DryRun: true})
		require.NoError(t, err)
		require.Equal(t, []string{"C18 unit_too_deep", "C19 unit_too_deep"}, codes(r))
		// A long chain and a long cycle are refused in reasonable time.
		file = "code,name,parent unit\nU0,x,\n"
		for i := 1; i < 19_000; i++ {
			file += fmt.Sprintf("U%d,x,U%d\n", i, i-1)
		}
		r, err = d.Import(ctx, TableUnits, CSV, strings.NewReader(file), ImportOptions{DryRun: true})
		require.NoError(t, err)
		require.Len(t, r.Errors, 19_000-MaxDepth+1)
	})
}

func TestImportBrokenFiles(t *testing.T) {
	d := New(storetest.Open(t, storetest.SQLite(t)))
	for name, c := range map[string]struct {
		format Format
		data   string
		want   string
	}{
		"empty":       {CSV, "", "empty_file"},
		"blank":       {CSV, "\n,,\n", "empty_file"},
		"latin":       {CSV, "M\xe3,T\xean\n", "not_utf8"},
		"utf16":       {CSV, "\xff\xfeM\x00", "not_utf8"},
		"large":       {CSV, strings.Repeat("a", MaxFileBytes+1), "file_too_large"},
		"rows":        {CSV, "Mã,Tên\n" + strings.Repeat("A,b\n", MaxFileRows+1), "too_many_rows"},
		"columns":     {CSV, "Mã,Tên" + strings.Repeat(",x", 100), "too_many_columns"},
		"format":      {"ods", "x", "invalid_format"},
		"not xlsx":    {XLSX, "Mã,Tên", "bad_xlsx"},
		"zip":         {XLSX, string(zipped(t, map[string]string{"a.txt": "x"})), "bad_xlsx"},
		"xml":         {XLSX, string(zipped(t, map[string]string{"xl/workbook.xml": "<a><b></a>", "xl/worksheets/sheet1.xml": "<<"})), "bad_xlsx"},
		"bomb":        {XLSX, string(zipped(t, map[string]string{"xl/worksheets/sheet1.xml": strings.Repeat(" ", maxUnzipped+1)})), "file_too_large"},
		"other bomb":  {XLSX, string(zipped(t, map[string]string{"xl/media/x.bin": strings.Repeat("\x00", maxUnzipped+1)})), "file_too_large"},
		"cells":       {XLSX, string(zipped(t, map[string]string{"xl/worksheets/sheet1.xml": "<s><row r=\"1\">" + strings.Repeat("<c/>", 100) + "</row></s>"})), "too_many_columns"},
		"elements":    {XLSX, string(zipped(t, map[string]string{"xl/sharedStrings.xml": "<s>" + strings.Repeat("<t/>", maxElements+1) + "</s>"})), "file_too_large"},
		"far row":     {XLSX, string(zipped(t, map[string]string{"xl/worksheets/sheet1.xml": `<s><row r="1048576"/></s>`})), "too_many_rows"},
		"charset":     {XLSX, string(zipped(t, map[string]string{"xl/worksheets/sheet1.xml": `<?xml version="1.0" encoding="utf-7"?><s/>`})), "bad_xlsx"},
		"broken quot": {CSV, "Mã,Tên\nA,\"b\nC,d\n", ""},
	} {
		r, err := d.Import(ctx, TableUnits, c.format, strings.NewReader(c.data), ImportOptions{DryRun: true})
		require.Equal(t, c.want, code(err), name)
		if c.want == "" {
			require.Contains(t, codes(r), "bad_csv", name)
		}
	}
	_, err := d.Import(ctx, "trees", CSV, strings.NewReader("a"), ImportOptions{})
	require.Equal(t, "invalid_format", code(err))
	require.Equal(t, "invalid_format", code(d.Export(ctx, "trees", CSV, io.Discard, "vi")))
	require.Equal(t, "invalid_format", code(d.Export(ctx, TableUnits, "ods", io.Discard, "vi")))
}

func zipped(t *testing.T, files map[string]string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, data := range files {
		w, err := z.Create(name)
		require.NoError(t, err)
		_, err = io.WriteString(w, data)
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}

// A workbook as people make it: numbers as numbers, gaps, a second sheet.
func TestImportXLSX(t *testing.T) {
	each(t, func(t *testing.T, d *Directory) {
		f := excelize.NewFile()
		set := func(sheet, cell string, v any) { require.NoError(t, f.SetCellValue(sheet, cell, v)) }
		for i, h := range []string{"Mã", "TÊN", "đơn vị cấp trên", "Thứ tự"} {
			set("Sheet1", cellName(i, 2), h)
		}
		set("Sheet1", "A4", "R")
		set("Sheet1", "B4", "Tỉnh")
		set("Sheet1", "D4", 12)
		set("Sheet1", "A5", 101)
		set("Sheet1", "B5", "Xã 101")
		set("Sheet1", "C5", "R")
		data := func() io.Reader {
			var b bytes.Buffer
			require.NoError(t, f.Write(&b))
			return &b
		}
		r, err := d.Import(ctx, TableUnits, XLSX, data(), ImportOptions{})
		require.NoError(t, err, "%v", codes(r))
		require.Equal(t, 2, r.Created)
		tree, err := d.Units(ctx)
		require.NoError(t, err)
		require.Equal(t, 12, tree[0].SortOrder)
		require.Equal(t, "101", tree[1].Code)

		require.NoError(t, f.SetCellFormula("Sheet1", "B5", `=CONCATENATE("a","b")`))
		require.NoError(t, f.SetCellFormula("Sheet1", "D4", "1+1"))
		r, err = d.Import(ctx, TableUnits, XLSX, data(), ImportOptions{DryRun: true})
		require.NoError(t, err)
		require.Subset(t, codes(r), []string{"D4 formula_cell", "B5 formula_cell"})
		_, err = d.Import(ctx, TableUnits, XLSX, data(), ImportOptions{})
		require.ErrorIs(t, err, ErrImportRejected)
	})
}

func TestGuardIsExact(t *testing.T) {
	for in, want := range map[string]string{
		"=1+1": "'=1+1", "+84912": "'+84912", "-1": "'-1", "@SUM": "'@SUM", "\tx": "'\tx", "\rx": "'\rx",
		"'=1": "''=1", "''+": "'''+", "'abc": "'abc", "a=1": "a=1", "": "", "'": "'",
	} {
		require.Equal(t, want, guardCell(in))
		require.Equal(t, in, unguardCell(want))
	}
	require.Equal(t, "+84912", unguardCell("+84912"), "written by hand without a guard")
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringOf(rapid.SampledFrom([]rune("'=+-@\t\ra ă"))).Draw(t, "s")
		if g := guardCell(s); unguardCell(g) != s || g != "" && strings.ContainsRune(formulaStart, rune(g[0])) {
			t.Fatalf("%q %q", s, g)
		}
	})
}

// What is exported and read into an empty directory is the same directory.
func TestRoundTrip(t *testing.T) {
	for _, format := range []Format{CSV, XLSX} {
		for _, lang := range []string{"vi", "en"} {
			t.Run(string(format)+" "+lang, func(t *testing.T) {
				storetest.Each(t, func(t *testing.T, db *store.DB) { roundTrip(t, New(db), format, lang) })
			})
		}
	}
}

func roundTrip(t *testing.T, d *Directory, format Format, lang string) {
	root := mustUnit(t, d, "R", "")
	u, err := d.CreateUnit(ctx, Unit{Code: "A", ParentID: root.ID, Name: "=1+1", ShortName: "'=x", Kind: "@k;,\"", SortOrder: 7})
	require.NoError(t, err)
	pos, err := d.CreatePosition(ctx, Position{Name: "-Trưởng ban"})
	require.NoError(t, err)
	_, err = d.CreatePoint(ctx, Point{Code: "P", UnitID: u.ID, Name: "+Điểm", Place: `"Nhà, số 1"; 'tầng 2'`, Kind: Laptop, Technician: "'Lê An", TechPhone: "+84 912 345 678"})
	require.NoError(t, err)
	user, err := d.CreateUser(ctx, User{Login: "an", FullName: "Lê <b>An</b>", Mail: "=an@lg.vn", Phone: "+84912345678", PositionID: pos.ID, UnitID: u.ID, Enabled: true})
	require.NoError(t, err)
	require.NoError(t, d.SetRoles(ctx, user.ID, 1, []RoleIn{{Chair, root.ID}, {Secretary, u.ID}}))
	mustUser(t, d, "ba", "0123", u.ID)

	other := New(storetest.Open(t, storetest.SQLite(t)))
	for _, table := range []Table{TableUnits, TablePoints, TableUsers} {
		var first, second bytes.Buffer
		require.NoError(t, d.Export(ctx, table, format, &first, lang))
		if format == CSV {
			rows, err := csv.NewReader(bytes.NewReader(first.Bytes()[3:])).ReadAll()
			require.NoError(t, err)
			for _, row := range rows {
				for _, cell := range row {
					require.False(t, cell != "" && strings.ContainsRune(formulaStart, rune(cell[0])), "%q", cell)
				}
			}
		}
		// Into itself: nothing to change.
		r, err := d.Import(ctx, table, format, bytes.NewReader(first.Bytes()), ImportOptions{})
		require.NoError(t, err, "%v", codes(r))
		require.Equal(t, r.Rows, r.Unchanged)
		r, err = other.Import(ctx, table, format, bytes.NewReader(first.Bytes()), ImportOptions{AddPositions: true})
		require.NoError(t, err, "%v", codes(r))
		require.Equal(t, r.Rows, r.Created)
		require.NoError(t, other.Export(ctx, table, format, &second, lang))
		a, _, err := readSheet(format, &first)
		require.NoError(t, err)
		b, _, err := readSheet(format, &second)
		require.NoError(t, err)
		require.Equal(t, a, b)
	}
	got, err := other.UserByLogin(ctx, "an")
	require.NoError(t, err)
	require.Equal(t, []string{"=an@lg.vn", "+84912345678", "Lê <b>An</b>"}, []string{got.Mail, got.Phone, got.FullName})
	got, err = other.UserByLogin(ctx, "ba")
	require.NoError(t, err)
	require.Equal(t, "0123", got.FullName)
}

// FuzzImportCSV: no file breaks the reader, and what it takes is read the same
// after it was exported.
func FuzzImportCSV(f *testing.F) {
	f.Add([]byte(unitsFile))
	f.Add([]byte("code,name\nR,x\n"))
	f.Add([]byte("Mã;Tên;Đơn vị cấp trên\nR;'=1;\nA;\"a\"\"b\";R\n"))
	f.Add([]byte("code,name,parent unit\nA,a,B\nB,b,A\nC,c,\n"))
	f.Add([]byte("\"code\",\"na"))
	f.Add([]byte("\xff\xfe"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, bad, err := readSheet(CSV, bytes.NewReader(data))
		if err != nil || len(bad) > 0 {
			return
		}
		for _, table := range []Table{TableUnits, TablePoints, TableUsers} {
			recs, bad, err := records(table, rows)
			require.NoError(t, err)
			if table != TableUnits {
				continue
			}
			p := newPlan(recs, bad, ImportOptions{})
			p.units(&state{unitByCode: map[string]Unit{}, unitCode: map[string]string{}})
			for _, e := range p.report().Errors {
				require.NotContains(t, e.Text("vi"), "%!")
			}
		}
		// The heading of an export is ours: it tells which separator there is.
		cells := append([][]string{{"code", "name"}}, make([][]string, len(rows))...)
		for i, r := range rows {
			for _, c := range r.cells {
				cells[i+1] = append(cells[i+1], strings.ReplaceAll(unguardCell(c), "\r\n", "\n"))
			}
		}
		var b bytes.Buffer
		require.NoError(t, writeCSV(&b, cells))
		again, bad, err := readSheet(CSV, &b)
		if len(rows) > MaxFileRows {
			return // and now one more
		}
		require.NoError(t, err)
		require.Empty(t, bad)
		require.Len(t, again, len(cells))
		for i := range again {
			for j := range again[i].cells {
				// csv makes one line end of CR LF inside quotes.
				require.Equal(t, cells[i][j], strings.ReplaceAll(unguardCell(again[i].cells[j]), "\r\n", "\n"))
			}
		}
	})
}

// FuzzImportXLSX: no workbook breaks the reader.
func FuzzImportXLSX(f *testing.F) {
	w := excelize.NewFile()
	for cell, v := range map[string]any{"A1": "code", "B1": "name", "A2": "R", "B2": 1} {
		require.NoError(f, w.SetCellValue("Sheet1", cell, v))
	}
	require.NoError(f, w.SetCellFormula("Sheet1", "B3", "1+1"))
	var b bytes.Buffer
	require.NoError(f, w.Write(&b))
	f.Add(b.Bytes())
	f.Add([]byte("PK\x03\x04"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, bad, err := readSheet(XLSX, bytes.NewReader(data))
		if err != nil {
			require.NotContains(t, code(err), "not an *Error")
			return
		}
		_, _, err = records(TableUnits, rows)
		require.NoError(t, err)
		for _, e := range bad {
			require.Equal(t, "formula_cell", e.Problem.Code)
		}
	})
}
