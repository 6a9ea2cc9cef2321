// Package bwe estimates, at the sender, how much the path to one subscriber
// carries. Its input is what was sent and the receiver's transport-wide
// congestion control reports; its output is a bit rate, a sign to stop while a
// queue drains, and probes.
//
// What it goes by, in this order:
//
//   - The queue. One-way delay less its minimum of the last 10 s is queueing
//     delay, whatever the clocks. The delay that our own bursts explain, given
//     the estimate, is taken off: a key frame is no congestion, the same delay
//     without one is. If even the least delayed packets of a moment waited too
//     long, the path is congested: what arrives while its queue is never empty
//     is what it delivers, and the rate settles below that once the queue is gone.
//   - Probes. The sender mostly has less to send than the path carries, so a
//     higher rate is tried shortly before it is relied upon. The estimate rises
//     by what was delivered, never by time, and does not fall by time either.
//   - Loss, only if it goes away when less is sent. See losses.
//   - Silence: without reports the path counts as congested.
//
// The package has no goroutines and no clock.
package bwe

import (
	"math"
	"time"
)

const (
	defaultRTT = 100 * ms
	longestRTT = 2_000 * ms

	// silence is how long, beyond the round trip, reports may stay away.
	silence = 600 * ms
)

// Config bounds the estimate, in bits per second.
type Config struct {
	Min, Start, Max int64
	// Spare is up to which it is tried what a path carries beyond what is wished, so
	// that frames may leave faster; 0: not at all. It is not tried on a path whose
	// limit was met.
	Spare int64
}

// Stats is for logs and metrics. Rates are in bits per second.
type Stats struct {
	Target        int64
	Acked         int64         // what arrived over the last half second
	Capacity      int64         // what the path delivered when it was last full; 0 never
	Loss          float64       // share of packets lost in the last 2 s
	LossFloor     float64       // share of loss that does not depend on the rate
	QueueDelay    time.Duration // of the least delayed packets of late
	RTT           time.Duration
	State         string // "start", "open", "draining", "silent" or "remb"
	Probes        int
	ProbeFailures int
	Congestions   int // times a queue was seen to grow
}

type state uint8

const (
	starting state = iota // no report yet
	open
	draining // the queue was seen to grow and is not gone yet
	silent   // reports stay away
	remb     // no reports, but receiver estimates
)

var stateNames = [...]string{"start", "open", "draining", "silent", "remb"}

// Estimator is the estimate for one subscriber. It is owned by one goroutine.
type Estimator struct {
	cfg    Config
	origin time.Time
	clock  int64

	history  history
	arrivals arrivals
	delays   delays
	losses   losses
	probe    prober

	state    state
	target   int64
	wish     int64
	rtt      int64 // µs
	capacity int64
	proven   int64 // highest rate that a probe showed
	spares   int   // probes beyond the wish that may still be made

	backlog     float64 // bytes of ours waiting at the bottleneck if it carries target
	backlogAt   int64
	correctedAt int64

	// Of the congestion under way.
	congestions int
	congestedAt int64
	congestedBy int64 // receiver's time of the newest arrival at that moment
	before      int64 // target before it
	queue       int64 // queueing delay when it was last heard of
	restored    int64 // when a false alarm last gave the target back

	// What a policer lets through, until it is tried again.
	ceiling      int64
	ceilingUntil int64
	ceilingHold  int64
	preLoss      int64 // target before a loss test

	visit       visit // the report under way
	lastSent    int64
	unanswered  int64 // first packet sent since the last report; -1 none
	lastReport  int64 // -1 none
	silentSince int64
}

// New returns an estimator that begins at cfg.Start.
func New(cfg Config, now time.Time) *Estimator {
	cfg.Min = max(cfg.Min, 1_000)
	cfg.Max = max(cfg.Max, cfg.Min)
	e := &Estimator{cfg: cfg, origin: now, rtt: defaultRTT, unanswered: -1, lastReport: -1, restored: -1 << 40, spares: mostSpares}
	e.probe.fast = true
	e.set(cfg.Start)
	return e
}

