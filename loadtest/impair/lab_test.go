//go:build linux

package impair

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const probeHeaders = 28 // IPv4 and UDP

func TestMain(m *testing.M) {
	// See New: with as many as the tests keep busy, a relay would wait for its turn.
	runtime.GOMAXPROCS(32)
	os.Exit(m.Run())
}

// newLab makes a lab of a specification for the length of the test.
func newLab(t *testing.T, text string, onEvent func(Event)) *Lab {
	t.Helper()
	require.Zero(t, os.Geteuid(), "network namespaces need root")
	spec, err := ParseSpec([]byte(text))
	require.NoError(t, err)
	lab, err := New(spec, onEvent)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, lab.Close()) })
	return lab
}

// listenUDP opens a socket on the machine that notes the kernel's time of arrival.
func listenUDP(t *testing.T, host netip.Addr) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(host, 0)))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	stamped(t, conn)
	return conn
}

func stamped(t *testing.T, conn *net.UDPConn) {
	t.Helper()
	raw, err := conn.SyscallConn()
	require.NoError(t, err)
	var option error
	require.NoError(t, raw.Control(func(fd uintptr) {
		option = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	}))
	require.NoError(t, option)
	require.NoError(t, conn.SetReadBuffer(1<<20))
}

// dialUDP opens a socket in the namespace.
func dialUDP(t *testing.T, lab *Lab, to net.Addr) *net.UDPConn {
	t.Helper()
	var conn *net.UDPConn
	require.NoError(t, lab.Do(func() error {
		c, err := net.Dial("udp", to.String())
		conn, _ = c.(*net.UDPConn)
		return err
	}))
	t.Cleanup(func() { conn.Close() })
	stamped(t, conn)
	return conn
}

// arrival is a probe that came through.
type arrival struct {
	number   int
	sent, at time.Time
}

func (a arrival) delay() time.Duration { return a.at.Sub(a.sent) }

// probe sends packets of size bytes (as IP counts them) at equal intervals from one
// socket, and gives those that arrive at the other until 500 ms after the last.
func probe(t *testing.T, send func([]byte) error, receive *net.UDPConn, n, size int, every time.Duration) []arrival {
	t.Helper()
	result := make(chan []arrival, 1)
	require.NoError(t, receive.SetReadDeadline(time.Now().Add(time.Minute)))
	go func() {
		var all []arrival
		b, oob := make([]byte, 2000), make([]byte, 128)
		for {
			k, o, _, _, err := receive.ReadMsgUDPAddrPort(b, oob)
			if err != nil {
				break
			}
			if k < 16 {
				continue
			}
			all = append(all, arrival{
				number: int(binary.BigEndian.Uint64(b)),
				sent:   time.Unix(0, int64(binary.BigEndian.Uint64(b[8:]))),
				at:     kernelTime(oob[:o]),
			})
		}
		result <- all
	}()
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: its priority ends with it
		urgent()
		failed <- sendProbes(send, n, size, every)
	}()
	require.NoError(t, <-failed)
	require.NoError(t, receive.SetReadDeadline(time.Now().Add(500*time.Millisecond)))
	return <-result
}

func sendProbes(send func([]byte) error, n, size int, every time.Duration) error {
	b := make([]byte, size-probeHeaders)
	start := time.Now()
	for i := range n {
		wait := unix.NsecToTimespec(int64(max(time.Until(start.Add(time.Duration(i)*every)), 1)))
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &wait, nil) // an interrupted sleep is a shorter one
		binary.BigEndian.PutUint64(b, uint64(i))
		binary.BigEndian.PutUint64(b[8:], uint64(time.Now().UnixNano()))
		if err := send(b); err != nil {
			return err
		}
	}
	return nil
}

func kernelTime(oob []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) == 0 || len(messages[0].Data) < 16 {
		return time.Time{}
	}
	d := messages[0].Data
	return time.Unix(int64(binary.NativeEndian.Uint64(d)), int64(binary.NativeEndian.Uint64(d[8:])))
}

// sockets are one on the machine and one in the namespace that know each other.
type sockets struct {
	machine, inside *net.UDPConn
	client          netip.AddrPort
}

func connect(t *testing.T, lab *Lab, host netip.Addr) sockets {
	t.Helper()
	s := sockets{machine: listenUDP(t, host)}
	s.inside = dialUDP(t, lab, s.machine.LocalAddr())
	s.client = s.inside.LocalAddr().(*net.UDPAddr).AddrPort()
	return s
}

