package conference

import (
	"context"
	"encoding/json"
	"strings"

	"diemcau/signaling/account"
	"diemcau/signaling/meeting"
)

// maxNamed is how many people one command names at most: filled with names and
// positions it must still fit into a command's body.
const maxNamed = 250

// fill gives a command's body with what the directory knows of the people in it.
// Names, units and positions that a client wrote there are dropped.
func (s *Service) fill(ctx context.Context, p account.Principal, id string, m message) (json.RawMessage, error) {
	switch m.Type {
	case "person.invite":
		var b meeting.InvitePeople
		return s.filled(ctx, id, m.Body, &b, func() ([]*meeting.PersonInfo, error) { return pointers(b.People) })
	case "unit.assign":
		var b meeting.AssignPeople
		return s.filled(ctx, id, m.Body, &b, func() ([]*meeting.PersonInfo, error) { return pointers(b.People) })
	case "person.change":
		var b meeting.ChangePerson
		return s.filled(ctx, id, m.Body, &b, func() ([]*meeting.PersonInfo, error) { return []*meeting.PersonInfo{&b.Person}, nil })
	case "delegation.offer":
		var b meeting.OfferDelegation
		return s.filled(ctx, id, m.Body, &b, func() ([]*meeting.PersonInfo, error) { return []*meeting.PersonInfo{&b.To}, nil })
	case "invitation.answer":
		var b meeting.AnswerInvitation
		return s.filled(ctx, id, m.Body, &b, func() ([]*meeting.PersonInfo, error) {
			if b.Substitute == nil {
				return nil, nil
			}
			return []*meeting.PersonInfo{b.Substitute}, nil
		})
	case "unit.invite":
		var b meeting.InviteUnit
		return s.filled(ctx, id, m.Body, &b, func() ([]*meeting.PersonInfo, error) {
			units, ok := s.o.People.(Units)
			if !ok {
				return nil, nil
			}
			var err error
			b.Name, err = units.UnitName(ctx, b.Unit)
			return nil, err
		})
	case "lobby.enter":
		var b meeting.EnterLobby
		return s.filled(ctx, id, m.Body, &b, func() ([]*meeting.PersonInfo, error) {
			b.Name = p.Name
			return nil, nil
		})
	}
	return m.Body, nil
}

func pointers(list []meeting.PersonInfo) ([]*meeting.PersonInfo, error) {
	if len(list) > maxNamed {
		return nil, badValue.In("people")
	}
	out := make([]*meeting.PersonInfo, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	return out, nil
}

// filled reads raw into body, fills the people in it and writes it again.
func (s *Service) filled(ctx context.Context, id string, raw json.RawMessage, body any, people func() ([]*meeting.PersonInfo, error)) (json.RawMessage, error) {
	if len(raw) == 0 {
		raw = json.RawMessage("{}")
	}
	if err := strict(raw, body); err != nil {
		return nil, badJSON
	}
	list, err := people()
	if err != nil {
		return nil, err
	}
	for _, info := range list {
		if err := s.person(ctx, id, info); err != nil {
			return nil, err
		}
	}
	return json.Marshal(body)
}

// person replaces what is the directory's in info. Of guests only the meeting itself
// knows anything.
func (s *Service) person(ctx context.Context, id string, info *meeting.PersonInfo) error {
	var known meeting.PersonInfo
	if strings.HasPrefix(info.ID, "guest:") {
		if err := s.hub.Look(ctx, id, func(st *meeting.State) {
			if p := st.People[info.ID]; p != nil {
				known = p.PersonInfo
			}
		}); err != nil {
			return err
		}
		if known.ID == "" {
			return &meeting.Problem{Code: "not_found", Status: 404, Field: "people",
				Vi: "Không tìm thấy đối tượng.", En: "Not found in this meeting."}
		}
	} else {
		var err error
		if known, err = s.o.People.Person(ctx, info.ID); err != nil {
			return err
		}
	}
	info.Name, info.Unit, info.Position = known.Name, known.Unit, known.Position
	// Somebody's own laptop is asked before its microphone opens, whatever the client says.
	info.Personal = info.Personal || known.Personal
	return nil
}
