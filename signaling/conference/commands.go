package conference

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"diemcau/signaling/account"
	"diemcau/signaling/meeting"
	"diemcau/signaling/problem"
	"diemcau/signaling/store"
)

const (
	maxCommandBody = 64 << 10
	maxMessage     = maxCommandBody + 1024 // with id and type around
)

// message is a command as clients send it, by POST and over the socket.
type message struct {
	ID   string          `json:"id"`
	Type string          `json:"type"`
	Body json.RawMessage `json:"body"`
}

// parseMessage reads a command: one JSON object, these members and no others.
func parseMessage(raw []byte) (message, error) {
	var m message
	if len(raw) > maxMessage {
		return m, problem.TooLarge
	}
	if !utf8.Valid(raw) {
		return m, badJSON
	}
	if err := strict(raw, &m); err != nil {
		return m, badJSON
	}
	if len(m.ID) > 64 || len(m.Type) > 64 {
		return message{}, badJSON
	}
	return m, nil
}

// strict decodes one JSON object without unknown members.
func strict(raw []byte, into any) error {
	if t := bytes.TrimLeft(raw, " \t\r\n"); len(t) == 0 || t[0] != '{' {
		return badJSON
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return badJSON
	}
	return nil
}

// Of command types: which clients may not give at all, and for which the directory
// is asked what somebody may do.
var notForClients = map[string]bool{
	"meeting.create": true, // has a route of its own, which makes the id
	"presence.set":   true, // of the server
	"ballot.cast":    true, // comes without session
	"ballot.issue":   true, // answers with a signature
}

var asksDirectory = func() map[string]bool {
	out := map[string]bool{}
	for _, c := range meeting.CommandTypes() {
		out[c.Type] = strings.Contains(c.Who, "permission")
	}
	return out
}()

func isLobby(commandType string) bool {
	return commandType == "lobby.enter" || commandType == "lobby.leave"
}

// do applies a client's command and returns the number of its last event. It
// counts and leaves a line in the audit log whatever comes of it.
func (s *Service) do(ctx context.Context, id string, m message) (uint64, error) {
	p, err := enter(ctx, id)
	var seq uint64
	if err == nil {
		seq, err = s.give(ctx, p, id, m)
	}
	var done *meeting.Problem
	if errors.As(err, &done) && done.Code == "already_applied" {
		seq, err = done.Seq, nil
	}
	result := codeOf(err)
	s.metrics.commands.WithLabelValues(result).Inc()
	kind := m.Type
	if _, known := asksDirectory[kind]; !known {
		kind = "unknown"
	}
	s.note(ctx, p.Identity, kind, "meeting:"+known(id), result)
	return seq, err
}

// unread leaves a line about a message that is no command.
func (s *Service) unread(ctx context.Context, id string, err error) {
	p, _ := account.From(ctx)
	result := codeOf(err)
	s.metrics.commands.WithLabelValues(result).Inc()
	s.note(ctx, p.Identity, "unknown", "meeting:"+known(id), result)
}

func (s *Service) give(ctx context.Context, p account.Principal, id string, m message) (uint64, error) {
	if !s.commands.allow(p.SessionID) {
		return 0, tooFast
	}
	if _, known := asksDirectory[m.Type]; !known {
		return 0, unknownCommand
	}
	if notForClients[m.Type] {
		return 0, problem.Forbidden
	}
	if p.Lobby && !isLobby(m.Type) && !s.letIn(ctx, id, p) {
		return 0, problem.InLobby
	}
	if len(m.Body) > maxCommandBody {
		return 0, problem.TooLarge
	}
	unit, err := s.unitOf(ctx, id) // also says whether there is such a meeting
	if err != nil {
		return 0, err
	}
	actor := meeting.Actor{ID: identityOf(p), Device: p.Device, Name: p.Name, Unit: p.Unit}
	if asksDirectory[m.Type] {
		if actor.Permissions, err = s.o.People.Permissions(ctx, actor.ID, unit); err != nil {
			return 0, err
		}
	}
	cmd := meeting.Command{ID: m.ID, Type: m.Type, Actor: actor, Sum: meeting.Sum(m.Type, m.Body)}
	if m.Type == "meeting.edit" {
		if err = s.mayHold(ctx, actor.ID, unit, m.Body); err != nil {
			return 0, s.hidden(ctx, p, id, err)
		}
	}
	if cmd.Body, err = s.fill(ctx, p, id, m); err != nil {
		return 0, err
	}
	var seq uint64
	switch m.Type {
	case "vote.open":
		seq, err = s.boxes.open(ctx, id, cmd)
	case "vote.close":
		seq, err = s.boxes.shut(ctx, id, cmd)
	default:
		seq, err = s.hub.Apply(ctx, id, cmd)
	}
	return seq, s.hidden(ctx, p, id, err)
}

