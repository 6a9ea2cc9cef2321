package ballot

import (
	"bytes"
	"encoding/json"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
)

// keptBallot is a ballot of aKey that is the same in every process of a fuzzer.
func keptBallot(f *testing.F) (Token, []byte) {
	var file interop
	readJSON(f, interopPath, &file)
	signature, err := DecodeBlob(file.Cases[0].Signature)
	require.NoError(f, err)
	return Token(file.Cases[0].Token), signature
}

// Whatever is sent, only the ballot that was signed verifies, in its one spelling.
func FuzzVerify(f *testing.F) {
	key := aKey(f)
	public := key.Public()
	token, signature := keptBallot(f)
	f.Add(token[:], signature, council.Meeting, council.ID)
	f.Add(token[:], append([]byte{0}, signature...), council.Meeting, council.ID)
	f.Add(token[:], signature, council.ID, council.Meeting)
	f.Add(make([]byte, 32), make([]byte, Size), "", "")
	f.Add([]byte{}, public.key.N.Bytes(), "a", "b")
	f.Fuzz(func(t *testing.T, tokenBytes, sig []byte, meeting, vote string) {
		var tried Token
		copy(tried[:], tokenBytes)
		v := Vote{meeting, vote}
		id, err := public.Verify(v, tried, sig)
		genuine := tried == token && v == council && bytes.Equal(sig, signature)
		if (err == nil) != genuine {
			t.Fatalf("verified: %v, genuine: %v", err == nil, genuine)
		}
		if err != nil && (err != ErrSignature || id != ID{}) {
			t.Fatalf("a failure that tells more: %v %v", err, id)
		}
	})
}

// A signature comes out exactly for the numbers from 2 to n-2 of the right length,
// and its power is what went in.
func FuzzSignBlinded(f *testing.F) {
	key := aKey(f)
	n := key.Public().key.N
	low, high := big.NewInt(2), new(big.Int).Sub(n, big.NewInt(2))
	for _, seed := range [][]byte{nil, {2}, make([]byte, Size), n.Bytes(), high.Bytes(), bytes.Repeat([]byte{1}, Size), bytes.Repeat([]byte{1}, Size+1)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, blinded []byte) {
		signature, err := key.SignBlinded(blinded)
		m := number(blinded)
		allowed := len(blinded) == Size && m.Cmp(low) >= 0 && m.Cmp(high) <= 0
		if (err == nil) != allowed {
			t.Fatalf("signed: %v, allowed: %v", err == nil, allowed)
		}
		if err != nil {
			if err != ErrBlinded || signature != nil {
				t.Fatalf("a failure that tells more: %v", err)
			}
			return
		}
		if len(signature) != Size || new(big.Int).Exp(number(signature), big.NewInt(exponent), n).Cmp(m) != 0 {
			t.Fatal("not the signature")
		}
	})
}

// What is read is what would be written, whitespace and order of members aside.
func FuzzParseCast(f *testing.F) {
	token, signature := keptBallot(f)
	body, err := CastRequest{council, token, signature, []string{"agree"}, 1}.Marshal()
	require.NoError(f, err)
	f.Add(bytes.TrimRight(body, " "))
	f.Add([]byte{})
	f.Add(bytes.Replace(body, []byte(`"agree"`), []byte(`"\u0061"`), 1))
	f.Add(body)
	f.Fuzz(func(t *testing.T, body []byte) {
		// Filled up here: the fuzzer would seldom find the length.
		cast, err := ParseCast(append(body, bytes.Repeat([]byte{' '}, max(0, CastSize-len(body)))...))
		if err != nil {
			return
		}
		again, err := cast.Marshal()
		require.NoError(t, err)
		require.True(t, json.Valid(again))
		back, err := ParseCast(again)
		require.NoError(t, err)
		require.Equal(t, cast, back)
	})
}

func FuzzParsePublic(f *testing.F) {
	f.Add(aKey(f).Public().Marshal())
	f.Add([]byte{0x30, 0x00})
	f.Fuzz(func(t *testing.T, der []byte) {
		if public, err := ParsePublic(der); err == nil {
			require.Equal(t, der, public.Marshal(), "one encoding per key")
		}
	})
}
