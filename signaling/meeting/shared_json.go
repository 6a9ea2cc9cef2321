package meeting

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
)

var errOtherState = errors.New("meeting: what is shared and what is one's own are of different states")

// minPart is from how many bytes on a part of a snapshot is not copied for each viewer.
const minPart = 4 << 10

// perPerson is about how many bytes a person takes in JSON.
const perPerson = 280

// doc is a state as JSON, and the places in it where something of one's own goes.
type doc struct {
	text                                               []byte
	viewer                                             int // where "viewer" would be
	people, speak, question, devices, readiness, lobby memberList
	votes                                              map[string]voteDoc
}

type voteDoc struct{ voters, issued, ballots memberList }

// memberList has those of an object that was made of a map.
type memberList struct {
	name     string
	from, to int      // what is between the braces
	list     []member // sorted by key
	absent   bool     // the whole object is left out, as it is empty; it would be at from
}

type member struct {
	key      string
	from, to int
}

// newDoc encodes a state that is nobody's in particular.
func newDoc(s *State) (*doc, error) {
	d, w := &doc{votes: make(map[string]voteDoc, len(s.Votes))}, &docWriter{text: make([]byte, 0, 4096+perPerson*len(s.People))}
	queue := func(name string, to *memberList) func(reflect.Value) {
		return func(f reflect.Value) {
			w.name(name)
			w.object(f.Elem(), map[string]func(reflect.Value){
				"requests": func(f reflect.Value) { *to = object(w, "requests", false, mapOf[*Request](f), nil) },
			})
		}
	}
	w.object(reflect.ValueOf(s).Elem(), map[string]func(reflect.Value){
		"viewer":    func(reflect.Value) { d.viewer = len(w.text) },
		"people":    func(f reflect.Value) { d.people = object(w, "people", false, mapOf[*Person](f), nil) },
		"speak":     queue("speak", &d.speak),
		"question":  queue("question", &d.question),
		"devices":   func(f reflect.Value) { d.devices = object(w, "devices", false, mapOf[*Device](f), nil) },
		"readiness": func(f reflect.Value) { d.readiness = object(w, "readiness", false, mapOf[*Readiness](f), nil) },
		"lobby":     func(f reflect.Value) { d.lobby = object(w, "lobby", false, mapOf[*Waiting](f), nil) },
		"votes": func(f reflect.Value) {
			object(w, "votes", false, mapOf[*Vote](f), func(id string, v *Vote) { d.votes[id] = w.vote(v) })
		},
	})
	d.text = w.text
	return d, w.err
}

func mapOf[T any](f reflect.Value) map[string]T {
	m, _ := f.Interface().(map[string]T) // the callers name the types of the fields
	return m
}

// docWriter writes what json.Marshal would, and what is after the first error is of no use.
type docWriter struct {
	text []byte
	err  error
}

func (w *docWriter) vote(v *Vote) (d voteDoc) {
	w.object(reflect.ValueOf(v).Elem(), map[string]func(reflect.Value){
		"voters":  func(f reflect.Value) { d.voters = object(w, "voters", true, mapOf[string](f), nil) },
		"issued":  func(f reflect.Value) { d.issued = object(w, "issued", true, mapOf[string](f), nil) },
		"ballots": func(f reflect.Value) { d.ballots = object(w, "ballots", true, mapOf[[]string](f), nil) },
	})
	return d
}

func (w *docWriter) value(v any) {
	raw, err := json.Marshal(v)
	w.text = append(w.text, raw...)
	w.err = errors.Join(w.err, err)
}

// name begins a member of an object.
func (w *docWriter) name(name string) {
	if w.text[len(w.text)-1] != '{' {
		w.text = append(w.text, ',')
	}
	w.value(name)
	w.text = append(w.text, ':')
}

// object writes a struct; the fields that special names are left to it.
func (w *docWriter) object(v reflect.Value, special map[string]func(reflect.Value)) {
	w.text = append(w.text, '{')
	w.fields(v, special)
	w.text = append(w.text, '}')
}

