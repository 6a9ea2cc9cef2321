package downtrack

import (
	"bufio"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"diemcau/sfu/codec"
	"diemcau/sfu/fanout"
	"diemcau/sfu/uptrack"
)

const testDescriptorID = 5

// streamBench is a bench whose source is one stream: sound, or video with all its
// layers in it.
type streamBench struct {
	*bench
	formats []webrtc.RTPCodecParameters
	source  *source
}

func (b *streamBench) CodecParameters() []webrtc.RTPCodecParameters { return b.formats }
func (b *streamBench) HeaderExtensions() []webrtc.RTPHeaderExtensionParameter {
	return []webrtc.RTPHeaderExtensionParameter{{URI: codec.DependencyDescriptorURI, ID: testDescriptorID}}
}

// newStreamBench makes one; from is the media type of the source, cfg says what the
// subscriber is sent.
func newStreamBench(t testing.TB, cfg Config, from string, formats ...webrtc.RTPCodecParameters) *streamBench {
	log := slog.New(slog.DiscardHandler)
	b := &streamBench{
		bench:   &bench{t: t, pool: fanout.New(1, nil, log)},
		formats: formats,
		source:  &source{packets: make(chan []byte), asked: make(chan struct{}, 1000)},
	}
	b.worker = b.pool.Worker()
	b.line = NewLine(LineConfig{WriteRTCP: b.WriteRTCP, Log: log}, b.worker)
	cfg.TrackID, cfg.StreamID, cfg.Log = "TR", "PA|TR", log
	b.down = New(cfg, b.line, Wish{Layer: MaxLayers - 1})
	b.source.layer = uptrack.Start(uptrack.Config{
		SSRC: 1, Mime: strings.ToLower(from), ClockRate: cfg.Codec.ClockRate, DescriptorID: testDescriptorID, Stream: b.source,
		WriteRTCP: func([]rtcp.Packet) error { b.source.asked <- struct{}{}; return nil },
		Ended:     func() {}, Log: log,
	}, b.pool)
	b.layers[MaxLayers-1] = b.source
	_, err := b.down.Bind(b)
	require.NoError(t, err)
	b.down.Start()
	t.Cleanup(func() {
		close(b.source.packets)
		b.source.layer.Wait()
		b.down.Close()
		b.pool.Close()
	})
	return b
}

// plug connects the source, which is live from then on.
func (b *streamBench) plug() {
	b.down.SetLayer(MaxLayers-1, b.source.layer)
	b.settle()
	b.source.packets <- []byte{0}
}

// tick has the worker look at the stream again, and so see that its source is live.
func (b *streamBench) tick() {
	b.worker.Do(func() { b.down.tick(time.Now()) })
	b.settle()
}

// feedPacket gives the source a packet and waits until the worker has seen it.
func (b *streamBench) feedPacket(p *rtp.Packet) {
	b.t.Helper()
	b.hand(p)
	b.drain()
}

// hand gives the source a packet and waits until it lies before the worker.
func (b *streamBench) hand(p *rtp.Packet) {
	b.t.Helper()
	raw, err := p.Marshal()
	require.NoError(b.t, err)
	b.source.packets <- raw
	b.source.packets <- []byte{0} // not RTP: taken only after the one before was posted
}

func format(mime string, rate uint32, pt webrtc.PayloadType) webrtc.RTPCodecParameters {
	return webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: mime, ClockRate: rate}, PayloadType: pt,
	}
}

// capture reads packets of codec/testdata/capture; see the README there. In place of
// the padding that is left out there it has empty packets.
func capture(t testing.TB, name string) (packets []*rtp.Packet) {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "codec", "testdata", "capture", name+".txt"))
	require.NoError(t, err)
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		require.Len(t, f, 7)
		seq, err := strconv.ParseUint(f[1], 10, 16)
		require.NoError(t, err)
		ts, err := strconv.ParseUint(f[2], 10, 32)
		require.NoError(t, err)
		payload, err := hex.DecodeString(f[6])
		require.NoError(t, err)
		for len(packets) > 0 && packets[len(packets)-1].SequenceNumber+1 != uint16(seq) {
			pad := &rtp.Packet{Header: packets[len(packets)-1].Header.Clone()}
			pad.SequenceNumber++
			packets = append(packets, pad)
		}
		p := &rtp.Packet{Header: rtp.Header{
			Version: 2, Marker: f[3] == "1", SequenceNumber: uint16(seq), Timestamp: uint32(ts), SSRC: 1,
		}, Payload: payload}
		if f[4] != "-" {
			dd, err := hex.DecodeString(f[4])
			require.NoError(t, err)
			if len(dd) > 16 {
				p.Extension, p.ExtensionProfile = true, rtp.ExtensionProfileTwoByte
			}
			require.NoError(t, p.SetExtension(testDescriptorID, dd))
		}
		packets = append(packets, p)
	}
	require.NoError(t, lines.Err())
	return packets
}

