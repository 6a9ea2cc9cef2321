package office

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"

	"diemcau/signaling/directory"
	"diemcau/signaling/meeting"
	"diemcau/signaling/store/storetest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Who asks, in the order of the table's columns.
var askers = []string{"administrator", "secretary", "chair", "operator", "delegate", "guest", "observer", "device", "lobby", "nobody"}

var logins = map[string]string{"administrator": "quantri", "secretary": "thuky", "chair": "chutoa", "operator": "kythuat",
	"delegate": "daibieu01", "guest": "khachmoi", "observer": "duthinh"}

const tablePath = "testdata/routes.txt"

// sample is what a route is asked with. Its permissions are passed before it is
// found that nothing can be changed: versions are stale, codes taken, ids unknown.
type sample struct {
	query string
	body  any
	kind  string // of the body, if not JSON
}

type routeBench struct {
	*bench
	ids map[string]string // of path parameters, by route's first segment
}

// Every route × every asker: allowed (+) or refused (-: 401, 403, or 404 for what
// one may not know of), as the table says. A new route without a row fails.
func TestRoutes(t *testing.T) {
	storetest.EachMigrated(t, func(t *testing.T, url string) {
		o := options(t, url)
		o.Demo = true
		b := &routeBench{bench: serve(t, o)}
		b.prepare(t)
		var routes []string
		require.NoError(t, chi.Walk(b.router, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
			if path, ok := strings.CutPrefix(route, "/api/v1"); ok && method != "OPTIONS" {
				routes = append(routes, method+" "+path)
			}
			return nil
		}))
		slices.Sort(routes)
		browsers := map[string]*browser{}
		var table strings.Builder
		allowed := 0
		for _, route := range routes {
			marks := ""
			for _, who := range askers {
				w := browsers[who]
				if w == nil || who != "nobody" && w.do("GET", "/session", nil).StatusCode != http.StatusOK {
					w = b.as(t, who)
					browsers[who] = w
				}
				mark := "-"
				if b.ask(t, w, route) {
					mark = "+"
					allowed++
				}
				marks += " " + mark
			}
			fmt.Fprintf(&table, "%-62s%s\n", route, marks)
		}
		head := "# Allowed (+) or refused (-), by: " + strings.Join(askers, ", ") + "\n"
		if *update {
			require.NoError(t, os.MkdirAll(filepath.Dir(tablePath), 0o750))
			require.NoError(t, os.WriteFile(tablePath, []byte(head+table.String()), 0o600))
		}
		want, err := os.ReadFile(tablePath)
		require.NoError(t, err)
		require.Equal(t, string(want), head+table.String())
		fmt.Printf("%s: %d routes × %d who ask = %d: %d allowed, %d refused\n", t.Name(), len(routes), len(askers),
			len(routes)*len(askers), allowed, len(routes)*len(askers)-allowed)
	})
}

func (b *routeBench) prepare(t *testing.T) {
	t.Helper()
	d, ctx := b.office.directory, t.Context()
	root, err := d.UnitByCode(ctx, demoRoot)
	require.NoError(t, err)
	points, err := d.SearchPoints(ctx, directory.Query{Limit: 1})
	require.NoError(t, err)
	user, err := d.UserByLogin(ctx, "daibieu02")
	require.NoError(t, err)
	positions, err := d.Positions(ctx)
	require.NoError(t, err)
	b.ids = map[string]string{"units": root.ID, "points": points.Items[0].ID, "users": user.ID, "accounts": user.ID,
		"positions": positions[0].ID, "meetings": DemoMeeting}
}

// as is a new browser of somebody.
func (b *routeBench) as(t *testing.T, who string) *browser {
	t.Helper()
	w := b.browser(t)
	switch who {
	case "nobody":
	case "device":
		a := b.as(t, "administrator")
		code := a.expect(http.StatusCreated, "", "POST", "/devices/codes", fields{"point": b.ids["points"]}).text(t, "code")
		w.csrf = w.expect(http.StatusCreated, "", "POST", "/devices/enrol", fields{"code": code}).text(t, "csrfToken")
	case "lobby":
		a := b.as(t, "secretary")
		token := a.expect(http.StatusCreated, "", "POST", "/guest-links", fields{"meeting": DemoMeeting, "maxUses": 5,
			"expires": time.Now().Add(time.Hour)}).text(t, "token")
		r := w.expect(http.StatusCreated, "", "POST", "/guest-links/redeem", fields{"token": token, "name": "Khách"})
		w.csrf = r.text(t, "csrfToken")
		waits := func() (waits bool) {
			_ = b.office.hub.Look(t.Context(), DemoMeeting, func(s *meeting.State) { waits = s.Lobby[r.text(t, "identity")] != nil })
			return waits
		}
		require.Eventually(t, waits, 10*time.Second, 2*time.Millisecond)
	default:
		w.signIn(logins[who], DemoPassword)
	}
	return w
}

