package directory

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Longest texts, in characters after normalisation.
const (
	maxCode  = 40
	maxName  = 200
	maxShort = 60
	maxPlace = 300
	maxPhone = 24
	maxMail  = 254
	maxLogin = 64
	maxQuery = 100
)

// cleanText gives s in NFC without the white space around it, or refuses it:
// not UTF-8, longer than limit characters, or holding a character that is not
// seen (controls, bidirectional overrides, zero-width characters, line and
// paragraph separators), since such text deceives who reads it.
func cleanText(field, s string, limit int, required bool) (string, error) {
	// Composition makes at most three characters of one, so longer raw text
	// is refused before any work is spent on it.
	if len(s) > 16*limit+64 {
		return "", fail("too_long", field, limit)
	}
	if !utf8.ValidString(s) {
		return "", fail("invalid_utf8", field)
	}
	s = strings.TrimSpace(norm.NFC.String(s))
	for _, r := range s {
		if unicode.Is(unicode.C, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) || r == utf8.RuneError {
			return "", fail("forbidden_character", field, fmt.Sprintf("U+%04X", r))
		}
	}
	if utf8.RuneCountInString(s) > limit {
		return "", fail("too_long", field, limit)
	}
	if s == "" && required {
		return "", fail("required", field)
	}
	return s, nil
}

var (
	codePattern  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	mailPattern  = regexp.MustCompile(`^[A-Za-z0-9!#$%&'*+/=?^_{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_{|}~-]+)*@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+$`)
	phonePattern = regexp.MustCompile(`^\+?[0-9(][0-9 .()-]*[0-9]$`)
)

// cleanCode gives the code in upper case, the form in which it is unique.
func cleanCode(field, s string) (string, error) {
	s, err := cleanText(field, s, maxCode, true)
	if err != nil {
		return "", err
	}
	if !codePattern.MatchString(s) {
		return "", fail("invalid_code", field)
	}
	return strings.ToUpper(s), nil
}

// NormalizeLogin gives the form under which a login name is stored and looked
// up: NFC, case-folded, Latin letters, digits and . _ - @ only, at most 64
// characters. Letters of other scripts are refused because they look alike.
func NormalizeLogin(s string) (string, error) {
	s, err := cleanText("login", s, maxLogin, true)
	if err != nil {
		return "", err
	}
	s = norm.NFC.String(cases.Fold().String(s))
	if utf8.RuneCountInString(s) > maxLogin {
		return "", fail("too_long", "login", maxLogin)
	}
	for i, r := range s {
		letter := unicode.Is(unicode.Latin, r) || '0' <= r && r <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("._-@", r)) {
			return "", fail("invalid_login", "login")
		}
	}
	return s, nil
}

func cleanMail(field, s string) (string, error) {
	s, err := cleanText(field, s, maxMail, false)
	if err == nil && s != "" && !mailPattern.MatchString(s) {
		return "", fail("invalid_mail", field)
	}
	return s, err
}

// cleanPhone keeps the number as it was written; 3 digits is an emergency
// number, 15 the most that E.164 allows.
func cleanPhone(field, s string) (string, error) {
	s, err := cleanText(field, s, maxPhone, false)
	if err != nil || s == "" {
		return s, err
	}
	if n := len(digits(s)); n < 3 || n > 15 || !phonePattern.MatchString(s) {
		return "", fail("invalid_phone", field)
	}
	return s, nil
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

func cleanOrder(n int) error {
	if n < 0 || n > maxSortOrder {
		return fail("invalid_number", "sortOrder", 0, maxSortOrder)
	}
	return nil
}

const maxSortOrder = 1_000_000

// cleaner runs checks one after another and keeps the first error, so that a
// check of a whole row reads as a list.
type cleaner struct{ err error }

func (c *cleaner) apply(s *string, check func(string) (string, error)) {
	if c.err != nil {
		return
	}
	*s, c.err = check(*s)
}

func (c *cleaner) text(field string, s *string, limit int, required bool) {
	c.apply(s, func(v string) (string, error) { return cleanText(field, v, limit, required) })
}

func (c *cleaner) code(field string, s *string) {
	c.apply(s, func(v string) (string, error) { return cleanCode(field, v) })
}

func (c *cleaner) phone(field string, s *string) {
	c.apply(s, func(v string) (string, error) { return cleanPhone(field, v) })
}

func (c *cleaner) mail(field string, s *string) {
	c.apply(s, func(v string) (string, error) { return cleanMail(field, v) })
}

func (c *cleaner) order(n int) {
	if c.err == nil {
		c.err = cleanOrder(n)
	}
}
