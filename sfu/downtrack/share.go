package downtrack

import (
	"time"

	"diemcau/sfu/bwe"
	"diemcau/sfu/uptrack"
)

// option is one way to send a stream.
type option struct {
	layer, temporal int
}

// Wish is what a subscriber wants of a stream.
type Wish struct {
	Layer     int     // None: paused
	FrameRate float64 // at most so many frames a second; 0: all
	Priority  int     // among the subscriber's streams, higher first
}

// fewFrames is the frame rate for whose sake a stream is raised to a layer.
const fewFrames = 9.5

// allTemporal is more than any temporal layer.
const allTemporal = uptrack.MaxTemporal - 1

// allocate shares the estimated bandwidth out: audio first, whatever it costs,
// then video by priority.
func (l *Line) allocate(now time.Time) {
	took := now.Sub(l.lastLook).Seconds()
	if took >= 0.05 {
		smooth := min(took, 0.5) / 0.5
		l.audio += (float64(8*l.audioNow)/took - l.audio) * smooth
		l.repair += (float64(8*l.repairs)/took - l.repair) * smooth
		l.audioNow, l.repairs, l.lastLook = 0, 0, now
	}
	l.streams, l.shares, l.options = l.streams[:0], l.shares[:0], l.options[:0]
	for _, d := range l.tracks {
		if !d.video || !d.out.ready || !d.started || d.wish.Layer == None {
			d.starve(false)
			continue
		}
		options, costs, current, hold := d.offers(now)
		l.streams = append(l.streams, bwe.Stream{
			Priority: d.wish.Priority, Costs: costs, Current: current, Hold: hold, Careful: now.Before(l.carefulTill),
		})
		l.shares, l.options = append(l.shares, d), append(l.options, options)
	}
	l.est.SetWish(int64(float64(bwe.Total(l.streams))*bwe.Raise + l.audio + l.repair))
	if !l.estimate {
		for _, d := range l.shares {
			d.allow(option{MaxLayers - 1, allTemporal}, now)
		}
		return
	}
	if len(l.chosen) < len(l.streams) {
		l.chosen = make([]int, 2*len(l.streams))
	}
	chosen := l.chosen[:len(l.streams)]
	bwe.Allocate(l.est.Target()-int64(l.audio+l.repair), l.streams, chosen)
	for i, d := range l.shares {
		switch {
		case len(l.options[i]) == 0: // nothing is known of its cost
			d.allow(option{MaxLayers - 1, allTemporal}, now)
		case chosen[i] < 0:
			d.allow(option{None, 0}, now)
		default:
			d.allow(l.options[i][chosen[i]], now)
		}
	}
}

// offers lists the ways to send the stream, the cheapest first, with what they
// cost, and which of them is in use and is the least of the layer in use (-1:
// none). The lists are good until it is called again.
func (d *DownTrack) offers(now time.Time) (options []option, costs []int64, current, hold int) {
	options, costs, current, hold = d.options[:0], d.costs[:0], -1, -1
	defer func() { d.options, d.costs = options[:0], costs[:0] }()
	one := d.stream()
	below := int64(0)
	for i := 0; i <= d.wish.Layer; i++ {
		l, spatial, using := d.layers[i], 0, d.current == i
		if one {
			l, spatial, using = d.layers[MaxLayers-1], i, d.current != None && d.spatial == i
		}
		if l == nil || !l.Live(now) {
			continue
		}
		if using && l.Rate(spatial, allTemporal) == 0 {
			return options[:0], costs[:0], -1, -1 // it has just begun
		}
		top, before := d.temporalFor(l, spatial), int64(0)
		for t := 0; t <= top; t++ {
			cost := l.Rate(spatial, t)
			if cost <= before {
				continue // no such temporal layer
			}
			before = cost
			if i > 0 && !using && t < top && l.FrameRate(spatial, t) < fewFrames {
				continue // better a smaller picture that moves
			}
			options, costs = append(options, option{i, t}), append(costs, cost+below)
			if using && hold < 0 {
				hold = len(options) - 1
			}
			if using && d.allowed.temporal >= t {
				current = len(options) - 1
			}
		}
		if one && d.nested {
			below += before // a higher layer needs this one
		}
	}
	return options, costs, current, hold
}

// temporalFor is the lowest temporal layer of l that has the frames wanted.
func (d *DownTrack) temporalFor(l *uptrack.Layer, spatial int) int {
	if d.wish.FrameRate > 0 {
		for t := range allTemporal {
			if l.FrameRate(spatial, t) >= d.wish.FrameRate*0.9 {
				return t
			}
		}
	}
	return allTemporal
}

// allow sets what the bandwidth allows.
func (d *DownTrack) allow(o option, now time.Time) {
	if o.layer == None {
		d.starve(true)
	} else {
		d.starve(false)
	}
	if d.allowed == o {
		return
	}
	d.allowed = o
	d.choose(now)
}

// starve notes that the stream is paused for want of bandwidth, or not.
func (d *DownTrack) starve(paused bool) {
	if d.starved != paused && d.line.cfg.Starved != nil && d.line.cfg.Starved(d.ID(), paused) {
		d.starved = paused
	}
}
