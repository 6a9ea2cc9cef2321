package uptrack

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMeter(t *testing.T) {
	l := &Layer{}
	m := &l.meter
	now := time.Unix(1000, 0)
	// 30 frames a second of two packets of 936 bytes and headers: 480 kbit/s,
	// every second frame of temporal layer 1.
	for range 200 {
		temporal := uint8(now.UnixMilli() / 33 % 2)
		m.add(now, 0, temporal, 936, false)
		m.add(now, 0, temporal, 936, true)
		now = now.Add(time.Second / 30)
	}
	require.InDelta(t, 480_000, l.Rate(0, MaxTemporal-1), 24_000)
	require.InDelta(t, 240_000, l.Rate(0, 0), 24_000)
	require.InDelta(t, 30, l.FrameRate(0, MaxTemporal-1), 2)
	require.InDelta(t, 15, l.FrameRate(0, 0), 2)
	require.Zero(t, l.Rate(1, MaxTemporal-1))
	// After a silence what was before does not count for long.
	now = now.Add(time.Hour)
	for range 80 {
		m.add(now, 9, 9, 186, true) // layers beyond the bounds count as the last
		now = now.Add(100 * time.Millisecond)
	}
	require.InDelta(t, 0, l.Rate(0, MaxTemporal-1), 1)
	require.InDelta(t, 20_000, l.Rate(MaxSpatial-1, MaxTemporal-1), 2500)
}
