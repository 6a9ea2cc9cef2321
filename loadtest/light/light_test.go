package light

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"
)

const ms = int64(time.Millisecond)

// feed enters packets of numbers first to last, each a frame of its own 33 ms after the
// one before, without those left out.
func feed(s *stream, first, last int, without ...int) (at int64) {
	for n := first; n <= last; n++ {
		at = int64(n) * 33 * ms
		if !slices.Contains(without, n) {
			s.add(videoPacket(n), 1000, at, false)
		}
	}
	return at
}

func videoPacket(n int) *header {
	return &header{sequence: uint16(n), timestamp: uint32(n) * 2970, marker: true}
}

func newVideo() *stream { return &stream{video: true, clock: clockVideo} }

func TestStreamCountsOverTheWrap(t *testing.T) {
	s := newVideo()
	feed(s, 65500, 65600)
	c := s.snapshot()
	require.Equal(t, StreamStats{Packets: 101, Bytes: 101_000, Frames: 101, MaxGap: 33 * time.Millisecond}, c)
}

func TestStreamRepairsAndLoses(t *testing.T) {
	s := newVideo()
	at := feed(s, 100, 170, 150, 160, 161)
	require.EqualValues(t, 3, s.snapshot().Lost)
	require.EqualValues(t, 50, s.snapshot().Frames, "those behind the gap wait")
	require.Equal(t, []uint16{150, 160, 161}, s.ask(nil, at, 0))
	require.Empty(t, s.ask(nil, at, 0), "asked a moment ago")

	_, fresh := s.add(videoPacket(150), 1000, at, true)
	require.True(t, fresh)
	_, fresh = s.add(videoPacket(150), 1000, at, true)
	require.False(t, fresh)
	c := s.snapshot()
	require.EqualValues(t, 1, c.Repaired)
	require.EqualValues(t, 1, c.Duplicates)
	require.EqualValues(t, 60, c.Frames)

	for range maxAsks + 2 {
		at += 2 * int64(askFirst)
		s.ask(nil, at, 0)
	}
	c = s.snapshot()
	require.EqualValues(t, 2, c.Lost)
	require.Zero(t, c.Open, "given up")
	require.EqualValues(t, 3*maxAsks-maxAsks+1, c.Asked, "one was asked for once")
	require.EqualValues(t, 68, c.Frames)
	require.EqualValues(t, 1, c.Broken, "the frame behind the gap cannot be told from the one that is gone")
	require.True(t, s.keyWanted)
}

func TestStreamForgetsWhatLeftTheWindow(t *testing.T) {
	s := newVideo()
	feed(s, 1, 10)
	at := feed(s, 12, 3000)
	c := s.snapshot()
	require.EqualValues(t, 1, c.Lost)
	require.Zero(t, s.ask(nil, at, 0))
	require.Zero(t, s.snapshot().Open)
	require.EqualValues(t, 2999, c.Frames+c.Broken)
	require.EqualValues(t, 3000, s.highest-1<<16)
}

func TestStreamBeginsAnewAfterAJump(t *testing.T) {
	s := newVideo()
	feed(s, 1, 10)
	feed(s, 20001, 20010)
	c := s.snapshot()
	require.EqualValues(t, 20, c.Packets)
	require.Zero(t, c.Lost)
	require.EqualValues(t, 1, c.Faults)
}

func TestStreamBeginsWithTheFirstToCome(t *testing.T) {
	s := newVideo()
	_, fresh := s.add(videoPacket(9), 1, 0, true)
	require.False(t, fresh, "a retransmission of what is not known")
	s.add(videoPacket(10), 1, 0, false)
	_, fresh = s.add(videoPacket(8), 1, 0, false)
	require.False(t, fresh)
	require.Equal(t, StreamStats{Packets: 1, Bytes: 1, Frames: 1}, s.snapshot())
}

func TestPaddingIsNoFrame(t *testing.T) {
	s := newVideo()
	feed(s, 1, 5)
	// Padding alone, with a time of its own; then a frame whose last packet is padded.
	s.add(&header{sequence: 6, timestamp: 5*2970 + 9, padded: true}, 255, 6*33*ms, false)
	s.add(&header{sequence: 7, timestamp: 7 * 2970}, 1000, 7*33*ms, false)
	s.add(&header{sequence: 8, timestamp: 7 * 2970, padded: true, marker: true}, 1000, 7*33*ms, false)
	c := s.snapshot()
	require.EqualValues(t, 6, c.Frames)
	require.EqualValues(t, 2, c.Padded)
	require.Zero(t, c.Faults+c.Broken+c.Lost)
}

