package bwe

import (
	"math"
	"time"
)

const (
	probePackets = 5
	// probeQueue is the queue, in µs, a probe adds if the path delivers Target, and how
	// long it is at least; spareQueue is that of a probe for more than is wished.
	probeQueue   = 40 * ms
	spareQueue   = 20 * ms
	probeLongest = 120 * ms

	// covered and aim relate to the wish: Target covers it, a probe goes for it.
	covered = 1.02
	aim     = 1.15

	// headroom is what of a measured rate is given out.
	headroom = 0.97
	doubtful = 0.92
)

// Of probes for more than is wished.
const (
	spareAfter = 3_000 * ms // since the beginning, when there is more to do
	spareEvery = 500 * ms
	mostSpares = 7 // for one path; five suffice from 1 to 25 Mbps
)

// backoff is the wait after so many failures in a row.
var backoff = [...]int64{1_500 * ms, 3_000 * ms, 3_600 * ms}

// A Probe is a short time of sending faster than before, to learn whether the
// path carries it. The caller sends Bytes bytes at Rate: media counts, padding
// or retransmissions are the rest. All packets sent meanwhile are marked with
// ID, and there must be at least MinPackets.
type Probe struct {
	ID         int
	Rate       int64 // bits per second
	Bytes      int
	Duration   time.Duration
	MinPackets int
}

// prober plans probes and judges them. Times are µs.
type prober struct {
	id     int // of the newest probe
	active bool
	spare  bool // for more than is wished
	rate   int64
	begin  int64
	end    int64
	next   int64 // no probe before
	fails  int   // in a row
	streak int   // successes in a row
	fast   bool  // the last one succeeded, or none failed yet

	probes, failures int // ever, for Stats

	sent, got, lost     int
	sentBytes           int64
	gotBytes, lostBytes int64
	firstSize, lastSize int64 // of the first and the last received
	firstSent, lastSent int64
	firstGot, lastGot   int64
	firstSeq, lastSeq   int64
	sumX, sumY          float64 // sent and delay from the first on, for the trend
	sumXX, sumXY        float64

	// Since the least delayed packet so far the path was never idle.
	idleDelay, busySince int64
	busyBytes            int64
	busy                 int
}

func (p *prober) start(rate, target, now int64, queue int) Probe {
	span := probeLongest
	if rate > target {
		span = int(float64(queue) / (float64(rate)/float64(target) - 1))
	}
	span = max(min(span, probeLongest), queue)
	*p = prober{id: p.id%math.MaxUint16 + 1, active: true, rate: rate, begin: now, end: now + int64(span),
		next: p.next, fails: p.fails, streak: p.streak, fast: p.fast, probes: p.probes + 1, failures: p.failures}
	bytes := rate * int64(span) / 8_000_000
	return Probe{ID: p.id, Rate: rate, Bytes: int(bytes), Duration: time.Duration(span) * time.Microsecond, MinPackets: probePackets}
}

func (p *prober) noteSent(size int) {
	p.sent++
	p.sentBytes += int64(size)
}

func (p *prober) noteGot(pk *packet, arrival int64) {
	size := int64(pk.size)
	p.got++
	p.gotBytes += size
	delay := arrival - pk.sent
	p.busyBytes += size
	p.busy++
	if p.got == 1 || delay <= p.idleDelay+ms {
		p.idleDelay, p.busySince, p.busyBytes, p.busy = delay, arrival, 0, 0
	}
	if p.got == 1 {
		p.firstSent, p.firstGot, p.firstSeq, p.firstSize = pk.sent, arrival, int64(pk.seq), size
	}
	if int64(pk.seq) >= p.lastSeq {
		p.lastSent, p.lastGot, p.lastSeq, p.lastSize = pk.sent, max(arrival, p.lastGot), int64(pk.seq), size
	}
	x := float64(pk.sent - p.firstSent)
	y := float64(arrival-p.firstGot) - x
	p.sumX += x
	p.sumY += y
	p.sumXX += x * x
	p.sumXY += x * y
}

func (p *prober) noteLost(size int64) {
	p.lost++
	p.lostBytes += size
}

// done tells that all is known of the probe that will be.
func (p *prober) done(now, rtt int64) bool {
	return p.active && now >= p.end && (p.sent > 0 && p.got+p.lost >= p.sent || now > p.end+rtt+400*ms)
}

// trend is the growth of the delay per time.
func (p *prober) trend() float64 {
	n := float64(p.got)
	if v := n*p.sumXX - p.sumX*p.sumX; v > 0 {
		return (n*p.sumXY - p.sumX*p.sumY) / v
	}
	return 0
}

// result is what a probe showed. Rates are in bits per second.
type result struct {
	rate  int64 // what the path carried
	claim int64 // what of it may be relied upon
	limit bool  // it carries no more than rate; else it was all that was sent
	lossy bool  // the limit shows in loss
}

// result judges the probe. Loss up to floor is no limit. It is not ok if too
// little is known.
func (p *prober) result(floor, jitter float64) (r result, ok bool) {
	if p.got < 3 || p.got+p.lost < p.sent || p.lastSent-p.firstSent < 10*ms || p.lastGot <= p.firstGot {
		return result{}, false
	}
	n := float64(p.got + p.lost)
	bytes := p.gotBytes
	r.lossy = float64(p.lost) > n*floor+2.5*math.Sqrt(n*floor*(1-floor))+1
	if !r.lossy {
		bytes += p.lostBytes
	}
	sent := (p.gotBytes + p.lostBytes - p.lastSize) * 8_000_000 / (p.lastSent - p.firstSent)
	got := (bytes - p.firstSize) * 8_000_000 / (p.lastGot - p.firstGot)
	if jitter < 5*ms && p.busy >= 4 && p.lastGot-p.busySince > (p.lastGot-p.firstGot)/2 {
		got = max(got, p.busyBytes*8_000_000/(p.lastGot-p.busySince)) // the exact measure of a full path
	}
	trend := 0.06 // more than jitter makes by chance
	if jitter > 5*ms {
		trend += jitter / float64(p.lastSent-p.firstSent)
	}
	slower := float64(got) < 0.9*float64(sent)
	r.limit = r.lossy || slower && p.trend() > trend
	switch {
	case r.lossy, slower, jitter < 5*ms:
		r.rate = min(sent, got)
	default: // the jitter is more than the difference
		r.rate = sent
	}
	r.rate = min(r.rate, p.rate)
	share := headroom
	switch { // less if it was too short, or the path too uneven, to tell a few percent
	case !r.limit && (p.end-p.begin < 80*ms || jitter >= 5*ms):
		share = doubtful
	case jitter > 2*ms:
		share = headroom - 0.01
	}
	r.claim = int64(share * float64(r.rate))
	return r, true
}

// failed and succeeded plan the next one.
func (p *prober) failed(now int64) {
	p.failures++
	p.next = now + backoff[min(p.fails, len(backoff)-1)]
	p.fails++
	p.streak = 0
	p.active, p.fast = false, false
}

func (p *prober) succeeded(now int64, fast bool) {
	p.next = now
	p.streak++
	if p.streak > 1 { // one alone may be followed by the next failure
		p.fails = 0
	}
	p.active, p.fast = false, fast
}

// unknown is for a probe of which too little was reported.
func (p *prober) unknown(now int64) {
	p.next = now + 100*ms
	p.active = false
}
