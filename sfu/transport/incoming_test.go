package transport

import (
	"encoding/binary"
	"log/slog"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/srtp/v3"
	"github.com/pion/transport/v4/packetio"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"diemcau/sfu/seal"
)

// publisher is an outlet whose keys are known, the buffers of its peer connection, and
// what the peer would send.
type publisher struct {
	t    *testing.T
	o    *outlet
	bufs *buffers
	in   *receiving
	peer *srtp.Context
}

func newPublisher(t *testing.T) *publisher {
	t.Helper()
	p := &publisher{t: t, bufs: &buffers{exceeded: func() {}, overrun: func() {}}}
	p.in = newReceiving(newReporter(), p.bufs, slog.New(slog.DiscardHandler))
	p.o = &outlet{report: func([]byte) {}, receiving: p.in}
	t.Cleanup(func() {
		require.NoError(t, p.in.Close())
		p.in.reporter.close()
	})
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
	require.LessOrEqual(t, len(p.bufs.in.handed), maxStreams)
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

// bind makes SSRC 7 a stream of video, and 8 its repairs.
func (p *publisher) bind() {
	p.in.BindRemoteStream(&interceptor.StreamInfo{SSRC: 7, MimeType: webrtc.MimeTypeVP8, ClockRate: 90_000}, nil)
	p.in.BindRemoteStream(&interceptor.StreamInfo{SSRC: 8, MimeType: webrtc.MimeTypeRTX, ClockRate: 90_000}, nil)
	require.True(p.t, p.in.repairs(8, 7))
}

func TestMediaIsTakenAtOnceWhenNothingWaits(t *testing.T) {
	p := newPublisher(t)
	m := p.stream()
	p.bind()
	var taken [][]byte
	m.take(func(pkt []byte, _ time.Time) { taken = append(taken, append([]byte(nil), pkt...)) })
	first, sealed := p.packet(0)
	require.False(t, p.o.take(sealed))
	_, err := m.Write(first)
	require.NoError(t, err)
	second, sealed := p.packet(1)
	require.True(t, p.o.take(sealed))
	require.Empty(t, taken, "the first waits to be read")
	require.Equal(t, first, p.read(m))
	require.Equal(t, second, p.read(m))
	third, sealed := p.packet(2)
	require.True(t, p.o.take(sealed))
	require.Equal(t, [][]byte{third}, taken)

	rtx, ok := p.bufs.make(packetio.RTPBufferPacket, 8).(*media)
	require.True(t, ok)
	again := func(seq uint16, payload ...byte) bool {
		clear := append([]byte{0x80, 97, 0, byte(seq), 0, 0, 0, 0, 0, 0, 0, 8}, payload...)
		sealed, err := p.peer.EncryptRTP(nil, clear, nil)
		require.NoError(t, err)
		if taken := p.o.take(sealed); taken {
			return true
		}
		_, err = rtx.Write(clear)
		require.NoError(t, err)
		p.read(rtx)
		return false
	}
	require.False(t, again(0, 0, 1, 1, 2, 1))
	require.True(t, again(1, 0, 1, 1, 2, 1))
	require.Equal(t, [][]byte{third, second}, taken, "as it was sent first")
	require.Zero(t, p.bufs.waiting.Load())

	require.NoError(t, m.Close())
	_, sealed = p.packet(3)
	require.False(t, p.o.take(sealed))
	require.Len(t, taken, 2, "the stream has ended")
}
