package downtrack

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/pion/rtcp"
	"golang.org/x/time/rate"

	"diemcau/sfu/bwe"
	"diemcau/sfu/fanout"
	"diemcau/sfu/uptrack"
)

// Bounds of the estimate of a subscriber's bandwidth, in bits per second.
const (
	minEstimate   = 100_000
	startEstimate = 3_000_000 // a camera's high layer: too much is noticed within a quarter of a second
	maxEstimate   = 100_000_000
	spareEstimate = 25_000_000 // tried beyond what is wanted: at this rate a frame leaves at once
)

const (
	feedbackPerSecond = 500              // RTCP packets of a subscriber that are acted on
	floodEvery        = 10 * time.Second // least time between two words about more
	allocateEvery     = 2                // ticks
	trackTickEvery    = 4                // ticks
	logEvery          = 20               // ticks
)

// poorTarget is the estimate, in bits per second, below which sound goes without
// redundancy.
const poorTarget = 400_000

// lossyFrom is the share of packets lost from which on repairs are sent twice. At 5 %
// and 170 packets a second, else one in two and a half seconds would be lost again.
const lossyFrom = 0.02

// soundTwiceFrom is the share of packets lost from which on sound is sent twice at once: too
// often one packet and the next, that bears it too, are lost together, and a repair comes too
// late for a receiver that is not used to waiting for it.
const soundTwiceFrom = 0.08

// A stream that was raised so long before the path became congested was raised
// too early, and it is not tried again for so long.
const (
	raiseFails    = 5 * time.Second
	standingQueue = 60 * time.Millisecond
	standingFor   = 1500 * time.Millisecond
	shortCareful  = time.Second
	leastCareful  = 10 * time.Second
	mostCareful   = 60 * time.Second
)

// LineConfig describes the way to a subscriber.
type LineConfig struct {
	// WriteRTCP sends reports to the subscriber.
	WriteRTCP func([]rtcp.Packet) error
	// Egress, if set, makes the way out for the stream of an SSRC, for the worker of
	// the line; without it, or if it gives nil, the stream goes through the peer
	// connection. It is called by the worker, when the connection is secured.
	Egress func(ssrc uint32, video bool) fanout.Egress
	// Starved is told that a track is paused for want of bandwidth, or no longer.
	// It runs on the worker's goroutine and must not block; what it does not take
	// (false) it is told again.
	Starved func(trackID string, paused bool) bool
	Log     *slog.Logger
}

// Line is the way to one subscriber. All streams of the subscriber share it: it
// numbers their packets for the estimate of the bandwidth, paces video, and
// shares the bandwidth out. It is owned by its worker.
type Line struct {
	cfg     LineConfig
	worker  *fanout.Worker
	limiter *rate.Limiter
	flooded *rate.Limiter // of words about too much RTCP
	est     *bwe.Estimator

	tracks      []*DownTrack
	ticks       int
	twcc        uint16    // next transport-wide sequence number
	estimate    bool      // the subscriber reports, so that the estimate means something
	behind      bool      // congested at the last look
	raisedAt    time.Time // when a stream was last raised to a higher layer
	carefulTill time.Time // see bwe.Stream
	careful     time.Duration
	queueSince  time.Time // a queue has been standing on the path
	poor        bool      // too little for a picture beside redundant sound
	tight       bool      // the path is known to carry little more than the estimate
	lossy       bool      // it loses packets though it is free
	soundTwice  bool      // so many that sound goes twice

	audioNow int64 // bytes of audio sent since the last allocation
	repairs  int64 // bytes sent again, likewise
	lastLook time.Time
	audio    float64 // bits per second, smoothed
	repair   float64

	pacer pacer
	ext   [2]byte

	streams []bwe.Stream
	shares  []*DownTrack
	options [][]option
	chosen  []int
}

// NewLine makes the way to a subscriber, whose streams belong to worker.
func NewLine(cfg LineConfig, worker *fanout.Worker) *Line {
	now := time.Now()
	l := &Line{
		cfg: cfg, worker: worker, limiter: rate.NewLimiter(feedbackPerSecond, feedbackPerSecond),
		flooded:  rate.NewLimiter(rate.Every(floodEvery), 1),
		est:      bwe.New(bwe.Config{Min: minEstimate, Start: startEstimate, Max: maxEstimate, Spare: spareEstimate}, now),
		lastLook: now,
	}
	worker.Do(func() { worker.Add(l) })
	return l
}

