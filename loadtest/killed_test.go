package loadtest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What TestKilledWhileVoting asks of the demonstration.
const (
	demoMeeting = "hop-giao-ban-thang"
	voters      = 40
)

// signedIn is somebody who is signed in.
type signedIn struct {
	t        *testing.T
	url      string
	hc       *http.Client
	csrf     string
	Identity string
}

// signIn signs a demo user in.
func signIn(t *testing.T, url, login string) *signedIn {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	m := &signedIn{t: t, url: url, hc: &http.Client{Jar: jar, Timeout: 20 * time.Second}}
	var session struct {
		Identity  string `json:"identity"`
		CSRFToken string `json:"csrfToken"`
	}
	status, err := m.call(http.MethodPost, "/api/v1/session", map[string]string{"login": login, "password": demoPassword}, &session)
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, status, login)
	m.csrf = session.CSRFToken
	m.Identity, _, _ = strings.Cut(session.Identity, "#")
	return m
}

// call asks the API; an error says that no answer came.
func (m *signedIn) call(method, path string, body, into any) (int, error) {
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return 0, err
		}
	}
	req, err := http.NewRequestWithContext(m.t.Context(), method, m.url+path, bytes.NewReader(raw))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-CSRF-Token", m.csrf)
	resp, err := m.hc.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	raw, err = io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode < 300 && into != nil {
		err = json.Unmarshal(raw, into)
	}
	return resp.StatusCode, err
}

// command gives a command to the demo meeting, which must take it.
func (m *signedIn) command(id, kind string, body any) (seq uint64) {
	m.t.Helper()
	status, seq, err := m.try(id, kind, body)
	require.NoError(m.t, err)
	require.Equal(m.t, http.StatusOK, status, kind)
	return seq
}

func (m *signedIn) try(id, kind string, body any) (status int, seq uint64, err error) {
	var answer struct {
		Seq uint64 `json:"seq"`
	}
	status, err = m.call(http.MethodPost, "/api/v1/meetings/"+demoMeeting+"/commands", map[string]any{"id": id, "type": kind, "body": body}, &answer)
	return status, answer.Seq, err
}

// sight is what somebody sees of the demo meeting.
type sight struct {
	People map[string]struct {
		Role string `json:"role"`
	} `json:"people"`
	Votes map[string]struct {
		State   string              `json:"state"`
		Cast    int                 `json:"cast"`
		Ballots map[string][]string `json:"ballots"`
		Result  *struct {
			Cast   int `json:"cast"`
			Counts []struct {
				Choice string `json:"choice"`
				Votes  int    `json:"votes"`
			} `json:"counts"`
		} `json:"result"`
	} `json:"votes"`
}

func (m *signedIn) sees() (s sight) {
	m.t.Helper()
	status, err := m.call(http.MethodGet, "/api/v1/meetings/"+demoMeeting, nil, &s)
	require.NoError(m.t, err)
	require.Equal(m.t, http.StatusOK, status)
	return s
}

// ballotBook is what a voter knows of the own ballots.
type ballotBook struct {
	n           int
	acked       string // the choice that counts: acknowledged last, or found after a kill
	ackedID     string // of the command that was acknowledged last
	ackedChoice string // and its choice
	ackedSeq    uint64
	unknown     []string // choices sent after it of which it is not known whether they arrived
	acknowledge int
}

// vote gives ballots, one after the other, until no answer comes.
func (b *ballotBook) vote(m *signedIn, vote string, acks *atomic.Int64) {
	for {
		b.n++
		id, choice := fmt.Sprintf("b%d", b.n), []string{"yes", "no", "other"}[rand.IntN(3)]
		b.unknown = append(b.unknown, choice)
		status, seq, err := m.try(id, "ballot.give", map[string]any{"vote": vote, "choices": []string{choice}})
		switch {
		case err != nil || status == http.StatusServiceUnavailable:
			return
		case status == http.StatusTooManyRequests:
			b.unknown = b.unknown[:len(b.unknown)-1]
			select {
			case <-time.After(50 * time.Millisecond): // as the server asks
			case <-m.t.Context().Done():
				return
			}
		case status == http.StatusOK:
			b.acked, b.ackedID, b.ackedChoice, b.ackedSeq, b.unknown = choice, id, choice, seq, nil
			b.acknowledge++
			acks.Add(1)
		default:
			m.t.Errorf("%s: status %d", m.Identity, status)
			return
		}
	}
}

