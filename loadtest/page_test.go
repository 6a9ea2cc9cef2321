package loadtest

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diemcau/loadtest/light"
)

// sampleReport has something in every field that the page shows.
func sampleReport() *Report {
	r := &Report{
		Scenario: "bridge", URL: `http://x/?a=1&b="<script>alert(1)</script>`, Participants: "light", Publishers: 3, Subscribers: 3,
		Started: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), Watched: 10 * time.Second,
		JoinTime: Percentiles{1, 2, 3}, FirstFrame: Percentiles{4, 5, 6}, PacketRate: 1000,
		Totals:  Totals{Packets: 999, Lost: 1, Freezes: 2},
		Delay:   &Delay{Subscribers: 3, Packets: 10, P50: time.Millisecond, Max: 8 * time.Millisecond, Bins: []light.Bin{{From: time.Millisecond, To: 1100 * time.Microsecond, Count: 9}, {From: 8 * time.Millisecond, To: 9 * time.Millisecond, Count: 1}}},
		Decode:  light.DecodeStats{Packets: 5, Skips: 1},
		Floor:   &Floor{Calls: 2, Unseen: 1, Seen: Percentiles{1, 1, 1}},
		Steps:   []Step{{Subscribers: 20, CPU: 0.25}},
		Figures: []Figure{{"<b>odd</b>", 1.5, "&"}},
		Server:  ServerReport{CPU: 0.5, RSSPeak: 1 << 20, GoroutinesBefore: 1, GoroutinesPeak: 50, GoroutinesAfter: 40, Note: "<i>"},
		Stall:   time.Second, Tester: TesterReport{Dropped: 5},
	}
	for i := range 10 {
		r.Series = append(r.Series, Point{At: float64(i), PacketRate: float64(100 * i), ServerCPU: 0.1, ServerRSS: uint64(i) << 20})
	}
	return r
}

func TestPageIsWholeAndEscaped(t *testing.T) {
	var b bytes.Buffer
	r := sampleReport()
	require.NoError(t, r.WriteHTML(&b))
	text := b.String()
	require.NotContains(t, text, "<script")
	require.NotContains(t, text, "<b>odd")
	require.NotContains(t, text, "<i>")
	require.Contains(t, text, "&lt;b&gt;odd&lt;/b&gt;")
	require.NotContains(t, text, "src=", "nothing is fetched from elsewhere")
	require.NotContains(t, text, "href=")
	require.Contains(t, text, "1 packets lost; 2 freezes")
	require.Contains(t, text, "got no processor for 1s")
	require.Contains(t, text, "no room for 5 packets")
	require.Equal(t, 4, strings.Count(text, "<svg"))
	require.NotContains(t, text, "NaN")
	require.NotContains(t, text, "Inf")
	require.Contains(t, text, `class="bad">exceeded`)
	// Every plot is well-formed.
	for i, svg := range strings.SplitAfter(text, "</svg>")[:4] {
		d := xml.NewDecoder(strings.NewReader(svg[strings.Index(svg, "<svg"):]))
		for {
			_, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err, "plot %d", i)
		}
	}
}

func TestPageOfAnEmptyReport(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, (&Report{Series: []Point{{}, {}}}).WriteHTML(&b))
	require.NotContains(t, b.String(), "NaN")
	b.Reset()
	require.NoError(t, (&Report{}).WriteHTML(&b))
	require.Contains(t, b.String(), "too short for plots")
	require.Contains(t, b.String(), "No fault was found")
}

func TestDelayChartHoldsAllPackets(t *testing.T) {
	d := &Delay{Packets: 101, Bins: []light.Bin{{From: 0, To: time.Microsecond, Count: 1}, {From: time.Second, To: 2 * time.Second, Count: 100}}}
	charts := delayCharts(d)
	require.Len(t, charts, 1)
	height := 0.0
	for _, b := range charts[0].Bars {
		require.GreaterOrEqual(t, b.H, 0.0)
		require.LessOrEqual(t, b.X+b.W, float64(chartWidth))
		height += b.H
	}
	require.InDelta(t, float64(chartHeight-chartTop-chartBottom)*1.01, height, 0.01)
	require.Empty(t, delayCharts(nil))
}
