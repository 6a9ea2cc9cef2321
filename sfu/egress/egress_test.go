package egress

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	"github.com/stretchr/testify/require"

	"diemcau/sfu/seal"
	"diemcau/sfu/udp"
)

const (
	mediaSSRC, rtxSSRC = 7, 8
	audioSSRC          = 9
)

// bench is a shard, a peer's outlet, and the peer.
type bench struct {
	t     testing.TB
	count Counters
	shard *Shard
	out   *Outlet
	route atomic.Pointer[Route]
	peer  *srtp.Context
	sock  *net.UDPConn
	video *Writer
	audio *Writer
}

func newBench(t testing.TB, profile srtp.ProtectionProfile) *bench {
	t.Helper()
	b := &bench{t: t}
	b.shard = NewShard(&b.count, slog.New(slog.DiscardHandler))
	keyLen, err := profile.KeyLen()
	require.NoError(t, err)
	saltLen, err := profile.SaltLen()
	require.NoError(t, err)
	k := seal.Keys{Profile: profile, Key: bytes.Repeat([]byte{1}, keyLen), Salt: bytes.Repeat([]byte{2}, saltLen)}
	b.peer, err = srtp.CreateContext(k.Key, k.Salt, profile)
	require.NoError(t, err)
	sealer, err := seal.NewSealer(k)
	require.NoError(t, err)
	b.out = b.shard.NewOutlet(sealer, &b.route, slog.New(slog.DiscardHandler))
	b.video = b.out.NewWriter(mediaSSRC, true, func([]rtcp.Packet) error { return nil })
	b.video.UseRTX(rtxSSRC)
	b.audio = b.out.NewWriter(audioSSRC, false, func([]rtcp.Packet) error { return nil })
	b.audio.UseRTX(0)
	return b
}

// overUDP routes to a socket of the peer's.
func (b *bench) overUDP() {
	b.t.Helper()
	conn, err := udp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), udp.Config{Buffer: 1 << 20, Log: slog.New(slog.DiscardHandler)})
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = conn.Close() })
	b.sock, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = b.sock.Close() })
	b.route.Store(&Route{Socket: conn, To: b.sock.LocalAddr().(*net.UDPAddr).AddrPort()})
}

// read gives the next packet that the peer gets, opened, and its size on the wire.
func (b *bench) read() (*rtp.Packet, int) {
	b.t.Helper()
	buf := make([]byte, 2000)
	require.NoError(b.t, b.sock.SetReadDeadline(time.Now().Add(5*time.Second)))
	n, err := b.sock.Read(buf)
	require.NoError(b.t, err)
	return b.opened(buf[:n]), n
}

func (b *bench) opened(sealed []byte) *rtp.Packet {
	b.t.Helper()
	clear, err := b.peer.DecryptRTP(nil, sealed, nil)
	require.NoError(b.t, err)
	p := &rtp.Packet{}
	require.NoError(b.t, p.Unmarshal(clear))
	return p
}

func header(ssrc uint32, seq uint16) *rtp.Header {
	h := &rtp.Header{Version: 2, SSRC: ssrc, SequenceNumber: seq, PayloadType: 96}
	_ = h.SetExtension(3, []byte{byte(seq >> 8), byte(seq)})
	return h
}

func payload(n int, fill byte) []byte { return bytes.Repeat([]byte{fill}, n) }

func TestAFrameLeavesInATrainOfOneSize(t *testing.T) {
	for _, profile := range []srtp.ProtectionProfile{srtp.ProtectionProfileAeadAes128Gcm, srtp.ProtectionProfileAes128CmHmacSha1_80} {
		t.Run(profile.String(), func(t *testing.T) {
			b := newBench(t, profile)
			b.overUDP()
			sizes := []int{1000, 1000, 1001, 1001, 300} // as Chromium splits a frame, and the beginning of the next
			for i, n := range sizes {
				require.NoError(t, b.video.WriteRTP(header(mediaSSRC, uint16(i)), payload(n, byte(i+1))))
			}
			b.shard.Flush()
			var wire []int
			for i, n := range sizes {
				p, size := b.read()
				require.Equal(t, uint16(i), p.SequenceNumber)
				require.Equal(t, payload(n, byte(i+1)), p.Payload, "the payload without padding")
				wire = append(wire, size)
			}
			require.Equal(t, []int{wire[0], wire[0], wire[0], wire[0], wire[0] - 701}, wire)
			require.EqualValues(t, 1, b.count.Trains.Load())
			require.EqualValues(t, 5, b.count.Packets.Load())
			require.Zero(t, b.count.Dropped.Load())
		})
	}
}

