package office

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/directory"
)

// The people of the session, by login in the demonstration's province, whose names
// the spreadsheets borrow. The council has 90 delegates; its chair is one of them.
const (
	chairLogin    = "chutoa"
	holderLogin   = "daibieu90" // no delegate: is given the vote of one
	absentLogin   = "daibieu86" // does not come
	excusedLogin  = "daibieu87" // said so before, and the chair agreed
	lateLogin     = "daibieu88" // comes after the first vote
	delegateLogin = "daibieu89" // gives the vote to holderLogin
)

// roleCells are the cells of the roles of those who are no mere delegates.
var roleCells = map[string]string{
	chairLogin: "Chủ tọa@HDND; Đại biểu@HDND", "thuky": "Thư ký@HDND", "kythuat": "Kỹ thuật@GOC", "duthinh": "Dự thính@HDND",
	holderLogin: "Khách mời@HDND",
}

func sheet(rows [][]string) string {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.WriteAll(rows) // a buffer takes everything
	return b.String()
}

// sheets are the spreadsheets of units, points and users.
func sheets() (units, points, users [][]string) {
	data := directory.Demo(demoSeed)
	parent := func(code string) string {
		if code == demoRoot {
			return rootCode
		}
		return code
	}
	units = [][]string{{"Mã", "Tên", "Loại", "Đơn vị cấp trên"}, {rootCode, "Tỉnh Lam Giang", "Tỉnh", ""}}
	for _, u := range data.Units[1:] {
		units = append(units, []string{u.Code, u.Name, u.Kind, parent(u.ParentID)})
	}
	points = [][]string{{"Mã", "Tên", "Đơn vị", "Loại", "Địa điểm", "Cán bộ kỹ thuật", "Điện thoại kỹ thuật"}}
	for _, p := range data.Points {
		points = append(points, []string{p.Code, p.Name, p.UnitID, p.Kind.Label("vi"), p.Place, p.Technician, p.TechPhone})
	}
	users = [][]string{{"Tên đăng nhập", "Họ và tên", "Đơn vị", "Chức vụ", "Vai trò"}}
	for _, u := range data.Users {
		cell, position := roleCells[u.Login], u.PositionID
		switch {
		case u.Login == chairLogin:
			position = "Chủ tịch HĐND tỉnh"
		case cell == "" && strings.HasPrefix(u.Login, "daibieu"):
			cell, position = "Đại biểu@HDND", "Đại biểu HĐND tỉnh"
		case cell == "" || u.Login == "quantri":
			continue
		}
		users = append(users, []string{u.Login, u.FullName, parent(u.UnitID), position, cell})
	}
	return units, points, users
}

// report is what an import answers.
type report struct {
	Rows, Created, Updated, Unchanged, ErrorCount int
	Written                                       bool
	Errors                                        []struct{ Row int }
}

func (c *council) imports(table string, rows [][]string, dry bool) (r report) {
	c.t.Helper()
	path := "/imports/" + table + "?addPositions=true"
	if dry {
		path += "&dryRun=true"
	}
	c.admin.with("Content-Type", "text/csv; charset=utf-8").expect(http.StatusOK, "", "POST", path, sheet(rows)).into(c.t, &r)
	return r
}

