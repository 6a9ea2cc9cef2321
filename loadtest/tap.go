package loadtest

import (
	"sync/atomic"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// Tap is an interceptor factory that sits between a peer connection and the
// network. It counts the retransmissions that the receiver asks for and can
// lose packets on purpose. Register it before every other interceptor.
type Tap struct {
	// Drop, if not nil, decides for every arriving packet of a first
	// transmission whether it is lost. Streams of retransmissions (RFC 4588)
	// are not asked about. It is called from several goroutines.
	Drop func(h *rtp.Header) bool

	nacked  atomic.Uint64
	dropped atomic.Uint64
}

// Nacked returns how many packets were asked for again (RFC 4585, 6.2.1),
// counting every request.
func (t *Tap) Nacked() uint64 { return t.nacked.Load() }

// Dropped returns how many packets Drop has taken away.
func (t *Tap) Dropped() uint64 { return t.dropped.Load() }

// NewInterceptor implements interceptor.Factory.
func (t *Tap) NewInterceptor(string) (interceptor.Interceptor, error) {
	return &tapInterceptor{tap: t}, nil
}

type tapInterceptor struct {
	interceptor.NoOp
	tap *Tap
}

func (i *tapInterceptor) BindRTCPWriter(next interceptor.RTCPWriter) interceptor.RTCPWriter {
	return interceptor.RTCPWriterFunc(func(pkts []rtcp.Packet, a interceptor.Attributes) (int, error) {
		for _, p := range pkts {
			if n, ok := p.(*rtcp.TransportLayerNack); ok {
				for _, pair := range n.Nacks {
					i.tap.nacked.Add(uint64(len(pair.PacketList())))
				}
			}
		}
		return next.Write(pkts, a)
	})
}

func (i *tapInterceptor) BindRemoteStream(info *interceptor.StreamInfo, next interceptor.RTPReader) interceptor.RTPReader {
	if i.tap.Drop == nil || info.MimeType == "video/rtx" || info.MimeType == "audio/rtx" {
		return next
	}
	return interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		for {
			n, attributes, err := next.Read(b, a)
			if err != nil {
				return n, attributes, err
			}
			var h rtp.Header
			if _, err := h.Unmarshal(b[:n]); err != nil || !i.tap.Drop(&h) {
				return n, attributes, nil
			}
			i.tap.dropped.Add(1)
		}
	})
}