// mayHold says whether somebody may give a meeting to the unit that a meeting.edit
// names: only with the right to prepare meetings there, as when one is made.
func (s *Service) mayHold(ctx context.Context, identity, unit string, raw json.RawMessage) error {
	var b meeting.EditMeeting
	if err := strict(orEmpty(raw), &b); err != nil {
		return badJSON
	}
	if b.Unit == unit {
		return nil
	}
	ps, err := s.o.People.Permissions(ctx, identity, b.Unit)
	if err == nil && !ps.Has(meeting.PermPrepare) {
		return &meeting.Problem{Code: "forbidden", Status: 403, Field: "unit", Vi: "Bạn không có quyền chuẩn bị phiên họp của đơn vị này.",
			En: "You may not prepare meetings of this unit."}
	}
	return err
}

// hidden turns a refusal into "not found" for those who may not know the meeting.
func (s *Service) hidden(ctx context.Context, p account.Principal, id string, err error) error {
	var refused *meeting.Problem
	if !errors.As(err, &refused) || refused.Code == "already_applied" {
		return err
	}
	v, e := s.viewerOf(ctx, p, id)
	if e != nil {
		return err
	}
	known := true
	if e := s.hub.Look(ctx, id, func(st *meeting.State) {
		in, waits := sees(st, v)
		// Who was asked to stand in for somebody knows of the meeting, too.
		known = in || waits || p.Kind == account.KindGuest || v.Permissions != 0 || asked(st, v.ID)
	}); e == nil && !known {
		return problem.NotFound
	}
	return err
}

// asked says whether somebody was offered a vote. To be invited is not enough: of a
// draft those invited know nothing.
func asked(st *meeting.State, identity string) bool {
	for _, p := range st.People {
		if d := p.Invitation.Delegate; d != nil && d.ID == identity {
			return true
		}
	}
	return false
}

// create makes a meeting and returns its id.
func (s *Service) create(ctx context.Context, commandID string, d meeting.Details) (id string, seq uint64, err error) {
	p, err := caller(ctx)
	switch {
	case err != nil:
	case p.Lobby:
		err = problem.InLobby
	case p.Kind != account.KindUser:
		err = problem.Forbidden
	case !s.commands.allow(p.SessionID):
		err = tooFast
	default:
		id, seq, err = s.make(ctx, p, commandID, d)
	}
	result := codeOf(err)
	s.metrics.commands.WithLabelValues(result).Inc()
	object := "unknown"
	if id != "" {
		object = id
	}
	s.note(ctx, p.Identity, "meeting.create", "meeting:"+object, result)
	return id, seq, err
}

func (s *Service) make(ctx context.Context, p account.Principal, commandID string, d meeting.Details) (string, uint64, error) {
	actor := meeting.Actor{ID: identityOf(p), Device: p.Device, Name: p.Name, Unit: p.Unit}
	var err error
	if actor.Permissions, err = s.o.People.Permissions(ctx, actor.ID, d.Unit); err != nil {
		return "", 0, err
	}
	body, err := json.Marshal(meeting.CreateMeeting{Details: d})
	if err != nil {
		return "", 0, err
	}
	// Decided on nothing first: a refused one must leave no meeting behind in memory.
	id := s.newID(d.Title, actor.ID, commandID)
	cmd := meeting.Command{ID: commandID, Type: "meeting.create", Actor: actor, Body: body, Sum: meeting.Sum("meeting.create", body)}
	if _, err := meeting.Decide(meeting.New(id), cmd, s.o.Now()); err != nil {
		return "", 0, err
	}
	seq, err := s.hub.Apply(ctx, id, cmd)
	if err != nil {
		return "", 0, err
	}
	return id, seq, nil
}

// newID makes the id of a meeting, which is also its room's name: what the title
// begins with, for people who read logs, and 80 bits that nobody can guess. The
// same command of the same person gives the same id, so that one that is sent
// again makes no second meeting.
func (s *Service) newID(title, actor, commandID string) string {
	var b strings.Builder
	dash := false
	for _, r := range store.Fold(title) {
		if b.Len() >= 24 {
			break
		}
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
			dash = true
		} else if dash {
			b.WriteByte('-')
			dash = false
		}
	}
	name := strings.Trim(b.String(), "-")
	if name == "" {
		name = "hop"
	}
	mac := hmac.New(sha256.New, s.o.Keys)
	for _, part := range []string{"meeting id", title, actor, commandID} {
		_, _ = mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part)))) // never fails
		_, _ = mac.Write([]byte(part))
	}
	return name + "-" + strings.ToLower(base32.StdEncoding.EncodeToString(mac.Sum(nil)[:10]))
}
