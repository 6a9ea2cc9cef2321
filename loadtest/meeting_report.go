package loadtest

import (
	"fmt"
	"io"
	"maps"
	"text/tabwriter"
	"time"
)

// MeetingReport is what a meeting without media came to. Durations are nanoseconds in
// JSON.
type MeetingReport struct {
	Users int `json:"users"`
	// SignedIn is how long it took to make the users and sign them in, Prepared to make
	// the meeting, Connected until the last socket had its snapshot, Settled until all
	// had heard who else came.
	SignedIn    time.Duration `json:"signed_in_ns"`
	Prepared    time.Duration `json:"prepared_ns"`
	Connected   time.Duration `json:"connected_ns"`
	Settled     time.Duration `json:"settled_ns"`
	Idle        time.Duration `json:"idle_ns"`
	ConnectTime Percentiles   `json:"connect_time"`
	// RSSBefore is the server's memory before the first connected, RSSConnected when the
	// last did, each after a rest; InUse is what it says itself to use of it, as heap
	// and stacks.
	RSSBefore    uint64        `json:"rss_before"`
	RSSConnected uint64        `json:"rss_connected"`
	RSSPeak      uint64        `json:"rss_peak"`
	InUseBefore  uint64        `json:"in_use_before"`
	InUse        uint64        `json:"in_use"`
	Events       EventFigures  `json:"events"`
	Ballots      BallotFigures `json:"ballots"`
	API          APIFigures    `json:"api"`
	Back         BackFigures   `json:"back"`
	Books        BooksFigures  `json:"books"`
	Phases       []Phase       `json:"phases,omitempty"`
}

// Phase is what the server consumed in a part of the scenario.
type Phase struct {
	Name string        `json:"name"`
	Took time.Duration `json:"took_ns"`
	CPU  time.Duration `json:"cpu_ns"`
	RSS  uint64        `json:"rss"` // at its end
}

// EventFigures are from the moment at which the chair gives a command until the delegates
// have its event.
type EventFigures struct {
	Count        int             `json:"count"`
	P95          Percentiles     `json:"p95"`  // until 95 % of the delegates have it, over the events
	Last         Percentiles     `json:"last"` // until the last has it
	Each         Percentiles     `json:"each"` // over all events and delegates
	Acknowledged []time.Duration `json:"acknowledged_ns"`
	Missing      int             `json:"missing"` // events that a delegate never had
}

// BallotFigures are of an open vote.
type BallotFigures struct {
	Given        int            `json:"given"`
	Acknowledged map[string]int `json:"acknowledged"` // by choice
	Counted      map[string]int `json:"counted"`      // as published
	Cast         int            `json:"cast"`         // as published
	Time         Percentiles    `json:"time"`
	Took         time.Duration  `json:"took_ns"` // all of them
	// Progress is how often one watcher was told the count before the close, ProgressGap
	// the shortest time between two of them.
	Progress     int           `json:"progress"`
	ProgressRate float64       `json:"progress_per_second"`
	ProgressGap  time.Duration `json:"progress_gap_ns"`
}

// APIFigures are of requests over HTTP.
type APIFigures struct {
	Users    int            `json:"users"`
	Requests int            `json:"requests"`
	Failed   int            `json:"failed"`
	Time     Percentiles    `json:"time"`
	Routes   []RouteFigures `json:"routes"`
}

// RouteFigures are of one kind of them.
type RouteFigures struct {
	Name     string      `json:"name"`
	Requests int         `json:"requests"`
	Time     Percentiles `json:"time"`

	path string
}

// BackFigures are of delegates who come back all at once.
type BackFigures struct {
	Time    Percentiles   `json:"time"` // until one knows what was missed
	Took    time.Duration `json:"took_ns"`
	Settled time.Duration `json:"settled_ns"` // until all know who else came back
}

// BooksFigures compare what delegates were sent with what the chair was sent.
type BooksFigures struct {
	Events    uint64 `json:"events"`     // that everybody is to have
	Wrong     int    `json:"wrong"`      // delegates who had others
	Twice     int    `json:"twice"`      // events that came again, or late
	Snapshots int    `json:"snapshots"`  // delegates who got a snapshot in place of events
	OwnBallot int    `json:"own_ballot"` // delegates who were not told of their ballot once
	Ended     int    `json:"ended"`      // sockets that were closed
}

// Aims of a meeting of 2,000, which --strict holds a run to.
const (
	aimEvent   = 300 * time.Millisecond
	aimBallot  = time.Second
	aimAPI     = 200 * time.Millisecond
	aimMemory  = 60 << 10 // bytes for one who is connected
	aimBetween = 450 * time.Millisecond
)

// PerUser is what the server's memory grew by for one who is connected; 0 if it was not
// looked at.
func (r *MeetingReport) PerUser() float64 {
	if r.RSSConnected < r.RSSBefore || r.Users == 0 {
		return 0
	}
	return float64(r.RSSConnected-r.RSSBefore) / float64(r.Users)
}

