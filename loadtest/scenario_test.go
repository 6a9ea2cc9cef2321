package loadtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// runScenario runs a scenario as the command line does, strictly, and returns its
// report.
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
		"--pid", fmt.Sprint(srv.PID), "--after", "100ms", "--strict", "--json", file))
	require.NoError(t, cmd.ExecuteContext(t.Context()), "%s%s", progress.String(), out.String())
	t.Logf("\n%s", out.String())
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	var r Report
	require.NoError(t, json.Unmarshal(b, &r))
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
