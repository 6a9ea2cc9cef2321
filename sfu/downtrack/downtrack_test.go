package downtrack

import (
	"encoding/binary"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"diemcau/sfu/codec"
	"diemcau/sfu/fanout"
	"diemcau/sfu/uptrack"
)

// source is a layer fed by a test.
type source struct {
	packets chan []byte
	asked   chan struct{} // key-frame requests
	layer   *uptrack.Layer
}

func (s *source) Read(b []byte) (int, interceptor.Attributes, error) {
	p, ok := <-s.packets
	if !ok {
		return 0, nil, io.EOF
	}
	return copy(b, p), nil, nil
}

// bench is one subscriber's stream with three VP8 layers in front of it and a
// recorder behind. Tests of what takes its time have it in a bubble of synctest, for on a
// busy machine any time may pass between two packets.
type bench struct {
	t      testing.TB
	pool   *fanout.Pool
	worker *fanout.Worker
	line   *Line
	layers [MaxLayers]*source
	down   *DownTrack

	mu   sync.Mutex
	sent []*rtp.Packet
	rtcp []rtcp.Packet
}

const (
	testSSRC, testRTX = 1111, 2222
	testPT, testRTXPT = 96, 97
)

func newBench(t testing.TB) *bench {
	b := &bench{t: t, pool: fanout.New(1, nil, slog.New(slog.DiscardHandler))}
	b.worker = b.pool.Worker()
	b.line = NewLine(LineConfig{WriteRTCP: b.WriteRTCP, Log: slog.New(slog.DiscardHandler)}, b.worker)
	b.down = New(Config{
		TrackID: "TR", StreamID: "PA|TR", Kind: webrtc.RTPCodecTypeVideo,
		Codec: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000},
		Log:   slog.New(slog.DiscardHandler),
	}, b.line, Wish{Layer: MaxLayers - 1})
	for i := range b.layers {
		s := &source{packets: make(chan []byte), asked: make(chan struct{}, 1000)}
		s.layer = uptrack.Start(uptrack.Config{
			SSRC: uint32(i + 1), Mime: codec.MimeVP8, ClockRate: 90000, Stream: s,
			WriteRTCP: func([]rtcp.Packet) error { s.asked <- struct{}{}; return nil },
			Ended:     func() {}, Log: slog.New(slog.DiscardHandler),
		}, b.pool)
		b.layers[i] = s
		b.down.SetLayer(i, s.layer)
	}
	_, err := b.down.Bind(b)
	require.NoError(t, err)
	b.down.Start()
	b.settle()
	for i := range b.layers { // all layers are live before a test begins
		b.feed(frame{layer: i, seq: 65535})
	}
	t.Cleanup(func() {
		for _, s := range b.layers {
			close(s.packets)
			s.layer.Wait()
		}
		b.down.Close()
		b.pool.Close()
	})
	return b
}

// The bench is a webrtc.TrackLocalContext and the stream written to.
func (b *bench) CodecParameters() []webrtc.RTPCodecParameters {
	return []webrtc.RTPCodecParameters{
		{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264}, PayloadType: 125},
		{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8}, PayloadType: testPT},
		{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, SDPFmtpLine: "apt=96"}, PayloadType: testRTXPT},
	}
}
func (b *bench) HeaderExtensions() []webrtc.RTPHeaderExtensionParameter { return nil }
func (b *bench) SSRC() webrtc.SSRC                                      { return testSSRC }
func (b *bench) SSRCRetransmission() webrtc.SSRC                        { return testRTX }
func (b *bench) SSRCForwardErrorCorrection() webrtc.SSRC                { return 0 }
func (b *bench) WriteStream() webrtc.TrackLocalWriter                   { return b }
func (b *bench) ID() string                                             { return "id" }
func (b *bench) RTCPReader() interceptor.RTCPReader                     { return nil }
func (b *bench) Write([]byte) (int, error)                              { return 0, io.ErrClosedPipe }

func (b *bench) WriteRTP(h *rtp.Header, payload []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent = append(b.sent, &rtp.Packet{Header: h.Clone(), Payload: append([]byte(nil), payload...)})
	return len(payload), nil
}

func (b *bench) WriteRTCP(p []rtcp.Packet) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rtcp = append(b.rtcp, p...)
	return nil
}