// TestWhatIsSentAgainIsTheSameToTheBit where there is no RTX: so it is not padded,
// whatever it leaves beside.
func TestWhatIsSentAgainIsTheSameToTheBit(t *testing.T) {
	b := newBench(t, srtp.ProtectionProfileAeadAes128Gcm)
	b.overUDP()
	buf := make([]byte, 2000)
	raw := func() []byte {
		require.NoError(t, b.sock.SetReadDeadline(time.Now().Add(5*time.Second)))
		n, err := b.sock.Read(buf)
		require.NoError(t, err)
		return bytes.Clone(buf[:n])
	}
	require.NoError(t, b.audio.WriteRTP(header(audioSSRC, 1), payload(80, 1)))
	require.NoError(t, b.video.WriteRTP(header(mediaSSRC, 1), payload(90, 1)))
	b.shard.Flush()
	first := raw()
	raw()
	require.NoError(t, b.video.WriteRTP(header(mediaSSRC, 2), payload(85, 1)))
	require.NoError(t, b.audio.WriteRTP(header(audioSSRC, 1), payload(80, 1)))
	b.shard.Flush()
	raw()
	require.Equal(t, first, raw())
	require.Zero(t, b.count.Dropped.Load())

	require.NoError(t, b.audio.WriteRTP(header(audioSSRC, 1), payload(80, 2)))
	require.NoError(t, b.audio.WriteRTP(header(audioSSRC, 2), payload(80, 2)))
	b.shard.Flush()
	p, _ := b.read()
	require.EqualValues(t, 2, p.SequenceNumber, "other bytes under a used index never leave")
	require.EqualValues(t, 1, b.count.Dropped.Load())
}

func TestRetransmissionsBearTheirOwnSSRC(t *testing.T) {
	b := newBench(t, srtp.ProtectionProfileAeadAes128Gcm)
	b.overUDP()
	require.NoError(t, b.video.WriteRTP(header(mediaSSRC, 5), payload(10, 1)))
	require.NoError(t, b.video.WriteRTP(header(rtxSSRC, 5), payload(12, 2)))
	b.shard.Flush()
	p, _ := b.read()
	require.EqualValues(t, mediaSSRC, p.SSRC)
	p, _ = b.read()
	require.EqualValues(t, rtxSSRC, p.SSRC)
}

// TestMoreThanABufferHolds leaves in order, in several trains.
func TestMoreThanABufferHolds(t *testing.T) {
	b := newBench(t, srtp.ProtectionProfileAeadAes128Gcm)
	b.overUDP()
	const n = 60
	for i := range n {
		require.NoError(t, b.video.WriteRTP(header(mediaSSRC, uint16(i)), payload(1100, byte(i))))
	}
	b.shard.Flush()
	for i := range n {
		p, _ := b.read()
		require.Equal(t, uint16(i), p.SequenceNumber)
		require.Equal(t, payload(1100, byte(i)), p.Payload)
	}
	require.Less(t, b.count.Trains.Load(), uint64(n/8))
}

// records is a connection of another kind.
type records struct {
	net.PacketConn
	packets [][]byte
	to      []net.Addr
	err     error
}

func (r *records) WriteTo(b []byte, to net.Addr) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	r.packets, r.to = append(r.packets, bytes.Clone(b)), append(r.to, to)
	return len(b), nil
}

func TestOverAConnectionPacketsGoOneByOne(t *testing.T) {
	b := newBench(t, srtp.ProtectionProfileAeadAes128Gcm)
	conn, addr := &records{}, &net.TCPAddr{Port: 5}
	b.route.Store(&Route{Packets: conn, Addr: addr})
	for i := range 3 {
		require.NoError(t, b.video.WriteRTP(header(mediaSSRC, uint16(i)), payload(100+i, 1)))
	}
	b.shard.Flush()
	require.Equal(t, []net.Addr{addr, addr, addr}, conn.to)
	for i, raw := range conn.packets {
		require.Len(t, b.opened(raw).Payload, 100+i)
	}
	conn.err = errors.New("gone")
	require.NoError(t, b.video.WriteRTP(header(mediaSSRC, 3), payload(100, 1)))
	b.shard.Flush()
	require.EqualValues(t, 1, b.count.Dropped.Load())
	require.EqualValues(t, 3, b.count.Packets.Load())
}

func TestWithoutARouteNothingLeaves(t *testing.T) {
	b := newBench(t, srtp.ProtectionProfileAeadAes128Gcm)
	require.NoError(t, b.video.WriteRTP(header(mediaSSRC, 1), payload(10, 1)))
	b.shard.Flush()
	require.EqualValues(t, 1, b.count.Dropped.Load())
	b.overUDP()
	require.NoError(t, b.video.WriteRTP(header(mediaSSRC, 1), payload(10, 2)))
	b.shard.Flush()
	p, _ := b.read()
	require.Equal(t, payload(10, 2), p.Payload, "what was not sealed has used no index")
}

