package meeting

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// Command is what somebody asks for. ID is made by the client and applied once.
type Command struct {
	ID    string          // 1..64 characters [A-Za-z0-9_-]
	Type  string          // "vote.open", "speak.request", ...
	Actor Actor           // who asks, as the server knows them: never from the client's body
	Body  json.RawMessage // of the type's own form; unknown fields refused, at most 64 KiB
	// Sum is the Sum of type and body as their author sent them, where they may have
	// been completed since; empty: an id that is used again is taken for the same command.
	Sum string
}

// Sum tells one command's content from another's: 16 characters. The order of
// members and the space between them do not count.
func Sum(commandType string, body json.RawMessage) string {
	if len(body) == 0 {
		body = json.RawMessage("{}")
	}
	var v any
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(&v); err == nil {
		if sorted, err := json.Marshal(v); err == nil {
			body = sorted
		}
	}
	h := sha256.New()
	_, _ = io.WriteString(h, commandType+"\n") // never fails
	_, _ = h.Write(body)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:12])
}

// Actor is who asks. It is empty for one command only, the cast of a secret ballot.
type Actor struct {
	ID          string // "user:…", "guest:…", "point:…" or "svc:…", without the device
	Device      string
	Name, Unit  string        // as the directory has them
	Permissions PermissionSet // what the directory grants in the unit that holds the meeting
}

// order is the body of one type of command.
type order interface {
	check(c *checker)
	decide(d *decider) error
}

type spec struct {
	make   func() order
	who    who
	states []Status
}

// CommandType describes one type of command for schemas and route tables.
type CommandType struct {
	Type   string
	Body   any    // a pointer to the empty body
	Who    string // roles and permissions, any of which is enough
	States []Status
}

// CommandTypes lists every command, by type.
func CommandTypes() []CommandType {
	var out []CommandType
	for _, t := range slices.Sorted(maps.Keys(commands)) {
		sp := commands[t]
		out = append(out, CommandType{Type: t, Body: sp.make(), Who: sp.who.String(), States: slices.Clone(sp.states)})
	}
	return out
}

// Allowed says whether somebody may give commands of this type at all, from role
// and permission. Decide looks closer.
func Allowed(s *State, a Actor, commandType string) bool {
	sp, ok := commands[commandType]
	return ok && sp.who.allows(s, a)
}

// decider collects the events of one command.
type decider struct {
	s      *State
	cmd    Command
	me     *Person // nil when the actor is not in the meeting
	now    time.Time
	events []Event
}

// Decide says which events a command leads to, or the *Problem why it does not.
// It never changes s. The caller makes the events durable and then evolves s
// with each of them, in order and at this same now.
func Decide(s *State, c Command, now time.Time) ([]Event, error) {
	sp, known := commands[c.Type]
	if !known {
		return nil, problem("unknown_command")
	}
	if len(c.Body) > maxBody {
		return nil, problem("too_large")
	}
	if err := checkAuthor(s, c, sp); err != nil {
		return nil, err
	}
	if !sp.who.allows(s, c.Actor) {
		return nil, problem("forbidden")
	}
	body := sp.make()
	if err := decode(c.Body, body); err != nil {
		return nil, err
	}
	var ch checker
	body.check(&ch)
	if ch.err != nil {
		return nil, ch.err
	}
	if !slices.Contains(sp.states, s.Info.Status) {
		return nil, problem("wrong_state")
	}
	d := &decider{s: s, cmd: c, me: s.People[c.Actor.ID], now: s.moment(now)}
	if err := body.decide(d); err != nil {
		return nil, err
	}
	if len(d.events) == 0 {
		return nil, problem("nothing_changed")
	}
	return d.events, nil
}

func checkAuthor(s *State, c Command, sp spec) error {
	if sp.who.anonymous {
		if c.Actor != (Actor{}) {
			return problem("forbidden")
		}
		return nil
	}
	if !commandIDForm.MatchString(c.ID) {
		return problemIn("bad_id", "id")
	}
	if !identityForm.MatchString(c.Actor.ID) {
		return problem("forbidden")
	}
	for _, was := range s.Applied[c.Actor.ID] {
		if was.ID == c.ID {
			return Again(was, c)
		}
	}
	return nil
}

// Again is the answer to a command whose id its author has used for was: that it
// was applied already, or that it is another one. A number of events would be no
// answer to the latter: its author would take it for done.
func Again(was AppliedCommand, c Command) *Problem {
	if was.Sum != "" && c.Sum != "" && was.Sum != c.Sum {
		return problemIn("id_reused", "id")
	}
	p := problem("already_applied")
	p.Seq = was.Seq
	return p
}

// decode reads a body strictly: one JSON object, known members only.
func decode(raw json.RawMessage, into any) error {
	if len(raw) == 0 {
		raw = json.RawMessage("{}")
	}
	if !utf8.Valid(raw) {
		return problem("bad_json")
	}
	if t := bytes.TrimLeft(raw, " \t\r\n"); len(t) == 0 || t[0] != '{' {
		return problem("bad_json")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return problem("bad_json")
	}
	if _, err := dec.Token(); err != io.EOF {
		return problem("bad_json")
	}
	return nil
}

// emit adds an event. Events of the clock and secret ballots carry no author.
func (d *decider) emit(b Body) {
	d.events = append(d.events, Event{Seq: d.nextSeq(), Type: b.kind(), By: d.cmd.Actor.ID, Cmd: d.cmd.ID, Sum: d.cmd.Sum, Body: b})
}

func (d *decider) nextSeq() uint64 { return d.s.Seq + uint64(len(d.events)) + 1 }

// newID is the id of what the next event makes.
func (d *decider) newID(letter string) string {
	return letter + strconv.FormatUint(d.nextSeq(), 10)
}

func (d *decider) actor() string { return d.cmd.Actor.ID }

func (d *decider) presiding() bool { return d.s.Presiding != "" && d.s.Presiding == d.actor() }

func (d *decider) hasRole(rs ...Role) bool { return d.me != nil && slices.Contains(rs, d.me.Role) }

// unlocked guards what is fixed once the session runs: then a secretary may
// still change it, with a note, and so may the server's own part that carries out what
// was decided about a guest.
func (d *decider) unlocked(note string) error {
	if st := d.s.Info.Status; st != Running && st != Paused {
		return nil
	}
	if !d.hasRole(RoleSecretary) && !isService(d.actor()) || note == "" {
		return problem("locked")
	}
	return nil
}
