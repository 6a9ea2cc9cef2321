package problem

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/text/language"
)

// Problem is an error that a package of the HTTP side answers with.
type Problem struct {
	Code   string // stable, for programs
	Status int
	Vi, En string
	Field  string        // JSON name of the member it is about, or ""
	Retry  time.Duration // after which asking again makes sense, or 0
}

// Error is the code and the English text.
func (p *Problem) Error() string { return p.Code + ": " + p.En }

// Is compares codes.
func (p *Problem) Is(target error) bool {
	t, ok := target.(*Problem)
	return ok && t.Code == p.Code
}

// In is p about a member of the request.
func (p *Problem) In(field string) *Problem {
	q := *p
	q.Field = field
	return &q
}

// Problems of every route.
var (
	NotSignedIn = &Problem{Code: "not_signed_in", Status: http.StatusUnauthorized,
		Vi: "Bạn chưa đăng nhập hoặc phiên đăng nhập đã hết hạn.", En: "You are not signed in, or your session has expired."}
	Forbidden = &Problem{Code: "forbidden", Status: http.StatusForbidden,
		Vi: "Bạn không có quyền thực hiện việc này.", En: "You may not do this."}
	InLobby = &Problem{Code: "in_lobby", Status: http.StatusForbidden,
		Vi: "Bạn đang ở phòng chờ. Vui lòng đợi được mời vào.", En: "You are in the lobby. Please wait to be admitted."}
	PasswordMustChange = &Problem{Code: "password_must_change", Status: http.StatusForbidden,
		Vi: "Bạn phải đổi mật khẩu trước khi tiếp tục.", En: "You must change your password first."}
	NotFound = &Problem{Code: "not_found", Status: http.StatusNotFound,
		Vi: "Không tìm thấy đối tượng này.", En: "There is no such thing."}
	NoRoute = &Problem{Code: "no_route", Status: http.StatusNotFound,
		Vi: "Không có địa chỉ này.", En: "There is no such address."}
	Method = &Problem{Code: "method_not_allowed", Status: http.StatusMethodNotAllowed,
		Vi: "Địa chỉ này không nhận phương thức vừa dùng.", En: "This address does not take this method."}
	MediaType = &Problem{Code: "media_type", Status: http.StatusUnsupportedMediaType,
		Vi: "Nội dung gửi lên không đúng loại được nhận.", En: "The body is not of a type that is taken here."}
	TooLarge = &Problem{Code: "too_large", Status: http.StatusRequestEntityTooLarge,
		Vi: "Nội dung gửi lên quá lớn.", En: "The body is too large."}
	Malformed = &Problem{Code: "malformed", Status: http.StatusBadRequest,
		Vi: "Nội dung gửi lên không đúng định dạng.", En: "The body is malformed."}
	Invalid = &Problem{Code: "invalid", Status: http.StatusUnprocessableEntity,
		Vi: "Yêu cầu có giá trị không hợp lệ.", En: "The request has values that are not valid."}
	Slow = &Problem{Code: "too_slow", Status: http.StatusRequestTimeout,
		Vi: "Nội dung gửi lên quá chậm.", En: "The body came too slowly."}
	Busy = &Problem{Code: "busy", Status: http.StatusServiceUnavailable, Retry: 2 * time.Second,
		Vi: "Máy chủ đang quá tải. Vui lòng thử lại sau ít giây.", En: "The server is busy. Please try again in a few seconds."}
	Unavailable = &Problem{Code: "unavailable", Status: http.StatusServiceUnavailable, Retry: 5 * time.Second,
		Vi: "Máy chủ tạm thời không truy cập được dữ liệu. Vui lòng thử lại.",
		En: "The server cannot reach its data for the moment. Please try again."}
	Internal = &Problem{Code: "internal", Status: http.StatusInternalServerError,
		Vi: "Máy chủ gặp lỗi. Vui lòng thử lại.", En: "The server failed. Please try again."}
)

// Details is what a client is answered.
type Details struct {
	Type   string  `json:"type" enum:"about:blank" doc:"Always about:blank: code tells problems apart"`
	Title  string  `json:"title" doc:"English, fixed for the status"`
	Status int     `json:"status"`
	Detail string  `json:"detail" doc:"For the person at the screen, in their language"`
	Code   string  `json:"code" doc:"Stable, for programs"`
	Errors []Field `json:"errors,omitempty" doc:"What is wrong with which member of the request"`
	Seq    uint64  `json:"seq,omitempty" doc:"With already_applied: the last event of the command"`

	retry   time.Duration
	english bool
	cause   error // nil for what huma found
}

// Field is one thing wrong with a request.
type Field struct {
	Field  string `json:"field" doc:"JSON name, with dots for what is inside: body.name is the member name of the body"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Error is the code.
func (d *Details) Error() string { return d.Code + ": " + d.Detail }

// Unwrap gives the error that the details were made of, nil where there was none.
func (d *Details) Unwrap() error { return d.cause }

// GetStatus is the HTTP status.
func (d *Details) GetStatus() int { return d.Status }

// ContentType is the media type of problems.
func (d *Details) ContentType(string) string { return "application/problem+json" }

// Headers puts what belongs to the answer into h.
func (d *Details) Headers(h interface{ Set(key, value string) }) {
	h.Set("Content-Language", map[bool]string{true: "en", false: "vi"}[d.english])
	h.Set("Vary", "Accept-Language")
	h.Set("Cache-Control", "no-store")
	if d.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(d.retry.Seconds()))))
	}
}

// Code is the code that err is answered with; "ok" for nil.
func Code(err error) string {
	if err == nil {
		return "ok"
	}
	return Of(err, true).Code
}

// Write answers with err, for handlers outside of huma.
func Write(w http.ResponseWriter, r *http.Request, err error) {
	d := Of(err, English(r.Header.Get("Accept-Language")))
	text, failed := json.Marshal(d)
	if failed != nil { // Details is always JSON
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	d.Headers(w.Header())
	w.Header().Set("Content-Type", d.ContentType(""))
	w.WriteHeader(d.Status)
	_, _ = w.Write(append(text, '\n'))
}

var languages = language.NewMatcher([]language.Tag{language.Vietnamese, language.English})

// English reports whether an Accept-Language header prefers English to
// Vietnamese.
func English(accept string) bool {
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

// text is p in one of the two languages.
func (p *Problem) text(english bool) string {
	if english {
		return p.En
	}
	return p.Vi
}

// details makes the answer of p, which cause led to.
func (p *Problem) details(english bool, cause error) *Details {
	d := &Details{
		Type: "about:blank", Title: http.StatusText(p.Status), Status: p.Status, Detail: p.text(english),
		Code: p.Code, retry: p.Retry, english: english, cause: cause,
	}
	if p.Field != "" {
		d.Errors = []Field{{p.Field, p.Code, d.Detail}}
	}
	return d
}

// Is reports whether err is answered with the code of p.
func Is(err error, p *Problem) bool { return err != nil && errors.Is(err, p) }
