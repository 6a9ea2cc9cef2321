//go:build linux

package impair

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Event tells that a link has changed. At is measured after the change.
type Event struct {
	Link  string
	Phase string
	Index int // of the phase, from 0
	At    time.Time
}

// Lab is a network namespace behind a network as its Spec says. Its methods may
// be called from any goroutine.
type Lab struct {
	// Host4 and Host6 are the machine's addresses towards the namespace; the
	// zero address if the specification has not that family.
	Host4, Host6 netip.Addr
	// Network is N in 10.201.N.1.
	Network int

	spec    *Spec
	ns      *namespace
	links   []*link
	onEvent func(Event)

	mu     sync.Mutex
	closed bool // guarded by mu
}

// link is one uplink of a Lab and the goroutine that leads it through its phases.
type link struct {
	name, device     string
	client4, client6 netip.Addr
	metric           int
	relay            *relay
	phases           []Phase
	state            deviceState // of the device in the namespace; of New, then of the timeline

	cancel context.CancelFunc // ends the timeline; nil before Start
	done   chan struct{}      // closed when it has ended
}

type deviceState int

const (
	deviceNew deviceState = iota
	deviceUp
	deviceDown
)

// New makes the network with the first phase of every link; time does not run
// before Start. onEvent may be nil; it is called from a goroutine per link and
// must not call back into the Lab. It needs root.
//
// A relay's thread is urgent for the kernel but not for Go's scheduler: a process
// that keeps GOMAXPROCS busy by itself should raise it by two for each link.
func New(spec *Spec, onEvent func(Event)) (*Lab, error) {
	if onEvent == nil {
		onEvent = func(Event) {}
	}
	ns, err := newNamespace()
	if err != nil {
		return nil, err
	}
	l := &Lab{spec: spec, ns: ns, onEvent: onEvent}
	if err := l.build(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Lab) build() error {
	first, err := l.claim()
	if err != nil {
		return err
	}
	if l.has("ipv4") {
		l.Host4 = address4(l.Network, 1)
	}
	if l.has("ipv6") {
		l.Host6 = address6(l.Network, 1)
	}
	if err := l.ns.do(func() error { return ipBatch("link set lo up") }); err != nil {
		return errors.Join(err, unix.Close(first))
	}
	for i := range l.spec.Links {
		machine := first
		if i > 0 {
			if machine, err = openTUN(deviceName(l.Network, i)); err != nil {
				return err
			}
		}
		if err := l.addLink(i, machine); err != nil {
			return err
		}
	}
	return nil
}

// claim takes a free network: the name of its first device is the lock on it.
func (l *Lab) claim() (int, error) {
	candidates := []int{l.spec.Network}
	if l.spec.Network == 0 {
		candidates = nil
		for n := 1; n <= 254; n++ {
			candidates = append(candidates, n)
		}
	}
	var err error
	for _, n := range candidates {
		var fd int
		if fd, err = openTUN(deviceName(n, 0)); err == nil {
			l.Network = n
			return fd, nil
		}
		if !errors.Is(err, unix.EBUSY) {
			break
		}
	}
	return -1, fmt.Errorf("no free network: %w", err)
}

func deviceName(network, link int) string {
	return fmt.Sprintf("imp%d%s", network, []string{"", "b", "c", "d"}[link])
}

func address4(network, host int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 201, byte(network), byte(host)})
}

func address6(network, host int) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfd, 3: 0xc9, 5: byte(network), 15: byte(host)})
}

func (l *Lab) has(family string) bool { return slices.Contains(l.spec.Families, family) }

// addLink makes the device in the namespace, the addresses of both, and the relay.
// It owns the descriptor machine.
func (l *Lab) addLink(i, machine int) error {
	is := l.spec.Links[i]
	k := &link{name: is.Name, device: deviceName(l.Network, i), metric: 100 + i, phases: is.Phases}
	if l.has("ipv4") {
		k.client4 = address4(l.Network, 2+i)
	}
	if l.has("ipv6") {
		k.client6 = address6(l.Network, 2+i)
	}
	inside := -1
	err := l.ns.do(func() error {
		var err error
		inside, err = openTUN(k.name)
		return err
	})
	if err != nil {
		return errors.Join(err, unix.Close(machine))
	}
	stream := uint64(2 * i)
	up, down := newPipe(l.spec.Seed, stream, true), newPipe(l.spec.Seed, stream+1, false)
	k.relay, err = newRelay(sinceNow(), machine, inside, l.spec.MTU, up, down)
	if err != nil {
		return errors.Join(err, unix.Close(machine), unix.Close(inside))
	}
	go k.relay.run()
	l.links = append(l.links, k)
	return errors.Join(l.configureMachine(k, i == 0), l.apply(k, 0))
}

func sinceNow() func() time.Duration {
	start := time.Now()
	return func() time.Duration { return time.Since(start) }
}

func (l *Lab) configureMachine(k *link, first bool) error {
	lines := []string{
		fmt.Sprintf("link set dev %s addrgenmode none", k.device),
		fmt.Sprintf("link set dev %s mtu %d up", k.device, l.spec.MTU),
	}
	for _, pair := range [][2]netip.Addr{{l.Host4, k.client4}, {l.Host6, k.client6}} {
		if !pair[0].IsValid() {
			continue
		}
		if first {
			lines = append(lines, fmt.Sprintf("address add %s dev %s%s", pair[0], k.device, nodad(pair[0])))
		}
		lines = append(lines, fmt.Sprintf("route add %s dev %s src %s", pair[1], k.device, pair[0]))
	}
	return ipBatch(lines...)
}

