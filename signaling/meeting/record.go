package meeting

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
)

// Entry is an event and the server's time it happened at, as the journal has it.
type Entry struct {
	Event
	At time.Time `json:"at"`
}

// Line is one line of the running record (diễn biến phiên họp).
type Line struct {
	At   time.Time `json:"at"`
	Seq  uint64    `json:"seq"`  // the event it tells of
	Kind string    `json:"kind"` // session | attendance | item | speech | call | vote | conclusion
	Item string    `json:"item,omitempty"`
	Text string    `json:"text"` // Vietnamese
}

// vietnam is the country's one time zone; it has had no summer time since 1945.
var vietnam = time.FixedZone("ICT", 7*3600)

// Record tells in Vietnamese what happened, from the events of a whole meeting.
// It holds nothing that is not public in the meeting: results once they are
// published, conclusions once they are issued, items once they are dealt with, and
// no reason of anybody's absence.
func Record(id string, entries []Entry) ([]Line, error) {
	r := &recorder{s: New(id), begun: map[string]time.Time{}, issued: map[string]bool{}}
	for _, e := range entries {
		r.before(e)
		if err := Evolve(r.s, e.Event, e.At); err != nil {
			return nil, err
		}
		r.after(e)
	}
	return r.lines, nil
}

type recorder struct {
	s      *State
	begun  map[string]time.Time // by request: when it first had the floor
	opened bool                 // the list of the event was open before it
	issued map[string]bool      // conclusions
	lines  []Line
}

func (r *recorder) add(e Entry, kind, item, text string, args ...any) {
	r.lines = append(r.lines, Line{At: e.At.UTC(), Seq: e.Seq, Kind: kind, Item: item, Text: fmt.Sprintf(text, args...)})
}

// before tells what the state forgets with the event.
func (r *recorder) before(e Entry) {
	switch b := e.Body.(type) {
	case *DelegationEnded:
		if p := r.s.People[b.From]; p != nil && p.Invitation.Answer == "delegated" {
			r.add(e, "attendance", "", "%s thôi ủy quyền cho %s.", r.name(b.From), r.name(b.To))
		}
	case *CallEnded:
		c := r.s.Call
		switch {
		case c == nil:
		case b.Why == "declined":
			r.add(e, "call", "", "%s không nhận lời mời phát biểu.", r.title(b.Point))
		case c.State == "active":
			r.add(e, "call", r.s.Agenda.Current, "%s được mời phát biểu từ %s đến %s (%s).", r.title(b.Point),
				clock(c.Since), clock(e.At), spent(e.At.Sub(c.Since), c.Seconds))
		}
	case *ListOpened:
		r.opened = r.s.queue(b.List).Open
	}
}

func (r *recorder) after(e Entry) {
	switch b := e.Body.(type) {
	case *MeetingStarted, *MeetingPaused, *MeetingResumed, *MeetingEnded, *MeetingCancelled, *ChairTaken:
		r.session(e)
	case *AgendaStarted, *AgendaDone:
		r.item(e)
	case *DelegationAccepted, *AbsenceSettled, *PeopleInvited, *AttendanceConfirmed, *MarkedAbsent, *Departed, *CameBack:
		r.attendance(e)
	case *ListOpened, *ListClosed, *SpeakStarted, *SpeakFinished:
		r.speech(e)
	case *VoteOpened, *VoteClosed, *VotePublished, *VoteCancelled:
		r.vote(e)
	case *ConclusionIssued:
		r.conclusion(e, b)
	}
}

// conclusion tells of the wording in force. How often it was written before that is
// nobody's concern; that it was issued before is.
func (r *recorder) conclusion(e Entry, b *ConclusionIssued) {
	what := "Kết luận phiên họp"
	if number := r.s.Agenda.Numbers()[b.Item]; number != "" {
		what = "Kết luận nội dung " + number
	}
	if r.issued[b.Conclusion] {
		what += " (thay kết luận đã ban hành)"
	}
	r.issued[b.Conclusion] = true
	r.add(e, "conclusion", b.Item, "%s: %s", what, b.Text)
}

