package loadtest

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// TestCrowdComesAndGoes: 50 participants join one room, all see each other,
// all leave, and the server is left with as many goroutines as before. It is
// not parallel: no other test may run meanwhile.
func TestCrowdComesAndGoes(t *testing.T) {
	const crowd = 50
	srv := server(t)
	goroutines := func() int {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		v, err := ReadGauge(ctx, http.DefaultClient, srv.MetricsURL, "go_goroutines")
		require.NoError(t, err)
		return int(v)
	}
	// The first participant makes what a server keeps once it is in use.
	warm := join(t, roomName(t)+"-warm", "an")
	warm.publishTone(30)
	warm.leave()
	room := roomName(t)
	var before, peak int
	settled := func() bool { last := before; before = goroutines(); return before == last }
	within(5*time.Second, settled)

	peers := make([]*peer, crowd)
	var g errgroup.Group
	g.SetLimit(4)
	for i := range peers {
		g.Go(func() error {
			var err error
			modes := []mode{twoPCs, onePC}
			peers[i], err = tryJoin(t, room, fmt.Sprint("p", i), withMode(modes[i%2]))
			return err
		})
	}
	require.NoError(t, g.Wait())
	pub, _ := peers[0].publishTone(30)
	for _, p := range peers {
		until(t, 10*time.Second, func() bool { return len(p.room.GetRemoteParticipants()) == crowd-1 },
			func() string { return fmt.Sprintf("%s sees %d", p.identity(), len(p.room.GetRemoteParticipants())) })
		if p != peers[0] {
			p.receives(pub.SID())
		}
	}
	peak = goroutines()
	require.Greater(t, peak, before+crowd, "the gauge shows the crowd")
	for _, p := range peers {
		g.Go(func() error { p.leave(); return nil })
	}
	require.NoError(t, g.Wait())
	until(t, 30*time.Second, func() bool { return goroutines() <= before+10 },
		func() string {
			return fmt.Sprintf("goroutines: %d before, %d at the peak, now %d", before, peak, goroutines())
		})
	t.Logf("goroutines: %d before, %d with %d participants, %d after", before, peak, crowd, goroutines())
}
