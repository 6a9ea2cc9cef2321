package conference

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"diemcau/signaling/account"
	"diemcau/signaling/meeting"
	"diemcau/signaling/store"
)

const (
	maxPage  = 100
	scanPage = 200
	maxScan  = 2000 // rows looked at for one page; then the page is shorter
)

// listed is a meeting in lists.
type listed struct {
	ID           string         `json:"id"`
	Title        string         `json:"title"`
	Kind         string         `json:"kind,omitempty"`
	Unit         string         `json:"unit"`
	Place        string         `json:"place,omitempty"`
	Status       meeting.Status `json:"status"`
	PlannedStart time.Time      `json:"plannedStart,omitzero"`
	PlannedEnd   time.Time      `json:"plannedEnd,omitzero"`
	StartedAt    time.Time      `json:"startedAt,omitzero"`
	EndedAt      time.Time      `json:"endedAt,omitzero"`
	Role         meeting.Role   `json:"role,omitempty" doc:"Of the caller in it"`

	begins   int64
	approved bool
}

// filter says which meetings to list.
type filter struct {
	scope    string // mine | unit | all
	statuses []string
	from, to time.Time // begins in it; zero: open
	text     string    // all words of it in title or place, without regard to marks and case
	oldest   bool      // first
	after    string    // cursor
	limit    int
}

// rights remembers, for one request, what the caller may do in units.
type rights struct {
	s        *Service
	identity string
	byUnit   map[string]meeting.PermissionSet
}

const overseeing = 1<<meeting.PermPrepare | 1<<meeting.PermApprove | 1<<meeting.PermOperate

func (r *rights) in(ctx context.Context, unit string) (meeting.PermissionSet, error) {
	if ps, ok := r.byUnit[unit]; ok {
		return ps, nil
	}
	ps, err := r.s.o.People.Permissions(ctx, r.identity, unit)
	if err == nil {
		r.byUnit[unit] = ps
	}
	return ps, err
}

// see is the rule of meeting.Snapshot for a row of the index.
func (r *rights) see(ctx context.Context, m *listed) (bool, error) {
	if m.Role == meeting.RoleChair || m.Role == meeting.RoleSecretary || m.Role != "" && m.approved {
		return true, nil
	}
	ps, err := r.in(ctx, m.Unit)
	if err != nil {
		return false, err
	}
	return ps.Has(meeting.PermPrepare) || ps.Has(meeting.PermApprove) || ps.Has(meeting.PermOperate) && m.approved, nil
}

// list gives a page of meetings that the caller may see.
func (s *Service) list(ctx context.Context, p account.Principal, f filter) (page []listed, next string, err error) {
	r := &rights{s: s, identity: identityOf(p), byUnit: map[string]meeting.PermissionSet{}}
	page = []listed{}
	for scanned := 0; ; {
		rows, err := s.scan(ctx, p, f)
		if err != nil {
			return nil, "", err
		}
		for i := range rows {
			m := &rows[i]
			may, err := r.see(ctx, m)
			if err != nil {
				return nil, "", err
			}
			if may {
				page = append(page, *m)
			}
			scanned++
			f.after = cursorOf(m)
			if len(page) == f.limit || scanned == maxScan {
				return page, f.after, nil
			}
		}
		if len(rows) < scanPage {
			return page, "", nil
		}
	}
}

func cursorOf(m *listed) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(m.begins, 10) + " " + m.ID))
}

func parseCursor(c string) (begins int64, id string, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(c)
	if err != nil {
		return 0, "", badValue.In("after")
	}
	at, id, ok := strings.Cut(string(raw), " ")
	begins, err = strconv.ParseInt(at, 10, 64)
	if err != nil || !ok || !meetingForm.MatchString(id) {
		return 0, "", badValue.In("after")
	}
	return begins, id, nil
}

// clause collects conditions of a query and their arguments.
type clause struct {
	where []string
	args  []any
}

// add adds a condition in which each ? stands for the next of args.
func (c *clause) add(condition string, args ...any) {
	for _, a := range args {
		c.args = append(c.args, a)
		condition = strings.Replace(condition, "?", "$"+strconv.Itoa(len(c.args)), 1)
	}
	c.where = append(c.where, condition)
}

