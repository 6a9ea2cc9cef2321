package meeting

import (
	"slices"
	"strconv"
	"time"
)

// State is one meeting as it stands. As JSON it is stable: equal states are equal
// bytes. Snapshot gives a viewer's part of it in the same form.
type State struct {
	ID          string                      `json:"id"`
	Seq         uint64                      `json:"seq"` // of the last event
	At          time.Time                   `json:"at,omitzero"`
	Viewer      string                      `json:"viewer,omitempty"` // whose view it is; empty: the whole state
	Info        Info                        `json:"info"`
	People      map[string]*Person          `json:"people"`
	Units       map[string]*Unit            `json:"units"`
	Presiding   string                      `json:"presiding,omitempty"` // who presides
	Agenda      Agenda                      `json:"agenda"`
	Speak       *Queue                      `json:"speak"`
	Question    *Queue                      `json:"question"`
	Floor       string                      `json:"floor,omitempty"`       // the request that has the floor: speaking or paused
	Interrupted string                      `json:"interrupted,omitempty"` // the request that a point of order interrupted
	Call        *Call                       `json:"call,omitempty"`
	NextPoints  []string                    `json:"nextPoints,omitempty"` // points to be called; others than the desk see two
	Votes       map[string]*Vote            `json:"votes"`
	Layout      Layout                      `json:"layout"`
	Devices     map[string]*Device          `json:"devices"`   // by point
	Readiness   map[string]*Readiness       `json:"readiness"` // by point
	Lobby       map[string]*Waiting         `json:"lobby"`
	ChatMode    string                      `json:"chatMode"` // off | staff | all
	Chat        []*Message                  `json:"chat,omitempty"`
	Conclusions map[string]*Conclusion      `json:"conclusions"`
	Applied     map[string][]AppliedCommand `json:"applied,omitzero"` // last command ids by author
}

// AppliedCommand is a command that was applied and its last event.
type AppliedCommand struct {
	ID  string `json:"id"`
	Seq uint64 `json:"seq"`
	Sum string `json:"sum,omitempty"` // see Command
}

// Status is where a meeting is in its life.
type Status string

// A meeting's life: draft → submitted → approved | returned → running ⇄ paused →
// ended → archived; cancelled before it runs.
const (
	None      Status = "" // before meeting.create
	Draft     Status = "draft"
	Submitted Status = "submitted"
	Returned  Status = "returned"
	Approved  Status = "approved"
	Running   Status = "running"
	Paused    Status = "paused"
	Ended     Status = "ended"
	Archived  Status = "archived"
	Cancelled Status = "cancelled"
)

// The sets of states that commands name.
var (
	anew     = []Status{None}
	drafting = []Status{Draft, Returned}
	planning = []Status{Draft, Returned, Approved, Running, Paused}
	open     = []Status{Approved, Running, Paused}
	session  = []Status{Running, Paused}
	live     = []Status{Running}
	wrapUp   = []Status{Running, Paused, Ended}
)

// Info is what a meeting is and where it stands.
type Info struct {
	Title        string    `json:"title"`
	Kind         string    `json:"kind,omitempty"`
	Unit         string    `json:"unit"` // that holds it
	Place        string    `json:"place,omitempty"`
	PlannedStart time.Time `json:"plannedStart,omitzero"`
	PlannedEnd   time.Time `json:"plannedEnd,omitzero"`
	Rules        Rules     `json:"rules"`
	Status       Status    `json:"status"`
	Note         string    `json:"note,omitempty"` // why returned or cancelled
	ApprovedAt   time.Time `json:"approvedAt,omitzero"`
	StartedAt    time.Time `json:"startedAt,omitzero"`
	EndedAt      time.Time `json:"endedAt,omitzero"`
	Clock        Clock     `json:"clock"` // time in session; pauses excluded
}

// Rules are a meeting's settings.
type Rules struct {
	Quorum       Fraction `json:"quorum"`       // default more than half
	QuorumBase   string   `json:"quorumBase"`   // members: every vote of the meeting | attending: without those excused who stayed away
	SelfCheckIn  bool     `json:"selfCheckIn"`  // a self check-in counts as present before a secretary confirms it
	PointCameras bool     `json:"pointCameras"` // points show their room without sound when not called
}

// Clock adds up running time.
type Clock struct {
	Ms    int64     `json:"ms"`             // of the runs that ended
	Since time.Time `json:"since,omitzero"` // start of the present run; zero when stopped
}

// Elapsed is the running time up to now.
func (c Clock) Elapsed(now time.Time) time.Duration {
	d := time.Duration(c.Ms) * time.Millisecond
	if !c.Since.IsZero() && now.After(c.Since) {
		d += now.Sub(c.Since)
	}
	return d
}

func (c *Clock) start(at time.Time) {
	if c.Since.IsZero() {
		c.Since = at
	}
}

// stop ends a run and returns its length in milliseconds.
func (c *Clock) stop(at time.Time) int64 {
	if c.Since.IsZero() {
		return 0
	}
	ms := at.Sub(c.Since).Milliseconds()
	c.Ms, c.Since = c.Ms+ms, time.Time{}
	return ms
}

