package ballot

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base32"
	"errors"
	"io"

	"github.com/cloudflare/circl/blindsign/blindrsa"
)

var (
	// ErrPublic says that bytes are no public key of a vote.
	ErrPublic = errors.New("ballot: the public key is not valid")
	// ErrSignature is the one answer to every ballot that this vote's key has not
	// signed: a false signature, or a token of another vote or meeting.
	ErrSignature = errors.New("ballot: the ballot is not one of this vote")
	// ErrBlindSignature says that the server's answer is not a signature on what was sent.
	ErrBlindSignature = errors.New("ballot: the blind signature is not valid")
)

// Public is the public key of one vote. It does not change.
type Public struct {
	key    *rsa.PublicKey
	client blindrsa.Client
	der    []byte
}

func newPublic(key *rsa.PublicKey) (*Public, error) {
	client, err := blindrsa.NewClient(blindrsa.SHA384PSSRandomized, key)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	return &Public{key: key, client: client, der: der}, nil
}

// ParsePublic reads a SubjectPublicKeyInfo (DER, rsaEncryption, which is what
// WebCrypto imports) of 2048 bits with exponent 65537, in its one canonical encoding.
func ParsePublic(der []byte) (*Public, error) {
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, ErrPublic
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok || key.N.BitLen() != keyBits || key.N.Bit(0) == 0 || key.E != exponent {
		return nil, ErrPublic
	}
	p, err := newPublic(key)
	if err != nil || !bytes.Equal(p.der, der) {
		return nil, ErrPublic
	}
	return p, nil
}

// Marshal is the key as SubjectPublicKeyInfo, DER.
func (p *Public) Marshal() []byte { return bytes.Clone(p.der) }

// Fingerprint is a short form for people to compare on their screens, as in
// "K7QX-2MVA-PZ4E-T6RD": 80 bits of the hash of Marshal.
func (p *Public) Fingerprint() string {
	sum := sha256.Sum256(p.der)
	s := base32.StdEncoding.EncodeToString(sum[:10])
	return s[:4] + "-" + s[4:8] + "-" + s[8:12] + "-" + s[12:]
}

func (p *Public) size() int { return p.key.Size() }

// Verify checks the ballot that token and signature (Size bytes) make, and gives
// its ID. Every failure is ErrSignature. One token has one ID, whatever the
// signature; a signature verifies in one form only, as a number below the modulus.
func (p *Public) Verify(vote Vote, token Token, signature []byte) (ID, error) {
	id, err := token.ID(vote)
	if err != nil {
		return ID{}, ErrSignature
	}
	if err := p.VerifyID(vote, id, signature); err != nil {
		return ID{}, err
	}
	return id, nil
}

// VerifyID is Verify for those who know a ballot's ID and not its token: the
// journal's readers.
func (p *Public) VerifyID(vote Vote, id ID, signature []byte) error {
	message, err := id.prepared(vote)
	if err != nil || len(signature) != p.size() {
		return ErrSignature
	}
	if err := p.client.Verify(message, signature); err != nil {
		return ErrSignature
	}
	return nil
}

// Blinding is a ballot of which the signature is still to come. It belongs to the
// voter's side: together with Message it would tell whose ballot it is.
type Blinding struct {
	// Message is what the server is asked to sign, Size bytes.
	Message []byte

	public *Public
	state  blindrsa.State
}

// Blind hides the ballot of token in the vote (RFC 9474 section 4.2). It reads 48
// bytes of salt and then the blinding factor from random, or from the system when
// random is nil.
func (p *Public) Blind(random io.Reader, vote Vote, token Token) (*Blinding, error) {
	id, err := token.ID(vote)
	if err != nil {
		return nil, err
	}
	message, err := id.prepared(vote)
	if err != nil {
		return nil, err
	}
	if random == nil {
		random = rand.Reader
	}
	blinded, state, err := p.client.Blind(random, message)
	if err != nil {
		return nil, err
	}
	return &Blinding{Message: blinded, public: p, state: state}, nil
}

// Finalize takes the blinding off the server's answer (RFC 9474 section 4.4) and
// checks what comes out, or says ErrBlindSignature.
func (b *Blinding) Finalize(blindSignature []byte) ([]byte, error) {
	signature, err := b.public.client.Finalize(b.state, blindSignature)
	if err != nil {
		return nil, ErrBlindSignature
	}
	return signature, nil
}