// us is the time the estimator counts in: µs since it began, never backwards.
func (e *Estimator) us(now time.Time) int64 {
	e.clock = max(e.clock, now.Sub(e.origin).Microseconds())
	return e.clock
}

func (e *Estimator) set(target int64) {
	e.target = max(min(target, e.cfg.Max), e.cfg.Min)
}

// raise sets the target unless a policer is known to stand below.
func (e *Estimator) raise(target, now int64) {
	if e.ceiling > 0 && now < e.ceilingUntil {
		target = min(target, e.ceiling)
	}
	if target > e.target && !e.losses.testing {
		e.set(target)
	}
}

// Sent notes a packet that left with transport-wide sequence number seq
// (draft-holmer-rmcat-transport-wide-cc-extensions-01). size is in bytes on the
// wire, with IP, UDP and SRTP. probe is the ID of the probe it belongs to, 0 none.
func (e *Estimator) Sent(seq uint16, size int, probe int, now time.Time) {
	t := e.us(now)
	size = max(min(size, math.MaxUint16), 0)
	p := e.history.add(seq, t)
	p.size = uint16(size)
	p.predicted = e.explain(size, t)
	if probe != 0 && e.probe.active && probe == e.probe.id {
		p.probe = uint16(probe)
		e.probe.noteSent(size)
	}
	e.lastSent = t
	if e.unanswered < 0 {
		e.unanswered = t
	}
}

// explain adds a packet to the queue it would find if the path carries what the
// target says, and returns how long, in µs, it waits there.
func (e *Estimator) explain(size int, now int64) int32 {
	bytesPerUS := float64(e.target) / headroom / 8e6
	if passed := now - e.backlogAt; passed > 0 {
		e.backlog = max(e.backlog-float64(passed)*bytesPerUS, 0)
		e.backlogAt = now
	}
	wait := e.backlog / bytesPerUS
	e.backlog = min(e.backlog+float64(size), maxExplain*bytesPerUS)
	return int32(min(wait, maxExplain))
}

// Feedback takes a transport-wide congestion control report, an RTCP packet
// (draft-holmer-rmcat-transport-wide-cc-extensions-01). It may come twice, late or
// never, and may say anything: the work is bounded. It is not kept.
func (e *Estimator) Feedback(packet []byte, now time.Time) {
	r, ok := parseReport(packet)
	if !ok {
		return
	}
	t := e.us(now)
	threshold, calm := e.delays.threshold(), e.delays.spread // of before: a growing queue is no jitter
	e.visit = visit{now: t}
	if e.history.skips(r.base) {
		e.delays.gap = true
	}
	e.history.walk(&r, e.arrivals.unroll(r.reference), e)
	if e.visit.news == 0 {
		return
	}
	e.heard(t)
	if e.visit.newest != nil {
		e.correctBacklog(e.visit.newest, e.visit.waited)
	}
	e.judgeDelay(t, threshold, calm)
	e.judgeLoss(t)
	e.judgeProbe(t)
}

// visit is what a report brought so far.
type visit struct {
	now    int64
	news   int     // packets not known to have arrived
	newest *packet // with a time
	waited int64   // of newest: its one-way delay less the base
}

// reported is called for each packet of a report.
func (e *Estimator) reported(p *packet, got, timed bool, arrival int64) {
	switch {
	case !got && p.state == inFlight:
		p.state = lost
		if p.probe == 0 {
			e.losses.noteLost(p)
		} else if int(p.probe) == e.probe.id {
			e.probe.noteLost(int64(p.size))
		}
	case got && p.state != received:
		e.noteReceived(p, timed, arrival, e.visit.now)
		e.visit.news++
		if timed {
			e.visit.newest, e.visit.waited = p, arrival-p.sent-e.delays.base
		}
	}
}

func (e *Estimator) noteReceived(p *packet, timed bool, arrival, now int64) {
	was := p.state
	p.state = received
	if p.probe == 0 {
		if was == lost {
			e.losses.noteLate(now)
		}
		e.losses.noteGot(p, now)
	}
	if !timed {
		return
	}
	e.delays.arrive(p, arrival, now)
	if p.probe != 0 && int(p.probe) == e.probe.id && e.probe.active && was == inFlight {
		e.probe.noteGot(p, arrival)
	}
}