// Worker is the one that owns the line and its streams.
func (l *Line) Worker() *fanout.Worker { return l.worker }

// Close ends the line without waiting; its streams are to be closed before.
func (l *Line) Close() {
	l.worker.Do(func() { l.worker.Remove(l) })
}

// Tick implements fanout.Line.
func (l *Line) Tick(now time.Time) {
	l.ticks++
	l.est.Tick(now)
	l.look(now)
	if l.ticks%allocateEvery == 0 {
		l.overspends(now)
		l.allocate(now)
	}
	if l.estimate && l.pacer.probe.ID == 0 {
		if p, ok := l.est.NextProbe(now); ok && l.canProbe() {
			l.pacer.begin(p, now)
			l.cfg.Log.Debug("line", "probe", p.ID, "rate", p.Rate, "bytes", p.Bytes)
			l.worker.Wake(l)
		}
	}
	for i, d := range l.tracks {
		if (l.ticks+i)%trackTickEvery == 0 {
			d.tick(now)
		}
	}
	if l.estimate && l.ticks%logEvery == 0 && l.cfg.Log.Enabled(context.Background(), slog.LevelDebug) {
		l.log()
	}
}

// log tells how the line is, for who looks into a complaint.
func (l *Line) log() {
	st := l.est.Stats()
	layers := make([]int, 0, len(l.tracks))
	for _, d := range l.tracks {
		if d.video {
			layers = append(layers, d.current)
		}
	}
	l.cfg.Log.Debug("line", "target", st.Target, "acked", st.Acked, "loss", st.Loss, "queue", st.QueueDelay,
		"rtt", st.RTT, "state", st.State, "behind", l.behind, "paced", l.pacer.len(), "layers", layers)
}

// look acts at once when the path becomes congested, or is free again.
func (l *Line) look(now time.Time) {
	behind := l.estimate && l.est.Congested(now)
	if behind == l.behind {
		return
	}
	l.behind = behind
	if behind {
		l.pacer.end()
		l.beCareful(now)
	}
	l.cfg.Log.Debug("line", "congested", behind, "target", l.est.Target(), "paced", l.pacer.len())
	l.allocate(now)
	if l.pacer.len() > 0 {
		l.worker.Wake(l)
	}
}

// overspends looks whether what is sent, though no more than it was when it was
// chosen, keeps a queue standing.
func (l *Line) overspends(now time.Time) {
	st := l.est.Stats()
	l.tight = st.Capacity > 0 && st.Target < st.Capacity*3/2
	l.poor = l.estimate && st.Target < poorTarget
	lossy, twice := losing(st)
	l.lossy, l.soundTwice = l.estimate && lossy, l.estimate && twice
	if st.QueueDelay < standingQueue {
		l.queueSince = time.Time{}
	} else if l.queueSince.IsZero() {
		l.queueSince = now
	} else if now.Sub(l.queueSince) > standingFor {
		l.queueSince = now
		l.beCareful(now)
	}
}

// losing tells whether a path loses packets though it is free, and so many that sound is to
// go twice. A probe may have taken such loss for a limit of the path, so a limit counts only
// if what arrives comes near it.
func losing(st bwe.Stats) (lossy, twice bool) {
	full := st.Capacity > 0 && st.Acked > st.Capacity*2/3
	lossy = !full && st.Loss > lossyFrom && st.QueueDelay < standingQueue
	return lossy, lossy && st.Loss > soundTwiceFrom
}

// beCareful is called when the path became congested. If a stream was raised
// shortly before, that was too much, and it is not tried again for a while.
func (l *Line) beCareful(now time.Time) {
	if now.Sub(l.raisedAt) < raiseFails {
		l.careful = min(max(2*l.careful, leastCareful), mostCareful)
	} else {
		l.careful = shortCareful
	}
	l.carefulTill = now.Add(l.careful)
}

func (l *Line) add(d *DownTrack) { l.tracks = append(l.tracks, d) }

func (l *Line) remove(d *DownTrack) {
	l.tracks = slices.DeleteFunc(l.tracks, func(o *DownTrack) bool { return o == d })
	l.pacer.forget(d)
}

// number counts a packet that is about to leave, and returns the transport-wide
// sequence number it is to bear. size is that of the payload in bytes.
func (l *Line) number(size int, now time.Time) uint16 {
	seq := l.twcc
	l.twcc++
	l.est.Sent(seq, size+uptrack.WireOverhead, l.pacer.count(size+uptrack.WireOverhead), now)
	return seq
}
