package light

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSocketTakesMediaAside: RTP goes to the tap, with the time of arrival, and all else
// to the reader.
func TestSocketTakesMediaAside(t *testing.T) {
	var media [][]byte
	var at int64
	s, err := listen(netip.MustParseAddr("127.0.0.1"), func(b []byte, arrival int64) {
		media, at = append(media, append([]byte(nil), b...)), arrival
	})
	require.NoError(t, err)
	defer s.Close()
	peer, err := net.DialUDP("udp", nil, s.LocalAddr().(*net.UDPAddr))
	require.NoError(t, err)
	defer peer.Close()
	for _, b := range [][]byte{{0x80, 1}, {0xBF, 2}, {0x16, 3}} { // 0x16: DTLS
		_, err = peer.Write(b)
		require.NoError(t, err)
	}
	buffer := make([]byte, 100)
	require.NoError(t, s.SetReadDeadline(time.Now().Add(5*time.Second)))
	n, from, err := s.ReadFromAddrPort(buffer)
	require.NoError(t, err)
	require.Equal(t, []byte{0x16, 3}, buffer[:n])
	require.Equal(t, peer.LocalAddr().(*net.UDPAddr).AddrPort(), from)
	require.Equal(t, [][]byte{{0x80, 1}, {0xBF, 2}}, media)
	require.InDelta(t, time.Now().UnixNano(), at, float64(5*time.Second))
	require.Zero(t, s.dropped.Load())
}

func TestControlMessagesThatAreCutOff(t *testing.T) {
	for n := range 24 {
		size, at, dropped := control(make([]byte, n))
		require.Zero(t, size)
		require.Zero(t, at)
		require.Zero(t, dropped)
	}
}

// TestSocketTellsWhatItDropped: once it has no room, it counts.
func TestSocketTellsWhatItDropped(t *testing.T) {
	if oobBytes == 0 {
		t.Log("this system does not tell")
		return
	}
	s, err := listen(netip.MustParseAddr("127.0.0.1"), func([]byte, int64) {})
	require.NoError(t, err)
	defer s.Close()
	peer, err := net.DialUDP("udp", nil, s.LocalAddr().(*net.UDPAddr))
	require.NoError(t, err)
	defer peer.Close()
	big := make([]byte, 1200)
	big[0] = 0x80
	for range 4 * socketBytes / len(big) {
		_, err = peer.Write(big)
		require.NoError(t, err)
	}
	require.NoError(t, s.SetReadDeadline(time.Now().Add(500*time.Millisecond)))
	_, _, err = s.ReadFromAddrPort(make([]byte, 2000))
	require.Error(t, err, "media is not for the reader")
	_, err = peer.Write(big) // the count comes with what is received next
	require.NoError(t, err)
	require.NoError(t, s.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	_, _, err = s.ReadFromAddrPort(make([]byte, 2000))
	require.Error(t, err)
	require.NotZero(t, s.dropped.Load())
}
