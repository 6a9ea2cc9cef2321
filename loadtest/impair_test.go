//go:build linux

package loadtest

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestImpairCommand runs programs behind a network made by the command line.
func TestImpairCommand(t *testing.T) {
	t.Parallel()
	binary, err := shared.serverBinary()
	require.NoError(t, err)
	spec := func(text string) string {
		file := filepath.Join(t.TempDir(), "spec.yaml")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	good := spec("families: [ipv4, ipv6]\nphases: [{both: {delay: 5ms}}]")

	var exit *exec.ExitError
	out, err := exec.Command(binary, "loadtest", "impair", "--spec", good, "--",
		"sh", "-c", `ip -o address show dev eth0; echo "$IMPAIR_HOST $IMPAIR_HOST6"; exit 7`).CombinedOutput()
	require.ErrorAs(t, err, &exit, "%s", out)
	require.Equal(t, 7, exit.ExitCode(), "%s", out)
	require.Regexp(t, `eth0 +inet 10\.201\.(\d+)\.2/32(?s:.*)\n10\.201\.\d+\.1 fd00:c9:[0-9a-f]+::1\n$`, string(out))

	out, err = exec.Command(binary, "loadtest", "impair", "--check", "--spec", spec("phases: [{both: {rate: 600}}]")).CombinedOutput()
	require.ErrorAs(t, err, &exit)
	require.Contains(t, string(out), `line 1: "600" is not a rate`)

	hold := exec.Command(binary, "loadtest", "impair", "--spec", good)
	in, err := hold.StdinPipe()
	require.NoError(t, err)
	reports, err := hold.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, hold.Start())
	defer func() { _ = hold.Process.Kill() }()
	lines := bufio.NewScanner(reports)
	next := func(want string) map[string]any {
		require.True(t, lines.Scan(), "no %s", want)
		var got map[string]any
		require.NoError(t, json.Unmarshal(lines.Bytes(), &got))
		require.Equal(t, want, got["event"], "%v", got)
		return got
	}
	ready := next("ready")
	namespace, _ := ready["namespace"].(string)
	require.NoError(t, exec.Command("nsenter", "--net="+namespace, "true").Run())
	_, err = in.Write([]byte("start\nstats\nreboot\n"))
	require.NoError(t, err)
	seen := map[any]bool{} // the phase comes from another goroutine
	for range 3 {
		require.True(t, lines.Scan())
		var got map[string]any
		require.NoError(t, json.Unmarshal(lines.Bytes(), &got))
		seen[got["event"]] = true
	}
	require.Equal(t, map[any]bool{"phase": true, "stats": true, "error": true}, seen)
	require.NoError(t, in.Close())
	require.False(t, lines.Scan())
	require.NoError(t, hold.Wait())
}
