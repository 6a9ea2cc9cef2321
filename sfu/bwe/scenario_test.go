package bwe

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// seeds is how many runs each scenario has: 4, of which a short run has the first;
// BWE_SEEDS asks for more.
func seeds() int64 {
	if n, err := strconv.ParseInt(os.Getenv("BWE_SEEDS"), 10, 64); err == nil {
		return n
	}
	if testing.Short() {
		return 1
	}
	return 4
}

func constant(v int64) func(int64) int64 { return func(int64) int64 { return v } }

// dip is high, low from 20 s to 40 s, and high again.
func dip(high, low int64) func(int64) int64 {
	return func(t int64) int64 {
		if t >= 20*second && t < 40*second {
			return low
		}
		return high
	}
}

// every is true for length of each period, after the first.
func every(period, length int64) func(int64) bool {
	return func(t int64) bool { return t >= period && t%period < length }
}

// within is the part of the run between two seconds.
func (r *record) within(from, to float64) []sample {
	var out []sample
	for _, s := range r.samples {
		if float64(s.t) >= from*second && float64(s.t) < to*second {
			out = append(out, s)
		}
	}
	return out
}

// band is the least and the greatest target, as share of the capacity.
func band(samples []sample) (low, high float64) {
	low, high = math.Inf(1), 0
	for _, s := range samples {
		share := float64(s.target) / float64(s.capacity)
		low, high = min(low, share), max(high, share)
	}
	return low, high
}

func lowest(samples []sample) int64 {
	low := int64(math.MaxInt64)
	for _, s := range samples {
		low = min(low, s.target)
	}
	return low
}

// first is when, in seconds after from, a sample is so; +Inf never.
func (r *record) first(from float64, is func(sample) bool) float64 {
	for _, s := range r.samples {
		if float64(s.t) >= from*second && is(s) {
			return float64(s.t)/second - from
		}
	}
	return math.Inf(1)
}

func congested(s sample) bool             { return s.congested }
func clear_(s sample) bool                { return !s.congested }
func atLeast(bps int64) func(sample) bool { return func(s sample) bool { return s.target >= bps } }

// stalled is for how many seconds nothing but audio was sent.
func stalled(samples []sample) float64 {
	n := 0
	for _, s := range samples {
		if s.congested {
			n++
		}
	}
	return float64(n) * 0.02
}

func longestQueue(samples []sample) int64 {
	q := int64(0)
	for _, s := range samples {
		q = max(q, s.queue)
	}
	return q
}

func count(times []int64, from, to float64) int {
	n := 0
	for _, t := range times {
		if float64(t) >= from*second && float64(t) < to*second {
			n++
		}
	}
	return n
}

// probeQueues is the most that the queue grew in the quarter second after a
// probe began, of those between two seconds.
func (r *record) probeQueues(from, to float64) int64 {
	most := int64(0)
	for _, at := range r.probes {
		if float64(at) < from*second || float64(at) >= to*second {
			continue
		}
		sec := float64(at) / second
		before := int64(0)
		if b := r.within(sec-0.03, sec+0.01); len(b) > 0 {
			before = b[len(b)-1].queue
		}
		most = max(most, longestQueue(r.within(sec, sec+0.25))-before)
	}
	return most
}

// trace prints a run if TRACE is part of the test's name, "@" and the seed.
func trace(t *testing.T, seed int64, r *record) {
	want := os.Getenv("TRACE")
	if want == "" || !strings.Contains(fmt.Sprintf("%s@%d.", t.Name(), seed), want) {
		return
	}
	last := sample{}
	for _, s := range r.samples {
		if s.target != last.target || s.congested != last.congested || s.layer != last.layer {
			fmt.Printf("%7.2f target %5d layer %2d congested %5v queue %3d ms\n", float64(s.t)/second, s.target/1000, s.layer, s.congested, s.queue/1000)
		}
		last = s
	}
	fmt.Printf("probes %v\nchanges %v\nsent %d lost %d audio lost %d\n%+v\n", r.probes, r.changes, r.sent, r.lost, len(r.audioLost), r.stats)
}

// worst keeps the greatest of each figure over the seeds, for one log line.
type worst struct {
	names  []string
	values map[string]float64
}

func (w *worst) note(name string, v float64) {
	if w.values == nil {
		w.values = map[string]float64{}
	}
	if old, ok := w.values[name]; !ok {
		w.names = append(w.names, name)
		w.values[name] = v
	} else if strings.HasPrefix(name, "min") {
		w.values[name] = min(old, v)
	} else {
		w.values[name] = max(old, v)
	}
}

