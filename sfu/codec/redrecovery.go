package codec

const redWindow = 64 // sequence numbers remembered

// REDRecovery finds in the RED payloads of one received stream the packets that
// were lost. A redundant block tells its timestamp and not its sequence number.
// Blocks are taken for the packets directly before, and only where that is
// certain: the timestamps fall into the regular step between packets, or the
// packets on either side are known and leave room for one only. The zero value is
// a stream before its first packet. It is not safe for concurrent use.
type REDRecovery struct {
	started bool
	high    int64  // newest sequence number, unrolled
	first   int64  // oldest of which anything is known
	step    uint32 // timestamps from one packet to the next; 0 if not known yet

	known [redWindow]bool // of sequence number n at n modulo redWindow
	ts    [redWindow]uint32
}

// Recover reads the RED payload of packet seq. It calls emit for each packet
// that is in it, was not seen, and was not emitted before, oldest first; opus is
// a part of payload. fresh is whether packet seq itself is new: false if it was
// seen or emitted already. A payload that is no RED emits nothing.
func (r *REDRecovery) Recover(
	seq uint16, ts uint32, payload []byte, emit func(seq uint16, ts uint32, opus []byte),
) (fresh bool) {
	if !r.started {
		r.started = true
		r.high, r.first = int64(seq)+1<<16, int64(seq)+1<<16
		r.note(r.high, ts)
		return true // nothing before it was lost to us
	}
	n := r.high + int64(int16(seq-uint16(r.high)))
	if n <= r.high-redWindow {
		if n < r.high-maxLate { // started again
			*r = REDRecovery{}
			return r.Recover(seq, ts, payload, emit)
		}
		return true // too late to know
	}
	fresh = !r.has(n)
	r.advance(n)
	r.note(n, ts)
	var blocks [MaxREDBlocks]REDBlock
	count, err := ParseRED(payload, &blocks)
	if err != nil {
		return fresh
	}
	for i := range count - 1 {
		b, back := &blocks[i], int64(count-1-i)
		if len(b.Data) == 0 || !r.certain(n, ts, back, uint32(b.Offset)) {
			continue
		}
		r.note(n-back, ts-uint32(b.Offset))
		emit(seq-uint16(back), ts-uint32(b.Offset), b.Data)
	}
	return fresh
}

// certain tells whether a block that is offset older than packet n, and the
// back-th before it, is packet n-back, and that packet is lost.
func (r *REDRecovery) certain(n int64, ts uint32, back int64, offset uint32) bool {
	lost := n - back
	if lost <= r.first || lost <= r.high-redWindow || r.has(lost) || offset == 0 {
		return false
	}
	at := ts - offset
	older, newer := lost-1, lost+1
	for older > r.first && older > r.high-redWindow && !r.has(older) {
		older--
	}
	for newer < n && !r.has(newer) {
		newer++
	}
	if r.has(older) && int32(at-r.at(older)) <= 0 || int32(r.at(newer)-at) <= 0 {
		return false // out of order: it is another packet
	}
	if r.step > 0 && offset == uint32(back)*r.step {
		return true
	}
	return newer-older == 2 && r.has(older)
}

func (r *REDRecovery) has(n int64) bool {
	return n >= r.first && n <= r.high && n > r.high-redWindow && r.known[n&(redWindow-1)]
}

func (r *REDRecovery) at(n int64) uint32 { return r.ts[n&(redWindow-1)] }

func (r *REDRecovery) advance(n int64) {
	if n-r.high >= redWindow {
		r.known = [redWindow]bool{}
		r.high = n
		r.first = max(r.first, n-redWindow+1)
		return
	}
	for r.high < n {
		r.high++
		r.known[r.high&(redWindow-1)] = false
	}
}

// note remembers a packet, and the step to the one before it.
func (r *REDRecovery) note(n int64, ts uint32) {
	if r.has(n - 1) {
		if step := ts - r.at(n-1); step > 0 && step < maxREDOffset {
			r.step = step
		}
	}
	r.known[n&(redWindow-1)], r.ts[n&(redWindow-1)] = true, ts
}
