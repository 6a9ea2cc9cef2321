package problem

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"diemcau/signaling/account"
	"diemcau/signaling/directory"
	"diemcau/signaling/journal"
	"diemcau/signaling/live"
	"diemcau/signaling/meeting"
)

// held is a meeting that another process writes; when its lease ends, or that
// process hands it over, this one can.
var held = &Problem{Code: "held_elsewhere", Status: http.StatusServiceUnavailable, Retry: 3 * time.Second,
	Vi: "Phiên họp đang do một máy chủ khác phục vụ. Vui lòng thử lại sau ít giây.",
	En: "Another server runs this meeting. Please try again in a few seconds."}

var damaged = &Problem{Code: "journal_damaged", Status: http.StatusInternalServerError,
	Vi: "Nhật ký của phiên họp không còn nguyên vẹn. Vui lòng báo cho quản trị viên.",
	En: "The journal of this meeting is damaged. Please tell an administrator."}

// Of makes the answer for err, in English or in Vietnamese. What it does not
// know is an internal error, whose text stays inside: see [Details.Unwrap].
func Of(err error, english bool) *Details {
	var known *Details
	if errors.As(err, &known) {
		return known
	}
	if d := ofPackages(err, english); d != nil {
		return d
	}
	p := Internal
	switch {
	case errors.Is(err, live.ErrNoMeeting), errors.Is(err, sql.ErrNoRows), errors.Is(err, account.ErrNoUser), errors.Is(err, account.ErrNoPoint):
		p = NotFound
	case errors.Is(err, journal.ErrHeld):
		p = held
	case errors.Is(err, journal.ErrTampered):
		p = damaged
	case errors.Is(err, live.ErrBusy):
		p = Busy
	case errors.Is(err, live.ErrUnavailable), errors.Is(err, live.ErrClosed), errors.Is(err, journal.ErrFenced),
		errors.Is(err, journal.ErrUncertain), errors.Is(err, journal.ErrClosed), storeIsAway(err):
		p = Unavailable
	}
	return p.details(english, err)
}

// ofPackages knows the errors that say themselves what they are.
func ofPackages(err error, english bool) *Details {
	var own *Problem
	var ofAccount *account.Problem
	var ofDirectory *directory.Error
	var ofMeeting *meeting.Problem
	switch {
	case errors.As(err, &own):
		return own.details(english, err)
	case errors.As(err, &ofAccount):
		p := Problem{Code: ofAccount.Code, Status: ofAccount.Status, Vi: ofAccount.Vi, En: ofAccount.En}
		if p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests {
			p.Retry = 5 * time.Second
		}
		return p.details(english, err)
	case errors.As(err, &ofDirectory):
		p := Problem{Code: ofDirectory.Code, Status: directoryStatus(ofDirectory.Code), Field: ofDirectory.Field,
			Vi: sentence(ofDirectory.Text("vi")), En: sentence(ofDirectory.Text("en"))}
		return p.details(english, err)
	case errors.As(err, &ofMeeting):
		p := Problem{Code: ofMeeting.Code, Status: ofMeeting.Status, Field: ofMeeting.Field, Vi: ofMeeting.Vi, En: ofMeeting.En}
		d := p.details(english, err)
		d.Seq = ofMeeting.Seq
		return d
	}
	return nil
}

func directoryStatus(code string) int {
	switch code {
	case "not_found":
		return http.StatusNotFound
	case "file_too_large":
		return http.StatusRequestEntityTooLarge
	case "conflict", "duplicate", "last_administrator", "root_exists", "root_kept", "root_permission_kept",
		"unit_cycle", "unit_has_children", "unit_has_users", "unit_has_points", "unit_too_deep", "position_in_use", "too_many":
		return http.StatusConflict
	}
	return http.StatusUnprocessableEntity
}

// sentence makes a text of the directory, which begins small as it follows a
// label in spreadsheets, a sentence.
func sentence(s string) string {
	r := []rune(s)
	if len(r) == 0 {
		return s
	}
	return strings.ToUpper(string(r[:1])) + string(r[1:]) + "."
}

// storeIsAway tells whether the database, the network to it or the disk is at
// fault rather than the request or this program.
func storeIsAway(err error) bool {
	var pg *pgconn.PgError
	var connecting *pgconn.ConnectError
	var network net.Error
	var path *fs.PathError
	var lite *sqlite.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, driver.ErrBadConn),
		errors.Is(err, sql.ErrConnDone), errors.As(err, &connecting), errors.As(err, &network), errors.As(err, &path),
		err != nil && strings.Contains(err.Error(), "sql: database is closed"):
		return true
	case errors.As(err, &lite):
		switch lite.Code() & 0xff {
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY:
			return true
		}
	case errors.As(err, &pg):
		// Classes 08 connection, 53 resources, 57 operator intervention, 58 system; 40001 and 40P01 conflicts.
		switch (pg.Code + "  ")[:2] {
		case "08", "53", "57", "58", "40":
			return true
		}
	}
	return false
}
