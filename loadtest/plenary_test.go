package loadtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// vp8Cast is what the command has by default.
var vp8Cast = Cast{Samples: 10, Codec: "VP8", Packets: shapeChromium}

// TestPlenaryCommand runs the scenario in small, as the command line does, with
// participants of the SDK.
func TestPlenaryCommand(t *testing.T) {
	srv := server(t)
	for _, extra := range [][]string{{"--participants=sdk"}, {"--participants=sdk", "--one-pc", "--after=1s"}} {
		t.Run(strings.Join(extra, " "), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "report.json")
			cmd := Command()
			var out, progress bytes.Buffer
			cmd.SetOut(&out)
			cmd.SetErr(&progress)
			cmd.SetArgs(append([]string{"plenary", "--url", srv.URL, "--key", srv.Key, "--secret", srv.Secret, "--metrics", srv.MetricsURL,
				"--subscribers", "4", "--duration", "3s", "--pid", fmt.Sprint(srv.PID), "--json", file, "--strict", "--clips", clipDir(t)}, extra...))
			require.NoError(t, cmd.ExecuteContext(t.Context()), "%s%s", progress.String(), out.String())
			t.Logf("\n%s", out.String())
			require.Contains(t, out.String(), "4 subscribers, 3s")
			require.Contains(t, progress.String(), "4 of 4 joined")

			b, err := os.ReadFile(file)
			require.NoError(t, err)
			var r Report
			require.NoError(t, json.Unmarshal(b, &r))
			require.Equal(t, 4, r.Subscribers)
			// 4 × 3 s of at least 1 Mbit/s.
			require.Greater(t, r.Totals.Bytes, uint64(4*3*1_000_000/8))
			require.Greater(t, r.FirstPacket.P50, time.Duration(0))
			require.GreaterOrEqual(t, r.JoinTime.P95, r.JoinTime.P50)
			if srv.PID != 0 {
				require.Greater(t, r.Server.CPU, 0.0)
				require.Greater(t, r.Server.RSSAfter, uint64(1<<20))
			}
		})
	}
}

// TestLightPlenary does it with light participants, in all shapes and codecs.
func TestLightPlenary(t *testing.T) {
	for _, extra := range [][]string{
		nil, {"--two-pc", "--codec=h264", "--sound"}, {"--codec=vp9", "--packets=even", "--speakers=2"},
		{"--packets=clip", "--samples=2", "--clips", clipDir(t)},
	} {
		t.Run(strings.Join(extra[:min(2, len(extra))], " "), func(t *testing.T) {
			r := runScenario(t, append([]string{"plenary", "--subscribers", "4", "--duration", "2s"}, extra...)...)
			samples := 4
			if len(extra) == 4 {
				samples = 2
			}
			requireDelay(t, r, samples)
			require.Equal(t, 4, r.Subscribers)
			require.Greater(t, r.Totals.Bytes, uint64(4*2*1_000_000/8))
			require.Greater(t, r.Totals.Frames, uint64(4*2*15))
			require.GreaterOrEqual(t, r.Decode.KeyFrames, uint64(samples))
			require.GreaterOrEqual(t, r.FirstFrame.P50, r.FirstPacket.P50)
		})
	}
}

func TestPlenaryEndsWithItsContext(t *testing.T) {
	srv := server(t)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	begin := time.Now()
	_, err := Plenary(ctx, PlenaryOptions{
		Options:  Options{URL: srv.URL, Key: srv.Key, Secret: srv.Secret, Room: roomName(t), ClipDir: clipDir(t)},
		Watching: Watching{MetricsURL: srv.MetricsURL, Duration: time.Hour}, Cast: vp8Cast, Speakers: 1, Subscribers: 1,
	})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(begin), 10*time.Second)
}

func TestPlenaryReportsABadSecret(t *testing.T) {
	srv := server(t)
	_, err := Plenary(t.Context(), PlenaryOptions{
		Options: Options{
			URL: srv.URL, Key: srv.Key, Secret: "another-secret-another-secret-another", Room: roomName(t), ClipDir: clipDir(t),
		},
		Watching: Watching{MetricsURL: srv.MetricsURL, Duration: time.Second}, Cast: vp8Cast, Speakers: 1, Subscribers: 1,
	})
	require.ErrorContains(t, err, "speaker")
}
