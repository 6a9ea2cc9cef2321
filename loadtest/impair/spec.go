package impair

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Bounds of a specification. They keep a mistyped unit from looking like a
// network, and the memory of a pipe small.
const (
	minRate   = 8e3
	maxRate   = 1e10
	maxDelay  = Duration(10 * time.Second)
	maxLinks  = 4
	maxPhases = 1000
	maxSpec   = 1 << 20 // bytes

	defaultQueue = Duration(300 * time.Millisecond)
	defaultMTU   = 1500
)

// Spec describes a network. Its zero value is a good one: one link over IPv4
// without any impairment.
type Spec struct {
	// Seed of everything random. The same seed and the same packets give the
	// same losses.
	Seed uint64 `yaml:"seed"`
	// Network is N in the addresses 10.201.N.1 and fd00:c9:N::1, 1 to 254; 0
	// takes one that is free.
	Network int `yaml:"network"`
	// Families are the IP versions of all links: "ipv4", "ipv6" or both.
	// Default: ipv4.
	Families []string `yaml:"families"`
	// MTU of all links in bytes. Default 1500.
	MTU int `yaml:"mtu"`
	// Phases of the only link. Either this or Links.
	Phases []Phase `yaml:"phases"`
	// Links are the uplinks of the namespace; the first that is not down has the
	// default route. Default: one, eth0.
	Links []Link `yaml:"links"`
}

// Link is one uplink.
type Link struct {
	// Name of its device in the namespace.
	Name string `yaml:"name"`
	// Phases follow each other. The last one stays.
	Phases []Phase `yaml:"phases"`
}

// Phase is what a link is like for a while.
type Phase struct {
	// Name for reports. Default: its number, from 1.
	Name string `yaml:"name"`
	// For is how long it lasts; not used of the last one.
	For Duration `yaml:"for"`
	// LinkDown takes the device in the namespace down, as when Wi-Fi is lost.
	LinkDown bool `yaml:"link_down"`
	// Both applies to both directions. Either this or Up and Down.
	Both *Impairment `yaml:"both"`
	// Up is from the namespace to the machine.
	Up *Impairment `yaml:"up"`
	// Down is from the machine to the namespace.
	Down *Impairment `yaml:"down"`
}

// Impairment is what happens to packets in one direction.
type Impairment struct {
	// Delay of every packet, at most 10 s.
	Delay Duration `yaml:"delay"`
	// Jitter changes each packet's delay by up to so much, up or down, equally
	// distributed. Packets stay in order. At most Delay.
	Jitter Duration `yaml:"jitter"`
	// Loss is the share of packets lost independently of each other.
	Loss Share `yaml:"loss"`
	// Burst loses packets for a while, again and again.
	Burst *Burst `yaml:"burst"`
	// GilbertElliott loses packets by a model with a good and a bad state.
	GilbertElliott *GilbertElliott `yaml:"gilbert_elliott"`
	// Rate is the bottleneck's. 0: none.
	Rate Rate `yaml:"rate"`
	// Queue is how much waits before the bottleneck, in time at its rate; what
	// finds it full is dropped. Default 300 ms.
	Queue Duration `yaml:"queue"`
	// Reorder is the share of packets that are held back by ReorderBy, so that
	// later ones overtake them.
	Reorder   Share    `yaml:"reorder"`
	ReorderBy Duration `yaml:"reorder_by"`
	// Blackout loses everything.
	Blackout bool `yaml:"blackout"`
	// Block loses what a firewall would: "udp" and "tcp" as a whole, or with one
	// port of the machine's side, "udp:7882".
	Block []string `yaml:"block"`

	block []rule // Block, read
}

// Burst loses Loss of the packets in the last For of every Every, counted from
// the phase's start.
type Burst struct {
	Every Duration `yaml:"every"`
	For   Duration `yaml:"for"`
	Loss  *Share   `yaml:"loss"` // default 100 %
}

// GilbertElliott is the two-state loss model: before each packet the state goes
// from good to bad with ToBad and back with ToGood. The share of time in the bad
// state is ToBad/(ToBad+ToGood), its mean length 1/ToGood packets.
// (E. O. Elliott, Estimates of Error Rates for Codes on Burst-Noise Channels, 1963.)
type GilbertElliott struct {
	ToBad    Share  `yaml:"to_bad"`
	ToGood   Share  `yaml:"to_good"`
	LossGood Share  `yaml:"loss_good"`
	LossBad  *Share `yaml:"loss_bad"` // default 100 %
}

// rule blocks one protocol, or one port of it.
type rule struct {
	protocol byte
	port     uint16 // 0: all
}

var linkName = regexp.MustCompile(`^[a-z][a-z0-9]{0,14}$`)

// ReadSpec reads a specification from a file, "-" for standard input.
func ReadSpec(file string) (*Spec, error) {
	in := os.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxSpec+1))
	if err != nil {
		return nil, err
	}
	spec, err := ParseSpec(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return spec, nil
}

// ParseSpec reads and checks a specification, YAML or JSON. Unknown keys are
// errors.
func ParseSpec(b []byte) (*Spec, error) {
	spec := &Spec{}
	if err := decodeStrictly(b, spec); err != nil {
		return nil, err
	}
	return spec, spec.complete()
}

func decodeStrictly(b []byte, into any) error {
	if len(b) > maxSpec {
		return fmt.Errorf("longer than %d bytes", maxSpec)
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := d.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return errors.New("more than one document")
	}
	return nil
}

