package light

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBeginningsOfSpeechAreMeasuredApart(t *testing.T) {
	const ms = time.Millisecond
	var d Delays
	sound, picture := &stream{}, &stream{video: true}
	at := int64(time.Hour)
	hear := func(s *stream, later time.Duration, delays ...time.Duration) {
		at += int64(later)
		for _, delay := range delays {
			d.of(s, at, delay)
		}
	}
	hear(sound, 0, 60*ms, 40*ms, 20*ms, 1*ms) // replayed, and the first that is not
	require.EqualValues(t, 2, d.Replayed.Count())
	for range 100 {
		hear(sound, 20*ms, 30*ms) // the server is slow
	}
	require.EqualValues(t, 2, d.Replayed.Count())
	require.EqualValues(t, 102, d.Forwarded.Count())
	hear(sound, speechGap+1, 5*ms, 90*ms)
	require.EqualValues(t, 2, d.Replayed.Count(), "nothing was replayed")
	hear(sound, speechGap+1, 90*ms)
	require.EqualValues(t, 3, d.Replayed.Count())
	hear(picture, time.Second, 90*ms)
	require.EqualValues(t, 3, d.Replayed.Count())
	require.EqualValues(t, 105, d.Forwarded.Count())
}
