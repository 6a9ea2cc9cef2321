package udp

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// namespace puts the test's goroutine, and the sockets that it opens, into a
// network of its own with a loopback interface, after these commands. The network
// goes when the test's thread ends and its sockets are closed.
func namespace(t *testing.T, commands ...string) {
	t.Helper()
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	err := unix.Unshare(unix.CLONE_NEWNET)
	if errors.Is(err, unix.EPERM) {
		t.Skip("may not make a network namespace")
	}
	require.NoError(t, err)
	for _, c := range append([]string{"ip link set lo up"}, commands...) {
		out, err := exec.Command("sh", "-c", c).CombinedOutput()
		require.NoError(t, err, "%s: %s", c, out)
	}
}

// descriptor calls f with the socket's.
func descriptor(t *testing.T, c *Conn, f func(fd int)) {
	t.Helper()
	if p, ok := c.path.(plain); ok {
		raw, err := p.SyscallConn()
		require.NoError(t, err)
		require.NoError(t, raw.Control(func(fd uintptr) { f(int(fd)) }))
		return
	}
	f(c.path.(*many).fd)
}

func setsockopt(t *testing.T, c *Conn, level, option, value int) {
	t.Helper()
	descriptor(t, c, func(fd int) { require.NoError(t, unix.SetsockoptInt(fd, level, option, value)) })
}

// A firewall's rule for one destination costs the others nothing.
func TestForbidden(t *testing.T) {
	forEach(t, func(t *testing.T, m mode, ip netip.Addr) {
		bad := netip.MustParseAddr("127.0.0.2")
		if ip.Is6() {
			bad = netip.MustParseAddr("fd00::2")
		}
		namespace(t, "ip addr add fd00::2/128 dev lo nodad",
			"nft 'table inet t { chain c { type filter hook output priority 0; ip daddr 127.0.0.2 drop; ip6 daddr fd00::2 drop; }; }'")
		from, to, other := m.listen(t, ip, Config{}), best.listen(t, ip, Config{}), m.listen(t, bad, Config{})
		batch, refs := from.NewBatch(), make([]int, 5)
		for i := range refs {
			dst := at(to)
			if i%2 == 1 {
				dst = at(other)
			}
			batch.Add(dst, noise(350+i, i), 100, &refs[i])
		}
		require.Equal(t, []failure{{&refs[1], 4, syscall.EPERM}, {&refs[3], 4, syscall.EPERM}}, flush(batch))
		for i := 0; i < 5; i += 2 {
			want(t, to, at(from), noise(350+i, i), 100)
		}
		require.Equal(t, uint64(12), from.Stats().Sent)
		require.Equal(t, uint64(8), from.Stats().Failed)
		require.Equal(t, !m.uncut && !m.plain, from.Segments())

		batch.Add(at(other), noise(65*100, 1), 100, &refs[0])
		require.Equal(t, []failure{{&refs[0], 65, syscall.EPERM}}, flush(batch), "two parts, one train")
		_, err := from.WriteToAddrPort([]byte("x"), at(other))
		require.ErrorIs(t, err, syscall.EPERM)
	})
}