// complete fills in defaults and finds every fault.
func (s *Spec) complete() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if s.Network < 0 || s.Network > 254 {
		fault("network: %d is not 1 to 254, or 0 for any", s.Network)
	}
	if len(s.Families) == 0 {
		s.Families = []string{"ipv4"}
	}
	for i, f := range s.Families {
		if f != "ipv4" && f != "ipv6" || slices.Contains(s.Families[:i], f) {
			fault("families: %q: must be ipv4, ipv6 or both, each once", f)
		}
	}
	if s.MTU == 0 {
		s.MTU = defaultMTU
	}
	if s.MTU < 1280 || s.MTU > 9000 { // RFC 8200, section 5
		fault("mtu: %d is not 1280 to 9000", s.MTU)
	}
	switch {
	case len(s.Links) > 0 && len(s.Phases) > 0:
		fault("phases: belong into links when there are links")
	case len(s.Links) == 0:
		s.Links, s.Phases = []Link{{Name: "eth0", Phases: s.Phases}}, nil
	case len(s.Links) > maxLinks:
		fault("links: %d, more than %d", len(s.Links), maxLinks)
	}
	var names []string
	for i := range s.Links {
		l := &s.Links[i]
		if !linkName.MatchString(l.Name) || l.Name == "lo" {
			fault("links[%d].name: %q is no device name: a-z, then a-z and 0-9, at most 15", i, l.Name)
		}
		if slices.Contains(names, l.Name) {
			fault("links[%d].name: %q occurs twice", i, l.Name)
		}
		names = append(names, l.Name)
		var err error
		if l.Phases, err = completePhases(l.Phases); err != nil {
			fault("link %s: %w", l.Name, err)
		}
	}
	return errors.Join(faults...)
}

// completePhases fills in defaults, checks, and gives at least one phase.
func completePhases(phases []Phase) ([]Phase, error) {
	if len(phases) == 0 {
		phases = []Phase{{}}
	}
	if len(phases) > maxPhases {
		return nil, fmt.Errorf("phases: %d, more than %d", len(phases), maxPhases)
	}
	phases = slices.Clone(phases)
	var faults []error
	for i := range phases {
		p := &phases[i]
		at := fmt.Sprintf("phases[%d]", i)
		if p.Name == "" {
			p.Name = strconv.Itoa(i + 1)
		}
		if p.For == 0 && i < len(phases)-1 {
			faults = append(faults, fmt.Errorf("%s: for is missing: only the last phase has no end", at))
		}
		if p.Both != nil && (p.Up != nil || p.Down != nil) {
			faults = append(faults, fmt.Errorf("%s: either both, or up and down", at))
		}
		if p.Both != nil {
			up, down := *p.Both, *p.Both
			p.Up, p.Down, p.Both = &up, &down, nil
		}
		for _, d := range []struct {
			name string
			of   **Impairment
		}{{"up", &p.Up}, {"down", &p.Down}} {
			if *d.of == nil {
				*d.of = &Impairment{}
			}
			if err := (*d.of).complete(); err != nil {
				faults = append(faults, fmt.Errorf("%s.%s: %w", at, d.name, err))
			}
		}
	}
	return phases, errors.Join(faults...)
}

func (m *Impairment) complete() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if m.Delay > maxDelay {
		fault("delay: %v is more than %v", m.Delay.std(), maxDelay.std())
	}
	if m.Jitter > m.Delay {
		fault("jitter: %v is more than the delay of %v: a packet cannot arrive before it was sent", m.Jitter.std(), m.Delay.std())
	}
	switch {
	case m.Queue > 0 && m.Rate == 0:
		fault("queue: needs a rate")
	case m.Queue == 0 && m.Rate > 0:
		m.Queue = defaultQueue
	case m.Queue > maxDelay:
		fault("queue: %v is more than %v", m.Queue.std(), maxDelay.std())
	}
	if (m.Reorder > 0) != (m.ReorderBy > 0) {
		fault("reorder and reorder_by: both or neither")
	}
	if m.ReorderBy > maxDelay {
		fault("reorder_by: %v is more than %v", m.ReorderBy.std(), maxDelay.std())
	}
	if b := m.Burst; b != nil {
		if b.For == 0 || b.Every <= b.For {
			fault("burst: for must be more than 0 and less than every")
		}
	}
	if g := m.GilbertElliott; g != nil && (g.ToBad == 0 || g.ToGood == 0) {
		fault("gilbert_elliott: to_bad and to_good must be more than 0")
	}
	m.block = nil
	for _, text := range m.Block {
		r, err := parseRule(text)
		if err != nil {
			fault("block: %w", err)
		}
		m.block = append(m.block, r)
	}
	return errors.Join(faults...)
}

func parseRule(text string) (rule, error) {
	name, port, hasPort := strings.Cut(text, ":")
	r, ok := map[string]rule{"udp": {protocol: protocolUDP}, "tcp": {protocol: protocolTCP}}[name]
	if !ok {
		return rule{}, fmt.Errorf("%q: must be udp, tcp, udp:PORT or tcp:PORT", text)
	}
	if hasPort {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return rule{}, fmt.Errorf("%q: the port is not 1 to 65535", text)
		}
		r.port = uint16(n)
	}
	return r, nil
}