func TestAClosedOutletTakesNothing(t *testing.T) {
	b := newBench(t, srtp.ProtectionProfileAeadAes128Gcm)
	conn := &records{}
	b.route.Store(&Route{Packets: conn})
	require.NoError(t, b.video.WriteRTP(header(mediaSSRC, 1), payload(10, 1)))
	b.out.Close()
	require.ErrorIs(t, b.video.WriteRTP(header(mediaSSRC, 2), payload(10, 1)), ErrClosed)
	b.shard.Flush()
	require.Empty(t, conn.packets)
}

func TestPacketsTooLargeAreRefused(t *testing.T) {
	b := newBench(t, srtp.ProtectionProfileAeadAes128Gcm)
	require.ErrorIs(t, b.video.WriteRTP(header(mediaSSRC, 1), payload(maxPacket, 1)), ErrSize)
	require.Empty(t, b.shard.dirty)
}

// TestNoOneWaitsForAFlushForever: a shard that is never flushed sends all the same.
func TestNoOneWaitsForAFlushForever(t *testing.T) {
	b := newBench(t, srtp.ProtectionProfileAeadAes128Gcm)
	conn := &records{}
	b.route.Store(&Route{Packets: conn})
	for i := range 2000 {
		require.NoError(t, b.video.WriteRTP(header(mediaSSRC, uint16(i)), payload(1100, 1)))
	}
	require.Greater(t, len(conn.packets), 800)
	require.Less(t, len(b.shard.used)*bufferSize, 5*maxPending)
}

func TestRun(t *testing.T) {
	paddable := func(sizes ...int) (list []packet) {
		for _, n := range sizes {
			list = append(list, packet{size: n, paddable: true})
		}
		return list
	}
	fixed := func(sizes ...int) []packet {
		list := paddable(sizes...)
		for i := range list {
			list[i].paddable = false
		}
		return list
	}
	for name, c := range map[string]struct {
		waiting []packet
		n, size int
	}{
		"one":                           {paddable(100), 1, 100},
		"equal":                         {paddable(100, 100, 100), 3, 100},
		"the last is longer":            {paddable(100, 100, 101), 3, 101},
		"within the slack":              {paddable(100, 100+maxSlack, 90+maxSlack), 3, 100 + maxSlack},
		"beyond the slack":              {paddable(100, 101+maxSlack), 1, 100},
		"the slack is for all":          {paddable(100, 100+maxSlack, 99), 3, 100 + maxSlack},
		"a shorter one ends it":         {paddable(100, 50, 100), 2, 100},
		"fixed and equal":               {fixed(100, 100, 60, 100), 3, 100},
		"fixed and longer":              {fixed(100, 101), 1, 100},
		"padded to a fixed one":         {append(paddable(95, 96), fixed(100)...), 3, 100},
		"a fixed one is not padded":     {append(fixed(95), paddable(96)...), 1, 95},
		"behind a fixed one":            {append(fixed(95), paddable(94, 90)...), 3, 95},
		"a fixed one that is too short": {append(paddable(100), fixed(99)...), 2, 100},
		"no more than the kernel takes": {paddable(bytesOf(70)...), maxTrain, 10},
	} {
		t.Run(name, func(t *testing.T) {
			n, size := run(c.waiting)
			require.Equal(t, c.n, n)
			require.Equal(t, c.size, size)
		})
	}
}

func bytesOf(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = 10
	}
	return list
}

func TestSendingDoesNotAllocate(t *testing.T) {
	b := newBench(t, srtp.ProtectionProfileAeadAes128Gcm)
	b.overUDP()
	h, body := header(mediaSSRC, 0), payload(1000, 1)
	send := func() {
		for range 5 {
			h.SequenceNumber++
			_ = b.video.WriteRTP(h, body)
		}
		b.shard.Flush()
	}
	send()
	require.Zero(t, testing.AllocsPerRun(500, send))
}

func BenchmarkFrame(b *testing.B) {
	x := newBench(b, srtp.ProtectionProfileAeadAes128Gcm)
	x.overUDP()
	h, body := header(mediaSSRC, 0), payload(1080, 1)
	b.ReportAllocs()
	for b.Loop() {
		for range 7 {
			h.SequenceNumber++
			_ = x.video.WriteRTP(h, body)
		}
		x.shard.Flush()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(7*b.N), "ns/packet")
}
