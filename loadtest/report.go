package loadtest

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"diemcau/loadtest/light"
)

// Report is what a scenario measured. Durations are nanoseconds in JSON.
type Report struct {
	Scenario string    `json:"scenario"`
	URL      string    `json:"url"`
	Started  time.Time `json:"started"`
	// Participants are light or sdk.
	Participants string        `json:"participants"`
	Publishers   int           `json:"publishers"`
	Subscribers  int           `json:"subscribers"`
	Watched      time.Duration `json:"watched_ns"`
	// JoinTime is from the start of a join until media can flow.
	JoinTime Percentiles `json:"join_time"`
	// FirstPacket is from the start of a join until the first video packet, FirstFrame
	// until the first picture was whole.
	FirstPacket Percentiles `json:"first_packet"`
	FirstFrame  Percentiles `json:"first_frame"`
	Totals      Totals      `json:"totals"`
	// PacketRate is what all received together, in packets a second.
	PacketRate float64 `json:"packets_per_second"`
	// Delay is from sending to arrival at the socket of a subscriber; RepairDelay is that
	// of packets that came as retransmissions, ReplayDelay that of what a speaker had said
	// before its sound was let through. Nil: none was measured.
	Delay       *Delay             `json:"delay,omitempty"`
	RepairDelay *Delay             `json:"repair_delay,omitempty"`
	ReplayDelay *Delay             `json:"replay_delay,omitempty"`
	Decode      light.DecodeStats  `json:"decode"`
	Sent        light.PublishStats `json:"sent"`
	// Unseen counts pictures that should have been seen and never were.
	Unseen int `json:"unseen"`
	// Floor is of a bridge.
	Floor *Floor `json:"floor,omitempty"`
	// Steps are of a cost scenario.
	Steps []Step `json:"steps,omitempty"`
	// Figures are those that only this scenario has.
	Figures []Figure `json:"figures,omitempty"`
	// Meeting is of a meeting without media; then only it, Server and Tester are filled.
	Meeting *MeetingReport `json:"meeting,omitempty"`
	Server  ServerReport   `json:"server"`
	Tester  TesterReport   `json:"tester"`
	// Stall is the longest time that the load generator itself got no
	// processor. Freezes and loss of that length are not the server's.
	Stall  time.Duration `json:"stall_ns"`
	Series []Point       `json:"series,omitempty"`
	// Found is what Faults returns.
	Found []string `json:"faults"`
}

// Delay describes how long packets took.
type Delay struct {
	Subscribers int           `json:"subscribers"` // that were sampled
	Packets     uint64        `json:"packets"`
	Mean        time.Duration `json:"mean_ns"`
	P50         time.Duration `json:"p50_ns"`
	P95         time.Duration `json:"p95_ns"`
	P99         time.Duration `json:"p99_ns"`
	Max         time.Duration `json:"max_ns"`
	Bins        []light.Bin   `json:"bins"`
}

// Figure is a number that a scenario has found.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// Point is one of the time series: averages since the one before.
type Point struct {
	At         float64 `json:"at"` // s
	PacketRate float64 `json:"packets_per_second"`
	Bitrate    float64 `json:"bits_per_second"`
	ServerCPU  float64 `json:"server_cpu"` // cores
	ServerRSS  uint64  `json:"server_rss"` // bytes
	TesterCPU  float64 `json:"tester_cpu"` // cores
	Goroutines int     `json:"goroutines"` // of the server, 0 if not looked at
}

// TesterReport is what the load generator itself consumed.
type TesterReport struct {
	// CPU is the processor time per second while everybody watched: 1 is a full core.
	CPU float64 `json:"cpu"`
	RSS uint64  `json:"rss"`
	// Dropped is what its sockets had no room for: loss that is not the server's.
	Dropped uint64 `json:"dropped"`
}

// PacketsPerCoreSecond is what the server forwarded in a second of one core; 0 if its
// processor time is not known.
func (r *Report) PacketsPerCoreSecond() float64 {
	if r.Server.CPU <= 0 {
		return 0
	}
	return r.PacketRate / r.Server.CPU
}

// conclude fills in what follows from the rest.
func (r *Report) conclude() { r.Found = append([]string{}, r.Faults()...) }

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
	// Padded are those that the server has padded.
	Padded uint64 `json:"padded"`
	// Lost is what never came, after repair; Repaired what came by it.
	Lost     uint64 `json:"lost"`
	Repaired uint64 `json:"repaired"`
	// Late came after a newer packet; retransmissions do.
	Late       uint64 `json:"late"`
	Duplicates uint64 `json:"duplicates"`
	// Nacked counts the requests for retransmission.
	Nacked uint64 `json:"nacked"`
	// KeyAsked counts the requests for key frames.
	KeyAsked uint64 `json:"key_asked"`
	// Frames were whole, Broken were not.
	Frames uint64 `json:"frames"`
	Broken uint64 `json:"broken"`
	// Freezes of light participants are those of W3C's webrtc-stats, of others pauses
	// longer than FreezeGap. Frozen is how long they were in all.
	Freezes uint64        `json:"freezes"`
	Frozen  time.Duration `json:"frozen_ns"`
	// Excused are pauses that would be freezes, had the publisher not paused itself.
	Excused uint64 `json:"excused"`
	// MaxGap is the longest pause between two pictures of any subscriber.
	MaxGap time.Duration `json:"max_gap_ns"`
	// Faults counts what a receiver could make no sense of.
	Faults uint64 `json:"faults"`
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

