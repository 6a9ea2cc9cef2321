package codec

// Limits of a dependency descriptor. A descriptor beyond them is refused.
const (
	MaxDecodeTargets   = 32 // by the format: dt_cnt_minus_one has 5 bits
	maxTemplates       = 64 // by the format: the template id has 6 bits
	maxSpatialLayers   = 4  // AV1 has no more that are coded one on another
	maxTemporalLayers  = 8  // AV1: temporal_id has 3 bits
	maxFrameReferences = 8  // AV1 has 7, VP9 has 3
)

// Layer is a spatial and a temporal layer, each counted from 0 upwards.
type Layer struct{ Spatial, Temporal int8 }

// MaxSpatial is more than any spatial layer that is sent.
const MaxSpatial = 7

// NoLayer is the layer of one who gets nothing.
var NoLayer = Layer{-1, -1}

// Indication tells what a frame is to a decode target (DTI, AV1 RTP
// specification table A.1).
type Indication uint8

// The decode target indications.
const (
	NotPresent  Indication = iota // the frame is no part of the target
	Discardable                   // nothing in the target refers to the frame
	Switch                        // all that follow in the target can be decoded from here
	Required                      // neither of these
)

// Resolution is the size of a picture in pixels; 65536 is possible.
type Resolution struct{ Width, Height uint32 }

// frameDependencies is what a template or a descriptor says of one frame.
type frameDependencies struct {
	dti    uint64 // 2 bits for each decode target
	fdiffs [maxFrameReferences]uint16
	count  uint8 // fdiffs in use
	chains [MaxDecodeTargets]uint8
}

func (f *frameDependencies) indication(target int) Indication {
	return Indication(f.dti >> (2 * target) & 3)
}

func (f *frameDependencies) addDiff(diff uint16) bool {
	if int(f.count) == len(f.fdiffs) {
		return false
	}
	f.fdiffs[f.count] = diff
	f.count++
	return true
}

// ddTemplate is one frame dependency template.
type ddTemplate struct {
	layer Layer
	frameDependencies
}

// Structure is a template dependency structure (AV1 RTP specification section
// A.8): it comes with a key frame and holds until another one comes. It never
// changes once it was parsed, and descriptors that share it point to the same one.
type Structure struct {
	offset      uint8 // template_id_offset
	targets     uint8
	templates   uint8
	chains      uint8
	resolutions uint8 // 0, or one for each spatial layer
	max         Layer

	template    [maxTemplates]ddTemplate
	protectedBy [MaxDecodeTargets]uint8
	layer       [MaxDecodeTargets]Layer
	order       [MaxDecodeTargets]uint8 // targets, the highest layer first
	resolution  [maxSpatialLayers]Resolution
}

// DecodeTargets is the number of decode targets, 1 to MaxDecodeTargets.
func (s *Structure) DecodeTargets() int { return int(s.targets) }

// TargetLayer is the layer that decode target t, below DecodeTargets, reaches.
func (s *Structure) TargetLayer(t int) Layer { return s.layer[t] }

// Chains is the number of chains; 0 if the stream does without.
func (s *Structure) Chains() int { return int(s.chains) }

// TargetChain is the chain that protects decode target t; 0 if there are none.
func (s *Structure) TargetChain(t int) int { return int(s.protectedBy[t]) }

// MaxLayer is the highest spatial and the highest temporal layer of any frame.
func (s *Structure) MaxLayer() Layer { return s.max }

// Resolution is the largest size of pictures of a spatial layer. ok is false if
// the structure does not tell, or has no such layer.
func (s *Structure) Resolution(spatial int) (r Resolution, ok bool) {
	if spatial < 0 || spatial >= int(s.resolutions) {
		return Resolution{}, false
	}
	return s.resolution[spatial], true
}

// AllTargets is the bit mask of all decode targets; bit 0 is target 0.
func (s *Structure) AllTargets() uint32 { return uint32(uint64(1)<<s.targets - 1) }

// within is the bit mask of the decode targets that need no frame which target t
// does not need: forwarding t forwards them whole. It goes by the templates.
func (s *Structure) within(t int) uint32 {
	mask := s.AllTargets()
	for i := range s.template[:s.templates] {
		f := &s.template[i].frameDependencies
		if f.indication(t) != NotPresent {
			continue
		}
		for o := range s.DecodeTargets() {
			if f.indication(o) != NotPresent {
				mask &^= 1 << o
			}
		}
	}
	return mask
}

