package codec

// The flags of extended_descriptor_fields(), section A.8.2, in the byte that
// follows the mandatory fields.
const (
	ddAttached = 0x80
	ddActive   = 0x40
	ddCustom   = 0x38 // any of the three
	ddFlags    = 5    // bits
)

// activeTargets decides which packets of one subscriber's stream carry
// active_decode_targets_bitmask. A subscriber takes all targets of a structure for
// active until it is told otherwise, and waits for the chains of active ones, so it
// must learn what is not forwarded (section A.4.4): with each structure, and
// whenever it changes. The packet that tells it may be lost. So it is told with all
// packets until each chain that matters had a frame that told it: who misses these
// frames finds that chain broken, and has to ask for a structure in any case. What
// a chain's last frame was, the next frame says. A stream without chains is told it
// in every packet.
type activeTargets struct {
	mask   uint32
	since  int64  // outgoing frame number from which on mask holds
	unsent uint32 // chains that had no frame with it as yet
}

// follow takes the mask that holds from frame out on, no older one than those before.
func (a *activeTargets) follow(d *Descriptor, out int64, mask uint32) {
	if d.Attached {
		a.mask, a.unsent = d.Structure.AllTargets(), 0
	}
	if mask != 0 && mask != a.mask {
		a.mask, a.since, a.unsent = mask, out, d.Structure.chainsOf(mask)
		return
	}
	if a.unsent == 0 {
		return
	}
	for c := range d.Structure.Chains() {
		if diff := d.ChainDiff(c); diff != 0 && out-diff >= a.since {
			a.unsent &^= 1 << c
		}
	}
}

// due tells whether a packet of frame out carries the mask.
func (a *activeTargets) due(d *Descriptor, out int64) bool {
	switch {
	case d.Attached:
		return d.ActivePresent || a.mask != d.Structure.AllTargets()
	case d.ActivePresent:
		return true // it is the publisher's, which sends more
	}
	return a.unsent != 0 && out >= a.since
}

// chainsOf is the bit mask of the chains that protect any of the targets; without
// chains all bits are set.
func (s *Structure) chainsOf(targets uint32) uint32 {
	if s.chains == 0 {
		return ^uint32(0)
	}
	mask := uint32(0)
	for t := range s.targets {
		if targets>>t&1 != 0 {
			mask |= 1 << s.protectedBy[t]
		}
	}
	return mask
}

// writeActive puts a mask of so many targets into the descriptor b[:n] and returns
// its new length. What follows the mask is moved, and may end in up to a byte more
// of zero_padding than it needs. Where b is too short, or the descriptor is
// malformed, it stays as it is.
func writeActive(b []byte, n int, active uint32, targets int) int {
	var tail [MaxDescriptorSize]byte
	copy(tail[:], b[:n])
	from := ddReader{buf: tail[:max(n, ddMandatory+1)], at: 8*ddMandatory + ddFlags}
	flags := tail[ddMandatory] // 0 if there are only the mandatory fields
	if flags&ddAttached != 0 {
		var s Structure
		if !s.read(&from) || s.DecodeTargets() != targets {
			return n
		}
	}
	at := from.at
	if flags&ddActive != 0 {
		from.read(targets)
	}
	rest := 0
	if flags&ddCustom != 0 {
		rest = 8*len(from.buf) - from.at
	}
	size := (at + targets + rest + 7) / 8
	if from.short || size > len(b) {
		return n
	}
	to := ddWriter{buf: b[:size], at: 8 * ddMandatory}
	to.write(uint32(flags|ddActive), 8)
	to.at = at
	b[at/8] &^= 0xFF >> (at % 8)
	to.write(active, targets)
	for ; rest > 0; rest -= min(rest, 32) {
		to.write(from.read(min(rest, 32)), min(rest, 32))
	}
	return size
}