func (w *docWriter) fields(v reflect.Value, special map[string]func(reflect.Value)) {
	for i := range v.NumField() {
		field, f := v.Type().Field(i), v.Field(i)
		name, options, tagged := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && name == "":
			w.fields(f, special)
		case special[name] != nil:
			special[name](f)
		case tagged && strings.Contains(options, "omitempty") && empty(f), tagged && strings.Contains(options, "omitzero") && zero(f):
		default:
			w.name(name)
			w.value(f.Interface())
		}
	}
}

// empty is what omitempty leaves out.
func empty(f reflect.Value) bool {
	switch f.Kind() {
	case reflect.Map, reflect.Slice, reflect.String, reflect.Array:
		return f.Len() == 0
	case reflect.Struct:
		return false
	}
	return f.IsZero()
}

// zero is what omitzero leaves out.
func zero(f reflect.Value) bool {
	if z, ok := f.Interface().(interface{ IsZero() bool }); ok {
		return z.IsZero()
	}
	return f.IsZero()
}

// object writes a map, by write if not nil; with sparse an empty one is left out.
func object[T any](w *docWriter, name string, sparse bool, in map[string]T, write func(key string, v T)) memberList {
	m := memberList{name: name, from: len(w.text), to: len(w.text), absent: sparse && len(in) == 0}
	if m.absent {
		return m
	}
	w.name(name)
	w.text = append(w.text, '{')
	m.from = len(w.text)
	m.list = make([]member, 0, len(in))
	for _, key := range slices.Sorted(maps.Keys(in)) {
		if len(m.list) > 0 {
			w.text = append(w.text, ',')
		}
		from := len(w.text)
		w.value(key)
		w.text = append(w.text, ':')
		if write != nil {
			write(key, in[key])
		} else {
			w.value(in[key])
		}
		m.list = append(m.list, member{key, from, len(w.text)})
	}
	m.to = len(w.text)
	w.text = append(w.text, '}')
	return m
}

// edits replace pieces of a text.
type edits struct {
	list []edit
	err  error
}

type edit struct {
	from, to int
	text     []byte
}

// put has prefix and the JSON of value in place of what is between from and to.
func (e *edits) put(from, to int, prefix string, value any) {
	raw, err := json.Marshal(value)
	e.err = errors.Join(e.err, err)
	e.list = append(e.list, edit{from, to, append([]byte(prefix), raw...)})
}

// mix puts entries among the memberList of an object, or in their place.
func mix[T any](e *edits, m memberList, own map[string]T) {
	if len(own) == 0 {
		return
	}
	if m.absent {
		e.put(m.from, m.from, `,"`+m.name+`":`, own)
		return
	}
	for n, key := range slices.Sorted(maps.Keys(own)) {
		name, err := json.Marshal(key)
		e.err = errors.Join(e.err, err)
		prefix := string(name) + ":"
		i, there := slices.BinarySearchFunc(m.list, key, func(x member, key string) int { return cmp.Compare(x.key, key) })
		switch {
		case there:
			e.put(m.list[i].from, m.list[i].to, prefix, own[key])
		case i < len(m.list):
			e.put(m.list[i].from, m.list[i].from, prefix, own[key])
			last := &e.list[len(e.list)-1]
			last.text = append(last.text, ',')
		case i > 0 || n > 0:
			e.put(m.to, m.to, ","+prefix, own[key])
		default:
			e.put(m.to, m.to, prefix, own[key])
		}
	}
}

// parts are text with the edits made, in pieces. Long ones are text's own.
func (e *edits) parts(text []byte) ([][]byte, error) {
	slices.SortStableFunc(e.list, func(a, b edit) int { return cmp.Compare(a.from, b.from) })
	var parts [][]byte
	var short bytes.Buffer
	flush := func() {
		if short.Len() > 0 {
			parts = append(parts, bytes.Clone(short.Bytes()))
			short.Reset()
		}
	}
	at := 0
	until := func(to int) {
		if piece := text[at:to:to]; len(piece) >= minPart {
			flush()
			parts = append(parts, piece)
		} else {
			short.Write(piece)
		}
	}
	for _, x := range e.list {
		until(x.from)
		short.Write(x.text)
		at = x.to
	}
	until(len(text))
	flush()
	return parts, e.err
}
