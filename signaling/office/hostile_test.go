package office

import (
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"

	"diemcau/signaling/directory"
	"diemcau/signaling/meeting"
)

// later gives a command to the demonstration's meeting.
func later(t *testing.T, f *Office) {
	t.Helper()
	_, err := f.hub.Apply(t.Context(), DemoMeeting, meeting.Command{ID: "later", Type: "agenda.add", Body: []byte(`{"title":"Nội dung thêm"}`),
		Actor: meeting.Actor{ID: "user:office", Permissions: meeting.Permissions(meeting.PermPrepare)}})
	require.NoError(t, err)
}

// odd are ids and texts that nobody means well with.
var odd = []string{"%00", "%ff", "%c3%28", "..%2f..%2fetc", "%2e%2e", "a%00b", "%e2%80%ae", "%27%20OR%201=1--", strings.Repeat("a", 300), "%F0%9F%98%80"}

// TestOddAddresses: whatever stands in an address or a body in the place of an id or a
// text, every route answers with what is wrong with the request, on both databases, and
// no answer tells of what is inside.
func TestOddAddresses(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var routes []string
		require.NoError(t, chi.Walk(b.router, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
			if path, ok := strings.CutPrefix(route, "/api/v1"); ok && method != "OPTIONS" && path != "/session" && !strings.HasPrefix(path, "/sessions") && path != "/password" {
				routes = append(routes, method+" "+path)
			}
			return nil
		}))
		slices.Sort(routes)
		w := b.admin(t)
		step, from := 1, 0
		if testing.Short() { // some of them, others each time
			step = 4
			from = rand.IntN(step)
		}
		t.Logf("%d routes, asked in steps of %d from number %d on", len(routes), step, from)
		for i := from; i < len(routes); i += step {
			method, path, _ := strings.Cut(routes[i], " ")
			for _, id := range odd {
				address := path
				for _, name := range []string{"{id}", "{role}", "{permission}", "{vote}", "{table}"} {
					address = strings.ReplaceAll(address, name, id)
				}
				var bodies []any
				text, err := url.PathUnescape(id)
				require.NoError(t, err)
				if method == http.MethodGet || method == http.MethodDelete {
					bodies = []any{nil}
				} else {
					bodies = []any{`{"id":"` + text + `"}`, oddFields(text), `[]`, `{"a":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`}
				}
				for _, body := range bodies {
					for _, query := range []string{"", "?version=1&unit=" + id + "&q=" + id + "&cursor=" + id, "?meeting=" + id, "?point=" + id} {
						if query != "" && body != bodies[0] {
							continue
						}
						r := w.do(method, address+query, body)
						require.Less(t, r.StatusCode, 500, "%s %s %v: %s", method, address+query, body, r.body)
						for _, inside := range []string{"SQLSTATE", "pq:", "sqlite", "panic", "goroutine", "/signaling/"} {
							require.NotContains(t, string(r.body), inside, "%s %s", method, address+query)
						}
					}
				}
			}
		}
		w.expect(http.StatusOK, "", "GET", "/me", nil)
	})
}

// oddFields has a text in every field that a body may have.
func oddFields(text string) fields {
	all := fields{"version": 1, "roles": []fields{{"role": text, "unitId": text}}, "enabled": true, "allow": true, "sortOrder": 1, "kind": text}
	for _, name := range []string{"code", "name", "parentId", "unitId", "login", "fullName", "positionId", "point", "meeting", "label", "token", "title", "unit",
		"id", "type", "device", "blinded", "item", "text", "password", "current", "new"} {
		all[name] = text
	}
	return all
}

// TestListsShowWhatOneMayRead: for each role, held in the meeting's unit, above it, below
// it or elsewhere, a meeting is in somebody's list exactly when they may read it.
func TestListsShowWhatOneMayRead(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		ctx, root := t.Context(), b.root(t)
		unit := func(code, parent string) string {
			u, err := b.office.directory.CreateUnit(ctx, directory.Unit{Code: code, Name: "Đơn vị " + code, ParentID: parent})
			require.NoError(t, err)
			return u.ID
		}
		holds := unit("A", root)
		places := map[string]string{"above": root, "in": holds, "below": unit("A1", holds), "beside": unit("B", root)}
		maker := b.member(t, "maker", holds, directory.RoleIn{Role: directory.Secretary, UnitID: holds}, directory.RoleIn{Role: directory.Chair, UnitID: holds})
		invited := b.member(t, "invited", places["beside"])
		m := b.browser(t)
		m.signIn(maker.Login, goodPass)
		made := map[string]string{}
		give := func(id, kind string, body fields) {
			m.expect(http.StatusOK, "", "POST", "/meetings/"+id+"/commands", fields{"id": strings.ReplaceAll(kind, ".", "-"), "type": kind, "body": body})
		}
		for _, name := range []string{"draft", "approved"} {
			r := m.expect(http.StatusCreated, "", "POST", "/meetings", fields{"id": name, "title": "Họp " + name, "unit": holds})
			made[name] = r.text(t, "meeting")
			give(made[name], "person.invite", fields{"people": []fields{{"id": "user:" + invited.ID, "role": "delegate"}, {"id": "user:" + maker.ID, "role": "chair"}}})
		}
		give(made["approved"], "meeting.submit", fields{})
		give(made["approved"], "meeting.approve", fields{})

		people := []directory.User{maker, invited}
		for _, role := range directory.Roles() {
			for place, id := range places {
				people = append(people, b.member(t, string(role)+"."+place, id, directory.RoleIn{Role: role, UnitID: id}))
			}
		}
		listed := func(w *browser) map[string]bool {
			var page struct{ Items []struct{ ID, Status string } }
			w.expect(http.StatusOK, "", "GET", "/meetings?scope=all&limit=100", nil).into(t, &page)
			out := map[string]bool{}
			for _, i := range page.Items {
				out[i.ID+" "+i.Status] = true
			}
			return out
		}
		wait(t, func() bool { return len(listed(m)) == 2 && listed(m)[made["approved"]+" approved"] })
		readers := 0
		for _, u := range people {
			w := b.browser(t)
			w.signIn(u.Login, goodPass)
			in := listed(w)
			for name, id := range made {
				r := w.do("GET", "/meetings/"+id, nil)
				may := r.StatusCode == http.StatusOK
				require.True(t, may || r.StatusCode == http.StatusNotFound, "%s", r.body)
				require.Equal(t, may, in[id+" "+name], "%s and the %s meeting", u.Login, name)
				if may {
					readers++
				}
			}
			require.LessOrEqual(t, len(in), len(made))
		}
		require.Greater(t, readers, 8, "the comparison is of something")
	})
}

// wait looks again until it is so.
func wait(t *testing.T, is func() bool) {
	t.Helper()
	require.Eventually(t, is, 20*time.Second, 5*time.Millisecond)
}
