package bwe

import "math"

const (
	lossBins = 32
	lossBin  = 100 * ms

	// outage is a time in which nothing arrived at all: the link was away, which
	// says nothing about the rate.
	outage = 120 * ms

	floorSlots = 6 // of five seconds each
)

type lossVerdict int

const (
	lossNone      lossVerdict = iota
	lossCut                   // settle at the delivered rate, and see
	lossRestore               // it made no difference: the loss is the path's own
	lossConfirmed             // the loss went away: what was delivered is the limit
)

// bin is what was reported in lossBin.
type bin struct {
	at int64 // number of the bin since the beginning
	tally
}

// tally counts packets, and how long a burst each came in: its predicted
// queueing delay in ms, of all and of those lost.
type tally struct {
	got, lost        int
	burst, burstLost float64
	burstSquared     float64
}

func (a *tally) add(b *tally) {
	a.got += b.got
	a.lost += b.lost
	a.burst += b.burst
	a.burstLost += b.burstLost
	a.burstSquared += b.burstSquared
}

func (a *tally) note(p *packet) {
	x := float64(p.predicted) / ms
	a.burst += x
	a.burstSquared += x * x
}

func (a *tally) ratio() float64 {
	if a.got+a.lost == 0 {
		return 0
	}
	return float64(a.lost) / float64(a.got+a.lost)
}

// dependence is by how many standard deviations lost packets stood further back
// in their bursts than others. A policer takes the end of a burst; loss on the
// air does not care. known is false if the sending is too even to tell.
func (a *tally) dependence() (z float64, known bool) {
	n, got, lost := float64(a.got+a.lost), float64(a.got), float64(a.lost)
	if got < 20 || lost < 8 {
		return 0, false
	}
	mean := a.burst / n
	deviation := math.Sqrt(max(a.burstSquared/n-mean*mean, 0))
	if deviation < 0.5 {
		return 0, false
	}
	return (a.burstLost/lost - (a.burst-a.burstLost)/got) / (deviation * math.Sqrt(1/lost+1/got)), true
}

// losses tells loss that comes from sending too much, as behind a policer or a
// very short queue, from loss that is always there. It knows by trying: it has
// the rate lowered to what is delivered, and watches whether the loss goes.
type losses struct {
	bins [lossBins]bin

	// The loss between two arrivals, not yet known to be more than an outage.
	run     tally
	lastGot int64 // when the newest received packet was sent

	floor float64 // share of loss that does not depend on our rate
	slots [floorSlots]float64
	slot  int64

	testing  bool
	since    int64
	before   float64 // loss when the test began
	notUntil int64   // no test of moderate loss before
	quiet    int64   // losses up to here belong to a queue
}

func (l *losses) bin(now int64) *bin {
	at := now / lossBin
	b := &l.bins[at%lossBins]
	if b.at != at {
		*b = bin{at: at}
	}
	return b
}

func (l *losses) noteGot(p *packet, now int64) {
	b := l.bin(now)
	b.got++
	b.note(p)
	if l.run.lost > 0 {
		if p.sent-l.lastGot < outage {
			b.add(&l.run)
		}
		l.run = tally{}
	}
	l.lastGot = max(l.lastGot, p.sent)
}

func (l *losses) noteLost(p *packet) {
	l.run.lost++
	l.run.note(p)
	l.run.burstLost += float64(p.predicted) / ms
}

// noteLate takes back a loss: the packet came after all.
func (l *losses) noteLate(now int64) {
	if l.run.lost > 0 {
		l.run.lost--
	} else if b := l.bin(now); b.lost > 0 {
		b.lost--
	}
}

// over sums what was reported in the last span µs, but not before since.
func (l *losses) over(span, since, now int64) tally {
	var sum tally
	from := max(now-span, since) / lossBin
	for i := range l.bins {
		if b := &l.bins[i]; b.at > from && b.at <= now/lossBin {
			sum.add(&b.tally)
		}
	}
	return sum
}

// ratio is the share of packets lost in the last two seconds.
func (l *losses) ratio(now int64) float64 {
	sum := l.over(2_000*ms, 0, now)
	return sum.ratio()
}

// ignore forgets what was lost so far: a queue was full, or the link away.
func (l *losses) ignore(now int64) {
	l.quiet = now + 300*ms
	l.testing = false
	l.run = tally{}
}

// learnFloor keeps the least loss of the last half minute.
func (l *losses) learnFloor(now int64) {
	sum := l.over(3_000*ms, l.quiet, now)
	if sum.got+sum.lost < 100 {
		return
	}
	slot := now / 5_000_000
	for l.slot < slot {
		l.slot = max(l.slot, slot-floorSlots) + 1
		l.slots[l.slot%floorSlots] = sum.ratio()
	}
	l.slots[l.slot%floorSlots] = sum.ratio()
	l.floor = l.slots[0]
	for _, s := range l.slots[1:] {
		l.floor = min(l.floor, s)
	}
}

func (l *losses) setFloor(ratio float64, now int64) {
	l.floor, l.slot = ratio, now/5_000_000
	for i := range l.slots {
		l.slots[i] = ratio
	}
}

// judge says what to do about the loss of late.
func (l *losses) judge(now int64) lossVerdict {
	if now < l.quiet {
		return lossNone
	}
	if l.testing {
		return l.conclude(now)
	}
	l.learnFloor(now)
	const long, short = 2_000 * ms, 500 * ms
	sum := l.over(short, l.quiet, now)
	heavy := sum.lost >= 12 && sum.ratio() > l.floor+0.2
	if !heavy {
		if now < l.notUntil || now-l.quiet < long {
			return lossNone
		}
		sum = l.over(long, l.quiet, now)
		n, f := float64(sum.got+sum.lost), max(l.floor, 0.02)
		if sum.lost < 20 || float64(sum.lost) < n*(l.floor+0.05)+3.5*math.Sqrt(n*f*(1-f)) {
			return lossNone
		}
	}
	if z, known := sum.dependence(); known && z < 3 {
		if whole := l.over(long, l.quiet, now); z < 2 && now-l.quiet >= long {
			if z, known = whole.dependence(); known && z < 2 {
				l.setFloor(whole.ratio(), now)
			}
		}
		return lossNone
	}
	l.testing, l.since, l.before = true, now, sum.ratio()
	return lossCut
}

// conclude ends the test once the lower rate has shown its effect.
func (l *losses) conclude(now int64) lossVerdict {
	const settle = 400 * ms
	if now-l.since < 1_200*ms {
		return lossNone
	}
	sum := l.over(lossBin*lossBins, l.since+settle, now)
	if sum.got+sum.lost < 50 && now-l.since < 3_000*ms {
		return lossNone
	}
	l.testing = false
	l.notUntil = now + 20_000*ms
	if after := sum.ratio(); after-l.floor > 0.4*(l.before-l.floor) {
		l.setFloor(min(l.before, after), now)
		return lossRestore
	}
	return lossConfirmed
}
