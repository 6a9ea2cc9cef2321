//go:build linux

package impair

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const (
	batch       = 64 // packets read from one device before the other has its turn
	maxCommands = 16
)

// relay carries packets between the two devices of a link. Its goroutine, run,
// owns everything below; others hand it commands.
type relay struct {
	clock    func() time.Duration
	machine  int // TUN device on the machine's side
	inside   int // and in the namespace
	wake     int // eventfd: a command waits
	commands chan func(*relay)
	done     chan struct{} // closed when run has ended
	err      error         // why it ended by itself; read after done

	up, down           *pipe
	upStats, downStats counters
	free               [][]byte
	size               int            // of a buffer
	polled             [3]unix.PollFd // machine, inside, wake
	stopped            bool
}

// counters of one direction, kept by the relay.
type counters struct {
	in, out, outBytes uint64
	late              lateness
}

func newRelay(clock func() time.Duration, machine, inside, mtu int, up, down *pipe) (*relay, error) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	return &relay{
		clock: clock, machine: machine, inside: inside, wake: wake, size: mtu,
		commands: make(chan func(*relay), maxCommands), done: make(chan struct{}),
		up: up, down: down,
		polled: [3]unix.PollFd{
			{Fd: int32(machine), Events: unix.POLLIN}, {Fd: int32(inside), Events: unix.POLLIN}, {Fd: int32(wake), Events: unix.POLLIN},
		},
	}, nil
}

// run relays until the command stop. It keeps its thread to itself and ends with it.
func (r *relay) run() {
	defer close(r.done)
	runtime.LockOSThread()
	urgent()
	if err := r.loop(); err != nil {
		r.err = err
	}
}

// do runs a command in the relay's goroutine and waits for it. It reports whether
// that was done: a relay that has ended does nothing.
func (r *relay) do(command func(*relay)) bool {
	ran := make(chan struct{})
	select {
	case r.commands <- func(r *relay) { command(r); close(ran) }:
	case <-r.done:
		return false
	}
	one := [8]byte{7: 1} // any number but 0 wakes, in either byte order
	if _, err := unix.Write(r.wake, one[:]); err != nil && !errors.Is(err, unix.EAGAIN) {
		return false
	}
	select {
	case <-ran:
		return true
	case <-r.done:
		return false
	}
}

// stop ends run and closes the descriptors.
func (r *relay) stop() error {
	r.do(func(r *relay) { r.stopped = true })
	<-r.done
	return errors.Join(r.err, unix.Close(r.wake), unix.Close(r.machine), unix.Close(r.inside))
}

func (r *relay) loop() error {
	for !r.stopped {
		if err := r.deliver(r.up, r.machine, &r.upStats); err != nil {
			return err
		}
		if err := r.deliver(r.down, r.inside, &r.downStats); err != nil {
			return err
		}
		if err := r.sleep(min(r.up.next(), r.down.next())); err != nil {
			return err
		}
		if r.polled[0].Revents != 0 {
			if err := r.receive(r.machine, r.down, &r.downStats); err != nil {
				return err
			}
		}
		if r.polled[1].Revents != 0 {
			if err := r.receive(r.inside, r.up, &r.upStats); err != nil {
				return err
			}
		}
		if r.polled[2].Revents != 0 {
			r.obey()
		}
	}
	return nil
}

// sleep waits until the given time, a packet or a command.
func (r *relay) sleep(until time.Duration) error {
	var timeout *unix.Timespec
	if until != never {
		t := unix.NsecToTimespec(int64(max(until-r.clock(), 0)))
		timeout = &t
	}
	for i := range r.polled {
		r.polled[i].Revents = 0 // not written to when the call is interrupted
	}
	if _, err := unix.Ppoll(r.polled[:], timeout, nil); err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("ppoll: %w", err)
	}
	return nil
}

// receive takes packets from a device into a pipe.
func (r *relay) receive(device int, into *pipe, c *counters) error {
	for range batch {
		buffer := r.buffer()
		n, err := unix.Read(device, buffer)
		if err != nil {
			r.free = append(r.free, buffer)
			if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
				return nil
			}
			return fmt.Errorf("reading from a TUN device: %w", err)
		}
		c.in++
		if !into.push(r.clock(), buffer[:n]) {
			r.free = append(r.free, buffer)
		}
	}
	return nil
}

// deliver writes what is due to a device.
func (r *relay) deliver(from *pipe, device int, c *counters) error {
	for {
		packet, due, ok := from.pop(r.clock())
		if !ok {
			return nil
		}
		_, err := unix.Write(device, packet)
		r.free = append(r.free, packet[:r.size])
		switch {
		case err == nil:
			c.out++
			c.outBytes += uint64(len(packet))
			c.late.add(r.clock() - due)
		case errors.Is(err, unix.EIO): // the device is down
			from.drops.Device++
		default:
			return fmt.Errorf("writing to a TUN device: %w", err)
		}
	}
}

// obey runs the commands that wait.
func (r *relay) obey() {
	var count [8]byte
	if n, err := unix.Read(r.wake, count[:]); n == 0 || err != nil {
		return
	}
	for {
		select {
		case command := <-r.commands:
			command(r)
		default:
			return
		}
	}
}

// buffer gives one that is free. There are never more than the pipes hold and one.
func (r *relay) buffer() []byte {
	if n := len(r.free); n > 0 {
		b := r.free[n-1]
		r.free = r.free[:n-1]
		return b
	}
	return make([]byte, r.size)
}

// urgent asks for real-time priority for this thread, or else for more than
// others have; without either the lab works, but less exactly on a busy machine.
func urgent() {
	err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}, 0)
	if err != nil {
		_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -15)
	}
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
}

// lateness is a histogram of how long after its time a packet was written.
type lateness struct {
	buckets [24]uint64 // of 2^i µs
	count   uint64
	worst   time.Duration
}

func (l *lateness) add(d time.Duration) {
	i := 0
	for i < len(l.buckets)-1 && d > time.Microsecond<<i {
		i++
	}
	l.buckets[i]++
	l.count++
	l.worst = max(l.worst, d)
}

// quantile gives the upper bound of the bucket that the share q falls into.
func (l *lateness) quantile(q float64) time.Duration {
	var sum uint64
	for i, n := range l.buckets {
		if sum += n; n > 0 && float64(sum) >= q*float64(l.count) {
			return min(time.Microsecond<<i, l.worst)
		}
	}
	return 0
}