// correctBacklog takes off what the path has drained faster than predicted.
func (e *Estimator) correctBacklog(p *packet, waited int64) {
	if p.sent < e.correctedAt {
		return // its prediction is of before the last correction
	}
	if over := int64(p.predicted) - max(waited, 0) - 5*ms; over > 0 {
		e.backlog = max(e.backlog-float64(over)*float64(e.target)/headroom/8e6, 0)
		e.correctedAt = e.clock
	}
}

// heard notes that the receiver is there.
func (e *Estimator) heard(now int64) {
	e.lastReport, e.unanswered = now, -1
	switch e.state {
	case starting, remb:
		e.state = open
		e.probe.next = now
	case silent:
		e.state = open
		share := 0.75
		if now-e.silentSince > 5_000*ms {
			share = 0.5
		}
		e.set(int64(share * float64(e.before)))
		e.probe.fails, e.probe.next = 0, now
		e.losses.ignore(now)
	}
}

func (e *Estimator) judgeLoss(now int64) {
	if e.state != open {
		return
	}
	switch e.losses.judge(now) {
	case lossCut:
		e.preLoss = e.target
		if rate := e.delays.rate(300 * ms); rate > 0 {
			e.set(min(rate*95/100, e.target))
		} else {
			e.set(e.target * 7 / 10)
		}
	case lossRestore:
		e.set(max(e.target, e.preLoss))
	case lossConfirmed:
		e.hold(now, 15_000*ms, 60_000*ms)
	}
}

func (e *Estimator) judgeProbe(now int64) {
	if !e.probe.done(now, e.rtt) || e.state == draining {
		return
	}
	r, ok := e.probe.result(max(e.losses.floor, e.losses.ratio(now)), e.delays.jitter)
	if !ok {
		e.probe.unknown(now)
		return
	}
	progress := r.claim > e.target*110/100
	switch {
	case r.claim < e.target && (!r.limit || !r.lossy && e.delays.jitter > 5*ms): // no proof of less either
	case r.limit && (r.claim < e.target || r.claim < e.target*115/100 && e.delays.jitter > 2*ms):
		// The limit again: better known by two measurements than by the higher.
		e.set((e.target + r.claim) / 2)
	default:
		e.raise(r.claim, now)
	}
	if r.limit {
		e.capacity = r.rate
	} else {
		e.proven = max(e.proven, r.claim)
	}
	if e.probe.spare { // whatever it showed, there is no hurry
		e.probe.active, e.probe.next = false, now+spareEvery
		return
	}
	if progress || r.rate >= e.probe.rate*85/100 && !r.limit {
		e.probe.succeeded(now, !r.limit)
		return
	}
	e.probe.failed(now)
	if r.lossy && e.probe.fails > 1 { // what it costs is lost, so it is tried more seldom
		e.hold(now, 4_000*ms, 8_000*ms)
	}
}

// hold keeps the target from rising for a time that doubles from least to most.
func (e *Estimator) hold(now, least, most int64) {
	if now > e.ceilingUntil+60_000*ms {
		e.ceilingHold = 0
	}
	e.ceilingHold = max(min(2*e.ceilingHold, most), least)
	e.ceiling, e.ceilingUntil = e.target, now+e.ceilingHold
}

// REMB takes a receiver's estimate in bits per second
// (draft-alvestrand-rmcat-remb). It is used only while no reports come.
func (e *Estimator) REMB(bps int64, now time.Time) {
	t := e.us(now)
	if bps <= 0 || e.lastReport >= 0 && t-e.lastReport < 3_000*ms {
		return
	}
	e.state = remb
	e.set(bps)
}

// SetRTT tells the round-trip time.
func (e *Estimator) SetRTT(rtt time.Duration) {
	if rtt > 0 {
		e.rtt = min(rtt.Microseconds(), longestRTT)
	}
}

// SetWish tells how much, in bits per second, could be used at most if there
// were room. Probes aim a bit above it, and there are none once Target covers it, but
// for those of Config.Spare.
func (e *Estimator) SetWish(bps int64) {
	e.wish = max(min(bps, int64(float64(e.cfg.Max)/covered)), 0)
}