// TestKilledWhileVoting: a server that is killed at a random moment while people vote has,
// when it starts again, each ballot that it acknowledged, once. DIEMCAU_TEST_KILLS=50 is
// the long form.
func TestKilledWhileVoting(t *testing.T) {
	kills, err := strconv.Atoi(cmp.Or(os.Getenv("DIEMCAU_TEST_KILLS"), "4"))
	require.NoError(t, err)
	binary, err := shared.serverBinary()
	require.NoError(t, err)
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	address := fmt.Sprintf("127.0.0.1:%d", freePort("tcp"))
	start := func() *serverProcess {
		p, err := startProcess(serverCommand(binary, address, data), filepath.Join(dir, "server.log"))
		require.NoError(t, err)
		require.NoError(t, p.awaitReady(http.DefaultClient, "http://"+address))
		return p
	}
	p := start()
	defer func() { _ = p.stop() }()
	vote, people := openDemoVote(t, "http://"+address)
	books := make([]ballotBook, len(people))
	for range kills {
		var acks atomic.Int64
		var wg sync.WaitGroup
		for i, m := range people {
			wg.Go(func() { books[i].vote(m, vote, &acks) })
		}
		at := 1 + rand.Int64N(2*voters)
		for acks.Load() < at && !p.ended() {
			time.Sleep(time.Millisecond) // the moment is random
		}
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGKILL))
		<-p.exited
		wg.Wait()
		p = start()
		for i, m := range people {
			books[i].check(m, vote)
		}
	}
	counts := map[string]int{}
	total := 0
	for i := range books {
		counts[books[i].acked]++
		total += books[i].acknowledge
	}
	chair := signIn(t, "http://"+address, "chutoa")
	chair.command("close", "vote.close", map[string]any{"vote": vote})
	chair.command("publish", "vote.publish", map[string]any{"vote": vote})
	result := chair.sees().Votes[vote].Result
	require.NotNil(t, result)
	require.Equal(t, len(people), result.Cast)
	for _, c := range result.Counts {
		require.Equal(t, counts[c.Choice], c.Votes, c.Choice)
	}
	require.NoError(t, p.stop())
	out, err := exec.CommandContext(t.Context(), binary, "journal", "verify", "--demo", "--data", data, "--lang", "en").CombinedOutput()
	require.NoError(t, err, string(out))
	t.Logf("%d kills, %d ballots acknowledged, each counted once\n%s", kills, total, out)
}

// check holds what the server has of a voter against what the voter knows, and settles
// what was not known.
func (b *ballotBook) check(m *signedIn, vote string) {
	m.t.Helper()
	have := m.sees().Votes[vote].Ballots[m.Identity]
	may := append([]string{}, b.unknown...)
	if b.acked != "" {
		may = append(may, b.acked)
	}
	if len(have) == 0 {
		require.Empty(m.t, b.acked, "%s: an acknowledged ballot is gone", m.Identity)
		return
	}
	require.Len(m.t, have, 1)
	require.Contains(m.t, may, have[0], "%s: not what was given last", m.Identity)
	if b.ackedID != "" { // sent again, it is the one that was applied
		before := have[0]
		status, seq, err := m.try(b.ackedID, "ballot.give", map[string]any{"vote": vote, "choices": []string{b.ackedChoice}})
		require.NoError(m.t, errors.Join(err))
		require.Equal(m.t, http.StatusOK, status)
		require.Equal(m.t, b.ackedSeq, seq, "%s: applied twice", m.Identity)
		require.Equal(m.t, before, m.sees().Votes[vote].Ballots[m.Identity][0])
	}
	b.acked, b.unknown = have[0], nil
}

// openDemoVote starts the demo meeting and opens a vote in it.
func openDemoVote(t *testing.T, url string) (vote string, people []*signedIn) {
	t.Helper()
	chair, secretary := signIn(t, url, "chutoa"), signIn(t, url, "thuky")
	present := []string{chair.Identity}
	for i := range voters {
		m := signIn(t, url, fmt.Sprintf("daibieu%02d", i+1))
		people = append(people, m)
		present = append(present, m.Identity)
	}
	var others []string
	for id, p := range secretary.sees().People {
		if p.Role == "delegate" {
			others = append(others, id)
		}
	}
	secretary.command("present", "attendance.confirm", map[string]any{"people": others})
	require.Subset(t, others, present[1:])
	chair.command("start", "meeting.start", map[string]any{})
	seq := secretary.command("draft", "vote.draft", map[string]any{"title": "Thông qua nghị quyết"})
	vote = fmt.Sprintf("v%d", seq)
	chair.command("open", "vote.open", map[string]any{"vote": vote})
	return vote, people
}
