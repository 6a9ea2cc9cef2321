package api

import (
	"errors"
	"time"

	"diemcau/signaling/audit"
	"diemcau/signaling/directory"
	"diemcau/signaling/problem"
)

type auditQuery struct {
	Who    string    `query:"who" maxLength:"100" doc:"identity without device: user:<id>"`
	Object string    `query:"object" maxLength:"160"`
	Action string    `query:"action" maxLength:"64" doc:"exact; with a dot at the end all that begin so: unit."`
	Result string    `query:"result" maxLength:"64" doc:"ok, a code, or refused for all but ok"`
	From   time.Time `query:"from"`
	Until  time.Time `query:"until" doc:"not included"`
	Limit  int       `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor string    `query:"cursor" maxLength:"200"`
}

// auditRecord is a line of the audit log.
type auditRecord struct {
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	Who    string    `json:"who" doc:"empty: nobody was signed in"`
	Device string    `json:"device,omitempty"`
	From   string    `json:"from" doc:"address of the client"`
	Action string    `json:"action"`
	Object string    `json:"object"`
	Result string    `json:"result" doc:"ok or the code of the refusal"`
	Detail string    `json:"detail,omitempty"`
}

var badCursor = &problem.Problem{Code: "bad_cursor", Status: 422, Field: "cursor",
	Vi: "Vị trí trang không hợp lệ.", En: "This is not a valid page position."}

func (a *API) audits() {
	search := func(p directory.Permission, signIns bool) func(c *call, in *auditQuery) (*list[auditRecord], error) {
		return func(c *call, in *auditQuery) (*list[auditRecord], error) {
			if err := a.need(c, p, ""); err != nil {
				return nil, err
			}
			page, err := a.o.Audit.Search(c, audit.Filter{Who: in.Who, Object: in.Object, Action: in.Action, Result: in.Result,
				From: in.From, Until: in.Until, SignIns: signIns}, in.Cursor, in.Limit)
			if errors.Is(err, audit.ErrCursor) {
				err = badCursor
			}
			if err != nil {
				return nil, err
			}
			records := make([]auditRecord, 0, len(page.Records))
			for _, r := range page.Records {
				records = append(records, auditRecord(r))
			}
			return pageOf(records, page.Next), nil
		}
	}
	// Who looks into the log stands in it, too.
	handle(a, route{"searchAudit", get, "/audit", "audit", "Who did what, from where, with which result; newest first", "audit.read", 0, true, nil}, search(directory.AuditRead, false))
	//nolint:misspell // the path is what clients know
	handle(a, route{"searchSignIns", get, "/signins", "audit", "The part of it that is about signing in", "signin.read", 0, true, nil}, search(directory.SigninRead, true))
}