// readStructure is template_dependency_structure() of section A.8.2. s must be
// zero. The result is false if it is beyond the limits.
func (s *Structure) read(r *ddReader) bool {
	s.offset = uint8(r.read(6))
	s.targets = uint8(r.read(5) + 1)
	if !s.readLayers(r) {
		return false
	}
	for i := range s.templates {
		s.template[i].dti = readIndications(r, s.DecodeTargets())
	}
	for i := range s.templates {
		for r.flag() {
			if !s.template[i].addDiff(uint16(r.read(4) + 1)) {
				return false
			}
		}
	}
	s.readChains(r)
	s.findTargetLayers()
	if r.flag() {
		s.resolutions = uint8(s.max.Spatial + 1)
		for i := range s.resolutions {
			s.resolution[i].Width = r.read(16) + 1
			s.resolution[i].Height = r.read(16) + 1
		}
	}
	return !r.short
}

// The values of next_layer_idc, table A.2.
const (
	nextSame = iota
	nextTemporal
	nextSpatial
	nextNone
)

func (s *Structure) readLayers(r *ddReader) bool {
	at := Layer{}
	for {
		if s.templates == maxTemplates {
			return false
		}
		s.template[s.templates].layer = at
		s.templates++
		switch r.read(2) {
		case nextTemporal:
			at.Temporal++
		case nextSpatial:
			at.Spatial++
			at.Temporal = 0
		case nextNone:
			return !r.short
		}
		if at.Temporal >= maxTemporalLayers || at.Spatial >= maxSpatialLayers || r.short {
			return false
		}
		s.max.Spatial = max(s.max.Spatial, at.Spatial)
		s.max.Temporal = max(s.max.Temporal, at.Temporal)
	}
}

func (s *Structure) readChains(r *ddReader) {
	s.chains = uint8(r.nonSymmetric(uint32(s.targets) + 1))
	if s.chains == 0 {
		return
	}
	for t := range s.targets {
		s.protectedBy[t] = uint8(r.nonSymmetric(uint32(s.chains)))
	}
	for i := range s.templates {
		for c := range s.chains {
			s.template[i].chains[c] = uint8(r.read(4))
		}
	}
}

// findTargetLayers is decode_target_layers() of section A.8.2.
func (s *Structure) findTargetLayers() {
	for t := range s.DecodeTargets() {
		for i := range s.templates {
			if from := &s.template[i]; from.indication(t) != NotPresent {
				s.layer[t].Spatial = max(s.layer[t].Spatial, from.layer.Spatial)
				s.layer[t].Temporal = max(s.layer[t].Temporal, from.layer.Temporal)
			}
		}
		at := t // insertion sort
		for ; at > 0 && above(s.layer[t], s.layer[s.order[at-1]]); at-- {
			s.order[at] = s.order[at-1]
		}
		s.order[at] = uint8(t)
	}
}

// above orders layers by their spatial, then by their temporal part.
func above(a, b Layer) bool {
	return a.Spatial > b.Spatial || a.Spatial == b.Spatial && a.Temporal > b.Temporal
}

func (s *Structure) write(w *ddWriter) {
	w.write(uint32(s.offset), 6)
	w.write(uint32(s.targets-1), 5)
	for i := 1; i < int(s.templates); i++ {
		w.write(nextLayer(s.template[i-1].layer, s.template[i].layer), 2)
	}
	w.write(nextNone, 2)
	for i := range s.templates {
		writeIndications(w, s.template[i].dti, s.DecodeTargets())
	}
	for i := range s.templates {
		f := &s.template[i]
		for _, diff := range f.fdiffs[:f.count] {
			w.flag(true)
			w.write(uint32(diff-1), 4)
		}
		w.flag(false)
	}
	s.writeChains(w)
	w.flag(s.resolutions > 0)
	for _, r := range s.resolution[:s.resolutions] {
		w.write(r.Width-1, 16)
		w.write(r.Height-1, 16)
	}
}

func (s *Structure) writeChains(w *ddWriter) {
	w.nonSymmetric(uint32(s.chains), uint32(s.targets)+1)
	if s.chains == 0 {
		return
	}
	for t := range s.targets {
		w.nonSymmetric(uint32(s.protectedBy[t]), uint32(s.chains))
	}
	for i := range s.templates {
		for c := range s.chains {
			w.write(uint32(s.template[i].chains[c]), 4)
		}
	}
}

func nextLayer(from, to Layer) uint32 {
	switch {
	case to.Spatial > from.Spatial:
		return nextSpatial
	case to.Temporal > from.Temporal:
		return nextTemporal
	}
	return nextSame
}

func readIndications(r *ddReader, targets int) uint64 {
	dti := uint64(0)
	for t := range targets {
		dti |= uint64(r.read(2)) << (2 * t)
	}
	return dti
}

func writeIndications(w *ddWriter, dti uint64, targets int) {
	for t := range targets {
		w.write(uint32(dti>>(2*t)&3), 2)
	}
}
