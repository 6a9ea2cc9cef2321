package conference

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/csv"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"diemcau/signaling/account"
	"diemcau/signaling/directory"
	"diemcau/signaling/meeting"
	"diemcau/signaling/problem"
)

// vietnam is the country's one time zone.
var vietnam = time.FixedZone("ICT", 7*3600)

// conducted is look for chairs and secretaries.
func (s *Service) conducted(ctx context.Context, id string, fn func(st *meeting.State)) error {
	may := false
	_, err := s.look(ctx, id, func(st *meeting.State, v meeting.Viewer) {
		if may = conducts(st, v.ID); may {
			fn(st)
		}
	})
	if err == nil && !may {
		return problem.Forbidden
	}
	return err
}

// record is the running record of a meeting as text.
func (s *Service) record(ctx context.Context, id string) ([]byte, error) {
	var info meeting.Info
	if err := s.conducted(ctx, id, func(st *meeting.State) { info = st.Info }); err != nil {
		return nil, err
	}
	entries, err := history(ctx, s.o.DB, id)
	if err != nil {
		return nil, err
	}
	lines, err := meeting.Record(id, entries)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = meeting.Print(&out, &meeting.State{ID: id, Info: info}, lines)
	return out.Bytes(), err
}

// present is a line of the attendance list.
type present struct {
	meeting.PersonInfo
	order                                    []byte // by given name, as Vietnamese lists are
	for_, state, mode, arrived, left, reason string
}

var roleNames = map[meeting.Role]string{
	meeting.RoleChair: "Chủ tọa", meeting.RoleSecretary: "Thư ký", meeting.RoleOperator: "Kỹ thuật",
	meeting.RoleDelegate: "Đại biểu", meeting.RoleGuest: "Khách mời",
}

// attendance is the attendance list as CSV (RFC 4180) with a byte order mark, as
// spreadsheet programs want it.
func (s *Service) attendance(ctx context.Context, id string) ([]byte, error) {
	var all []present
	if err := s.conducted(ctx, id, func(st *meeting.State) {
		for _, p := range st.People {
			if _, attends := roleNames[p.Role]; attends {
				all = append(all, presentOf(st, p))
			}
		}
	}); err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b present) int { return cmp.Or(bytes.Compare(a.order, b.order), cmp.Compare(a.ID, b.ID)) })
	units := map[string]string{}
	var out bytes.Buffer
	out.WriteString("\ufeff")
	w := csv.NewWriter(&out)
	w.UseCRLF = true
	rows := [][]string{{"Họ và tên", "Chức vụ", "Đơn vị", "Vai trò", "Có quyền biểu quyết", "Được ủy quyền của", "Điểm danh",
		"Hình thức", "Giờ đến", "Giờ về", "Lý do vắng"}}
	for _, p := range all {
		unit, err := s.unitName(ctx, units, p.Unit)
		if err != nil {
			return nil, err
		}
		voting := ""
		if p.Voting {
			voting = "x"
		}
		rows = append(rows, []string{p.Name, p.Position, unit, roleNames[p.Role], voting, p.for_, p.state, p.mode, p.arrived, p.left, p.reason})
	}
	for _, row := range rows {
		for i := range row {
			row[i] = guardCell(row[i])
		}
		if err := w.Write(row); err != nil {
			return nil, err
		}
	}
	w.Flush()
	return out.Bytes(), w.Error()
}

func presentOf(st *meeting.State, p *meeting.Person) present {
	a := p.Attendance
	out := present{PersonInfo: p.PersonInfo, order: directory.NameSortKey(p.Name), reason: a.Reason}
	if whose := st.People[p.For]; whose != nil {
		out.for_ = whose.Name
	}
	out.state = map[string]string{"checked_in": "Đã điểm danh", "confirmed": "Có mặt", "absent": "Vắng mặt"}[a.State]
	switch {
	case p.Invitation.Answer == "delegated":
		out.state = "Ủy quyền"
	case a.State == "" && p.Invitation.Excused:
		out.state, out.reason = "Vắng mặt", p.Invitation.Reason
	}
	out.mode = map[string]string{"in_person": "Trực tiếp", "online": "Trực tuyến"}[a.Mode]
	if !a.ArrivedAt.IsZero() {
		out.arrived = a.ArrivedAt.In(vietnam).Format("15:04 02/01/2006")
	}
	if !a.LeftAt.IsZero() {
		out.left = a.LeftAt.In(vietnam).Format("15:04 02/01/2006")
	}
	return out
}

