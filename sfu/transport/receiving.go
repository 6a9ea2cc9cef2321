package transport

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/interceptor/pkg/twcc"
)

// receiving is what a peer connection needs to receive media: NACKs (RFC 4585),
// receiver reports (RFC 3550 section 6.4.2) and transport-wide feedback to the
// publisher. Each has a goroutine and logs of its own, so they begin with the first
// stream that is received: most participants of a large room never send one.
type receiving struct {
	interceptor.NoOp
	parts receivers
	id    string
	log   *slog.Logger

	begun atomic.Pointer[interceptor.Chain] // nil before the first stream

	mu     sync.Mutex
	writer interceptor.RTCPWriter // guarded by mu
	closed bool                   // guarded by mu
}

// receivers makes the parts of the receiving of each peer connection.
type receivers []interceptor.Factory

// newReceivers fails on options that are none.
func (a *API) newReceivers() (receivers, error) {
	nacks, err := nack.NewGeneratorInterceptor(
		nack.GeneratorSize(1024), nack.GeneratorInterval(nackInterval), nack.GeneratorMaxNacksPerPacket(10),
		nack.WithGeneratorLoggerFactory(a.engine.LoggerFactory))
	if err != nil {
		return nil, err
	}
	reports, err := report.NewReceiverInterceptor(
		report.ReceiverInterval(reportInterval), report.WithReceiverLoggerFactory(a.engine.LoggerFactory))
	if err != nil {
		return nil, err
	}
	feedback, err := twcc.NewSenderInterceptor(
		twcc.SendInterval(twccInterval), twcc.WithLoggerFactory(a.engine.LoggerFactory))
	if err != nil {
		return nil, err
	}
	return receivers{nacks, reports, feedback}, nil
}

// receivingFactory is the interceptor.Factory of receiving.
type receivingFactory struct {
	parts receivers
	log   *slog.Logger
}

// NewInterceptor implements interceptor.Factory.
func (f receivingFactory) NewInterceptor(id string) (interceptor.Interceptor, error) {
	return &receiving{parts: f.parts, id: id, log: f.log}, nil
}

// BindRTCPWriter takes the way to the peer.
func (r *receiving) BindRTCPWriter(w interceptor.RTCPWriter) interceptor.RTCPWriter {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writer = w
	return w
}

// begin starts the parts; nil if that is no longer possible.
func (r *receiving) begin() *interceptor.Chain {
	r.mu.Lock()
	defer r.mu.Unlock()
	if chain := r.begun.Load(); chain != nil || r.closed {
		return chain
	}
	var parts []interceptor.Interceptor
	for _, f := range r.parts {
		i, err := f.NewInterceptor(r.id)
		if err != nil {
			r.log.Error("media is received without feedback", "err", err)
			return nil
		}
		parts = append(parts, i)
	}
	chain := interceptor.NewChain(parts)
	chain.BindRTCPWriter(r.writer) // they write, and change nothing of what others write
	r.begun.Store(chain)
	return chain
}

// BindRemoteStream has them follow a stream.
func (r *receiving) BindRemoteStream(info *interceptor.StreamInfo, reader interceptor.RTPReader) interceptor.RTPReader {
	if chain := r.begin(); chain != nil {
		return chain.BindRemoteStream(info, reader)
	}
	return reader
}

// UnbindRemoteStream ends that.
func (r *receiving) UnbindRemoteStream(info *interceptor.StreamInfo) {
	if chain := r.begun.Load(); chain != nil {
		chain.UnbindRemoteStream(info)
	}
}

// BindRTCPReader has them read the peer's reports, from when they have begun.
func (r *receiving) BindRTCPReader(reader interceptor.RTCPReader) interceptor.RTCPReader {
	return interceptor.RTCPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, attrs, err := reader.Read(b, a)
		chain := r.begun.Load()
		if err != nil || chain == nil {
			return n, attrs, err
		}
		return chain.BindRTCPReader(already{n, attrs}).Read(b, a)
	})
}

// already is a reader of what was read.
type already struct {
	n     int
	attrs interceptor.Attributes
}

// Read implements interceptor.RTCPReader; the packet is in the buffer.
func (r already) Read([]byte, interceptor.Attributes) (int, interceptor.Attributes, error) {
	return r.n, r.attrs, nil
}

// Close ends the parts and waits for them.
func (r *receiving) Close() error {
	r.mu.Lock()
	r.closed = true
	chain := r.begun.Load()
	r.mu.Unlock()
	if chain == nil {
		return nil
	}
	return chain.Close()
}
