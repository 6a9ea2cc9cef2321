package loadtest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseStat(t *testing.T) {
	const line = "4242 (a) b (c) S 1 4242 4242 0 -1 4194560 9000 0 12 0 250 50 0 0 20 0 9 0 12345 1900000000 2560 18446744073709551615 1 1 0\n"
	u, err := parseStat([]byte(line), 4096)
	require.NoError(t, err)
	require.Equal(t, Usage{CPU: 3 * time.Second, RSS: 2560 * 4096}, u)
	for _, bad := range []string{"", "1 no parentheses", "1 (x) S 1 2 3", strings.Replace(line, " 250 ", " x ", 1)} {
		_, err := parseStat([]byte(bad), 4096)
		require.Error(t, err, bad)
	}
}

// TestRaceReportsAreShown: also of a server whose directory is named after a
// test with commas and spaces.
func TestRaceReportsAreShown(t *testing.T) {
	const racing = "package main\n\nfunc main() {\n\tn, done := 0, make(chan bool)\n\tgo func() { n++; close(done) }()\n\tn++\n\t<-done\n}\n"
	source, binary := filepath.Join(t.TempDir(), "main.go"), filepath.Join(t.TempDir(), "racing")
	require.NoError(t, os.WriteFile(source, []byte(racing), 0o600))
	out, err := exec.Command("go", "build", "-race", "-o", binary, source).CombinedOutput()
	require.NoError(t, err, "%s", out)
	dir := filepath.Join(t.TempDir(), "IPv6 only, UDP blocked: 1")
	require.NoError(t, os.Mkdir(dir, 0o700))
	p, err := startProcess(serverCommand(binary, "", filepath.Join(dir, "data")), filepath.Join(dir, "server.log"))
	require.NoError(t, err)
	<-p.exited
	require.ErrorContains(t, p.stop(), "exit status 66")
	require.Contains(t, p.logTail(0), "DATA RACE")
}

func TestReadOwnUsage(t *testing.T) {
	u, err := ReadUsage(os.Getpid())
	require.NoError(t, err)
	require.Greater(t, u.RSS, uint64(1<<20))
	_, err = ReadUsage(1 << 30)
	require.Error(t, err)
}

func TestParseGauge(t *testing.T) {
	page := "# HELP go_goroutines Number.\n# TYPE go_goroutines gauge\ngo_goroutines_total 7\ngo_goroutines 42 1700000000000\nx{a=\"b\"} 1\nbig 1e+06\n"
	for name, want := range map[string]float64{"go_goroutines": 42, "big": 1e6} {
		v, err := parseGauge(strings.NewReader(page), name)
		require.NoError(t, err)
		require.Equal(t, want, v)
	}
	_, err := parseGauge(strings.NewReader(page), "missing")
	require.Error(t, err)
}

func TestCheckLocal(t *testing.T) {
	own, err := ownAddrs()
	require.NoError(t, err)
	local := []string{"http://127.0.0.1:1", "https://127.9.9.9", "ws://[::1]:1/rtc", "http://localhost:7880"}
	for a := range own {
		if a.Is4() {
			local = append(local, "http://"+a.String())
		}
	}
	for _, u := range local {
		require.NoError(t, CheckLocal(t.Context(), u), u)
	}
	for _, u := range []string{"http://203.0.113.1", "http://[2001:db8::1]:7880", "http://0.0.0.1", "127.0.0.1:7880", "/path", ""} {
		require.Error(t, CheckLocal(t.Context(), u), u)
	}
}

func TestPlenaryRefusesForeignServers(t *testing.T) {
	_, err := Plenary(context.Background(), PlenaryOptions{
		Options: Options{URL: "http://203.0.113.1", Key: "k", Secret: "s"}, Watching: Watching{Duration: time.Second}, Speakers: 1, Subscribers: 1,
	})
	require.ErrorContains(t, err, "--allow-remote")
}

func TestPercentiles(t *testing.T) {
	var d []time.Duration
	for i := 100; i > 0; i-- {
		d = append(d, time.Duration(i))
	}
	require.Equal(t, Percentiles{P50: 50, P95: 95, Max: 100}, percentilesOf(d))
	require.Equal(t, Percentiles{P50: 7, P95: 7, Max: 7}, percentilesOf([]time.Duration{7}))
	require.Equal(t, Percentiles{P50: 1, P95: 2, Max: 2}, percentilesOf([]time.Duration{2, 1}))
	require.Zero(t, percentilesOf(nil))
}