// Fraction is a share: more_than_half | two_thirds | three_quarters | all. The
// first is more than 1/2, the others at least.
type Fraction string

// Fractions.
const (
	MoreThanHalf  Fraction = "more_than_half"
	TwoThirds     Fraction = "two_thirds"
	ThreeQuarters Fraction = "three_quarters"
	All           Fraction = "all"
)

// Needed is the least number that reaches the share of base, in whole numbers;
// never less than one.
func (f Fraction) Needed(base int) int {
	n := base
	switch f {
	case MoreThanHalf:
		n = base/2 + 1
	case TwoThirds:
		n = (2*base + 2) / 3
	case ThreeQuarters:
		n = (3*base + 3) / 4
	}
	return max(n, 1)
}

func (c *checker) fraction(f Fraction, field string) {
	c.oneOf(string(f), field, string(MoreThanHalf), string(TwoThirds), string(ThreeQuarters), string(All))
}

// PersonInfo is who somebody is in the meeting. The caller fills names, unit and
// position from the directory.
type PersonInfo struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Unit     string `json:"unit,omitempty"`
	Position string `json:"position,omitempty"`
	Role     Role   `json:"role"`
	Voting   bool   `json:"voting,omitempty"`   // holds a vote of the meeting
	Personal bool   `json:"personal,omitempty"` // a point that is a laptop or phone: asked, not told
	Seat     string `json:"seat,omitempty"`
}

func (c *checker) info(p *PersonInfo, field string) {
	c.person(p.ID, field+".id")
	c.line(&p.Name, field+".name", 1, 120)
	c.optional(p.Unit, field+".unit", refForm)
	c.line(&p.Position, field+".position", 0, 120)
	c.line(&p.Seat, field+".seat", 0, 20)
	if !slices.Contains(roles, p.Role) {
		c.fail("bad_value", field+".role")
	}
	votes := p.Role == RoleChair || p.Role == RoleSecretary || p.Role == RoleDelegate
	if p.Voting && (!votes || !isUser(p.ID)) {
		c.fail("bad_value", field+".voting")
	}
	if isPoint(p.ID) != (p.Role == RolePoint) || isService(p.ID) {
		c.fail("bad_value", field+".role")
	}
	if isGuest(p.ID) && p.Role != RoleGuest && p.Role != RoleObserver {
		c.fail("bad_value", field+".role")
	}
	if p.Personal && p.Role != RolePoint {
		c.fail("bad_value", field+".personal")
	}
}

// Person is somebody in the meeting: a user, a guest, or a point's room.
type Person struct {
	PersonInfo
	Invitation Invitation `json:"invitation"`
	Attendance Attendance `json:"attendance"`
	HeadCount  int        `json:"headCount,omitempty"` // people in a point's room
	Here       bool       `json:"here,omitempty"`      // connected
	For        string     `json:"for,omitempty"`       // whose vote this person holds by delegation
}

// Invitation is a person's answer (giấy mời).
type Invitation struct {
	Answer     string      `json:"answer"` // unanswered | attending | absent | delegated
	Reason     string      `json:"reason,omitempty"`
	Excused    bool        `json:"excused,omitempty"` // the chair accepted the absence
	Refused    bool        `json:"refused,omitempty"` // the chair refused it
	Substitute *PersonInfo `json:"substitute,omitempty"`
	Delegate   *PersonInfo `json:"delegate,omitempty"` // to whom the vote was offered or given
}

// Attendance is whether somebody is there (điểm danh).
type Attendance struct {
	State     string    `json:"state,omitempty"` // "" | checked_in | confirmed | absent
	Mode      string    `json:"mode,omitempty"`  // in_person | online
	Point     string    `json:"point,omitempty"` // where they sit
	Reason    string    `json:"reason,omitempty"`
	ArrivedAt time.Time `json:"arrivedAt,omitzero"`
	LeftAt    time.Time `json:"leftAt,omitzero"`    // zero again on return
	Recorded  bool      `json:"recorded,omitempty"` // a secretary said that they left
}

// Unit is a unit that was invited as such and names its people itself.
type Unit struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Seats  int    `json:"seats"`
	Voting bool   `json:"voting,omitempty"`
}

// New is a meeting of which nothing is known but its id.
func New(id string) *State {
	return &State{
		ID: id, People: map[string]*Person{}, Units: map[string]*Unit{},
		Agenda: Agenda{Items: map[string]*Item{}},
		Speak:  newQueue(), Question: newQueue(),
		Votes: map[string]*Vote{}, Devices: map[string]*Device{}, Readiness: map[string]*Readiness{},
		Lobby: map[string]*Waiting{}, Conclusions: map[string]*Conclusion{},
		Layout: Layout{Name: "grid"}, ChatMode: "staff", Applied: map[string][]AppliedCommand{},
	}
}

// idNumber is the number within an id this package made, for sorting by age.
func idNumber(id string) uint64 {
	if len(id) < 2 {
		return 0
	}
	n, err := strconv.ParseUint(id[1:], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func byAge[T any](m map[string]T) []string {
	ids := make([]string, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int {
		if x, y := idNumber(a), idNumber(b); x != y {
			if x < y {
				return -1
			}
			return 1
		}
		return 0
	})
	return ids
}
