//go:build linux

package impair

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// openTUN makes a TUN device in the network namespace of the calling thread.
// It goes when its descriptor is closed, also by the end of the process.
func openTUN(name string) (int, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("/dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_TUN_EXCL)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		return -1, errors.Join(fmt.Errorf("device %s: %w", name, err), unix.Close(fd))
	}
	return fd, nil
}

// ipBatch gives iproute2 commands, one a line, to be run in the network namespace
// of the calling thread.
func ipBatch(lines ...string) error {
	program, err := findProgram("ip")
	if err != nil {
		return err
	}
	cmd := exec.Command(program, "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip -batch: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// findProgram looks where Debian keeps an administrator's programs, too.
func findProgram(name string) (string, error) {
	file, err := exec.LookPath(name)
	if err == nil {
		return file, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if file := filepath.Join(dir, name); isProgram(file) {
			return file, nil
		}
	}
	return "", fmt.Errorf("%w (Debian: apt-get install iproute2)", err)
}

func isProgram(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// namespace is a network namespace that lives as long as its thread. Functions
// run in it one after the other.
type namespace struct {
	path string // a file that stands for it, for setns and nsenter
	jobs chan func()
	done chan struct{}
}

func newNamespace() (*namespace, error) {
	n := &namespace{jobs: make(chan func()), done: make(chan struct{})}
	started := make(chan error)
	go n.run(started)
	if err := <-started; err != nil {
		return nil, err
	}
	return n, nil
}

func (n *namespace) run(started chan<- error) {
	defer close(n.done)
	runtime.LockOSThread() // and never unlock: the thread ends with this goroutine, and takes the namespace along
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		started <- fmt.Errorf("making a network namespace (needs root): %w", err)
		return
	}
	n.path = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
	started <- nil
	for job := range n.jobs {
		job()
	}
}

// do runs f in the namespace's thread.
func (n *namespace) do(f func() error) error {
	result := make(chan error, 1)
	n.jobs <- func() { result <- f() }
	return <-result
}

// close ends the thread. The namespace stays while processes or sockets use it.
func (n *namespace) close() {
	close(n.jobs)
	<-n.done
}
