package configs

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// maxFile is the largest configuration file that is read, in bytes.
const maxFile = 1 << 20

// Option changes what Load builds.
type Option func(*loader)

// Demo puts the demonstration's values over the defaults: loopback addresses
// and the public key pair DemoKey, DemoSecret. File, environment and flags
// still override them.
func Demo() Option {
	return func(l *loader) { l.cfg.Demo = true }
}

// Flag sets one key from a command-line flag, over every other layer. name is
// the flag as errors show it, such as --listen. key is dotted.
func Flag(name, key, value string) Option {
	return func(l *loader) { l.flags = append(l.flags, setting{source: name, path: splitKey(key), value: value}) }
}

// place is where a key got its value.
type place struct {
	source string
	line   int
}

// loader builds one Config and remembers where each value came from.
type loader struct {
	cfg    Config
	flags  []setting
	places map[string]place // by dotted key
	order  []string         // sources as they were read
	errs   Errors
	broken bool // a source could not be read, so its keys are not known
}

// Load builds the configuration from the defaults, the file at path (none if
// path is empty), the variables of env that begin with DIEMCAU_ ("NAME=value",
// as from os.Environ), and the options, and validates it. An error is of type
// Errors and holds everything that is wrong.
func Load(path string, env []string, options ...Option) (*Config, error) {
	return load(readFile, path, env, options...)
}

// load is Load with the reading of the file left to read.
func load(read func(string) ([]byte, error), path string, env []string, options ...Option) (*Config, error) {
	l := &loader{places: map[string]place{}}
	for _, o := range options {
		o(l)
	}
	l.decodeYAML("reference.yaml", Reference)
	clear(l.places) // a default has no place the user could mend
	if l.cfg.Demo {
		l.cfg.Listen, l.cfg.DataDir = DemoListen, DemoDataDir
		l.cfg.RTC.UseLoopback = true
		l.cfg.Keys = map[string]string{DemoKey: DemoSecret}
	}
	if path != "" {
		l.decodeFile(path, read)
	}
	l.applyAll(fromEnvironment(env))
	l.applyAll(l.flags)
	l.validate(path)
	if len(l.errs) > 0 {
		return nil, l.errs.sorted(l.order)
	}
	return &l.cfg, nil
}

// fail records an error at a place.
func (l *loader) fail(at place, key, format string, args ...any) {
	l.errs = append(l.errs, &Error{Source: at.source, Line: at.line, Key: key, Message: fmt.Sprintf(format, args...)})
}

// decodeFile reads the file at path as one layer.
func (l *loader) decodeFile(path string, read func(string) ([]byte, error)) {
	data, err := read(path)
	if err != nil {
		l.order = append(l.order, path)
		l.broken = true
		l.fail(place{source: path}, "", "%v", err)
		return
	}
	l.decodeYAML(path, data)
}

// readFile reads a file of at most maxFile bytes. Its errors do not repeat the path.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, withoutPath(err)
	}
	defer func() { _ = f.Close() }() // only read
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, withoutPath(err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("larger than %d bytes", maxFile)
	}
	return data, nil
}

// validate checks the built values and gives each error the place of its key, or
// the file at path if the key was set nowhere.
func (l *loader) validate(path string) {
	if l.broken {
		return
	}
	decoded := l.errs
	for _, err := range l.cfg.check() {
		if slices.ContainsFunc(decoded, func(d *Error) bool { return concerns(d.Key, err.Key) }) {
			continue // what could not be decoded is not judged twice
		}
		at, ok := l.places[err.Key]
		if !ok {
			at.source = path
		}
		err.Source, err.Line = at.source, at.line
		l.errs = append(l.errs, err)
	}
}

// concerns says whether key is section or stands under it.
func concerns(key, section string) bool {
	return key == section || strings.HasPrefix(key, section+".")
}
