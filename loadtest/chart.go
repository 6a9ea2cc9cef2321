package loadtest

import (
	"fmt"
	"math"
	"strings"
	"time"

	"diemcau/loadtest/light"
)

// chart is a plot as the page draws it: everything is in its own units already.
type chart struct {
	Title         string
	Width, Height int
	X, Y          []tick
	Lines         []plotted
	Bars          []bar
}

// tick is a value beside an axis.
type tick struct {
	At, TextX, TextY float64
	X1, X2           int // of the line across, for those of Y
	Text             string
}

// plotted is a line.
type plotted struct{ Name, Points string }

// bar is one of a histogram.
type bar struct {
	X, Y, W, H float64
	Text       string
}

// Sizes of a chart, in pixels.
const (
	chartWidth, chartHeight = 460, 200
	chartLeft, chartRight   = 64, 26
	chartTop, chartBottom   = 12, 24
	yTicks, xTicks          = 4, 5
)

// curve is what is to be drawn.
type curve struct {
	name  string
	value func(Point) float64
}

func (r *Report) charts() []chart {
	if len(r.Series) < 2 {
		return delayCharts(r.Delay)
	}
	charts := []chart{timeChart("Packets a second", r.Series, curve{"", func(p Point) float64 { return p.PacketRate }})}
	tester := curve{"load generator", func(p Point) float64 { return p.TesterCPU }}
	if r.Server.RSSPeak > 0 {
		charts = append(charts,
			timeChart("Processor, cores", r.Series, curve{"server", func(p Point) float64 { return p.ServerCPU }}, tester),
			timeChart("Server, memory, MB", r.Series, curve{"", func(p Point) float64 { return mb(p.ServerRSS) }}))
	} else {
		charts = append(charts, timeChart("Processor, cores", r.Series, tester))
	}
	return append(charts, delayCharts(r.Delay)...)
}

// timeChart draws curves over the time of the series, all from zero on.
func timeChart(title string, series []Point, curves ...curve) chart {
	begin, end := series[0].At, series[len(series)-1].At
	top := 0.0
	for _, p := range series {
		for _, c := range curves {
			top = math.Max(top, c.value(p))
		}
	}
	c := frame(title, top)
	span := math.Max(end-begin, 1e-9)
	for _, curve := range curves {
		var b strings.Builder
		for _, p := range series {
			fmt.Fprintf(&b, "%.1f,%.1f ", across((p.At-begin)/span), c.up(curve.value(p), top))
		}
		c.Lines = append(c.Lines, plotted{Name: curve.name, Points: strings.TrimSpace(b.String())})
	}
	for i := range xTicks {
		share := float64(i) / (xTicks - 1)
		at := time.Duration((begin + share*span) * float64(time.Second)).Round(time.Second)
		c.X = append(c.X, tick{At: across(share), TextY: chartHeight - 6, Text: at.String()})
	}
	return c
}

// frame makes a chart whose values go from 0 to top.
func frame(title string, top float64) chart {
	c := chart{Title: title, Width: chartWidth, Height: chartHeight}
	for i := range yTicks + 1 {
		value := top * float64(i) / yTicks
		y := c.up(value, top)
		c.Y = append(c.Y, tick{At: y, TextX: chartLeft - 6, TextY: y + 4, X1: chartLeft, X2: chartWidth - chartRight, Text: short(value)})
	}
	return c
}

// up is how high a value is drawn.
func (c *chart) up(value, top float64) float64 {
	if top <= 0 {
		top = 1
	}
	return chartHeight - chartBottom - value/top*(chartHeight-chartTop-chartBottom)
}

// across is where a share of the width is drawn.
func across(share float64) float64 { return chartLeft + share*(chartWidth-chartLeft-chartRight) }

// short writes a number for an axis.
func short(v float64) string {
	switch {
	case v >= 10_000:
		return fmt.Sprintf("%.0fk", v/1000)
	case v >= 100 || v == 0:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// delayCharts draw the histogram, with four bars for every doubling of the delay.
func delayCharts(d *Delay) []chart {
	if d == nil || d.Packets == 0 {
		return nil
	}
	const perDoubling = 4
	step := func(d time.Duration) int {
		return int(math.Floor(perDoubling * math.Log2(math.Max(1, float64(d)/float64(time.Microsecond)))))
	}
	bound := func(i int) time.Duration {
		return time.Duration(math.Exp2(float64(i)/perDoubling) * float64(time.Microsecond))
	}
	first, last := step(d.Bins[0].From), step(d.Bins[len(d.Bins)-1].From)
	counts := make([]uint64, last-first+1)
	most := uint64(0)
	for _, b := range d.Bins {
		i := step(middle(b)) - first
		i = min(max(i, 0), len(counts)-1)
		counts[i] += b.Count
		most = max(most, counts[i])
	}
	top := 100 * float64(most) / float64(d.Packets)
	c := frame("Forwarding delay, % of the packets", top)
	width := across(1/float64(len(counts))) - across(0)
	for i, n := range counts {
		share := 100 * float64(n) / float64(d.Packets)
		y := c.up(share, top)
		c.Bars = append(c.Bars, bar{X: across(float64(i) / float64(len(counts))), Y: y, W: math.Max(1, width-1), H: c.up(0, top) - y,
			Text: fmt.Sprintf("%s to %s: %.2f %%", ms(bound(first+i)), ms(bound(first+i+1)), share)})
	}
	for i := range xTicks {
		n := i * len(counts) / (xTicks - 1)
		c.X = append(c.X, tick{At: across(float64(n) / float64(len(counts))), TextY: chartHeight - 6, Text: ms(bound(first + n))})
	}
	return []chart{c}
}

func middle(b light.Bin) time.Duration { return (b.From + b.To) / 2 }
