package transport

import (
	"encoding/binary"
	"sync"
	"time"
)

// A publisher's packets would pass four goroutines on their way through the peer
// connection: the agent's, the one that tells protocols apart, that of SRTP, and the
// stream's reader. Where the keys are known, the reader of the socket opens them and lays
// them where SRTP would: in the buffer from which the stream is read.
//
// The peer connection still has to see the first packets of an SSRC, for it makes the
// stream and finds out what it is. A stream is taken over as soon as all that the peer
// connection was handed of it has come out, so that nothing is overtaken. From then on
// what comes out of it is a packet that was taken already.

// syncEvery is after how many packets of a stream that was taken over the peer connection
// is handed one too, so that it knows the rollover counter (RFC 3711 section 3.3.1) if it is
// to have the stream back. A power of two.
const syncEvery = 1 << 13

// incoming is a peer's media that is taken where it comes in.
type incoming struct {
	streams sync.Map // of SSRC: *media, those that are open

	// Owned by who holds the outlet's openMu.
	handed  map[uint32]uint16 // sequence number that the peer connection was handed last, by SSRC, of what is not ours
	scratch []byte
}

// isRTP tells an SRTP packet from everything else that may come on a media socket
// (RFC 7983, RFC 5761 section 4).
func isRTP(b []byte) bool {
	return len(b) > rtpHeader && b[0]>>6 == 2 && (b[1] < 192 || b[1] > 223)
}

// isRTCP tells an SRTCP packet from everything else.
func isRTCP(b []byte) bool { return len(b) > rtcpHeader && b[0]>>6 == 2 && b[1] >= 192 && b[1] <= 223 }

// Headers, in bytes (RFC 3550 sections 5.1 and 6.4.1).
const (
	rtpHeader  = 12
	rtcpHeader = 4
)

// take takes a packet from the peer; false leaves it to the peer connection.
func (o *outlet) take(b []byte) bool {
	if isRTP(b) {
		return o.media(b)
	}
	return o.reports(b)
}

// media takes an RTP packet of a stream that is ours. What does not open is left to the
// peer connection, which has the last word; the stream takes nothing from it.
func (o *outlet) media(b []byte) bool {
	o.openMu.Lock()
	defer o.openMu.Unlock()
	if o.receiving == nil || !o.openLocked() {
		return false
	}
	in := &o.receiving.bufs.in
	if in.scratch == nil {
		in.scratch, in.handed = make([]byte, 0, receiveMTU), make(map[uint32]uint16)
	}
	clear, err := o.opener.OpenRTP(in.scratch, b)
	if err != nil {
		return false
	}
	ssrc, seq := binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint16(b[2:])
	stream, _ := in.streams.Load(ssrc)
	m, ok := stream.(*media)
	if last, handed := in.handed[ssrc]; !ok || !m.ours(last, handed) {
		if len(in.handed) < maxStreams {
			in.handed[ssrc] = seq
		}
		return false
	}
	delete(in.handed, ssrc)
	if !o.receiving.direct(m, clear, time.Now()) && m.put(clear) != nil {
		return false
	}
	o.received.Add(1)
	return seq%syncEvery != 0
}