// settle waits until the worker has done everything given to it so far.
func (b *bench) settle() {
	b.t.Helper()
	done := make(chan struct{})
	require.True(b.t, b.worker.Do(func() { close(done) }))
	<-done
}

// hear gives the line an RTCP packet of the subscriber's, and waits until it has been heard.
func (b *bench) hear(packet []byte) {
	b.t.Helper()
	require.True(b.t, b.worker.Do(func() { b.line.Told(packet, time.Now()) }))
	b.settle()
}

type frame struct {
	layer          int
	seq            uint16
	ts             uint32
	pic            uint16
	key, start, mk bool
}

// feed gives the layer a packet and waits until the worker has seen it.
func (b *bench) feed(f frame) {
	b.t.Helper()
	payload := []byte{0x80, 0x80, 0x80 | byte(f.pic>>8), byte(f.pic)}
	if f.start {
		payload[0] |= 0x10
	}
	if f.key {
		payload = append(payload, 0, 0, 0, 0x9d, 1, 0x2a, 0, byte(f.layer+1), 0, 1)
	} else {
		payload = append(payload, 1, 2, 3)
	}
	p := &rtp.Packet{Header: rtp.Header{
		Version: 2, SequenceNumber: f.seq, Timestamp: f.ts, Marker: f.mk, SSRC: uint32(f.layer + 1),
	}, Payload: payload}
	raw, err := p.Marshal()
	require.NoError(b.t, err)
	b.layers[f.layer].packets <- raw
	b.layers[f.layer].packets <- []byte{0} // not RTP: taken only after the one before was posted
	b.drain()
}

// drain waits until no packet waits for the worker or in it.
func (b *bench) drain() {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		idle := make(chan bool, 1)
		return b.worker.Do(func() { idle <- b.worker.Idle() }) && <-idle
	}, 10*time.Second, time.Millisecond/10)
	b.settle()
}

func (b *bench) packets() []*rtp.Packet {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]*rtp.Packet(nil), b.sent...)
}

func TestNothingIsSentBeforeAKeyFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.feed(frame{layer: 2, seq: 10, ts: 900, pic: 5, start: true, mk: true})
		require.Empty(t, b.packets())
		require.NotEmpty(t, b.layers[2].asked, "a key frame is asked for")
		b.feed(frame{layer: 2, seq: 11, ts: 3900, pic: 6, start: true, key: true, mk: true})
		b.feed(frame{layer: 2, seq: 12, ts: 6900, pic: 7, start: true, mk: true})
		got := b.packets()
		require.Len(t, got, 2)
		require.Equal(t, uint32(testSSRC), got[0].SSRC)
		require.Equal(t, uint8(testPT), got[0].PayloadType)
		require.Equal(t, got[0].SequenceNumber+1, got[1].SequenceNumber)
		require.Equal(t, uint32(3000), got[1].Timestamp-got[0].Timestamp)
	})
}

func TestASwitchWaitsForTheOldFrameToEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.feed(frame{layer: 2, seq: 1, ts: 1000, pic: 1, start: true, key: true, mk: true})
		b.down.SetWish(Wish{Layer: 0})
		b.settle()
		b.feed(frame{layer: 2, seq: 2, ts: 4000, pic: 2, start: true})                        // first half
		b.feed(frame{layer: 0, seq: 500, ts: 77, pic: 300, start: true, key: true, mk: true}) // held
		b.feed(frame{layer: 0, seq: 501, ts: 3077, pic: 301, start: true, mk: true})          // held
		require.Len(t, b.packets(), 2)
		b.feed(frame{layer: 2, seq: 3, ts: 4000, pic: 2, mk: true}) // second half
		b.feed(frame{layer: 0, seq: 502, ts: 6077, pic: 302, start: true, mk: true})
		got := b.packets()
		require.Len(t, got, 6)
		var pics []uint16
		for i, p := range got {
			d, err := codec.ParseVP8(p.Payload)
			require.NoError(t, err)
			pics = append(pics, d.PictureID)
			require.Equal(t, got[0].SequenceNumber+uint16(i), p.SequenceNumber)
		}
		require.Equal(t, []uint16{1, 2, 2, 3, 4, 5}, pics)
		require.Greater(t, int32(got[3].Timestamp-got[2].Timestamp), int32(0))
		require.Equal(t, uint32(3000), got[4].Timestamp-got[3].Timestamp)
	})
}

func TestASwitchMidFrameIsNotHeldForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.feed(frame{layer: 2, seq: 1, ts: 1000, pic: 1, start: true, key: true, mk: true})
		b.feed(frame{layer: 2, seq: 2, ts: 4000, pic: 2, start: true}) // its end is lost
		b.down.SetWish(Wish{Layer: 0})
		b.settle()
		seq := uint16(100)
		require.Eventually(t, func() bool {
			b.feed(frame{layer: 0, seq: seq, ts: uint32(seq) * 3000, pic: seq, start: true, key: seq == 100, mk: true})
			seq++
			return len(b.packets()) > 3
		}, time.Second, 5*time.Millisecond)
		got := b.packets()
		for i, p := range got {
			require.Equal(t, got[0].SequenceNumber+uint16(i), p.SequenceNumber)
		}
	})
}

func TestNACKIsAnsweredByRTXOncePerRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		for i := range uint16(5) {
			b.feed(frame{layer: 2, seq: 10 + i, ts: 1000 + 3000*uint32(i), pic: i, start: true, key: i == 0, mk: true})
		}
		first := b.packets()
		require.Len(t, first, 5)
		lost := first[3]
		nack, err := rtcp.Marshal([]rtcp.Packet{&rtcp.TransportLayerNack{
			MediaSSRC: testSSRC, Nacks: []rtcp.NackPair{{PacketID: lost.SequenceNumber}, {PacketID: lost.SequenceNumber + 9000}},
		}})
		require.NoError(t, err)
		b.hear(append(nack, nack...)) // at once again: the copy may still be on its way
		b.hear([]byte("not RTCP"))
		got := b.packets()[5:]
		require.Len(t, got, 1)
		require.Equal(t, uint32(testRTX), got[0].SSRC)
		require.Equal(t, uint8(testRTXPT), got[0].PayloadType)
		require.Equal(t, lost.Timestamp, got[0].Timestamp)
		require.Equal(t, lost.SequenceNumber, binary.BigEndian.Uint16(got[0].Payload))
		require.Equal(t, lost.Payload, got[0].Payload[2:])
	})
}

func TestWhereMuchIsLostRepairsAreSentTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.feed(frame{layer: 2, seq: 10, ts: 1000, pic: 1, start: true, key: true, mk: true})
		nack := []rtcp.NackPair{{PacketID: b.packets()[0].SequenceNumber}}
		require.True(t, b.worker.Do(func() {
			b.line.lossy = true
			b.down.resend(nack, time.Now())
		}))
		b.settle()
		got := b.packets()[1:]
		require.Len(t, got, 2)
		require.Equal(t, got[0].SequenceNumber+1, got[1].SequenceNumber, "each is a packet of the RTX stream")
		require.Equal(t, got[0].Payload, got[1].Payload)
	})
}

// What was given up is not sent again, and what comes after it is, however much of it
// there is: sequence numbers wrap.
func TestWhatWasGivenUpIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		for i := range uint16(3) {
			b.feed(frame{layer: 2, seq: 10 + i, ts: 1000 + 3000*uint32(i), pic: i, start: true, key: i == 0, mk: true})
		}
		nack := func(p *rtp.Packet) (answers int) {
			raw, err := rtcp.Marshal([]rtcp.Packet{&rtcp.TransportLayerNack{
				MediaSSRC: testSSRC, Nacks: []rtcp.NackPair{{PacketID: p.SequenceNumber}},
			}})
			require.NoError(t, err)
			before := len(b.packets())
			b.hear(raw)
			return len(b.packets()) - before
		}
		old := b.packets()[2]
		require.True(t, b.worker.Do(b.down.cut))
		require.Zero(t, nack(old))
		const many = 40_000 // more than half of the sequence numbers
		require.True(t, b.worker.Do(func() {
			payload := []byte{0x90, 0x80, 0x80, 0, 0, 0, 0, 0x9d, 1, 0x2a, 0, 3, 0, 1}
			for i := range uint16(many) {
				p := fanout.Packet{Payload: payload, KeyFrame: true, Start: true, Arrival: time.Now(), Now: time.Now()}
				p.Header = codec.Header{SequenceNumber: 13 + i, Timestamp: 10_000 + 3000*uint32(i), Marker: true}
				b.down.take(2, &p)
			}
		}))
		for i := range uint16(2) { // for the layer the numbers jump, so it takes two in a row
			b.feed(frame{layer: 2, seq: 12 + many + i, ts: 10_000 + 3000*many, pic: 1, start: true, mk: true})
		}
		got := b.packets()
		require.Equal(t, 3+many+1, len(got)) // Len would print them all
		require.Equal(t, 1, nack(got[len(got)-1]))
	})
}

func TestPLIReachesTheLayerBeingSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.feed(frame{layer: 2, seq: 1, ts: 1, pic: 1, start: true, key: true, mk: true})
		for len(b.layers[2].asked) > 0 {
			<-b.layers[2].asked
		}
		pli, err := rtcp.Marshal([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: testSSRC}})
		require.NoError(t, err)
		require.Eventually(t, func() bool { // requests are throttled
			b.hear(pli)
			return len(b.layers[2].asked) > 0
		}, 2*time.Second, 20*time.Millisecond)
		require.Empty(t, b.layers[1].asked)
	})
}

func TestRoundTripTimeAndLossComeFromReceiverReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.feed(frame{layer: 2, seq: 1, ts: 1, pic: 1, start: true, key: true, mk: true})
		var sr *rtcp.SenderReport
		require.Eventually(t, func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			for _, p := range b.rtcp {
				if r, ok := p.(*rtcp.SenderReport); ok {
					sr = r
					return true
				}
			}
			return false
		}, 5*time.Second, 10*time.Millisecond)
		require.Equal(t, uint32(testSSRC), sr.SSRC)
		require.Equal(t, uint32(1), sr.PacketCount)
		rr, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{
			SSRC: testSSRC, FractionLost: 64, LastSenderReport: uint32(sr.NTPTime >> 16),
		}}}})
		require.NoError(t, err)
		b.hear(rr)
		require.Eventually(t, func() bool { return b.down.Stats().Lost == 64 }, time.Second, time.Millisecond)
		require.Positive(t, b.down.Stats().RTT)
	})
}

// TestReportsAreForTheStreamsTheyName: a compound may tell of several.
func TestReportsAreForTheStreamsTheyName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.feed(frame{layer: 2, seq: 10, ts: 1000, pic: 1, start: true, key: true, mk: true})
		seq := b.packets()[0].SequenceNumber
		nack := &rtcp.TransportLayerNack{MediaSSRC: testSSRC + 1, Nacks: []rtcp.NackPair{{PacketID: seq}}}
		report := &rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{SSRC: testSSRC + 1, FractionLost: 9}, {SSRC: testSSRC, FractionLost: 5}}}
		hear := func(pkts ...rtcp.Packet) {
			raw, err := rtcp.Marshal(pkts)
			require.NoError(t, err)
			b.hear(raw)
		}
		hear(report, nack, &rtcp.PictureLossIndication{MediaSSRC: testSSRC + 1}, &rtcp.FullIntraRequest{FIR: []rtcp.FIREntry{{SSRC: 1}}})
		require.Len(t, b.packets(), 1)
		require.Equal(t, uint8(5), b.down.Stats().Lost)
		require.Zero(t, b.down.Stats().KeyAsked)
		nack.MediaSSRC = testSSRC
		hear(report, nack, &rtcp.PictureLossIndication{MediaSSRC: testSSRC}, &rtcp.FullIntraRequest{FIR: []rtcp.FIREntry{{SSRC: 1}, {SSRC: testSSRC}}})
		require.Len(t, b.packets(), 2)
		require.Equal(t, uint64(2), b.down.Stats().KeyAsked)

		raw, err := rtcp.Marshal([]rtcp.Packet{report, &rtcp.ReceiverEstimatedMaximumBitrate{Bitrate: 777_000, SSRCs: []uint32{testSSRC}}})
		require.NoError(t, err)
		b.hear(raw[:len(raw)-4])
		estimated := func() (bps int64) {
			b.worker.Do(func() { bps = b.line.est.Target() })
			b.settle()
			return bps
		}
		require.EqualValues(t, startEstimate, estimated(), "cut off")
		var many []rtcp.Packet
		for range maxCompound {
			many = append(many, &rtcp.PictureLossIndication{MediaSSRC: testSSRC})
		}
		hear(append(many, &rtcp.ReceiverEstimatedMaximumBitrate{Bitrate: 777_000})...)
		require.EqualValues(t, startEstimate, estimated(), "too many")
		require.Equal(t, uint64(2+maxCompound), b.down.Stats().KeyAsked)
		b.hear(raw)
		require.EqualValues(t, 777_000, estimated())
	})
}

