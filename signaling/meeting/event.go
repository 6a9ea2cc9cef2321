package meeting

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Event is one thing that happened. Seq counts the events of a meeting from 1
// without gaps. By is the identity who caused it: empty when the server's clock
// did, and for a cast secret ballot. Cmd is the id of the command behind it, and
// Sum the command's; viewers are not sent the latter.
type Event struct {
	Seq  uint64 `json:"seq"`
	Type string `json:"type"`
	By   string `json:"by,omitempty"`
	Cmd  string `json:"cmd,omitempty"`
	Sum  string `json:"sum,omitempty"`
	Body Body   `json:"body"`
}

// Body is the typed body of an event; EventTypes lists them.
type Body interface {
	kind() string
	apply(s *State, m meta) error
	// seen is what a viewer may see of it: the body itself, a copy with
	// something left out, another body that stands for it, or nil.
	seen(v *view) Body
}

// meta is what an event's body may need to know of its event.
type meta struct {
	seq uint64
	at  time.Time
	by  string
}

// EventType describes one type of event for schemas.
type EventType struct {
	Type string
	Body Body // a pointer to the empty body
}

// EventTypes lists every event, by type.
func EventTypes() []EventType {
	var out []EventType
	for _, t := range slices.Sorted(maps.Keys(bodies)) {
		out = append(out, EventType{Type: t, Body: bodies[t]()})
	}
	return out
}

// UnmarshalJSON reads an event with the body its type says.
func (e *Event) UnmarshalJSON(raw []byte) error {
	var w struct {
		Seq  uint64          `json:"seq"`
		Type string          `json:"type"`
		By   string          `json:"by"`
		Cmd  string          `json:"cmd"`
		Sum  string          `json:"sum"`
		Body json.RawMessage `json:"body"`
	}
	if err := json.Unmarshal(raw, &w); err != nil {
		return err
	}
	mk, ok := bodies[w.Type]
	if !ok {
		return fmt.Errorf("meeting: unknown event type %q", w.Type)
	}
	b := mk()
	dec := json.NewDecoder(bytes.NewReader(w.Body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(b); err != nil {
		return fmt.Errorf("meeting: body of %s: %w", w.Type, err)
	}
	*e = Event{Seq: w.Seq, Type: w.Type, By: w.By, Cmd: w.Cmd, Sum: w.Sum, Body: b}
	return nil
}

// Evolve changes s by one event that happened at the server's time at. A state
// takes its events in order without a gap; a view (see Snapshot) takes those that
// were let through to it. An error means that the event is not of this meeting's
// history; s must not be used further.
func Evolve(s *State, e Event, at time.Time) error {
	if e.Body == nil || e.Type != e.Body.kind() {
		return fmt.Errorf("meeting: event %d has no body of type %q", e.Seq, e.Type)
	}
	if want := s.Seq + 1; e.Seq != want && (s.Viewer == "" || e.Seq < want) {
		return fmt.Errorf("meeting: event %d where %d was due", e.Seq, want)
	}
	at = s.moment(at)
	if err := e.Body.apply(s, meta{seq: e.Seq, at: at, by: e.By}); err != nil {
		return fmt.Errorf("meeting: event %d %s: %w", e.Seq, e.Type, err)
	}
	s.Seq, s.At = e.Seq, at
	if s.Viewer == "" && e.Cmd != "" && e.By != "" {
		s.remember(e)
	}
	return nil
}

// remember keeps the last ids of an author's commands.
func (s *State) remember(e Event) {
	list := s.Applied[e.By]
	if n := len(list); n > 0 && list[n-1].ID == e.Cmd {
		list[n-1].Seq = e.Seq
		return
	}
	if len(list) >= rememberedIDs {
		list = append(list[:0], list[1:]...)
	}
	s.Applied[e.By] = append(list, AppliedCommand{ID: e.Cmd, Seq: e.Seq, Sum: e.Sum})
}

// moment brings a time to what is kept: UTC, milliseconds, never before the last event.
func (s *State) moment(t time.Time) time.Time {
	t = t.UTC().Truncate(time.Millisecond)
	if t.Before(s.At) {
		return s.At
	}
	return t
}

// lacks is the error of an event about something the state does not have. A view
// may be told of something that is not in its sight yet.
func (s *State) lacks(what, id string) error {
	if s.Viewer != "" {
		return nil
	}
	return fmt.Errorf("no %s %q", what, id)
}