func TestFramesWithoutMarkerOrBackInTime(t *testing.T) {
	s := newVideo()
	feed(s, 1, 5)
	s.add(&header{sequence: 6, timestamp: 6 * 2970}, 1, 200*ms, false)
	s.add(&header{sequence: 7, timestamp: 7 * 2970, marker: true}, 1, 233*ms, false)
	require.EqualValues(t, 1, s.snapshot().Faults)
	require.EqualValues(t, 1, s.snapshot().Broken)
	s.add(&header{sequence: 8, timestamp: 3 * 2970, marker: true}, 1, 266*ms, false)
	require.EqualValues(t, 2, s.snapshot().Faults)
}

func TestFreezes(t *testing.T) {
	for _, c := range []struct {
		pause   int64
		freezes uint64
	}{{170 * ms, 0}, {190 * ms, 1}, {2000 * ms, 1}} {
		s := newVideo()
		at := feed(s, 1, 20)
		s.add(videoPacket(21), 1, at+c.pause, false)
		got := s.snapshot()
		require.Equal(t, c.freezes, got.Freezes, "after %d ms", c.pause/ms)
		require.Equal(t, time.Duration(c.pause), got.MaxGap)
		require.Equal(t, time.Duration(c.pause)*time.Duration(c.freezes), got.Frozen)
	}
	s := newVideo()
	at := feed(s, 1, 20)
	s.late = &lateness{}
	s.late.note(at+33*ms, at+400*ms)
	s.add(videoPacket(21), 1, at+410*ms, false)
	require.EqualValues(t, 1, s.snapshot().Excused)
	require.Zero(t, s.snapshot().Freezes, "the tester's own")
	s.add(videoPacket(22), 1, at+810*ms, false)
	require.EqualValues(t, 1, s.snapshot().Freezes, "not the tester's")

	s = newVideo()
	at = feed(s, 1, 20)
	s.pause()
	s.add(videoPacket(21), 1, at+5000*ms, false)
	require.Zero(t, s.snapshot().Freezes, "a pause on purpose")
	sound := &stream{clock: clockAudio}
	at = feed(sound, 1, 20)
	sound.add(videoPacket(21), 1, at+5000*ms, false)
	require.Zero(t, sound.snapshot().Freezes, "silence")
}

// TestTransportFeedback has Pion read what is built, for arrivals of all kinds.
func TestTransportFeedback(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		var a arrivals
		at, number := int64(1_700_000_000_000_000_000)+r.Int64N(1e9), uint16(65400+round)
		want := map[uint16]int64{}
		n := 1 + r.IntN(300)
		loss := []float64{0, 0.05, 0.5, 0.95}[round%4]
		for i := range n {
			at += []int64{10_000, 5 * ms, 70 * ms, 300_000}[r.IntN(4)] * int64(1+round%2)
			if i == 0 || i == n-1 || r.Float64() >= loss {
				a.add(number+uint16(i), at)
				want[number+uint16(i)] = at / twccTick * twccTick
			}
		}
		raw := a.report(nil, 42)
		var got rtcp.TransportLayerCC
		require.NoError(t, got.Unmarshal(raw))
		require.Equal(t, number, got.BaseSequenceNumber)
		require.EqualValues(t, n, got.PacketStatusCount)
		require.EqualValues(t, 42, got.MediaSSRC)
		require.Equal(t, want, decode(t, &got, want[number]), "round %d", round)
		require.Nil(t, a.report(nil, 42), "all is told")
		a.add(number+uint16(n), at+ms)
		got = rtcp.TransportLayerCC{}
		require.NoError(t, got.Unmarshal(a.report(nil, 42)))
		require.Equal(t, number+uint16(n), got.BaseSequenceNumber)
		require.EqualValues(t, 1, got.FbPktCount)
	}
	var a arrivals
	a.add(10, ms)
	a.add(9, 2*ms)
	var got rtcp.TransportLayerCC
	require.NoError(t, got.Unmarshal(a.report(nil, 1)))
	require.EqualValues(t, 9, got.BaseSequenceNumber, "they changed places")
	require.EqualValues(t, 2, got.PacketStatusCount)
	a.add(9, 3*ms)
	require.Nil(t, a.report(nil, 1), "told already")
	for i := range 3 * maxArrivals {
		a.add(uint16(i), int64(i)*ms)
		require.LessOrEqual(t, len(a.at), maxArrivals)
	}
}

