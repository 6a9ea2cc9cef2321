package loadtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
)

// The tests run against the server that they build and start themselves, or,
// with DIEMCAU_URL set, against another one. The variables:
//
//	DIEMCAU_URL, DIEMCAU_KEY, DIEMCAU_SECRET  another server and its API key
//	DIEMCAU_METRICS_URL                       its Prometheus page (default URL/metrics)
//	DIEMCAU_BIN                               a binary to start instead of building one
//	DIEMCAU_CLIPS                             a directory with the encoded clip, or to keep it in
const (
	demoKey    = "devkey"
	demoSecret = "devsecret-devsecret-devsecret-devsecret"
)

// target is the server under test.
type target struct {
	URL, Key, Secret, MetricsURL string
	PID                          int // 0 if the tests did not start it
}

// fixture holds what the tests of one run share. It is made on first use, so
// that the unit tests do not pay for it, and ended by TestMain.
type fixture struct {
	dir string // removed at the end

	build  sync.Once
	binary string
	binErr error

	start    sync.Once
	target   target
	server   *serverProcess
	startErr error

	encode  sync.Once
	clip    Clip
	clipDir string
	clipErr error
}

var shared fixture

func TestMain(m *testing.M) {
	lksdk.SetLogger(logger.GetDiscardLogger())
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "loadtest-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	shared.dir = dir
	code := m.Run()
	if shared.server != nil {
		if err := shared.server.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "FAIL: the server:", err)
			code = 1
		}
		if code != 0 {
			fmt.Fprintf(os.Stderr, "--- end of the server's log:\n%s\n", shared.server.logTail(60))
		}
	}
	return code
}

// server returns the server under test, starting it if nobody has.
func server(t testing.TB) target {
	t.Helper()
	shared.start.Do(func() { shared.startErr = shared.startServer() })
	if shared.startErr != nil {
		t.Fatal("no server to test: ", shared.startErr)
	}
	return shared.target
}

// simulcastClip returns the clip that the tests publish.
func simulcastClip(t testing.TB) Clip {
	t.Helper()
	shared.encode.Do(func() {
		shared.clipDir = cmp.Or(os.Getenv("DIEMCAU_CLIPS"), shared.dir)
		shared.clip, shared.clipErr = MakeSimulcastClip(context.Background(), shared.clipDir)
	})
	if shared.clipErr != nil {
		t.Fatal(shared.clipErr)
	}
	return shared.clip
}

// clipDir returns where the clip is kept.
func clipDir(t testing.TB) string {
	t.Helper()
	simulcastClip(t)
	return shared.clipDir
}

func (f *fixture) startServer() error {
	if u := os.Getenv("DIEMCAU_URL"); u != "" {
		f.target = target{URL: u, Key: os.Getenv("DIEMCAU_KEY"), Secret: os.Getenv("DIEMCAU_SECRET"), MetricsURL: os.Getenv("DIEMCAU_METRICS_URL")}
		if f.target.MetricsURL == "" {
			f.target.MetricsURL = strings.Replace(strings.TrimSuffix(u, "/"), "ws", "http", 1) + "/metrics"
		}
		if os.Getenv(trustVariable) != "" {
			return trustCA(u)
		}
		return nil
	}
	binary, err := f.serverBinary()
	if err != nil {
		return err
	}
	address := fmt.Sprintf("127.0.0.1:%d", freePort("tcp"))
	f.server, err = startProcess(serverCommand(binary, address, filepath.Join(f.dir, "data")), filepath.Join(f.dir, "server.log"))
	if err != nil {
		return err
	}
	f.target = target{URL: "http://" + address, Key: demoKey, Secret: demoSecret,
		MetricsURL: "http://" + address + "/metrics", PID: f.server.cmd.Process.Pid}
	return f.server.awaitReady(http.DefaultClient, f.target.URL)
}

