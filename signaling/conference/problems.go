package conference

import (
	"net/http"

	"diemcau/signaling/problem"
)

// Problems beside those of package problem and of meetings.
var (
	tooFast = &problem.Problem{Code: "too_fast", Status: http.StatusTooManyRequests, Retry: 1e9,
		Vi: "Bạn gửi quá nhanh. Vui lòng đợi giây lát.", En: "Too fast. Wait a moment."}
	badJSON = &problem.Problem{Code: "bad_json", Status: http.StatusBadRequest,
		Vi: "Nội dung gửi lên không đúng định dạng.", En: "The body is not of the expected form."}
	badDevice = &problem.Problem{Code: "bad_device", Status: http.StatusUnprocessableEntity, Field: "device",
		Vi: "Mã thiết bị gồm 1 đến 16 ký tự a–z, 0–9 và dấu gạch ngang.", En: "A device is 1 to 16 characters a-z, 0-9 and hyphens."}
	badText = &problem.Problem{Code: "bad_text", Status: http.StatusUnprocessableEntity, Field: "text",
		Vi: "Văn bản quá dài hoặc chứa ký tự không được phép.", En: "The text is too long or has characters that are not allowed."}
	badValue = &problem.Problem{Code: "bad_value", Status: http.StatusUnprocessableEntity,
		Vi: "Giá trị nằm ngoài phạm vi cho phép.", En: "The value is out of range."}
	notOpen = &problem.Problem{Code: "not_joinable", Status: http.StatusConflict,
		Vi: "Phiên họp chưa mở hoặc đã kết thúc.", En: "The meeting is not open, or is over."}
	unknownCommand = &problem.Problem{Code: "unknown_command", Status: http.StatusUnprocessableEntity, Field: "type",
		Vi: "Không có lệnh này.", En: "There is no such command."}
	ballotInvalid = &problem.Problem{Code: "ballot_invalid", Status: http.StatusForbidden,
		Vi: "Phiếu không hợp lệ đối với lần biểu quyết này.", En: "The ballot is not one of this vote."}
	ballotStale = &problem.Problem{Code: "ballot_stale", Status: http.StatusConflict,
		Vi: "Lựa chọn sau của phiếu này đã được ghi nhận.", En: "A later choice of this ballot is recorded."}
	ballotConflict = &problem.Problem{Code: "ballot_conflict", Status: http.StatusConflict,
		Vi: "Lần sửa này của phiếu đã được ghi nhận với lựa chọn khác.", En: "This revision of the ballot is recorded with other choices."}
	alreadyIssued = &problem.Problem{Code: "already_issued", Status: http.StatusConflict,
		Vi: "Đại biểu đã nhận phiếu của lần biểu quyết này.", En: "A ballot of this vote was already issued to this voter."}
	voteClosed = &problem.Problem{Code: "vote_closed", Status: http.StatusConflict,
		Vi: "Biểu quyết không mở.", En: "The vote is not open."}
	voteNotSecret = &problem.Problem{Code: "vote_not_secret", Status: http.StatusConflict,
		Vi: "Đây không phải biểu quyết kín.", En: "This is not a secret vote."}
	notEntitled = &problem.Problem{Code: "not_entitled", Status: http.StatusForbidden,
		Vi: "Bạn không có quyền biểu quyết trong lần này.", En: "You are not entitled in this vote."}
)