func (w *worst) log(t *testing.T) {
	var b strings.Builder
	for _, n := range w.names {
		fmt.Fprintf(&b, " | %s %.4g", n, w.values[n])
	}
	t.Logf("%-46s | seeds %d%s", t.Name(), seeds(), b.String())
}

// overSeeds runs the path with several seeds.
func overSeeds(t *testing.T, p path, check func(t *testing.T, r *record, w *worst)) {
	t.Helper()
	var w worst
	for seed := int64(1); seed <= seeds(); seed++ {
		r := run(p, seed)
		failed := t.Failed()
		check(t, r, &w)
		if t.Failed() && !failed {
			t.Errorf("failed with seed %d", seed)
		}
		trace(t, seed, r)
	}
	w.log(t)
}

func TestCapacityDropsAndReturns(t *testing.T) {
	for _, low := range []int64{600_000, 300_000} {
		for _, c := range []struct {
			name string
			path path
		}{
			{"rtt0", path{oneWay: 100}},
			{"rtt40", path{oneWay: 20 * ms}},
			{"rtt40-50ms-reports", path{oneWay: 20 * ms, interval: 50 * ms}},
			{"rtt40-5ms-steps", path{oneWay: 20 * ms, quantum: 5 * ms}},
			{"rtt100", path{oneWay: 50 * ms}},
			{"rtt40-jitter10", path{oneWay: 20 * ms, jitter: 10 * ms}},
			{"rtt40-reports-lost", path{oneWay: 20 * ms, fbLoss: 0.1}},
		} {
			t.Run(fmt.Sprintf("%dk/%s", low/1000, c.name), func(t *testing.T) {
				p := c.path
				p.rate, p.end = dip(2_000_000, low), 60*second
				slack := 0.0
				if p.fbLoss > 0 {
					slack = 0.2 // two reports in a row
				}
				if p.jitter > 0 {
					slack = 0.05
				}
				overSeeds(t, p, func(t *testing.T, r *record, w *worst) { checkDip(t, p, r, w, low, slack) })
			})
		}
	}
}

func checkDip(t *testing.T, p path, r *record, w *worst, low int64, slack float64) {
	seen := r.first(20, congested)
	w.note("detect s", seen)
	assert.LessOrEqual(t, seen, 0.27+2*float64(p.oneWay)/second+slack, "congestion seen late")
	settled := r.first(20+seen, clear_)
	w.note("drained s", seen+settled)
	assert.LessOrEqual(t, seen+settled, 1.3+slack, "drained late")
	high := 0.0
	for _, s := range r.within(20+seen, 20+seen+settled) {
		high = max(high, float64(s.target)/float64(low))
	}
	w.note("first", high)
	assert.LessOrEqual(t, high, 0.93, "target while the queue drains")

	top := 1.0
	if p.jitter > 0 || p.quantum > ms {
		top = 1.03 // arrival times leave some percent open
	}
	least, most := band(r.within(22, 40))
	w.note("min band", least)
	w.note("max band", most)
	assert.GreaterOrEqual(t, least, 0.75)
	assert.LessOrEqual(t, most, top)
	again := stalled(r.within(20+seen+settled, 40))
	w.note("stalled again s", again)
	assert.LessOrEqual(t, again, 0.5, "overshoot")
	w.note("probe queue ms", float64(r.probeQueues(22, 40))/1000)
	if p.fbLoss == 0 { // the frames sent meanwhile included
		assert.LessOrEqual(t, r.probeQueues(22, 40), int64(100*ms))
	}
	w.note("drops settled", float64(count(r.dropped, 22, 40)))
	assert.Zero(t, count(r.dropped, 22, 40), "loss once settled")
	w.note("drops", float64(count(r.dropped, 20, 22)))
	audio := float64(count(r.audioLost, 20, 60)) * 100 / float64(count(r.audioSent, 20, 60))
	w.note("audio lost %", audio)
	assert.LessOrEqual(t, audio, 1.0)
	w.note("changes", float64(count(r.changes, 20, 60)))
	assert.LessOrEqual(t, count(r.changes, 20.0, 40), 4)

	need := int64(1_900_000)
	if top > 1 {
		need = 1_865_000 // what the highest layer needs
	}
	back := r.first(40, atLeast(need))
	w.note("recovered s", back)
	assert.LessOrEqual(t, back, 5.0+3*min(1, 100*slack))
	low2, high2 := band(r.within(46, 60))
	w.note("min after", low2)
	w.note("max after", high2)
	assert.GreaterOrEqual(t, low2, 0.75)
	assert.LessOrEqual(t, high2, top)
	assert.Zero(t, stalled(r.within(46, 60)))
}

