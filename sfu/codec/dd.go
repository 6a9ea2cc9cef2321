package codec

import (
	"encoding/binary"
	"errors"
)

// DependencyDescriptorURI names the header extension in SDP.
const DependencyDescriptorURI = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"

// MaxDescriptorSize is the most bytes a header extension element can have
// (RFC 8285 section 4.3); Marshal needs no more.
const MaxDescriptorSize = 255

const ddMandatory = 3 // bytes, mandatory_descriptor_fields()

// Why a dependency descriptor is refused.
var (
	ErrDescriptor  = errors.New("codec: malformed dependency descriptor")
	ErrNoStructure = errors.New("codec: dependency descriptor before any structure")
	ErrTemplate    = errors.New("codec: dependency descriptor of an unknown template")
	ErrStale       = errors.New("codec: dependency structure older than the present one")
)

// Descriptor is the dependency descriptor of one packet (AV1 RTP specification,
// appendix A), with what its template says already in place. Packets of a frame
// have the same but for First, Last, Attached and ActivePresent.
type Descriptor struct {
	First bool // first packet of the frame
	Last  bool // last packet of the frame; more of the picture may follow

	Number      int64  // frame number, unrolled: it does not wrap around
	FrameNumber uint16 // as sent

	Layer     Layer
	Structure *Structure // what holds for this packet
	Attached  bool       // it comes with this very packet

	Active        uint32 // decode targets that are sent; bit 0 is target 0
	ActivePresent bool   // this packet carries Active, rather than an earlier one

	frameDependencies
}

// DTI tells what the frame is to decode target t.
func (d *Descriptor) DTI(t int) Indication { return d.indication(t) }

// References is how many frames this one is predicted from.
func (d *Descriptor) References() int { return int(d.count) }

// Reference is how many frame numbers before this frame its i-th reference is.
func (d *Descriptor) Reference(i int) int64 { return int64(d.fdiffs[i]) }

// ChainDiff is how many frame numbers before this frame the last frame of chain
// c is; 0 if the chain starts anew.
func (d *Descriptor) ChainDiff(c int) int64 { return int64(d.chains[c]) }

// KeyFrame tells whether this is the first packet of a key frame: a structure
// comes with it, and the frame refers to no other.
func (d *Descriptor) KeyFrame() bool { return d.Attached && d.count == 0 }

// Resolution is the size of the frame; ok is false if the structure has none.
func (d *Descriptor) Resolution() (r Resolution, ok bool) {
	return d.Structure.Resolution(int(d.Layer.Spatial))
}

// DependencyState is what the packets of one received stream need of the
// packets before: the structure, the active decode targets, and the frame
// number, which wraps around. The zero value is a stream before its first packet.
// It is not safe for concurrent use.
type DependencyState struct {
	structure *Structure
	since     int64 // frame number that brought structure
	before    *Structure

	active      uint32
	activeSince int64

	high    int64 // newest frame number
	started bool

	scratch Structure
}

// Structure is the newest structure, or nil.
func (s *DependencyState) Structure() *Structure { return s.structure }

// Active is the bit mask of the decode targets that are sent at present.
func (s *DependencyState) Active() uint32 { return s.active }

// Parse reads the data of the header extension into d, and remembers the
// structure if one is attached. It allocates only for a structure that differs
// from the one before. Packets may come late. On an error, which is one of
// ErrDescriptor, ErrNoStructure, ErrTemplate and ErrStale, s is as before and d
// is not to be used.
func (s *DependencyState) Parse(ext []byte, d *Descriptor) error {
	if len(ext) < ddMandatory || len(ext) > MaxDescriptorSize {
		return ErrDescriptor
	}
	number := binary.BigEndian.Uint16(ext[1:])
	*d = Descriptor{
		First:       ext[0]&0x80 != 0,
		Last:        ext[0]&0x40 != 0,
		FrameNumber: number,
		Number:      s.unroll(number),
	}
	r := ddReader{buf: ext, at: 8 * ddMandatory}
	var customDTIs, customDiffs, customChains bool
	if len(ext) > ddMandatory {
		d.Attached, d.ActivePresent = r.flag(), r.flag()
		customDTIs, customDiffs, customChains = r.flag(), r.flag(), r.flag()
	}
	if err := s.findStructure(&r, d); err != nil {
		return err
	}
	if d.ActivePresent {
		d.Active = readMask(&r, d.Structure.DecodeTargets())
	}
	index := (ext[0] - d.Structure.offset) & (maxTemplates - 1)
	if index >= d.Structure.templates {
		return ErrTemplate
	}
	from := &d.Structure.template[index]
	d.Layer, d.frameDependencies = from.layer, from.frameDependencies
	if customDTIs {
		d.dti = readIndications(&r, d.Structure.DecodeTargets())
	}
	if customDiffs && !readDiffs(&r, &d.frameDependencies) {
		return ErrDescriptor
	}
	if customChains {
		for c := range d.Structure.Chains() {
			d.chains[c] = uint8(r.read(8))
		}
	}
	if r.short {
		return ErrDescriptor
	}
	s.commit(d)
	return nil
}

// findStructure sets the structure that holds for d, and the active targets
// that hold unless d says otherwise. An attached one is in s.scratch as yet.
func (s *DependencyState) findStructure(r *ddReader, d *Descriptor) error {
	if !d.Attached {
		d.Structure, d.Active = s.structure, s.active
		if d.Structure != nil && d.Number < s.since {
			d.Structure = s.before
		}
		if d.Structure == nil {
			return ErrNoStructure
		}
		d.Active &= d.Structure.AllTargets()
		return nil
	}
	if !d.First {
		return ErrDescriptor
	}
	s.scratch = Structure{}
	if !s.scratch.read(r) {
		return ErrDescriptor
	}
	if s.structure != nil && d.Number < s.since {
		return ErrStale
	}
	d.Structure = &s.scratch
	d.Active = s.scratch.AllTargets()
	return nil
}

// commit makes what d brought that of the stream.
func (s *DependencyState) commit(d *Descriptor) {
	if d.Attached {
		if s.structure == nil || *s.structure != s.scratch {
			fresh := s.scratch
			s.before, s.structure = s.structure, &fresh
		} else {
			s.before = s.structure
		}
		d.Structure = s.structure
		s.since = d.Number
	}
	if (d.Attached || d.ActivePresent) && (!s.started || d.Number >= s.activeSince) {
		s.active, s.activeSince = d.Active, d.Number
	}
	s.high = max(s.high, d.Number)
	s.started = true
}

// unroll returns the number congruent to n that is nearest to the newest one.
func (s *DependencyState) unroll(n uint16) int64 {
	if !s.started {
		return int64(n) + 1<<16 // a late packet is not below 0
	}
	return s.high + int64(int16(n-uint16(s.high)))
}

// readMask reads active_decode_targets_bitmask: the highest target first.
func readMask(r *ddReader, targets int) uint32 { return r.read(targets) }

// readDiffs is frame_fdiffs() of section A.8.2.
func readDiffs(r *ddReader, f *frameDependencies) bool {
	f.count = 0
	f.fdiffs = [maxFrameReferences]uint16{}
	for size := r.read(2); size > 0; size = r.read(2) {
		if !f.addDiff(uint16(r.read(int(4*size)) + 1)) {
			return false
		}
	}
	return true
}
