package transport

import (
	"encoding/binary"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"
)

// farEnd is the publisher at the far end of a receiving.
type farEnd struct {
	t       *testing.T
	rep     *reporter
	in      *receiving
	packets chan []byte // what the peer connection is given
	mu      sync.Mutex
	toldAll [][]rtcp.Packet // guarded by mu
	buf     [receiveMTU]byte
}

func newFarEnd(t *testing.T) *farEnd {
	p := &farEnd{t: t, rep: newReporter(), packets: make(chan []byte, 100)}
	p.in = newReceiving(p.rep, &buffers{}, slog.New(slog.DiscardHandler))
	i, err := p.in.NewInterceptor("id")
	require.NoError(t, err)
	i.BindRTCPWriter(p)
	return p
}

// Write implements interceptor.RTCPWriter.
func (p *farEnd) Write(pkts []rtcp.Packet, _ interceptor.Attributes) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.toldAll = append(p.toldAll, pkts)
	return 0, nil
}

// told gives what was told since the last call.
func (p *farEnd) told() [][]rtcp.Packet {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	told := p.toldAll
	p.toldAll = nil
	return told
}

func (p *farEnd) close() {
	require.NoError(p.t, p.in.Close())
	p.rep.close()
}

func (p *farEnd) stream(ssrc uint32, mime string) interceptor.RTPReader {
	return p.in.BindRemoteStream(&interceptor.StreamInfo{
		SSRC: ssrc, MimeType: mime, ClockRate: 90_000,
		RTPHeaderExtensions: []interceptor.RTPHeaderExtension{{URI: sdp.TransportCCURI, ID: 3}},
	}, interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		return copy(b, <-p.packets), a, nil
	}))
}

// send has a stream read a packet, of which what was read is returned.
func (p *farEnd) send(r interceptor.RTPReader, h rtp.Header, twcc uint16, payload ...byte) []byte {
	h.Version = 2
	require.NoError(p.t, h.SetExtension(3, binary.BigEndian.AppendUint16(nil, twcc)))
	raw, err := (&rtp.Packet{Header: h, Payload: payload}).Marshal()
	require.NoError(p.t, err)
	p.packets <- raw
	n, _, err := r.Read(p.buf[:], nil)
	require.NoError(p.t, err)
	return p.buf[:n]
}

func TestAPublisherIsToldWhatCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFarEnd(t)
		video := p.stream(7, webrtc.MimeTypeVP8)
		time.Sleep(5 * time.Second)
		require.Empty(t, p.told(), "nothing came")
		sr, err := rtcp.Marshal([]rtcp.Packet{&rtcp.SenderReport{SSRC: 7, NTPTime: 0x1234_5678_9ABC_DEF0}})
		require.NoError(t, err)
		var clock []uint64
		note := func(ntp uint64, _ uint32, _ time.Time) { clock = append(clock, ntp) }
		p.in.tellReports(7, note)
		p.in.tellReports(8, note)
		require.Empty(t, clock)
		p.in.reported(sr, time.Now())
		require.Equal(t, []uint64{0x1234_5678_9ABC_DEF0}, clock)
		clock = nil
		p.in.tellReports(7, note)
		require.Equal(t, []uint64{0x1234_5678_9ABC_DEF0}, clock, "also what came before")
		p.in.reported(sr[:20], time.Now())
		p.in.reported(append([]byte{0x80, 201}, sr[2:]...), time.Now())
		require.Len(t, clock, 1)
		for i := range uint16(100) {
			if i%10 != 3 {
				p.send(video, rtp.Header{SSRC: 7, SequenceNumber: 65_500 + i, Timestamp: 900 * uint32(i)}, 60_000+i, make([]byte, 300)...)
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		told := p.told()
		var reports []rtcp.ReceptionReport
		arrived, lost := 0, 0
		for _, pkts := range told {
			for _, pkt := range pkts {
				switch pkt := pkt.(type) {
				case *rtcp.ReceiverReport:
					reports = append(reports, pkt.Reports...)
				case *rtcp.TransportLayerCC:
					require.Equal(t, uint32(7), pkt.MediaSSRC)
					arrived += len(pkt.RecvDeltas)
					lost += int(pkt.PacketStatusCount) - len(pkt.RecvDeltas)
				}
			}
		}
		require.Equal(t, 90, arrived)
		require.Equal(t, 10, lost)
		require.Less(t, len(told), 14, "feedback comes every 100 ms at most")
		require.Greater(t, len(told), 7)
		require.Len(t, reports, 2)
		last := reports[1]
		require.Equal(t, uint32(65_599), last.LastSequenceNumber)
		require.Equal(t, uint32(10), last.TotalLost)
		require.Equal(t, uint32(0x5678_9ABC), last.LastSenderReport)
		require.Less(t, last.Jitter, uint32(90), "it came as it was made")
		require.InDelta(t, 65536*1.1, last.Delay, 65536)
		time.Sleep(5 * time.Second)
		require.Empty(t, p.told(), "nothing came since")
		p.close()
	})
}

