package ballot

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBallot(t *testing.T) {
	key := aKey(t)
	token, signature := aBallot(t, key, council)
	id, err := key.Public().Verify(council, token, signature)
	require.NoError(t, err)
	want, err := token.ID(council)
	require.NoError(t, err)
	require.Equal(t, want, id)
	require.NoError(t, key.Public().VerifyID(council, id, signature), "a reader of the journal, without the token")

	parsed, err := ParseID(id.String())
	require.NoError(t, err)
	require.Equal(t, id, parsed)
	_, err = ParseID(id.String() + "A")
	require.ErrorIs(t, err, ErrRequest)
	_, err = ParseID(strings.ToUpper(id.String()))
	require.ErrorIs(t, err, ErrRequest, "one spelling")
}

// What the server sees at issuing must not come back at casting.
func TestNothingLinks(t *testing.T) {
	key := aKey(t)
	token, err := NewToken(nil)
	require.NoError(t, err)
	first, err := key.Public().Blind(nil, council, token)
	require.NoError(t, err)
	second, err := key.Public().Blind(nil, council, token)
	require.NoError(t, err)
	require.NotEqual(t, first.Message, second.Message, "the same ballot looks new each time")
	answer, err := key.SignBlinded(first.Message)
	require.NoError(t, err)
	signature, err := first.Finalize(answer)
	require.NoError(t, err)
	require.NotEqual(t, first.Message, signature)
	require.NotEqual(t, answer, signature)
}

func TestFalseBallots(t *testing.T) {
	key := aKey(t)
	other, err := otherKey()
	require.NoError(t, err)
	token, signature := aBallot(t, key, council)
	second, secondSignature := aBallot(t, key, council)
	foreign, foreignSignature := aBallot(t, other, council)
	elsewhere := Vote{Meeting: "hop-khac", ID: council.ID}
	next := Vote{Meeting: council.Meeting, ID: "0193a2f0-0000-7000-8000-000000000002"}
	// Names whose joined letters are those of the council's vote.
	shifted := Vote{Meeting: council.Meeting + council.ID[:1], ID: council.ID[1:]}

	n := key.Public().key.N
	more, fits := plus(t, signature, n)
	if !fits {
		more = append([]byte{1}, new(big.Int).Sub(new(big.Int).Add(number(signature), n),
			new(big.Int).Lsh(big.NewInt(1), keyBits)).FillBytes(make([]byte, Size))...)
	}
	negated := new(big.Int).Sub(n, number(signature)).FillBytes(make([]byte, Size))
	product := new(big.Int).Mod(new(big.Int).Mul(number(signature), number(secondSignature)), n).FillBytes(make([]byte, Size))
	flipped := bytes.Clone(signature)
	flipped[Size-1] ^= 1
	changed := token
	changed[0] ^= 0x80

	tests := []struct {
		name      string
		vote      Vote
		token     Token
		signature []byte
	}{
		{"another vote", next, token, signature},
		{"another meeting", elsewhere, token, signature},
		{"letters moved between the names", shifted, token, signature},
		{"no name", Vote{}, token, signature},
		{"a key of another vote", council, foreign, foreignSignature},
		{"a signature of another ballot", council, token, secondSignature},
		{"a token of another ballot", council, second, signature},
		{"a changed token", council, changed, signature},
		{"a changed signature", council, token, flipped},
		{"signature + n", council, token, more},
		{"n - signature", council, token, negated},
		{"product of two signatures", council, token, product},
		{"a zero in front", council, token, append([]byte{0}, signature...)},
		{"a zero behind", council, token, append(bytes.Clone(signature), 0)},
		{"one byte less", council, token, signature[:Size-1]},
		{"0", council, token, make([]byte, Size)},
		{"n", council, token, n.FillBytes(make([]byte, Size))},
		{"nothing", council, token, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id, err := key.Public().Verify(tt.vote, tt.token, tt.signature)
			require.Equal(t, ErrSignature, err, "one answer to all")
			require.Zero(t, id)
		})
	}
	_, err = key.Public().Verify(council, token, signature)
	require.NoError(t, err, "the genuine one still stands")
}

func TestIDs(t *testing.T) {
	var token Token
	id, err := token.ID(council)
	require.NoError(t, err)
	other, err := token.ID(Vote{council.Meeting + "0", council.ID[1:]})
	require.NoError(t, err)
	require.NotEqual(t, id, other)
	for _, name := range []string{"", strings.Repeat("a", 65), "a b", "a/b", "họp", "a\x00", "a\n"} {
		_, err := token.ID(Vote{name, council.ID})
		require.ErrorIs(t, err, ErrVote, name)
		_, err = token.ID(Vote{council.Meeting, name})
		require.ErrorIs(t, err, ErrVote, name)
	}
	_, err = token.ID(Vote{strings.Repeat("a", 64), council.ID})
	require.NoError(t, err)
	_, err = NewToken(bytes.NewReader(make([]byte, 31)))
	require.Error(t, err)
}