// fill has the administrator read the three spreadsheets: first a look at what they
// would do, then in earnest.
func (c *council) fill() {
	t := c.t
	c.admin = &member{browser: c.browser(), name: "administrator"}
	c.admin.signIn("quantri", goodPass)
	units, points, users := sheets()
	for _, s := range []struct {
		table string
		rows  [][]string
		add   int // entries before
	}{{"units", units, 1}, {"points", points, 0}, {"users", users, 1}} {
		n := len(s.rows) - 1
		broken := slices.Clone(s.rows)
		broken[n] = slices.Clone(broken[n])
		broken[n][0] = "không phải mã"
		r := c.imports(s.table, broken, false)
		require.False(t, r.Written, s.table)
		require.Equal(t, 1, r.ErrorCount, "%s: %+v", s.table, r)
		require.Equal(t, n+1, r.Errors[0].Row)
		r = c.imports(s.table, s.rows, true)
		require.Zero(t, r.ErrorCount, "%s: %+v", s.table, r.Errors)
		require.Equal(t, n, r.Created+r.Updated, "%+v", r)
		require.False(t, r.Written)
		require.Len(t, c.list("/"+s.table), s.add, "a dry run writes nothing")
		r = c.imports(s.table, s.rows, false)
		require.True(t, r.Written, "%+v", r)
		require.Equal(t, n, r.Created+r.Updated, "%+v", r)
		r = c.imports(s.table, s.rows, false)
		require.Equal(t, n, r.Unchanged, "once more changes nothing")
	}
	require.Len(t, points, 1+83+132)
	require.Len(t, users, 1+90+4) // beside the chair: secretary, operator, observer, who holds a vote
	for _, u := range c.list("/units") {
		c.units[u.Code] = u.ID
	}
	for _, u := range c.list("/users") {
		c.users[u.Login] = &member{identity: "user:" + u.ID, name: u.FullName}
	}
	for _, p := range c.list("/points") {
		c.points = append(c.points, &member{identity: "point:" + p.ID, name: p.Name, personal: p.Kind != directory.RoomDevice})
	}
	require.Len(t, c.points, 215)
	for login, u := range c.users {
		if login != "quantri" {
			c.admin.expect(http.StatusNoContent, "", "PUT", "/accounts/"+strings.TrimPrefix(u.identity, "user:")+"/password",
				fields{"password": handedOut(login)})
		}
	}
}

// entry is a unit, a point or a user.
type entry struct {
	ID, Code, Name, Login, FullName string
	Kind                            directory.PointKind
}

// list reads all pages of a list.
func (c *council) list(path string) (all []entry) {
	c.t.Helper()
	for query := "?limit=200"; ; {
		if path == "/units" {
			query = "" // the whole tree
		}
		var page struct {
			Items []entry
			Next  string
		}
		c.admin.expect(http.StatusOK, "", "GET", path+query, nil).into(c.t, &page)
		all = append(all, page.Items...)
		if page.Next == "" {
			return all
		}
		query = "?limit=200&cursor=" + escape(page.Next)
	}
}

// handedOut is the password that somebody is given at first.
func handedOut(login string) string {
	return "Bến Lam, thuyền " + strings.TrimLeft(login, "abcdefghijklmnopqrstuvwxyz") + " đợi"
}

// arrives has somebody sign in for the first time, which needs a password of their own.
func (c *council) arrives(login string, r rank) *member {
	c.t.Helper()
	m := c.users[login]
	require.NotNil(c.t, m, login)
	m.browser, m.rank = c.browser(), r
	answer := m.signIn(login, handedOut(login)).fields(c.t)
	require.Equal(c.t, true, answer["mustChangePassword"], login)
	require.Equal(c.t, m.identity, strings.Split(answer["identity"].(string), "#")[0])
	m.csrf = m.expect(http.StatusCreated, "", "POST", "/password", fields{"current": handedOut(login), "new": goodPass}).text(c.t, "csrfToken")
	return m
}

// enrol has the operator make a code for each point, and its device use it.
func (c *council) enrol() {
	t := c.t
	c.operator = c.arrives("kythuat", desk)
	stranger := c.browser()
	stranger.expect(http.StatusForbidden, "bad_device_code", "POST", "/devices/enrol", fields{"code": "000000"})
	used := ""
	for i, p := range c.points {
		id := strings.TrimPrefix(p.identity, "point:")
		code := c.operator.expect(http.StatusCreated, "", "POST", "/devices/codes", fields{"point": id}).text(t, "code")
		require.Len(t, code, 6)
		p.browser = c.browser()
		r := p.expect(http.StatusCreated, "", "POST", "/devices/enrol", fields{"code": code, "label": fmt.Sprintf("Máy %d", i+1)})
		require.Equal(t, p.identity, r.text(t, "identity"))
		p.csrf, used = r.text(t, "csrfToken"), code
	}
	stranger.expect(http.StatusForbidden, "bad_device_code", "POST", "/devices/enrol", fields{"code": used})
}