// decode returns the times of a report, each as exact as that of origin allows: they are
// compared by the ticks that they were rounded to.
func decode(t *testing.T, p *rtcp.TransportLayerCC, origin int64) map[uint16]int64 {
	t.Helper()
	var symbols []uint16
	for _, c := range p.PacketChunks {
		switch c := c.(type) {
		case *rtcp.RunLengthChunk:
			for range c.RunLength {
				symbols = append(symbols, c.PacketStatusSymbol)
			}
		case *rtcp.StatusVectorChunk:
			symbols = append(symbols, c.SymbolList...)
		}
	}
	require.GreaterOrEqual(t, len(symbols), int(p.PacketStatusCount))
	out := map[uint16]int64{}
	reference := origin / twccUnit * twccUnit
	require.EqualValues(t, origin/twccUnit&0xFFFFFF, p.ReferenceTime)
	at, deltas := reference, p.RecvDeltas
	for i, s := range symbols[:p.PacketStatusCount] {
		if s == rtcp.TypeTCCPacketNotReceived {
			continue
		}
		at += deltas[0].Delta * 1000
		deltas = deltas[1:]
		out[p.BaseSequenceNumber+uint16(i)] = at
	}
	require.Empty(t, deltas)
	return out
}

func TestFeedbackInterval(t *testing.T) {
	require.Equal(t, feedbackMin, feedbackInterval(2_000_000))
	require.Equal(t, feedbackMax, feedbackInterval(0))
	require.InDelta(t, 77, feedbackInterval(140_000).Milliseconds(), 1)
	require.Equal(t, feedbackMax, feedbackInterval(60_000))
}

func TestNACKAndReports(t *testing.T) {
	raw := appendNACK(nil, 7, []uint16{65534, 65535, 3, 40})
	var nack rtcp.TransportLayerNack
	require.NoError(t, nack.Unmarshal(raw))
	var got []uint16
	for _, pair := range nack.Nacks {
		got = append(got, pair.PacketList()...)
	}
	require.Equal(t, []uint16{65534, 65535, 3, 40}, got)
	require.Len(t, nack.Nacks, 2)
	require.Nil(t, appendNACK(nil, 7, nil))

	s := newVideo()
	s.ssrc = 9
	at := feed(s, 65500, 65599, 65510, 65511)
	s.report.sr, s.report.srAt = 0x1234, at-500*ms
	var rr rtcp.ReceiverReport
	require.NoError(t, rr.Unmarshal(appendRR(nil, []*stream{s}, at)))
	require.Equal(t, rtcp.ReceptionReport{SSRC: 9, FractionLost: 2 * 256 / 100, TotalLost: 2, LastSequenceNumber: 65599,
		LastSenderReport: 0x1234, Delay: 32768, Jitter: rr.Reports[0].Jitter}, rr.Reports[0])
	require.Less(t, rr.Reports[0].Jitter, uint32(5))
	rr = rtcp.ReceiverReport{}
	require.NoError(t, rr.Unmarshal(appendRR(nil, []*stream{s}, at)))
	require.Zero(t, rr.Reports[0].FractionLost, "nothing since")

	var pli rtcp.PictureLossIndication
	require.NoError(t, pli.Unmarshal(appendPLI(nil, 9)))
	require.EqualValues(t, 9, pli.MediaSSRC)
}

