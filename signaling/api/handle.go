package api

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"

	"github.com/danielgtaylor/huma/v2"

	"diemcau/signaling/account"
	"diemcau/signaling/directory"
	"diemcau/signaling/problem"
)

// call is one request on its way through a handler. The handler says what it
// is about, for the audit line.
type call struct {
	context.Context
	account.Principal
	object string
	detail string
}

// about names what the request is about, as soon as it is known.
func (c *call) about(object string) { c.object = object }

// route is an operation with the name that the audit log has for it.
type route struct {
	id, method, path, tag, summary string
	action                         string
	maxBody                        int64
	always                         bool                       // a reading that leaves a line even where it is allowed
	content                        map[string]*huma.MediaType // of a body that is not JSON
}

// handle registers a handler for users. Whatever it does or refuses leaves an
// audit line before the answer goes out; readings do when they are refused.
func handle[I, O any](a *API, r route, fn func(c *call, in *I) (*O, error)) {
	op := huma.Operation{
		OperationID: r.id, Method: r.method, Path: r.path, Summary: r.summary, Tags: []string{r.tag}, MaxBodyBytes: r.maxBody,
	}
	if r.maxBody > maxBody {
		op.BodyReadTimeout = sheetWithin
	}
	if r.content != nil {
		op.RequestBody = &huma.RequestBody{Required: true, Content: r.content}
	}
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		c := &call{Context: ctx}
		c.Principal, _ = account.From(ctx)
		var out *O
		err := error(problem.Forbidden)
		if c.Kind == account.KindUser {
			out, err = fn(c, in)
		}
		if !safe(r.method) || r.always || errors.Is(err, problem.Forbidden) {
			a.write(ctx, r.action, c.object, problem.Code(err), c.detail)
		}
		if err != nil {
			return nil, err
		}
		return out, nil
	})
}

// need asks for a permission in a unit; "" is the root.
func (a *API) need(c *call, p directory.Permission, unit string) error {
	ok, err := a.o.Directory.Can(c, c.ID, p, unit)
	if err == nil && !ok {
		return problem.Forbidden
	}
	return err
}

// needAnywhere asks for a permission in any unit.
func (a *API) needAnywhere(c *call, p directory.Permission) error {
	units, err := a.o.Directory.UnitsWhere(c, c.ID, p)
	if err == nil && len(units) == 0 {
		return problem.Forbidden
	}
	return err
}

// missing is the error for something that could not be loaded: only who may see
// everything learns that it is not there.
func (a *API) missing(c *call, p directory.Permission, err error) error {
	if !errors.Is(err, directory.ErrNotFound) {
		return err
	}
	if refused := a.need(c, p, ""); refused != nil {
		return refused
	}
	return err
}

// needFor loads an entry and asks for a permission in its unit.
func needFor[T any](a *API, c *call, p directory.Permission, load func(context.Context, string) (T, error), id string, unit func(T) string) (T, error) {
	entry, err := load(c, id)
	if err != nil {
		return entry, a.missing(c, p, err)
	}
	return entry, a.need(c, p, unit(entry))
}

func stack() string { return string(debug.Stack()) }

// one is the answer of a single entry.
type one[T any] struct {
	Body T
}

// list is a part of a list.
type list[T any] struct {
	Body struct {
		Items []T    `json:"items" nullable:"false"`
		Next  string `json:"next" doc:"cursor of the following page, empty at the end"`
	}
}

func pageOf[T any](items []T, next string) *list[T] {
	var l list[T]
	l.Body.Items, l.Body.Next = items, next
	if items == nil {
		l.Body.Items = []T{}
	}
	return &l
}

// none is the answer that something is done.
type none struct{}

// ByID is the input of an operation on one entry.
type ByID struct {
	ID string `path:"id" maxLength:"64"`
}

// removal names an entry and the version it was seen in.
type removal struct {
	ByID
	Version int64 `query:"version" required:"true" minimum:"1"`
}

// query is the input of a list.
type query struct {
	Text    string `query:"q" doc:"words that entries have the beginnings of, marks and case do not count"`
	Unit    string `query:"unit" maxLength:"64" doc:"only of this unit and those below it; without, permission at the root is needed"`
	Only    bool   `query:"only" doc:"with unit: without those below it"`
	Role    string `query:"role" maxLength:"40" doc:"users only: who holds this role in any unit"`
	Enabled string `query:"enabled" enum:"true,false" doc:"points and users only"`
	Limit   int    `query:"limit" minimum:"0" maximum:"200"`
	Cursor  string `query:"cursor" maxLength:"1000"`
}

func (q *query) query() directory.Query {
	d := directory.Query{
		Text: q.Text, UnitID: q.Unit, Below: !q.Only, Role: directory.Role(q.Role), Limit: q.Limit, Cursor: q.Cursor,
	}
	if q.Enabled != "" {
		enabled := q.Enabled == "true"
		d.Enabled = &enabled
	}
	return d
}

const (
	get    = http.MethodGet
	post   = http.MethodPost
	put    = http.MethodPut
	remove = http.MethodDelete
)