// videoFormats are a subscriber's.
var videoFormats = []webrtc.RTPCodecParameters{
	format(webrtc.MimeTypeVP8, 90000, 96), format(webrtc.MimeTypeVP9, 90000, 98), format(webrtc.MimeTypeAV1, 90000, 45),
	{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, SDPFmtpLine: "apt=96"}, PayloadType: 97},
}

func videoBench(t *testing.T, mime string) *streamBench {
	return newStreamBench(t, Config{
		Kind: webrtc.RTPCodecTypeVideo, Codec: webrtc.RTPCodecCapability{MimeType: mime, ClockRate: 90000},
	}, mime, videoFormats...)
}

// received is what a receiver makes of the packets: the highest spatial layer seen,
// and whether every reference of every frame came.
func received(t *testing.T, packets []*rtp.Packet) (spatial int8, frames map[int64]bool) {
	t.Helper()
	var state codec.DependencyState
	var d codec.Descriptor
	frames = make(map[int64]bool)
	for i, p := range packets {
		if i > 0 {
			require.Equal(t, packets[i-1].SequenceNumber+1, p.SequenceNumber, "numbers without gaps")
			require.GreaterOrEqual(t, int32(p.Timestamp-packets[i-1].Timestamp), int32(0))
		}
		require.NoError(t, state.Parse(p.GetExtension(testDescriptorID), &d), "packet %d", i)
		for r := range d.References() {
			require.True(t, frames[d.Number-d.Reference(r)], "packet %d refers to a frame that did not come", i)
		}
		frames[d.Number] = true
		spatial = max(spatial, d.Layer.Spatial)
	}
	return spatial, frames
}

func TestLayersOfOneStream(t *testing.T) {
	for name, mime := range map[string]string{
		"vp9_l3t3_key": webrtc.MimeTypeVP9, "vp9_l3t3": webrtc.MimeTypeVP9,
		"av1_l3t3_key": webrtc.MimeTypeAV1, "av1_l3t3": webrtc.MimeTypeAV1,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				packets := capture(t, name)
				most := 0
				for wish := range MaxLayers {
					b := videoBench(t, mime)
					b.down.SetWish(Wish{Layer: wish})
					b.plug()
					b.feedPacket(packets[0])
					b.tick()
					for _, p := range packets[1:] {
						b.feedPacket(p)
					}
					got := b.packets()
					spatial, frames := received(t, got)
					require.Equal(t, wish, int(spatial), "the layer wanted, and none above it")
					require.Greater(t, len(frames), most, "a higher layer has more frames")
					most = len(frames)
					told := tellsTargets(t, got)
					if wish == MaxLayers-1 && !strings.HasSuffix(name, "key") {
						require.Zero(t, told, "all is sent")
					} else {
						require.Greater(t, told, 1)
						b.sentAgainAlike(got)
					}
					for i, p := range got[:len(got)-1] {
						require.Equal(t, got[i+1].Timestamp != p.Timestamp, p.Marker, "the marker ends each picture: wish %d, packet %d of %d", wish, i, len(got))
					}
				}
			})
		})
	}
}

// tellsTargets checks that the receiver knows of each packet which decode targets are
// sent, and counts those that tell it: active ones are those with all their frames.
func tellsTargets(t *testing.T, packets []*rtp.Packet) (told int) {
	t.Helper()
	var state codec.DependencyState
	var d codec.Descriptor
	for i, p := range packets {
		require.NoError(t, state.Parse(p.GetExtension(testDescriptorID), &d))
		if d.ActivePresent {
			told++
		}
		active := false
		for target := range d.Structure.DecodeTargets() {
			active = active || state.Active()>>target&1 != 0 && d.DTI(target) != codec.NotPresent
		}
		require.True(t, active, "packet %d is of no active target", i)
	}
	return told
}

