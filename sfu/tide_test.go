package sfu

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMemoryGoesBackOnceWhenACrowdHasComeOrLeft(t *testing.T) {
	for name, c := range map[string]struct {
		crowd []int // at each tick
		back  []int // ticks at which memory goes back
	}{
		"nobody ever":            {[]int{0, 0, 0}, nil},
		"they stay":              {[]int{50, 50, 50, 50}, []int{1}},
		"all leave":              {[]int{50, 50, 0, 0, 0, 0}, []int{1, 3}},
		"not while they leave":   {[]int{50, 40, 20, 10, 5, 5, 5}, []int{5}},
		"a smaller part":         {[]int{50, 26, 26, 26}, []int{2}},
		"not while they come":    {[]int{10, 30, 60, 60, 60}, []int{3}},
		"a few more":             {[]int{100, 100, 130, 130}, []int{1}},
		"a few":                  {[]int{15, 15, 0, 0, 0}, nil},
		"most, then the rest":    {[]int{100, 20, 20, 0, 0, 0}, []int{2, 4}},
		"a second crowd":         {[]int{50, 0, 0, 50, 50, 0, 0}, []int{2, 4, 6}},
		"a few come back":        {[]int{50, 0, 0, 10, 10, 0, 0}, []int{2}},
		"one comes at each tick": {[]int{50, 0, 1, 2, 3, 3}, []int{5}},
	} {
		var tide tide
		var back []int
		for i, now := range c.crowd {
			if tide.turned(now) {
				back = append(back, i)
			}
		}
		require.Equal(t, c.back, back, name)
	}
}
