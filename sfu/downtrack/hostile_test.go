package downtrack

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/stretchr/testify/require"

	"diemcau/sfu/fanout"
)

func TestWhatIsSentAgainIsBounded(t *testing.T) {
	b := newBench(t)
	const sent = 20
	b.stream(sent)
	first := b.packets()
	require.Len(t, first, sent)
	all := []rtcp.NackPair{{PacketID: first[0].SequenceNumber, LostPackets: 0xffff}, {PacketID: first[17].SequenceNumber, LostPackets: 3}}
	resent := func(after time.Duration) int {
		before := len(b.packets())
		b.down.worker.Do(func() { b.down.resend(all, time.Now().Add(after)) })
		b.settle()
		return len(b.packets()) - before
	}
	again := 0
	for i := range 10 { // a round trip passes each time
		again += resent(time.Duration(i+1) * time.Minute)
	}
	require.InDelta(t, mostRepairs*sent, again, 3)
	b.feed(frame{layer: 2, seq: 10 + sent, ts: 1000 + 3000*sent, pic: sent, start: true, mk: true})
	require.NotZero(t, resent(time.Hour), "what is sent makes up for it")
}

func TestTooMuchRTCPIsSpokenOfOnce(t *testing.T) {
	pool := fanout.New(1, nil, slog.New(slog.DiscardHandler))
	t.Cleanup(pool.Close)
	var out bytes.Buffer // only this goroutine's
	l := NewLine(LineConfig{Log: slog.New(slog.NewTextHandler(&out, nil))}, pool.Worker())
	now := time.Now()
	for range 3 * feedbackPerSecond {
		l.Report(nil, now)
	}
	require.Equal(t, 1, strings.Count(out.String(), "RTCP beyond the limit ignored"))
	now = now.Add(floodEvery)
	for range 3 * feedbackPerSecond {
		l.Report(nil, now)
	}
	require.Equal(t, 2, strings.Count(out.String(), "RTCP beyond the limit ignored"))
}

// FuzzFeedback gives a stream that flows, and its line, a subscriber's compound
// RTCP packet.
func FuzzFeedback(f *testing.F) {
	b := newBench(f)
	now := time.Now()
	first := b.stream(20)
	for _, p := range []rtcp.Packet{
		&rtcp.TransportLayerNack{MediaSSRC: testSSRC, Nacks: []rtcp.NackPair{{PacketID: first, LostPackets: 0xffff}}},
		&rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{SSRC: testSSRC, LastSenderReport: 1, Delay: 1 << 31}}},
		&rtcp.PictureLossIndication{MediaSSRC: testSSRC},
		&rtcp.ReceiverEstimatedMaximumBitrate{Bitrate: 1e6, SSRCs: []uint32{testSSRC}},
		&rtcp.ExtendedReport{Reports: []rtcp.ReportBlock{&rtcp.DLRRReportBlock{Reports: []rtcp.DLRRReport{{SSRC: testSSRC}}}}},
	} {
		raw, err := rtcp.Marshal([]rtcp.Packet{p})
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Add([]byte{0x81, 0xce, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 7, 0, 1, 0, 0, 0, 0, 0x20, 1, 4, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		b.t = t // f may not be used in here
		before := len(b.packets())
		now = now.Add(time.Second / feedbackPerSecond)
		b.worker.Do(func() { b.line.Told(raw, now) })
		var bps int64
		b.worker.Do(func() { bps = b.line.est.Target() })
		b.settle()
		if again := len(b.packets()) - before; again > 2*maxNackedOnce*len(raw)/12 {
			t.Fatalf("%d packets for %d bytes", again, len(raw))
		}
		if bps < minEstimate || bps > maxEstimate {
			t.Fatalf("target %d", bps)
		}
		b.forget()
	})
}

// stream has n packets flow and returns the number of the first.
func (b *bench) stream(n uint16) uint16 {
	for i := range n {
		b.feed(frame{layer: 2, seq: 10 + i, ts: 1000 + 3000*uint32(i), pic: i, start: true, key: i == 0, mk: true})
	}
	return b.packets()[0].SequenceNumber
}

// forget drops what was recorded.
func (b *bench) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent, b.rtcp = nil, nil
}
