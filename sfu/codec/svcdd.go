package codec

// chainTracker is what SVC knows of a stream with dependency descriptors (AV1
// RTP specification, sections A.5 to A.7).
type chainTracker struct {
	structure *Structure
	target    int    // decode target forwarded; no meaning unless SVC.begun
	intact    uint32 // chains whose frames were all forwarded, or may yet be

	// A frame that the present target's chain needs and that did not come yet.
	awaiting bool
	awaited  int64
	asOf     int64 // SVC.pictures when it was found missing
}

func (c *chainTracker) stop() {
	c.intact, c.awaiting = 0, false
}

// chainBit is the chain that protects target t; 0 if there are no chains.
func (c *chainTracker) chainBit(t int) uint32 {
	if c.structure.chains == 0 {
		return 0
	}
	return 1 << c.structure.protectedBy[t]
}

// decideDD decides on a frame with a dependency descriptor.
func (s *SVC) decideDD(f *Frame) verdict {
	d, c := f.Descriptor, &s.dd
	if !s.seen.newest(f.Number) {
		return s.decideLate(f)
	}
	if d.Structure != c.structure {
		if !f.Key {
			s.stop() // the key frame did not come: nothing of this can be decoded
			return dropped
		}
		c.structure = d.Structure
		c.stop()
		if s.begun {
			c.target = -1 // of the old structure; the key frame has another
		}
	}
	s.trackChains(f)
	if s.newPicture(f) || d.Attached {
		s.retarget(f)
	}
	if !s.begun || d.indication(c.target) == NotPresent || s.missesReference(f) {
		return dropped
	}
	return forwarded
}

// decideLate decides on a frame that comes after newer ones.
func (s *SVC) decideLate(f *Frame) verdict {
	d, c := f.Descriptor, &s.dd
	if !s.begun || f.Number < s.since || d.Structure != c.structure {
		return dropped
	}
	if d.indication(c.target) == NotPresent || s.missesReference(f) {
		c.intact &^= s.memberChains(d)
		return dropped
	}
	if c.awaiting && c.awaited == f.Number {
		c.awaiting = false
	}
	return forwarded
}

// memberChains is the chains that a frame is part of: section A.6,
// PartOfActiveChain.
func (s *SVC) memberChains(d *Descriptor) uint32 {
	without := uint32(0)
	for t := range d.Structure.DecodeTargets() {
		if i := d.indication(t); i == NotPresent || i == Discardable {
			without |= s.dd.chainBit(t)
		}
	}
	return ^without
}

// trackChains sees whether the chains that f continues are intact.
func (s *SVC) trackChains(f *Frame) {
	d, c := f.Descriptor, &s.dd
	active := uint32(0)
	for t := range d.Structure.DecodeTargets() {
		if d.Active>>t&1 != 0 {
			active |= c.chainBit(t)
		}
	}
	c.intact &= active // the others may tell anything (section A.5)
	own := uint32(0)
	if s.begun && c.target >= 0 {
		own = c.chainBit(c.target)
	}
	for i := range d.Structure.Chains() {
		bit := uint32(1) << i
		if active&bit == 0 {
			continue
		}
		diff := d.ChainDiff(i)
		if diff == 0 {
			c.intact |= bit
			if own == bit {
				c.awaiting = false
			}
			continue
		}
		if c.intact&bit == 0 {
			continue
		}
		before := f.Number - diff
		switch s.seen.get(before) {
		case dropped:
			c.intact &^= bit
		case unknown:
			if own == bit && !c.awaiting {
				c.awaiting, c.awaited, c.asOf = true, before, s.pictures
			}
		}
	}
	if c.awaiting && s.pictures-c.asOf > patience {
		c.awaiting = false
		c.intact &^= own
	}
}

// retarget chooses the decode target from picture f on.
func (s *SVC) retarget(f *Frame) {
	d, c := f.Descriptor, &s.dd
	want, best := -1, -1
	for _, o := range d.Structure.order[:d.Structure.targets] {
		t, layer := int(o), d.Structure.layer[o]
		if d.Active>>t&1 == 0 || layer.Spatial > s.Target().Spatial || layer.Temporal > s.Target().Temporal {
			continue
		}
		if want < 0 {
			want = t
		}
		if s.usable(f, t) {
			best = t
			break
		}
	}
	if best < 0 && want >= 0 && s.begun && c.target >= 0 && d.Active>>c.target&1 != 0 && s.usable(f, c.target) {
		best = c.target // until the key frame comes
	}
	s.need = want >= 0 && best != want && !s.usable(f, want)
	if best < 0 {
		s.begun = false
		return
	}
	if s.begun && c.target >= 0 && c.chainBit(best) != c.chainBit(c.target) {
		c.awaiting = false
	}
	s.begin(f)
	c.target = best
	s.current = d.Structure.layer[best]
}

// usable tells whether target t can be forwarded from f on (section A.7).
func (s *SVC) usable(f *Frame, t int) bool {
	if !s.begun && !f.Key {
		return false
	}
	if bit := s.dd.chainBit(t); bit != 0 {
		return s.dd.intact&bit != 0
	}
	return s.begun && t == s.dd.target || f.Descriptor.indication(t) == Switch && !s.missesReference(f)
}

// missesReference tells whether f refers to a frame that was dropped.
func (s *SVC) missesReference(f *Frame) bool {
	d := f.Descriptor
	for i := range d.References() {
		if s.seen.lost(f.Number - d.Reference(i)) {
			return true
		}
	}
	return false
}

// decodable is the bit mask of the targets up to the present layer whose frames
// are all forwarded.
func (s *SVC) decodable() uint32 {
	c := &s.dd
	mask := c.structure.TargetsUpTo(s.current)
	for t := range c.structure.DecodeTargets() {
		if bit := c.chainBit(t); bit&^c.intact != 0 {
			mask &^= 1 << t
		}
	}
	return mask
}
