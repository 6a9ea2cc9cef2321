package ballot

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/big"
	"sync"

	"github.com/cloudflare/circl/blindsign/blindrsa"
)

const (
	// keyBits is enough: a ballot can be forged only while its vote is open, and
	// what the blinding hides stays hidden however the key is broken later.
	keyBits = 2048
	// Size is the length of a blinded message, a blind signature and a signature, in bytes.
	Size = keyBits / 8

	exponent = 65537

	sealVersion = 1
)

var (
	// ErrBlinded is the one answer to every blinded message that is not signed.
	ErrBlinded = errors.New("ballot: the blinded message is not valid")
	// ErrWiped says that the key is no more: its vote is over.
	ErrWiped = errors.New("ballot: the key has been wiped")
	// ErrSealed says that bytes are no key sealed for this vote under this secret.
	ErrSealed = errors.New("ballot: the sealed key cannot be opened")
	// ErrIssued says that the voter got his ballot with another blinded message.
	ErrIssued = errors.New("ballot: a ballot has been issued to this voter already")
)

// Key signs the ballots of one vote, and must sign nothing else. Its methods may be
// called from several goroutines.
type Key struct {
	public *Public

	mu sync.RWMutex
	sk *rsa.PrivateKey // nil when wiped
}

// NewKey makes a key of 2048 bits. It takes from 20 ms to a second: [Keys] makes
// them ahead of time.
func NewKey() (*Key, error) {
	sk, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, err
	}
	// Signing uses D alone; the other forms of the secret are not kept.
	for _, x := range []*big.Int{sk.Precomputed.Dp, sk.Precomputed.Dq, sk.Precomputed.Qinv} {
		wipe(x)
	}
	return newKey(&rsa.PrivateKey{PublicKey: sk.PublicKey, D: sk.D, Primes: sk.Primes})
}

func newKey(sk *rsa.PrivateKey) (*Key, error) {
	public, err := newPublic(&sk.PublicKey)
	if err != nil {
		return nil, err
	}
	return &Key{public: public, sk: sk}, nil
}

// Public is the half that everybody may have. It outlives Wipe.
func (k *Key) Public() *Public { return k.public }

// SignBlinded signs a blinded message of Size bytes (RFC 9474 section 4.3). The
// same message gets the same signature. Every message that no honest client makes
// is refused with ErrBlinded: a wrong length, a number not below the modulus, and
// 0, 1 and n-1, whose signatures anybody can write down.
func (k *Key) SignBlinded(blinded []byte) ([]byte, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.sk == nil {
		return nil, ErrWiped
	}
	if len(blinded) != k.public.size() {
		return nil, ErrBlinded
	}
	m := new(big.Int).SetBytes(blinded)
	last := new(big.Int).Sub(k.sk.N, big.NewInt(1))
	if m.Cmp(big.NewInt(1)) <= 0 || m.Cmp(last) >= 0 {
		return nil, ErrBlinded
	}
	signature, err := blindrsa.NewSigner(k.sk).BlindSign(blinded)
	if err != nil {
		return nil, ErrBlinded
	}
	return signature, nil
}

// Wipe overwrites the private key; SignBlinded and Marshal fail from then on.
// After a vote closed nobody can make further ballots for it with a key taken from
// memory. Secrecy does not depend on it: even with the key a blinded message tells
// nothing. The runtime may have left copies of numbers in memory that it freed;
// wiping makes the time short in which they can be found, not zero.
func (k *Key) Wipe() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.sk == nil {
		return
	}
	wipe(k.sk.D)
	for _, p := range k.sk.Primes {
		wipe(p)
	}
	k.sk = nil
}

func wipe(x *big.Int) {
	if x != nil {
		clear(x.Bits())
	}
}

// Marshal seals the key with AES-256-GCM under secret (32 bytes) for keeping while
// the vote is open, so that a restart can go on with it. It opens for this vote only.
func (k *Key) Marshal(secret []byte, vote Vote) ([]byte, error) {
	aead, label, err := sealing(secret, vote)
	if err != nil {
		return nil, err
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.sk == nil {
		return nil, ErrWiped
	}
	half := k.public.size() / 2
	plain := make([]byte, 2*half)
	defer clear(plain)
	k.sk.Primes[0].FillBytes(plain[:half])
	k.sk.Primes[1].FillBytes(plain[half:])
	sealed := make([]byte, 1+aead.NonceSize(), 1+aead.NonceSize()+len(plain)+aead.Overhead())
	sealed[0] = sealVersion
	if _, err := rand.Read(sealed[1:]); err != nil {
		return nil, err
	}
	return aead.Seal(sealed, sealed[1:], plain, label), nil
}

// ParseKey opens what Marshal sealed, with the same secret and vote, or says ErrSealed.
func ParseKey(sealed, secret []byte, vote Vote) (*Key, error) {
	aead, label, err := sealing(secret, vote)
	if err != nil {
		return nil, err
	}
	head := 1 + aead.NonceSize()
	if len(sealed) != head+Size+aead.Overhead() || sealed[0] != sealVersion {
		return nil, ErrSealed
	}
	plain, err := aead.Open(nil, sealed[1:head], sealed[head:], label)
	if err != nil {
		return nil, ErrSealed
	}
	defer clear(plain)
	p := new(big.Int).SetBytes(plain[:Size/2])
	q := new(big.Int).SetBytes(plain[Size/2:])
	one := big.NewInt(1)
	order := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	defer wipe(order)
	d := new(big.Int).ModInverse(big.NewInt(exponent), order)
	n := new(big.Int).Mul(p, q)
	if d == nil || n.BitLen() != keyBits {
		return nil, ErrSealed
	}
	return newKey(&rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: n, E: exponent},
		D:         d,
		Primes:    []*big.Int{p, q},
	})
}

func sealing(secret []byte, vote Vote) (cipher.AEAD, []byte, error) {
	if len(secret) != 32 {
		return nil, nil, errors.New("ballot: the sealing secret must have 32 bytes")
	}
	label, err := vote.message()
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, nil, err
	}
	aead, err := cipher.NewGCM(block)
	return aead, label, err
}

// Digest is what is written down of a blinded message when its ballot is issued:
// its SHA-256 as 64 hexadecimal digits.
func Digest(blinded []byte) string {
	sum := sha256.Sum256(blinded)
	return hex.EncodeToString(sum[:])
}

// Reissue tells whether a voter who got a ballot may have the answer again: only
// for the blinded message with the recorded digest, else ErrIssued. Signing that
// again gives the same signature, so a lost answer costs nobody the vote, and
// nobody gets two ballots.
func Reissue(recorded string, blinded []byte) error {
	if Digest(blinded) != recorded {
		return ErrIssued
	}
	return nil
}