func TestHeaderReadsWhatPionWrites(t *testing.T) {
	for _, profile := range []uint16{0, rtp.ExtensionProfileOneByte, rtp.ExtensionProfileTwoByte} {
		p := rtp.Packet{Header: rtp.Header{Version: 2, Marker: true, PayloadType: 96, SequenceNumber: 0xABCD, Timestamp: 5,
			SSRC: 6, CSRC: []uint32{1, 2}}, Payload: []byte{1, 2, 3}}
		if profile != 0 {
			p.Extension, p.ExtensionProfile = true, profile
			require.NoError(t, p.SetExtension(4, []byte("mid")))
			require.NoError(t, p.SetExtension(3, []byte{0x12, 0x34}))
		}
		raw, err := p.Marshal()
		require.NoError(t, err)
		var h header
		require.NoError(t, h.read(raw, 3))
		require.Equal(t, header{pt: 96, marker: true, sequence: 0xABCD, timestamp: 5, ssrc: 6, size: len(raw) - 3,
			hasTWCC: profile != 0, twcc: map[bool]uint16{true: 0x1234}[profile != 0]}, h)
		for n := range len(raw) - 3 {
			require.Error(t, h.read(raw[:n], 3), "cut off after %d", n)
		}
	}
	require.True(t, isRTCP([]byte{0x80, 200, 0, 1, 0, 0, 0, 0}))
	require.False(t, isRTCP([]byte{0x80, 96 | 0x80, 0, 1, 0, 0, 0, 0}))
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte{0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xBE, 0xDE, 0, 1, 0x31, 1, 2, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var h header
		if h.read(b, 3) == nil && h.size > len(b) {
			t.Fatalf("a header of %d bytes in %d", h.size, len(b))
		}
	})
}

func TestStampSurvivesPadding(t *testing.T) {
	payload := make([]byte, 40)
	stamp(payload, 77, 123456789)
	at, ok := stamped(payload, 77)
	require.True(t, ok)
	require.EqualValues(t, 123456789, at)
	_, ok = stamped(payload, 78)
	require.False(t, ok, "another program's")
	_, ok = stamped(payload[:10], 77)
	require.False(t, ok)
	padded := append(slices.Clone(payload), 0, 0, 0, 4)
	_, ok = stamped(padded, 77)
	require.False(t, ok)
	at, ok = stamped(unpad(padded, true), 77)
	require.True(t, ok)
	require.EqualValues(t, 123456789, at)
	require.Empty(t, unpad([]byte{0, 0, 3}, true), "padding alone")
	require.Empty(t, unpad([]byte{9}, true), "more padding than there is")
	require.Empty(t, unpad([]byte{1, 2, 0}, true))
}

func TestHistogram(t *testing.T) {
	var h, other Histogram
	require.Zero(t, h.Quantile(0.5))
	for i := 1; i <= 1000; i++ {
		h.Add(time.Duration(i) * time.Millisecond)
	}
	for _, q := range []float64{0.5, 0.95, 0.99} {
		want := q * 1000
		got := float64(h.Quantile(q)) / 1e6
		require.GreaterOrEqual(t, got, want)
		require.Less(t, got, want*(1+1.0/16)+0.01)
	}
	require.Equal(t, time.Second, h.Quantile(1))
	require.Equal(t, time.Second, h.Max())
	require.Equal(t, 500500*time.Microsecond, h.Mean())
	other.Add(-time.Second)
	other.Add(100 * time.Hour)
	h.Merge(&other)
	require.EqualValues(t, 1002, h.Count())
	sum := uint64(0)
	for _, b := range h.Bins() {
		require.Less(t, b.From, b.To)
		sum += b.Count
	}
	require.EqualValues(t, 1002, sum)
	for d := time.Duration(0); d < time.Hour; d = d*3/2 + time.Microsecond {
		i := bucketOf(d)
		require.LessOrEqual(t, lowerBound(i), d)
		require.Greater(t, lowerBound(i+1), d)
	}
}

func TestClockKeepsTimesAndStops(t *testing.T) {
	c := NewClock()
	defer c.Close()
	done := make(chan int, 10)
	begin := time.Now()
	n := 0
	c.add(begin.Add(20*time.Millisecond), func(now time.Time) time.Time {
		if now.Before(begin.Add(20 * time.Millisecond)) {
			done <- -1
		}
		if n++; n == 3 {
			done <- 2
			return time.Time{}
		}
		return now
	})
	c.add(begin, func(time.Time) time.Time { done <- 1; return time.Time{} })
	require.Equal(t, 1, <-done)
	require.Equal(t, 2, <-done)
	count := 0
	busy := c.add(begin, func(now time.Time) time.Time { count++; return now })
	busy.stop()
	was := count
	c.add(time.Now(), func(time.Time) time.Time { done <- 3; return time.Time{} })
	require.Equal(t, 3, <-done)
	require.Equal(t, was, count, "it does not run once stop has returned")
}

