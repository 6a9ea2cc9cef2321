package meeting

import (
	"slices"
	"strings"
)

// Grant is what somebody may do with media, from role and state. It is asked at
// every join and after every event.
type Grant struct {
	Join      bool     `json:"join"`
	Hidden    bool     `json:"hidden"`    // the others do not see them
	Subscribe bool     `json:"subscribe"` // may receive
	Publish   []string `json:"publish"`   // camera | microphone | screen_share
}

var (
	allSources = []string{"camera", "microphone", "screen_share"}
	noSources  = []string{}
)

// Grants is what an identity, with or without its device, may do now. All are
// mute but who conducts, who is called or has the floor, and the point in call;
// before the session a point may test camera and microphone.
func Grants(s *State, identity string) Grant {
	id, _, _ := strings.Cut(identity, "#")
	none := Grant{Publish: noSources}
	if !slices.Contains(open, s.Info.Status) {
		return none
	}
	if isService(id) {
		return Grant{Join: true, Hidden: true, Subscribe: true, Publish: noSources}
	}
	p := s.People[id]
	if p == nil {
		return none
	}
	g := Grant{Join: true, Subscribe: true, Publish: noSources}
	switch p.Role {
	case RoleObserver:
		g.Hidden = true
	case RoleChair, RoleSecretary, RoleOperator:
		g.Publish = allSources
	case RolePoint:
		switch {
		case s.Info.Status == Approved:
			g.Publish = allSources[:2]
		case s.heard(id):
			g.Publish = allSources
		case s.Info.Rules.PointCameras && s.Info.Status == Running:
			g.Publish = allSources[:1]
		}
	default:
		if s.heard(id) {
			g.Publish = allSources
		}
	}
	g.Publish = slices.Clone(g.Publish)
	return g
}

// heard says whether somebody is called to speak, speaks, or is in call.
func (s *State) heard(id string) bool {
	if s.Info.Status != Running {
		return false
	}
	if s.Call != nil && s.Call.Point == id && s.Call.State == "active" {
		return true
	}
	for _, q := range []*Queue{s.Speak, s.Question} {
		for _, r := range q.Requests {
			if r.Person == id && (r.State == "called" || r.State == "speaking") {
				return true
			}
		}
	}
	return false
}
