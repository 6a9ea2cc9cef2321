package transport

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"sync"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/prf"
	"github.com/pion/dtls/v3/pkg/protocol/extension"
	"github.com/pion/dtls/v3/pkg/protocol/handshake"
	"github.com/pion/srtp/v3"
	"github.com/pion/webrtc/v4"

	"diemcau/sfu/seal"
)

// keys learns the SRTP keys of one peer connection from its DTLS handshake, in which
// this side is the server. The peer connection does not hand them out; what it lets
// one see of the handshake suffices to export them again (RFC 5764 section 4.2).
type keys struct {
	mu       sync.Mutex
	random   [handshake.RandomLength]byte // the server's; guarded by mu
	suite    uint16                       // guarded by mu
	profile  srtp.ProtectionProfile       // guarded by mu
	exported *seal.Keys                   // guarded by mu
}

const (
	exporterLabel = "EXTRACTOR-dtls_srtp" // RFC 5764 section 4.2
	keyLogLabel   = "CLIENT_RANDOM"
)

// attach has the engine's next peer connection tell its handshake.
func (k *keys) attach(engine *webrtc.SettingEngine) {
	engine.SetDTLSServerHelloMessageHook(k.serverHello)
	engine.SetDTLSKeyLogWriter(k)
}

// serverHello notes what the peer is told.
func (k *keys) serverHello(hello handshake.MessageServerHello) handshake.Message {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.random, k.suite, k.profile = hello.Random.MarshalFixed(), 0, 0
	if hello.CipherSuiteID != nil {
		k.suite = *hello.CipherSuiteID
	}
	for _, e := range hello.Extensions {
		if use, ok := e.(*extension.UseSRTP); ok && len(use.ProtectionProfiles) == 1 && len(use.MasterKeyIdentifier) == 0 {
			k.profile = srtp.ProtectionProfile(use.ProtectionProfiles[0])
		}
	}
	return &hello
}

// Write takes the line in which the handshake tells its secrets: CLIENT_RANDOM, the
// client's random, and the master secret. It keeps no more of it than the SRTP keys.
func (k *keys) Write(line []byte) (int, error) {
	fields := bytes.Fields(line)
	if len(fields) != 3 || string(fields[0]) != keyLogLabel {
		return len(line), nil
	}
	client, err := hex.DecodeString(string(fields[1]))
	if err != nil {
		return len(line), nil
	}
	master, err := hex.DecodeString(string(fields[2]))
	if err != nil {
		return len(line), nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.profile == 0 || k.exported != nil { // a client's handshake, or none with SRTP
		return len(line), nil
	}
	if exported, err := k.exportLocked(master, client); err == nil {
		k.exported = exported
	}
	return len(line), nil
}

// exportLocked derives the SRTP master keys (RFC 5705, RFC 5764 section 4.2).
func (k *keys) exportLocked(master, client []byte) (*seal.Keys, error) {
	keyLen, err := k.profile.KeyLen()
	if err != nil {
		return nil, err
	}
	saltLen, err := k.profile.SaltLen()
	if err != nil {
		return nil, err
	}
	seed := append(append([]byte(exporterLabel), client...), k.random[:]...)
	b, err := prf.PHash(master, seed, 2*(keyLen+saltLen), hashOf(k.suite))
	if err != nil {
		return nil, fmt.Errorf("exporting SRTP keys: %w", err)
	}
	take := func(n int) []byte {
		part := bytes.Clone(b[:n])
		b = b[n:]
		return part
	}
	e := &seal.Keys{Profile: k.profile}
	e.PeerKey, e.Key = take(keyLen), take(keyLen)
	e.PeerSalt, e.Salt = take(saltLen), take(saltLen)
	return e, nil
}

// hashOf is the hash of a cipher suite's pseudorandom function (RFC 5246 section 5,
// RFC 5289).
func hashOf(suite uint16) func() hash.Hash {
	switch dtls.CipherSuiteID(suite) {
	case dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, dtls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384:
		return sha512.New384
	}
	return sha256.New
}

// take hands the keys out; nil before the handshake, and where this side was its client.
func (k *keys) take() *seal.Keys {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.exported
}