// nodad turns duplicate detection off (RFC 4862, 5.4): nobody else is there, and
// an address under detection cannot be bound yet.
func nodad(a netip.Addr) string {
	if a.Is6() {
		return " nodad"
	}
	return ""
}

// configureInside brings the device in the namespace up or down. Down takes its
// routes along, so up makes them again.
func (l *Lab) configureInside(k *link) error {
	if k.state == deviceDown {
		return l.ns.do(func() error {
			return ipBatch(
				fmt.Sprintf("link set dev %s down", k.name),
				fmt.Sprintf("address flush dev %s", k.name))
		})
	}
	lines := []string{
		fmt.Sprintf("link set dev %s addrgenmode none", k.name),
		fmt.Sprintf("link set dev %s mtu %d up", k.name, l.spec.MTU),
	}
	for _, a := range []netip.Addr{k.client4, k.client6} {
		if a.IsValid() {
			lines = append(lines,
				fmt.Sprintf("address add %s dev %s%s", a, k.name, nodad(a)),
				fmt.Sprintf("route add default dev %s src %s metric %d", k.name, a, k.metric))
		}
	}
	return l.ns.do(func() error { return ipBatch(lines...) })
}

// apply begins a phase of a link.
func (l *Lab) apply(k *link, i int) error {
	p := k.phases[i]
	change := func(r *relay) {
		now := r.clock()
		r.up.set(now, *p.Up)
		r.down.set(now, *p.Down)
	}
	if !k.relay.do(change) {
		return fmt.Errorf("link %s has ended: %w", k.name, k.relay.err)
	}
	want := deviceUp
	if p.LinkDown {
		want = deviceDown
	}
	if k.state == want {
		return nil
	}
	k.state = want
	return l.configureInside(k)
}

// Start lets time run. The first phases begin now.
func (l *Lab) Start() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errors.New("the lab is closed")
	}
	for _, k := range l.links {
		if k.cancel != nil {
			return errors.New("the lab has started already")
		}
	}
	for _, k := range l.links {
		l.lead(k)
	}
	return nil
}

// lead starts the goroutine that takes a link through its phases.
func (l *Lab) lead(k *link) {
	ctx, cancel := context.WithCancel(context.Background())
	k.cancel, k.done = cancel, make(chan struct{})
	start := time.Now()
	go func() {
		defer close(k.done)
		for i, p := range k.phases {
			if err := l.apply(k, i); err != nil {
				l.onEvent(Event{Link: k.name, Phase: "failed: " + err.Error(), Index: i, At: time.Now()})
				return
			}
			l.onEvent(Event{Link: k.name, Phase: p.Name, Index: i, At: time.Now()})
			if i == len(k.phases)-1 {
				return
			}
			start = start.Add(p.For.std()) // of the next phase: errors do not add up
			timer := time.NewTimer(time.Until(start))
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return
			}
		}
	}()
}

// LinkStats is what a link did so far.
type LinkStats struct {
	Link string         `json:"link"`
	Up   DirectionStats `json:"up"`
	Down DirectionStats `json:"down"`
}

// DirectionStats is what one direction of a link did so far. Lateness is how long
// after its time a packet was written, in milliseconds.
type DirectionStats struct {
	In       uint64  `json:"in"`
	Out      uint64  `json:"out"`
	OutBytes uint64  `json:"outBytes"`
	Held     int     `json:"held"`
	Drops    Drops   `json:"drops"`
	LateP95  float64 `json:"lateP95"`
	LateMax  float64 `json:"lateMax"`
}

// Stats reads the counters of all links.
func (l *Lab) Stats() []LinkStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []LinkStats
	for _, k := range l.links {
		s := LinkStats{Link: k.name}
		k.relay.do(func(r *relay) {
			s.Up, s.Down = directionStats(r.up, &r.upStats), directionStats(r.down, &r.downStats)
		})
		all = append(all, s)
	}
	return all
}

func directionStats(p *pipe, c *counters) DirectionStats {
	const ms = float64(time.Millisecond)
	return DirectionStats{
		In: c.in, Out: c.out, OutBytes: c.outBytes, Held: len(p.queue) + len(p.line), Drops: p.drops,
		LateP95: float64(c.late.quantile(0.95)) / ms, LateMax: float64(c.late.worst) / ms,
	}
}

// Path is a file that stands for the namespace: nsenter --net=PATH COMMAND.
func (l *Lab) Path() string { return l.ns.path }

// Do runs f in the namespace: sockets that it opens belong there for ever. f must
// not call back into the Lab, and what it starts in other goroutines runs outside.
func (l *Lab) Do(f func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errors.New("the lab is closed")
	}
	return l.ns.do(f)
}

// StartCommand starts a program in the namespace. It is killed when this process dies.
func (l *Lab) StartCommand(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	// The signal comes when the thread ends that started it: the namespace's own,
	// which lives as long as the Lab.
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	return l.Do(cmd.Start)
}

// Close takes the network down. Programs in the namespace should have ended
// before; they are cut off.
func (l *Lab) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	var faults []error
	for _, k := range l.links {
		if k.cancel != nil {
			k.cancel()
			<-k.done
		}
		faults = append(faults, k.relay.stop())
	}
	l.ns.close()
	return errors.Join(faults...)
}
