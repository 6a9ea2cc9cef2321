package directory

import (
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/collate"
	"golang.org/x/text/language"

	"diemcau/signaling/store"
)

// A collator is not safe for concurrent use and dear to make.
var collators = sync.Pool{New: func() any { return collate.New(language.Vietnamese) }}

// SortKey gives bytes that order texts as Vietnamese dictionaries do: a ă â b
// c d đ e ê ..., then by tone (none, huyền, hỏi, ngã, sắc, nặng), compared
// syllable by syllable.
func SortKey(s string) []byte {
	return collationKey(strings.Fields(s))
}

// NameSortKey gives bytes that order full names as Vietnamese lists do: by the
// given name, which is the last word, then by the rest from the left.
func NameSortKey(fullName string) []byte {
	words := strings.Fields(fullName)
	if n := len(words); n > 1 {
		words = append([]string{words[n-1]}, words[:n-1]...)
	}
	return collationKey(words)
}

func collationKey(words []string) []byte {
	c, ok := collators.Get().(*collate.Collator)
	if !ok {
		c = collate.New(language.Vietnamese)
	}
	defer collators.Put(c)
	var buf collate.Buffer
	var key []byte
	for _, w := range words {
		key = append(key, c.KeyFromString(&buf, w)...)
		// Lower than any weight, so that a shorter list of words goes first.
		key = append(key, 0, 0)
		buf.Reset()
	}
	return key
}

// searchText is what a search looks at: the folded words of the parts, each
// with a space before it.
func searchText(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		for _, w := range searchWords(p) {
			b.WriteByte(' ')
			b.WriteString(w)
		}
	}
	return b.String()
}

// searchWords splits s into words of letters and digits, without marks and in
// lower case.
func searchWords(s string) []string {
	return strings.FieldsFunc(store.Fold(s), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}
