// Package democa makes the certificates with which a demonstration serves HTTPS
// on a network that has no certificate authority of its own.
//
// Browsers give a page no camera or microphone unless it came over HTTPS from a
// certificate they trust, or from loopback. [Open] therefore makes, once, a
// certificate authority in the data directory, and under it a certificate for
// the addresses and the name of this machine. People who take part from another
// device make that device trust the authority: [Bundle.Instructions] tells how.
//
// A device that trusts an authority believes whoever holds its key. So the key
// stays in one file, readable by its owner only, and the authority is
// constrained (RFC 5280 section 4.2.1.10) to IP addresses and to names that
// exist on a local network only: it can vouch for no site of the Internet.
//
// The package is for demonstrations. A real installation brings its own
// certificate, with tls.cert and tls.key.
package democa
