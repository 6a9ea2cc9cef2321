package downtrack

import (
	"time"

	"diemcau/sfu/bwe"
	"diemcau/sfu/fanout"
)

// A video packet that may not leave yet waits as a reference into its layer's
// ring, in front of everything that is done to it: when it leaves it is read
// again and treated as if it came just then. What a stream no longer wants when
// its time has come costs nothing, and leaves no gap in the numbers.

const (
	maxPaced   = 1024 // packets waiting per line
	maxWait    = time.Second
	paceFactor = 2.5    // video leaves at so many times the estimate,
	paceTight  = 1.15   // or so many where the path carries no more than that
	paceBurst  = 0.005  // seconds of the estimate may leave at once, and the rest of a packet
	maxDebt    = 24_000 // bits that sound and repairs, which are not paced, make video wait for at most
	probeLate  = 4      // a probe that lasts so many times its duration is given up
)

// waiting is a packet that waits.
type waiting struct {
	d       *DownTrack
	layer   int8
	seq     uint16
	arrival time.Time
}

type pacer struct {
	queue  []waiting // ring
	first  int
	n      int
	tokens float64 // bits that may leave now
	filled time.Time

	probe    bwe.Probe // ID 0: none
	left     int       // bytes of it still to be sent
	probeEnd time.Time
}

func (p *pacer) len() int { return p.n }

func (p *pacer) push(w waiting) bool {
	if p.n == maxPaced {
		return false
	}
	if p.n == len(p.queue) {
		grown := make([]waiting, max(64, 2*len(p.queue)))
		for i := range p.n {
			grown[i] = p.queue[(p.first+i)%len(p.queue)]
		}
		p.queue, p.first = grown, 0
	}
	p.queue[(p.first+p.n)%len(p.queue)] = w
	p.n++
	return true
}

func (p *pacer) pop() waiting {
	w := p.queue[p.first]
	p.queue[p.first] = waiting{}
	p.first = (p.first + 1) % len(p.queue)
	p.n--
	return w
}

// forget takes the packets of a stream out.
func (p *pacer) forget(d *DownTrack) {
	for n := p.n; n > 0; n-- {
		if w := p.pop(); w.d != d {
			p.push(w)
		}
	}
	d.paced = 0
}

// refill adds what became free since the last time, at rate bits per second.
// No more than most bits may leave at once.
func (p *pacer) refill(rate, most float64, now time.Time) {
	if p.filled.IsZero() || p.tokens > most {
		p.tokens = most
	} else if d := now.Sub(p.filled).Seconds(); d > 0 {
		p.tokens = min(p.tokens+rate*d, most)
	}
	p.filled = now
}

func (p *pacer) begin(probe bwe.Probe, now time.Time) {
	p.probe, p.left = probe, probe.Bytes
	p.probeEnd = now.Add(probeLate*probe.Duration + 20*time.Millisecond)
}

func (p *pacer) end() { p.probe, p.left = bwe.Probe{}, 0 }

// count takes a packet of so many bytes off the tokens and the probe under way,
// and tells the probe it belongs to, 0 if none.
func (p *pacer) count(bytes int) (probe int) {
	p.tokens = max(p.tokens-float64(8*bytes), -maxDebt)
	if probe = p.probe.ID; probe != 0 {
		if p.left -= bytes; p.left <= 0 {
			p.end()
		}
	}
	return probe
}

// rate at which video leaves, in bits per second, and how many bits of it may leave
// at once.
func (l *Line) rate() (rate, most float64) {
	target := float64(l.est.Target())
	switch {
	case l.pacer.probe.ID != 0:
		target = float64(l.pacer.probe.Rate)
		rate = target
	case l.tight:
		rate = paceTight * target
	default:
		rate = paceFactor * target
	}
	return rate, target * paceBurst
}

// refill lets leave what has become free by now.
func (l *Line) refill(now time.Time) {
	rate, most := l.rate()
	l.pacer.refill(rate, most, now)
}

// pass tells whether a video packet may leave now; if not, it is queued.
func (l *Line) pass(d *DownTrack, layer int, p *fanout.Packet) bool {
	if !l.estimate {
		return true
	}
	l.refill(p.Now)
	if l.pacer.len() == 0 && l.pacer.tokens > 0 && !l.behind {
		return true
	}
	if !l.pacer.push(waiting{d, int8(layer), p.Header.SequenceNumber, p.Arrival}) {
		l.drop(d)
		return false
	}
	d.paced++
	l.worker.Wake(l)
	return false
}

// drop gives up what waits of a stream, and what of it is under way.
func (l *Line) drop(d *DownTrack) {
	d.cut()
	l.pacer.forget(d)
}

// Pace implements fanout.Line: what waits leaves as far as the rate allows, and
// a probe is filled up.
func (l *Line) Pace(now time.Time) (again bool) {
	p := &l.pacer
	l.refill(now)
	for p.len() > 0 && p.tokens > 0 && !l.behind {
		w := p.pop()
		w.d.paced--
		if w.d.closed.Load() {
			continue
		}
		if now.Sub(w.arrival) > maxWait {
			l.drop(w.d) // later it would only be in the way of what is new
			continue
		}
		w.d.forwardAgain(w, now)
	}
	if p.probe.ID != 0 && now.After(p.probeEnd) {
		p.end()
	}
	for p.probe.ID != 0 && p.tokens > 0 && !l.behind {
		if !l.fill(now) {
			p.end()
		}
	}
	return p.len() > 0 && !l.behind || p.probe.ID != 0
}

// fill sends one packet that is there only to be measured.
func (l *Line) fill(now time.Time) bool {
	for _, d := range l.tracks {
		if d.padding(now) {
			return true
		}
	}
	return false
}

// canProbe tells whether there is a stream to send padding in.
func (l *Line) canProbe() bool {
	for _, d := range l.tracks {
		if d.canPad() {
			return true
		}
	}
	return false
}