func TestRandomLossIsNoCongestion(t *testing.T) {
	for _, c := range []struct {
		name string
		path path
	}{
		{"5%", path{rate: constant(3_000_000), oneWay: 20 * ms, loss: 0.05}},
		{"15%", path{rate: constant(3_000_000), oneWay: 20 * ms, loss: 0.15}},
		{"5%-rtt100", path{rate: constant(3_000_000), oneWay: 50 * ms, loss: 0.05}},
		{"15%-fast", path{rate: constant(50_000_000), oneWay: 20 * ms, loss: 0.15}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := c.path
			p.end = 60 * second
			overSeeds(t, p, func(t *testing.T, r *record, w *worst) {
				up := r.first(0, atLeast(1_900_000))
				w.note("reached s", up)
				assert.LessOrEqual(t, up, 3.0)
				low := lowest(r.within(5, 60))
				w.note("min target", float64(low))
				assert.GreaterOrEqual(t, low, int64(1_865_000))
				w.note("changes", float64(count(r.changes, 5, 60)))
				w.note("stalled s", stalled(r.samples))
				assert.Zero(t, stalled(r.within(5, 60)))
			})
		})
	}
}

// Loss that begins in the middle of a call may be tested for once, by sending
// less for a moment.
func TestLossThatBeginsLater(t *testing.T) {
	for _, loss := range []float64{0.05, 0.15, 0.30} {
		t.Run(fmt.Sprint(loss), func(t *testing.T) {
			p := path{rate: constant(3_000_000), oneWay: 20 * ms, loss: loss, lossFrom: 20 * second, end: 80 * second}
			overSeeds(t, p, func(t *testing.T, r *record, w *worst) {
				below := 0
				for _, s := range r.within(20, 80) {
					if s.target < 1_865_000 {
						below++
					}
				}
				w.note("below s", float64(below)*0.02)
				assert.LessOrEqual(t, float64(below)*0.02, 6.0)
				assert.Zero(t, stalled(r.within(20, 80)))
			})
		})
	}
}

func TestLossBursts(t *testing.T) {
	p := path{rate: constant(3_000_000), oneWay: 20 * ms, away: every(5*second, 300*ms), end: 60 * second}
	overSeeds(t, p, func(t *testing.T, r *record, w *worst) {
		longest := 0.0
		for at := 5.0; at < 60; at += 5 {
			longest = max(longest, r.first(at+0.3, func(s sample) bool { return s.target >= 1_800_000 && !s.congested }))
		}
		w.note("back s", longest)
		assert.LessOrEqual(t, longest, 1.0)
		w.note("stalled s", stalled(r.within(5, 60)))
	})
}

func TestPolicer(t *testing.T) {
	for _, rate := range []int64{600_000, 1_500_000} {
		t.Run(fmt.Sprint(rate/1000), func(t *testing.T) {
			p := path{rate: constant(rate), policer: 15_000, oneWay: 20 * ms, end: 90 * second}
			overSeeds(t, p, func(t *testing.T, r *record, w *worst) {
				samples := r.within(10, 90)
				w.note("lost %", 100*float64(count(r.dropped, 10, 90))/float64(count(r.sentAt, 10, 90)))
				assert.LessOrEqual(t, float64(count(r.dropped, 10, 90))/float64(count(r.sentAt, 10, 90)), 0.04)
				w.note("min target", float64(lowest(samples)))
				assert.GreaterOrEqual(t, lowest(samples), rate*55/100)
				w.note("changes", float64(count(r.changes, 10, 90)))
				assert.LessOrEqual(t, count(r.changes, 10, 90), 10)
			})
		})
	}
}

func TestShortQueue(t *testing.T) {
	p := path{rate: dip(2_000_000, 600_000), queue: 40 * ms, oneWay: 20 * ms, end: 70 * second}
	overSeeds(t, p, func(t *testing.T, r *record, w *worst) {
		seen := r.first(20, func(s sample) bool { return s.target < 1_500_000 })
		w.note("detect s", seen)
		assert.LessOrEqual(t, seen, 1.0)
		least, most := band(r.within(23, 40))
		w.note("min band", least)
		w.note("max band", most)
		assert.GreaterOrEqual(t, least, 0.75)
		lost := float64(count(r.dropped, 23, 40)) / float64(count(r.sentAt, 23, 40))
		w.note("lost % settled", 100*lost)
		assert.LessOrEqual(t, lost, 0.05)
		back := r.first(40, atLeast(1_865_000))
		w.note("recovered s", back)
		assert.LessOrEqual(t, back, 20.0)
		w.note("changes", float64(count(r.changes, 20, 70)))
		assert.LessOrEqual(t, count(r.changes, 20, 70), 8)
	})
}
