package account

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxBody     = 4 << 10
	bodyTimeout = 10 * time.Second
)

// readBody reads a JSON object of a request into body.
func readBody(w http.ResponseWriter, r *http.Request, body any) *Problem {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return problemType
	}
	// Some writers have no deadlines; those are not slow either.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return problemTooLarge
	case err != nil || !utf8.Valid(text):
		return problemJSON
	}
	return decodeBody(string(text), body)
}

func decodeBody(text string, body any) *Problem {
	if !strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{") { // null is no object
		return problemJSON
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(body); err != nil {
		return problemJSON
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return problemJSON
	}
	return nil
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, status, "application/json", body)
}

func answerNothing(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}
