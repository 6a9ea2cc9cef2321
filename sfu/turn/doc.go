// Package turn lets participants in whose network passes neither the UDP nor
// the TCP media port: an embedded TURN server (RFC 8656) over UDP, TCP and TLS,
// the last also on the port of the web server.
//
// It relays to this node's own media sockets and to nothing else. So a relayed
// address needs no port of its own in the firewall: it is a socket on loopback,
// and what a client sends to an address that we offer, be it one that a NAT maps
// to us, goes to the local socket behind it. The way of a packet:
//
//	client --TLS--> stream --> pion/turn --> relay --loopback--> media socket
//
// Credentials belong to one participant: they are refused once it has left, and
// its relayed addresses are closed.
package turn
