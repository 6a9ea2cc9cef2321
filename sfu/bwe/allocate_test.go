package bwe

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAllocate(t *testing.T) {
	camera := []int64{160, 450, 1700}
	for name, c := range map[string]struct {
		budget  int64
		streams []Stream
		want    []int
		all     bool
	}{
		"nothing to send":              {100, nil, []int{}, true},
		"room for all":                 {5000, []Stream{{Costs: camera, Current: -1}, {Costs: camera, Current: -1}}, []int{2, 2}, true},
		"lower before pausing":         {700, []Stream{{Costs: camera, Current: -1}, {Costs: camera, Current: -1}}, []int{1, 0}, false},
		"the important one first":      {700, []Stream{{Costs: camera, Current: -1}, {Priority: 1, Costs: camera, Current: -1}}, []int{0, 1}, false},
		"pausing the least important":  {200, []Stream{{Priority: 2, Costs: camera, Current: -1}, {Priority: 3, Costs: camera, Current: -1}}, []int{-1, 0}, false},
		"nothing fits":                 {100, []Stream{{Costs: camera, Current: 2, Hold: 2}}, []int{-1}, false},
		"a new option needs a reserve": {1720, []Stream{{Costs: camera, Current: 1, Hold: 1}}, []int{1}, false},
		"one in use does not":          {1650, []Stream{{Costs: camera, Current: 2, Hold: 2}}, []int{2}, true},
		"a layer nobody sends":         {1000, []Stream{{Current: -1}, {Costs: []int64{300}, Current: -1}}, []int{-1, 0}, true},
	} {
		t.Run(name, func(t *testing.T) {
			got := make([]int, len(c.streams))
			require.Equal(t, c.all, Allocate(c.budget, c.streams, got))
			require.Equal(t, c.want, got)
		})
	}
}

func TestAllocateNeverSpendsMoreThanThereIs(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var streams []Stream
		for range r.IntN(12) {
			s := Stream{Priority: r.IntN(4), Current: -1}
			cost := int64(0)
			for range r.IntN(5) {
				cost += r.Int64N(1000)
				s.Costs = append(s.Costs, cost)
			}
			s.Current = r.IntN(len(s.Costs)+1) - 1
			s.Hold = min(s.Current, r.IntN(3))
			streams = append(streams, s)
		}
		budget, chosen, spent := r.Int64N(8000), make([]int, len(streams)), int64(0)
		Allocate(budget, streams, chosen)
		for i, o := range chosen {
			if o >= 0 {
				spent += streams[i].Costs[o]
			}
		}
		kept := int64(0) // by the one option that may cost a little more than there is
		for i, o := range chosen {
			if o >= 0 && o == streams[i].Hold {
				kept += streams[i].Costs[o]
			}
		}
		require.LessOrEqual(t, spent, budget+kept/4+1)
		for i, o := range chosen {
			for j, p := range chosen {
				if o < 0 && p >= 0 && len(streams[i].Costs) > 0 && streams[i].Priority > streams[j].Priority {
					require.Greater(t, float64(streams[i].Costs[0])*Raise, float64(streams[j].Costs[0])*Hold, "paused before one less important")
				}
			}
		}
	}
}