// Where a datagram of the train is larger than the interface carries, IP may
// fragment it, unless the socket forbids that.
func TestTooLarge(t *testing.T) {
	forEach(t, func(t *testing.T, m mode, ip netip.Addr) {
		namespace(t, "ip link set lo mtu 1280")
		from, to := m.listen(t, ip, Config{}), m.listen(t, ip, Config{})
		batch, x, y := from.NewBatch(), new(int), new(int)
		batch.Add(at(to), noise(3*1400+500, 1), 1400, x)
		batch.Add(at(to), noise(3*1000, 2), 1000, y)
		require.Empty(t, flush(batch))
		want(t, to, at(from), noise(3*1400+500, 1), 1400)
		want(t, to, at(from), noise(3*1000, 2), 1000)
		refused := uint64(0)
		if from.Segments() {
			refused = 1
		}
		require.Equal(t, refused, from.Stats().SegmentsRefused)

		if ip.Is4() {
			setsockopt(t, from, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
		} else {
			setsockopt(t, from, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DO)
		}
		batch.Add(at(to), noise(3*1400+500, 3), 1400, x)
		batch.Add(at(to), noise(3*1000, 4), 1000, y)
		require.Equal(t, []failure{{x, 3, syscall.EMSGSIZE}}, flush(batch))
		want(t, to, at(from), noise(3*1400+500, 3)[3*1400:], 1400)
		want(t, to, at(from), noise(3*1000, 4), 1000)
		require.Equal(t, 2*refused, from.Stats().SegmentsRefused)
		require.Equal(t, uint64(11), from.Stats().Sent)
		require.Equal(t, uint64(3), from.Stats().Failed)
		require.Equal(t, refused == 1, from.Segments())
	})
}

// The error of a destination that is gone comes up at the next call, which is for
// another.
func TestDestinationGone(t *testing.T) {
	forEach(t, func(t *testing.T, m mode, ip netip.Addr) {
		from, to, gone := m.listen(t, ip, Config{}), m.listen(t, ip, Config{}), best.listen(t, ip, Config{})
		require.NoError(t, gone.Close())
		if ip.Is4() {
			setsockopt(t, from, unix.IPPROTO_IP, unix.IP_RECVERR, 1)
		} else {
			setsockopt(t, from, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
		}
		batch := from.NewBatch()
		refuse := func() { // returns when the error is there
			t.Helper()
			batch.Add(at(gone), []byte("x"), 0, nil)
			require.Empty(t, flush(batch))
			descriptor(t, from, func(fd int) {
				poll := []unix.PollFd{{Fd: int32(fd)}}
				n, err := unix.Poll(poll, 10_000)
				require.NoError(t, err)
				require.Equal(t, 1, n)
				require.Equal(t, int16(unix.POLLERR), poll[0].Revents)
			})
		}
		refuse()
		before := from.Stats()
		batch.Add(at(to), noise(300, 1), 100, nil)
		require.Empty(t, flush(batch))
		want(t, to, at(from), noise(300, 1), 100)
		after := from.Stats()
		calls := uint64(2)
		if m.plain {
			calls = 4
		}
		require.Equal(t, calls, after.SendCalls-before.SendCalls, "one was refused")
		require.Equal(t, before.Sent+3, after.Sent)

		refuse()
		_, err := from.WriteToAddrPort(noise(100, 2), at(to))
		require.NoError(t, err)
		want(t, to, at(from), noise(100, 2), 100)

		refuse()
		_, err = to.WriteToAddrPort(noise(100, 3), at(from))
		require.NoError(t, err)
		want(t, from, at(to), noise(100, 3), 100)
	})
}

// On a link where the destination does not answer ARP, datagrams fill the
// socket's buffer. A batch does not wait for room, even when a writer does.
func TestFullBuffer(t *testing.T) {
	forEach(t, func(t *testing.T, m mode, ip netip.Addr) {
		namespace(t, "ip link add va type veth peer name vb", "ip link set va up", "ip link set vb up",
			"ip addr add 10.9.0.1/24 dev va", "ip addr add fd09::1/64 dev va nodad")
		local, away := netip.MustParseAddr("10.9.0.1"), netip.MustParseAddrPort("10.9.0.2:9")
		if ip.Is6() {
			local, away = netip.MustParseAddr("fd09::1"), netip.MustParseAddrPort("[fd09::2]:9")
		}
		c := m.listen(t, local, Config{Buffer: 1})
		batch, ref := c.NewBatch(), new(int)
		for i := range 20 {
			batch.Add(away, noise(3*1000, i), 1000, ref)
		}
		failed := flush(batch)
		require.NotEmpty(t, failed)
		lost := 0
		for _, f := range failed {
			require.Equal(t, failure{ref, f.datagrams, syscall.EAGAIN}, f)
			lost += f.datagrams
		}
		require.Less(t, lost, 60)
		require.Equal(t, uint64(lost), c.Stats().Failed)
		require.Equal(t, uint64(60-lost), c.Stats().Sent)

		require.NoError(t, c.SetWriteDeadline(time.Now().Add(200*time.Millisecond)))
		waited := make(chan error)
		go func() {
			_, err := c.WriteToAddrPort(noise(1000, 1), away)
			waited <- err
		}()
		for flushes := 0; ; flushes++ {
			select {
			case err := <-waited:
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
				require.Greater(t, flushes, 2)
				return
			default:
				batch.Add(away, noise(1000, 1), 0, ref)
				require.Equal(t, []failure{{ref, 1, syscall.EAGAIN}}, flush(batch))
			}
		}
	})
}

// A writer that waits goes on when there is room: once the destination is known.
func TestRoomAgain(t *testing.T) {
	forEach(t, func(t *testing.T, m mode, ip netip.Addr) {
		namespace(t, "ip link add va type veth peer name vb", "ip link set va up", "ip link set vb up",
			"ip addr add 10.9.0.1/24 dev va", "ip addr add fd09::1/64 dev va nodad")
		local, away := netip.MustParseAddr("10.9.0.1"), netip.MustParseAddrPort("10.9.0.2:9")
		if ip.Is6() {
			local, away = netip.MustParseAddr("fd09::1"), netip.MustParseAddrPort("[fd09::2]:9")
		}
		c := m.listen(t, local, Config{Buffer: 1})
		for range 2 {
			batch := c.NewBatch()
			for i := range 20 {
				batch.Add(away, noise(1000, i), 0, nil)
			}
			require.NotEmpty(t, flush(batch))
			waited := make(chan error)
			go func() {
				_, err := c.WriteToAddrPort(noise(1000, 1), away)
				waited <- err
			}()
			if many, ok := c.path.(*many); ok {
				require.Eventually(t, func() bool {
					set, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", many.writable.fd))
					return assert.NoError(t, err) && strings.Contains(string(set), "tfd:")
				}, 10*time.Second, time.Millisecond)
			}
			out, err := exec.Command("ip", "neigh", "replace", away.Addr().String(), "lladdr", "02:00:00:00:00:02", "dev", "va").CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.NoError(t, <-waited)
			out, err = exec.Command("ip", "neigh", "del", away.Addr().String(), "dev", "va").CombinedOutput()
			require.NoError(t, err, "%s", out)
		}
		if !m.plain {
			require.False(t, c.path.(*many).writer.waits)
		}
	})
}

func TestLinkLocal(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			namespace(t, "ip link add va type veth peer name vb", "ip link set va up", "ip link set vb up",
				"ip addr add fe80::a/64 dev va nodad", "ip addr add fe80::b/64 dev vb nodad")
			a, b := m.listen(t, netip.MustParseAddr("fe80::a%va"), Config{}), m.listen(t, netip.MustParseAddr("fe80::b%vb"), Config{})
			to := netip.AddrPortFrom(netip.MustParseAddr("fe80::b%va"), at(b).Port())
			batch, ref := a.NewBatch(), new(int)
			batch.Add(to, noise(300, 1), 100, nil)
			batch.Add(netip.AddrPortFrom(to.Addr().WithZone("none"), to.Port()), noise(300, 1), 100, ref)
			failed := flush(batch)
			require.Len(t, failed, 1)
			require.Equal(t, failure{ref, 3, failed[0].err}, failed[0])
			from := netip.AddrPortFrom(netip.MustParseAddr("fe80::a%vb"), at(a).Port())
			want(t, b, from, noise(300, 1), 100)
			_, err := b.WriteToAddrPort(noise(10, 1), from)
			require.NoError(t, err)
			want(t, a, to, noise(10, 1), 10)
		})
	}
}

