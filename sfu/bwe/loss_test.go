package bwe

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// lossFeed plays packets, one every 5 ms, of which each n-th is lost.
type lossFeed struct {
	losses
	now, sent int64
}

// play returns the verdicts other than lossNone of the next span µs. predicted
// is the place in the burst, in µs, of a packet and of a lost one.
func (f *lossFeed) play(span int64, n int, predicted, predictedLost int32) (verdicts []lossVerdict) {
	for end := f.now + span; f.now < end; f.now += 5 * ms {
		f.sent++
		p := packet{sent: f.now, predicted: predicted * int32(f.sent%2)}
		if n > 0 && f.sent%int64(n) == 0 {
			p.predicted = predictedLost * int32(f.sent/int64(n)%2)
			f.noteLost(&p)
		} else {
			f.noteGot(&p, f.now)
		}
		if v := f.judge(f.now); v != lossNone {
			verdicts = append(verdicts, v)
		}
	}
	return verdicts
}

// assertFloor: the loss may have been measured while it had just begun.
func assertFloor(t *testing.T, f *lossFeed, loss float64) {
	t.Helper()
	assert.Greater(t, f.floor, loss/2)
	assert.Less(t, f.floor, loss*1.1)
}

// Evenly sent packets say nothing by their place: it is tried out.
func TestLossIsTriedOut(t *testing.T) {
	for _, n := range []int{8, 3} {
		var f lossFeed
		assert.Empty(t, f.play(5*second, 0, 0, 0))
		assert.Equal(t, []lossVerdict{lossCut, lossRestore}, f.play(5*second, n, 0, 0), "the loss stays")
		assertFloor(t, &f, 1/float64(n))
		assert.Empty(t, f.play(30*second, n, 0, 0), "known by now")
	}
	var f lossFeed
	f.play(5*second, 0, 0, 0)
	var verdicts []lossVerdict
	for len(verdicts) == 0 && f.now < 20*second {
		verdicts = f.play(100*ms, 8, 0, 0)
	}
	assert.Equal(t, []lossVerdict{lossCut}, verdicts)
	assert.Equal(t, []lossVerdict{lossConfirmed}, f.play(5*second, 0, 0, 0), "the loss goes")
	assert.Zero(t, f.floor)
}

// Loss anywhere in a burst is taken as the path's own, without a try.
func TestLossAnywhereInABurst(t *testing.T) {
	var f lossFeed
	f.play(5*second, 0, 20*ms, 0)
	assert.Empty(t, f.play(10*second, 7, 20*ms, 20*ms))
	assertFloor(t, &f, 1.0/7)
}

func TestAnOutageIsNoLoss(t *testing.T) {
	var f lossFeed
	f.play(2*second, 0, 0, 0)
	f.play(300*ms, 1, 0, 0)
	f.play(100*ms, 0, 0, 0)
	assert.Zero(t, f.ratio(f.now))
	f.play(50*ms, 1, 0, 0)
	f.play(100*ms, 0, 0, 0)
	assert.NotZero(t, f.ratio(f.now))
}