// NextProbe is a probe that should begin now, if any. While reports stay away
// and nothing else is sent, it is a few small packets to find out when the path
// is back.
func (e *Estimator) NextProbe(now time.Time) (Probe, bool) {
	t := e.us(now)
	if e.state == silent {
		if t-e.lastSent < 250*ms || t < e.probe.next {
			return Probe{}, false
		}
		e.probe.next = t + 250*ms
		p := e.probe.start(e.cfg.Min, e.cfg.Min, t, probeQueue)
		e.probe.active = false // its only aim is any report at all
		p.Bytes, p.Duration, p.MinPackets = 300, 10*time.Millisecond, 2
		return p, true
	}
	if e.state != open || e.probe.active || e.losses.testing || t < e.probe.next {
		return Probe{}, false
	}
	if float64(e.target) >= covered*float64(e.wish) {
		return e.spareProbe(t)
	}
	rate := e.target * 3 / 2
	if e.probe.fast {
		rate = e.target * 2
	}
	rate = min(rate, int64(aim*float64(e.wish)), int64(float64(e.cfg.Max)/headroom))
	if e.ceiling > 0 && t < e.ceilingUntil || rate < e.target*102/100 {
		return Probe{}, false
	}
	if queue, _, _ := e.delays.least(detectSpan, detectMost, detectCount); queue > drained+min(int64(e.delays.jitter), 15*ms) {
		return Probe{}, false
	}
	return e.probe.start(rate, e.target, t, probeQueue), true
}

// spareProbe tries twice of what the path has carried, in order not to disturb one
// that carries no more.
func (e *Estimator) spareProbe(t int64) (Probe, bool) {
	base := max(e.proven, e.delays.rate(500*ms))
	rate := min(2*base, e.cfg.Spare)
	if base == 0 || rate < base*110/100 || t < spareAfter || e.capacity > 0 || e.spares == 0 || e.ceiling > 0 && t < e.ceilingUntil || e.losses.floor > 0 {
		return Probe{}, false
	}
	if queue, _, _ := e.delays.least(detectSpan, detectMost, detectCount); queue > drained {
		return Probe{}, false
	}
	e.spares--
	p := e.probe.start(rate, base, t, spareQueue)
	e.probe.spare = true
	return p, true
}

// Target is the bit rate that may be spent on everything, overhead included.
func (e *Estimator) Target() int64 { return e.target }

// Congested tells that the path's queue is growing or full right now, or that
// nothing is heard of the receiver: only audio should be sent until it is false.
// A receiver that never sent a report does not count as silent.
func (e *Estimator) Congested(time.Time) bool { return e.state == draining || e.state == silent }

// Tick is to be called every 20 to 100 ms. It notices what does not come.
func (e *Estimator) Tick(now time.Time) {
	t := e.us(now)
	switch e.state {
	case starting, remb:
		return
	case silent:
	default:
		if e.unanswered >= 0 && t-e.unanswered > silence+e.rtt {
			if e.state == open {
				e.before = e.target
			}
			e.state, e.silentSince = silent, t
			e.probe.active = false
			e.set(e.target / 3)
		}
	}
	if e.state == draining && e.unanswered < 0 && t-max(e.lastSent, e.congestedAt) > e.queue+e.rtt+100*ms {
		e.reopen(t) // nothing is sent that could tell; by now it is gone
	}
	e.judgeProbe(t)
}

// Stats describes the estimator at this moment.
func (e *Estimator) Stats() Stats {
	s := Stats{
		Target: e.target, Acked: e.delays.rate(500 * ms), Capacity: e.capacity,
		LossFloor: e.losses.floor, RTT: time.Duration(e.rtt) * time.Microsecond, State: stateNames[e.state],
		Probes: e.probe.probes, ProbeFailures: e.probe.failures, Congestions: e.congestions,
	}
	queue, _, _ := e.delays.least(detectSpan, detectMost, detectCount)
	s.QueueDelay = time.Duration(max(queue, 0)) * time.Microsecond
	if e.lastReport >= 0 {
		s.Loss = e.losses.ratio(e.lastReport)
	}
	return s
}
