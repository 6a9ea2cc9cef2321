package uptrack

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestVoice(t *testing.T) {
	l := &Layer{}
	now := time.Unix(1000, 0)
	onsets := 0
	say := func(dBov uint8, packets int) {
		for range packets {
			now = now.Add(20 * time.Millisecond)
			if l.voice.add(dBov, now) {
				onsets++
			}
		}
	}
	say(127, 50)
	_, last := l.Voice()
	require.True(t, last.IsZero())
	say(20, 1)
	say(127, 5)
	require.Zero(t, onsets, "a click is no speech")
	say(20, 2)
	require.Equal(t, 1, onsets, "the second loud packet is")
	_, last = l.Voice()
	require.Equal(t, now.UnixNano(), last.UnixNano())
	say(20, 10)
	level, _ := l.Voice()
	require.InDelta(t, 107, level, 10)
	say(90, 10) // between words
	say(20, 10)
	require.Equal(t, 1, onsets)
	say(100, 40) // a pause
	say(20, 10)
	require.Equal(t, 2, onsets)
	say(127, 500)
	level, _ = l.Voice()
	require.Less(t, level, 10.0)
}
