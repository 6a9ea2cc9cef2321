package office

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/directory"
)

// What an administrator's first day looks like, from outside.
func TestFirstDay(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		w := b.browser(t)
		w.expect(http.StatusUnauthorized, "not_signed_in", "GET", "/me", nil)
		w.expect(http.StatusUnauthorized, "not_signed_in", "POST", "/units", fields{"code": "X", "name": "X"})
		w.signIn("GOC", goodPass)
		me := w.expect(http.StatusOK, "", "GET", "/me", nil).fields(t)
		require.Equal(t, "user", me["kind"])
		require.Contains(t, string(w.do("GET", "/me", nil).body), `"administrator"`)
		root := b.root(t)

		unit := w.expect(http.StatusOK, "", "POST", "/units", fields{"code": "snv", "name": "Sở Nội vụ", "parentId": root})
		id := unit.text(t, "id")
		require.Equal(t, "SNV", unit.text(t, "code"))
		w.expect(http.StatusConflict, "duplicate", "POST", "/units", fields{"code": "SNV", "name": "Khác", "parentId": root})
		w.expect(http.StatusOK, "", "PUT", "/units/"+id, fields{"code": "SNV", "name": "Sở Nội Vụ", "parentId": root, "version": 1})
		w.expect(http.StatusConflict, "conflict", "PUT", "/units/"+id, fields{"code": "SNV", "name": "Cũ", "parentId": root, "version": 1})
		require.Equal(t, "Sở Nội Vụ", w.expect(http.StatusOK, "", "GET", "/units/"+id, nil).text(t, "name"))
		require.Len(t, w.expect(http.StatusOK, "", "GET", "/units", nil).fields(t)["items"], 2)
		require.Len(t, w.expect(http.StatusOK, "", "GET", "/units?q=so+noi&limit=5", nil).fields(t)["items"], 1)

		point := w.expect(http.StatusOK, "", "POST", "/points", fields{"code": "DC1", "unitId": id, "name": "Điểm cầu", "kind": "laptop"})
		require.Equal(t, true, point.fields(t)["enabled"])
		w.expect(http.StatusConflict, "unit_has_points", "DELETE", "/units/"+id+"?version=2", nil)
		w.expect(http.StatusNoContent, "", "DELETE", "/points/"+point.text(t, "id")+"?version=1", nil)

		position := w.expect(http.StatusOK, "", "POST", "/positions", fields{"name": "Giám đốc"}).text(t, "id")
		user := w.expect(http.StatusOK, "", "POST", "/users", fields{"login": "lan.le", "fullName": "Lê Thị Lan", "unitId": id, "positionId": position})
		lan := user.text(t, "id")
		w.expect(http.StatusNoContent, "", "PUT", "/accounts/"+lan+"/password", fields{"password": "Sông Mã chảy xiết 9"})
		roles := w.expect(http.StatusOK, "", "GET", "/users/"+lan+"/roles", nil).fields(t)
		w.expect(http.StatusOK, "", "PUT", "/users/"+lan+"/roles", fields{"version": roles["version"],
			"roles": []fields{{"role": "delegate", "unitId": id}}})
		w.expect(http.StatusConflict, "conflict", "PUT", "/users/"+lan+"/roles", fields{"version": roles["version"], "roles": []fields{}})

		n := b.browser(t)
		n.signIn("lan.le", "Sông Mã chảy xiết 9")
		require.Equal(t, true, n.expect(http.StatusOK, "", "GET", "/me", nil).fields(t)["mustChangePassword"])
		n.expect(http.StatusForbidden, "password_must_change", "GET", "/units", nil)
		n.csrf = n.expect(http.StatusCreated, "", "POST", "/password", fields{"current": "Sông Mã chảy xiết 9", "new": goodPass}).text(t, "csrfToken")
		n.expect(http.StatusOK, "", "GET", "/units", nil)
		n.expect(http.StatusOK, "", "GET", "/users?unit="+id, nil)
		n.expect(http.StatusForbidden, "forbidden", "GET", "/users", nil)
		n.expect(http.StatusForbidden, "forbidden", "POST", "/units", fields{"code": "X", "name": "X", "parentId": id})
		n.expect(http.StatusForbidden, "forbidden", "PUT", "/users/"+lan+"/roles", fields{"version": 2,
			"roles": []fields{{"role": "administrator", "unitId": root}}})
		n.expect(http.StatusForbidden, "forbidden", "GET", "/audit", nil)

		var page struct {
			Items []struct{ Who, Action, Object, Result, From, Detail string }
		}
		w.expect(http.StatusOK, "", "GET", "/audit?who=user:"+lan, nil).into(t, &page)
		var seen []string
		for _, r := range page.Items {
			require.Equal(t, "127.0.0.1", r.From)
			seen = append(seen, r.Action+" "+r.Result)
		}
		require.Equal(t, []string{"audit.read forbidden", "role.assign forbidden", "unit.create forbidden", "user.list forbidden",
			"password.change ok", "request password_must_change", "session.create ok"}, seen)
		w.expect(http.StatusOK, "", "GET", "/audit?action=unit.&result=refused", nil).into(t, &page)
		require.Len(t, page.Items, 4, "%v", page.Items)
		w.expect(http.StatusOK, "", "GET", "/signins?limit=3", nil).into(t, &page) //nolint:misspell // a path
		require.Len(t, page.Items, 3)

		// A user who is disabled is out at once.
		now := w.expect(http.StatusOK, "", "GET", "/users/"+lan, nil).fields(t)
		w.expect(http.StatusOK, "", "PUT", "/users/"+lan, fields{"login": "lan.le", "fullName": "Lê Thị Lan", "unitId": id,
			"enabled": false, "version": now["version"]})
		n.expect(http.StatusUnauthorized, "not_signed_in", "GET", "/units", nil)
	})
}