// exact lists what is wrong, slow or not.
func (r *MeetingReport) exact() []string {
	var faults []string
	fault := func(n int, format string) {
		if n > 0 {
			faults = append(faults, fmt.Sprintf(format, n))
		}
	}
	sum := 0
	for _, n := range r.Ballots.Acknowledged {
		sum += n
	}
	fault(r.Ballots.Given-sum, "%d ballots were not acknowledged")
	counted := maps.Clone(r.Ballots.Counted)
	maps.DeleteFunc(counted, func(_ string, n int) bool { return n == 0 })
	if !maps.Equal(counted, r.Ballots.Acknowledged) || r.Ballots.Cast != sum {
		faults = append(faults, fmt.Sprintf("ballots %v were acknowledged, and %v counted, %d in all", r.Ballots.Acknowledged, counted, r.Ballots.Cast))
	}
	fault(r.Events.Missing, "%d times an event did not come within "+eventTimeout.String())
	fault(r.Books.Wrong, "%d delegates missed events")
	fault(r.Books.Twice, "%d events came twice")
	fault(r.Books.OwnBallot, "%d delegates were not told of their ballot once")
	fault(r.Books.Ended, "%d sockets were closed")
	fault(r.API.Failed, "%d requests failed")
	return faults
}

// faults lists what a good run does not have.
func (r *MeetingReport) faults() []string {
	faults := r.exact()
	slow := func(name string, d, aim time.Duration) {
		if d > aim {
			faults = append(faults, fmt.Sprintf("%s: %s, more than %s", name, ms(d), ms(aim)))
		}
	}
	slow("an event reaches 95 %", r.Events.P95.P95, aimEvent)
	slow("a ballot is acknowledged (p95)", r.Ballots.Time.P95, aimBallot)
	slow("an API request (p95)", r.API.Time.P95, aimAPI)
	if r.Ballots.Progress > 1 && r.Ballots.ProgressGap < aimBetween {
		faults = append(faults, fmt.Sprintf("the count of ballots was told twice within %s", ms(r.Ballots.ProgressGap)))
	}
	if n := r.PerUser(); n > aimMemory {
		faults = append(faults, fmt.Sprintf("%.1f KB of memory for one who is connected, more than %d", n/1024, aimMemory>>10))
	}
	return faults
}

func (r *Report) writeMeeting(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "scenario\tmeeting, %d users\n", r.Meeting.Users)
	for _, row := range r.meetingRows() {
		fmt.Fprintf(t, "%s\t%s\n", row.Name, row.Value)
	}
	return t.Flush()
}

// meetingRows are the figures for people.
func (r *Report) meetingRows() []pageRow {
	m := r.Meeting
	var rows []pageRow
	add := func(name, format string, args ...any) {
		rows = append(rows, pageRow{Name: name, Value: fmt.Sprintf(format, args...)})
	}
	aim := func(limit string, bad bool) { rows[len(rows)-1].Limit, rows[len(rows)-1].Bad = limit, bad }
	three := func(p Percentiles) string {
		return fmt.Sprintf("p50 %s, p95 %s, max %s", ms(p.P50), ms(p.P95), ms(p.Max))
	}
	add("Set-up", "users signed in %s, meeting made %s", ms(m.SignedIn), ms(m.Prepared))
	if m.Events.Count == 0 {
		return rows
	}
	add("Connecting", "%s in all, each %s; all heard of all %s later", ms(m.Connected), three(m.ConnectTime), ms(m.Settled))
	add("An event has reached 95 %", "%s (%d events)", three(m.Events.P95), m.Events.Count)
	aim("p95 "+ms(aimEvent), m.Events.P95.P95 > aimEvent)
	add("An event has reached the last", "%s; each %s", three(m.Events.Last), three(m.Events.Each))
	add("A ballot is acknowledged", "%s (%d in %s)", three(m.Ballots.Time), m.Ballots.Given, ms(m.Ballots.Took))
	aim("p95 "+ms(aimBallot), m.Ballots.Time.P95 > aimBallot)
	add("Ballots", "acknowledged %v, counted %v, %d in all", m.Ballots.Acknowledged, m.Ballots.Counted, m.Ballots.Cast)
	add("The count was told", "%d times, %.2f a second, at least %s apart", m.Ballots.Progress, m.Ballots.ProgressRate, ms(m.Ballots.ProgressGap))
	aim(ms(aimBetween)+" apart", m.Ballots.Progress > 1 && m.Ballots.ProgressGap < aimBetween)
	add("API", "%s (%d requests of %d users, %d failed)", three(m.API.Time), m.API.Requests, m.API.Users, m.API.Failed)
	aim("p95 "+ms(aimAPI), m.API.Time.P95 > aimAPI)
	for _, route := range m.API.Routes {
		add("API, "+route.Name, "%s (%d)", three(route.Time), route.Requests)
	}
	add("All come back at once", "%s; all heard of all after %s", three(m.Back.Time), ms(m.Back.Settled))
	add("Books", "%d events for everybody; %d delegates had others, %d came twice, %d delegates got snapshots instead, %d sockets were closed",
		m.Books.Events, m.Books.Wrong, m.Books.Twice, m.Books.Snapshots, m.Books.Ended)
	aim("0", m.Books.Wrong+m.Books.Twice+m.Books.Ended > 0)
	if m.RSSConnected > 0 {
		add("Server, memory", "%.1f MB before, %.1f with all connected, %.1f at most: %.1f KB for each", mb(m.RSSBefore), mb(m.RSSConnected), mb(m.RSSPeak), m.PerUser()/1024)
		aim(fmt.Sprintf("%d KB", aimMemory>>10), m.PerUser() > aimMemory)
	}
	if m.InUse > 0 {
		add("Server, heap and stacks", "%.1f MB before, %.1f with all connected", mb(m.InUseBefore), mb(m.InUse))
	}
	for _, p := range m.Phases {
		add("Server, "+p.Name, "%s of processor in %s, %.1f MB", ms(p.CPU), ms(p.Took), mb(p.RSS))
	}
	add("Load generator", "%.3f cores, %.1f MB; longest stall %s", r.Tester.CPU, mb(r.Tester.RSS), ms(r.Stall))
	return rows
}
