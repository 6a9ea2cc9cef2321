package configs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// decodeYAML reads one YAML document over the present values. The decoder of
// the yaml package stops at, or coerces, much of what we want to report with
// its line, so the tree of nodes is walked here, along the fields of Config.
func (l *loader) decodeYAML(source string, data []byte) {
	l.order = append(l.order, source)
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if !errors.Is(err, io.EOF) { // an empty file sets nothing
			l.syntaxError(source, err)
		}
		return
	}
	var more yaml.Node
	if err := dec.Decode(&more); err == nil {
		l.fail(place{source, more.Line}, "", "a second YAML document; only one is read")
	} else if !errors.Is(err, io.EOF) {
		l.syntaxError(source, err)
	}
	if len(doc.Content) == 0 || isNull(doc.Content[0]) {
		return
	}
	l.decodeStruct(source, "", doc.Content[0], reflect.ValueOf(&l.cfg).Elem())
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): `)

// syntaxError reports an error of the YAML parser, with its line if it names one.
func (l *loader) syntaxError(source string, err error) {
	l.broken = true
	message, line := err.Error(), 0
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1]) // digits, as matched
		message = message[len(m[0]):]
	}
	l.fail(place{source, line}, "", "not YAML: %s", strings.TrimPrefix(message, "yaml: "))
}

// decodeStruct walks a mapping whose keys are the fields of v.
func (l *loader) decodeStruct(source, prefix string, node *yaml.Node, v reflect.Value) {
	l.eachPair(source, prefix, node, func(key string, at place, value *yaml.Node) {
		field, ok := fieldByKey(v, key)
		if !ok {
			l.fail(at, prefix+key, "unknown key; known here: %s", strings.Join(knownKeys(v), ", "))
			return
		}
		l.places[prefix+key] = at
		l.decodeValue(source, prefix+key, value, field)
	})
}

// eachPair calls f for each key of a mapping, after checking that it is a
// mapping and that no key stands in it twice.
func (l *loader) eachPair(source, prefix string, node *yaml.Node, f func(string, place, *yaml.Node)) {
	name := strings.TrimSuffix(prefix, ".")
	if node.Kind != yaml.MappingNode {
		l.fail(place{source, node.Line}, name, "must be keys and values, not %s", describe(node))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		k, value := resolve(node.Content[i]), resolve(node.Content[i+1])
		at := place{source, node.Content[i].Line}
		if k.Kind != yaml.ScalarNode {
			l.fail(at, name, "a key must be plain text, not %s", describe(k))
			continue
		}
		if first, twice := seen[k.Value]; twice {
			l.fail(at, prefix+k.Value, "given twice, first in line %d", first)
			continue
		}
		seen[k.Value] = at.line
		f(k.Value, at, value)
	}
}

// decodeValue stores the value of one key.
func (l *loader) decodeValue(source, key string, node *yaml.Node, v reflect.Value) {
	at := place{source, node.Line}
	switch v.Kind() {
	case reflect.Struct:
		if !isNull(node) { // a section with all its keys commented out
			l.decodeStruct(source, key+".", node, v)
		}
	case reflect.Map:
		if !isNull(node) {
			l.decodeMap(source, key+".", node, v)
		}
	case reflect.Slice:
		l.decodeList(source, key, node, v)
	case reflect.String:
		if node.Kind != yaml.ScalarNode || node.ShortTag() != "!!str" {
			l.fail(at, key, "must be text, not %s%s", describe(node), quoteHint(node))
			return
		}
		v.SetString(node.Value)
	case reflect.Bool:
		var b bool
		if node.ShortTag() != "!!bool" || node.Decode(&b) != nil {
			l.fail(at, key, "must be true or false, not %s", describe(node))
			return
		}
		v.SetBool(b)
	case reflect.Int:
		var n int
		if node.ShortTag() != "!!int" || node.Decode(&n) != nil {
			l.fail(at, key, "must be a whole number, not %s", describe(node))
			return
		}
		v.SetInt(int64(n))
	case reflect.Int64: // a time.Duration
		d, err := time.ParseDuration(node.Value)
		if node.Kind != yaml.ScalarNode || err != nil {
			l.fail(at, key, "must be a time, as in 90s, 5m or 1h30m, not %s", describe(node))
			return
		}
		v.SetInt(int64(d))
	default:
		panic("configs: no decoder for the type of " + key)
	}
}

// decodeList stores a list of texts, in place of the one before.
func (l *loader) decodeList(source, key string, node *yaml.Node, v reflect.Value) {
	if node.Kind != yaml.SequenceNode {
		l.fail(place{source, node.Line}, key, "must be a list, as in [a, b], not %s", describe(node))
		return
	}
	list := make([]string, 0, len(node.Content))
	for _, item := range node.Content {
		item = resolve(item)
		if item.Kind != yaml.ScalarNode || item.ShortTag() != "!!str" {
			l.fail(place{source, item.Line}, key, "each item must be text, not %s%s", describe(item), quoteHint(item))
			continue
		}
		list = append(list, item.Value)
	}
	v.Set(reflect.ValueOf(list))
}

// decodeMap adds pairs of text to a map, over those of earlier layers.
func (l *loader) decodeMap(source, prefix string, node *yaml.Node, v reflect.Value) {
	l.eachPair(source, prefix, node, func(key string, at place, value *yaml.Node) {
		if value.Kind != yaml.ScalarNode || value.ShortTag() != "!!str" {
			l.fail(at, prefix+key, "must be text, not %s%s", describe(value), quoteHint(value))
			return
		}
		l.setMapEntry(at, prefix, key, value.Value, v)
	})
}

// setMapEntry sets one entry of a map of texts.
func (l *loader) setMapEntry(at place, prefix, key, value string, v reflect.Value) {
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	v.SetMapIndex(reflect.ValueOf(key), reflect.ValueOf(value))
	l.places[prefix+key] = at
}

// fieldByKey finds the field of struct v whose yaml key is key.
func fieldByKey(v reflect.Value, key string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if tag := v.Type().Field(i).Tag.Get("yaml"); tag == key && tag != "-" {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// knownKeys lists the yaml keys of struct v, sorted.
func knownKeys(v reflect.Value) []string {
	var keys []string
	for i := range v.NumField() {
		if tag := v.Type().Field(i).Tag.Get("yaml"); tag != "-" {
			keys = append(keys, tag)
		}
	}
	slices.Sort(keys)
	return keys
}

// resolve follows an alias to the node it stands for.
func resolve(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

// describe names the kind of a node, without its value, which may be a secret.
func describe(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "keys and values"
	case yaml.SequenceNode:
		return "a list"
	}
	switch node.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!bool":
		return "true or false"
	case "!!int", "!!float":
		return "a number"
	case "!!timestamp":
		return "a date"
	case "!!str":
		return "text"
	}
	return "a value of type " + node.ShortTag()
}

// quoteHint tells how to write a plain scalar that should have been text.
func quoteHint(node *yaml.Node) string {
	if node.Kind != yaml.ScalarNode || isNull(node) {
		return ""
	}
	return "; put it in quotes"
}

// withoutPath strips the path from a file error that will be shown after it.
func withoutPath(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
