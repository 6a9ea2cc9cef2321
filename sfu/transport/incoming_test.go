package transport

import (
	"encoding/binary"
	"testing"

	"github.com/pion/srtp/v3"
	"github.com/pion/transport/v4/packetio"
	"github.com/stretchr/testify/require"

	"diemcau/sfu/seal"
)

// publisher is an outlet whose keys are known, the buffers of its peer connection, and
// what the peer would send.
type publisher struct {
	t    *testing.T
	o    *outlet
	bufs *buffers
	peer *srtp.Context
}

func newPublisher(t *testing.T) *publisher {
	t.Helper()
	p := &publisher{t: t, bufs: &buffers{exceeded: func() {}, overrun: func() {}}}
	p.o = &outlet{feedback: func([]byte) {}, in: &p.bufs.in}
	k := seal.Keys{Profile: srtp.ProtectionProfileAeadAes128Gcm,
		Key: make([]byte, 16), Salt: make([]byte, 12), PeerKey: []byte("0123456789abcdef"), PeerSalt: make([]byte, 12)}
	p.o.keys.exported = &k
	var err error
	p.peer, err = srtp.CreateContext(k.PeerKey, k.PeerSalt, k.Profile)
	require.NoError(t, err)
	return p
}

// packet is one of SSRC 7, in the clear and sealed.
func (p *publisher) packet(seq uint16) (clear, sealed []byte) {
	p.t.Helper()
	clear = []byte{0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 1, 2, byte(seq)}
	binary.BigEndian.PutUint16(clear[2:], seq)
	sealed, err := p.peer.EncryptRTP(nil, clear, nil)
	require.NoError(p.t, err)
	return clear, sealed
}

func (p *publisher) stream() *media {
	p.t.Helper()
	m, ok := p.bufs.make(packetio.RTPBufferPacket, 7).(*media)
	require.True(p.t, ok)
	return m
}

func (p *publisher) read(m *media) []byte {
	p.t.Helper()
	b := make([]byte, receiveMTU)
	n, err := m.Read(b)
	require.NoError(p.t, err)
	return b[:n]
}

func TestAStreamIsTakenOverWhenNothingIsUnderWay(t *testing.T) {
	p := newPublisher(t)
	first, sealed := p.packet(1)
	require.False(t, p.o.take(sealed), "nobody knows the stream")
	m := p.stream()
	second, sealed := p.packet(2)
	require.False(t, p.o.take(sealed), "the first is under way")
	for _, clear := range [][]byte{first, second} {
		_, err := m.Write(clear)
		require.NoError(t, err)
	}
	third, sealed := p.packet(3)
	require.True(t, p.o.take(sealed))
	_, err := m.Write(third) // should it come there too
	require.NoError(t, err)
	fourth, sealed := p.packet(4)
	require.True(t, p.o.take(sealed))
	for _, want := range [][]byte{first, second, third, fourth} {
		require.Equal(t, want, p.read(m))
	}
	require.Zero(t, p.bufs.waiting.Load())
	require.Equal(t, uint64(2), p.o.received.Load())
}

// TestThePeerConnectionStaysInStep: now and then it is handed a packet that was taken.
func TestThePeerConnectionStaysInStep(t *testing.T) {
	p := newPublisher(t)
	m := p.stream()
	left := []uint16{}
	for i := range 3 * syncEvery {
		clear, sealed := p.packet(uint16(i))
		if !p.o.take(sealed) {
			left = append(left, uint16(i))
			_, err := m.Write(clear)
			require.NoError(t, err)
		}
		require.Equal(t, clear, p.read(m), "each comes once")
	}
	require.Equal(t, []uint16{0, syncEvery, 2 * syncEvery}, left)
}

func TestWhatIsNoMediaOfThePeerIsLeft(t *testing.T) {
	p := newPublisher(t)
	m := p.stream()
	clear, sealed := p.packet(1)
	require.False(t, p.o.take(sealed))
	_, err := m.Write(clear)
	require.NoError(t, err)
	_, sealed = p.packet(2)
	forged := append([]byte(nil), sealed...)
	forged[13] ^= 1
	require.False(t, p.o.take(forged))
	require.True(t, p.o.take(sealed))
	require.False(t, p.o.take(sealed), "a replay")
	for _, b := range [][]byte{nil, {0x80}, sealed[:12], {0, 1, 0, 0}, {22, 254, 253}, forged[:15]} {
		require.False(t, p.o.take(b))
	}
	require.NoError(t, m.Close())
	_, sealed = p.packet(3)
	require.False(t, p.o.take(sealed), "the stream has ended")
	require.Equal(t, uint64(1), p.o.received.Load())
}

func TestWithoutKeysMediaIsLeft(t *testing.T) {
	p := newPublisher(t)
	p.o.keys.exported = nil
	_, sealed := p.packet(1)
	require.False(t, p.o.take(sealed))
}

func TestStreamsThatAreNobodysAreBounded(t *testing.T) {
	p := newPublisher(t)
	for i := range uint32(2 * maxStreams) {
		clear, _ := p.packet(1)
		binary.BigEndian.PutUint32(clear[8:], i)
		sealed, err := p.peer.EncryptRTP(nil, clear, nil)
		require.NoError(t, err)
		require.False(t, p.o.take(sealed))
	}
	require.LessOrEqual(t, len(p.o.in.handed), maxStreams)
}

func TestTakingMediaDoesNotAllocate(t *testing.T) {
	p := newPublisher(t)
	m := p.stream()
	clear, sealed := p.packet(0)
	require.False(t, p.o.take(sealed))
	_, err := m.Write(clear)
	require.NoError(t, err)
	var packets [][]byte
	for seq := uint16(1); seq < 1100; seq++ {
		_, sealed := p.packet(seq)
		packets = append(packets, sealed)
	}
	b, i := make([]byte, receiveMTU), 0
	_, err = m.Read(b)
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		if !p.o.take(packets[i]) {
			panic("not taken")
		}
		_, _ = m.Read(b)
		i++
	}))
}
