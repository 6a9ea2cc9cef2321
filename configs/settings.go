package configs

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// envPrefix begins the name of every environment variable of ours.
const envPrefix = "DIEMCAU_"

// What client commands and tests read to reach or start a server is no
// configuration of one, so it may stand in a server's environment: these
// variables, and those that begin with these prefixes.
var (
	clientVariables = []string{"DIEMCAU_URL", "DIEMCAU_KEY", "DIEMCAU_SECRET", "DIEMCAU_BIN", "DIEMCAU_METRICS_URL", "DIEMCAU_SCREENSHOTS"}
	clientPrefixes  = []string{"DIEMCAU_TEST_", "DIEMCAU_E2E_"}
)

// isOurs says whether an environment variable configures the server.
func isOurs(name string) bool {
	return strings.HasPrefix(name, envPrefix) && !slices.Contains(clientVariables, name) &&
		!slices.ContainsFunc(clientPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// setting is one key set by text, from the environment or a flag.
type setting struct {
	source string
	path   []string
	value  string
}

// fromEnvironment picks the settings out of "NAME=value" pairs, sorted by name.
// Sections and keys are in any case; what follows KEYS__ is kept as written.
func fromEnvironment(env []string) []setting {
	last := map[string]string{}
	for _, pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		if isOurs(name) {
			last[name] = value
		}
	}
	settings := make([]setting, 0, len(last))
	for name, value := range last {
		path := strings.SplitN(strings.TrimPrefix(name, envPrefix), "__", 2)
		settings = append(settings, setting{source: name, path: path, value: value})
	}
	slices.SortFunc(settings, func(a, b setting) int { return strings.Compare(a.source, b.source) })
	return settings
}

// splitKey splits a dotted key into section and key.
func splitKey(key string) []string { return strings.SplitN(key, ".", 2) }

// applyAll sets each key over the present values.
func (l *loader) applyAll(settings []setting) {
	for _, s := range settings {
		l.order = append(l.order, s.source)
		l.apply(s)
	}
}

// apply finds the field that the setting names and parses its value.
func (l *loader) apply(s setting) {
	at := place{source: s.source}
	v := reflect.ValueOf(&l.cfg).Elem()
	key := strings.ToLower(s.path[0])
	field, ok := fieldByKey(v, key)
	if ok && len(s.path) == 2 {
		switch field.Kind() {
		case reflect.Map:
			l.setMapEntry(at, key+".", s.path[1], s.value, field)
			return
		case reflect.Struct:
			sub := strings.ToLower(s.path[1])
			v, key = field, key+"."+sub
			field, ok = fieldByKey(field, sub)
		default:
			ok = false
		}
	}
	if !ok || field.Kind() == reflect.Struct || field.Kind() == reflect.Map {
		l.fail(at, "", "no such configuration key; %s", hint(v))
		return
	}
	l.places[key] = at
	l.parse(at, key, s.value, field)
}

// hint names what could have been meant at v.
func hint(v reflect.Value) string {
	return "known here: " + strings.ToUpper(strings.Join(knownKeys(v), ", "))
}

// parse stores the text as the type of the field. Lists are separated by commas.
func (l *loader) parse(at place, key, text string, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		switch text {
		case "true", "false":
			v.SetBool(text == "true")
		default:
			l.fail(at, key, "must be true or false")
		}
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			l.fail(at, key, "must be a whole number")
			return
		}
		v.SetInt(int64(n))
	case reflect.Int64: // a time.Duration
		d, err := time.ParseDuration(text)
		if err != nil {
			l.fail(at, key, "must be a time, as in 90s, 5m or 1h30m")
			return
		}
		v.SetInt(int64(d))
	case reflect.Slice:
		list := []string{}
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, item)
			}
		}
		v.Set(reflect.ValueOf(list))
	default:
		panic("configs: no parser for the type of " + key)
	}
}