// refuse makes the kernel refuse a system call with errno on this thread, if the
// arguments of these indices have these values.
func refuse(t *testing.T, call uint32, args map[uint32]uint32, errno syscall.Errno) {
	t.Helper()
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	const load, equal, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	allow := unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW}
	filter := []unix.SockFilter{{Code: load, K: 0}, {Code: equal, Jt: 1, K: call}, allow}
	for i, v := range args {
		filter = append(filter, unix.SockFilter{Code: load, K: 16 + 8*i}, unix.SockFilter{Code: equal, Jt: 1, K: v}, allow)
	}
	filter = append(filter, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(errno)})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	require.NoError(t, unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	require.NoError(t, unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0))
}

func logTo(b *bytes.Buffer) *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

// A kernel or network card that cannot cut trains is not asked again.
func TestTrainsRefused(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOPROTOOPT, syscall.EOPNOTSUPP} {
		for _, ip := range ips {
			t.Run(fmt.Sprint(errno, " ", ip), func(t *testing.T) {
				var log bytes.Buffer
				from, to := best.listen(t, ip, Config{Log: logTo(&log)}), best.listen(t, ip, Config{})
				refuse(t, unix.SYS_SENDMMSG, map[uint32]uint32{2: 1}, errno) // of one message: the train
				batch := from.NewBatch()
				for i := range 3 {
					batch.Add(at(to), noise(550, i), 100, nil)
					require.Empty(t, flush(batch))
					want(t, to, at(from), noise(550, i), 100)
					require.False(t, from.Segments())
				}
				require.Equal(t, uint64(1), from.Stats().SegmentsRefused)
				require.Equal(t, uint64(18), from.Stats().Sent)
				require.Zero(t, from.Stats().Failed)
				require.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
				require.Contains(t, log.String(), errno.Error())
			})
		}
	}
}

