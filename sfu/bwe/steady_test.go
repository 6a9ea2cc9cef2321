package bwe

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestStart(t *testing.T) {
	for _, c := range []struct {
		name string
		rtt  int64
	}{{"rtt0", 100}, {"rtt40", 40 * ms}, {"rtt100", 100 * ms}} {
		t.Run("20M/"+c.name, func(t *testing.T) {
			p := path{rate: constant(20_000_000), oneWay: c.rtt / 2, wish: 3_000_000, modest: true, end: 30 * second}
			overSeeds(t, p, func(t *testing.T, r *record, w *worst) {
				up := r.first(0, atLeast(3_000_000))
				w.note("reached s", up)
				assert.LessOrEqual(t, up, 1.0+4*float64(c.rtt)/second)
				w.note("padding kB", float64(r.padding)/1000)
				assert.Zero(t, stalled(r.samples))
				assert.LessOrEqual(t, len(r.probes), 6, "probes although the wish is covered")
			})
		})
		t.Run("500k/"+c.name, func(t *testing.T) {
			p := path{rate: constant(500_000), oneWay: c.rtt / 2, end: 30 * second}
			overSeeds(t, p, func(t *testing.T, r *record, w *worst) {
				found := 0.0
				for _, s := range r.within(0, 30) {
					if s.target > s.capacity || s.congested {
						found = float64(s.t) / second
					}
				}
				w.note("found s", found)
				assert.LessOrEqual(t, found, 2.0)
				least, _ := band(r.within(3, 30))
				w.note("min band", least)
				assert.GreaterOrEqual(t, least, 0.75)
				w.note("drops", float64(len(r.dropped)))
				w.note("queue after 2 s ms", float64(longestQueue(r.within(2, 30)))/1000)
				assert.LessOrEqual(t, longestQueue(r.within(2, 30)), int64(150*ms))
			})
		})
	}
}

// What looks like congestion and is none.
func TestNoFalseAlarm(t *testing.T) {
	for _, c := range []struct {
		name string
		path path
	}{
		{"key frames on 2M", path{rate: constant(2_000_000), keyEvery: 3 * second}},
		{"key frames on 20M", path{rate: constant(20_000_000), keyEvery: 3 * second}},
		{"key frames on 600k", path{rate: constant(600_000), keyEvery: 5 * second, top: 1, start: 560_000}},
		{"jitter 40 ms", path{rate: constant(3_000_000), jitter: 40 * ms}},
		{"jitter 60 ms", path{rate: constant(3_000_000), jitter: 60 * ms}},
		{"drift 100 ppm", path{rate: constant(3_000_000), drift: 100e-6}},
		{"drift -100 ppm", path{rate: constant(3_000_000), drift: -100e-6}},
		{"reports lost 10%", path{rate: constant(3_000_000), fbLoss: 0.1}},
		{"5 ms steps", path{rate: constant(3_000_000), quantum: 5 * ms}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := c.path
			p.oneWay, p.end = 20*ms, 60*second
			overSeeds(t, p, func(t *testing.T, r *record, w *worst) {
				w.note("stalled s", stalled(r.within(3, 60)))
				assert.LessOrEqual(t, stalled(r.within(3, 60)), 0.0)
				w.note("min target", float64(lowest(r.within(5, 60))))
				need := min(simLayers[2]*105/100+audioRate, p.rate(0)*90/100)
				assert.GreaterOrEqual(t, lowest(r.within(8, 60)), need)
				w.note("changes", float64(count(r.changes, 5, 60)))
			})
		})
	}
}

// The sender has little to send for a minute, then much.
func TestApplicationLimited(t *testing.T) {
	p := path{rate: constant(3_000_000), oneWay: 20 * ms, end: 120 * second,
		noVideo: func(t int64) bool { return t > 20*second && t < 80*second }}
	overSeeds(t, p, func(t *testing.T, r *record, w *worst) {
		w.note("min target", float64(lowest(r.within(3, 120))))
		assert.GreaterOrEqual(t, lowest(r.within(3, 120)), int64(1_865_000))
		assert.Zero(t, stalled(r.samples))
		assert.Zero(t, count(r.probes, 5, 120), "nothing to gain by probes")
	})
}

