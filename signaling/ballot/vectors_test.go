package ballot

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/big"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write testdata/interop.json anew")

// interopPath is read by the tests of the web client too.
const interopPath = "testdata/interop.json"

type rfcVector struct {
	P, Q, N, E, D hexBytes
	Msg           hexBytes `json:"msg"`
	Prefix        hexBytes `json:"msg_prefix"`
	Input         hexBytes `json:"input_msg"`
	Salt          hexBytes `json:"salt"`
	Inv           hexBytes `json:"inv"`
	Blinded       hexBytes `json:"blinded_msg"`
	BlindSig      hexBytes `json:"blind_sig"`
	Sig           hexBytes `json:"sig"`
}

func number(b []byte) *big.Int { return new(big.Int).SetBytes(b) }

// The vector of our variant in RFC 9474, appendix A, step by step.
func TestRFC9474(t *testing.T) {
	var v rfcVector
	readJSON(t, "testdata/rfc9474.json", &v)
	key, err := newKey(&rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: number(v.N), E: int(number(v.E).Int64())},
		D:         number(v.D), Primes: []*big.Int{number(v.P), number(v.Q)},
	})
	require.NoError(t, err)
	public := key.Public()

	input, err := public.client.Prepare(bytes.NewReader(v.Prefix), v.Msg)
	require.NoError(t, err)
	require.EqualValues(t, v.Input, input)

	factor := new(big.Int).ModInverse(number(v.Inv), number(v.N)).FillBytes(make([]byte, 512))
	blinded, state, err := public.client.Blind(io.MultiReader(bytes.NewReader(v.Salt), bytes.NewReader(factor)), input)
	require.NoError(t, err)
	require.EqualValues(t, v.Blinded, blinded)

	answer, err := key.SignBlinded(blinded)
	require.NoError(t, err)
	require.EqualValues(t, v.BlindSig, answer)

	signature, err := (&Blinding{public: public, state: state}).Finalize(answer)
	require.NoError(t, err)
	require.EqualValues(t, v.Sig, signature)
	require.NoError(t, public.client.Verify(input, signature))
}

// interop is what both sides of the wire must come to from the same randomness.
type interop struct {
	Comment     string        `json:"comment"`
	Meeting     string        `json:"meeting"`
	Vote        string        `json:"vote"`
	Secret      hexBytes      `json:"secret"` // opens SealedKey, which is for this test only
	SealedKey   hexBytes      `json:"sealedKey"`
	PublicKey   string        `json:"publicKey"` // base64url
	Fingerprint string        `json:"fingerprint"`
	Cases       []interopCase `json:"cases"`
}

type interopCase struct {
	Name string `json:"name"`
	// Randomness is token, salt, blinding factors: what is drawn, in this order.
	Randomness     hexBytes `json:"randomness"`
	Token          hexBytes `json:"token"`
	ID             string   `json:"id"`
	Blinded        string   `json:"blinded"`
	BlindSignature string   `json:"blindSignature"`
	Signature      string   `json:"signature"`
	Choices        []string `json:"choices"`
	Revision       int      `json:"revision"`
	Body           string   `json:"body"`
}

func TestInterop(t *testing.T) {
	if *update {
		writeInterop(t)
	}
	var file interop
	readJSON(t, interopPath, &file)
	vote := Vote{file.Meeting, file.Vote}
	key := aKey(t)
	der, err := encoding.DecodeString(file.PublicKey)
	require.NoError(t, err)
	public, err := ParsePublic(der)
	require.NoError(t, err)
	require.Equal(t, key.Public().Marshal(), public.Marshal())
	require.Equal(t, file.Fingerprint, public.Fingerprint())
	require.Len(t, file.Cases, 4)
	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			require.Equal(t, c, makeCase(t, key, vote, c.Name, c.Randomness, c.Choices, c.Revision))
			signature, err := DecodeBlob(c.Signature)
			require.NoError(t, err)
			id, err := public.Verify(vote, Token(c.Token), signature)
			require.NoError(t, err)
			require.Equal(t, c.ID, id.String())
			// Any library of RSA-PSS verifies what comes out (RFC 9474 section 4.5).
			message, err := id.prepared(vote)
			require.NoError(t, err)
			digest := sha512.Sum384(message)
			require.NoError(t, rsa.VerifyPSS(public.key, crypto.SHA384, digest[:], signature,
				&rsa.PSSOptions{SaltLength: 48, Hash: crypto.SHA384}))
			// The cast as the browser sends it.
			cast, err := ParseCast([]byte(c.Body))
			require.NoError(t, err)
			require.Equal(t, CastRequest{vote, Token(c.Token), signature, c.Choices, c.Revision}, cast)
		})
	}
}

