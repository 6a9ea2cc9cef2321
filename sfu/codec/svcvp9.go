package codec

// layerGone is how many pictures may lack the present spatial layer before it is
// taken to have ended.
const layerGone = 10

// vp9Layers is what SVC knows of a VP9 stream without dependency descriptors.
type vp9Layers struct {
	intact  uint8 // spatial layers whose frames were all forwarded since a key frame
	reached int8  // highest spatial layer forwarded of the present picture; -1 none
	entered bool  // the present picture is a key frame that does not tell its layers

	top     int8 // highest spatial layer the stream has at present
	topSeen int8 // highest of the present picture
	topAge  int  // pictures since top was seen
}

// decideVP9 decides on a frame by its payload descriptor.
func (s *SVC) decideVP9(f *Frame) verdict {
	v := &s.vp9
	if !s.seen.newest(f.Number) {
		if !s.begun || !s.wantedVP9(f) {
			return dropped
		}
		return forwarded
	}
	if s.newPicture(f) {
		s.startPictureVP9(f)
	}
	v.topSeen = max(v.topSeen, f.Spatial)
	v.top = max(v.top, f.Spatial)
	if !s.begun {
		return dropped
	}
	if s.isEntryVP9(f) {
		s.current.Spatial = f.Spatial
		s.need = min(s.target.Spatial, v.top) > f.Spatial
	}
	if !s.wantedVP9(f) {
		if f.Temporal == 0 || !f.Flexible && f.Temporal <= s.current.Temporal {
			v.intact &^= 1 << f.Spatial
		}
		return dropped
	}
	if f.Key || f.InterLayer && !f.InterPicture {
		v.intact |= 1 << f.Spatial // it and what follows it need nothing before
	}
	v.reached = f.Spatial
	return forwarded
}

// isEntryVP9 tells whether f is a frame of the next upper layer that refers to
// nothing but the frame below it, which was forwarded: the encoder has just added
// the layer, and it can be entered without a key frame.
func (s *SVC) isEntryVP9(f *Frame) bool {
	return f.First && f.InterLayer && !f.InterPicture &&
		f.Spatial == s.current.Spatial+1 && f.Spatial <= s.target.Spatial &&
		s.vp9.reached == s.current.Spatial && f.Temporal <= s.current.Temporal
}

// wantedVP9 tells whether f is part of the present layers and can be decoded.
func (s *SVC) wantedVP9(f *Frame) bool {
	if f.Spatial > s.current.Spatial || f.Temporal > s.current.Temporal {
		return false
	}
	if f.Spatial < s.current.Spatial && f.NotForUpper && !f.InterLayer {
		return false // as in the KEY modes: the upper layers go on without
	}
	if f.InterLayer && s.seen.lost(f.Number-1) {
		return false
	}
	if f.InterPicture && f.Flexible {
		for _, diff := range f.PDiff[:f.References] {
			if s.seen.lost(f.Number - vp9Step*int64(diff)) {
				return false
			}
		}
	}
	return true
}

// startPictureVP9 chooses the layers from picture f on.
func (s *SVC) startPictureVP9(f *Frame) {
	s.endPictureVP9()
	want := s.Target()
	if want == NoLayer {
		return
	}
	v := &s.vp9
	switch {
	case f.Key && (s.begun || f.First):
		s.begin(f)
		s.current = want
		v.intact, v.entered = 0, f.Layers == 0
		if f.Layers > 0 {
			v.top, v.topAge = int8(f.Layers-1), 0
			s.current.Spatial = min(want.Spatial, v.top)
		}
	case !s.begun:
		return
	case want.Spatial < s.current.Spatial && v.intact>>want.Spatial&1 != 0:
		s.current.Spatial = want.Spatial
	}
	s.need = want.Spatial < s.current.Spatial || min(want.Spatial, v.top) > s.current.Spatial
	s.chooseTemporalVP9(f)
}

// endPictureVP9 takes stock of the spatial layers of the picture before.
func (s *SVC) endPictureVP9() {
	v := &s.vp9
	if v.topAge++; v.entered || v.topSeen >= v.top || v.topAge > layerGone {
		v.top, v.topAge = v.topSeen, 0
	}
	if s.begun && s.current.Spatial > v.top {
		if v.intact>>v.top&1 != 0 {
			s.current.Spatial = v.top
		} else {
			s.stop()
		}
	}
	v.topSeen, v.reached, v.entered = 0, -1, false
}

func (s *SVC) chooseTemporalVP9(f *Frame) {
	want := s.Target().Temporal
	switch {
	case want <= s.current.Temporal, f.Flexible:
		s.current.Temporal = want // in flexible mode references are checked
	case f.SwitchUp && f.Temporal <= s.current.Temporal:
		s.current.Temporal = want // RFC 9628 section 4.2: U
	case f.SwitchUp && f.Temporal <= want:
		s.current.Temporal = f.Temporal
	}
}
