package loadtest

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// CostOptions describe plenaries of several sizes, one after the other on one server.
type CostOptions struct {
	PlenaryOptions
	// Sizes are how many watch in each.
	Sizes []int
}

// Step is one size of a cost scenario.
type Step struct {
	Subscribers int         `json:"subscribers"`
	PacketRate  float64     `json:"packets_per_second"`
	CPU         float64     `json:"cpu"` // of the server, cores
	RSS         uint64      `json:"rss"` // of the server, bytes
	TesterCPU   float64     `json:"tester_cpu"`
	Lost        uint64      `json:"lost"`
	Freezes     uint64      `json:"freezes"`
	JoinTime    Percentiles `json:"join_time"`
	Delay       *Delay      `json:"delay,omitempty"`
}

// between is how long the server is left alone after each size.
const between = 2 * time.Second

// Cost runs the scenario; see Plenary for its errors. The report is that of the largest
// size, with the totals of all, and a straight line through the processor times.
func Cost(ctx context.Context, o CostOptions) (*Report, error) {
	if len(o.Sizes) == 0 || o.PID == 0 {
		return nil, errors.New("what sizes cost needs sizes, and --pid of a server on this machine")
	}
	var all *Report
	var steps []Step
	var totals Totals
	var series []Point
	begun := time.Now()
	before := ServerReport{}
	for i, n := range o.Sizes {
		p := o.PlenaryOptions
		p.Subscribers, p.Room = n, fmt.Sprintf("%s-%d", o.Room, n)
		if i < len(o.Sizes)-1 {
			p.After = between
		}
		o.progress("%d subscribers", n)
		at := time.Since(begun).Seconds()
		stepCtx, cancel := context.WithTimeout(ctx, bound(n, p.Duration))
		r, err := Plenary(stepCtx, p)
		cancel()
		if err != nil {
			return nil, fmt.Errorf("%d subscribers: %w", n, err)
		}
		steps = append(steps, Step{Subscribers: n, PacketRate: r.PacketRate, CPU: r.Server.CPU, RSS: r.Server.RSSPeak,
			TesterCPU: r.Tester.CPU, Lost: r.Totals.Lost, Freezes: r.Totals.Freezes, JoinTime: r.JoinTime, Delay: r.Delay})
		totals.merge(r.Totals)
		for _, point := range r.Series {
			point.At += at
			series = append(series, point)
		}
		if i == 0 {
			before = r.Server
		}
		if all == nil || n >= all.Subscribers {
			all = r
		}
		all.Server.GoroutinesAfter, all.Server.RSSAfter = r.Server.GoroutinesAfter, r.Server.RSSAfter
	}
	all.Scenario, all.Steps, all.Totals, all.Series = "cost", steps, totals, series
	all.Server.GoroutinesBefore, all.Server.RSSBefore = before.GoroutinesBefore, before.RSSBefore
	all.Figures = append(all.Figures, costFigures(steps)...)
	all.conclude()
	return all, nil
}

// costFigures draw a line through the processor times of the steps.
func costFigures(steps []Step) []Figure {
	var xs, packets, ys []float64
	for _, s := range steps {
		xs, packets, ys = append(xs, float64(s.Subscribers)), append(packets, s.PacketRate), append(ys, s.CPU)
	}
	people, rate := fitLine(xs, ys), fitLine(packets, ys)
	if people.n < 2 {
		return nil
	}
	return []Figure{
		{Name: "processor per subscriber", Value: 1000 * people.slope, Unit: "thousandths of a core"},
		{Name: "processor per 1,000 packets/s", Value: 1_000_000 * rate.slope, Unit: "thousandths of a core"},
		{Name: "fixed", Value: 1000 * people.fixed, Unit: "thousandths of a core"},
		{Name: "the line explains", Value: 100 * people.r2, Unit: "% of what they vary"},
	}
}