func (r *recorder) session(e Entry) {
	switch b := e.Body.(type) {
	case *MeetingStarted:
		r.add(e, "session", "", "Khai mạc phiên họp “%s”. Chủ tọa: %s.", r.s.Info.Title, r.title(b.Chair))
		r.add(e, "session", "", "%s", quorumText(b.Quorum))
	case *MeetingPaused:
		r.add(e, "session", "", "Phiên họp tạm dừng%s.", because(b.Note))
	case *MeetingResumed:
		r.add(e, "session", "", "Phiên họp tiếp tục.")
	case *MeetingEnded:
		r.add(e, "session", "", "Bế mạc phiên họp. Thời gian làm việc: %s.", span(r.s.Info.Clock.Elapsed(e.At)))
	case *MeetingCancelled:
		r.add(e, "session", "", "Phiên họp bị hủy%s.", because(b.Note))
	case *ChairTaken:
		if st := r.s.Info.Status; st != Running && st != Paused {
			return
		}
		if b.From != "" {
			r.add(e, "session", "", "%s chuyển quyền điều hành phiên họp cho %s%s.", r.name(b.From), r.name(b.Person), because(b.Note))
		} else {
			r.add(e, "session", "", "%s điều hành phiên họp.", r.title(b.Person))
		}
	}
}

func quorumText(q Quorum) string {
	rule := map[Fraction]string{
		MoreThanHalf: "quá nửa", TwoThirds: "ít nhất hai phần ba", ThreeQuarters: "ít nhất ba phần tư", All: "toàn thể",
	}[q.Rule]
	verdict := "chưa đủ túc số"
	if q.Reached {
		verdict = "đủ túc số"
	}
	base, needed := "", fmt.Sprintf("%d đại biểu", q.Needed)
	if q.Base != q.Members {
		base = fmt.Sprintf(", không tính %d đại biểu được phép vắng mặt", q.Members-q.Base)
	}
	if q.Rule != All {
		needed = "từ " + needed + " trở lên"
	}
	return fmt.Sprintf("Túc số: có mặt %d trên tổng số %d đại biểu%s; yêu cầu %s (%s): %s.",
		q.Present, q.Members, base, rule, needed, verdict)
}

func (r *recorder) item(e Entry) {
	id, verb := "", ""
	switch b := e.Body.(type) {
	case *AgendaStarted:
		id, verb = b.Item, "Bắt đầu nội dung"
		if b.Again {
			verb = "Trở lại nội dung"
		}
	case *AgendaDone:
		id, verb = b.Item, "Kết thúc nội dung"
	}
	it, number := r.s.Agenda.Items[id], r.s.Agenda.Numbers()[id]
	if it == nil {
		return
	}
	if _, done := e.Body.(*AgendaDone); done {
		r.add(e, "item", id, "%s %s (%s).", verb, number, span(it.Clock.Elapsed(e.At)))
		return
	}
	by := ""
	if it.Presenter != "" {
		by = " Trình bày: " + it.Presenter + "."
	}
	r.add(e, "item", id, "%s %s: %s.%s", verb, number, strings.TrimSuffix(it.Title, "."), by)
}

func (r *recorder) attendance(e Entry) {
	switch b := e.Body.(type) {
	case *DelegationAccepted:
		r.add(e, "attendance", "", "%s ủy quyền cho %s dự họp và biểu quyết.", r.name(b.From), r.name(b.To))
	case *AbsenceSettled:
		if b.Accepted {
			r.add(e, "attendance", "", "%s vắng mặt, được chủ tọa đồng ý.", r.name(b.Person))
		}
	case *PeopleInvited:
		if b.Instead != "" {
			r.add(e, "attendance", "", "%s dự họp thay %s.", r.name(b.People[0].ID), r.name(b.Instead))
		}
	case *AttendanceConfirmed:
		q := CountQuorum(r.s)
		who := fmt.Sprintf("%d người", len(b.People))
		if len(b.People) <= 5 {
			who = strings.Join(ids(b.People, func(c Confirmation) string { return r.name(c.Person) }), ", ")
		}
		r.add(e, "attendance", "", "Xác nhận có mặt: %s. Có mặt %d trên tổng số %d đại biểu.", who, q.Present, q.Members)
	case *MarkedAbsent:
		r.add(e, "attendance", "", "Vắng mặt có lý do: %s.", strings.Join(ids(b.People, r.name), ", "))
	case *Departed:
		r.add(e, "attendance", "", "%s rời phiên họp.", r.name(b.Person))
	case *CameBack:
		r.add(e, "attendance", "", "%s trở lại phiên họp.", r.name(b.Person))
	}
}