// A kernel that knows less makes do with less.
func TestOldKernel(t *testing.T) {
	for _, old := range []struct {
		name            string
		call            uint32
		args            map[uint32]uint32
		errno           syscall.Errno
		plain, segments bool
	}{
		{"no UDP_SEGMENT", unix.SYS_SETSOCKOPT, map[uint32]uint32{1: unix.SOL_UDP, 2: unix.UDP_SEGMENT}, syscall.ENOPROTOOPT, false, false},
		{"no UDP_GRO", unix.SYS_SETSOCKOPT, map[uint32]uint32{1: unix.SOL_UDP, 2: unix.UDP_GRO}, syscall.ENOPROTOOPT, false, true},
		{"neither", unix.SYS_SETSOCKOPT, map[uint32]uint32{1: unix.SOL_UDP}, syscall.ENOPROTOOPT, false, false},
		{"no sendmmsg", unix.SYS_SENDMMSG, nil, syscall.ENOSYS, true, false},
		{"no recvmmsg", unix.SYS_RECVMMSG, nil, syscall.EPERM, true, false},
		{"no epoll", unix.SYS_EPOLL_CREATE1, nil, syscall.EMFILE, true, false},
	} {
		t.Run(old.name, func(t *testing.T) {
			other := mode{plain: true}.listen(t, ips[0], Config{})
			refuse(t, old.call, old.args, old.errno)
			var log bytes.Buffer
			c, err := Listen(netip.AddrPortFrom(ips[0], 0), Config{Log: logTo(&log)})
			require.NoError(t, err)
			defer c.Close()
			require.NoError(t, c.SetReadDeadline(time.Now().Add(20*time.Second)))
			require.Equal(t, old.segments, c.Segments())
			_, isPlain := c.path.(plain)
			require.Equal(t, old.plain, isPlain)
			require.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
			require.Contains(t, log.String(), old.errno.Error())

			batch := c.NewBatch()
			batch.Add(at(other), noise(550, 1), 100, nil)
			require.Empty(t, flush(batch))
			want(t, other, at(c), noise(550, 1), 100)
			back := other.NewBatch()
			back.Add(at(c), noise(550, 2), 100, nil)
			require.Empty(t, flush(back))
			want(t, c, at(other), noise(550, 2), 100)
		})
	}
}
