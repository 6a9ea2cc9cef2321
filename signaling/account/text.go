package account

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	maxName  = 60 // characters
	maxLogin = 100
	maxLabel = 80
	maxID    = 64
)

// shownText returns s trimmed and in NFC; ok is false for what is empty, longer
// than limit characters, or cannot be shown safely: control characters, line
// separators, and format characters, which hide or reorder text (the bidi
// controls U+202A to U+202E and U+2066 to U+2069 among them).
func shownText(s string, limit int) (text string, ok bool) {
	if len(s) > 16*limit || !utf8.ValidString(s) {
		return "", false
	}
	text = norm.NFC.String(strings.TrimSpace(s))
	if n := utf8.RuneCountInString(text); n < 1 || n > limit {
		return "", false
	}
	visible := false
	for _, r := range text {
		// U+200D and U+200C join letters and emoji.
		joiner := r == '\u200d' || r == '\u200c'
		if !joiner && unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) {
			return "", false
		}
		visible = visible || unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S)
	}
	return text, visible
}

// optionalText is shownText for what may be left empty.
func optionalText(s string, limit int) (text string, ok bool) {
	if s == "" {
		return "", true
	}
	return shownText(s, limit)
}

// validID reports whether s can be an id of a user, point, meeting or session.
func validID(s string) bool {
	if len(s) == 0 || len(s) > maxID {
		return false
	}
	for _, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && r != '-' && r != '_' && r != '.' {
			return false
		}
	}
	return true
}

// cleaned makes a header of a client fit to be shown: printable characters, at
// most limit of them.
func cleaned(s string, limit int) string {
	s = s[:min(len(s), 8*limit)]
	var b strings.Builder
	n := 0
	for _, r := range norm.NFC.String(strings.ToValidUTF8(s, "")) {
		if n == limit {
			break
		}
		if unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) {
			continue
		}
		b.WriteRune(r)
		n++
	}
	return strings.TrimSpace(b.String())
}

// agentLabel names the browser and system of a User-Agent for the list of one's
// own sessions.
func agentLabel(agent string) string {
	agent = agent[:min(len(agent), 512)]
	find := func(names [][2]string) string {
		for _, n := range names {
			if strings.Contains(agent, n[0]) {
				return n[1]
			}
		}
		return ""
	}
	browser := find([][2]string{{"Edg", "Edge"}, {"OPR/", "Opera"}, {"coc_coc", "Cốc Cốc"}, {"Firefox/", "Firefox"},
		{"Chrome/", "Chrome"}, {"Safari/", "Safari"}})
	system := find([][2]string{{"Windows", "Windows"}, {"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"},
		{"Mac OS X", "macOS"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"}})
	switch {
	case browser != "" && system != "":
		return browser + ", " + system
	case browser+system != "":
		return browser + system
	}
	return cleaned(agent, maxLabel)
}