func (s *Service) unitName(ctx context.Context, known map[string]string, id string) (string, error) {
	units, ok := s.o.People.(Units)
	if !ok || id == "" {
		return id, nil
	}
	if name, ok := known[id]; ok {
		return name, nil
	}
	name, err := units.UnitName(ctx, id)
	if err != nil {
		if problem.Of(err, true).Status != problem.NotFound.Status {
			return "", err
		}
		name = id // it was removed since
	}
	known[id] = name
	return name, nil
}

// guardCell puts an apostrophe before what a spreadsheet would run as a formula.
func guardCell(v string) string {
	if bare := strings.TrimLeft(v, "'"); bare != "" && strings.IndexByte("=+-@\t\r", bare[0]) >= 0 {
		return "'" + v
	}
	return v
}

// maxNote is the longest private note, in characters.
const maxNote = 20000

// memo is a private note on an agenda item, or with no item on the meeting.
type memo struct {
	Item    string    `json:"item,omitempty" maxLength:"64" doc:"Agenda item; empty: the whole meeting"`
	Text    string    `json:"text" doc:"At most 20,000 characters; empty removes the note"`
	Updated time.Time `json:"updated,omitzero" readOnly:"true"`
}

// author is the caller of notes on a meeting they may see.
func (s *Service) author(ctx context.Context, id, item string) (string, error) {
	found := item == ""
	p, err := s.look(ctx, id, func(st *meeting.State, v meeting.Viewer) {
		found = found || meeting.SeesItem(st, v, item)
	})
	switch {
	case err != nil:
		return "", err
	case p.Kind != account.KindUser:
		return "", problem.Forbidden
	case !found:
		return "", problem.NotFound.In("item")
	}
	return identityOf(p), nil
}

func (s *Service) notes(ctx context.Context, id string) ([]memo, error) {
	author, err := s.author(ctx, id, "")
	if err != nil {
		return nil, err
	}
	rows, err := s.o.DB.Query(ctx, `SELECT item, text, updated FROM meeting_notes WHERE author = $1 AND meeting = $2 ORDER BY item`, author, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := []memo{}
	for rows.Next() {
		var n memo
		var updated int64
		if err := rows.Scan(&n.Item, &n.Text, &updated); err != nil {
			return nil, err
		}
		n.Updated = moment(updated)
		out = append(out, n)
	}
	return out, rows.Err()
}

func (s *Service) keepNote(ctx context.Context, id string, n memo) (memo, error) {
	text, ok := cleanText(n.Text, maxNote)
	if !ok {
		return n, badText
	}
	author, err := s.author(ctx, id, n.Item)
	if err != nil {
		return n, err
	}
	p, err := caller(ctx)
	if err != nil {
		return n, err
	}
	if !s.commands.allow(p.SessionID) {
		return n, tooFast
	}
	n.Text, n.Updated = text, s.o.Now().UTC().Truncate(time.Millisecond)
	return n, s.o.DB.Write(ctx, func(tx *sql.Tx) error {
		if text == "" {
			_, err := tx.ExecContext(ctx, `DELETE FROM meeting_notes WHERE author = $1 AND meeting = $2 AND item = $3`, author, id, n.Item)
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO meeting_notes (author, meeting, item, text, updated) VALUES ($1,$2,$3,$4,$5)
			ON CONFLICT (author, meeting, item) DO UPDATE SET text = excluded.text, updated = excluded.updated`,
			author, id, n.Item, text, n.Updated.UnixMilli())
		return err
	})
}

// cleanText is s in NFC with plain line breaks; false if it is too long or holds
// characters that change how other text is shown.
func cleanText(s string, longest int) (string, bool) {
	if !utf8.ValidString(s) {
		return "", false
	}
	s = norm.NFC.String(strings.ReplaceAll(s, "\r\n", "\n"))
	for _, r := range s {
		switch {
		case r == '\n' || r == '\t':
		case unicode.IsControl(r), r == utf8.RuneError, r == '\ufeff', r == '\u2028', r == '\u2029',
			r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
			return "", false
		}
	}
	return s, utf8.RuneCountInString(s) <= longest
}
