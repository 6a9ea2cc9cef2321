package store

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Fold makes the form of s that is stored and compared for search: lower case,
// without marks, đ as d. It takes composed and decomposed input alike, and both
// places of a tone mark: "Hoà", "Hòa" and "HOA" become "hoa". Fold(Fold(s))
// = Fold(s). Bytes that are no UTF-8 become U+FFFD.
func Fold(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range norm.NFD.String(strings.ToLower(s)) {
		switch {
		case unicode.Is(unicode.Mn, r):
		case r == 'đ', r == 'ð', r == 'Ð': // old converters wrote the Icelandic letter
			b.WriteByte('d')
		default:
			b.WriteRune(r)
		}
	}
	return norm.NFC.String(b.String())
}
