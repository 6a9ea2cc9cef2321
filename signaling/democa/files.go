package democa

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// startAgain ends the errors that only a new authority mends.
const startAgain = "remove its directory to have a new authority made, which every device must then trust anew"

const (
	typeCert = "CERTIFICATE"
	typeKey  = "PRIVATE KEY"
)

// pair is a certificate with its private key.
type pair struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// loadPair reads a pair. Its error is fs.ErrNotExist only if both files are missing.
func loadPair(certFile, keyFile string) (*pair, error) {
	certDER, certErr := readPEM(certFile, typeCert)
	keyDER, keyErr := readPEM(keyFile, typeKey)
	if errors.Is(certErr, fs.ErrNotExist) && errors.Is(keyErr, fs.ErrNotExist) {
		return nil, certErr
	}
	for _, err := range []error{certErr, keyErr} {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s and %s belong together, and one is missing: restore it, or remove the other", certFile, keyFile)
		}
		if err != nil {
			return nil, err
		}
	}
	cert, err := x509.ParseCertificate(certDER)
	if err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", certFile, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(keyDER)
	if err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", keyFile, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s has a key of another kind than ECDSA", keyFile)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%s and %s do not belong together", certFile, keyFile)
	}
	info, err := os.Stat(keyFile)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by other users (mode %04o): chmod 600 it, or remove its directory if others may have copied it", keyFile, info.Mode().Perm())
	}
	return &pair{cert, key}, nil
}

// readPEM reads the one PEM block that a file holds.
func readPEM(file, blockType string) ([]byte, error) {
	data, err := os.ReadFile(file) //nolint:gosec // a file of the data directory
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(data)
	if block == nil || block.Type != blockType || len(strings.TrimSpace(string(rest))) > 0 {
		return nil, fmt.Errorf("%s is damaged: not one PEM block of type %s", file, blockType)
	}
	return block.Bytes, nil
}

// makeAuthority makes an authority that may vouch for IP addresses, the local
// names among hosts, and names under .local.
func makeAuthority(dir string, hosts []string, now time.Time) (*pair, error) {
	permitted := []string{"local"}
	for _, h := range hosts {
		if net.ParseIP(h) == nil && !strings.Contains(h, ".") {
			permitted = append(permitted, h)
		}
	}
	template := &x509.Certificate{
		Subject:                     pkix.Name{Organization: []string{"diemcau"}, CommonName: "diemcau demo CA " + now.UTC().Format(time.DateOnly)},
		NotBefore:                   now.Add(-backdate),
		NotAfter:                    now.AddDate(authorityYears, 0, 0),
		IsCA:                        true,
		BasicConstraintsValid:       true,
		MaxPathLenZero:              true,
		KeyUsage:                    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         permitted,
	}
	return makePair(dir, "ca", template, nil)
}

// makeServer makes a server certificate for hosts.
func makeServer(dir string, ca *pair, hosts []string, now time.Time) (*pair, error) {
	names, ips := subjectNames(ca.cert, hosts)
	end := now.AddDate(0, 0, serverDays).Add(-backdate)
	if end.After(ca.cert.NotAfter) {
		end = ca.cert.NotAfter
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"diemcau"}, CommonName: "diemcau demo"},
		NotBefore:             now.Add(-backdate),
		NotAfter:              end,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:              names,
		IPAddresses:           ips,
	}
	return makePair(dir, "server", template, ca)
}

// subjectNames splits hosts into the names that ca may vouch for and addresses.
func subjectNames(ca *x509.Certificate, hosts []string) (names []string, ips []net.IP) {
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			ips = append(ips, ip)
			continue
		}
		if slices.ContainsFunc(ca.PermittedDNSDomains, func(d string) bool { return h == d || strings.HasSuffix(h, "."+d) }) {
			names = append(names, h)
		}
	}
	return names, ips
}

// makePair makes a key and its certificate, signed by ca (by itself if ca is
// nil), and writes them to dir as name.key and name.crt.
func makePair(dir, name string, template *x509.Certificate, ca *pair) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	parent := &pair{template, key}
	if ca != nil {
		parent = ca
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent.cert, &key.PublicKey, parent.key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: typeKey, Bytes: keyDER})
	if err := writeFile(filepath.Join(dir, name+".key"), keyPEM, 0o600); err != nil {
		return nil, err
	}
	if err := writeFile(filepath.Join(dir, name+".crt"), encodeCert(der), 0o644); err != nil {
		return nil, err
	}
	return &pair{cert, key}, nil
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: typeCert, Bytes: der})
}

// writeFile writes a file that is, whenever the machine stops, whole or absent.
func writeFile(path string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the error above says more
	}
	return err
}