// serverBinary returns the path of the server's binary, built from this module.
func (f *fixture) serverBinary() (string, error) {
	f.build.Do(func() {
		if f.binary = os.Getenv("DIEMCAU_BIN"); f.binary != "" {
			return
		}
		f.binary = filepath.Join(f.dir, "diemcau")
		if out, err := exec.Command("go", "build", "-o", f.binary, "..").CombinedOutput(); err != nil {
			f.binErr = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	return f.binary, f.binErr
}

// serverCommand runs the binary in demo mode on address, with media ports of its own.
func serverCommand(binary, address, dataDir string) *exec.Cmd {
	cmd := exec.Command(binary, "serve", "--demo", "--listen", address, "--data", dataDir)
	cmd.Env = append(os.Environ(),
		// Beside the log, for raceReports; in quotes, for a test's directory has the
		// commas and spaces of its name, which would separate options.
		"GORACE=log_path='"+filepath.Join(filepath.Dir(dataDir), "race")+"'",
		fmt.Sprintf("DIEMCAU_RTC__UDP_PORT=%d", freePort("udp")),
		fmt.Sprintf("DIEMCAU_RTC__TCP_PORT=%d", freePort("tcp")))
	return cmd
}

// raceReports returns what a server built with -race reported into dir.
func raceReports(dir string) string {
	files, err := filepath.Glob(filepath.Join(dir, "race.*"))
	if err != nil {
		return err.Error()
	}
	var out strings.Builder
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return err.Error()
		}
		fmt.Fprintf(&out, "\n--- race report of the server:\n%s", b)
	}
	return out.String()
}

// freePort returns a port that nobody was using a moment ago, below those that the
// system gives to clients.
func freePort(network string) int {
	for {
		port := 10_000 + rand.IntN(20_000)
		var c io.Closer
		var err error
		if network == "udp" {
			c, err = net.ListenPacket("udp", fmt.Sprintf("0.0.0.0:%d", port))
		} else {
			c, err = net.Listen("tcp", fmt.Sprintf("0.0.0.0:%d", port))
		}
		if err == nil {
			_ = c.Close()
			return port
		}
	}
}

// serverProcess is a server that the tests started.
type serverProcess struct {
	cmd     *exec.Cmd
	logFile string
	exited  chan struct{} // closed when the process is gone and waitErr is set
	waitErr error
}

func startProcess(cmd *exec.Cmd, logFile string) (*serverProcess, error) {
	f, err := os.Create(logFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	// The server must not outlive a test binary that was killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &serverProcess{cmd: cmd, logFile: logFile, exited: make(chan struct{})}
	go func() {
		p.waitErr = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// awaitReady waits until /readyz answers 200, at most 20 s.
func (p *serverProcess) awaitReady(hc *http.Client, url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := hc.Do(req)
		if err == nil {
			body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("%s: %s", resp.Status, body)
		}
		last = err
		select {
		case <-p.exited:
			return fmt.Errorf("it ended: %v\n%s", p.waitErr, p.logTail(40))
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("not ready in 20 s: %w\n%s", last, p.logTail(40)), p.stop())
		case <-tick.C:
		}
	}
}

// stop ends the server with SIGTERM. Error: it had ended by itself, exits with
// another status than 0, or needs more than 5 s.
func (p *serverProcess) stop() error {
	if p.ended() {
		return fmt.Errorf("it had ended by itself: %v", p.waitErr)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.exited:
		if p.waitErr != nil {
			return fmt.Errorf("after SIGTERM: %w", p.waitErr)
		}
		return nil
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.exited
		return errors.New("still running 5 s after SIGTERM")
	}
}

// ended says whether the process is gone.
func (p *serverProcess) ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// logTail returns the last n lines of the server's output and, if it was built
// with -race, all that the race detector reported.
func (p *serverProcess) logTail(n int) string {
	b, err := os.ReadFile(p.logFile)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n") + raceReports(filepath.Dir(p.logFile))
}
