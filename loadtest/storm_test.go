package loadtest

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/stretchr/testify/require"
)

// The storm tests have one participant do its worst beside a publisher and a
// subscriber who behave. They are not parallel: the server's memory and the
// log lines are to be the storm's own.

const offender = "mallory"

// storm is the room of such a test.
type storm struct {
	t      *testing.T
	room   string
	an     *peer // publishes sound and picture, and sends data
	bich   *peer // receives them
	looper *Looper
	sound  *reception
	video  *reception
	said   int // data messages of an's
	rss    *memoryWatch
}

func newStorm(t *testing.T) *storm {
	clipLayer := simulcastClip(t)[1]
	s := &storm{t: t, room: roomName(t)}
	s.an, s.bich = join(t, s.room, "an"), join(t, s.room, "bich")
	tone, _ := s.an.publishTone(30)
	track, looper, err := NewClipTrack(clipLayer, "")
	require.NoError(t, err)
	clip, err := s.an.room.LocalParticipant.PublishTrack(track, &lksdk.TrackPublicationOptions{VideoWidth: 640, VideoHeight: 360})
	require.NoError(t, err)
	s.looper = looper
	s.sound, s.video = s.bich.receives(tone.SID()), s.bich.receives(clip.SID())
	s.an.awaitData(s.bich)
	s.sound.flows(t, 25)
	s.video.flows(t, 25)
	return s
}

// watch begins to measure the server's memory; call it when everybody is there.
func (s *storm) watch() { s.rss = watchMemory(s.t) }

// blow calls send n times, perSecond at most, while an talks to bich.
func (s *storm) blow(n, perSecond int, send func(i int)) {
	s.t.Helper()
	const ticks = 100 // per second
	tick := time.NewTicker(time.Second / ticks)
	defer tick.Stop()
	for i := 0; i < n; {
		<-tick.C
		for range perSecond / ticks {
			if i < n {
				send(i)
				i++
			}
		}
		s.say()
	}
}

func (s *storm) say() {
	send(s.t, s.an, fmt.Sprint(s.said), lksdk.WithDataPublishReliable(true))
	s.said++
}

// spared checks that those who behave did not notice: every packet and every
// message arrived, in order, and nobody lost his connection.
func (s *storm) spared() {
	t := s.t
	t.Helper()
	s.sound.flows(t, 25)
	s.video.flows(t, 50)
	s.say()
	heard := func() (texts []string) {
		for _, m := range s.bich.messages() {
			if m.from == s.an.identity() {
				texts = append(texts, m.payload)
			}
		}
		return texts
	}
	until(t, 10*time.Second, func() bool { return len(heard()) >= s.said },
		func() string { return fmt.Sprintf("%d messages of an's; have %d", s.said, len(heard())) })
	for i, text := range heard() {
		require.Equal(t, fmt.Sprint(i), text)
	}
	for name, r := range map[string]*reception{"sound": s.sound, "video": s.video} {
		r.whole(t)
		require.Empty(t, r.check(), name)
		st := r.account.Stats()
		t.Logf("%s: %d packets, %d late, longest pause %v", name, st.Packets, st.Late, st.MaxGap.Round(time.Millisecond))
	}
	for _, p := range []*peer{s.an, s.bich} {
		require.Zero(t, p.count("Disconnected", "", ""), p.identity())
		require.Zero(t, p.count("Reconnecting", "", ""), p.identity())
	}
}

// bounded ends the measurement: the storm may have added so many MiB to the
// server's memory at its peak.
func (s *storm) bounded(most uint64) {
	s.t.Helper()
	if s.rss == nil {
		return
	}
	before, peak, after := s.rss.stop()
	grown := peak - before
	s.t.Logf("server's memory: %d MiB before, %d MiB more at the peak, %d MiB more after", before>>20, grown>>20, (int64(after)-int64(before))>>20)
	if !raced() {
		require.LessOrEqual(s.t, grown>>20, most)
	}
}

// logged waits for a line of the server's log that names the participant and
// this room and contains text.
func (s *storm) logged(identity, text string) {
	s.t.Helper()
	if shared.server == nil {
		return // another's server
	}
	until(s.t, 10*time.Second, func() bool { return s.logLines(identity, text) > 0 },
		func() string {
			return fmt.Sprintf("a line about %s: %q\n%s", identity, text, shared.server.logTail(20))
		})
}

func (s *storm) logLines(identity, text string) (n int) {
	b, err := os.ReadFile(shared.server.logFile)
	require.NoError(s.t, err)
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, text) && strings.Contains(line, "participant="+identity) && strings.Contains(line, s.room) {
			n++
		}
	}
	return n
}

// raced tells whether the server was built with -race, which costs memory.
func raced() bool {
	info, err := buildinfo.ReadFile(shared.binary)
	if err != nil {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}

// memoryWatch follows the resident memory of the server.
type memoryWatch struct {
	pid    int
	before uint64
	peak   atomic.Uint64
	done   chan struct{}
	reader sync.WaitGroup
	once   sync.Once
}

// watchMemory is nil if the tests did not start the server.
func watchMemory(t *testing.T) *memoryWatch {
	pid := server(t).PID
	if pid == 0 {
		return nil
	}
	u, err := ReadUsage(pid)
	require.NoError(t, err)
	w := &memoryWatch{pid: pid, before: u.RSS, done: make(chan struct{})}
	w.peak.Store(u.RSS)
	w.reader.Go(w.read)
	t.Cleanup(func() { w.stop() })
	return w
}

func (w *memoryWatch) read() {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if u, err := ReadUsage(w.pid); err == nil {
				w.peak.Store(max(w.peak.Load(), u.RSS))
			}
		case <-w.done:
			return
		}
	}
}

func (w *memoryWatch) stop() (before, peak, after uint64) {
	w.once.Do(func() { close(w.done) })
	w.reader.Wait()
	u, _ := ReadUsage(w.pid)
	return w.before, max(w.peak.Load(), u.RSS), u.RSS
}