func TestImportAndExport(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		w := b.admin(t)
		csv := w.with("Content-Type", "text/csv; charset=utf-8")
		file := "Mã;Tên;Đơn vị cấp trên\nA1;Sở Tài chính;GOC\nB 2;Sở Y tế;GOC\nC3;=1+1;KHONG-CO\n"
		file = strings.ReplaceAll(file, ";", ",")
		var report struct {
			Rows, Created, ErrorCount int
			Written                   bool
			Errors                    []struct {
				Row                        int
				Cell, Column, Code, Detail string
			}
		}
		csv.expect(http.StatusOK, "", "POST", "/imports/units?dryRun=true", file).into(t, &report)
		require.False(t, report.Written)
		require.Equal(t, 3, report.Rows)
		require.GreaterOrEqual(t, report.ErrorCount, 2, "%+v", report)
		require.Contains(t, report.Errors[0].Detail, "A3: Mã:")
		csv.expect(http.StatusOK, "", "POST", "/imports/units", file).into(t, &report)
		require.False(t, report.Written, "all or nothing")
		require.Len(t, w.expect(http.StatusOK, "", "GET", "/units", nil).fields(t)["items"], 1)
		csv.expect(http.StatusOK, "", "POST", "/imports/units", "Mã,Tên,Đơn vị cấp trên\nA1,Sở Tài chính,GOC\n").into(t, &report)
		require.True(t, report.Written)

		for _, format := range []string{"csv", "xlsx"} {
			out := w.expect(http.StatusOK, "", "GET", "/exports/units?format="+format, nil)
			require.Contains(t, out.Header.Get("Content-Disposition"), "units."+format)
			kind := w.with("Content-Type", out.Header.Get("Content-Type"))
			kind.expect(http.StatusOK, "", "POST", "/imports/units?dryRun=true", string(out.body)).into(t, &report)
			require.Zero(t, report.ErrorCount, "%s: %+v", format, report)
		}
		w.expect(http.StatusUnsupportedMediaType, "media_type", "POST", "/imports/units", "Mã,Tên\n")
		csv.expect(http.StatusRequestEntityTooLarge, "too_large", "POST", "/imports/units", strings.Repeat("x", 11<<20))
		csv.expect(http.StatusUnprocessableEntity, "invalid", "POST", "/imports/secrets", "Mã,Tên\n")

		// Who manages one unit does not import, which reaches every unit.
		b.member(t, "quanly", b.root(t), directory.RoleIn{Role: directory.Secretary, UnitID: b.root(t)})
		m := b.browser(t)
		m.signIn("quanly", goodPass)
		m.with("Content-Type", "text/csv").expect(http.StatusForbidden, "forbidden", "POST", "/imports/units?dryRun=true", file)
		m.expect(http.StatusForbidden, "forbidden", "GET", "/exports/users", nil)
	})
}

