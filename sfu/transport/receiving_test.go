package transport

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/stretchr/testify/require"
)

// part is an interceptor that notes what it is told.
type part struct {
	interceptor.NoOp
	writer  interceptor.RTCPWriter
	streams []uint32
	read    int
	closed  bool
}

func (p *part) NewInterceptor(string) (interceptor.Interceptor, error) { return p, nil }
func (p *part) BindRTCPWriter(w interceptor.RTCPWriter) interceptor.RTCPWriter {
	p.writer = w
	return w
}

func (p *part) BindRemoteStream(info *interceptor.StreamInfo, r interceptor.RTPReader) interceptor.RTPReader {
	p.streams = append(p.streams, info.SSRC)
	return r
}

func (p *part) UnbindRemoteStream(*interceptor.StreamInfo) { p.streams = nil }

func (p *part) BindRTCPReader(r interceptor.RTCPReader) interceptor.RTCPReader {
	return interceptor.RTCPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, attrs, err := r.Read(b, a)
		p.read += n
		return n, attrs, err
	})
}

func (p *part) Close() error { p.closed = true; return nil }

func TestReceivingBeginsWithTheFirstStream(t *testing.T) {
	one := &part{}
	i, err := receivingFactory{receivers{one}, slog.New(slog.DiscardHandler)}.NewInterceptor("id")
	require.NoError(t, err)
	written := 0
	w := interceptor.RTCPWriterFunc(func(pkts []rtcp.Packet, _ interceptor.Attributes) (int, error) {
		written += len(pkts)
		return 0, nil
	})
	i.BindRTCPWriter(w)
	var fails error
	reports := i.BindRTCPReader(interceptor.RTCPReaderFunc(
		func([]byte, interceptor.Attributes) (int, interceptor.Attributes, error) { return 8, nil, fails }))
	n, _, err := reports.Read(make([]byte, 10), nil)
	require.NoError(t, err)
	require.Equal(t, 8, n)
	i.UnbindRemoteStream(&interceptor.StreamInfo{SSRC: 1})
	require.Nil(t, one.writer)
	require.Zero(t, one.read)

	i.BindRemoteStream(&interceptor.StreamInfo{SSRC: 1}, nil)
	i.BindRemoteStream(&interceptor.StreamInfo{SSRC: 2}, nil)
	require.Equal(t, []uint32{1, 2}, one.streams)
	_, err = one.writer.Write(make([]rtcp.Packet, 3), nil)
	require.NoError(t, err)
	require.Equal(t, 3, written)
	n, _, err = reports.Read(make([]byte, 10), nil)
	require.NoError(t, err)
	require.Equal(t, 8, n)
	require.Equal(t, 8, one.read, "a reader from before sees reports too")
	fails = errors.New("ended")
	_, _, err = reports.Read(make([]byte, 10), nil)
	require.ErrorIs(t, err, fails)
	i.UnbindRemoteStream(&interceptor.StreamInfo{SSRC: 1})
	require.Empty(t, one.streams)
	require.NoError(t, i.Close())
	require.True(t, one.closed)
}

func TestNothingBeginsAfterClose(t *testing.T) {
	one := &part{}
	i, err := receivingFactory{receivers{one}, slog.New(slog.DiscardHandler)}.NewInterceptor("id")
	require.NoError(t, err)
	i.BindRTCPWriter(nil)
	require.NoError(t, i.Close())
	i.BindRemoteStream(&interceptor.StreamInfo{SSRC: 1}, nil)
	require.Empty(t, one.streams)
}