func (s sockets) sendUp(b []byte) error { _, err := s.inside.Write(b); return err }
func (s sockets) sendDown(b []byte) error {
	_, err := s.machine.WriteToUDPAddrPort(b, s.client)
	return err
}

func quantile(d []time.Duration, q float64) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[min(int(q*float64(len(d))), len(d)-1)]
}

func TestDelayIsExactAndCheap(t *testing.T) {
	lab := newLab(t, `phases: [{up: {delay: 10ms}, down: {delay: 30ms, rate: 10Mbps}}]`, nil)
	s := connect(t, lab, lab.Host4)
	cpu := func() (used time.Duration) {
		lab.links[0].relay.do(func(*relay) {
			var now unix.Timespec
			if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now) == nil {
				used = time.Duration(now.Nano())
			}
		})
		return used
	}
	measure := func(name string, send func([]byte) error, receive *net.UDPConn, size int, want time.Duration) time.Duration {
		got := probe(t, send, receive, 600, size, 3333*time.Microsecond)
		require.Equal(t, 600, len(got), name)
		var errs []time.Duration
		for _, a := range got {
			errs = append(errs, (a.delay() - want).Abs())
		}
		p95 := quantile(errs, 0.95)
		t.Logf("%s: timing error p50 %v, p95 %v, worst %v", name, quantile(errs, 0.5), p95, quantile(errs, 1))
		return p95
	}
	var exact bool
	for attempt := 0; attempt < 4 && !exact; attempt++ { // a machine that stops for everybody is no fault of ours
		before, start := cpu(), time.Now()
		// 1250 bytes every 3.33 ms are 3 Mbps; at 10 Mbps they take 1 ms.
		down := measure("down", s.sendDown, s.inside, 1250, 31*time.Millisecond)
		share := float64(cpu()-before) / float64(time.Since(start))
		up := measure("up", s.sendUp, s.machine, 200, 10*time.Millisecond)
		t.Logf("relay at 3 Mbps: %.2f %% of a core; %+v", share*100, lab.Stats()[0].Down)
		require.Greater(t, share, 0.0)
		exact = down < time.Millisecond && up < time.Millisecond && share < 0.05
	}
	require.True(t, exact, "p95 of the timing error, or the processor time")
}

func TestJitter(t *testing.T) {
	t.Parallel()
	lab := newLab(t, `phases: [{down: {delay: 40ms, jitter: 10ms}}]`, nil)
	s := connect(t, lab, lab.Host4)
	// Further apart than the jitter is wide, so that keeping the order changes nothing.
	got := probe(t, s.sendDown, s.inside, 150, 100, 21*time.Millisecond)
	require.Equal(t, 150, len(got))
	var all []time.Duration
	for i, a := range got {
		require.Equal(t, i, a.number)
		all = append(all, a.delay())
	}
	require.InDelta(t, 40, quantile(all, 0.5).Seconds()*1000, 3)
	require.Greater(t, quantile(all, 0), 30*time.Millisecond)
	require.Less(t, quantile(all, 0.05), 33*time.Millisecond)
	require.Greater(t, quantile(all, 0.95), 47*time.Millisecond)
	require.Less(t, quantile(all, 0.9), 51*time.Millisecond)
}

func TestRandomLossOneDirectionOnly(t *testing.T) {
	t.Parallel()
	lab := newLab(t, `{seed: 4, phases: [{down: {loss: 10%}}]}`, nil)
	s := connect(t, lab, lab.Host4)
	got := probe(t, s.sendDown, s.inside, 3000, 200, time.Millisecond)
	require.InDelta(t, 0.1, 1-float64(len(got))/3000, 0.02)
	// The kernel sends a packet of its own at times.
	require.InDelta(t, 3000-len(got), float64(lab.Stats()[0].Down.Drops.Random), 10)
	require.Equal(t, 500, len(probe(t, s.sendUp, s.machine, 500, 200, time.Millisecond)))
}

