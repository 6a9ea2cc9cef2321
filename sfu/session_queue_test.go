package sfu

import (
	"log/slog"
	"testing"

	"github.com/livekit/protocol/livekit"
	"github.com/stretchr/testify/require"
)

func pong(i int) *livekit.SignalResponse {
	return &livekit.SignalResponse{Message: &livekit.SignalResponse_Pong{Pong: int64(i)}}
}

func TestAClientFarBehindGetsAllInOrderUntilItIsCutOff(t *testing.T) {
	s := newSession(&Room{log: slog.New(slog.DiscardHandler)})
	s.p = &participant{}
	for i := range maxResponses {
		s.send(pong(i))
		require.False(t, s.over, "response %d", i)
	}
	s.send(pong(maxResponses))
	require.True(t, s.over)
	next := 0
	for m := range s.Responses() {
		require.EqualValues(t, next, m.GetPong())
		next++
	}
	require.Equal(t, maxResponses, next)
}

func TestAClientThatCatchesUpGoesOn(t *testing.T) {
	s := newSession(&Room{log: slog.New(slog.DiscardHandler)})
	s.p = &participant{}
	next := 0
	for i := range 20 * maxResponses {
		s.send(pong(i))
		if i%1000 == 999 {
			for ; next <= i; next++ {
				require.EqualValues(t, next, (<-s.Responses()).GetPong())
			}
		}
	}
	s.end()
	for m := range s.Responses() {
		require.EqualValues(t, next, m.GetPong())
		next++
	}
	require.Equal(t, 20*maxResponses, next)
}

func TestWhatWaitsForASocketThatIsGoneIsDropped(t *testing.T) {
	s := newSession(&Room{log: slog.New(slog.DiscardHandler)})
	s.p = &participant{}
	for i := range maxResponses {
		s.send(pong(i))
	}
	close(s.gone)
	s.end()
	count := 0
	for range s.Responses() {
		count++
	}
	require.LessOrEqual(t, count, maxResponses)
}
