package transport

import (
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// agentsOwn is what the agents' pool makes by itself.
var agentsOwn = agentBuffers.New

func TestAgentsReadIntoShortBuffers(t *testing.T) {
	require.NotNil(t, agentsOwn, "the agents' pool goes by another name now")
	own, ok := agentsOwn().(*[]byte)
	require.True(t, ok)
	require.Greater(t, len(*own), receiveMTU)
	shortenBuffers()
	short, ok := agentBuffers.New().(*[]byte)
	require.True(t, ok)
	require.Len(t, *short, receiveMTU)
}

// packets is a connection that has packets of these sizes.
type packets struct {
	net.PacketConn
	sizes []int
}

func (p *packets) read(b []byte) (int, error) {
	if len(p.sizes) == 0 {
		return 0, io.EOF
	}
	n := p.sizes[0]
	p.sizes = p.sizes[1:]
	if n > len(b) {
		return 0, io.ErrShortBuffer
	}
	return n, nil
}

func (p *packets) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	n, err := p.read(b)
	return n, netip.AddrPort{}, err
}

func (p *packets) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := p.read(b)
	return n, nil, err
}

func (p *packets) WriteToAddrPort(b []byte, _ netip.AddrPort) (int, error) { return len(b), nil }

func TestAPacketThatDoesNotFitIsDropped(t *testing.T) {
	paths := newPaths(nil, func([]byte) bool { return false }, nil)
	b := make([]byte, receiveMTU)
	sizes := []int{receiveMTU + 1, 9000, receiveMTU}

	udp := &packets{sizes: sizes}
	n, _, err := (&pathConn{PacketConn: udp, fast: udp, paths: paths}).ReadFromAddrPort(b)
	require.NoError(t, err)
	require.Equal(t, receiveMTU, n)

	tcp := &pathStream{PacketConn: &packets{sizes: sizes}, paths: paths}
	n, _, err = tcp.ReadFrom(b)
	require.NoError(t, err)
	require.Equal(t, receiveMTU, n)
	_, _, err = tcp.ReadFrom(b)
	require.ErrorIs(t, err, io.EOF)
}
