package meeting

import "slices"

// Viewer is who looks: an identity without device, and what the directory grants
// it in the meeting's unit.
type Viewer struct {
	ID          string
	Permissions PermissionSet
}

// view is a viewer and what they may see of a state.
type view struct {
	s     *State
	id    string
	bench bool // chairs and secretaries: how a vote went before it is published, and how each voted
	inner bool // and those who prepare and approve, in the meeting or not: everything else
	desk  bool // and operators: lobby, readiness, devices, observers
	in    bool // sees the meeting at all
	lobby bool // waits in the lobby
}

func look(s *State, w Viewer) *view {
	v := &view{s: s, id: w.ID}
	v.inner = w.Permissions&Permissions(PermPrepare, PermApprove) != 0
	v.desk = v.inner || w.Permissions.Has(PermOperate)
	p := s.People[w.ID]
	if p != nil {
		v.bench = p.Role == RoleChair || p.Role == RoleSecretary
		v.inner = v.inner || v.bench
		v.desk = v.desk || v.inner || p.Role == RoleOperator
	}
	v.in = v.inner || (p != nil || v.desk) && !s.Info.ApprovedAt.IsZero()
	v.lobby = !v.in && s.Lobby[w.ID] != nil
	return v
}

// SeesItem says whether an agenda item is there for a viewer.
func SeesItem(s *State, w Viewer, item string) bool {
	v := look(s, w)
	return v.in && s.Agenda.Items[item] != nil && !v.hides(item)
}

// Standing tells two states of a viewer's rights apart: when it changes with an
// event, the events let through do not lead from the old view to the new one, and
// a fresh Snapshot must be sent in place of the event. The caller compares the
// standing before Evolve and after. To who waits in the lobby every turn of the
// meeting is such a change.
func Standing(s *State, w Viewer) string {
	v := look(s, w)
	if v.lobby {
		return "lobby " + string(s.Info.Status) + " " + s.Info.Title
	}
	n := 0
	for i, yes := range [...]bool{v.inner, v.desk, v.in, s.People[w.ID] != nil, v.bench} {
		if yes {
			n |= 1 << i
		}
	}
	return standings[n]
}

// standings are made once: it is asked for each event and viewer.
var standings = func() (out [32]string) {
	for n := range out {
		name := []byte("-----")
		for i := range name {
			if n>>i&1 == 1 {
				name[i] = "idvpb"[i]
			}
		}
		out[n] = string(name)
	}
	return out
}()

// Visible is what a viewer may see of an event of s: the event, with something
// left out or another in its place; false when it is not for them. The event must
// have been applied to s already; s may have moved on since, as when a client
// catches up, and then what is no longer for the viewer is left out.
func Visible(s *State, e Event, w Viewer) (Event, bool) {
	v := look(s, w)
	if !v.in {
		return v.outside(e)
	}
	b := e.Body.seen(v)
	if b == nil {
		return Event{}, false
	}
	return v.dress(e, b), true
}

func (v *view) dress(e Event, b Body) Event {
	out := Event{Seq: e.Seq, Type: b.kind(), By: e.By, Body: b}
	if e.By == v.id {
		out.Cmd = e.Cmd
	}
	if _, ok := b.(*VoteProgress); ok || e.By != "" && v.s.People[e.By] != nil && !v.knows(e.By) {
		out.By, out.Cmd = "", ""
	}
	return out
}

// outside: who waits in the lobby sees what concerns the waiting.
func (v *view) outside(e Event) (Event, bool) {
	var guest string
	switch b := e.Body.(type) {
	case *LobbyEntered:
		guest = b.Guest
	case *LobbySettled:
		guest = b.Guest
	}
	if guest == "" || guest != v.id {
		return Event{}, false
	}
	return v.dress(e, e.Body), true
}

// Audience names a group of viewers who see an event alike, so that it need be
// filtered and encoded once for each group only. A viewer whom the event is about
// is a group of their own.
func Audience(s *State, e Event, w Viewer) string {
	if e.By == w.ID || concerns(e.Body, w.ID) {
		return w.ID
	}
	return Standing(s, w)
}

// concerns says whether an event may look different to a person because it is about
// them. It makes no lists: thousands may be in one event, and each of them is asked for.
func concerns(b Body, id string) bool {
	switch b := b.(type) {
	case *PeopleInvited:
		return slices.ContainsFunc(b.People, func(p PersonInfo) bool { return p.ID == id })
	case *PersonChanged:
		return b.Person.ID == id
	case *InvitationAnswered:
		return b.Person == id
	case *AbsenceSettled:
		return b.Person == id
	case *DelegationOffered:
		return b.From == id || b.To.ID == id
	case *DelegationAccepted:
		return b.From == id || b.To == id
	case *DelegationEnded:
		return b.From == id || b.To == id
	case *CheckedIn:
		return b.Person == id
	case *AttendanceConfirmed:
		return slices.ContainsFunc(b.People, func(c Confirmation) bool { return c.Person == id })
	case *MarkedAbsent:
		return slices.Contains(b.People, id)
	case *Departed:
		return b.Person == id
	case *CameBack:
		return b.Person == id
	case *PresenceChanged:
		return b.Person == id
	case *SpeakRefused:
		return b.Person == id
	case *BallotGiven:
		return b.Voter == id
	case *BallotIssued:
		return b.Voter == id
	case *VoteOpened:
		_, ok := b.Voters[id]
		return ok
	case *DeviceCommanded:
		return b.Point == id
	case *ReadinessReported:
		return b.Point == id
	case *HelpAsked:
		return b.Point == id
	case *HelpClosed:
		return b.Point == id
	case *LobbyEntered:
		return b.Guest == id
	case *LobbySettled:
		return b.Guest == id
	}
	return false
}

func ids[T any](list []T, of func(T) string) []string {
	out := make([]string, len(list))
	for i, t := range list {
		out[i] = of(t)
	}
	return out
}
