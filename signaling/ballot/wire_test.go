package ballot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func aCast(t testing.TB) CastRequest {
	t.Helper()
	token, signature := aBallot(t, aKey(t), council)
	return CastRequest{council, token, signature, []string{"agree"}, 1}
}

func TestCastRequest(t *testing.T) {
	cast := aCast(t)
	for _, choices := range [][]string{{"agree"}, {"disagree"}, {}, {"a", "b", strings.Repeat("x", 64)}} {
		cast.Choices = choices
		body, err := cast.Marshal()
		require.NoError(t, err)
		require.Len(t, body, CastSize, "the length does not tell the choice")
		back, err := ParseCast(body)
		require.NoError(t, err)
		require.Equal(t, cast, back)
	}
	var most []string
	for i := range maxChoices {
		most = append(most, fmt.Sprintf("%064d", i))
	}
	longest := CastRequest{Vote{strings.Repeat("m", 64), strings.Repeat("v", 64)}, cast.Token, cast.Signature, most, 1000}
	body, err := longest.Marshal()
	require.NoError(t, err, "the longest names fit")
	require.Len(t, body, CastSize)
}

func TestCastRequestRefuses(t *testing.T) {
	cast := aCast(t)
	body, err := cast.Marshal()
	require.NoError(t, err)
	fields := func(change func(map[string]any)) []byte {
		var m map[string]any
		require.NoError(t, json.Unmarshal(body, &m))
		change(m)
		b, err := json.Marshal(m)
		require.NoError(t, err)
		return append(b, bytes.Repeat([]byte{' '}, max(0, CastSize-len(b)))...)
	}
	set := func(name string, value any) []byte { return fields(func(m map[string]any) { m[name] = value }) }
	token := EncodeBlob(cast.Token[:])
	// The last of 43 characters carries 4 bits and 2 that must be zero.
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	twin := token[:42] + string(digits[strings.IndexByte(digits, token[42])+1])
	trimmed := bytes.TrimRight(body, " ")
	var most []string
	for i := range maxChoices {
		most = append(most, fmt.Sprintf("%02d", i))
	}

	for name, bad := range map[string][]byte{
		"nothing":                     nil,
		"not filled up":               trimmed,
		"too long":                    append(bytes.Clone(body), ' '),
		"blanks only":                 bytes.Repeat([]byte{' '}, CastSize),
		"something behind":            append(append(bytes.Clone(trimmed), '{', '}'), bytes.Repeat([]byte{' '}, CastSize-len(trimmed)-2)...),
		"an array":                    append([]byte("[]"), bytes.Repeat([]byte{' '}, CastSize-2)...),
		"null":                        append([]byte("null"), bytes.Repeat([]byte{' '}, CastSize-4)...),
		"an unknown member":           set("user", "1"),
		"no token":                    set("token", ""),
		"a token with padding":        set("token", token+"="),
		"a token's other spelling":    set("token", twin),
		"a line break in the token":   set("token", token[:20]+"\n"+token[20:]),
		"a line break for a letter":   set("token", token[:42]+"\n"),
		"the standard alphabet":       set("token", "+"+token[1:]),
		"a signature with a break":    set("signature", EncodeBlob(cast.Signature)[:341]+"\r"),
		"a short signature":           set("signature", EncodeBlob(cast.Signature[1:])),
		"no choices":                  set("choices", nil),
		"a choice with a blank":       set("choices", []string{"tán thành"}),
		"a long choice":               set("choices", []string{strings.Repeat("x", 65)}),
		"choices out of order":        set("choices", []string{"b", "a"}),
		"a choice twice":              set("choices", []string{"a", "a"}),
		"too many choices":            set("choices", append(most, "1")),
		"a choice that is no list":    set("choices", "agree"),
		"no revision":                 set("revision", 0),
		"a revision below":            set("revision", -1),
		"a revision above":            set("revision", 1001),
		"a broken revision":           set("revision", 1.5),
		"no meeting":                  set("meeting", ""),
		"a meeting with a slash":      set("meeting", "a/b"),
		"a vote with an RTL override": set("vote", "a\u202e"),
	} {
		_, err := ParseCast(bad)
		require.Equal(t, ErrRequest, err, name)
	}
	_, err = CastRequest{}.Marshal()
	require.ErrorIs(t, err, ErrRequest)
}

func TestBlob(t *testing.T) {
	b := randomBytes(t, Size)
	s := EncodeBlob(b)
	require.Len(t, s, 342)
	back, err := DecodeBlob(s)
	require.NoError(t, err)
	require.Equal(t, b, back)
	for _, bad := range []string{"", s + "=", s[:341], s[:341] + "\n", s + "A", strings.Repeat("=", 342)} {
		_, err := DecodeBlob(bad)
		require.Equal(t, ErrRequest, err)
	}
}