func (r *recorder) speech(e Entry) {
	switch b := e.Body.(type) {
	case *ListOpened:
		r.listOpened(e, b)
	case *ListClosed:
		what := "phát biểu"
		if b.List == "question" {
			what = "chất vấn"
		}
		r.add(e, "speech", r.s.Agenda.Current, "Kết thúc đăng ký %s.", what)
	case *SpeakStarted:
		r.begun[b.Request] = e.At
	case *SpeakFinished:
		q := r.s.request(b.Request)
		what, about := "phát biểu", " về “%s”"
		switch {
		case q.Kind == "order":
			what, about = "phát biểu về trình tự phiên họp", " (“%s”)"
		case q.Kind == "answer":
			what = "trả lời chất vấn"
		case q.List == "question":
			what = "chất vấn"
		}
		if q.Topic != "" {
			what += fmt.Sprintf(about, q.Topic)
		}
		r.add(e, "speech", q.Item, "%s %s từ %s đến %s (%s).", r.title(q.Person), what,
			clock(r.begun[q.ID]), clock(e.At), spent(q.Clock.Elapsed(e.At), q.Limit))
	}
}

// spent is how long somebody spoke, and whether that was more than the limit in
// seconds, to the second that is shown: who stops with the countdown did not overrun.
func spent(d time.Duration, limit int) string {
	if limit > 0 && d.Round(time.Second) > time.Duration(limit)*time.Second {
		return span(d) + ", quá thời gian quy định"
	}
	return span(d)
}

// listOpened tells that people may register, or, given again, of other limits.
func (r *recorder) listOpened(e Entry, b *ListOpened) {
	what, limits := "phát biểu", []string{}
	if b.List == "question" {
		what = "chất vấn"
	}
	for _, l := range []struct {
		seconds int
		who     string
	}{{b.Limit, "mỗi người"}, {b.UnitLimit, "mỗi đơn vị"}} {
		if l.seconds > 0 {
			limits = append(limits, l.who+" không quá "+span(time.Duration(l.seconds)*time.Second))
		}
	}
	if r.opened && len(limits) == 0 {
		limits = []string{"không giới hạn thời gian"}
	}
	text := "Mở đăng ký " + what
	if r.opened {
		text = "Đăng ký " + what + " tiếp tục"
	}
	if len(limits) > 0 {
		text += "; " + strings.Join(limits, ", ")
	}
	if b.Questioned != "" {
		text += ". Người trả lời chất vấn: " + r.title(b.Questioned)
	}
	r.add(e, "speech", r.s.Agenda.Current, "%s.", text)
}

// voting is what a vote is called: people vote, or put ballots into a box.
func voting(secret bool) string {
	if secret {
		return "bỏ phiếu kín"
	}
	return "biểu quyết"
}

func (r *recorder) vote(e Entry) {
	switch b := e.Body.(type) {
	case *VoteOpened:
		form, right := "biểu quyết công khai", "biểu quyết"
		if b.Secret {
			form, right = voting(true), "bỏ phiếu"
		}
		r.add(e, "vote", b.Item, "Mở %s: “%s”. Số người có quyền %s: %d. %s", form, b.Title, right, b.Entitled, quorumText(b.Quorum))
		if b.Override != "" {
			r.add(e, "vote", b.Item, "Chủ tọa quyết định %s khi chưa đủ túc số, lý do: %s.", voting(b.Secret), strings.TrimSuffix(b.Override, "."))
		}
	case *VoteClosed:
		v := r.s.Votes[b.Vote]
		if v.Secret {
			r.add(e, "vote", v.Item, "Kết thúc bỏ phiếu kín “%s”: thu về %d phiếu trên %d người có quyền bỏ phiếu.", v.Title, v.Cast, v.Entitled)
		} else {
			r.add(e, "vote", v.Item, "Kết thúc biểu quyết “%s”: %d trên %d người có quyền đã biểu quyết.", v.Title, v.Cast, v.Entitled)
		}
	case *VotePublished:
		r.result(e, r.s.Votes[b.Vote])
	case *VoteCancelled:
		if v := r.s.Votes[b.Vote]; !b.Drafted {
			r.add(e, "vote", v.Item, "Hủy %s “%s”%s.", voting(v.Secret), v.Title, because(b.Reason))
		}
	}
}

