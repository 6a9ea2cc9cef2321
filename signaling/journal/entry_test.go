package journal

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The encoding is for good: chains that exist must go on verifying.
func TestTheEncodingIsAsDocumented(t *testing.T) {
	e := Entry{
		Meeting: "m1", Seq: 2, Fence: 3, At: time.UnixMilli(1_700_000_000_123),
		Command: "c", Author: "user:a", Body: []byte(`{"x":1}`), Prev: Hash{0: 0xAA, 31: 0xBB},
	}
	want := hex.EncodeToString([]byte("diemcau.entry.1\n")) +
		"00000002" + "6d31" + "0000000000000002" + "0000000000000003" + "0000018bcfe5687b" +
		"00000001" + "63" + "00000006" + "757365723a61" + "00000007" + "7b2278223a317d" +
		"aa000000000000000000000000000000000000000000000000000000000000bb"
	require.Equal(t, want, hex.EncodeToString(e.Encode()))
}

func TestDecodeRefuses(t *testing.T) {
	good := (&Entry{Meeting: "m", Seq: 1, Fence: 1, Author: "a", Body: []byte("1")}).Encode()
	_, err := Decode(good)
	require.NoError(t, err)
	for n := range good {
		_, err := Decode(good[:n])
		require.ErrorIs(t, err, ErrInvalid, "the first %d bytes", n)
	}
	_, err = Decode(append(bytes.Clone(good), 0))
	require.ErrorIs(t, err, ErrInvalid)
	huge := bytes.Clone(good)
	copy(huge[len(magic):], "\xff\xff\xff\xff")
	_, err = Decode(huge)
	require.ErrorIs(t, err, ErrInvalid)
}

func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		`{"b":1,"a":{"d":[1, 2],"c":null}}`: `{"a":{"c":null,"d":[1,2]},"b":1}`,
		`12345678901234567890.10e+5`:        `12345678901234567890.10e+5`,
		`"<\u0111>"`:                        `"<đ>"`,
		`{"a":1,"a":2}`:                     `{"a":2}`,
		" [ ] \n":                           `[]`,
	} {
		got, err := Canonical([]byte(in))
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		again, err := Canonical(got)
		require.NoError(t, err)
		require.Equal(t, got, again)
	}
}

func same(a, b Entry) bool {
	return a.Meeting == b.Meeting && a.Seq == b.Seq && a.Fence == b.Fence && a.At.UnixMilli() == b.At.UnixMilli() &&
		a.Command == b.Command && a.Author == b.Author && bytes.Equal(a.Body, b.Body) && a.Prev == b.Prev
}

// FuzzEntry builds two entries from the same material cut at different places: if
// lengths were not in the encoding, they would meet.
func FuzzEntry(f *testing.F) {
	f.Add("abcdefghij", []byte("{}"), uint64(1), uint64(2), int64(3), uint8(1), uint8(2), uint8(3), uint8(4))
	f.Add("m\x00\x00\x00\x01c", []byte(magic), uint64(1<<63), uint64(0), int64(-1), uint8(0), uint8(9), uint8(0), uint8(3))
	f.Fuzz(func(t *testing.T, text string, raw []byte, seq, fence uint64, at int64, a, b, c, d uint8) {
		cut := func(i, k uint8) Entry {
			x := int(i) % (len(text) + 1)
			y := x + int(k)%(len(text)-x+1)
			e := Entry{Meeting: text[:x], Command: text[x:y], Author: text[y:], Seq: seq, Fence: fence, At: time.UnixMilli(at).UTC(), Body: raw}
			copy(e.Prev[:], raw)
			return e
		}
		one, two := cut(a, b), cut(c, d)
		back, err := Decode(one.Encode())
		require.NoError(t, err)
		require.True(t, same(one, back))
		require.Equal(t, one.Sum(), back.Hash)
		require.Equal(t, same(one, two), bytes.Equal(one.Encode(), two.Encode()))

		// Any bytes that are an entry are the encoding of that entry.
		for _, bytesIn := range [][]byte{raw, append([]byte(magic), raw...)} {
			if e, err := Decode(bytesIn); err == nil {
				require.Equal(t, bytesIn, e.Encode())
			}
		}
	})
}