func TestRateQueueAndPhases(t *testing.T) {
	t.Parallel()
	events := make(chan Event, 3)
	lab := newLab(t, `
phases:
  - {name: wide, for: 1s}
  - {name: narrow, for: 2s, down: {rate: 600kbps, queue: 200ms, delay: 20ms}}
  - {name: wide again}`, func(e Event) { events <- e })
	s := connect(t, lab, lab.Host4)
	require.NoError(t, lab.Start())
	require.Error(t, lab.Start())
	// 1.2 Mbps for 4 s.
	got := probe(t, s.sendDown, s.inside, 600, 1000, 6667*time.Microsecond)
	var changes []time.Time
	for i, name := range []string{"wide", "narrow", "wide again"} {
		e := <-events
		require.Equal(t, name, e.Phase)
		require.Equal(t, i, e.Index)
		changes = append(changes, e.At)
	}
	require.InDelta(t, 2, changes[2].Sub(changes[1]).Seconds(), 0.3)
	var wide, full []time.Duration
	for _, a := range got {
		if a.sent.Before(changes[1]) || a.sent.After(changes[2].Add(250*time.Millisecond)) {
			wide = append(wide, a.delay())
		}
		if after := a.at.Sub(changes[1]); after > time.Second && a.at.Before(changes[2]) {
			full = append(full, a.delay())
		}
	}
	require.Greater(t, len(wide), 200)
	require.Greater(t, len(full), 50)
	require.Less(t, quantile(wide, 0.9), 5*time.Millisecond)
	// The queue is full: its length, up to one packet less, the packet and the delay.
	require.InDelta(t, 220, quantile(full, 0.1).Seconds()*1000, 16)
	require.InDelta(t, 220, quantile(full, 0.9).Seconds()*1000, 16)
	bytes := len(full) * 1000
	require.InEpsilon(t, 600e3, float64(bytes)*8/(changes[2].Sub(changes[1])-time.Second).Seconds(), 0.04)
	lost := lab.Stats()[0].Down.Drops.Queue
	require.InDelta(t, 600-len(got), float64(lost), 10)
	require.InDelta(t, 300/2-25, float64(lost), 15, "half of 2 s, less one queue of 200 ms")
}

func TestBursts(t *testing.T) {
	t.Parallel()
	events := make(chan Event, 2)
	lab := newLab(t, `phases: [{for: 10ms}, {name: bursts, both: {burst: {every: 1s, for: 300ms}}}]`, func(e Event) { events <- e })
	s := connect(t, lab, lab.Host4)
	require.NoError(t, lab.Start())
	<-events
	start := (<-events).At
	got := probe(t, s.sendDown, s.inside, 1500, 100, 2*time.Millisecond)
	for _, a := range got {
		into := math.Mod(a.at.Sub(start).Seconds(), 1)
		require.False(t, into > 0.76 && into < 0.98, "packet %d arrived %.3f s into its second", a.number, into)
	}
	require.InDelta(t, 0.7, float64(len(got))/1500, 0.03)
}

func TestReordering(t *testing.T) {
	t.Parallel()
	lab := newLab(t, `phases: [{down: {reorder: 10%, reorder_by: 15ms}}]`, nil)
	s := connect(t, lab, lab.Host4)
	got := probe(t, s.sendDown, s.inside, 1000, 100, 2*time.Millisecond)
	require.Equal(t, 1000, len(got))
	var overtaken []time.Duration
	highest := -1
	for _, a := range got {
		if a.number < highest {
			overtaken = append(overtaken, a.delay())
		}
		highest = max(highest, a.number)
	}
	require.InDelta(t, 100, len(overtaken), 35)
	require.InDelta(t, 15, quantile(overtaken, 0.5).Seconds()*1000, 1)
}

func TestBlockedUDPLeavesTCP(t *testing.T) {
	t.Parallel()
	lab := newLab(t, `phases: [{both: {block: [udp, "tcp:9"]}}]`, nil)
	s := connect(t, lab, lab.Host4)
	require.Empty(t, probe(t, s.sendUp, s.machine, 20, 100, time.Millisecond))
	require.Empty(t, probe(t, s.sendDown, s.inside, 20, 100, time.Millisecond))
	listener, err := net.Listen("tcp", net.JoinHostPort(lab.Host4.String(), "0"))
	require.NoError(t, err)
	defer listener.Close()
	dial := func(address string) error {
		return lab.Do(func() error {
			conn, err := net.DialTimeout("tcp4", address, 300*time.Millisecond)
			if err == nil {
				conn.Close()
			}
			return err
		})
	}
	require.NoError(t, dial(listener.Addr().String()))
	var refused net.Error
	require.ErrorAs(t, dial(netip.AddrPortFrom(lab.Host4, 9).String()), &refused)
	require.True(t, refused.Timeout(), "dropped, not refused: %v", refused)
	stats := lab.Stats()[0]
	require.GreaterOrEqual(t, stats.Up.Drops.Blocked, uint64(21))
	require.EqualValues(t, 20, stats.Down.Drops.Blocked)
}

