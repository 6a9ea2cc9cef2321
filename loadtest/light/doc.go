// Package light is a participant of a LiveKit-compatible server that costs little: so
// little that one core plays 215 of them, each of which is sent 210 packets a second.
//
// # The journey of a packet
//
// Each peer connection has a UDP socket of its own, for a server has one address for all
// and tells them apart by theirs. Its reader (socket) takes a whole train of segments
// with one system call where the kernel offers that (UDP_GRO), with the time at which
// the kernel had it, so that a busy tester does not make a server look slow. What begins
// as STUN or DTLS goes on to pion/ice and pion/dtls (RFC 7983). RTP is entered in the
// books where it is read (Participant.receive): SRTP leaves the header with its
// extensions in the clear (RFC 3711), and that tells sequence, time, marker and the
// transport-wide number. Only these are decrypted: RTCP, what comes on an RTX stream (the
// original sequence number of RFC 4588 is encrypted), and all packets of a participant
// that is a sample. Of those the payload is looked at (decodable) and the time stamp in
// its last bytes (stamp.go) tells how long the server had it.
//
// There is no peer connection object: SDP is written and read by sdp.go, the keys come
// from the DTLS handshake, and the packets are sealed and opened by pion/srtp contexts in
// the goroutine that has them in hand. That saves the goroutines and buffers per
// track that a full WebRTC stack needs.
//
// # Goroutines
//
// A participant has the reader of its signal connection and, for each peer connection,
// those of pion/ice, the reader of the socket among them, and of SCTP. What happens at a
// time is done by the two Clocks of its Hall: one sends the media of all, the other
// makes the reports of all.
package light
