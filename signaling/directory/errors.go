package directory

import (
	"fmt"
	"strings"
)

// Error is a refusal with a stable code; nothing was changed.
type Error struct {
	Code   string // stable, for programs: "unit_has_children"
	Field  string // JSON name of the field it is about, or ""
	Params []any  // numbers and names that the text mentions
}

// Refusals that callers tell apart with errors.Is, which compares codes.
var (
	ErrNotFound          = &Error{Code: "not_found"}
	ErrConflict          = &Error{Code: "conflict"}
	ErrDuplicate         = &Error{Code: "duplicate"}
	ErrUnitCycle         = &Error{Code: "unit_cycle"}
	ErrLastAdministrator = &Error{Code: "last_administrator"}
	ErrImportRejected    = &Error{Code: "import_rejected"}
)

// Error gives the English text.
func (e *Error) Error() string { return e.Text("en") }

// Is reports whether target is an *Error of the same code, whatever the field.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Text says what is wrong, in Vietnamese for "vi" (and "vi-VN"), else in English.
func (e *Error) Text(lang string) string {
	vi := strings.HasPrefix(strings.ToLower(lang), "vi")
	m, ok := messages[e.Code]
	if !ok {
		m = message{e.Code, e.Code}
	}
	format := m.en
	if vi {
		format = m.vi
	}
	text := format
	if strings.Contains(format, "%") {
		text = fmt.Sprintf(format, e.Params...)
	}
	if label := fieldLabel(e.Field, vi); label != "" {
		text = label + ": " + text
	}
	return text
}

func fail(code, field string, params ...any) *Error {
	return &Error{Code: code, Field: field, Params: params}
}

type message struct{ vi, en string }