func TestIPv6Only(t *testing.T) {
	t.Parallel()
	lab := newLab(t, `{families: [ipv6], phases: [{both: {delay: 5ms}}]}`, nil)
	require.False(t, lab.Host4.IsValid())
	s := connect(t, lab, lab.Host6)
	require.Equal(t, 50, len(probe(t, s.sendUp, s.machine, 50, 100, 2*time.Millisecond)))
	require.Equal(t, 50, len(probe(t, s.sendDown, s.inside, 50, 100, 2*time.Millisecond)))
	require.NoError(t, lab.Do(func() error {
		_, err := net.Dial("udp4", "10.201.0.1:9")
		require.ErrorIs(t, err, unix.ENETUNREACH)
		addresses, err := net.InterfaceAddrs()
		for _, a := range addresses {
			if ip := a.(*net.IPNet).IP; !ip.IsLoopback() {
				require.Nil(t, ip.To4(), "%v", addresses)
			}
		}
		return err
	}))
}

func TestSecondUplinkTakesOver(t *testing.T) {
	t.Parallel()
	events := make(chan Event, 8)
	lab := newLab(t, `
links:
  - {name: wifi, phases: [{for: 300ms}, {name: gone, for: 500ms, link_down: true}, {name: back}]}
  - {name: lte, phases: [{both: {delay: 30ms}}]}`, func(e Event) { events <- e })
	machine := listenUDP(t, lab.Host4)
	// from gives the address that the namespace is seen under just now.
	from := func() string {
		conn := dialUDP(t, lab, machine.LocalAddr())
		_, err := conn.Write([]byte("who am I"))
		require.NoError(t, err)
		require.NoError(t, machine.SetReadDeadline(time.Now().Add(2*time.Second)))
		_, from, err := machine.ReadFromUDPAddrPort(make([]byte, 100))
		require.NoError(t, err)
		_, err = machine.WriteToUDPAddrPort([]byte("you"), from)
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(2*time.Second)))
		_, err = conn.Read(make([]byte, 100))
		require.NoError(t, err)
		return from.Addr().String()
	}
	prefix := fmt.Sprintf("10.201.%d.", lab.Network)
	require.Equal(t, prefix+"2", from())
	require.NoError(t, lab.Start())
	for e := range events {
		if e.Phase == "gone" {
			require.Equal(t, prefix+"3", from())
		}
		if e.Phase == "back" {
			break
		}
	}
	require.Equal(t, prefix+"2", from())
}

func TestNetworkIsTakenOnce(t *testing.T) {
	one := newLab(t, `{}`, nil)
	spec, err := ParseSpec(fmt.Appendf(nil, "network: %d", one.Network))
	require.NoError(t, err)
	_, err = New(spec, nil)
	require.ErrorIs(t, err, unix.EBUSY)
	require.NotEqual(t, one.Network, newLab(t, `{}`, nil).Network)
}

const heldVariable = "DIEMCAU_IMPAIR_TEST_HOLD"

// TestKilledLabLeavesNothing kills a process that has a lab with a program in it.
func TestKilledLabLeavesNothing(t *testing.T) {
	if os.Getenv(heldVariable) != "" {
		lab := newLab(t, `{}`, nil)
		sleeper := exec.Command("sleep", "600")
		require.NoError(t, lab.StartCommand(sleeper))
		fmt.Printf("\nlab %d %d\n", lab.Network, sleeper.Process.Pid)
		select {}
	}
	self, err := os.Executable()
	require.NoError(t, err)
	holder := exec.Command(self, "-test.run", "^"+t.Name()+"$")
	holder.Env = append(os.Environ(), heldVariable+"=1")
	out, err := holder.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, holder.Start())
	defer func() { _ = holder.Process.Kill() }()
	var network, pid int
	for lines := bufio.NewScanner(out); network == 0 && lines.Scan(); {
		_, _ = fmt.Sscanf(lines.Text(), "lab %d %d", &network, &pid)
	}
	require.NotZero(t, network)
	_, err = net.InterfaceByName(deviceName(network, 0))
	require.NoError(t, err)
	require.True(t, isSleeping(pid))
	require.NoError(t, holder.Process.Kill())
	require.Error(t, holder.Wait())
	require.Eventually(t, func() bool {
		_, err := net.InterfaceByName(deviceName(network, 0))
		return err != nil && !isSleeping(pid)
	}, 5*time.Second, 20*time.Millisecond)
}

// isSleeping reports whether the process is the program sleep, and not a zombie.
func isSleeping(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	return err == nil && strings.HasPrefix(string(b), "sleep")
}
