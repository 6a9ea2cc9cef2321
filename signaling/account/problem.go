package account

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/text/language"
)

// Problem is an error for the person at the screen (RFC 9457). Code is stable;
// clients act on it.
type Problem struct {
	Code    string
	Status  int
	Title   string // English, fixed for its code
	Vi, En  string
	retryIn time.Duration
}

// Error makes a Problem an error; it is the code.
func (p *Problem) Error() string { return p.Code }

// after is p with the time until which repeating it is useless.
func (p *Problem) after(d time.Duration) *Problem {
	q := *p
	q.retryIn = max(d, time.Second)
	return &q
}

// Problems of this package.
var (
	problemType = &Problem{Code: "media_type", Status: http.StatusUnsupportedMediaType, Title: "Unsupported media type",
		Vi: "Nội dung gửi lên phải là JSON.", En: "The body must be JSON."}
	problemTooLarge = &Problem{Code: "too_large", Status: http.StatusRequestEntityTooLarge, Title: "Content too large",
		Vi: "Nội dung gửi lên vượt quá 4 KiB.", En: "The body is larger than 4 KiB."}
	problemJSON = &Problem{Code: "malformed", Status: http.StatusBadRequest, Title: "Malformed request",
		Vi: "Nội dung gửi lên không đúng định dạng.", En: "The body is malformed."}
	problemField = &Problem{Code: "invalid_field", Status: http.StatusUnprocessableEntity, Title: "Invalid field",
		Vi: "Một trường có giá trị không hợp lệ.", En: "A field has an invalid value."}
	problemName = &Problem{Code: "invalid_name", Status: http.StatusUnprocessableEntity, Title: "Invalid name",
		Vi: "Tên hiển thị phải có từ 1 đến 60 ký tự và không chứa ký tự điều khiển.",
		En: "The display name must have 1 to 60 characters and no control characters."}

	problemUnavailable = &Problem{Code: "unavailable", Status: http.StatusServiceUnavailable, Title: "Service unavailable",
		Vi: "Máy chủ tạm thời không truy cập được dữ liệu. Vui lòng thử lại.",
		En: "The server cannot reach its data for the moment. Please try again."}
	problemInternal = &Problem{Code: "internal", Status: http.StatusInternalServerError, Title: "Internal error",
		Vi: "Máy chủ gặp lỗi. Vui lòng thử lại.", En: "The server failed. Please try again."}
	problemBusy = &Problem{Code: "busy", Status: http.StatusServiceUnavailable, Title: "Busy", retryIn: 5 * time.Second,
		Vi: "Đang có quá nhiều người đăng nhập cùng lúc. Vui lòng thử lại sau ít giây.",
		En: "Too many people are signing in at once. Please try again in a few seconds."}
	problemThrottled = &Problem{Code: "throttled", Status: http.StatusTooManyRequests, Title: "Too many attempts",
		Vi: "Bạn đã thử sai quá nhiều lần. Vui lòng đợi rồi thử lại.",
		En: "There were too many failed attempts. Please wait and try again."}

	problemNotSignedIn = &Problem{Code: "not_signed_in", Status: http.StatusUnauthorized, Title: "Not signed in",
		Vi: "Bạn chưa đăng nhập hoặc phiên đăng nhập đã hết hạn.", En: "You are not signed in, or your session has expired."}
	problemForbidden = &Problem{Code: "forbidden", Status: http.StatusForbidden, Title: "Forbidden",
		Vi: "Bạn không có quyền thực hiện việc này.", En: "You may not do this."}
	problemLobby = &Problem{Code: "in_lobby", Status: http.StatusForbidden, Title: "Waiting in the lobby",
		Vi: "Bạn đang ở phòng chờ. Vui lòng đợi được mời vào.", En: "You are in the lobby. Please wait to be admitted."}
	problemCrossOrigin = &Problem{Code: "cross_origin", Status: http.StatusForbidden, Title: "Cross-origin request",
		Vi: "Yêu cầu đến từ một trang khác nên bị từ chối.", En: "The request came from another site and was refused."}
	problemCSRF = &Problem{Code: "csrf", Status: http.StatusForbidden, Title: "CSRF token missing or wrong",
		Vi: "Trang đã cũ. Vui lòng tải lại trang rồi thử lại.", En: "The page is out of date. Please reload it and try again."}
	problemNotFound = &Problem{Code: "not_found", Status: http.StatusNotFound, Title: "Not found",
		Vi: "Không tìm thấy đối tượng này.", En: "There is no such thing."}

	problemCredentials = &Problem{Code: "bad_credentials", Status: http.StatusUnauthorized, Title: "Wrong login or password",
		Vi: "Tên đăng nhập hoặc mật khẩu không đúng.", En: "The login or the password is wrong."}
	problemDisabled = &Problem{Code: "account_disabled", Status: http.StatusForbidden, Title: "Account disabled",
		Vi: "Tài khoản này đã bị khóa. Vui lòng liên hệ quản trị viên.",
		En: "This account is disabled. Please ask an administrator."}
	problemCodeNeeded = &Problem{Code: "totp_required", Status: http.StatusUnauthorized, Title: "One-time code required",
		Vi: "Vui lòng nhập mã xác thực 6 số hoặc một mã khôi phục.", En: "Please enter the 6-digit code or a recovery code."}
	problemCode = &Problem{Code: "bad_totp", Status: http.StatusUnauthorized, Title: "Wrong one-time code",
		Vi: "Mã xác thực không đúng hoặc đã được dùng.", En: "The code is wrong or was used before."}
	problemDeviceEnrolled = &Problem{Code: "device_enrolled", Status: http.StatusConflict, Title: "Device of a meeting point",
		Vi: "Thiết bị này đang là thiết bị của điểm cầu. Hãy gỡ thiết bị trước khi đăng nhập.",
		En: "This device belongs to a meeting point. Remove it from the point before signing in."}
	problemSignedIn = &Problem{Code: "already_signed_in", Status: http.StatusConflict, Title: "Already signed in",
		Vi: "Bạn đang đăng nhập. Hãy vào phiên họp bằng tài khoản của mình hoặc đăng xuất trước.",
		En: "You are signed in. Join with your account, or sign out first."}
	problemPasswordOld = &Problem{Code: "password_must_change", Status: http.StatusForbidden, Title: "Password must be changed",
		Vi: "Bạn phải đổi mật khẩu trước khi tiếp tục.", En: "You must change your password first."}
	problemPasswordExpired = &Problem{Code: "password_expired", Status: http.StatusForbidden, Title: "Password expired",
		Vi: "Mật khẩu tạm đã hết hạn. Vui lòng đề nghị quản trị viên cấp lại.",
		En: "This temporary password has expired. Please ask an administrator for a new one."}
	problemPasswordLength = &Problem{Code: "password_length", Status: http.StatusUnprocessableEntity,
		Title: "Password too short or too long",
		Vi:    "Mật khẩu phải có từ 10 đến 128 ký tự và không chứa ký tự điều khiển.",
		En:    "The password must have 10 to 128 characters and no control characters."}
	problemPasswordLogin = &Problem{Code: "password_has_login", Status: http.StatusUnprocessableEntity,
		Title: "Password contains the login",
		Vi:    "Mật khẩu không được chứa tên đăng nhập.", En: "The password must not contain the login."}
	problemPasswordCommon = &Problem{Code: "password_common", Status: http.StatusUnprocessableEntity, Title: "Password too common",
		Vi: "Mật khẩu này quá phổ biến, dễ bị đoán ra.", En: "This password is too common and easily guessed."}
	problemPasswordSame = &Problem{Code: "password_same", Status: http.StatusUnprocessableEntity, Title: "Password unchanged",
		Vi: "Mật khẩu mới phải khác mật khẩu cũ.", En: "The new password must differ from the old one."}

	problemTOTPActive = &Problem{Code: "totp_active", Status: http.StatusConflict, Title: "One-time codes already in use",
		Vi: "Xác thực hai lớp đã được bật.", En: "Two-step sign-in is already on."}
	problemTOTPInactive = &Problem{Code: "totp_inactive", Status: http.StatusConflict, Title: "One-time codes not in use",
		Vi: "Xác thực hai lớp chưa được bật hoặc lần đăng ký đã hết hạn.",
		En: "Two-step sign-in is not on, or its enrolment has expired."}

	problemNoSSO = &Problem{Code: "sso_off", Status: http.StatusNotFound, Title: "No single sign-on",
		Vi: "Máy chủ này không dùng đăng nhập một lần.", En: "This server has no single sign-on."}
	problemSSODown = &Problem{Code: "sso_unavailable", Status: http.StatusServiceUnavailable,
		Title: "Single sign-on unavailable", retryIn: 10 * time.Second,
		Vi: "Hệ thống đăng nhập một lần không phản hồi. Bạn vẫn có thể đăng nhập bằng tài khoản nội bộ.",
		En: "The single sign-on service does not answer. Local accounts still work."}
	problemSSO = &Problem{Code: "sso_failed", Status: http.StatusForbidden, Title: "Single sign-on failed",
		Vi: "Đăng nhập một lần không thành công. Vui lòng thử lại.", En: "Single sign-on failed. Please try again."}
	problemSSOUser = &Problem{Code: "sso_no_account", Status: http.StatusForbidden, Title: "No account here",
		Vi: "Tài khoản đăng nhập một lần của bạn chưa được cấp quyền dùng hệ thống này.",
		En: "Your single sign-on account has not been given access here."}
	problemReturn = &Problem{Code: "invalid_return", Status: http.StatusBadRequest, Title: "Invalid return address",
		Vi: "Địa chỉ quay về không hợp lệ.", En: "The address to return to is invalid."}

	problemEnrolCode = &Problem{Code: "bad_device_code", Status: http.StatusForbidden, Title: "Wrong device code",
		Vi: "Mã thiết bị không đúng, đã được dùng hoặc đã hết hạn.", En: "The device code is wrong, used or expired."}
	problemManyCodes = &Problem{Code: "too_many_codes", Status: http.StatusConflict, Title: "Too many device codes",
		Vi: "Đang có quá nhiều mã thiết bị chưa dùng. Hãy dùng chúng hoặc đợi chúng hết hạn.",
		En: "Too many device codes are waiting. Use them or let them expire."}

	problemLink = &Problem{Code: "bad_guest_link", Status: http.StatusForbidden, Title: "Guest link not valid",
		Vi: "Đường dẫn mời không đúng, đã hết hạn, đã dùng hết lượt hoặc đã bị thu hồi.",
		En: "The guest link is wrong, expired, used up or revoked."}
	problemLobbyFull = &Problem{Code: "lobby_full", Status: http.StatusServiceUnavailable, Title: "Lobby full",
		retryIn: 30 * time.Second,
		Vi:      "Phòng chờ đã đầy. Vui lòng thử lại sau ít phút.", En: "The lobby is full. Please try again in a few minutes."}
	problemManyLinks = &Problem{Code: "too_many_links", Status: http.StatusConflict, Title: "Too many guest links",
		Vi: "Phiên họp này đã có quá nhiều đường dẫn mời. Hãy thu hồi bớt.",
		En: "This meeting has too many guest links. Revoke some."}
	problemGuestDecided = &Problem{Code: "guest_decided", Status: http.StatusConflict, Title: "Already decided",
		Vi: "Khách này đã được mời vào hoặc đã bị từ chối.", En: "This guest was already admitted or refused."}
)