var messages = map[string]message{
	"not_found":            {"không tìm thấy", "not found"},
	"conflict":             {"đã được người khác thay đổi, hãy tải lại rồi sửa", "was changed by someone else; reload it first"},
	"duplicate":            {"đã có trong danh bạ", "exists already"},
	"required":             {"không được để trống", "must not be empty"},
	"too_long":             {"dài quá %d ký tự", "is longer than %d characters"},
	"invalid_utf8":         {"không phải văn bản Unicode (UTF-8) hợp lệ", "is not valid UTF-8"},
	"forbidden_character":  {"có ký tự điều khiển hoặc ký tự ẩn %s không được phép", "contains the control or invisible character %s"},
	"invalid_code":         {"chỉ gồm chữ không dấu, số và . _ -, bắt đầu bằng chữ hoặc số", "takes letters without marks, digits and . _ -, beginning with a letter or digit"},
	"invalid_login":        {"chỉ gồm chữ, số và . _ - @, bắt đầu bằng chữ hoặc số", "takes letters, digits and . _ - @, beginning with a letter or digit"},
	"invalid_mail":         {"không phải địa chỉ thư điện tử", "is not a mail address"},
	"invalid_phone":        {"không phải số điện thoại", "is not a telephone number"},
	"invalid_kind":         {"không phải một trong các loại: %s", "is none of: %s"},
	"invalid_role":         {"không phải một vai trò: %s", "is none of the roles: %s"},
	"invalid_permission":   {"không phải một quyền", "is not a permission"},
	"invalid_bool":         {"phải là \"có\" hoặc \"không\"", "must be \"yes\" or \"no\""},
	"invalid_number":       {"phải là số nguyên từ %d đến %d", "must be a whole number from %d to %d"},
	"bad_cursor":           {"vị trí trang không hợp lệ", "is not a valid page position"},
	"too_many":             {"vượt quá số lượng tối đa %d", "more than the greatest number, %d"},
	"unknown_unit":         {"không có đơn vị này", "there is no such unit"},
	"unknown_position":     {"không có chức vụ này trong danh mục", "there is no such position in the list"},
	"unit_has_children":    {"không xóa được: còn %d đơn vị trực thuộc", "cannot be removed: it has %d units below it"},
	"unit_has_users":       {"không xóa được: còn %d người dùng thuộc đơn vị", "cannot be removed: it has %d users"},
	"unit_has_points":      {"không xóa được: còn %d điểm cầu thuộc đơn vị", "cannot be removed: it has %d meeting points"},
	"unit_cycle":           {"đơn vị không thể nằm dưới chính nó", "a unit cannot be below itself"},
	"unit_too_deep":        {"cây đơn vị sâu quá %d cấp", "the tree of units would be deeper than %d levels"},
	"root_exists":          {"phải có đơn vị cấp trên: đã có đơn vị gốc", "needs a parent: there is a root unit already"},
	"root_kept":            {"đơn vị gốc không thể chuyển xuống dưới đơn vị khác", "the root unit cannot be moved below another"},
	"position_in_use":      {"không xóa được: còn %d người dùng giữ chức vụ này", "cannot be removed: %d users hold it"},
	"last_administrator":   {"phải còn ít nhất một quản trị viên đang hoạt động ở đơn vị gốc", "at least one enabled administrator must remain at the root unit"},
	"root_permission_kept": {"không thể thu hồi quyền này của quản trị viên ở đơn vị gốc", "this permission of administrators cannot be taken away at the root unit"},

	"invalid_format":   {"chỉ nhận tệp CSV hoặc XLSX", "only CSV and XLSX are read"},
	"file_too_large":   {"tệp lớn quá %d MiB", "the file is larger than %d MiB"},
	"too_many_rows":    {"tệp có quá %d dòng", "the file has more than %d rows"},
	"too_many_columns": {"dòng có quá %d cột", "the row has more than %d columns"},
	"empty_file":       {"tệp không có dòng tiêu đề", "the file has no heading row"},
	"not_utf8":         {"tệp không phải UTF-8: hãy lưu dạng \"CSV UTF-8\"", "the file is not UTF-8: save it as \"CSV UTF-8\""},
	"bad_csv":          {"sai cú pháp CSV (dấu ngoặc kép)", "is not well-formed CSV (a quote)"},
	"bad_xlsx":         {"không đọc được tệp XLSX", "the XLSX file cannot be read"},
	"missing_column":   {"thiếu cột này", "this column is missing"},
	"unknown_column":   {"không có cột tên này", "there is no column of this name"},
	"duplicate_column": {"cột bị lặp lại", "the column stands there twice"},
	"duplicate_row":    {"trùng với dòng %d", "is the same as in row %d"},
	"formula_cell":     {"ô chứa công thức: hãy thay bằng giá trị", "the cell holds a formula: put its value instead"},
	"extra_cell":       {"ô nằm ngoài các cột có tiêu đề", "the cell is outside the columns with a heading"},
	"import_rejected":  {"tệp có %d lỗi, chưa ghi dòng nào", "the file has %d errors; nothing was written"},
}

// Labels are the column headings of spreadsheets too.
var fieldLabels = map[string]message{
	"code":       {"Mã", "Code"},
	"parentId":   {"Đơn vị cấp trên", "Parent unit"},
	"name":       {"Tên", "Name"},
	"shortName":  {"Tên viết tắt", "Short name"},
	"kind":       {"Loại", "Kind"},
	"sortOrder":  {"Thứ tự", "Order"},
	"unitId":     {"Đơn vị", "Unit"},
	"place":      {"Địa điểm", "Place"},
	"technician": {"Cán bộ kỹ thuật", "Technician"},
	"techPhone":  {"Điện thoại kỹ thuật", "Technician's phone"},
	"enabled":    {"Hoạt động", "Enabled"},
	"login":      {"Tên đăng nhập", "Login"},
	"fullName":   {"Họ và tên", "Full name"},
	"mail":       {"Thư điện tử", "Mail"},
	"phone":      {"Điện thoại", "Phone"},
	"positionId": {"Chức vụ", "Position"},
	"roles":      {"Vai trò", "Roles"},
	"role":       {"Vai trò", "Role"},
	"permission": {"Quyền", "Permission"},
	"userId":     {"Người dùng", "User"},
	"query":      {"Từ khóa tìm kiếm", "Search text"},
	"limit":      {"Số mục một trang", "Page size"},
	"cursor":     {"Trang", "Page"},
	"file":       {"Tệp", "File"},
}

func fieldLabel(field string, vi bool) string {
	l, ok := fieldLabels[field]
	if !ok {
		return ""
	}
	if vi {
		return l.vi
	}
	return l.en
}
