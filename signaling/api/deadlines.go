package api

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// What a client may take its time for. Operations have bounds of their own for bodies
// (huma's 5 s, or BodyReadTimeout); bodyWithin is for routes that huma does not serve.
const (
	bodyWithin   = 30 * time.Second
	sheetWithin  = 2 * time.Minute // to send a spreadsheet, from where the line is thin
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
				_ = c.SetReadDeadline(time.Now().Add(body))
				r.Body = &timedBody{r.Body, func() { _ = c.SetReadDeadline(time.Time{}) }}
			}
			next.ServeHTTP(w, r)
		})
	}
}

// timedBody lifts the deadline when the body has been read: net/http goes on reading to
// notice a client that leaves, and would end the request's context at the deadline.
type timedBody struct {
	io.ReadCloser
	lift func()
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.lift()
	}
	return n, err
}
