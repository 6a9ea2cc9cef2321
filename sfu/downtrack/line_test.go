package downtrack

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diemcau/sfu/bwe"
)

func TestLossOfAFreePathIsToldFromThatOfAFullOne(t *testing.T) {
	const queue = 100 * time.Millisecond
	for _, test := range []struct {
		name         string
		st           bwe.Stats
		lossy, twice bool
	}{
		{"nothing lost", bwe.Stats{Acked: 2_000_000}, false, false},
		{"little lost", bwe.Stats{Acked: 2_000_000, Loss: 0.01}, false, false},
		{"some lost", bwe.Stats{Acked: 2_000_000, Loss: 0.05}, true, false},
		{"much lost", bwe.Stats{Acked: 2_000_000, Loss: 0.15}, true, true},
		{"a queue", bwe.Stats{Acked: 2_000_000, Loss: 0.15, QueueDelay: queue}, false, false},
		{"at its limit", bwe.Stats{Acked: 500_000, Capacity: 600_000, Loss: 0.15}, false, false},
		{"a limit that is far away", bwe.Stats{Acked: 2_000_000, Capacity: 20_000_000, Loss: 0.15}, true, true},
	} {
		lossy, twice := losing(test.st)
		require.Equal(t, test.lossy, lossy, test.name)
		require.Equal(t, test.twice, twice, test.name)
	}
}
