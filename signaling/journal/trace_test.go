package journal

import (
	"bufio"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// call is one system call of a trace. It counts as done when it returned; a sync
// covers what was done when it began, which is the same for one that nothing
// writes beside, as here.
type call struct {
	name   string
	args   string // as strace prints them, bytes as \x..
	result int64
}

var (
	traceLine    = regexp.MustCompile(`^(\d+) +(.*)$`)
	traceCall    = regexp.MustCompile(`^(\w+)\((.*)\) += (-?\d+|\?).*$`)
	traceResumed = regexp.MustCompile(`^<\.\.\. \w+ resumed>(.*)$`)
	traceString  = regexp.MustCompile(`"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?`)
	traceFD      = regexp.MustCompile(`^(\d+)<([^>]*)>`)
	tracePathFD  = regexp.MustCompile(`<((?:\\x[0-9a-f]{2})*)>`)
)

// readTrace reads the output of strace -f -y -xx.
func readTrace(t *testing.T, file string) []call {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<20)
	begun := make(map[string]string) // by thread
	var calls []call
	for lines.Scan() {
		m := traceLine.FindStringSubmatch(lines.Text())
		require.NotNil(t, m, lines.Text())
		thread, text := m[1], m[2]
		if strings.HasPrefix(text, "+++") || strings.HasPrefix(text, "---") {
			continue
		}
		if head, ok := strings.CutSuffix(text, "<unfinished ...>"); ok {
			begun[thread] = strings.TrimRight(head, " ")
			continue
		}
		if r := traceResumed.FindStringSubmatch(text); r != nil {
			text = begun[thread] + r[1]
			delete(begun, thread)
		}
		p := traceCall.FindStringSubmatch(text)
		require.NotNil(t, p, text)
		result, err := strconv.ParseInt(p[3], 10, 64)
		if err != nil {
			result = -1
		}
		// What stands between < and > is a path in \x form, too.
		args := tracePathFD.ReplaceAllStringFunc(p[2], func(s string) string { return "<" + unescape(s[1:len(s)-1]) + ">" })
		calls = append(calls, call{name: p[1], args: args, result: result})
	}
	require.NoError(t, lines.Err())
	require.NotEmpty(t, calls)
	return calls
}

func unescape(s string) string {
	s, err := strconv.Unquote(`"` + s + `"`)
	if err != nil {
		panic(err) // the expressions let nothing else through
	}
	return s
}

func (c call) failed() bool { return c.result < 0 }

// fdPath is the path of the descriptor that is the first argument.
func (c call) fdPath() string {
	if m := traceFD.FindStringSubmatch(c.args); m != nil {
		return m[2]
	}
	return ""
}

// data is the i-th string among the arguments.
func (c call) data(i int) string {
	all := traceString.FindAllStringSubmatch(c.args, -1)
	if i >= len(all) || all[i][2] != "" {
		panic("strace shortened " + c.name)
	}
	return unescape(all[i][1])
}

func (c call) path(i int) string { return c.data(i) }

// number is the i-th argument, counted with commas.
func (c call) number(i int) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(strings.Split(c.args, ",")[i]), 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// printed is the line that a call wrote to standard output.
func (c call) printed() (string, bool) {
	if c.name != "write" || !strings.HasPrefix(c.args, "1<") {
		return "", false
	}
	return strings.TrimSuffix(c.data(0), "\n"), true
}
