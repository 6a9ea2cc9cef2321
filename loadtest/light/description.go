package light

import (
	"errors"
	"strconv"
	"strings"
)

// Bounds of what is taken from a description of the server's.
const (
	maxSections = 2048
	maxSSRCs    = 16 // of a section
)

var errDescription = errors.New("light: SDP without ICE credentials or fingerprint")

// description is what is read from the server's SDP.
type description struct {
	ufrag, pwd, fingerprint, setup string
	candidates                     []string
	sections                       []remoteSection
	hasChannels                    bool
}

// remoteSection is one media section of it.
type remoteSection struct {
	kind, mid string
	rejected  bool
	sends     bool   // the server sends in it
	track     string // of msid
	formats   []uint8
	codecs    map[uint8]codec
	ext       map[string]uint8 // number of a header extension
	ssrcs     []uint32
	repair    map[uint32]uint32 // RTX stream to the one it repairs, RFC 4588
}

// codec is what a payload type stands for.
type codec struct {
	name  string // as in rtpmap, lower case
	clock uint32
	apt   uint8 // of rtx: what it repairs
}

// parse reads what the tester needs, and leaves out what it does not know.
func parse(sdp string) (*description, error) {
	d := &description{}
	var s *remoteSection
	for line := range strings.Lines(sdp) {
		line = strings.TrimRight(line, "\r\n")
		if m, ok := strings.CutPrefix(line, "m="); ok {
			if len(d.sections) == maxSections {
				return nil, errors.New("light: SDP with too many sections")
			}
			d.sections = append(d.sections, newRemoteSection(m))
			s = &d.sections[len(d.sections)-1]
			d.hasChannels = d.hasChannels || s.kind == kindData && !s.rejected
			continue
		}
		a, ok := strings.CutPrefix(line, "a=")
		if !ok {
			continue
		}
		name, value, _ := strings.Cut(a, ":")
		if d.transport(name, value) || s == nil {
			continue
		}
		s.attribute(name, value)
	}
	if d.ufrag == "" || d.pwd == "" || d.fingerprint == "" {
		return nil, errDescription
	}
	return d, nil
}

// transport takes what is common to the bundle, wherever it stands.
func (d *description) transport(name, value string) bool {
	set := func(s *string) bool {
		if *s == "" {
			*s = value
		}
		return true
	}
	switch name {
	case "ice-ufrag":
		return set(&d.ufrag)
	case "ice-pwd":
		return set(&d.pwd)
	case "fingerprint":
		return set(&d.fingerprint)
	case "setup":
		return set(&d.setup)
	case "candidate":
		d.candidates = append(d.candidates, value)
		return true
	}
	return false
}

func newRemoteSection(m string) remoteSection {
	fields := strings.Fields(m)
	s := remoteSection{codecs: map[uint8]codec{}, ext: map[string]uint8{}, repair: map[uint32]uint32{}}
	if len(fields) < 3 {
		s.rejected = true
		return s
	}
	s.kind, s.rejected = fields[0], fields[1] == "0"
	for _, f := range fields[3:] {
		if pt, err := strconv.ParseUint(f, 10, 7); err == nil {
			s.formats = append(s.formats, uint8(pt))
		}
	}
	return s
}

func (s *remoteSection) attribute(name, value string) {
	first, rest, _ := strings.Cut(value, " ")
	switch name {
	case "mid":
		s.mid = value
	case "sendonly", "sendrecv":
		s.sends = true
	case "msid":
		s.track = rest
	case "rtpmap":
		s.rtpmap(first, rest)
	case "fmtp":
		if apt, ok := strings.CutPrefix(rest, "apt="); ok {
			pt, err := strconv.ParseUint(first, 10, 7)
			of, errOf := strconv.ParseUint(apt, 10, 7)
			if err == nil && errOf == nil {
				c := s.codecs[uint8(pt)]
				c.apt = uint8(of)
				s.codecs[uint8(pt)] = c
			}
		}
	case "extmap":
		id, _, _ := strings.Cut(first, "/")
		if n, err := strconv.ParseUint(id, 10, 8); err == nil {
			uri, _, _ := strings.Cut(rest, " ")
			s.ext[uri] = uint8(n)
		}
	case "ssrc":
		s.addSSRC(first)
	case "ssrc-group":
		s.group(first, rest)
	}
}

func (s *remoteSection) rtpmap(pt, rest string) {
	n, err := strconv.ParseUint(pt, 10, 7)
	if err != nil {
		return
	}
	name, clock, _ := strings.Cut(rest, "/")
	clock, _, _ = strings.Cut(clock, "/")
	rate, err := strconv.ParseUint(clock, 10, 32)
	if err != nil {
		return
	}
	c := s.codecs[uint8(n)]
	c.name, c.clock = strings.ToLower(name), uint32(rate)
	s.codecs[uint8(n)] = c
}

func (s *remoteSection) addSSRC(value string) {
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil || len(s.ssrcs) == maxSSRCs {
		return
	}
	for _, known := range s.ssrcs {
		if known == uint32(n) {
			return
		}
	}
	s.ssrcs = append(s.ssrcs, uint32(n))
}

// group takes the pairs of FID (RFC 5576 section 4.2).
func (s *remoteSection) group(kind, rest string) {
	fields := strings.Fields(rest)
	if kind != "FID" || len(fields) != 2 {
		return
	}
	of, err := strconv.ParseUint(fields[0], 10, 32)
	repair, errRepair := strconv.ParseUint(fields[1], 10, 32)
	if err == nil && errRepair == nil && len(s.repair) < maxSSRCs {
		s.repair[uint32(repair)] = uint32(of)
	}
}
