package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"reflect"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"

	"diemcau/signaling/account"
	"diemcau/signaling/audit"
	"diemcau/signaling/directory"
	"diemcau/signaling/problem"
)

const (
	maxBody   = 64 << 10                      // of a JSON body
	maxImport = directory.MaxFileBytes + 1024 // the directory says itself what is too large
	humasBody = 1 << 20                       // what huma takes when an operation does not say
)

// Accounts is what the directory's routes need of signing in: a user or point
// that was disabled or removed is out at once.
type Accounts interface {
	EndSessions(ctx context.Context, userID string) error
	EndPoint(ctx context.Context, pointID string) error
}

// Options are what an API needs. All are required but Log and Register.
type Options struct {
	Router    chi.Router // at /api/v1, behind account.Authenticate
	Directory *directory.Directory
	Accounts  Accounts
	Audit     *audit.Log
	Log       *slog.Logger       // nil: slog.Default
	Register  []func(a huma.API) // of other packages
}

// API is the HTTP API.
type API struct {
	o        Options
	huma     huma.API
	describe func() ([]byte, error) // OpenAPI, made once
}

// New puts all routes on o.Router.
func New(o Options) (*API, error) {
	if o.Router == nil || o.Directory == nil || o.Accounts == nil || o.Audit == nil {
		return nil, errors.New("api: Router, Directory, Accounts and Audit are required")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	a := &API{o: o}
	o.Router.Use(audit.WithClient, deadlines(bodyWithin, answerWithin))
	o.Router.NotFound(func(w http.ResponseWriter, r *http.Request) { problem.Write(w, r, problem.NoRoute) })
	o.Router.MethodNotAllowed(notAllowed)
	a.huma = humachi.New(o.Router, a.config())
	a.huma.UseMiddleware(a.recoverer, a.guard)
	a.units()
	a.points()
	a.users()
	a.positions()
	a.roles()
	a.overrides()
	a.sheets()
	a.me()
	a.audits()
	for _, register := range o.Register {
		register(a.huma)
	}
	describeAccount(a.huma.OpenAPI())
	a.describe = sync.OnceValues(func() ([]byte, error) { return json.MarshalIndent(a.huma.OpenAPI(), "", "  ") })
	o.Router.Get("/openapi.json", a.openAPI)
	return a, nil
}

// notAllowed says which methods an address takes, as RFC 9110 section 15.5.6 asks.
func notAllowed(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{get, post, put, http.MethodPatch, remove} {
		if chi.RouteContext(r.Context()).Routes.Match(chi.NewRouteContext(), method, r.URL.Path) {
			allowed = append(allowed, method)
		}
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	problem.Write(w, r, problem.Method)
}

// Huma is the API that operations are registered at.
func (a *API) Huma() huma.API { return a.huma }

// OpenAPI describes all operations, as JSON.
func (a *API) OpenAPI() ([]byte, error) { return a.describe() }

func (a *API) openAPI(w http.ResponseWriter, r *http.Request) {
	text, err := a.describe()
	if err != nil {
		a.o.Log.ErrorContext(r.Context(), "the API's description cannot be made", "error", err)
		problem.Write(w, r, problem.Internal)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(text)
}

func (a *API) config() huma.Config {
	config := huma.DefaultConfig("diemcau", "1")
	config.Info.Description = "Máy chủ họp trực tuyến và họp không giấy tờ. Video conference and paperless meetings."
	config.Servers = []*huma.Server{{URL: "/api/v1"}}
	config.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"session": {Type: "apiKey", In: "cookie", Name: "diemcau",
			Description: "The cookie of POST /session. Methods other than GET and HEAD also need the header " + account.CSRFHeader +
				" with the csrfToken that POST and GET /session answer."},
	}
	config.Security = []map[string][]string{{"session": {}}}
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil // no $schema members
	config.Formats = map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat}
	config.RejectUnknownQueryParameters = true
	config.OnAddOperation = []huma.AddOpFunc{func(_ *huma.OpenAPI, op *huma.Operation) {
		if op.MaxBodyBytes == humasBody {
			op.MaxBodyBytes = maxBody
		}
	}}
	config.Transformers = []huma.Transformer{a.refused}
	return config
}

// schemaName keeps types of the same name in different packages apart.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	pkg := path.Base(t.PkgPath())
	if t.Name() == "" || pkg == "api" || pkg == "." || pkg == "problem" {
		return name
	}
	return strings.ToUpper(pkg[:1]) + pkg[1:] + name
}

