package journal

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/store"
	"diemcau/signaling/store/storetest"
)

// A process that appends from 50 goroutines is killed at random moments, again and
// again over the same data. KILLS says how often.
func TestKilledProcessesLoseNothing(t *testing.T) {
	kills := 5
	if s := os.Getenv("KILLS"); s != "" {
		var err error
		kills, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	storetest.EachMigrated(t, func(t *testing.T, url string) {
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		dir := t.TempDir()
		acknowledged := make(map[string]bool)
		for run := range kills {
			for _, id := range killOne(t, url, dir, run, random) {
				require.False(t, acknowledged[id], "acknowledged twice: %s", id)
				acknowledged[id] = true
			}
			checkSurvivors(t, url, dir, acknowledged)
		}
		require.NotEmpty(t, acknowledged)
		t.Logf("%d kills, %d acknowledged entries", kills, len(acknowledged))
	})
}

// childMeetings are those that the crowd writes.
var childMeetings = []string{"m0", "m1", "m2"}

// killOne runs the child until a random number of acknowledgements and a random
// time after, kills it and returns what it had acknowledged.
func killOne(t *testing.T, url, dir string, run int, random *rand.Rand) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "JOURNAL_CHILD=crowd", "JOURNAL_URL="+url, "JOURNAL_DIR="+dir, "JOURNAL_RUN="+strconv.Itoa(run))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	after, pause := random.IntN(600), time.Duration(random.Int64N(int64(20*time.Millisecond)))
	var ids []string
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil { // the end; a line without its newline was not finished
			break
		}
		ids = append(ids, strings.TrimSuffix(line, "\n"))
		if len(ids) == after+1 {
			time.AfterFunc(pause, func() { _ = cmd.Process.Kill() })
		}
	}
	require.EqualError(t, cmd.Wait(), "signal: killed", stderr.String())
	return ids
}

// checkSurvivors opens what a crash left and looks for each acknowledged entry.
func checkSurvivors(t *testing.T, url, dir string, acknowledged map[string]bool) {
	t.Helper()
	db, err := store.Open(ctx, url)
	require.NoError(t, err)
	defer db.Close()
	before := verify(t, db, dir)
	require.True(t, before.OK(), "%+v", before)
	times := make(map[string]int)
	for _, m := range before.Meetings {
		for _, e := range readAll(t, db, m.Meeting) {
			times[e.Command]++
			if acknowledged[e.Command] {
				require.LessOrEqual(t, e.Seq, m.Head, "entry %s was acknowledged before its head was on disk", e.Command)
			}
		}
	}
	for id := range acknowledged {
		require.Equal(t, 1, times[id], "entry %s", id)
	}
	for id, n := range times {
		require.Equal(t, 1, n, "entry %s", id)
	}
	if len(acknowledged) == 0 {
		return // most disks of the trace are from before, while the tables are made
	}
	// And the next process goes on with it.
	heads, err := OpenHeads(dir)
	require.NoError(t, err)
	j := Start(db, heads, Options{})
	for _, m := range before.Meetings {
		w, err := j.Open(ctx, m.Meeting, "node")
		require.NoError(t, err)
		seq, _ := w.Tail()
		_, err = w.Append(ctx, Draft{Command: fmt.Sprint("check-", m.Meeting, "-", seq), Author: "check", Body: []byte("1")})
		require.NoError(t, err)
	}
	j.Close()
	require.NoError(t, heads.Close())
	after := verify(t, db, dir)
	require.True(t, after.OK(), "%+v", after)
	for _, m := range after.Meetings {
		require.Zero(t, m.Unsigned, m.Meeting)
	}
}