var languages = language.NewMatcher([]language.Tag{language.Vietnamese, language.English})

// english reports whether the client prefers English to Vietnamese.
func english(r *http.Request) bool {
	accept := r.Header.Get("Accept-Language")
	if accept == "" || len(accept) > 200 {
		return false
	}
	tags, _, err := language.ParseAcceptLanguage(accept)
	if err != nil || len(tags) == 0 {
		return false
	}
	_, index, _ := languages.Match(tags...)
	return index == 1
}

// WriteProblem answers with p in the language of the request.
func WriteProblem(w http.ResponseWriter, r *http.Request, p *Problem) {
	detail, lang := p.Vi, "vi"
	if english(r) {
		detail, lang = p.En, "en"
	}
	h := w.Header()
	h.Set("Content-Language", lang)
	h.Add("Vary", "Accept-Language")
	h.Set("Cache-Control", "no-store")
	if p.retryIn > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.retryIn.Seconds()))))
	}
	writeJSON(w, p.Status, "application/problem+json", struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Code   string `json:"code"`
	}{p.Title, p.Status, detail, p.Code})
}

func writeJSON(w http.ResponseWriter, status int, contentType string, body any) {
	encoded, err := json.Marshal(body)
	if err != nil { // only for types that no caller has
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(append(encoded, '\n'))
}
