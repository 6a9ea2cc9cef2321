package configs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one thing wrong with a configuration.
type Error struct {
	Source  string // file name, environment variable, flag; empty if the key was set nowhere
	Line    int    // in a file, counted from 1; 0 elsewhere
	Key     string // dotted, as in rtc.udp_port; empty if the error concerns the whole source
	Message string
}

// Error gives "file:line: key: message", without the parts that are unknown.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Source != "" {
		b.WriteString(e.Source)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d", e.Line)
		}
		b.WriteString(": ")
	}
	if e.Key != "" {
		b.WriteString(e.Key)
		b.WriteString(": ")
	}
	b.WriteString(e.Message)
	return b.String()
}

// Errors is everything that is wrong with a configuration: sources in the order
// in which they are read, errors of a file in the order of its lines.
type Errors []*Error

// Error gives one line per error.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.Is and errors.As see each error.
func (e Errors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, err := range e {
		errs[i] = err
	}
	return errs
}

// sorted orders the errors by line within a source, and the sources as in order;
// an error without a source comes last.
func (e Errors) sorted(order []string) Errors {
	rank := map[string]int{"": len(order)}
	for i, source := range order {
		rank[source] = i
	}
	slices.SortStableFunc(e, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(rank[a.Source], rank[b.Source]), cmp.Compare(a.Line, b.Line))
	})
	return e
}