func makeCase(t *testing.T, key *Key, vote Vote, name string, randomness []byte, choices []string, revision int) interopCase {
	random := bytes.NewReader(randomness)
	token, err := NewToken(random)
	require.NoError(t, err)
	id, err := token.ID(vote)
	require.NoError(t, err)
	blinding, err := key.Public().Blind(random, vote, token)
	require.NoError(t, err)
	require.Zero(t, random.Len(), "randomness left over")
	answer, err := key.SignBlinded(blinding.Message)
	require.NoError(t, err)
	signature, err := blinding.Finalize(answer)
	require.NoError(t, err)
	body, err := CastRequest{vote, token, signature, choices, revision}.Marshal()
	require.NoError(t, err)
	return interopCase{
		Name: name, Randomness: randomness, Token: token[:], ID: id.String(),
		Blinded: EncodeBlob(blinding.Message), BlindSignature: EncodeBlob(answer), Signature: EncodeBlob(signature),
		Choices: choices, Revision: revision, Body: string(body),
	}
}

// writeInterop looks for the numbers with which encoders go wrong: leading zeros,
// and a factor that must be drawn again.
func writeInterop(t *testing.T) {
	key, err := NewKey()
	require.NoError(t, err)
	file := interop{
		Comment: "Written by go test ./signaling/ballot -run TestInterop -update; read by the web client's tests too. The key serves no vote.",
		Meeting: council.Meeting, Vote: council.ID, Secret: randomBytes(t, 32),
		PublicKey: encoding.EncodeToString(key.Public().Marshal()), Fingerprint: key.Public().Fingerprint(),
	}
	file.SealedKey, err = key.Marshal(file.Secret, council)
	require.NoError(t, err)
	draw := func() []byte {
		r, err := rand.Int(rand.Reader, key.public.key.N)
		require.NoError(t, err)
		return append(randomBytes(t, 32+48), r.FillBytes(make([]byte, Size))...)
	}
	find := func(name string, choices []string, revision int, wanted func(interopCase) bool) {
		for range 20_000 {
			if c := makeCase(t, key, council, name, draw(), choices, revision); wanted(c) {
				file.Cases = append(file.Cases, c)
				return
			}
		}
		require.FailNow(t, "not found", name)
	}
	zero := func(s string) bool {
		b, err := DecodeBlob(s)
		require.NoError(t, err)
		return b[0] == 0
	}
	find("plain", []string{"yes"}, 1, func(interopCase) bool { return true })
	find("blinded with a leading zero", []string{"c1", "c10", "c2"}, 2, func(c interopCase) bool { return zero(c.Blinded) })
	find("signature with a leading zero", []string{}, 1000, func(c interopCase) bool { return zero(c.Signature) })
	again := draw()
	tooLarge := bytes.Repeat([]byte{0xff}, Size)
	again = append(append(append([]byte{}, again[:80]...), tooLarge...), again[80:]...)
	file.Cases = append(file.Cases, makeCase(t, key, council, "factor drawn again", again, []string{"no"}, 1))
	b, err := json.MarshalIndent(file, "", "  ")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(interopPath, append(b, '\n'), 0o600))
	fmt.Println("wrote", interopPath)
}
