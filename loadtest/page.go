package loadtest

import (
	_ "embed" // the page
	"fmt"
	"html/template"
	"io"
	"runtime"
	"time"
)

//go:embed page.html
var pageSource string

var pageTemplate = template.Must(template.New("page").Parse(pageSource))

// page is what the template is given.
type page struct {
	Title, What    string
	Faults, Doubts []string
	Rows           []pageRow
	Steps          [][]string
	Charts         []chart
}

// pageRow is a figure, against a limit if it has one.
type pageRow struct {
	Name, Value, Limit string
	Bad                bool
}

// WriteHTML writes the report as a page that needs nothing else.
func (r *Report) WriteHTML(w io.Writer) error {
	p := page{
		Title: fmt.Sprintf("Load test: %s, %s", r.Scenario, r.Started.Format("2006-01-02 15:04 MST")),
		What: fmt.Sprintf("%d published and %d received, as %s participants of %s, for %s.",
			r.Publishers, r.Subscribers, r.Participants, r.URL, r.Watched.Round(time.Second)),
		Faults: r.Faults(), Doubts: r.Doubts(), Rows: r.rows(), Charts: r.charts(),
	}
	if r.Meeting != nil {
		p.What = fmt.Sprintf("%d users in one meeting of %s, without media.", r.Meeting.Users, r.URL)
	}
	for _, s := range r.Steps {
		delay := "–"
		if s.Delay != nil {
			delay = ms(s.Delay.P50) + ", " + ms(s.Delay.P99)
		}
		p.Steps = append(p.Steps, []string{fmt.Sprint(s.Subscribers), fmt.Sprintf("%.0f", s.PacketRate),
			fmt.Sprintf("%.3f", s.CPU), fmt.Sprintf("%.1f", mb(s.RSS)), delay, fmt.Sprintf("%.3f", s.TesterCPU)})
	}
	return pageTemplate.Execute(w, p)
}

// Limits of the load generator, above which it is itself what is measured.
const (
	busyTester = 0.85 // of the processors it has
	longStall  = 100 * time.Millisecond
)

// Doubts tell why the figures may be the load generator's doing.
func (r *Report) Doubts() []string {
	var doubts []string
	if share := r.Tester.CPU / float64(max(1, runtime.GOMAXPROCS(0))); share > busyTester {
		doubts = append(doubts, fmt.Sprintf("the load generator was busy for %.0f %% of its processor time", 100*share))
	}
	if r.Stall > longStall {
		doubts = append(doubts, fmt.Sprintf("the load generator got no processor for %s", ms(r.Stall)))
	}
	if r.Tester.Dropped > 0 {
		doubts = append(doubts, fmt.Sprintf("the load generator's sockets had no room for %d packets or trains", r.Tester.Dropped))
	}
	return doubts
}

func (r *Report) rows() []pageRow {
	if r.Meeting != nil {
		return r.meetingRows()
	}
	var rows []pageRow
	add := func(name, value string) { rows = append(rows, pageRow{Name: name, Value: value}) }
	limit := func(name string, n uint64, value string) {
		rows = append(rows, pageRow{Name: name, Value: value, Limit: "0", Bad: n > 0})
	}
	three := func(name string, p Percentiles) {
		if p.Max > 0 {
			add(name, fmt.Sprintf("p50 %s, p95 %s, max %s", ms(p.P50), ms(p.P95), ms(p.Max)))
		}
	}
	t := r.Totals
	limit("Lost after repair", t.Lost, fmt.Sprintf("%d of %d packets (%.4f %%)", t.Lost, t.Packets+t.Lost, 100*t.LossRatio()))
	limit("Freezes", t.Freezes, fmt.Sprintf("%d, %s in all; %d more were the publisher's own pauses; longest time between two pictures %s",
		t.Freezes, ms(t.Frozen), t.Excused, ms(t.MaxGap)))
	if r.Decode.Packets > 0 {
		n := r.Decode.Faults() + t.Faults
		limit("What a decoder would not take", n, fmt.Sprintf("%d of %d packets looked into", n, r.Decode.Packets))
	}
	limit("Pictures never seen", uint64(r.Unseen), fmt.Sprint(r.Unseen))
	if f := r.Floor; f != nil {
		limit("Called points not seen within 10 s", uint64(f.Unseen), fmt.Sprintf("%d in %d calls", f.Unseen, f.Calls))
		three("From a call until a point sees it", f.Seen)
		three("From a call until all see it", f.All)
	}
	three("Time to join", r.JoinTime)
	three("Time to the first picture", r.FirstFrame)
	if d := r.Delay; d != nil {
		add("Forwarding delay", fmt.Sprintf("p50 %s, p95 %s, p99 %s, max %s (%d packets of %d subscribers)",
			ms(d.P50), ms(d.P95), ms(d.P99), ms(d.Max), d.Packets, d.Subscribers))
	}
	if d := r.ReplayDelay; d != nil {
		add("Beginnings of speech", fmt.Sprintf("said p50 %s, max %s before they came (%d packets)", ms(d.P50), ms(d.Max), d.Packets))
	}
	if d := r.RepairDelay; d != nil {
		add("Delay of retransmissions", fmt.Sprintf("p50 %s, p99 %s, max %s (%d packets)", ms(d.P50), ms(d.P99), ms(d.Max), d.Packets))
	}
	add("Received", fmt.Sprintf("%.0f packets/s; %d in all, %.1f MB, %d asked for again, %d came again, %d padded",
		r.PacketRate, t.Packets, float64(t.Bytes)/1e6, t.Nacked, t.Repaired, t.Padded))
	return append(rows, r.serverRows()...)
}

func (r *Report) serverRows() []pageRow {
	var rows []pageRow
	add := func(name, format string, args ...any) {
		rows = append(rows, pageRow{Name: name, Value: fmt.Sprintf(format, args...)})
	}
	s := r.Server
	if s.RSSPeak > 0 {
		add("Server, processor", "%.3f cores; %.0f packets a core-second", s.CPU, r.PacketsPerCoreSecond())
		add("Server, memory", "%.1f MB before, %.1f at most, %.1f after", mb(s.RSSBefore), mb(s.RSSPeak), mb(s.RSSAfter))
	}
	if s.GoroutinesPeak > 0 {
		rows = append(rows, pageRow{
			Name:  "Server, goroutines",
			Value: fmt.Sprintf("%d before, %d at most, %d after", s.GoroutinesBefore, s.GoroutinesPeak, s.GoroutinesAfter),
			Limit: fmt.Sprintf("%d after", s.GoroutinesBefore+goroutineSlack), Bad: s.GoroutinesAfter > s.GoroutinesBefore+goroutineSlack,
		})
	}
	if s.Note != "" {
		add("Server", "%s", s.Note)
	}
	for _, f := range r.Figures {
		add(f.Name, "%.4g %s", f.Value, f.Unit)
	}
	add("Load generator", "%.3f cores, %.1f MB; longest stall %s, %d frames sent late", r.Tester.CPU, mb(r.Tester.RSS), ms(r.Stall), r.Sent.Behind)
	return rows
}
