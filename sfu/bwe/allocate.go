package bwe

import (
	"cmp"
	"slices"
)

// What was measured of a layer a second ago may be more now, or less.
const (
	// Raise times its cost must be free before a stream is raised to an option,
	Raise = 1.02
	// or so much if the last time that it was raised the path became congested.
	RaiseAgain = 1.15
	// Hold times its cost suffices to keep the layer in use: the estimate says soon
	// enough if it does not fit, and a change of layers costs a key frame.
	Hold = 0.8
)

// Stream is a video stream that wants a share of a subscriber's bandwidth.
type Stream struct {
	Priority int     // higher ones are served first
	Costs    []int64 // bits per second of each option, from the least wanted to the most
	Current  int     // option in use, -1 if none
	Hold     int     // least option of the layer in use, -1 if none
	Careful  bool    // raise and hold only what fits with a reserve
}

// Allocate spends budget, in bits per second, on streams and sets chosen[i] to
// the option of stream i, -1 to pause it. First each stream gets its lowest
// option, in order of priority; with what is left they are raised, the one of
// highest priority as far as it goes, then the next. See Raise and Hold.
//
// chosen must be as long as streams. It reports whether every stream got its
// highest option.
func Allocate(budget int64, streams []Stream, chosen []int) (all bool) {
	order := make([]int, len(streams))
	for i := range order {
		order[i], chosen[i] = i, -1
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(streams[b].Priority, streams[a].Priority)
	})
	fits := func(s *Stream, option int, spent int64) bool {
		factor := 1.0
		switch {
		case option > s.Current && s.Careful:
			factor = RaiseAgain
		case option > s.Current:
			factor = Raise
		case option == s.Hold && !s.Careful:
			factor = Hold
		}
		return int64(float64(s.Costs[option])*factor)-spent <= budget
	}
	for _, i := range order {
		if s := &streams[i]; len(s.Costs) > 0 && fits(s, 0, 0) {
			chosen[i] = 0
			budget -= s.Costs[0]
		}
	}
	all = true
	for _, i := range order {
		s := &streams[i]
		if chosen[i] < 0 {
			all = all && len(s.Costs) == 0
			continue
		}
		for option := len(s.Costs) - 1; option > chosen[i]; option-- {
			spent := s.Costs[chosen[i]]
			if fits(s, option, spent) {
				budget -= s.Costs[option] - spent
				chosen[i] = option
			}
		}
		all = all && chosen[i] == len(s.Costs)-1
	}
	return all
}

// Total is what all streams cost with their highest options, in bits per second.
func Total(streams []Stream) (sum int64) {
	for i := range streams {
		if n := len(streams[i].Costs); n > 0 {
			sum += slices.Max(streams[i].Costs[:n])
		}
	}
	return sum
}