func TestReportFaults(t *testing.T) {
	r := Report{Server: ServerReport{GoroutinesBefore: 100, GoroutinesAfter: 100 + goroutineSlack}}
	require.Empty(t, r.Faults())
	r.Totals = Totals{Packets: 99, Lost: 1, Freezes: 2}
	r.Server.GoroutinesAfter++
	require.Len(t, r.Faults(), 3)
	require.InDelta(t, 0.01, r.Totals.LossRatio(), 1e-9)
}

func TestReportTable(t *testing.T) {
	r := Report{Scenario: "plenary", Subscribers: 50, Watched: time.Minute, Totals: Totals{Packets: 1000, Lost: 1}}
	var b bytes.Buffer
	require.NoError(t, r.WriteTable(&b))
	require.Contains(t, b.String(), "50 subscribers, 1m0s")
	require.NotContains(t, b.String(), "server memory", "it was not looked at")
	r.Server = ServerReport{RSSBefore: 50 << 20, RSSPeak: 80 << 20, RSSAfter: 55 << 20, GoroutinesBefore: 10, GoroutinesPeak: 900, GoroutinesAfter: 11}
	b.Reset()
	require.NoError(t, r.WriteTable(&b))
	require.Contains(t, b.String(), "50.0 MB before, 80.0 peak, 55.0 after")
	require.Contains(t, b.String(), "10 before, 900 peak, 11 after")
}

func TestLooperAnswersWithAKeyFrame(t *testing.T) {
	l := NewLooper(ClipLayer{FrameTime: time.Millisecond, Frames: []Frame{{Data: []byte("k1"), Key: true}, {Data: []byte("a")}, {Data: []byte("b")}, {Data: []byte("k2"), Key: true}, {Data: []byte("c")}}})
	next := func() string {
		s, err := l.NextSample(t.Context())
		require.NoError(t, err)
		return string(s.Data)
	}
	require.Equal(t, "k1", next())
	require.Equal(t, "a", next())
	l.RequestKeyFrame()
	require.Equal(t, "k2", next())
	require.Equal(t, "c", next())
	require.Equal(t, "k1", next(), "it loops")
	require.Equal(t, "a", next())
	require.Equal(t, "b", next())
	require.Equal(t, "k2", next())
	l.RequestKeyFrame()
	require.Equal(t, "k1", next())
	require.Equal(t, uint64(5), l.KeyFrames())
}

func TestSplitAccessUnits(t *testing.T) {
	stream := []byte{0, 0, 0, 1, 9, 0x10, 0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x65, 2, 0, 0, 0, 1, 9, 0x30, 0, 0, 1, 0x41, 3}
	frames := splitAccessUnits(stream)
	require.Equal(t, []Frame{
		{Data: []byte{0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x65, 2}, Key: true},
		{Data: []byte{0, 0, 1, 0x41, 3}},
	}, frames)
	require.Empty(t, splitAccessUnits(nil))
}

// TestClipHasTheSizesItSays reads the key frames of the encoded clip.
func TestClipHasTheSizesItSays(t *testing.T) {
	for _, l := range simulcastClip(t) {
		require.Len(t, l.Frames, clipFPS*clipSeconds)
		keys := 0
		for _, f := range l.Frames {
			if f.Key {
				keys++
				require.Equal(t, l.Width, uint32(f.Data[6])|uint32(f.Data[7]&0x3f)<<8)
				require.Equal(t, l.Height, uint32(f.Data[8])|uint32(f.Data[9]&0x3f)<<8)
			}
		}
		require.GreaterOrEqual(t, keys, 2)
	}
}

func TestCheckPackets(t *testing.T) {
	good := func() []recorded {
		return []recorded{
			{ext: 10, timestamp: 100, size: 1, hasPictureID: true, pictureID: 0x7fff},
			{ext: 11, timestamp: 100, size: 1, hasPictureID: true, pictureID: 0x7fff, marker: true},
			{ext: 12, timestamp: 200, size: 1, hasPictureID: true, pictureID: 0, marker: true},
		}
	}
	require.Empty(t, checkPackets(good()))
	for name, spoil := range map[string]func(p []recorded){
		"hole":                  func(p []recorded) { p[2].ext++ },
		"timestamp back":        func(p []recorded) { p[2].timestamp = 50 },
		"frame without end":     func(p []recorded) { p[1].marker = false },
		"picture id jumps":      func(p []recorded) { p[2].pictureID = 1 },
		"picture id stands":     func(p []recorded) { p[2].pictureID = 0x7fff },
		"picture id in a frame": func(p []recorded) { p[1].pictureID = 0; p[2].pictureID = 1 },
	} {
		p := good()
		spoil(p)
		require.NotEmpty(t, checkPackets(p), name)
	}
}
