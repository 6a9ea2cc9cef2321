package signaling

import "net/http"

// problem is an error of the API (RFC 9457). Title is English and fixed for its
// kind; Detail is Vietnamese, for the person at the screen.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

var (
	problemNotFound = problem{"Not found", http.StatusNotFound, "Không tìm thấy địa chỉ này."}
	problemMethod   = problem{"Method not allowed", http.StatusMethodNotAllowed, "Địa chỉ này không nhận phương thức vừa dùng."}
	problemType     = problem{"Unsupported media type", http.StatusUnsupportedMediaType, "Nội dung gửi lên phải là JSON."}
	problemTooLarge = problem{"Content too large", http.StatusRequestEntityTooLarge, "Nội dung gửi lên vượt quá 4 KiB."}
	problemJSON     = problem{"Malformed request", http.StatusBadRequest, "Nội dung gửi lên không đúng định dạng."}
	problemName     = problem{"Invalid name", http.StatusUnprocessableEntity, "Tên hiển thị phải có từ 1 đến 60 ký tự và không chứa ký tự điều khiển."}
	problemRoom     = problem{"Invalid room", http.StatusUnprocessableEntity, "Tên phòng phải có từ 1 đến 64 ký tự, chỉ gồm chữ cái không dấu, chữ số và các dấu “.”, “_”, “-”."}
	problemRate     = problem{"Too many requests", http.StatusTooManyRequests, "Bạn đã gửi quá nhiều yêu cầu. Vui lòng thử lại sau ít giây."}
	problemInternal = problem{"Internal error", http.StatusInternalServerError, "Máy chủ gặp lỗi. Vui lòng thử lại."}
)

func writeProblem(w http.ResponseWriter, p problem) {
	writeJSON(w, p.Status, "application/problem+json", p)
}