// What a path carries beyond the wish is found out by few probes, once, and none
// disturbs it.
func TestSpare(t *testing.T) {
	for _, c := range []struct {
		name        string
		rate        int64
		least, most float64
	}{{"100M", 100_000_000, 20_000_000, 25_000_000}, {"8M", 8_000_000, 800_000, 8_000_000}, {"2M", 2_000_000, 800_000, 2_000_000}} {
		for _, jitter := range []int64{0, 3 * ms} {
			t.Run(c.name+"/jitter"+strconv.FormatInt(jitter/ms, 10), func(t *testing.T) {
				p := path{rate: constant(c.rate), oneWay: 20 * ms, jitter: jitter, queue: 300 * ms, end: 60 * second, wish: 800_000, top: 1}
				overSeeds(t, p, func(t *testing.T, r *record, w *worst) {
					target := r.samples[len(r.samples)-1].target
					w.note("padding kB", float64(r.padding)/1000)
					assert.LessOrEqual(t, float64(target), c.most*(1+float64(jitter)/(10*ms))) // less exact the more jitter there is
					assert.LessOrEqual(t, float64(r.padding), 600_000.0)
					assert.LessOrEqual(t, count(r.probes, float64(spareAfter)/second, 60), mostSpares)
					assert.Zero(t, count(r.probes, 15, 60), "over and over")
					assert.Zero(t, stalled(r.samples))
					if jitter == 0 {
						assert.GreaterOrEqual(t, float64(target), c.least)
					}
				})
			})
		}
	}
}

// Without a proof the target does not rise above what the start was.
func TestNoGrowthWithoutProof(t *testing.T) {
	p := path{rate: constant(20_000_000), oneWay: 20 * ms, end: 60 * second, wish: 500_000, modest: true, top: 1}
	overSeeds(t, p, func(t *testing.T, r *record, w *worst) {
		_, most := band(r.samples)
		w.note("max target", most*20_000_000)
		assert.LessOrEqual(t, most*20_000_000, 900_000.0)
		assert.Empty(t, r.probes)
	})
}

func TestCompetingFlow(t *testing.T) {
	p := path{rate: constant(2_000_000), oneWay: 20 * ms, end: 60 * second, cross: func(t int64) int64 {
		if t > 20*second && t < 40*second {
			return 700_000
		}
		return 0
	}}
	overSeeds(t, p, func(t *testing.T, r *record, w *worst) {
		least, most := band(r.within(24, 40))
		w.note("min band", least)
		w.note("max band", most)
		assert.GreaterOrEqual(t, least, 0.6)
		assert.LessOrEqual(t, most, 1.25) // a full FIFO gives the pushier flow more
		w.note("stalled s", stalled(r.within(20, 40)))
		assert.LessOrEqual(t, stalled(r.within(20, 40)), 2.0)
		w.note("changes", float64(count(r.changes, 20, 40)))
		back := r.first(40, atLeast(1_865_000))
		w.note("recovered s", back)
		assert.LessOrEqual(t, back, 6.0)
	})
}

func TestBlackout(t *testing.T) {
	for _, c := range []struct {
		name        string
		quiet, deaf bool
	}{{"both ways", false, true}, {"towards the receiver", false, false}, {"no audio", true, true}} {
		t.Run(c.name, func(t *testing.T) {
			p := path{rate: constant(3_000_000), oneWay: 20 * ms, end: 60 * second, deaf: c.deaf, quiet: c.quiet,
				away: func(t int64) bool { return t > 20*second && t < 24*second }}
			overSeeds(t, p, func(t *testing.T, r *record, w *worst) {
				seen := r.first(20, congested)
				w.note("seen s", seen)
				assert.LessOrEqual(t, seen, 1.0)
				w.note("held", float64(r.within(23.5, 24)[0].target))
				assert.LessOrEqual(t, r.within(23.5, 24)[0].target, int64(1_000_000))
				back := r.first(24, clear_)
				w.note("clear s", back)
				assert.LessOrEqual(t, back, 0.8)
				full := r.first(24, atLeast(1_865_000))
				w.note("recovered s", full)
				assert.LessOrEqual(t, full, 2.5)
			})
		})
	}
}

// The path becomes 80 ms longer, or shorter, and stays so.
func TestPathChange(t *testing.T) {
	for _, by := range []int64{80 * ms, -80 * ms, 250 * ms} {
		t.Run(fmt.Sprint(by/ms), func(t *testing.T) {
			p := path{rate: constant(3_000_000), oneWay: 20 * ms, end: 60 * second, detour: func(t int64) int64 {
				if (t > 20*second) == (by > 0) {
					return max(by, -by)
				}
				return 0
			}}
			overSeeds(t, p, func(t *testing.T, r *record, w *worst) {
				w.note("stalled s", stalled(r.within(20, 60)))
				assert.LessOrEqual(t, stalled(r.within(20, 60)), 2.0)
				back := 0.0
				for _, s := range r.within(20, 60) {
					if s.target < 1_800_000 || s.congested {
						back = float64(s.t)/second - 20
					}
				}
				w.note("recovered s", back)
				assert.LessOrEqual(t, back, 5.0)
			})
		})
	}
}
