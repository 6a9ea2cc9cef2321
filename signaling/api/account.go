package api

import (
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// accountRoutes are the routes of package account, which serves them itself.
var accountRoutes = []struct {
	method, path, id, summary, body string
	status                          int
	open                            bool
}{
	{"GET", "/session", "getSession", "The present session, with its CSRF token", "", 200, true},
	{"GET", "/session/methods", "getSignInMethods", "Ways to sign in", "", 200, true},
	{"POST", "/session", "createSession", "Sign in", "login password totp?", 201, true},
	{"DELETE", "/session", "endSession", "Sign out", "", 200, false},
	{"GET", "/oidc/start", "startSingleSignOn", "Go to the single sign-on provider", "", 302, true},
	{"GET", "/oidc/callback", "finishSingleSignOn", "Come back from it", "", 302, true},
	{"POST", "/devices/enrol", "enrolDevice", "Make this browser the device of a meeting point", "code label?", 201, true},
	{"POST", "/guest-links/redeem", "redeemGuestLink", "Come into the lobby by a guest link", "token name", 201, true},
	{"POST", "/password", "changePassword", "Change one's password", "current new", 201, false},
	{"POST", "/totp", "enrolTotp", "Begin with one-time codes", "password", 200, false},
	{"POST", "/totp/confirm", "confirmTotp", "Confirm the first code", "code", 200, false},
	{"POST", "/totp/disable", "disableTotp", "Do without one-time codes", "password code", 204, false},
	{"POST", "/totp/recovery-codes", "renewRecoveryCodes", "New recovery codes", "password code", 200, false},
	{"GET", "/sessions", "listSessions", "One's own sessions", "", 200, false},
	{"DELETE", "/sessions", "endSessions", "Sign out everywhere", "", 204, false},
	{"DELETE", "/sessions/{id}", "endOneSession", "End one of one's sessions", "", 204, false},
	{"GET", "/devices", "listDevices", "Devices of a meeting point (?point=)", "", 200, false},
	{"POST", "/devices/codes", "createDeviceCode", "A code to enrol a device of a meeting point", "point", 201, false},
	{"DELETE", "/devices/{id}", "revokeDevice", "End a device's enrolment", "", 204, false},
	{"GET", "/guest-links", "listGuestLinks", "Guest links of a meeting (?meeting=)", "", 200, false},
	{"POST", "/guest-links", "createGuestLink", "Make a guest link", "meeting label? expires maxUses#", 201, false},
	{"DELETE", "/guest-links/{id}", "revokeGuestLink", "Revoke a guest link", "", 204, false},
	{"GET", "/guests", "listGuests", "Guests in the lobby of a meeting (?meeting=)", "", 200, false},
	{"POST", "/guests/{id}/admit", "admitGuest", "Let a guest in", "", 200, false},
	{"POST", "/guests/{id}/refuse", "refuseGuest", "Turn a guest away", "", 200, false},
	{"PUT", "/accounts/{id}/password", "setPassword", "Give a user a password to be changed at once", "password", 204, false},
	{"DELETE", "/accounts/{id}/totp", "resetTotp", "Take a user's one-time codes away", "", 204, false},
	{"DELETE", "/accounts/{id}/sessions", "endUserSessions", "End all sessions of a user", "", 204, false},
}

// describeAccount puts them into the description of the API.
func describeAccount(o *huma.OpenAPI) {
	for _, r := range accountRoutes {
		op := &huma.Operation{
			OperationID: r.id, Method: r.method, Path: r.path, Summary: r.summary, Tags: []string{"session"},
			Responses: map[string]*huma.Response{
				strconv.Itoa(r.status): {Description: "Done"},
				"default": {Description: "Error", Content: map[string]*huma.MediaType{
					"application/problem+json": {Schema: &huma.Schema{Ref: "#/components/schemas/Details"}}}},
			},
		}
		if r.open {
			op.Security = []map[string][]string{}
		}
		if r.body != "" {
			op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
				"application/json": {Schema: bodySchema(r.body)}}}
		}
		if hasID(r.path) {
			op.Parameters = []*huma.Param{{Name: "id", In: "path", Required: true, Schema: &huma.Schema{Type: "string"}}}
		}
		o.AddOperation(op)
	}
}

// bodySchema makes a schema of "name other? count#": strings, ? may be left out, #
// a number.
func bodySchema(fields string) *huma.Schema {
	s := &huma.Schema{Type: "object", Properties: map[string]*huma.Schema{}, AdditionalProperties: false}
	for _, f := range splitFields(fields) {
		kind := "string"
		if f.number {
			kind = "integer"
		}
		s.Properties[f.name] = &huma.Schema{Type: kind}
		if !f.optional {
			s.Required = append(s.Required, f.name)
		}
	}
	return s
}

type bodyField struct {
	name             string
	optional, number bool
}

func splitFields(text string) []bodyField {
	var out []bodyField
	for _, f := range strings.Fields(text) {
		name := strings.TrimRight(f, "?#")
		out = append(out, bodyField{name, strings.Contains(f, "?"), strings.Contains(f, "#")})
	}
	return out
}

func hasID(path string) bool { return strings.Contains(path, "{id}") }
