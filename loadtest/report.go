package loadtest

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is what a scenario measured. Durations are nanoseconds in JSON.
type Report struct {
	Scenario    string        `json:"scenario"`
	URL         string        `json:"url"`
	Started     time.Time     `json:"started"`
	Subscribers int           `json:"subscribers"`
	Watched     time.Duration `json:"watched_ns"`
	// JoinTime is from the start of a join until media can flow.
	JoinTime Percentiles `json:"join_time"`
	// FirstPacket is from the start of a join until the first video packet.
	FirstPacket Percentiles  `json:"first_packet"`
	Totals      Totals       `json:"totals"`
	Server      ServerReport `json:"server"`
	// Stall is the longest time that the load generator itself got no
	// processor. Freezes and loss of that length are not the server's.
	Stall time.Duration `json:"stall_ns"`
}

// Percentiles of a set of durations.
type Percentiles struct {
	P50 time.Duration `json:"p50_ns"`
	P95 time.Duration `json:"p95_ns"`
	Max time.Duration `json:"max_ns"`
}

// Totals are the sums over all subscribers.
type Totals struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
	// Lost is what never came, after repair.
	Lost uint64 `json:"lost"`
	// Late came after a newer packet; retransmissions do.
	Late       uint64 `json:"late"`
	Duplicates uint64 `json:"duplicates"`
	// Nacked counts the requests for retransmission.
	Nacked  uint64 `json:"nacked"`
	Freezes uint64 `json:"freezes"`
	// MaxGap is the longest pause between two pictures of any subscriber.
	MaxGap time.Duration `json:"max_gap_ns"`
}

func (t *Totals) add(s StreamStats, nacked uint64) {
	t.Packets += s.Packets
	t.Bytes += s.Bytes
	t.Lost += s.Lost
	t.Late += s.Late
	t.Duplicates += s.Duplicates
	t.Nacked += nacked
	t.Freezes += s.Freezes
	t.MaxGap = max(t.MaxGap, s.MaxGap)
}

// LossRatio is lost packets over expected ones, 0 to 1.
func (t Totals) LossRatio() float64 {
	if t.Packets+t.Lost == 0 {
		return 0
	}
	return float64(t.Lost) / float64(t.Packets+t.Lost)
}

// ServerReport is what the server consumed. Memory is in bytes; zero means
// that the process was not looked at.
type ServerReport struct {
	// CPU is the processor time per second while everybody watched: 1 is a full core.
	CPU       float64 `json:"cpu"`
	RSSBefore uint64  `json:"rss_before"`
	RSSPeak   uint64  `json:"rss_peak"`
	RSSAfter  uint64  `json:"rss_after"`
	// Goroutines from /metrics.
	GoroutinesBefore int `json:"goroutines_before"`
	GoroutinesPeak   int `json:"goroutines_peak"`
	GoroutinesAfter  int `json:"goroutines_after"`
	// Settled is how long after the last leave the goroutines were as before,
	// or the end of waiting for it.
	Settled time.Duration `json:"settled_ns"`
	// Note says what could not be had.
	Note string `json:"note,omitempty"`

	cpuAtBegin time.Duration
}

func (s *ServerReport) watchBegins(pid int) {
	if u, err := ReadUsage(pid); err == nil {
		s.cpuAtBegin = u.CPU
	}
	s.sample(pid)
}

func (s *ServerReport) watchEnds(pid int, watched time.Duration) {
	if u, err := ReadUsage(pid); err == nil {
		s.CPU = (u.CPU - s.cpuAtBegin).Seconds() / watched.Seconds()
	}
	s.sample(pid)
}

func (s *ServerReport) sample(pid int) {
	if pid == 0 {
		return
	}
	if u, err := ReadUsage(pid); err == nil {
		s.RSSPeak = max(s.RSSPeak, u.RSS)
	}
}

// WriteTable writes the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	ms := func(d time.Duration) string { return d.Round(time.Millisecond).String() }
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("scenario", "%s, %d subscribers, %s", r.Scenario, r.Subscribers, r.Watched.Round(time.Second))
	row("join time", "p50 %s, p95 %s, max %s", ms(r.JoinTime.P50), ms(r.JoinTime.P95), ms(r.JoinTime.Max))
	row("first packet", "p50 %s, p95 %s, max %s", ms(r.FirstPacket.P50), ms(r.FirstPacket.P95), ms(r.FirstPacket.Max))
	row("received", "%d packets, %.1f MB", r.Totals.Packets, float64(r.Totals.Bytes)/1e6)
	row("lost after repair", "%d (%.4f %%)", r.Totals.Lost, 100*r.Totals.LossRatio())
	row("late, duplicate, asked again", "%d, %d, %d", r.Totals.Late, r.Totals.Duplicates, r.Totals.Nacked)
	row("freezes over "+FreezeGap.String(), "%d, longest gap %s", r.Totals.Freezes, ms(r.Totals.MaxGap))
	row("load generator", "longest stall %s", ms(r.Stall))
	s := r.Server
	if s.RSSPeak > 0 {
		row("server processor", "%.1f %% of a core", 100*s.CPU)
		row("server memory", "%.1f MB before, %.1f peak, %.1f after", mb(s.RSSBefore), mb(s.RSSPeak), mb(s.RSSAfter))
	}
	if s.GoroutinesPeak > 0 {
		row("server goroutines", "%d before, %d peak, %d after (%s)", s.GoroutinesBefore, s.GoroutinesPeak, s.GoroutinesAfter, ms(s.Settled))
	}
	if s.Note != "" {
		row("note", "%s", s.Note)
	}
	return t.Flush()
}

func mb(bytes uint64) float64 { return float64(bytes) / (1 << 20) }

// goroutineSlack is how many goroutines more than before are not a leak: the
// server's own timers and idle HTTP connections.
const goroutineSlack = 10

// Faults lists what a good run does not have: loss after repair, a freeze, a
// server that keeps goroutines after everybody has left.
func (r *Report) Faults() []string {
	var faults []string
	if r.Totals.Lost > 0 {
		faults = append(faults, fmt.Sprintf("%d packets lost", r.Totals.Lost))
	}
	if r.Totals.Freezes > 0 {
		faults = append(faults, fmt.Sprintf("%d freezes", r.Totals.Freezes))
	}
	if s := r.Server; s.GoroutinesAfter > s.GoroutinesBefore+goroutineSlack {
		faults = append(faults, fmt.Sprintf("%d goroutines before, %d after", s.GoroutinesBefore, s.GoroutinesAfter))
	}
	return faults
}

// faultString joins the faults for an error message.
func faultString(faults []string) string { return strings.Join(faults, "; ") }
