package problem

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"diemcau/signaling/account"
	"diemcau/signaling/directory"
	"diemcau/signaling/journal"
	"diemcau/signaling/live"
	"diemcau/signaling/meeting"
)

func TestOf(t *testing.T) {
	closed := fmt.Errorf("wrapped: %w", &net.OpError{Op: "dial", Err: errors.New("refused")})
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{directory.ErrNotFound, 404, "not_found"},
		{fmt.Errorf("x: %w", directory.ErrConflict), 409, "conflict"},
		{directory.ErrLastAdministrator, 409, "last_administrator"},
		{&directory.Error{Code: "required", Field: "code"}, 422, "required"},
		{&directory.Error{Code: "file_too_large", Field: "file", Params: []any{10}}, 413, "file_too_large"},
		{&account.Problem{Code: "password_length", Status: 422, Vi: "Ngắn.", En: "Short."}, 422, "password_length"},
		{account.ErrNoUser, 404, "not_found"},
		{&meeting.Problem{Code: "vote_closed", Status: 409, Vi: "Đóng.", En: "Closed.", Field: "vote"}, 409, "vote_closed"},
		{&meeting.Problem{Code: "already_applied", Status: 200, Seq: 7}, 200, "already_applied"},
		{live.ErrNoMeeting, 404, "not_found"},
		{live.ErrUnavailable, 503, "unavailable"},
		{live.ErrBusy, 503, "busy"},
		{live.ErrClosed, 503, "unavailable"},
		{&journal.HeldError{Owner: "x", Until: time.Now()}, 503, "held_elsewhere"},
		{journal.ErrTampered, 500, "journal_damaged"},
		{context.DeadlineExceeded, 503, "unavailable"},
		{closed, 503, "unavailable"},
		{&pgconn.PgError{Code: "57P01"}, 503, "unavailable"},
		{&pgconn.PgError{Code: "42601"}, 500, "internal"},
		{&pgconn.PgError{}, 500, "internal"},
		{sql.ErrConnDone, 503, "unavailable"},
		{sql.ErrNoRows, 404, "not_found"},
		{errors.New("SELECT secret FROM t"), 500, "internal"},
		{Forbidden, 403, "forbidden"},
	} {
		for _, english := range []bool{false, true} {
			d := Of(c.err, english)
			require.Equal(t, c.status, d.Status, "%v", c.err)
			require.Equal(t, c.code, d.Code, "%v", c.err)
			require.ErrorIs(t, d, c.err)
			text, err := json.Marshal(d)
			require.NoError(t, err)
			require.NotContains(t, string(text), "SELECT", "what is inside stays inside")
		}
	}
	require.Equal(t, "ok", Code(nil))
	require.EqualValues(t, 7, Of(&meeting.Problem{Code: "already_applied", Status: 200, Seq: 7}, true).Seq)
	require.Equal(t, []Field{{"code", "required", "Mã: không được để trống."}}, Of(&directory.Error{Code: "required", Field: "code"}, false).Errors)
}

func TestLanguage(t *testing.T) {
	for accept, english := range map[string]bool{
		"": false, "en": true, "en-GB,en;q=0.9": true, "vi": false, "vi-VN,vi;q=0.9,en;q=0.8": false, "en;q=0.3,vi;q=0.8": false,
		"fr": false, "*": false, "%%%": false, "fr,en;q=0.5": true,
	} {
		require.Equal(t, english, English(accept), "%q", accept)
	}
}

func TestWrite(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept-Language", "en")
	w := httptest.NewRecorder()
	Write(w, r, live.ErrUnavailable)
	require.Equal(t, 503, w.Code)
	require.Equal(t, "5", w.Header().Get("Retry-After"))
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	require.JSONEq(t, `{"type":"about:blank","title":"Service Unavailable","status":503,"code":"unavailable",
		"detail":"The server cannot reach its data for the moment. Please try again."}`, w.Body.String())
}
