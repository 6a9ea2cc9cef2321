package problem

import (
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// huma makes its errors by two functions that it has once for the process.
func init() {
	huma.NewError = func(status int, _ string, errs ...error) huma.StatusError {
		return ofHuma(false, status, errs)
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, _ string, errs ...error) huma.StatusError {
		english := ctx != nil && English(ctx.Header("Accept-Language"))
		var d *Details
		if status == http.StatusInternalServerError && len(errs) == 1 {
			d = Of(errs[0], english) // what a handler returned
		} else {
			d = ofHuma(english, status, errs)
		}
		if ctx != nil {
			d.Headers(setter{ctx})
		}
		return d
	}
}

// setter puts headers into a huma context.
type setter struct{ huma.Context }

func (s setter) Set(key, value string) { s.SetHeader(key, value) }

// ofHuma is what huma found wrong with a request before a handler saw it.
func ofHuma(english bool, status int, errs []error) *Details {
	p := Invalid
	switch status {
	case http.StatusBadRequest:
		p = Malformed
	case http.StatusRequestEntityTooLarge:
		p = TooLarge
	case http.StatusUnsupportedMediaType:
		p = MediaType
	case http.StatusRequestTimeout:
		p = Slow
	case http.StatusUnprocessableEntity:
	case http.StatusInternalServerError: // a body that broke off
		p = Malformed
	default:
		p = &Problem{Code: "refused", Status: status, Vi: "Yêu cầu không được chấp nhận.", En: http.StatusText(status) + "."}
	}
	d := p.details(english, nil)
	for _, err := range errs {
		detailer, ok := err.(huma.ErrorDetailer)
		if !ok || len(d.Errors) == maxFields {
			continue
		}
		found := detailer.ErrorDetail()
		d.Errors = append(d.Errors, Field{clip(found.Location), "invalid", translated(english, clip(found.Message))})
	}
	return d
}

const (
	maxFields = 20
	maxText   = 200 // characters
)

// clip shortens what may repeat the request.
func clip(s string) string {
	s = strings.ToValidUTF8(s, "")
	if r := []rune(s); len(r) > maxText {
		return string(r[:maxText]) + "…"
	}
	return s
}

// translated gives what huma's checks say in Vietnamese, as far as people meet
// them: forms check the same before they send.
func translated(english bool, message string) string {
	if english {
		return message
	}
	for _, t := range [...]struct{ prefix, vi string }{
		{"expected required property", "Thiếu trường bắt buộc."},
		{"required", "Thiếu giá trị bắt buộc."},
		{"unexpected property", "Trường này không được nhận."},
		{"unknown query parameter", "Tham số này không được nhận."},
		{"expected string", "Phải là văn bản."},
		{"expected boolean", "Phải là đúng hoặc sai (true, false)."},
		{"expected integer", "Phải là số nguyên."},
		{"expected number", "Phải là số."},
		{"expected array", "Phải là danh sách."},
		{"expected object", "Phải là đối tượng."},
		{"expected length", "Độ dài nằm ngoài giới hạn."},
		{"expected value to be one of", "Không phải một trong các giá trị cho phép."},
		{"invalid date", "Thời điểm không hợp lệ (RFC 3339)."},
	} {
		if strings.HasPrefix(message, t.prefix) {
			return t.vi
		}
	}
	return "Giá trị không hợp lệ."
}
