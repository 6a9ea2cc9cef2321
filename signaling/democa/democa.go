package democa

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	authorityYears = 10
	// serverDays keeps to the 398 days that browsers accept of a server certificate.
	serverDays = 397
	// renewDays is how long before its end a server certificate is replaced.
	renewDays = 30
	// backdate lets a device trust a new certificate although its clock is slow.
	backdate = 24 * time.Hour
)

// Bundle is what a server needs to serve HTTPS and to tell people how to trust it.
type Bundle struct {
	TLS         *tls.Config // for the server: TLS 1.2 and later
	CA          []byte      // certificate of the authority, PEM
	CAFile      string      // the file where that is
	Fingerprint string      // SHA-256 of that certificate, hexadecimal with colons
}

// Open returns the certificates kept in dir for a server that listens at
// host:port listen, and makes what is missing: the authority once, the server
// certificate also when it ends within 30 days or lacks an address or the name
// of this machine. Files that are damaged, or do not belong together, are
// reported and left as they are: to replace an authority is to ask everybody to
// trust a new one, which is for a person to decide.
func Open(dir, listen string) (*Bundle, error) {
	hosts, err := Hosts(listen)
	if err != nil {
		return nil, err
	}
	return open(dir, hosts, time.Now())
}

// open is Open at a given time for given hosts, names or IP addresses.
func open(dir string, hosts []string, now time.Time) (*Bundle, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	caFile := filepath.Join(dir, "ca.crt")
	ca, err := loadPair(caFile, filepath.Join(dir, "ca.key"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		ca, err = makeAuthority(dir, hosts, now)
	case err == nil:
		err = checkAuthority(ca.cert, caFile, now)
	}
	if err != nil {
		return nil, err
	}
	server, err := openServer(dir, ca, hosts, now)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(ca.cert.Raw)
	return &Bundle{
		TLS: &tls.Config{
			MinVersion: tls.VersionTLS12,
			Certificates: []tls.Certificate{{
				Certificate: [][]byte{server.cert.Raw, ca.cert.Raw},
				PrivateKey:  server.key,
				Leaf:        server.cert,
			}},
		},
		CA:          encodeCert(ca.cert.Raw),
		CAFile:      caFile,
		Fingerprint: strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":"),
	}, nil
}

// openServer returns the server certificate kept in dir, or a new one if there
// is none or it no longer serves.
func openServer(dir string, ca *pair, hosts []string, now time.Time) (*pair, error) {
	certFile := filepath.Join(dir, "server.crt")
	server, err := loadPair(certFile, filepath.Join(dir, "server.key"))
	if errors.Is(err, fs.ErrNotExist) {
		return makeServer(dir, ca, hosts, now)
	}
	if err != nil {
		return nil, err
	}
	if err := server.cert.CheckSignatureFrom(ca.cert); err != nil {
		return nil, fmt.Errorf("%s was not signed by the authority beside it (%w): remove server.crt and server.key to have them made again", certFile, err)
	}
	if needsRenewal(server.cert, ca.cert, hosts, now) {
		return makeServer(dir, ca, hosts, now)
	}
	return server, nil
}

// needsRenewal says whether a certificate ends soon or does not cover every host
// that it could.
func needsRenewal(cert, ca *x509.Certificate, hosts []string, now time.Time) bool {
	if now.Before(cert.NotBefore) || now.AddDate(0, 0, renewDays).After(cert.NotAfter) {
		return true
	}
	names, ips := subjectNames(ca, hosts)
	for _, name := range names {
		if !slices.Contains(cert.DNSNames, name) {
			return true
		}
	}
	for _, ip := range ips {
		if !slices.ContainsFunc(cert.IPAddresses, ip.Equal) {
			return true
		}
	}
	return false
}

// checkAuthority refuses an authority that is none or is past its time.
func checkAuthority(cert *x509.Certificate, file string, now time.Time) error {
	if !cert.IsCA {
		return fmt.Errorf("%s is not the certificate of an authority: %s", file, startAgain)
	}
	if now.After(cert.NotAfter) {
		return fmt.Errorf("%s ended on %s: %s", file, cert.NotAfter.Format(time.DateOnly), startAgain)
	}
	if _, ok := cert.PublicKey.(*ecdsa.PublicKey); !ok {
		return fmt.Errorf("%s has a key of another kind than ECDSA: %s", file, startAgain)
	}
	return nil
}

// Hosts lists what a certificate for a server at listen must cover: localhost,
// the name of this machine, the host of listen and every IP address of this
// machine that another could use, in the order of the interfaces.
func Hosts(listen string) ([]string, error) {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, fmt.Errorf("listen address: %w", err)
	}
	hosts := []string{"localhost"}
	add := func(h string) {
		if h != "" && !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsUnspecified() {
		add(host)
	}
	name, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	add(strings.ToLower(name))
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		// A link-local address needs a zone, which no certificate can hold.
		if n, ok := a.(*net.IPNet); ok && (n.IP.IsGlobalUnicast() || n.IP.IsLoopback()) {
			add(n.IP.String())
		}
	}
	return hosts, nil
}
