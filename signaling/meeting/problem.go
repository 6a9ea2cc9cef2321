package meeting

import "net/http"

// Problem is why a command was refused. Nothing was changed. Code is stable;
// Field names the member of the body that is wrong, where one is. Seq is set
// with "already_applied" only: the last event the command led to.
type Problem struct {
	Code   string `json:"code"`
	Status int    `json:"status"` // HTTP status that fits
	Vi     string `json:"vi"`
	En     string `json:"en"`
	Field  string `json:"field,omitempty"`
	Seq    uint64 `json:"seq,omitempty"`
}

func (p *Problem) Error() string { return p.Code + ": " + p.En }

type problemText struct {
	status int
	vi, en string
}

const (
	badRequest = http.StatusUnprocessableEntity
	denied     = http.StatusForbidden
	missing    = http.StatusNotFound
	conflict   = http.StatusConflict
	tooLarge   = http.StatusRequestEntityTooLarge
	tooMany    = http.StatusTooManyRequests
)

// problems holds every code that Decide answers with.
var problems = map[string]problemText{
	"already_applied":    {http.StatusOK, "Lệnh này đã được thực hiện.", "This command was already applied."},
	"already_issued":     {conflict, "Đại biểu đã nhận phiếu của lần biểu quyết này.", "A ballot of this vote was already issued to this voter."},
	"already_requested":  {conflict, "Đại biểu đã đăng ký ở nội dung này.", "Already registered for this agenda item."},
	"bad_choice":         {badRequest, "Lựa chọn không hợp lệ.", "The choice is not valid."},
	"bad_count":          {badRequest, "Số phiếu không khớp.", "The counts do not add up."},
	"bad_id":             {badRequest, "Mã định danh không hợp lệ.", "The id is not valid."},
	"bad_json":           {http.StatusBadRequest, "Nội dung gửi lên không đúng định dạng.", "The body is not of the expected form."},
	"bad_text":           {badRequest, "Văn bản quá dài, để trống hoặc chứa ký tự không được phép.", "The text is empty, too long or has characters that are not allowed."},
	"bad_value":          {badRequest, "Giá trị nằm ngoài phạm vi cho phép.", "The value is out of range."},
	"call_none":          {conflict, "Hiện không có điểm cầu nào được mời.", "No point is in call."},
	"chair_taken":        {conflict, "Phiên họp đang có chủ tọa điều hành.", "Somebody already presides."},
	"chat_closed":        {denied, "Trao đổi đang tắt đối với bạn.", "Chat is closed to you."},
	"delegation_chain":   {conflict, "Không được ủy quyền lại hoặc ủy quyền vòng.", "A delegation cannot be passed on or returned in a circle."},
	"delegation_none":    {conflict, "Không có ủy quyền nào đang chờ hoặc có hiệu lực.", "There is no such delegation."},
	"delegation_taken":   {conflict, "Người này đã nhận ủy quyền hoặc đã có quyền biểu quyết.", "This person already holds a vote."},
	"forbidden":          {denied, "Bạn không có quyền thực hiện việc này.", "You are not allowed to do this."},
	"id_reused":          {conflict, "Mã lệnh này đã được dùng cho một lệnh khác.", "This command id was used for another command."},
	"item_hidden":        {conflict, "Nội dung cấp trên đang được ẩn.", "The item above is hidden."},
	"list_closed":        {conflict, "Danh sách đăng ký đang đóng.", "The list is closed."},
	"list_full":          {conflict, "Danh sách đã đủ số lượng cho phép.", "The list is full."},
	"locked":             {conflict, "Phiên họp đang diễn ra: chỉ thư ký được thay đổi và phải ghi lý do.", "The session is running: only a secretary may change this, with a note."},
	"no_chair":           {conflict, "Phiên họp chưa có chủ tọa điều hành.", "Nobody presides."},
	"no_quorum":          {conflict, "Chưa đủ túc số để biểu quyết.", "There is no quorum."},
	"not_attending":      {conflict, "Người này không thuộc diện điểm danh.", "This person's attendance is not taken."},
	"not_entitled":       {denied, "Bạn không có quyền biểu quyết trong lần này.", "You are not entitled in this vote."},
	"not_found":          {missing, "Không tìm thấy đối tượng.", "Not found in this meeting."},
	"not_present":        {conflict, "Đại biểu chưa có mặt.", "The person is not present."},
	"nothing_changed":    {conflict, "Không có gì thay đổi.", "Nothing would change."},
	"too_fast":           {tooMany, "Bạn gửi quá nhanh. Vui lòng đợi giây lát.", "Too fast. Wait a moment."},
	"too_large":          {tooLarge, "Nội dung gửi lên vượt quá 64 KiB.", "The body is larger than 64 KiB."},
	"unit_time_used":     {conflict, "Đơn vị đã dùng hết thời gian phát biểu.", "The unit's speaking time is used up."},
	"unit_fixed":         {conflict, "Phiên họp đã được duyệt ở đơn vị này nên không thể chuyển sang đơn vị khác.", "The meeting was approved in this unit and cannot be given to another."},
	"unknown_command":    {badRequest, "Không có lệnh này.", "There is no such command."},
	"vote_closed":        {conflict, "Biểu quyết không mở.", "The vote is not open."},
	"vote_is_open":       {conflict, "Còn biểu quyết đang mở. Hãy kết thúc hoặc hủy trước.", "A vote is still open. Close or cancel it first."},
	"vote_secret":        {conflict, "Đây là biểu quyết kín.", "This is a secret vote."},
	"vote_not_secret":    {conflict, "Đây không phải biểu quyết kín.", "This is not a secret vote."},
	"wrong_state":        {conflict, "Trạng thái hiện tại không cho phép việc này.", "The present state does not allow this."},
	"wrong_target":       {conflict, "Không thể thực hiện với đối tượng này.", "This cannot be done to this person or point."},
	"note_required":      {badRequest, "Phải ghi rõ lý do.", "A note is required."},
	"ballots_used_up":    {conflict, "Số phiếu đã bỏ bằng số phiếu đã phát.", "As many ballots were cast as were issued."},
	"ballot_stale":       {conflict, "Lựa chọn sau của phiếu này đã được ghi nhận.", "A later choice of this ballot is recorded."},
	"ballot_conflict":    {conflict, "Lần sửa này của phiếu đã được ghi nhận với lựa chọn khác.", "This revision of the ballot is recorded with other choices."},
	"attendance_already": {conflict, "Đại biểu đã được điểm danh.", "Already checked in."},
}

func problem(code string) *Problem {
	t := problems[code]
	return &Problem{Code: code, Status: t.status, Vi: t.vi, En: t.en}
}

func problemIn(code, field string) *Problem {
	p := problem(code)
	p.Field = field
	return p
}
