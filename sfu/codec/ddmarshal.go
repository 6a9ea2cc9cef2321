package codec

import "errors"

// ErrBuffer is returned if a result does not fit in the buffer for it.
var ErrBuffer = errors.New("codec: buffer too small")

// Marshal writes d to buf as header extension data and returns the bytes
// written. The structure is written if Attached, and Active if ActivePresent:
// to send fewer decode targets than came, copy d, set both and marshal the copy
// (section A.4). The frame number written is FrameNumber. The error is ErrBuffer,
// or ErrTemplate if the structure has no template of the frame's layer.
func (d *Descriptor) Marshal(buf []byte) (n int, err error) {
	index, ok := d.bestTemplate()
	if !ok {
		return 0, ErrTemplate
	}
	from := &d.Structure.template[index].frameDependencies
	dtis := d.dti != from.dti
	diffs := d.fdiffs != from.fdiffs || d.count != from.count
	chains := d.chains != from.chains

	w := ddWriter{buf: buf[:min(len(buf), MaxDescriptorSize)]}
	w.flag(d.First)
	w.flag(d.Last)
	w.write(uint32(d.Structure.offset+index)&(maxTemplates-1), 6)
	w.write(uint32(d.FrameNumber), 16)
	if d.Attached || d.ActivePresent || dtis || diffs || chains {
		w.flag(d.Attached)
		w.flag(d.ActivePresent)
		w.flag(dtis)
		w.flag(diffs)
		w.flag(chains)
		if d.Attached {
			d.Structure.write(&w)
		}
		if d.ActivePresent {
			w.write(d.Active, d.Structure.DecodeTargets())
		}
	}
	d.writeCustom(&w, dtis, diffs, chains)
	if w.short {
		return 0, ErrBuffer
	}
	return (w.at + 7) / 8, nil
}

// writeCustom is the part of frame_dependency_definition() that is sent.
func (d *Descriptor) writeCustom(w *ddWriter, dtis, diffs, chains bool) {
	if dtis {
		writeIndications(w, d.dti, d.Structure.DecodeTargets())
	}
	if diffs {
		for _, diff := range d.fdiffs[:d.count] {
			size := max(1, (bitWidth(uint32(diff-1))+3)/4)
			w.write(uint32(size), 2)
			w.write(uint32(diff-1), 4*size)
		}
		w.write(0, 2)
	}
	if chains {
		for c := range d.Structure.Chains() {
			w.write(uint32(d.chains[c]), 8)
		}
	}
}

// bestTemplate finds the template of the frame's layer that needs the fewest
// bits beside it.
func (d *Descriptor) bestTemplate() (index uint8, ok bool) {
	best := 0
	for i := range d.Structure.templates {
		t := &d.Structure.template[i]
		if t.layer != d.Layer {
			continue
		}
		cost := 1
		if t.dti != d.dti {
			cost += 2 * d.Structure.DecodeTargets()
		}
		if t.fdiffs != d.fdiffs || t.count != d.count {
			cost += 2 + 6*int(d.count)
		}
		if t.chains != d.chains {
			cost += 8 * d.Structure.Chains()
		}
		if !ok || cost < best {
			index, best, ok = i, cost, true
		}
	}
	return index, ok
}
