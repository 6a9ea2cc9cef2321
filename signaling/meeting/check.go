package meeting

import (
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Limits of what one meeting holds. What is beyond is refused, never dropped.
const (
	maxBody        = 64 << 10
	maxPeople      = 5000
	maxBulk        = 2500
	maxUnits       = 500
	maxItems       = 300
	maxDocuments   = 50
	maxWaiting     = 300
	maxRequests    = 5000
	maxAsked       = 10 // times that one person asks to speak on one item
	maxVotes       = 300
	maxOpenVotes   = 8
	maxChoices     = 50
	maxCallQueue   = 30
	maxLobby       = 500
	maxChat        = 500
	maxConclusions = 200
	maxVersions    = 50
	maxSpotlight   = 16
	rememberedIDs  = 32
	maxRevision    = 1000
)

var (
	commandIDForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	identityForm  = regexp.MustCompile(`^(user|guest|point|svc):[A-Za-z0-9_.-]{1,64}$`)
	refForm       = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)
	hashForm      = regexp.MustCompile(`^[0-9a-f]{64}$`)
	signatureForm = regexp.MustCompile(`^[A-Za-z0-9_-]{342}$`) // 256 bytes
	ballotKeyForm = regexp.MustCompile(`^[A-Za-z0-9_-]{392}$`) // 294 bytes
)

// checker looks at a command's body and keeps the first thing that is wrong.
// Texts are replaced by their NFC form without space around.
type checker struct{ err *Problem }

func (c *checker) fail(code, field string) {
	if c.err == nil {
		c.err = problemIn(code, field)
	}
}

func (c *checker) line(p *string, field string, shortest, longest int) {
	c.text(p, field, shortest, longest, false)
}

func (c *checker) lines(p *string, field string, shortest, longest int) {
	c.text(p, field, shortest, longest, true)
}

func (c *checker) text(p *string, field string, shortest, longest int, breaks bool) {
	if !utf8.ValidString(*p) {
		c.fail("bad_text", field)
		return
	}
	t := strings.Trim(norm.NFC.String(strings.ReplaceAll(*p, "\r\n", "\n")), " \n\t\u00a0")
	for _, r := range t {
		if !allowedRune(r, breaks) {
			c.fail("bad_text", field)
			return
		}
	}
	if !strings.ContainsFunc(t, visible) {
		t = ""
	}
	n := utf8.RuneCountInString(t)
	if n < shortest || n > longest {
		c.fail("bad_text", field)
		return
	}
	*p = t
}

// allowedRune refuses control characters, separators that act as line breaks,
// bidirectional overrides and isolates, and the mark that broken UTF-8 leaves.
func allowedRune(r rune, breaks bool) bool {
	switch {
	case r == '\n' || r == '\t':
		return breaks
	case unicode.IsControl(r), r == '\u2028', r == '\u2029', r == utf8.RuneError, r == '\ufeff':
		return false
	case r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
		return false
	}
	return true
}

// visible leaves out spaces and characters without a shape of their own. A text of
// nothing else is none: it would stand for a reason that was not given.
func visible(r rune) bool {
	return unicode.IsGraphic(r) && !unicode.IsSpace(r) && !unicode.Is(unicode.Mn, r)
}

func (c *checker) number(n int, field string, least, most int) {
	if n < least || n > most {
		c.fail("bad_value", field)
	}
}

func (c *checker) oneOf(v, field string, allowed ...string) {
	for _, a := range allowed {
		if v == a {
			return
		}
	}
	c.fail("bad_value", field)
}

func (c *checker) match(v, field string, form *regexp.Regexp) {
	if !form.MatchString(v) {
		c.fail("bad_id", field)
	}
}

func (c *checker) optional(v, field string, form *regexp.Regexp) {
	if v != "" {
		c.match(v, field, form)
	}
}

func (c *checker) person(v, field string) { c.match(v, field, identityForm) }

// list checks the members of a list of ids: count, form, no repetition.
func (c *checker) list(v []string, field string, most int, form *regexp.Regexp) {
	if len(v) > most {
		c.fail("bad_value", field)
		return
	}
	seen := make(map[string]bool, len(v))
	for _, id := range v {
		c.match(id, field, form)
		if seen[id] {
			c.fail("bad_value", field)
		}
		seen[id] = true
	}
}

// planned checks a time written by a person: only planned times are, and they
// decide nothing. They are kept in UTC to the minute.
func (c *checker) planned(t *time.Time, field string) {
	if t.IsZero() {
		return
	}
	if y := t.Year(); y < 2000 || y > 2200 {
		c.fail("bad_value", field)
	}
	*t = t.UTC().Truncate(time.Minute)
}
