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

const demoPassword = "diemcau-demo-2026"

// runMeeting runs the scenario on the shared server as the command line does.
func runMeeting(t *testing.T, args ...string) (*Report, error) {
	t.Helper()
	srv := server(t)
	cmd := Command()
	var out, progress bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&progress)
	file := filepath.Join(t.TempDir(), "report.json")
	cmd.SetArgs(append([]string{"meeting", "--url", srv.URL, "--pid", fmt.Sprint(srv.PID), "--after", "1ms", "--json", file, "--html", file + ".html"}, args...))
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		return nil, fmt.Errorf("%w\n%s%s", err, progress.String(), out.String())
	}
	t.Logf("\n%s", out.String())
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	r := &Report{}
	require.NoError(t, json.Unmarshal(b, r))
	page, err := os.ReadFile(file + ".html")
	require.NoError(t, err)
	require.Contains(t, string(page), "A ballot is acknowledged")
	return r, nil
}

// Nothing is lost and nothing comes twice, whatever time it takes.
func TestMeetingCommand(t *testing.T) {
	if server(t).PID == 0 {
		t.Log("whether this server has meetings, and who administers them, is not known")
		return
	}
	_, err := runMeeting(t, "--users", "30", "--password", "not the password")
	require.ErrorContains(t, err, "401 bad_credentials")
	_, err = runMeeting(t, "--users", "0", "--password", demoPassword)
	require.ErrorContains(t, err, "0 users")

	sessions := filepath.Join(t.TempDir(), "sessions")
	t.Setenv("DIEMCAU_PASSWORD", demoPassword)
	r, err := runMeeting(t, "--users", "30", "--duration", "2s", "--sessions", sessions)
	require.NoError(t, err)
	m := r.Meeting
	require.Empty(t, m.exact())
	require.Equal(t, 30, m.Ballots.Given)
	require.Equal(t, map[string]int{"yes": 23, "no": 4, "other": 3}, m.Ballots.Counted)
	require.Equal(t, 2*eventRounds, m.Events.Count)
	// Those, the item, the vote (opened, closed, published), two more pauses, and all
	// delegates gone, or not noticed to have gone, and back.
	require.GreaterOrEqual(t, m.Books.Events, uint64(2*eventRounds+1+3+4))
	require.Zero(t, m.Books.Snapshots, "who comes back gets what was missed, no more")
	require.Equal(t, 30, m.API.Users)
	require.GreaterOrEqual(t, m.API.Requests, 30)
	require.Len(t, m.API.Routes, 3)
	require.Positive(t, m.Ballots.Progress)
	require.Positive(t, m.RSSConnected)

	before, err := os.ReadFile(sessions)
	require.NoError(t, err)
	info, err := os.Stat(sessions)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	// A second time nobody signs in anew.
	r, err = runMeeting(t, "--users", "5", "--duration", "1s", "--sessions", sessions)
	require.NoError(t, err)
	require.Empty(t, r.Meeting.exact())
	after, err := os.ReadFile(sessions)
	require.NoError(t, err)
	require.Equal(t, string(before), string(after))
}

// eventsFrame has events with these numbers.
func eventsFrame(t *testing.T, kind string, seqs ...uint64) *meetingFrame {
	raw := `{"type":"events","seq":99,"events":[`
	for i, seq := range seqs {
		if i > 0 {
			raw += ","
		}
		raw += fmt.Sprintf(`{"seq":%d,"type":%q,"body":{}}`, seq, kind)
	}
	f, err := newFrameCache().decode([]byte(raw + "]}"))
	require.NoError(t, err)
	return f
}

func TestBooksOfEvents(t *testing.T) {
	read := func(frames ...*meetingFrame) ledger {
		m := newMember(&apiClient{}, apiSession{}, nil)
		fresh := false
		for i, f := range frames {
			m.take(f, time.Now(), &fresh)
			if i == 0 {
				m.begin(10) // what is later counts, though it came before
			}
		}
		books, _, _ := m.state()
		return books
	}
	good := read(eventsFrame(t, "meeting.paused", 9, 11, 12), eventsFrame(t, "agenda.started", 14))
	require.Equal(t, uint64(3), good.events, "9 was before the books")
	require.Zero(t, good.twice)
	others := read(eventsFrame(t, "meeting.paused", 11), eventsFrame(t, "ballot.given", 13), eventsFrame(t, "vote.drafted", 13), eventsFrame(t, "meeting.paused", 14))
	require.NotEqual(t, good.sum, others.sum)
	require.Equal(t, 1, others.own)
	require.Equal(t, 1, others.twice)
	same := read(eventsFrame(t, "presence.changed", 11), eventsFrame(t, "vote.closed", 12), eventsFrame(t, "ballot.given", 13), eventsFrame(t, "meeting.paused", 14))
	require.Equal(t, good.sum, same.sum)
	missing := read(eventsFrame(t, "meeting.paused", 11, 13, 14))
	require.Equal(t, good.events, missing.events)
	require.NotEqual(t, good.sum, missing.sum)
	require.Equal(t, 2, read(eventsFrame(t, "meeting.paused", 11, 12), eventsFrame(t, "meeting.paused", 11, 12)).twice)
	require.Equal(t, 1, read(&meetingFrame{Type: "snapshot", Seq: 20}).snapshots)
}

func TestMeetingFaults(t *testing.T) {
	good := func() *MeetingReport {
		return &MeetingReport{Users: 3, RSSBefore: 1 << 20, RSSConnected: 1<<20 + 3*aimMemory,
			Ballots: BallotFigures{Given: 3, Cast: 3, Acknowledged: map[string]int{"yes": 2, "no": 1}, Counted: map[string]int{"yes": 2, "no": 1, "other": 0}}}
	}
	require.Empty(t, good().faults())
	for name, spoil := range map[string]func(*MeetingReport){
		"were not acknowledged":    func(r *MeetingReport) { r.Ballots.Given = 4 },
		"and map[no:1 yes:1] coun": func(r *MeetingReport) { r.Ballots.Counted["yes"] = 1 },
		"4 in all":                 func(r *MeetingReport) { r.Ballots.Cast = 4 },
		"missed events":            func(r *MeetingReport) { r.Books.Wrong = 1 },
		"came twice":               func(r *MeetingReport) { r.Books.Twice = 1 },
		"sockets were closed":      func(r *MeetingReport) { r.Books.Ended = 1 },
		"requests failed":          func(r *MeetingReport) { r.API.Failed = 1 },
		"did not come":             func(r *MeetingReport) { r.Events.Missing = 1 },
		"an event reaches":         func(r *MeetingReport) { r.Events.P95.P95 = aimEvent + 1 },
		"a ballot is acknowledged": func(r *MeetingReport) { r.Ballots.Time.P95 = aimBallot + 1 },
		"an API request":           func(r *MeetingReport) { r.API.Time.P95 = aimAPI + 1 },
		"told twice within":        func(r *MeetingReport) { r.Ballots.Progress, r.Ballots.ProgressGap = 2, time.Millisecond },
		"KB of memory":             func(r *MeetingReport) { r.RSSConnected++ },
	} {
		r := good()
		spoil(r)
		require.Len(t, r.faults(), 1, name)
		require.Contains(t, r.faults()[0], name)
	}
}
