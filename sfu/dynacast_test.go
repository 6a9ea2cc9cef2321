package sfu

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diemcau/sfu/downtrack"
)

func TestWhenAPublisherHearsThatLessIsWanted(t *testing.T) {
	const none, low, high = downtrack.None, 0, downtrack.MaxLayers - 1
	at := func(ms int) time.Time { return time.Unix(1000, 0).Add(time.Duration(ms) * time.Millisecond) }
	type look struct {
		ms, want int
		heard    bool
	}
	for name, looks := range map[string][]look{
		"nobody ever wanted it":     {{0, none, false}, {499, none, false}, {500, none, true}, {600, none, false}},
		"somebody wants it in time": {{0, none, false}, {400, high, false}, {600, none, false}, {4000, none, false}, {4100, none, true}},
		"it is wanted low":          {{0, low, false}, {3499, low, false}, {3500, low, true}, {3600, none, false}, {7000, none, false}, {7100, none, true}},
		"it is wanted again":        {{0, none, false}, {500, none, true}, {9000, low, true}, {9001, high, true}, {9002, none, false}, {9600, none, false}},
	} {
		e := &encoding{demanded: high}
		for _, l := range looks {
			require.Equal(t, l.heard, e.demand(l.want, at(l.ms)), "%s: %+v", name, l)
		}
	}
}