// Who administers one unit stays in it.
func TestUnitAdministrator(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		w, root := b.admin(t), b.root(t)
		unit := func(code, parent string) string {
			return w.expect(http.StatusOK, "", "POST", "/units", fields{"code": code, "name": code, "parentId": parent}).text(t, "id")
		}
		a, other := unit("A", root), unit("B", root)
		below := unit("A1", a)
		mine := b.member(t, "quanly", a, directory.RoleIn{Role: directory.Administrator, UnitID: a})
		staff := b.member(t, "nhanvien", below)
		boss := b.member(t, "sep", below, directory.RoleIn{Role: directory.Chair, UnitID: root})
		far := b.member(t, "xa", other)
		m := b.browser(t)
		m.signIn("quanly", goodPass)
		set := func(u directory.User, roles ...fields) (string, string, fields) {
			return "PUT", "/users/" + u.ID + "/roles", fields{"version": u.Version, "roles": append([]fields{}, roles...)}
		}
		try := func(status int, code string, method, path string, body fields) {
			t.Helper()
			m.expect(status, code, method, path, body)
		}
		method, path, body := set(staff, fields{"role": "secretary", "unitId": below})
		try(http.StatusOK, "", method, path, body)
		for name, roles := range map[string][]fields{
			"at the root":  {{"role": "administrator", "unitId": root}},
			"at another":   {{"role": "delegate", "unitId": other}},
			"of none":      {{"role": "delegate", "unitId": "00000000-0000-7000-8000-000000000000"}},
			"of no id":     {{"role": "delegate", "unitId": "' OR 1=1 --"}},
			"empty = root": {{"role": "delegate", "unitId": ""}},
		} {
			t.Run(name, func(t *testing.T) {
				for _, u := range []directory.User{mine, far} {
					method, path, body := set(u, roles...)
					try(http.StatusForbidden, "forbidden", method, path, body)
				}
			})
		}
		method, path, body = set(boss)
		try(http.StatusForbidden, "forbidden", method, path, body) // takes a role that came from above
		edit := fields{"login": "sep", "fullName": "Kẻ khác", "unitId": below, "version": boss.Version, "enabled": false}
		m.expect(http.StatusForbidden, "forbidden", "PUT", "/users/"+boss.ID, edit)
		m.expect(http.StatusForbidden, "forbidden", "DELETE", fmt.Sprintf("/users/%s?version=%d", boss.ID, boss.Version), nil)
		m.expect(http.StatusForbidden, "forbidden", "PUT", "/accounts/"+boss.ID+"/password", fields{"password": goodPass + "x"})
		m.expect(http.StatusForbidden, "forbidden", "PUT", "/accounts/"+mine.ID+"/password", fields{"password": goodPass + "x"})
		m.expect(http.StatusNoContent, "", "PUT", "/accounts/"+staff.ID+"/password", fields{"password": goodPass + "x"})
		// Into another unit, out of one's own, by moving.
		m.expect(http.StatusForbidden, "forbidden", "PUT", "/units/"+below, fields{"code": "A1", "name": "A1", "parentId": other, "version": 1})
		m.expect(http.StatusForbidden, "forbidden", "PUT", "/units/"+a, fields{"code": "A", "name": "A", "parentId": other, "version": 1})
		m.expect(http.StatusForbidden, "forbidden", "DELETE", "/units/"+a+"?version=1", nil)
		m.expect(http.StatusForbidden, "forbidden", "POST", "/points", fields{"code": "P", "name": "P", "unitId": other, "kind": "phone"})
		m.expect(http.StatusForbidden, "forbidden", "POST", "/positions", fields{"name": "Vua"})
		// What holds for oneself is adjusted above.
		over := "/overrides/administrator/audit.read"
		m.expect(http.StatusForbidden, "forbidden", "PUT", "/units/"+a+over, fields{"allow": true})
		m.expect(http.StatusOK, "", "PUT", "/units/"+below+over, fields{"allow": false})
		m.expect(http.StatusConflict, "conflict", "PUT", "/units/"+below+over, fields{"allow": true})
		m.expect(http.StatusOK, "", "PUT", "/units/"+below+over, fields{"allow": true, "version": 1})
		m.expect(http.StatusNoContent, "", "DELETE", "/units/"+below+over+"?version=2", nil)
		w.expect(http.StatusUnprocessableEntity, "invalid_permission", "PUT", "/units/"+a+"/overrides/guest/rm.rf", fields{"allow": true})
		w.expect(http.StatusConflict, "last_administrator", "PUT", "/users/"+me(t, w)+"/roles", fields{"version": version(t, w), "roles": []fields{}})
		w.expect(http.StatusConflict, "root_permission_kept", "PUT", "/units/"+root+"/overrides/administrator/role.assign", fields{"allow": false})
	})
}