// bases says what the shares of a result are shares of, with the number.
var bases = map[string]string{
	"members": "tổng số %d đại biểu", "present": "%d đại biểu có mặt", "entitled": "%d người có quyền biểu quyết",
}

func (r *recorder) result(e Entry, v *Vote) {
	var parts []string
	var elected []string
	for i, c := range v.Result.Counts {
		parts = append(parts, fmt.Sprintf("%s %d phiếu (%s)", v.Choices[i].Text, c.Total, percent(c.Total, v.Result.Base)))
		if c.Reached {
			elected = append(elected, v.Choices[i].Text)
		}
	}
	ballots := fmt.Sprintf("%d phiếu", v.Result.Cast+v.Result.Paper)
	switch {
	case v.Result.Paper > 0:
		ballots += fmt.Sprintf(" (trong đó %d phiếu giấy)", v.Result.Paper)
	case v.Secret:
		ballots = fmt.Sprintf("phát ra %d phiếu, thu về %d phiếu", v.Result.Issued, v.Result.Cast)
	}
	verdict := ": không được thông qua"
	switch {
	case v.Choices[0].ID == "yes" && v.Result.Passed:
		verdict = ": được thông qua"
	case v.Choices[0].ID == "yes":
	case len(elected) > 0:
		verdict = ". Đạt yêu cầu: " + strings.Join(elected, ", ")
	default:
		verdict = ". Không có lựa chọn nào đạt yêu cầu"
	}
	base := fmt.Sprintf(bases[v.Base], v.Result.Base)
	r.add(e, "vote", v.Item, "Kết quả %s “%s”: %s; %s. Tính trên %s, cần ít nhất %d phiếu%s.", voting(v.Secret), v.Title,
		ballots, strings.Join(parts, "; "), base, v.Result.Needed, verdict)
}

// percent is exact to a tenth, in whole numbers, with a comma.
func percent(n, base int) string {
	if base <= 0 {
		return "0%"
	}
	tenths := (2*1000*n + base) / (2 * base)
	if tenths%10 == 0 {
		return fmt.Sprintf("%d%%", tenths/10)
	}
	return fmt.Sprintf("%d,%d%%", tenths/10, tenths%10)
}

func (r *recorder) name(id string) string {
	if p := r.s.People[id]; p != nil {
		return p.Name
	}
	return id
}

// title is the name with the position, or with what a point or a guest is.
func (r *recorder) title(id string) string {
	p := r.s.People[id]
	switch {
	case p == nil:
		return id
	case p.Role == RolePoint && !strings.HasPrefix(strings.ToLower(p.Name), "điểm cầu"):
		return "Điểm cầu " + p.Name
	case p.Position != "":
		return p.Name + " (" + p.Position + ")"
	case p.Role == RoleGuest:
		return p.Name + " (khách mời)"
	}
	return p.Name
}

func because(note string) string {
	if note == "" {
		return ""
	}
	return ", lý do: " + strings.TrimSuffix(note, ".")
}

func clock(t time.Time) string { return t.In(vietnam).Format("15:04:05") }

// span is a duration in words, to the second.
func span(d time.Duration) string {
	sec := int64(d.Round(time.Second) / time.Second)
	var parts []string
	for _, u := range []struct {
		n    int64
		name string
	}{{sec / 3600, "giờ"}, {sec / 60 % 60, "phút"}, {sec % 60, "giây"}} {
		if u.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", u.n, u.name))
		}
	}
	if len(parts) == 0 {
		return "0 giây"
	}
	return strings.Join(parts, " ")
}

// Print writes the running record of a meeting as text, in the time of Viet Nam.
// A line break within a text is indented, so that nobody's text can look like a
// line of its own.
func Print(w io.Writer, s *State, lines []Line) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "DIỄN BIẾN PHIÊN HỌP\n%s\n", s.Info.Title)
	if s.Info.Place != "" {
		fmt.Fprintf(out, "Địa điểm: %s\n", s.Info.Place)
	}
	day := ""
	for _, l := range lines {
		if d := l.At.In(vietnam).Format("02/01/2006"); d != day {
			day = d
			fmt.Fprintf(out, "\nNgày %s\n", d)
		}
		fmt.Fprintf(out, "%s  %s\n", clock(l.At), strings.ReplaceAll(l.Text, "\n", "\n          "))
	}
	return out.Flush()
}
