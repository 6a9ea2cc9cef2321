package light

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
)

// certificate is what the participants of a Hall identify themselves with in DTLS. They
// share one, which saves making 215.
type certificate struct {
	tls.Certificate
	fingerprint string // as SDP has it, RFC 8122
}

func newCertificate() (certificate, error) {
	made, err := selfsign.GenerateSelfSigned()
	if err != nil {
		return certificate{}, err
	}
	return certificate{Certificate: made, fingerprint: "sha-256 " + fingerprint(made.Certificate[0])}, nil
}

// fingerprint is the SHA-256 of a certificate, written in pairs with colons.
func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	digits := strings.ToUpper(hex.EncodeToString(sum[:]))
	var b strings.Builder
	for i := 0; i < len(digits); i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(digits[i : i+2])
	}
	return b.String()
}

var errFingerprint = errors.New("light: the server's certificate is not the one in its SDP")

// checkFingerprint refuses a certificate that SDP did not announce. Another hash than
// SHA-256, which all servers use, is refused too.
func checkFingerprint(announced string, chain [][]byte) error {
	hash, digits, _ := strings.Cut(announced, " ")
	if len(chain) == 0 || !strings.EqualFold(hash, "sha-256") || !strings.EqualFold(digits, fingerprint(chain[0])) {
		return errFingerprint
	}
	return nil
}
