package ballot

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	council = Vote{Meeting: "hop-hdnd", ID: "0193a2f0-0000-7000-8000-000000000001"}
	// otherKey is a second key for all tests: making one takes time.
	otherKey = sync.OnceValues(NewKey)
)

// hexBytes are bytes that stand in JSON as hexadecimal digits.
type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

func readJSON(t testing.TB, path string, into any) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, into))
}

// aKey is the key of testdata/interop.json.
func aKey(t testing.TB) *Key {
	t.Helper()
	var file interop
	readJSON(t, interopPath, &file)
	key, err := ParseKey(file.SealedKey, file.Secret, Vote{file.Meeting, file.Vote})
	require.NoError(t, err)
	return key
}

// aBallot goes the voter's way through key.
func aBallot(t testing.TB, key *Key, vote Vote) (Token, []byte) {
	t.Helper()
	token, err := NewToken(nil)
	require.NoError(t, err)
	blinding, err := key.Public().Blind(nil, vote, token)
	require.NoError(t, err)
	answer, err := key.SignBlinded(blinding.Message)
	require.NoError(t, err)
	signature, err := blinding.Finalize(answer)
	require.NoError(t, err)
	return token, signature
}

func randomBytes(t testing.TB, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	_, err := rand.Read(b)
	require.NoError(t, err)
	return b
}

// plus is b + x as a number of the same length.
func plus(t testing.TB, b []byte, x *big.Int) ([]byte, bool) {
	t.Helper()
	sum := new(big.Int).Add(new(big.Int).SetBytes(b), x)
	if sum.BitLen() > 8*len(b) {
		return nil, false
	}
	return sum.FillBytes(make([]byte, len(b))), true
}
