package loadtest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of the times in /proc/PID/stat. Linux shows user
// space 100 per second on every architecture this program runs on.
const clockTick = time.Second / 100

// Usage is what a process has consumed so far and holds now.
type Usage struct {
	// CPU is user plus system time since the process started.
	CPU time.Duration
	// RSS is the resident memory in bytes.
	RSS uint64
}

// ReadUsage reads /proc/PID/stat. Errors: the process does not exist, or this
// is not Linux.
func ReadUsage(pid int) (Usage, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, err
	}
	return parseStat(b, os.Getpagesize())
}

// parseStat reads the fields utime (14), stime (15) and rss (24) of
// proc_pid_stat(5). Field 2 is a name in parentheses that may hold anything.
func parseStat(b []byte, pageSize int) (Usage, error) {
	end := bytes.LastIndexByte(b, ')')
	if end < 0 {
		return Usage{}, errors.New("stat: no command name")
	}
	fields := strings.Fields(string(b[end+1:])) // fields[0] is field 3
	const first = 3
	if len(fields) <= 24-first {
		return Usage{}, fmt.Errorf("stat: %d fields after the name", len(fields))
	}
	var v [3]uint64
	for i, n := range []int{14, 15, 24} {
		x, err := strconv.ParseUint(fields[n-first], 10, 64)
		if err != nil {
			return Usage{}, fmt.Errorf("stat: field %d: %w", n, err)
		}
		v[i] = x
	}
	return Usage{CPU: time.Duration(v[0]+v[1]) * clockTick, RSS: v[2] * uint64(pageSize)}, nil
}

// ReadGauge fetches a Prometheus text page and returns the value of the named
// metric without labels. Errors: the page cannot be had, or lacks the metric.
func ReadGauge(ctx context.Context, hc *http.Client, metricsURL, name string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, metricsURL, nil)
	if err != nil {
		return 0, err
	}
	resp, err := hc.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: %s", metricsURL, resp.Status)
	}
	return parseGauge(io.LimitReader(resp.Body, 8<<20), name)
}

func parseGauge(r io.Reader, name string) (float64, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			value, _, _ := strings.Cut(strings.TrimSpace(rest), " ") // a time may follow
			return strconv.ParseFloat(value, 64)
		}
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	return 0, fmt.Errorf("no metric %s", name)
}