func TestH264FormatsAreMatchedByPacketizationAndProfile(t *testing.T) {
	have := []webrtc.RTPCodecParameters{}
	for i, line := range []string{
		"packetization-mode=0;profile-level-id=42e01f", "packetization-mode=1;profile-level-id=640032",
		"packetization-mode=1;profile-level-id=42e01f",
	} {
		have = append(have, webrtc.RTPCodecParameters{
			RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, SDPFmtpLine: line},
			PayloadType:        webrtc.PayloadType(i),
		})
	}
	for i, c := range have {
		got, ok := matchCodec(c.RTPCodecCapability, have)
		require.True(t, ok)
		require.Equal(t, webrtc.PayloadType(i), got.PayloadType)
	}
	got, ok := matchCodec(have[0].RTPCodecCapability, have[1:])
	require.True(t, ok, "whole NAL units are for everybody")
	require.Equal(t, webrtc.PayloadType(2), got.PayloadType)
	_, ok = matchCodec(have[2].RTPCodecCapability, have[:1])
	require.False(t, ok, "fragments are not")
	_, ok = matchCodec(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264}, have[:1])
	require.True(t, ok, "its parameters are not known yet")
	_, ok = matchCodec(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8}, have)
	require.False(t, ok)
}

func TestTimelineJoinsByReportsWhereItCan(t *testing.T) {
	start := time.Now()
	ntp := func(d time.Duration) uint64 { return ntpTime(start) + ntpDuration(d) }
	report := func(d time.Duration, ts uint32) *uptrack.Report {
		return &uptrack.Report{NTP: ntp(d), RTP: ts, Arrival: start.Add(d)}
	}
	tl := timeline{rate: 90000}
	tl.join(1000, report(0, 1000), start, 0)
	require.Equal(t, uint32(1000), tl.apply(1000, start))
	// A frame captured 100 ms after the first, of a layer with another time
	// line, arrives 150 ms after it: the reports tell the true time.
	tl.join(500_009_000, report(0, 500_000_000), start.Add(150*time.Millisecond), 0)
	require.Equal(t, uint32(1000+9000), tl.apply(500_009_000, start.Add(150*time.Millisecond)))
	// Without a report the arrival has to do: 100 ms later.
	tl.join(42, nil, start.Add(250*time.Millisecond), 0)
	require.Equal(t, uint32(10000+9000), tl.apply(42, start.Add(250*time.Millisecond)))
	// A report that lies by minutes is not believed, and time never goes back.
	tl.rebase(report(0, 1000))
	tl.join(7, report(time.Hour, 7), start.Add(300*time.Millisecond), 0)
	got := tl.apply(7, start.Add(300*time.Millisecond))
	require.Greater(t, got, uint32(19000))
	require.Less(t, got, uint32(19000+45000))
}

func TestWhatWasSaidAWhileAgoIsPlayedAtOnce(t *testing.T) {
	const tick = 48 // of a millisecond
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	tl := timeline{rate: 48000}
	tl.join(1000, nil, at(0), 0)
	require.Equal(t, uint32(1000), tl.apply(1000, at(0)))
	// A speech is noticed 200 ms after it began, and sent from its beginning.
	tl.join(70_000, nil, at(400), 200*time.Millisecond)
	require.Equal(t, uint32(1000+600*tick), tl.apply(70_000, at(400)), "as if it began now")
	require.Equal(t, uint32(1000+800*tick), tl.apply(70_000+200*tick, at(600)))
	// The next speaker is not ahead by as much again.
	tl.join(5, nil, at(2000), 100*time.Millisecond)
	require.Equal(t, uint32(1000+2100*tick), tl.apply(5, at(2000)))
	tl.join(9, nil, at(5000), 0)
	require.Equal(t, uint32(1000+5000*tick), tl.apply(9, at(5000)), "on time again")
	// One who speaks at once after a speech that is ahead follows it.
	tl.join(80_000, nil, at(6000), 200*time.Millisecond)
	require.Equal(t, uint32(1000+6200*tick), tl.apply(80_000, at(6000)))
	tl.join(30, nil, at(6050), 0)
	require.Equal(t, uint32(1000+6210*tick), tl.apply(30, at(6050)))
}