// refused sees every answer before it is sent. It logs what failed in here, and
// leaves an audit line for what never came to a handler.
func (a *API) refused(ctx huma.Context, _ string, v any) (any, error) {
	d, ok := v.(*problem.Details)
	if !ok {
		return v, nil
	}
	cause := d.Unwrap()
	if d.Status >= http.StatusInternalServerError && ctx.Context().Err() == nil {
		a.o.Log.ErrorContext(ctx.Context(), "request failed", "operation", ctx.Operation().OperationID, "code", d.Code, "error", cause)
	}
	if cause == nil && !safe(ctx.Method()) {
		detail := ""
		if len(d.Errors) > 0 {
			detail = d.Errors[0].Field
		}
		a.write(ctx.Context(), ctx.Operation().OperationID, ctx.URL().Path, d.Code, detail)
	}
	return v, nil
}

// write leaves an audit line of whoever makes the request of ctx.
func (a *API) write(ctx context.Context, action, object, result, detail string) {
	p, _ := account.From(ctx)
	// What was done is on record even if nobody waits for the answer any more.
	a.o.Audit.Write(context.WithoutCancel(ctx), audit.Record{
		Who: p.Identity, From: audit.Address(ctx), Action: action, Object: object, Result: result, Detail: detail,
	})
}

func safe(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// recoverer keeps a panic to the request that caused it.
func (a *API) recoverer(ctx huma.Context, next func(huma.Context)) {
	defer func() {
		value := recover()
		if value == nil {
			return
		}
		if err, ok := value.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(value)
		}
		err := fmt.Errorf("panic: %v", value)
		a.o.Log.ErrorContext(ctx.Context(), "request panicked", "operation", ctx.Operation().OperationID, "error", err, "stack", stack())
		if ctx.Status() == 0 {
			_ = huma.WriteErr(a.huma, ctx, http.StatusInternalServerError, "", err)
		}
	}()
	next(ctx)
}

// guard refuses, before anything is read, who may not come in at all and bodies
// of another type.
func (a *API) guard(ctx huma.Context, next func(huma.Context)) {
	op := ctx.Operation()
	if err := admit(ctx, op); err != nil {
		// Pages whose session is over read again and again: that leaves no line.
		if _, signed := account.From(ctx.Context()); signed || !safe(ctx.Method()) {
			a.write(ctx.Context(), "request", ctx.Method()+" "+ctx.URL().Path, problem.Code(err), "")
		}
		_ = huma.WriteErr(a.huma, ctx, http.StatusInternalServerError, "", err)
		return
	}
	if !takes(op, ctx.Header("Content-Type")) {
		_ = huma.WriteErr(a.huma, ctx, http.StatusUnsupportedMediaType, "")
		return
	}
	ctx.SetHeader("Cache-Control", "no-store")
	next(ctx)
}

func admit(ctx huma.Context, op *huma.Operation) error {
	if op.Security != nil && len(op.Security) == 0 {
		return nil
	}
	p, ok := account.From(ctx.Context())
	switch {
	case !ok:
		return problem.NotSignedIn
	case p.MustChange && op.Metadata["mustChange"] != true:
		return problem.PasswordMustChange
	}
	return nil
}

// takes reports whether an operation takes a body of this type.
func takes(op *huma.Operation, contentType string) bool {
	if op.RequestBody == nil {
		return true
	}
	_, ok := op.RequestBody.Content[mediaType(contentType)]
	return ok
}

func mediaType(contentType string) string {
	kind, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(kind))
}