func TestSignBlindedRefuses(t *testing.T) {
	key := aKey(t)
	n := key.Public().key.N
	at := func(x *big.Int) []byte { return x.FillBytes(make([]byte, Size)) }
	one := big.NewInt(1)
	tests := []struct {
		name    string
		blinded []byte
	}{
		{"nothing", nil},
		{"one byte less", make([]byte, Size-1)},
		{"one byte more", append(make([]byte, Size), 2)},
		{"very long", bytes.Repeat([]byte{7}, 1<<16)},
		{"0", at(new(big.Int))},
		{"1", at(one)},
		{"n-1", at(new(big.Int).Sub(n, one))},
		{"n", at(n)},
		{"n+1", at(new(big.Int).Add(n, one))},
		{"all ones", bytes.Repeat([]byte{0xff}, Size)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			signature, err := key.SignBlinded(tt.blinded)
			require.Equal(t, ErrBlinded, err, "one answer to all")
			require.Nil(t, signature)
		})
	}
	for _, x := range []*big.Int{big.NewInt(2), new(big.Int).Sub(n, big.NewInt(2))} {
		_, err := key.SignBlinded(at(x))
		require.NoError(t, err, "the nearest numbers that are allowed")
	}
}

func TestDoubleIssue(t *testing.T) {
	key := aKey(t)
	token, err := NewToken(nil)
	require.NoError(t, err)
	blinding, err := key.Public().Blind(nil, council, token)
	require.NoError(t, err)
	recorded := Digest(blinding.Message)
	answer, err := key.SignBlinded(blinding.Message)
	require.NoError(t, err)

	require.NoError(t, Reissue(recorded, blinding.Message), "the answer was lost")
	again, err := key.SignBlinded(blinding.Message)
	require.NoError(t, err)
	require.Equal(t, answer, again)

	second, err := key.Public().Blind(nil, council, token)
	require.NoError(t, err)
	require.ErrorIs(t, Reissue(recorded, second.Message), ErrIssued, "the same token blinded anew")
	require.ErrorIs(t, Reissue(recorded, nil), ErrIssued)
}

func TestFinalizeRefuses(t *testing.T) {
	key := aKey(t)
	other, err := otherKey()
	require.NoError(t, err)
	token, err := NewToken(nil)
	require.NoError(t, err)
	var blinding *Blinding
	var tagged []byte
	for tagged == nil { // the other key signs numbers below its modulus only
		blinding, err = key.Public().Blind(nil, council, token)
		require.NoError(t, err)
		tagged, _ = other.SignBlinded(blinding.Message)
	}
	answer, err := key.SignBlinded(blinding.Message)
	require.NoError(t, err)
	wrong := bytes.Clone(answer)
	wrong[9] ^= 4
	// tagged: a server that signs with a key of its own for one voter is noticed.
	for _, bad := range [][]byte{nil, answer[1:], append(bytes.Clone(answer), 0), wrong, tagged, make([]byte, Size)} {
		_, err := blinding.Finalize(bad)
		require.ErrorIs(t, err, ErrBlindSignature)
	}
	_, err = blinding.Finalize(answer)
	require.NoError(t, err)
}

func TestParsePublic(t *testing.T) {
	key := aKey(t)
	der := key.Public().Marshal()
	public, err := ParsePublic(der)
	require.NoError(t, err)
	require.Equal(t, key.Public().Fingerprint(), public.Fingerprint())
	require.Regexp(t, `^([A-Z2-7]{4}-){3}[A-Z2-7]{4}$`, public.Fingerprint())
	der[0] = 0
	require.NotEqual(t, der, key.Public().Marshal(), "a copy")

	spki := func(public any) []byte {
		b, err := x509.MarshalPKIXPublicKey(public)
		require.NoError(t, err)
		return b
	}
	n := key.Public().key.N
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	good := key.Public().Marshal()
	for name, bad := range map[string][]byte{
		"nothing":       nil,
		"a byte behind": append(bytes.Clone(good), 0),
		"a byte less":   good[:len(good)-1],
		"a curve":       spki(&curve.PublicKey),
		"exponent 3":    spki(&rsa.PublicKey{N: n, E: 3}),
		"even modulus":  spki(&rsa.PublicKey{N: new(big.Int).Sub(n, big.NewInt(1)), E: exponent}),
		"1024 bits":     spki(&rsa.PublicKey{N: new(big.Int).Rsh(n, 1024), E: exponent}),
		"2049 bits":     spki(&rsa.PublicKey{N: new(big.Int).Add(new(big.Int).Lsh(n, 1), big.NewInt(1)), E: exponent}),
	} {
		_, err := ParsePublic(bad)
		require.Equal(t, ErrPublic, err, name)
	}
}
