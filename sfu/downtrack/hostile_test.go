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

func TestNoMoreIsSentAgainThanWasSent(t *testing.T) {
	b := newBench(t)
	const sent = 20
	for i := range uint16(sent) {
		b.feed(frame{layer: 2, seq: 10 + i, ts: 1000 + 3000*uint32(i), pic: i, start: true, key: i == 0, mk: true})
	}
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
	require.InDelta(t, sent, again, 2)
	b.feed(frame{layer: 2, seq: 10 + sent, ts: 1000 + 3000*sent, pic: sent, start: true, mk: true})
	require.NotZero(t, resent(time.Hour), "what is sent makes up for it")
}

func TestTooMuchRTCPIsSpokenOfOnce(t *testing.T) {
	pool := fanout.New(1, slog.New(slog.DiscardHandler))
	t.Cleanup(pool.Close)
	var out bytes.Buffer // only this goroutine's
	l := NewLine(LineConfig{Log: slog.New(slog.NewTextHandler(&out, nil))}, pool.Worker())
	now := time.Now()
	for range 3 * feedbackPerSecond {
		l.Feedback(&rtcp.ReceiverEstimatedMaximumBitrate{Bitrate: 1e6}, now)
	}
	require.Equal(t, 1, strings.Count(out.String(), "RTCP beyond the limit ignored"))
	now = now.Add(floodEvery)
	for range 3 * feedbackPerSecond {
		l.Feedback(&rtcp.ReceiverEstimatedMaximumBitrate{Bitrate: 1e6}, now)
	}
	require.Equal(t, 2, strings.Count(out.String(), "RTCP beyond the limit ignored"))
}
