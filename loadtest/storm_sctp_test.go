package loadtest

import (
	"context"
	"net/http"
	"testing"
	"time"

	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/stretchr/testify/require"
)

// TestDataStorm: one floods another who reads none of it, and then everybody. To fill
// what the server keeps for that one soon, others join in.
func TestDataStorm(t *testing.T) {
	s := newStorm(t)
	mallory := join(t, s.room, offender)
	stall := make(chan struct{})
	slow := join(t, s.room, "slow", withStall(stall))
	t.Cleanup(func() { close(stall) }) // before it leaves
	var accomplices []*peer
	for _, name := range []string{"a", "b"} {
		accomplices = append(accomplices, join(t, s.room, "accomplice-"+name))
	}
	mallory.awaitData(s.bich)
	for _, p := range accomplices {
		p.awaitData(s.bich)
	}
	flooded := func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		n, err := ReadGauge(ctx, http.DefaultClient, server(t).MetricsURL, `diemcau_sfu_refused_data_total{reason="rate"}`)
		if err != nil {
			return 0 // not counted yet
		}
		return n
	}
	before, sid := flooded(), slow.room.LocalParticipant.SID()
	s.watch()

	toSlow := lksdk.WithDataPublishDestination([]string{"slow"})
	large := string(make([]byte, 60_000))
	gone := func() bool { return s.bich.count("ParticipantDisconnected", "slow", sid) > 0 }
	s.blow(80, 100, func(int) {
		if gone() {
			return
		}
		for _, p := range append(accomplices, mallory) {
			send(t, p, large, lksdk.WithDataPublishReliable(true), toSlow)
		}
	})
	until(t, 10*time.Second, gone, func() string { return "the end of who does not read" })
	s.logged("slow", "receiver of data too slow")
	s.logged(offender, "data beyond the limit held back or dropped")

	const n = 4000
	s.blow(n, 2500, func(int) { send(t, mallory, "lossy", lksdk.WithDataPublishReliable(false)) })
	s.spared()
	dropped := flooded() - before
	t.Logf("%d lossy packets: %.0f were dropped for their rate", n, dropped)
	require.Positive(t, dropped)
	require.Zero(t, mallory.count("Disconnected", "", ""), "who floods is only held back")
	s.bounded(64)
}
