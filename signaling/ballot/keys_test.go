package ballot

import (
	"bytes"
	"context"
	"errors"
	"math/big"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestKeyAtRest(t *testing.T) {
	key := aKey(t)
	secret := randomBytes(t, 32)
	sealed, err := key.Marshal(secret, council)
	require.NoError(t, err)
	for _, prime := range key.sk.Primes {
		require.NotContains(t, string(sealed), string(prime.Bytes()))
	}
	opened, err := ParseKey(sealed, secret, council)
	require.NoError(t, err)
	require.Equal(t, key.Public().Marshal(), opened.Public().Marshal())
	message := append([]byte{0}, randomBytes(t, Size-1)...)
	want, err := key.SignBlinded(message)
	require.NoError(t, err)
	got, err := opened.SignBlinded(message)
	require.NoError(t, err)
	require.Equal(t, want, got, "after a restart the same answer")

	again, err := key.Marshal(secret, council)
	require.NoError(t, err)
	require.NotEqual(t, sealed, again, "a fresh nonce each time")

	_, err = ParseKey(sealed, randomBytes(t, 32), council)
	require.Equal(t, ErrSealed, err, "another secret")
	_, err = ParseKey(sealed, secret, Vote{council.Meeting, "another"})
	require.Equal(t, ErrSealed, err, "a key moved to another vote")
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		_, err := ParseKey(bad, secret, council)
		require.Equal(t, ErrSealed, err, i)
	}
	for _, bad := range [][]byte{nil, sealed[:1], sealed[:len(sealed)-1], append(bytes.Clone(sealed), 0)} {
		_, err := ParseKey(bad, secret, council)
		require.Equal(t, ErrSealed, err)
	}
	_, err = key.Marshal(secret[1:], council)
	require.Error(t, err)
	_, err = key.Marshal(secret, Vote{})
	require.ErrorIs(t, err, ErrVote)
}

func TestWipe(t *testing.T) {
	key := aKey(t)
	token, signature := aBallot(t, key, council)
	secret := [][]big.Word{key.sk.D.Bits(), key.sk.Primes[0].Bits(), key.sk.Primes[1].Bits()}
	key.Wipe()
	key.Wipe()
	for _, words := range secret {
		for _, w := range words {
			require.Zero(t, w)
		}
	}
	_, err := key.SignBlinded(make([]byte, Size))
	require.ErrorIs(t, err, ErrWiped)
	_, err = key.Marshal(make([]byte, 32), council)
	require.ErrorIs(t, err, ErrWiped)
	_, err = key.Public().Verify(council, token, signature)
	require.NoError(t, err, "what was cast can be checked for ever")
}

// A key is wiped while others sign: each gets a signature or ErrWiped.
func TestWipeWhileSigning(t *testing.T) {
	key := aKey(t)
	public := key.Public()
	message := append([]byte{0}, randomBytes(t, Size-1)...)
	var signers sync.WaitGroup
	var signed, refused atomic.Int64
	for range 4 {
		signers.Go(func() {
			for {
				signature, err := key.SignBlinded(message)
				if errors.Is(err, ErrWiped) {
					refused.Add(1)
					return
				}
				power := new(big.Int).Exp(number(signature), big.NewInt(exponent), public.key.N)
				if err != nil || power.Cmp(number(message)) != 0 {
					t.Errorf("a wrong signature, error %v", err)
					return
				}
				if signed.Add(1) == 8 {
					key.Wipe()
				}
			}
		})
	}
	signers.Wait()
	require.EqualValues(t, 4, refused.Load())
}

func TestKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var generated []*Key
		keys := newKeys(3, func() (*Key, error) {
			k := &Key{sk: aKey(t).sk}
			generated = append(generated, k)
			return k, nil
		})
		synctest.Wait()
		require.Len(t, generated, 3, "made ahead, and no more than asked for")
		first, err := keys.Take(t.Context())
		require.NoError(t, err)
		synctest.Wait()
		require.Len(t, generated, 4, "the taken one is replaced")
		keys.Close()
		keys.Close()
		require.NotNil(t, first.sk, "who took it wipes it")
		for _, k := range generated[1:] {
			require.Nil(t, k.sk, "nobody took it")
		}
		_, err = keys.Take(t.Context())
		require.ErrorIs(t, err, ErrKeysClosed)
	})
}

func TestKeysNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("no randomness")
		calls := 0
		keys := newKeys(0, func() (*Key, error) {
			calls++
			time.Sleep(time.Second)
			if calls == 1 {
				return nil, broken
			}
			return &Key{}, nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := keys.Take(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = keys.Take(t.Context())
		require.ErrorIs(t, err, broken, "a failure is told")
		_, err = keys.Take(t.Context())
		require.NoError(t, err, "and tried again")
		answer := make(chan error, 1)
		go func() {
			_, err := keys.Take(t.Context())
			answer <- err
		}()
		synctest.Wait()
		keys.Close()
		require.ErrorIs(t, <-answer, ErrKeysClosed, "who waits at the end is told")
	})
}

// The real thing once.
func TestKeysReal(t *testing.T) {
	keys := NewKeys(1)
	defer keys.Close()
	first, err := keys.Take(t.Context())
	require.NoError(t, err)
	second, err := keys.Take(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, first.Public().Fingerprint(), second.Public().Fingerprint())
	token, signature := aBallot(t, first, council)
	_, err = second.Public().Verify(council, token, signature)
	require.Equal(t, ErrSignature, err)
}