// sentAgainAlike asks for each packet that carries a mask again.
func (b *streamBench) sentAgainAlike(packets []*rtp.Packet) {
	b.t.Helper()
	var state codec.DependencyState
	var d codec.Descriptor
	asked := 0
	for _, p := range packets {
		require.NoError(b.t, state.Parse(p.GetExtension(testDescriptorID), &d))
		if !d.ActivePresent {
			continue
		}
		before := len(b.packets())
		b.worker.Do(func() { b.down.resend([]rtcp.NackPair{{PacketID: p.SequenceNumber}}, time.Now()) })
		b.settle()
		again := b.packets()[before:]
		require.Len(b.t, again, 1)
		require.Equal(b.t, p.GetExtension(testDescriptorID), again[0].GetExtension(testDescriptorID))
		asked++
	}
	require.NotZero(b.t, asked)
}

func TestUnreadableDescriptorsAreNotForwarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := videoBench(t, webrtc.MimeTypeVP9)
		packets := capture(t, "vp9_l3t3_key")
		b.plug()
		b.feedPacket(packets[0])
		b.tick()
		i := 1
		for ; len(b.packets()) < 20; i++ {
			b.feedPacket(packets[i])
		}
		sent := len(b.packets())
		for len(b.source.asked) > 0 {
			<-b.source.asked
		}
		bad := *packets[i]
		require.NoError(t, bad.SetExtension(testDescriptorID, []byte{0xff, 0, 0})) // template 63 is none of the structure
		b.feedPacket(&bad)
		require.Len(t, b.packets(), sent)
		require.Eventually(t, func() bool { // key frames are asked for every 300 ms at most
			next := bad
			next.SequenceNumber++
			bad = next
			b.feedPacket(&bad)
			return len(b.source.asked) > 0
		}, time.Second, 10*time.Millisecond, "a key frame is asked for")
		require.Len(t, b.packets(), sent)
	})
}

func TestAnotherCodecTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vp9 := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP9, ClockRate: 90000}
		vp8 := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}
		var can []int
		b := newStreamBench(t, Config{
			Kind: webrtc.RTPCodecTypeVideo, Codec: vp9, Backups: []webrtc.RTPCodecCapability{vp8},
			Bound: func(c []int) { can = c },
		}, webrtc.MimeTypeVP8, format(webrtc.MimeTypeVP8, 90000, testPT))
		require.Equal(t, []int{1}, can, "the backup only")
		b.settle()
		require.False(t, b.down.out.ready, "nothing flows in a codec that was not negotiated")

		b.down.Use(vp8, [MaxLayers]*uptrack.Layer{2: b.source.layer})
		b.feed(frame{layer: 2, seq: 1, pic: 1, start: true, key: true, mk: true})
		b.tick()
		b.feed(frame{layer: 2, seq: 2, ts: 3000, pic: 2, start: true, key: true, mk: true})
		got := b.packets()
		require.NotEmpty(t, got)
		require.Equal(t, uint8(testPT), got[0].PayloadType)
	})
}

func TestAPausedStreamIsOpenedWithPadding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := videoBench(t, webrtc.MimeTypeVP8)
		b.down.SetWish(Wish{Layer: None})
		for range 2 * openings {
			b.tick()
		}
		require.Empty(t, b.packets(), "the subscriber does not know it yet")
		b.down.Announced()
		for range 2 * openings {
			b.tick()
		}
		got := b.packets()
		require.Len(t, got, openings)
		for _, p := range got {
			require.True(t, p.Padding)
			require.Equal(t, []byte{0, 0, 0, openingPad}, p.Payload)
		}
		b.down.SetWish(Wish{Layer: MaxLayers - 1})
		b.plug()
		b.feed(frame{layer: 2, seq: 500, ts: 1 << 31, pic: 1, start: true, key: true, mk: true})
		b.tick()
		b.feed(frame{layer: 2, seq: 501, ts: 1<<31 + 3000, pic: 2, start: true, key: true, mk: true})
		all := b.packets()
		require.Greater(t, len(all), openings)
		first := all[openings]
		require.Equal(t, got[openings-1].SequenceNumber+1, first.SequenceNumber)
		require.Less(t, first.Timestamp, uint32(10*90000), "the time line goes on")
	})
}
