// Package sfu is the selective forwarding unit: it terminates every
// participant's WebRTC transports and forwards published tracks to those who
// subscribe.
//
// A [Node] holds rooms. One loop owns a [Room] and everything in it:
// participants, their sessions, published tracks and subscriptions. Others send
// the loop a command; the loop never waits for them and never calls itself.
//
// The journey of a packet: Pion reads, decrypts and hands it to an
// uptrack.Layer, which stores it once in a ring and posts its slot to the
// fan-out workers that have subscribers of that layer; each worker takes the
// packet out once and gives it to its downtrack.DownTracks, which choose,
// rewrite the header and write into their fanout.Egress. Key-frame requests and
// NACKs travel the same rooms backwards.
//
// The journey of a signal message: signalling passes a livekit.SignalRequest to
// the participant's [Session]; the room loop checks the participant's present
// permission and acts; answers leave through the same session.
package sfu
