package loadtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// trustVariable makes a test run behave like a phone on the same network: it
// waits for the server at DIEMCAU_URL and trusts the authority it offers.
const trustVariable = "DIEMCAU_TRUST_CA"

// TestFromAnotherHost runs some of these tests again on another host: the
// server in one network namespace, the clients in another, over HTTPS.
func TestFromAnotherHost(t *testing.T) {
	require.Zero(t, os.Geteuid(), "network namespaces need root")
	require.Empty(t, os.Getenv(trustVariable), "already on another host")
	t.Parallel()
	binary, err := shared.serverBinary()
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()

	host := makeHosts(t, fmt.Sprintf("lt%d", os.Getpid()))
	address := host["SERVER_ADDR"] + ":7443"
	dir := t.TempDir()
	cmd := serverCommand(binary, address, filepath.Join(dir, "data"))
	inside := exec.Command("ip", append([]string{"netns", "exec", host["SERVER_NS"]}, cmd.Args...)...)
	inside.Env = cmd.Env
	srv, err := startProcess(inside, filepath.Join(dir, "server.log"))
	require.NoError(t, err)
	stopped := false
	defer func() {
		if !stopped {
			_ = srv.stop()
			t.Logf("end of the server's log:\n%s", srv.logTail(40))
		}
	}()

	again := "^(TestJoinAndLeaveAreSeenByOthers|TestAudioArrives|TestSimulcastVideoArrives|TestLayerSwitch|TestReliableDataComesInOrderAndOnce|TestResumeKeepsParticipantAndMedia|TestTokens|TestOnlineCheck)$"
	client := exec.CommandContext(ctx, "ip", "netns", "exec", host["CLIENT_NS"], self,
		"-test.run", again, "-test.count=1", "-test.v", "-test.timeout=110s")
	client.Env = append(os.Environ(), "DIEMCAU_URL=https://"+address, "DIEMCAU_KEY="+demoKey, "DIEMCAU_SECRET="+demoSecret,
		"DIEMCAU_METRICS_URL=", "DIEMCAU_CLIPS="+clipDir(t), trustVariable+"=1")
	out, err := client.CombinedOutput()
	require.NoError(t, err, "%s", out)
	passed := strings.Count(string(out), "\n--- PASS")
	require.Equal(t, strings.Count(again, "|")+1, passed, "%s", out)
	stopped = true
	require.NoError(t, srv.stop(), "%s", srv.logTail(40))
}

// makeHosts makes the two namespaces and removes them after the test.
func makeHosts(t *testing.T, name string) map[string]string {
	t.Helper()
	t.Cleanup(func() {
		if out, err := exec.Command("./netns.sh", "down", name).CombinedOutput(); err != nil {
			t.Errorf("netns.sh down: %v: %s", err, out)
		}
	})
	out, err := exec.Command("./netns.sh", "up", name).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("netns.sh up: %s", exit.Stderr)
	}
	require.NoError(t, err)
	host := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			host[k] = v
		}
	}
	require.Len(t, host, 4, "%s", out)
	return host
}

// trustCA waits for the server at url, checks that it is not trusted yet,
// fetches its authority and trusts nothing else from then on.
func trustCA(url string) error {
	careless := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, Timeout: 5 * time.Second}
	var ca []byte
	var last error
	if !within(20*time.Second, func() bool { ca, last = fetch(careless, url+"/ca.crt"); return last == nil }) {
		return fmt.Errorf("no authority at %s: %w", url, last)
	}
	if _, err := fetch(http.DefaultClient, url+"/readyz"); !isUntrusted(err) {
		return fmt.Errorf("a client that does not know the authority: %v, want an unknown authority", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return errors.New("/ca.crt is not a PEM certificate")
	}
	config := &tls.Config{RootCAs: pool}
	http.DefaultTransport.(*http.Transport).TLSClientConfig = config
	websocket.DefaultDialer.TLSClientConfig = config
	_, err := fetch(http.DefaultClient, url+"/readyz")
	return err
}

func isUntrusted(err error) bool {
	var unknown x509.UnknownAuthorityError
	return errors.As(err, &unknown)
}

func fetch(hc *http.Client, url string) ([]byte, error) {
	resp, err := hc.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, resp.Status, b)
	}
	return b, err
}
