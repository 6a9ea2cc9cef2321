package codec

// chainTracker is what SVC knows of a stream with dependency descriptors (AV1
// RTP specification, sections A.5 to A.7).
type chainTracker struct {
	structure *Structure
	target    int    // decode target forwarded; no meaning unless SVC.begun
	within    uint32 // and those that are forwarded with it
	intact    uint32 // chains whose frames were all forwarded, or may yet be

	awaited [maxAwaited]awaitedFrame
}

// awaitedFrame is a frame that chains need and that did not come yet.
type awaitedFrame struct {
	number int64
	asOf   int64  // SVC.pictures when it was found missing
	chains uint32 // 0 if this entry is free
}

// maxAwaited is how many missing frames chains survive.
const maxAwaited = 4

func (c *chainTracker) stop() {
	c.intact = 0
	c.awaited = [maxAwaited]awaitedFrame{}
}

// await makes chain bit wait for frame n; one hole too many breaks it.
func (c *chainTracker) await(bit uint32, n, now int64) {
	var free *awaitedFrame
	for i := range c.awaited {
		a := &c.awaited[i]
		if a.chains != 0 && a.number == n {
			a.chains |= bit
			return
		}
		if a.chains == 0 {
			free = a
		}
	}
	if free == nil {
		c.intact &^= bit
		return
	}
	*free = awaitedFrame{number: n, asOf: now, chains: bit}
}

// arrived ends the waiting for frame n; forwarded or not, it has been seen.
func (c *chainTracker) arrived(n int64, forwarded bool) {
	for i := range c.awaited {
		if a := &c.awaited[i]; a.chains != 0 && a.number == n {
			if !forwarded {
				c.intact &^= a.chains
			}
			a.chains = 0
		}
	}
}

// restart makes a chain intact that needs nothing before.
func (c *chainTracker) restart(bit uint32) {
	c.intact |= bit
	for i := range c.awaited {
		c.awaited[i].chains &^= bit
	}
}

// expire gives up frames that did not come within patience.
func (c *chainTracker) expire(now int64) {
	for i := range c.awaited {
		if a := &c.awaited[i]; a.chains != 0 && now-a.asOf > patience {
			c.intact &^= a.chains
			a.chains = 0
		}
	}
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
		c.structure, c.within = d.Structure, 0
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
		c.arrived(f.Number, false)
		return dropped
	}
	c.arrived(f.Number, true)
	return forwarded
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
	for i := range d.Structure.Chains() {
		bit := uint32(1) << i
		if active&bit == 0 {
			continue
		}
		diff := d.ChainDiff(i)
		if diff == 0 {
			c.restart(bit)
			continue
		}
		if c.intact&bit == 0 {
			continue
		}
		switch s.seen.get(f.Number - diff) {
		case dropped:
			c.intact &^= bit
		case unknown:
			c.await(bit, f.Number-diff, s.pictures)
		}
	}
	c.expire(s.pictures)
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
	s.need = want >= 0 && best != want && !s.reachable(want)
	if best < 0 {
		s.begun = false
		return
	}
	s.begin(f)
	if best != c.target || c.within == 0 {
		c.target, c.within = best, d.Structure.within(best)
	}
	s.current = d.Structure.layer[best]
}

// usable tells whether target t can be forwarded from f on (section A.7). An
// intact chain says nothing of frames that are not part of it, those of upper
// temporal layers: another spatial layer is entered at the lowest of them, where
// pictures refer to nothing else. Otherwise a picture might lack its top.
func (s *SVC) usable(f *Frame, t int) bool {
	if !s.begun && !f.Key || s.begun && f.Temporal > 0 && s.dd.structure.layer[t].Spatial > s.current.Spatial {
		return false
	}
	if bit := s.dd.chainBit(t); bit != 0 {
		return s.dd.intact&bit != 0
	}
	return s.begun && t == s.dd.target || f.Descriptor.indication(t) == Switch && !s.missesReference(f)
}

// reachable tells whether target t will be usable without a key frame.
func (s *SVC) reachable(t int) bool {
	bit := s.dd.chainBit(t)
	return s.begun && (bit == 0 || s.dd.intact&bit != 0)
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

// decodable is the bit mask of the targets whose frames are all forwarded.
func (s *SVC) decodable() uint32 {
	c := &s.dd
	mask := c.within
	for t := range c.structure.DecodeTargets() {
		if bit := c.chainBit(t); bit&^c.intact != 0 {
			mask &^= 1 << t
		}
	}
	return mask
}