func TestDescriptionOfAnAnswer(t *testing.T) {
	d, err := parse("v=0\r\na=group:BUNDLE 0 1\r\na=fingerprint:sha-256 AA\r\n" +
		"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\na=setup:passive\r\na=recvonly\r\n" +
		"a=rtpmap:111 opus/48000/2\r\na=extmap:3/sendonly " + uriTWCC + "\r\n" +
		"m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:1\r\na=sendonly\r\na=msid:PA_x|TR_y TR_y\r\na=rtpmap:96 VP8/90000\r\n" +
		"a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=ssrc-group:FID 11 12\r\na=ssrc:11 cname:x\r\na=ssrc:12 cname:x\r\n" +
		"a=candidate:1 1 udp 1 127.0.0.1 7 typ host\r\nm=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n")
	require.NoError(t, err)
	require.Equal(t, "u", d.ufrag)
	require.Equal(t, "passive", d.setup)
	require.Equal(t, []string{"1 1 udp 1 127.0.0.1 7 typ host"}, d.candidates)
	require.False(t, d.hasChannels, "it is rejected")
	require.Len(t, d.sections, 3)
	require.False(t, d.sections[0].sends)
	require.EqualValues(t, 3, d.sections[0].ext[uriTWCC])
	v := d.sections[1]
	require.True(t, v.sends)
	require.Equal(t, "TR_y", v.track)
	require.Equal(t, []uint32{11, 12}, v.ssrcs)
	require.Equal(t, map[uint32]uint32{12: 11}, v.repair)
	require.Equal(t, codec{name: "rtx", clock: 90000, apt: 96}, v.codecs[97])
	_, err = parse("v=0\r\n")
	require.ErrorIs(t, err, errDescription)
}

func TestRepairedPacketsAreNotDecryptedTwice(t *testing.T) {
	b := books{group: &Group{}, streams: map[uint32]*stream{}, repairs: map[uint32]*stream{}}
	require.Equal(t, b.assign(5, true, ""), b.assign(5, true, "TR_a"), "its name came later")
	old := b.assign(5, true, "TR_a")
	require.NotSame(t, old, b.assign(5, true, "TR_b"), "the number carries another track")
	require.Len(t, b.list, 2)
}

func TestDecodableFollowsPictures(t *testing.T) {
	vp8 := func(id uint16, first, key bool) []byte {
		b := []byte{0x80, 0x80, 0, 0, 0x01, 1, 1}
		if first {
			b[0] |= 0x10
		}
		if key {
			b[4] = 0
		}
		binary.BigEndian.PutUint16(b[2:], id|0x8000)
		return b
	}
	d := &decodable{codec: "vp8"}
	d.look(vp8(32767, true, true), 1, false)
	d.look(vp8(32767, false, false), 2, true)
	d.look(nil, 3, false) // padding
	d.look(vp8(0, true, false), 4, true)
	require.Equal(t, DecodeStats{Packets: 4, KeyFrames: 1}, d.stats)
	d.look(vp8(2, true, false), 5, true)
	require.EqualValues(t, 1, d.stats.Skips)
	d.look(vp8(9, true, false), 9, true)
	require.EqualValues(t, 1, d.stats.Skips, "packets are missing between")
	d.look(vp8(10, false, false), 10, true)
	require.EqualValues(t, 1, d.stats.Bad, "a frame that does not begin")

	d = &decodable{codec: "h264"}
	for i, b := range [][]byte{{0x67, 1, 2}, {0x68, 1}, {28, 0x85, 1}, {28, 0x05, 1}, {28, 0x45, 1}, {0x41, 1}} {
		d.look(b, int64(i), i >= 4)
	}
	require.Equal(t, DecodeStats{Packets: 6, KeyFrames: 1}, d.stats)
	d.look([]byte{28, 0x05, 1}, 6, false)
	require.EqualValues(t, 1, d.stats.Bad, "a fragment without a start")

	d = &decodable{codec: "vp9"}
	d.look([]byte{0x80 | 0x40 | 0x08, 5, 1}, 1, true)
	require.EqualValues(t, 1, d.stats.NoKey)
	d.look([]byte{0x80 | 0x40 | 0x08, 8, 1}, 2, true)
	require.Zero(t, d.stats.Skips, "pictures may be left out")
	d.look([]byte{0x80 | 0x40 | 0x08, 7, 1}, 3, true)
	require.EqualValues(t, 1, d.stats.Skips, "but not come back")
}