func TestRepairsComeInTheStreamTheyRepair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFarEnd(t)
		buf, ok := p.in.bufs.make(0, 7).(*media)
		require.True(t, ok)
		video, rtx := p.stream(7, webrtc.MimeTypeVP8), p.stream(8, webrtc.MimeTypeRTX)
		again := func(seq uint16, payload ...byte) []byte {
			return p.send(rtx, rtp.Header{SSRC: 8, PayloadType: 97, SequenceNumber: seq, Timestamp: 900, Marker: true}, 500+seq, payload...)
		}
		require.NotEmpty(t, again(1, 0, 11, 1, 2, 3), "not known whose it is")
		require.False(t, p.in.repairs(7, 8))
		require.False(t, p.in.repairs(9, 7))
		require.True(t, p.in.repairs(8, 7))
		require.NotEmpty(t, again(2, 0, 11, 1, 2, 3), "nothing came of the stream")
		for _, seq := range []uint16{10, 12} {
			p.send(video, rtp.Header{SSRC: 7, PayloadType: 96, SequenceNumber: seq, Timestamp: 90 * uint32(seq)}, seq, 9)
		}
		require.Empty(t, again(3, 0, 11, 1, 2, 3))
		require.Empty(t, again(4, 0), "padding")
		n, err := buf.Read(p.buf[:])
		require.NoError(t, err)
		var got rtp.Packet
		require.NoError(t, got.Unmarshal(p.buf[:n]))
		require.Equal(t, []byte{1, 2, 3}, got.Payload)
		require.Equal(t, uint16(11), got.SequenceNumber)
		require.Equal(t, uint32(7), got.SSRC)
		require.Equal(t, uint8(96), got.PayloadType)
		require.True(t, got.Marker)
		require.Zero(t, buf.waiting)

		p.packets <- append([]byte(nil), p.buf[:n]...)
		_, _, err = video.Read(p.buf[:], nil)
		require.NoError(t, err)
		time.Sleep(1100 * time.Millisecond)
		var report *rtcp.ReceiverReport
		for _, pkts := range p.told() {
			if r, ok := pkts[0].(*rtcp.ReceiverReport); ok {
				report = r
			}
		}
		require.Len(t, report.Reports, 1, "of what is sent again there is none")
		require.Equal(t, uint32(1), report.Reports[0].TotalLost, "the path lost it, though it was repaired")
		p.close()
	})
}

func TestReportersSleepWithoutPublishers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFarEnd(t)
		video := p.stream(7, webrtc.MimeTypeVP8)
		require.NoError(t, p.in.Close())
		p.send(video, rtp.Header{SSRC: 7, SequenceNumber: 1}, 1, 1)
		begun := time.Now()
		time.Sleep(time.Hour)
		require.Equal(t, time.Hour, time.Since(begun))
		require.Empty(t, p.told())
		p.in = newReceiving(p.rep, &buffers{}, slog.New(slog.DiscardHandler)) // another, later
		p.in.BindRTCPWriter(p)
		p.send(p.stream(9, webrtc.MimeTypeVP8), rtp.Header{SSRC: 9, SequenceNumber: 1}, 1, 1)
		time.Sleep(100 * time.Millisecond)
		require.NotEmpty(t, p.told())
		p.close()
		require.Equal(t, 0, p.rep.n)
		p.stream(10, webrtc.MimeTypeVP8)
		require.Equal(t, 0, p.rep.n, "the connection is closed")
	})
}

func TestWhatIsCountedOfAStream(t *testing.T) {
	now := time.Unix(100, 0)
	of := func(seqs ...uint16) rtcp.ReceptionReport {
		s := &received{ssrc: 7, rate: 90_000}
		for _, seq := range seqs {
			s.count(seq, 0, 96, now)
		}
		return s.report(now)
	}
	require.Equal(t, rtcp.ReceptionReport{SSRC: 7, LastSequenceNumber: 5}, of(5))
	require.Equal(t, rtcp.ReceptionReport{SSRC: 7, LastSequenceNumber: 8, FractionLost: 64, TotalLost: 1}, of(5, 6, 8))
	require.Equal(t, rtcp.ReceptionReport{SSRC: 7, LastSequenceNumber: 8}, of(5, 8, 6, 7), "out of order")
	require.Equal(t, rtcp.ReceptionReport{SSRC: 7, LastSequenceNumber: 7}, of(5, 6, 6, 6, 7), "more than once")
	require.Equal(t, rtcp.ReceptionReport{SSRC: 7, LastSequenceNumber: 6}, of(5, 40_000, 6), "one that is none of the stream's")
	require.Equal(t, rtcp.ReceptionReport{SSRC: 7, LastSequenceNumber: 40_002}, of(5, 6, 40_000, 40_001, 40_002), "begun anew")
	require.Equal(t, uint32(0x1_0001), of(65_535, 0, 1).LastSequenceNumber)
}

func TestFeedbackIsATwentiethOfTheMedia(t *testing.T) {
	require.Equal(t, leastFeedback, feedbackIn(125_000, time.Second))
	require.Equal(t, mostFeedback, feedbackIn(1000, time.Second))
	require.Equal(t, mostFeedback, feedbackIn(100, time.Hour))
	require.InDelta(t, 181*time.Millisecond, feedbackIn(7500, time.Second), float64(time.Millisecond)) // 60 kbit/s
}

func TestWhatAPublisherIsAskedForIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFarEnd(t)
		pli := []rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: 7}}
		sent := 0
		for range 2000 { // a second
			if p.rep.ask(p.in, pli) == nil {
				sent++
			}
			time.Sleep(time.Second / 2000)
		}
		require.InDelta(t, asksPerSecond*5/4, sent, 5)
		require.Len(t, p.told(), sent)
		p.close()
		require.NoError(t, p.rep.ask(p.in, pli), "it is not known that nobody listens")
		require.Empty(t, p.told())
	})
}
