package api

import (
	"net/http"
	"time"
)

// What a client may take its time for. Operations have bounds of their own for bodies
// (huma's 5 s, or BodyReadTimeout); bodyWithin is for routes that huma does not serve.
const (
	bodyWithin   = 30 * time.Second
	sheetWithin  = 2 * time.Minute // to send a spreadsheet of 10 MB, from where the line is thin
	answerWithin = 5 * time.Minute // for all of a request, the answer included
)

// deadlines keeps clients that send or take next to nothing from holding a connection
// and what it answers for ever.
func deadlines(body, answer time.Duration) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c := http.NewResponseController(w)
			_ = c.SetWriteDeadline(time.Now().Add(answer)) // no error where there is a connection
			defer func() { _ = c.SetWriteDeadline(time.Time{}) }()
			if r.Body != nil && r.Body != http.NoBody {
				_ = c.SetReadDeadline(time.Now().Add(body)) // net/http lifts it when the body has been read
			}
			next.ServeHTTP(w, r)
		})
	}
}
