package conference

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/stretchr/testify/require"

	"diemcau/signaling/meeting"
	"diemcau/signaling/problem"
)

const docs = "../../docs/"

// schemas makes the schema of everything that goes over the socket.
func schemas() (huma.Registry, map[string]any) {
	r := huma.NewMapRegistry("#/$defs/", func(t reflect.Type, hint string) string { return huma.DefaultSchemaNamer(t, hint) })
	of := func(v any) *huma.Schema { return r.Schema(reflect.TypeOf(v), true, "") }
	object := func(required []string, properties map[string]any) m {
		return m{"type": "object", "required": required, "properties": properties, "additionalProperties": false}
	}
	text, number, at := m{"type": "string"}, m{"type": "integer", "minimum": 0}, m{"type": "string", "format": "date-time"}
	var commands, events []any
	for _, c := range meeting.CommandTypes() {
		if notForClients[c.Type] {
			continue
		}
		commands = append(commands, m{"type": "object", "description": "May give it: " + c.Who + ". In: " + states(c.States),
			"required": []string{"id", "type"}, "additionalProperties": false,
			"properties": m{"id": m{"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}, "type": m{"const": c.Type}, "body": of(c.Body)}})
	}
	for _, e := range meeting.EventTypes() {
		events = append(events, object([]string{"seq", "type", "body"}, m{"seq": number, "type": m{"const": e.Type}, "by": text, "cmd": text, "body": of(e.Body)}))
	}
	state := of(&meeting.State{})
	defs := m{
		"command":  m{"description": "From the client.", "oneOf": commands},
		"event":    m{"description": "In frames of type events.", "oneOf": events},
		"snapshot": object([]string{"type", "seq", "at", "state"}, m{"type": m{"const": "snapshot"}, "seq": number, "at": at, "state": state}),
		"events":   object([]string{"type", "seq", "at", "events"}, m{"type": m{"const": "events"}, "seq": number, "at": at, "events": m{"type": "array", "items": m{"$ref": "#/$defs/event"}}}),
		"progress": object([]string{"type", "seq", "vote", "cast"}, m{"type": m{"const": "progress"}, "seq": number, "vote": text, "cast": number}),
		"ack":      object([]string{"type", "id", "seq"}, m{"type": m{"const": "ack"}, "id": text, "seq": number}),
		"error":    object([]string{"type", "id", "problem"}, m{"type": m{"const": "error"}, "id": text, "problem": of(&problem.Details{})}),
	}
	for name, s := range r.Map() {
		defs[name] = s
	}
	return r, m{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Messages of /ws/v1/meetings/{id}",
		"description": "From the server: snapshot, events, progress, ack, error. From the client: command.",
		"oneOf":       []m{{"$ref": "#/$defs/snapshot"}, {"$ref": "#/$defs/events"}, {"$ref": "#/$defs/progress"}, {"$ref": "#/$defs/ack"}, {"$ref": "#/$defs/error"}},
		"$defs":       defs,
	}
}

func states(all []meeting.Status) string {
	var out []string
	for _, s := range all {
		out = append(out, string(s))
	}
	return strings.Join(out, ", ")
}

// TestSchema holds docs/meeting-events.schema.json to the code.
func TestSchema(t *testing.T) {
	_, schema := schemas()
	raw, err := json.MarshalIndent(schema, "", "  ")
	require.NoError(t, err)
	golden(t, docs+"meeting-events.schema.json", string(raw)+"\n")
}

// TestFramesFitTheSchema sends a meeting's frames through the schema.
func TestFramesFitTheSchema(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r, _ := schemas()
		c := b.populate()
		id := c.small("Họp", "2026-12-09T08:00:00+07:00", m{"id": "user:d01", "role": "delegate", "voting": true}, m{"id": "point:p001", "role": "point"})
		socket := c.chair.open(id, "")
		snapshot := socket.next("snapshot")
		valid(t, r, &meeting.State{}, snapshot.State)
		bodies := map[string]any{}
		for _, e := range meeting.EventTypes() {
			bodies[e.Type] = e.Body
		}
		item := fmt.Sprintf("i%d", c.sec.give(id, "agenda.add", m{"title": "Một", "minutes": 5}))
		c.sec.give(id, "attendance.confirm", m{"people": []string{"user:d01", "user:chair"}})
		c.chair.give(id, "meeting.start", m{})
		c.chair.give(id, "agenda.start", m{"item": item})
		c.chair.give(id, "speak.open", m{"limit": 60})
		c.of("d01").give(id, "speak.request", m{"topic": "x"})
		c.chair.give(id, "point.call", m{"point": "point:p001"})
		vote := fmt.Sprintf("v%d", c.sec.give(id, "vote.draft", m{"title": "A", "secret": true}))
		c.chair.give(id, "vote.open", m{"vote": vote, "seconds": 60})
		c.chair.give(id, "vote.close", m{"vote": vote})
		c.chair.give(id, "vote.publish", m{"vote": vote})
		last := c.chair.give(id, "meeting.end", m{})
		seen := 0
		for socket.seq < last {
			for _, e := range socket.next("events").Events {
				valid(t, r, bodies[e.Type], e.Body)
				seen++
			}
		}
		require.Greater(t, seen, 12)
		var state json.RawMessage
		c.chair.into(http.StatusOK, &state, "GET", path(id, ""), nil)
		valid(t, r, &meeting.State{}, state)
	})
}

// valid checks JSON against the schema of a type.
func valid(t *testing.T, r huma.Registry, of any, raw json.RawMessage) {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal(raw, &v))
	res := &huma.ValidateResult{}
	huma.Validate(r, r.Schema(reflect.TypeOf(of), true, ""), huma.NewPathBuffer([]byte{}, 0), huma.ModeReadFromServer, v, res)
	require.Empty(t, res.Errors, "%T %s", of, raw)
}
