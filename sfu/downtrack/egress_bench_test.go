package downtrack

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/srtp/v3"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"diemcau/sfu/codec"
	"diemcau/sfu/egress"
	"diemcau/sfu/fanout"
	"diemcau/sfu/seal"
	"diemcau/sfu/udp"
	"diemcau/sfu/uptrack"
)

// hall is one camera that many watch: the way of a packet from its reader to the
// sockets of the receivers, with all that is done for each of them.
type hall struct {
	tb     testing.TB
	pool   *fanout.Pool
	worker *fanout.Worker
	source *source
	count  egress.Counters
	conn   *udp.Conn
	to     *net.UDPConn
	downs  []*DownTrack

	packets  [][]byte
	no       []byte // no RTP packet
	seq, pic uint16
	ts       uint32
	idle     chan bool
	ask      func()
}

// viewer is the context in which a viewer's stream is negotiated.
type viewer struct{ bench }

func (v *viewer) HeaderExtensions() []webrtc.RTPHeaderExtensionParameter {
	return []webrtc.RTPHeaderExtensionParameter{{URI: sdp.TransportCCURI, ID: 3}}
}

func newHall(tb testing.TB, viewers int) *hall {
	log := slog.New(slog.DiscardHandler)
	h := &hall{tb: tb, no: []byte{0}, idle: make(chan bool, 1)}
	h.ask = func() {
		h.worker.Sender().Flush() // or it may come only after the answer
		h.idle <- h.worker.Idle()
	}
	h.newFrame()
	h.pool = fanout.New(1, func() fanout.Sender { return egress.NewShard(&h.count, log) }, log)
	h.worker = h.pool.Worker()
	var err error
	h.conn, err = udp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), udp.Config{Buffer: 4 << 20, Log: log})
	require.NoError(tb, err)
	h.to, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}) // what it does not read is dropped
	require.NoError(tb, err)
	h.source = &source{packets: make(chan []byte), asked: make(chan struct{}, 1000)}
	h.source.layer = uptrack.Start(uptrack.Config{
		SSRC: 1, Mime: codec.MimeVP8, ClockRate: 90000, Stream: h.source,
		WriteRTCP: func([]rtcp.Packet) error { return nil }, Ended: func() {}, Log: log,
	}, h.pool)
	key := seal.Keys{Profile: srtp.ProtectionProfileAeadAes128Gcm, Key: make([]byte, 16), Salt: make([]byte, 12)}
	var v viewer
	for range viewers {
		var route atomic.Pointer[egress.Route]
		route.Store(&egress.Route{Socket: h.conn, To: h.to.LocalAddr().(*net.UDPAddr).AddrPort()})
		sealer, err := seal.NewSealer(key)
		require.NoError(tb, err)
		shard, _ := h.worker.Sender().(*egress.Shard)
		out := shard.NewOutlet(sealer, &route, log)
		line := NewLine(LineConfig{
			WriteRTCP: func([]rtcp.Packet) error { return nil }, Log: log,
			Egress: func(ssrc uint32, video bool) fanout.Egress {
				return out.NewWriter(ssrc, video, func([]rtcp.Packet) error { return nil })
			},
		}, h.worker)
		d := New(Config{
			TrackID: "TR", StreamID: "PA|TR", Kind: webrtc.RTPCodecTypeVideo,
			Codec: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, Log: log,
		}, line, Wish{Layer: MaxLayers - 1})
		d.SetLayer(2, h.source.layer)
		_, err = d.Bind(&v)
		require.NoError(tb, err)
		d.Start()
		h.downs = append(h.downs, d)
	}
	tb.Cleanup(func() {
		close(h.source.packets)
		h.source.layer.Wait()
		for _, d := range h.downs {
			d.Close()
		}
		h.pool.Close()
		_ = h.conn.Close()
		_ = h.to.Close()
	})
	h.settle()
	h.frame(true)
	h.settle()
	return h
}

// newFrame makes the packets of a frame, of seven as Chromium splits it.
func (h *hall) newFrame() {
	for i, size := range []int{1080, 1080, 1080, 1080, 1080, 1081, 1081} {
		payload := make([]byte, size)
		copy(payload, []byte{0x80, 0x80, 0x80, 0, 1})
		if i == 0 {
			payload[0] |= 0x10
			copy(payload[5:], []byte{0, 0, 0x9d, 1, 0x2a, 0, 5, 0, 1})
		}
		raw, err := (&rtp.Packet{Header: rtp.Header{Version: 2, SSRC: 1, Marker: i == 6}, Payload: payload}).Marshal()
		require.NoError(h.tb, err)
		h.packets = append(h.packets, raw)
	}
}

// frame has the camera send a frame.
func (h *hall) frame(key bool) {
	h.pic++
	h.ts += 3000
	for i, raw := range h.packets {
		h.seq++
		binary.BigEndian.PutUint16(raw[2:], h.seq)
		binary.BigEndian.PutUint32(raw[4:], h.ts)
		binary.BigEndian.PutUint16(raw[12+2:], 0x8000|h.pic&0x7fff)
		if i == 0 {
			raw[12+4] = 1
			if key {
				raw[12+4] = 0
			}
		}
		h.source.packets <- raw
	}
	h.source.packets <- h.no // when it is taken, all before it are posted
}

// settle waits until what came has left.
func (h *hall) settle() {
	for is := false; !is; is = <-h.idle {
		h.worker.Do(h.ask)
	}
}

func TestAHallGetsEveryPacket(t *testing.T) {
	h := newHall(t, 20)
	before := h.count.Packets.Load()
	for range 10 {
		h.frame(false)
		h.settle()
	}
	require.Equal(t, before+10*7*20, h.count.Packets.Load())
	require.Zero(t, h.count.Dropped.Load())
	require.Less(t, h.count.Trains.Load(), h.count.Packets.Load()/2, "packets of a frame leave together")
}

// TestForwardingDoesNotAllocate: from the reader of a layer to the sockets of those who
// watch it. A tick does, and how many of these fall into a frame depends on how busy the
// machine is: others than those of ticks would be in every frame.
func TestForwardingDoesNotAllocate(t *testing.T) {
	h := newHall(t, 20)
	send := func() {
		h.frame(false)
		h.settle()
	}
	for range 20 {
		send()
	}
	const frames = 50
	for clean, n := 0, 0; clean < frames; n++ {
		require.Less(t, n, 20*frames, "%d frames of them without", clean)
		if testing.AllocsPerRun(1, send) == 0 {
			clean++
		}
	}
}

// BenchmarkHall is the cost of forwarding a packet to one viewer, all included but
// the network of the receiver.
func BenchmarkHall(b *testing.B) {
	for _, viewers := range []int{20, 215} {
		b.Run(fmt.Sprint(viewers), func(b *testing.B) {
			h := newHall(b, viewers)
			before := h.count.Packets.Load()
			b.ReportAllocs()
			for b.Loop() {
				h.frame(false)
				h.settle()
			}
			b.StopTimer()
			n := h.count.Packets.Load() - before
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/packet")
			b.ReportMetric(float64(n)/float64(h.count.Trains.Load()), "packets/train")
		})
	}
}
