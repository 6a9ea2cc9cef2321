package loadtest

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"
)

// roamingConn is a UDP socket that changes its address when told to, as a client
// does that goes from one network to another or is behind a NAT that forgets.
type roamingConn struct {
	net.PacketConn // the first one
	second         net.PacketConn
	moved          atomic.Bool
	in             chan datagram
	readers        sync.WaitGroup
	done           chan struct{}
	once           sync.Once
}

type datagram struct {
	b    []byte
	from net.Addr
}

func newRoamingConn(t *testing.T) *roamingConn {
	t.Helper()
	listen := func() net.PacketConn {
		c, err := net.ListenPacket("udp4", "127.0.0.1:0")
		require.NoError(t, err)
		return c
	}
	c := &roamingConn{PacketConn: listen(), second: listen(), in: make(chan datagram, 256), done: make(chan struct{})}
	c.readers.Go(func() { c.read(c.PacketConn, false) })
	c.readers.Go(func() { c.read(c.second, true) })
	return c
}

// read passes on what comes to the address that is in use.
func (c *roamingConn) read(sock net.PacketConn, second bool) {
	b := make([]byte, 2000)
	for {
		n, from, err := sock.ReadFrom(b)
		if err != nil {
			return
		}
		if c.moved.Load() != second {
			continue
		}
		select {
		case c.in <- datagram{append([]byte(nil), b[:n]...), from}:
		case <-c.done:
			return
		}
	}
}

func (c *roamingConn) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case d := <-c.in:
		return copy(b, d.b), d.from, nil
	case <-c.done:
		return 0, nil, net.ErrClosed
	}
}

func (c *roamingConn) WriteTo(b []byte, to net.Addr) (int, error) {
	if c.moved.Load() {
		return c.second.WriteTo(b, to)
	}
	return c.PacketConn.WriteTo(b, to)
}

func (c *roamingConn) Close() error {
	c.once.Do(func() {
		close(c.done)
		_ = c.PacketConn.Close()
		_ = c.second.Close()
		c.readers.Wait()
	})
	return nil
}

// TestAddressChangeWithoutRestart: the address of a receiving client changes and
// nobody tells it or the server. The media follows, in the same session.
func TestAddressChangeWithoutRestart(t *testing.T) {
	t.Parallel()
	sock := newRoamingConn(t)
	mux := ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: sock})
	t.Cleanup(func() { _ = mux.Close(); _ = sock.Close() })
	room := roomName(t)
	c := joinOnPath(t, room, "bich", func(*livekit.JoinResponse) webrtc.SettingEngine {
		var e webrtc.SettingEngine
		e.SetIncludeLoopbackCandidate(true)
		e.SetICEUDPMux(mux)
		e.SetICETimeouts(20*time.Second, 20*time.Second, time.Second) // it does not notice by itself
		e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
		return e
	})
	var packets atomic.Int64
	c.pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			if _, _, err := track.ReadRTP(); err != nil {
				return
			}
			packets.Add(1)
		}
	})
	an := join(t, room, "an")
	an.publishTone(30)
	until(t, 10*time.Second, func() bool { return packets.Load() > 50 }, func() string { return "media arrives" })

	sock.moved.Store(true)
	moved := time.Now()
	before := packets.Load()
	until(t, 10*time.Second, func() bool { return packets.Load() > before+10 }, func() string { return "media arrives at the new address" })
	t.Logf("MEASURED address change without ICE restart: media after %v", time.Since(moved).Round(time.Millisecond))
	require.Less(t, time.Since(moved), joinTime)
	require.NotNil(t, an.room.GetParticipantByIdentity("bich"))
	require.Equal(t, c.join.Participant.Sid, an.room.GetParticipantByIdentity("bich").SID())
	require.Zero(t, an.count("ParticipantDisconnected", "bich", ""))
}
