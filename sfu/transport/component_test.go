package transport

import (
	"net"
	"net/netip"
	"testing"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
	"github.com/stretchr/testify/require"
)

// check is a check of a component, as RFC 8445 has it.
func check(t testing.TB, component uint32, setters ...stun.Setter) []byte {
	t.Helper()
	m, err := stun.Build(append([]stun.Setter{
		stun.BindingRequest, stun.TransactionID, stun.NewUsername("mine:theirs"),
		ice.AttrControlling(1), ice.PriorityAttr(110<<24 | 65535<<8 | (256 - component)),
	}, setters...)...)
	require.NoError(t, err)
	return m.Raw
}

func TestChecksOfRTCPAreToldApart(t *testing.T) {
	require.True(t, checksRTCP(check(t, 2)))
	require.True(t, checksRTCP(check(t, 2, ice.UseCandidate(), stun.NewShortTermIntegrity("secret"), stun.Fingerprint)))
	require.False(t, checksRTCP(check(t, 1, ice.UseCandidate())))
	answer := stun.MustBuild(stun.BindingSuccess, stun.TransactionID, ice.PriorityAttr(110<<24|254))
	require.False(t, checksRTCP(answer.Raw), "an answer is not a check")
	require.False(t, checksRTCP(stun.MustBuild(stun.BindingRequest, stun.TransactionID).Raw), "without priority")
	whole := check(t, 2)
	for n := range whole {
		checksRTCP(whole[:n]) // and does not panic
	}
}

func TestTheSocketDropsChecksOfRTCP(t *testing.T) {
	var p peers
	from := netip.MustParseAddrPort("192.0.2.1:5000")
	require.True(t, p.tap(check(t, 2), from))
	require.False(t, p.tap(check(t, 1), from), "this is the agent's")
}

func TestTheStreamDropsChecksOfRTCP(t *testing.T) {
	p := newPaths(nil, func([]byte) bool { return false }, nil)
	c := &pathStream{PacketConn: &given{all: [][]byte{check(t, 2), check(t, 1)}}, paths: p}
	b := make([]byte, receiveMTU)
	n, _, err := c.ReadFrom(b)
	require.NoError(t, err)
	require.False(t, checksRTCP(b[:n]))
}

// given is a connection on which these come.
type given struct {
	net.PacketConn
	all [][]byte
}

func (p *given) ReadFrom(b []byte) (int, net.Addr, error) {
	n := copy(b, p.all[0])
	p.all = p.all[1:]
	return n, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5000}, nil
}

func TestCandidatesOfRTCPAreLeftOut(t *testing.T) {
	const first = "candidate:0 1 UDP 2122187007 192.0.2.2 49456 typ host"
	const second = "candidate:0 2 UDP 2122187006 192.0.2.2 59202 typ host"
	require.False(t, isRTCPCandidate(first))
	require.True(t, isRTCPCandidate(second))
	require.False(t, isRTCPCandidate(""))
	require.False(t, isRTCPCandidate("candidate:0"))
	require.Equal(t, "v=0\r\na="+first+"\r\na=mid:2\r\n", withoutRTCP("v=0\r\na="+first+"\r\na="+second+"\r\na=mid:2\r\n"))
	require.Equal(t, "v=0\na="+first, withoutRTCP("v=0\na="+second+"\na="+first))
}

func FuzzChecksRTCP(f *testing.F) {
	f.Add(check(f, 1))
	f.Add(check(f, 2, ice.UseCandidate()))
	f.Fuzz(func(t *testing.T, b []byte) {
		if !checksRTCP(b) {
			return
		}
		m := &stun.Message{Raw: append([]byte(nil), b...)}
		if m.Decode() != nil {
			return // the agent would drop it as well
		}
		var priority ice.PriorityAttr
		require.NoError(t, priority.GetFrom(m))
		require.Equal(t, uint8(254), uint8(priority))
	})
}
