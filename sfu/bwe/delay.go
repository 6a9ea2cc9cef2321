package bwe

import "math"

const (
	ms = 1000 // µs

	groupSpan   = 5 * ms // receivers hand packets over in steps of about this
	groupCount  = 256
	baseBuckets = 10 // of one second each

	// A queue counts as growing when even the least delayed packets of the last
	// detectSpan waited this much longer than the sending pattern explains.
	overuse     = 35 * ms
	overuseMost = 90 * ms
	detectSpan  = 80 * ms
	detectMost  = 160 * ms
	detectCount = 6

	busyDelay  = 12 * ms // a link with such a queue is never idle
	drained    = 18 * ms
	clockJump  = 5_000_000
	maxExplain = 300 * ms
)

// group is what arrived within groupSpan.
type group struct {
	first, last int64 // arrival, receiver's µs
	lastSent    int64
	bytes       int64
	packets     int
	gap         bool  // packets before it were not reported on
	delay       int64 // least one-way delay, µs, with the unknown clock offset
	unexplained int64 // least one-way delay less the predicted queueing delay
}

// delays keeps the arrivals of about the last second and the base: the least
// one-way delay of the last 10 s, which is the path with empty queues.
type delays struct {
	ring  [groupCount]group
	count int64 // groups ever made; the newest is ring[(count-1)%groupCount]

	base    int64
	buckets [baseBuckets]int64
	bucket  int64 // second of the newest bucket
	known   bool
	spread
	gap bool // the next arrival comes after packets of unknown fate
}

// spread is how uneven arrivals are, in µs, beyond what the sending explains.
type spread struct {
	jitter float64 // mean deviation
	mean   float64
}

func (s *spread) note(excess float64) {
	s.mean += (excess - s.mean) / 128
	s.jitter += (min(math.Abs(excess-s.mean), 100*ms) - s.jitter) / 256
}

func (d *delays) newest() *group { return d.back(0) }

// back is the i-th group from the newest on, nil if there is none.
func (d *delays) back(i int64) *group {
	if i >= d.count || i >= groupCount {
		return nil
	}
	return &d.ring[(d.count-1-i)%groupCount]
}

// arrive notes a packet that arrived; now is the time of the report.
func (d *delays) arrive(p *packet, arrival, now int64) {
	delay := arrival - p.sent
	if d.known && (delay-d.base > clockJump || d.base-delay > clockJump) {
		d.known, d.count = false, 0 // the receiver set its clock
	}
	d.noteBase(delay, now)
	unexplained := delay - int64(p.predicted)
	d.note(float64(max(unexplained-d.base, 0)))

	g := d.newest()
	if g == nil || d.gap || arrival-g.first > groupSpan {
		d.count++
		g = d.newest()
		*g = group{first: arrival, last: arrival, gap: d.gap, delay: delay, unexplained: unexplained}
		d.gap = false
	}
	g.last = max(g.last, arrival)
	g.lastSent = max(g.lastSent, p.sent)
	g.bytes += int64(p.size)
	g.packets++
	g.delay = min(g.delay, delay)
	g.unexplained = min(g.unexplained, unexplained)
}

func (d *delays) noteBase(delay, now int64) {
	second := now / 1_000_000
	if !d.known {
		d.rebase(delay, now)
		return
	}
	for d.bucket < second { // empty seconds take the value before them
		if second-d.bucket > baseBuckets {
			d.bucket = second - baseBuckets
		}
		d.buckets[(d.bucket+1)%baseBuckets] = delay
		d.bucket++
	}
	i := d.bucket % baseBuckets
	d.buckets[i] = min(d.buckets[i], delay)
	d.base = d.buckets[0]
	for _, b := range d.buckets[1:] {
		d.base = min(d.base, b)
	}
}

// rebase takes delay as that of the path with empty queues.
func (d *delays) rebase(delay, now int64) {
	d.known, d.base, d.bucket = true, delay, now/1_000_000
	for i := range d.buckets {
		d.buckets[i] = delay
	}
}

func (d *delays) threshold() int64 {
	return min(overuse+int64(1.5*d.jitter), overuseMost)
}

// least is the least queueing delay, all and unexplained, of the arrivals of
// the last span µs; further back, up to most, until there are count packets.
func (d *delays) least(span, most int64, count int) (queue, unexplained int64, packets int) {
	end := d.newest()
	if end == nil || !d.known {
		return 0, 0, 0
	}
	queue, unexplained = end.delay, end.unexplained
	for i := int64(0); ; i++ {
		g := d.back(i)
		if g == nil {
			break
		}
		if age := end.last - g.last; age > most || age > span && packets >= count {
			break
		}
		queue, unexplained = min(queue, g.delay), min(unexplained, g.unexplained)
		packets += g.packets
	}
	return queue - d.base, unexplained - d.base, packets
}

// steep tells that the last few arrivals alone leave no doubt, as when the path
// now delivers so little that few arrive at all.
func (d *delays) steep(threshold int64) bool {
	_, unexplained, packets := d.least(40*ms, 100*ms, 3)
	return packets >= 3 && unexplained > threshold*3/2
}

// between is the least queueing delay of what arrived from..to µs before the
// newest arrival and after since; false if nothing did.
func (d *delays) between(from, to, since int64) (queue int64, ok bool) {
	end := d.newest()
	for i := int64(0); ; i++ {
		g := d.back(i)
		if g == nil || g.first < since || end.last-g.last > from {
			return queue, ok
		}
		if end.last-g.last >= to {
			if q := g.delay - d.base; !ok || q < queue {
				queue, ok = q, true
			}
		}
	}
}

// rate is the bit rate that arrived in the last span µs; 0 if little is known.
func (d *delays) rate(span int64) int64 {
	end := d.newest()
	var bytes int64
	for i := int64(0); ; i++ {
		g := d.back(i)
		if g == nil || end.last-g.last > span {
			return 0
		}
		next := d.back(i + 1)
		if next == nil || g.gap {
			return 0
		}
		bytes += g.bytes
		if end.last-next.last >= span*9/10 {
			return bytes * 8_000_000 / (end.last - next.last)
		}
	}
}

// busyRate is the bit rate that arrived while more was waiting than the target
// explains, up to the newest packet sent before sentBy, over at most the last
// second; that is what the path can deliver. span is over which time, in µs, it
// was measured.
func (d *delays) busyRate(sentBy int64) (rate, span int64) {
	busy := d.base + busyDelay + min(int64(d.jitter), busyDelay)
	var end *group
	var bytes int64
	for i := int64(0); ; i++ {
		g := d.back(i)
		if g == nil {
			return rate, span
		}
		if end == nil {
			if g.lastSent > sentBy || g.unexplained < busy {
				continue
			}
			end = g
		}
		next := d.back(i + 1)
		if next == nil || g.gap || next.unexplained < busy || end.last-next.last > 1_000_000 {
			return rate, span
		}
		bytes += g.bytes
		if s := end.last - next.last; s > 0 {
			rate, span = bytes*8_000_000/s, s
		}
	}
}