// ask sends one request and tells whether it was let through.
func (b *routeBench) ask(t *testing.T, w *browser, route string) bool {
	t.Helper()
	method, path, _ := strings.Cut(route, " ")
	parts := strings.Split(path, "/")
	for i, p := range parts {
		switch p {
		case "{id}":
			parts[i] = b.ids[parts[1]]
			if parts[i] == "" {
				parts[i] = b.own(t, w, path)
			}
		case "{table}":
			parts[i] = "units"
		case "{role}":
			parts[i] = "delegate"
		case "{permission}":
			parts[i] = "library.read"
		case "{vote}":
			parts[i] = "v1"
		}
	}
	s := b.sample(route)
	if s.kind != "" {
		w = w.with("Content-Type", s.kind)
	}
	r := w.do(method, strings.Join(parts, "/")+s.query, s.body)
	require.Less(t, r.StatusCode, 500, "%s: %s", route, r.body)
	require.NotEqual(t, http.StatusMethodNotAllowed, r.StatusCode, route)
	var p struct{ Code string }
	_ = json.Unmarshal(r.body, &p)
	// What is wrong with a secret is told to who may try it.
	if slices.Contains([]string{"bad_credentials", "bad_totp", "bad_device_code", "bad_guest_link", "sso_off"}, p.Code) {
		return true
	}
	return r.StatusCode != http.StatusUnauthorized && r.StatusCode != http.StatusForbidden && r.StatusCode != http.StatusNotFound
}

// own is an id that exists for routes of signing in.
func (b *routeBench) own(t *testing.T, w *browser, path string) string {
	t.Helper()
	ctx := t.Context()
	id := func(query string, args ...any) (id string) {
		_ = b.office.db.QueryRow(ctx, query, args...).Scan(&id)
		return id
	}
	switch strings.Split(path, "/")[1] {
	case "sessions":
		if r := w.do("GET", "/session", nil); r.StatusCode == http.StatusOK {
			return r.text(t, "sessionId")
		}
		return id(`SELECT id FROM account_sessions WHERE kind = 'user' LIMIT 1`)
	case "devices":
		const first = `SELECT id FROM account_sessions WHERE kind = 'point' ORDER BY created LIMIT 1`
		if id(first) == "" { // the one before was allowed to end it
			b.as(t, "device")
		}
		return id(first)
	case "guest-links":
		return id(`SELECT id FROM account_guest_links ORDER BY created LIMIT 1`)
	case "guests":
		b.as(t, "lobby") // a new one each time, so that the one who asks goes on waiting
		return id(`SELECT id FROM account_guests ORDER BY created DESC, id DESC LIMIT 1`)
	}
	return "none"
}

// sample gives the query and body of routes that need one.
func (b *routeBench) sample(route string) sample {
	units, point := b.ids["units"], b.ids["points"]
	stale := "?version=999"
	samples := map[string]sample{
		"DELETE /units/{id}":                               {query: stale},
		"DELETE /points/{id}":                              {query: stale},
		"DELETE /users/{id}":                               {query: stale},
		"DELETE /positions/{id}":                           {query: stale},
		"DELETE /units/{id}/overrides/{role}/{permission}": {query: stale},
		"PUT /units/{id}/overrides/{role}/{permission}":    {body: fields{"allow": true, "version": 999}},
		"PUT /units/{id}":                                  {body: fields{"code": "LG", "name": "Tỉnh", "version": 999}},
		"PUT /points/{id}":                                 {body: fields{"code": "P", "name": "P", "unitId": units, "kind": "phone", "version": 999}},
		"PUT /users/{id}":                                  {body: fields{"login": "daibieu02", "fullName": "X", "unitId": units, "version": 999}},
		"PUT /users/{id}/roles":                            {body: fields{"version": 999, "roles": []fields{{"role": "guest", "unitId": units}}}},
		"PUT /positions/{id}":                              {body: fields{"name": "X", "version": 999}},
		"POST /units":                                      {body: fields{"code": "LG", "name": "X", "parentId": units}},
		"POST /points":                                     {body: fields{"code": "", "name": "X", "unitId": units, "kind": "phone"}},
		"POST /users":                                      {body: fields{"login": "quantri", "fullName": "X", "unitId": units}},
		"POST /positions":                                  {body: fields{"name": ""}},
		"POST /imports/{table}":                            {query: "?dryRun=true", body: "Mã,Tên\n", kind: "text/csv"},
		"POST /session":                                    {body: fields{"login": "nobody", "password": "không phải mật khẩu"}},
		"POST /devices/enrol":                              {body: fields{"code": "12345"}},
		"POST /devices/codes":                              {body: fields{"point": point}},
		"GET /devices":                                     {query: "?point=" + point},
		"POST /guest-links/redeem":                         {body: fields{"token": "x", "name": "X"}},
		"POST /guest-links":                                {body: fields{"meeting": DemoMeeting, "maxUses": 1, "expires": time.Now().Add(time.Hour)}},
		"GET /guest-links":                                 {query: "?meeting=" + DemoMeeting},
		"GET /guests":                                      {query: "?meeting=" + DemoMeeting},
		"PUT /accounts/{id}/password":                      {body: fields{"password": DemoPassword + "!"}},
		"POST /password":                                   {body: fields{"current": DemoPassword, "new": "1"}},
		"POST /totp":                                       {body: fields{"password": DemoPassword}},
		"POST /totp/confirm":                               {body: fields{"code": "000000"}},
		"POST /totp/disable":                               {body: fields{"password": DemoPassword, "code": "000000"}},
		"POST /totp/recovery-codes":                        {body: fields{"password": DemoPassword, "code": "000000"}},
		"POST /meetings":                                   {body: fields{"id": "m-1", "title": "Họp", "unit": units}},
		"POST /meetings/{id}/commands":                     {body: fields{"id": "c-1", "type": "chat.set", "body": fields{"mode": "all"}}},
		"POST /meetings/{id}/join":                         {body: fields{}},
		"POST /meetings/{id}/votes/{vote}/ballot":          {body: fields{"blinded": strings.Repeat("A", 342)}},
		"PUT /meetings/{id}/notes":                         {body: fields{"text": "ghi chú"}},
		"POST /ballots":                                    {body: fields{}},
	}
	return samples[route]
}
