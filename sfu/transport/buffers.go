package transport

import (
	"io"
	"sync/atomic"

	"github.com/pion/rtcp"
	"github.com/pion/transport/v4/packetio"
)

// A peer may name any number of SSRCs, in RTP or in reports, and the WebRTC
// stack keeps a buffer for each. These bound what one peer can make us keep.
const (
	maxStreams      = 4096      // SSRCs of one peer connection, its own and those it names
	rtpBufferBytes  = 1_000_000 // per stream, as the SRTP stack has it by default
	rtcpBufferBytes = 100_000
)

// buffers makes the receive buffers of one peer connection.
type buffers struct {
	count    atomic.Int32
	exceeded func() // called once, when there are too many
	feedback func(rtcp.Packet)
}

func (b *buffers) make(kind packetio.BufferPacketType, _ uint32) io.ReadWriteCloser {
	if n := b.count.Add(1); n > maxStreams {
		if n == maxStreams+1 {
			b.exceeded()
		}
		return ended{}
	}
	buf := packetio.NewBuffer()
	buf.SetLimitSize(rtpBufferBytes)
	if kind == packetio.RTCPBufferPacket {
		buf.SetLimitSize(rtcpBufferBytes)
		return reports{buf, b.feedback}
	}
	return buf
}

// reports is the receive buffer of the RTCP packets about one SSRC. Those that
// speak of the whole connection are passed on instead of kept: a receiver names
// any SSRC in them, also one that nobody reads reports of.
type reports struct {
	io.ReadWriteCloser
	feedback func(rtcp.Packet)
}

func (r reports) Write(p []byte) (int, error) {
	var pkt rtcp.Packet
	switch {
	case len(p) < rtcpHeader:
	case p[1] == uint8(rtcp.TypeTransportSpecificFeedback) && p[0]&0x1F == rtcp.FormatTCC:
		pkt = &rtcp.TransportLayerCC{}
	case p[1] == uint8(rtcp.TypePayloadSpecificFeedback) && p[0]&0x1F == rtcp.FormatREMB:
		pkt = &rtcp.ReceiverEstimatedMaximumBitrate{}
	}
	if pkt == nil {
		return r.ReadWriteCloser.Write(p)
	}
	if pkt.Unmarshal(p) == nil {
		r.feedback(pkt)
	}
	return len(p), nil
}

const rtcpHeader = 4 // bytes, RFC 3550 section 6.1

// ended is a stream that takes no packets and gives none.
type ended struct{}

func (ended) Read([]byte) (int, error)    { return 0, io.EOF }
func (ended) Write(p []byte) (int, error) { return len(p), nil }
func (ended) Close() error                { return nil }