// scan reads the next rows that the filter selects, seen or not.
func (s *Service) scan(ctx context.Context, p account.Principal, f filter) ([]listed, error) {
	c := &clause{args: []any{identityOf(p)}} // $1
	c.where = append(c.where, "TRUE")
	switch f.scope {
	case "mine":
		c.add("p.role IS NOT NULL")
	case "unit":
		c.add("m.unit = ?", p.Unit)
	}
	if p.Kind == account.KindGuest {
		c.add("m.id = ?", p.Meeting)
	}
	if len(f.statuses) > 0 {
		marks := strings.TrimSuffix(strings.Repeat("?,", len(f.statuses)), ",")
		args := make([]any, len(f.statuses))
		for i, st := range f.statuses {
			args[i] = st
		}
		c.add("m.status IN ("+marks+")", args...)
	}
	if !f.from.IsZero() {
		c.add("m.finishes >= ?", millis(f.from))
	}
	if !f.to.IsZero() {
		c.add("m.begins < ?", millis(f.to))
	}
	for _, word := range strings.Fields(store.Fold(f.text)) {
		c.add(`m.folded LIKE ? ESCAPE '\'`, "%"+likeEscape.Replace(word)+"%")
	}
	order, than := "DESC", "<"
	if f.oldest {
		order, than = "ASC", ">"
	}
	if f.after != "" {
		begins, id, err := parseCursor(f.after)
		if err != nil {
			return nil, err
		}
		c.add("(m.begins "+than+" ? OR m.begins = ? AND m.id "+than+" ?)", begins, begins, id)
	}
	query := fmt.Sprintf(`SELECT m.id, m.title, m.kind, m.unit, m.place, m.status, m.planned, m.until, m.started, m.ended,
		m.begins, m.approved, coalesce(p.role, '') FROM meetings m
		LEFT JOIN meeting_people p ON p.meeting = m.id AND p.identity = $1
		WHERE %s ORDER BY m.begins %s, m.id %s LIMIT %d`, strings.Join(c.where, " AND "), order, order, scanPage)
	rows, err := s.o.DB.Query(ctx, query, c.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []listed
	for rows.Next() {
		var m listed
		var planned, until, started, ended, approved int64
		if err := rows.Scan(&m.ID, &m.Title, &m.Kind, &m.Unit, &m.Place, &m.Status, &planned, &until, &started, &ended,
			&m.begins, &approved, &m.Role); err != nil {
			return nil, err
		}
		m.PlannedStart, m.PlannedEnd, m.StartedAt, m.EndedAt = moment(planned), moment(until), moment(started), moment(ended)
		m.approved = approved != 0
		out = append(out, m)
	}
	return out, rows.Err()
}

var likeEscape = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// clash is somebody who is wanted in another meeting at the same time.
type clash struct {
	Identity string       `json:"identity"`
	Name     string       `json:"name"`
	Role     meeting.Role `json:"role"`
	Meeting  string       `json:"meeting,omitempty" doc:"The other one; left out if the caller may not see it"`
	Title    string       `json:"title,omitempty"`
	Unit     string       `json:"unit" doc:"That holds the other meeting"`
	Begins   time.Time    `json:"begins"`
	Ends     time.Time    `json:"ends"`
}

// conflicts lists the people and points of a meeting that are wanted in another at
// the same time, for those who prepare and conduct it.
func (s *Service) conflicts(ctx context.Context, id string) ([]clash, error) {
	may := false
	p, err := s.look(ctx, id, func(st *meeting.State, v meeting.Viewer) {
		me := st.People[v.ID]
		may = conducts(st, v.ID) || me != nil && me.Role == meeting.RoleOperator || v.Permissions&overseeing != 0
	})
	if err != nil {
		return nil, err
	}
	if !may {
		return nil, &meeting.Problem{Code: "forbidden", Status: 403, Vi: "Bạn không có quyền thực hiện việc này.", En: "You are not allowed to do this."}
	}
	// A meeting that runs past its planned end lasts until now.
	rows, err := s.o.DB.Query(ctx, `SELECT a.identity, a.name, a.role, o.id, o.title, o.unit, o.begins,
			CASE WHEN o.status IN ('running','paused') AND o.finishes < $2 THEN $2 ELSE o.finishes END,
			o.approved, coalesce(mine.role, '')
		FROM meetings m
		JOIN meeting_people a ON a.meeting = m.id
		JOIN meeting_people b ON b.identity = a.identity AND b.meeting <> a.meeting
		JOIN meetings o ON o.id = b.meeting
		LEFT JOIN meeting_people mine ON mine.meeting = o.id AND mine.identity = $3
		WHERE m.id = $1 AND m.begins > 0 AND o.begins > 0
			AND o.status NOT IN ('ended','archived','cancelled')
			AND o.begins < CASE WHEN m.status IN ('running','paused') AND m.finishes < $2 THEN $2 ELSE m.finishes END
			AND m.begins < CASE WHEN o.status IN ('running','paused') AND o.finishes < $2 THEN $2 ELSE o.finishes END
		ORDER BY o.begins, o.id, a.identity LIMIT 1000`, id, s.o.Now().UnixMilli(), identityOf(p))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	type found struct {
		clash
		other listed
	}
	var all []found
	for rows.Next() {
		var f found
		var begins, ends, approved int64
		if err := rows.Scan(&f.Identity, &f.Name, &f.Role, &f.other.ID, &f.other.Title, &f.Unit, &begins, &ends, &approved, &f.other.Role); err != nil {
			return nil, err
		}
		f.Begins, f.Ends, f.other.Unit, f.other.approved = moment(begins), moment(ends), f.Unit, approved != 0
		all = append(all, f)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	_ = rows.Close() // before the directory is asked
	r := &rights{s: s, identity: identityOf(p), byUnit: map[string]meeting.PermissionSet{}}
	out := []clash{}
	for _, f := range all {
		may, err := r.see(ctx, &f.other)
		if err != nil {
			return nil, err
		}
		if may {
			f.Meeting, f.Title = f.other.ID, f.other.Title
		}
		out = append(out, f.clash)
	}
	return out, nil
}