func me(t *testing.T, w *browser) string {
	t.Helper()
	return w.expect(http.StatusOK, "", "GET", "/me", nil).text(t, "id")
}

func version(t *testing.T, w *browser) any {
	t.Helper()
	return w.expect(http.StatusOK, "", "GET", "/users/"+me(t, w), nil).fields(t)["version"]
}

// hostile are texts that must be refused or come back as they were sent.
var hostile = []string{
	`'; DROP TABLE users; --`, `<script>alert(1)</script>`, `" onload="x`, "${jndi:ldap://x}", `{{7*7}}`, `=cmd|' /C calc'!A0`,
	"Kẻ\u202Egian", "a\u2066b", "a\x00b", "a\nb", "a\u200bb", strings.Repeat("ế", 5000), "\ufeffx", "%00", `\`, "../../etc/passwd",
}

func TestHostileTexts(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		w, root := b.admin(t), b.root(t)
		routes := []struct {
			path   string
			body   fields
			fields []string
		}{
			{"/units", fields{"code": "U", "name": "U", "parentId": root}, []string{"code", "name", "shortName", "kind", "parentId"}},
			{"/points", fields{"code": "P", "name": "P", "unitId": root, "kind": "laptop"}, []string{"code", "name", "place", "technician", "techPhone", "kind", "unitId"}},
			{"/users", fields{"login": "u", "fullName": "U", "unitId": root}, []string{"login", "fullName", "mail", "phone", "positionId", "unitId"}},
			{"/positions", fields{"name": "P"}, []string{"name"}},
		}
		n := 0
		for _, route := range routes {
			for _, field := range route.fields {
				for _, text := range hostile {
					n++
					body := fields{}
					for k, v := range route.body {
						body[k] = v
					}
					for _, key := range []string{"code", "login"} {
						if _, ok := body[key]; ok {
							body[key] = fmt.Sprintf("k%d", n)
						}
					}
					body[field] = text
					r := w.do("POST", route.path, body)
					require.Less(t, r.StatusCode, 500, "%s %s %q: %s", route.path, field, text, r.body)
					if r.StatusCode == http.StatusOK {
						require.Equal(t, text, r.text(t, field), "what is taken is kept as it is")
						require.NotContains(t, text, "\u202e")
						require.NotContains(t, text, "\x00")
						require.NotContains(t, text, "\n")
					} else {
						require.NotEmpty(t, r.text(t, "code"))
						require.NotContains(t, string(r.body), "<script>alert")
					}
				}
			}
		}
		for _, text := range hostile {
			for _, path := range []string{"/users?q=", "/points?cursor=", "/units?unit=", "/audit?who=", "/audit?cursor=", "/signins?action=", "/users?role="} { //nolint:misspell // a path
				r := w.do("GET", path+escape(text), nil)
				require.Less(t, r.StatusCode, 500, "%s%q: %s", path, text, r.body)
			}
			for _, path := range []string{"/units/", "/users/", "/points/"} {
				r := w.do("GET", path+escape(text), nil)
				require.Contains(t, []int{400, 404, 422}, r.StatusCode, "%s%q: %s", path, text, r.body)
			}
		}
		t.Logf("%d hostile texts in bodies", n)
	})
}

func escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// Requests that are not what they should be change nothing.
func TestBadRequests(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		w, root := b.admin(t), b.root(t)
		u := w.expect(http.StatusOK, "", "POST", "/users", fields{"login": "ai", "fullName": "Ai", "unitId": root}).text(t, "id")
		good := fields{"code": "X", "name": "X", "parentId": root}
		encoded, err := json.Marshal(good)
		require.NoError(t, err)
		big := fields{"code": "X", "name": strings.Repeat("x", 65<<10), "parentId": root}
		for _, c := range []struct {
			name   string
			status int
			code   string
			w      *browser
			path   string
			body   any
		}{
			{"no CSRF token", 403, "csrf", &browser{t: t, base: w.base, http: w.http}, "/units", good},
			{"wrong CSRF token", 403, "csrf", w.with("X-Csrf-Token", "AAAA"), "/units", good},
			{"another site", 403, "cross_origin", w.with("Origin", "https://example.net"), "/units", good},
			{"a form", 415, "media_type", w.with("Content-Type", "application/x-www-form-urlencoded"), "/units", string(encoded)},
			{"plain text", 415, "media_type", w.with("Content-Type", "text/plain"), "/units", string(encoded)},
			{"other JSON", 415, "media_type", w.with("Content-Type", "application/vnd.api+json"), "/units", string(encoded)},
			{"no JSON", 400, "malformed", w, "/units", "{"},
			{"two objects", 400, "malformed", w, "/units", string(encoded) + string(encoded)},
			{"a list", 422, "invalid", w, "/units", "[]"},
			{"null", 422, "invalid", w, "/units", "null"},
			{"unknown member", 422, "invalid", w, "/units", fields{"code": "X", "name": "X", "parentId": root, "admin": true}},
			{"missing member", 422, "invalid", w, "/units", fields{"code": "X"}},
			{"number for text", 422, "invalid", w, "/units", fields{"code": 7, "name": "X"}},
			{"too large", 413, "too_large", w, "/units", big},
			{"unknown parameter", 422, "invalid", w, "/units?x=1", good},
			{"id of a user", 422, "unknown_unit", w, "/points", fields{"code": "X", "name": "X", "unitId": u, "kind": "phone"}},
			{"no such route", 404, "no_route", w, "/unit", good},
			{"no such method", 405, "method_not_allowed", w, "/me", good},
		} {
			t.Run(c.name, func(t *testing.T) {
				c.w.expect(c.status, c.code, "POST", c.path, c.body)
			})
		}
		for _, path := range []string{"/units/", "/points/"} {
			w.expect(http.StatusNotFound, "not_found", "DELETE", path+u+"?version=1", nil)
		}
		w.expect(http.StatusUnprocessableEntity, "invalid", "DELETE", "/users/"+u, nil)
		w.expect(http.StatusConflict, "conflict", "DELETE", "/users/"+u+"?version=9", nil)
		require.Len(t, w.expect(http.StatusOK, "", "GET", "/units", nil).fields(t)["items"], 1, "nothing was changed")

		vi := w.expect(http.StatusUnprocessableEntity, "required", "POST", "/units", fields{"code": "", "name": "X", "parentId": root}).fields(t)
		require.Equal(t, "Mã: không được để trống.", vi["detail"])
		require.Equal(t, "about:blank", vi["type"])
		require.Equal(t, "code", vi["errors"].([]any)[0].(fields)["field"])
		en := w.with("Accept-Language", "en-GB").expect(http.StatusUnprocessableEntity, "required", "POST", "/units", fields{"code": "", "name": "X", "parentId": root})
		require.Equal(t, "Code: must not be empty.", en.text(t, "detail"))
		require.Equal(t, "en", en.Header.Get("Content-Language"))

		var page struct {
			Items []struct{ Action, Result string }
		}
		w.expect(http.StatusOK, "", "GET", "/audit?limit=200&result=invalid", nil).into(t, &page)
		require.GreaterOrEqual(t, len(page.Items), 6, "what never came to a handler leaves a line, too")
	})
}