// merge makes the sums of two scenarios.
func (t *Totals) merge(o Totals) {
	t.Packets += o.Packets
	t.Bytes += o.Bytes
	t.Padded += o.Padded
	t.Lost += o.Lost
	t.Repaired += o.Repaired
	t.Late += o.Late
	t.Duplicates += o.Duplicates
	t.Nacked += o.Nacked
	t.KeyAsked += o.KeyAsked
	t.Frames += o.Frames
	t.Broken += o.Broken
	t.Freezes += o.Freezes
	t.Frozen += o.Frozen
	t.Excused += o.Excused
	t.MaxGap = max(t.MaxGap, o.MaxGap)
	t.Faults += o.Faults
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
	if r.Meeting != nil {
		return r.writeMeeting(w)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("scenario", "%s, %d subscribers, %s, %d publishers, %s participants", r.Scenario, r.Subscribers, r.Watched.Round(time.Second), r.Publishers, r.Participants)
	row("join time", "p50 %s, p95 %s, max %s", ms(r.JoinTime.P50), ms(r.JoinTime.P95), ms(r.JoinTime.Max))
	if r.FirstPacket.Max > 0 {
		row("first packet", "p50 %s, p95 %s, max %s", ms(r.FirstPacket.P50), ms(r.FirstPacket.P95), ms(r.FirstPacket.Max))
	}
	if r.FirstFrame.Max > 0 {
		row("first frame", "p50 %s, p95 %s, max %s", ms(r.FirstFrame.P50), ms(r.FirstFrame.P95), ms(r.FirstFrame.Max))
	}
	row("received", "%d packets, %.1f MB, %.0f packets/s", r.Totals.Packets, float64(r.Totals.Bytes)/1e6, r.PacketRate)
	row("lost after repair", "%d (%.4f %%)", r.Totals.Lost, 100*r.Totals.LossRatio())
	row("late, duplicate, asked again", "%d, %d, %d", r.Totals.Late, r.Totals.Duplicates, r.Totals.Nacked)
	row("freezes", "%d, and %d pauses of the publisher, longest gap %s", r.Totals.Freezes, r.Totals.Excused, ms(r.Totals.MaxGap))
	if d := r.Delay; d != nil {
		row("forwarding delay", "p50 %s, p95 %s, p99 %s, max %s (%d packets of %d subscribers)", ms(d.P50), ms(d.P95), ms(d.P99), ms(d.Max), d.Packets, d.Subscribers)
	}
	if d := r.ReplayDelay; d != nil {
		row("beginnings of speech", "said p50 %s, max %s before they came (%d packets)", ms(d.P50), ms(d.Max), d.Packets)
	}
	if r.Decode.Packets > 0 {
		row("looked into", "%d packets, %d key frames, %d faults", r.Decode.Packets, r.Decode.KeyFrames, r.Decode.Faults())
	}
	if f := r.Floor; f != nil {
		row("a called point is seen", "p50 %s, p95 %s, max %s", ms(f.Seen.P50), ms(f.Seen.P95), ms(f.Seen.Max))
		row("by all", "p50 %s, p95 %s, max %s (%d calls, %d not seen)", ms(f.All.P50), ms(f.All.P95), ms(f.All.Max), f.Calls, f.Unseen)
	}
	for _, c := range r.Steps {
		row(fmt.Sprintf("%d subscribers", c.Subscribers), "%.1f %% of a core for %.0f packets/s, %.1f MB; load generator %.1f %%",
			100*c.CPU, c.PacketRate, mb(c.RSS), 100*c.TesterCPU)
	}
	for _, f := range r.Figures {
		row(f.Name, "%.4g %s", f.Value, f.Unit)
	}
	row("load generator", "longest stall %s, %.1f %% of a core, %.1f MB, %d frames late", ms(r.Stall), 100*r.Tester.CPU, mb(r.Tester.RSS), r.Sent.Behind)
	s := r.Server
	if s.RSSPeak > 0 {
		row("server processor", "%.1f %% of a core, %.0f packets per core-second", 100*s.CPU, r.PacketsPerCoreSecond())
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
	if r.Meeting != nil {
		return r.Meeting.faults()
	}
	var faults []string
	if r.Totals.Lost > 0 {
		faults = append(faults, fmt.Sprintf("%d packets lost", r.Totals.Lost))
	}
	if r.Totals.Freezes > 0 {
		faults = append(faults, fmt.Sprintf("%d freezes", r.Totals.Freezes))
	}
	if r.Unseen > 0 {
		faults = append(faults, fmt.Sprintf("%d pictures were never seen", r.Unseen))
	}
	if r.Floor != nil && r.Floor.Unseen > 0 {
		faults = append(faults, fmt.Sprintf("%d times a called point was not seen", r.Floor.Unseen))
	}
	if n := r.Decode.Faults() + r.Totals.Faults; n > 0 {
		faults = append(faults, fmt.Sprintf("%d packets or frames that a decoder would not take", n))
	}
	if s := r.Server; s.GoroutinesAfter > s.GoroutinesBefore+goroutineSlack {
		faults = append(faults, fmt.Sprintf("%d goroutines before, %d after", s.GoroutinesBefore, s.GoroutinesAfter))
	}
	return faults
}

// faultString joins the faults for an error message.
func faultString(faults []string) string { return strings.Join(faults, "; ") }
