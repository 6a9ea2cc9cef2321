package bwe

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	epoch  = time.Unix(1_700_000_000, 0)
	simple = Config{Min: 100_000, Start: 800_000, Max: 5_000_000}
)

func at(d time.Duration) time.Time { return epoch.Add(d) }

// allReceived reports n packets from base on, one every gap, the first
// received at start, in the receiver's µs.
func allReceived(base uint16, n int, start, gap int64) *rtcp.TransportLayerCC {
	return makeReport(base, n, 0, func(seq uint16) (int64, bool) { return start + int64(seq-base)*gap, true })
}

// feed sends n packets of size bytes, one every gap, and reports them at once.
func feed(e *Estimator, base uint16, n, size int, from, gap time.Duration) time.Duration {
	for i := range n {
		e.Sent(base+uint16(i), size, 0, at(from+time.Duration(i)*gap))
	}
	end := from + time.Duration(n)*gap
	e.feedback(allReceived(base, n, (from+20*time.Millisecond).Microseconds(), gap.Microseconds()), at(end))
	return end
}

func TestTargetStaysWithinItsBounds(t *testing.T) {
	assert.EqualValues(t, 800_000, New(simple, epoch).Target())
	assert.EqualValues(t, 100_000, New(Config{Min: 100_000, Max: 200_000}, epoch).Target())
	assert.EqualValues(t, 200_000, New(Config{Min: 100_000, Start: 300_000, Max: 200_000}, epoch).Target())
	e := New(simple, epoch)
	e.REMB(1<<62, epoch)
	assert.EqualValues(t, 5_000_000, e.Target())
	e.REMB(1, epoch)
	assert.EqualValues(t, 100_000, e.Target())
}

func TestREMBOnlyWithoutReports(t *testing.T) {
	e := New(simple, epoch)
	e.REMB(1_200_000, epoch)
	assert.EqualValues(t, 1_200_000, e.Target())
	assert.Equal(t, "remb", e.Stats().State)
	e.REMB(-5, epoch)
	e.REMB(0, epoch)
	assert.EqualValues(t, 1_200_000, e.Target())

	end := feed(e, 0, 20, 500, 0, 20*time.Millisecond)
	require.Equal(t, "open", e.Stats().State)
	e.REMB(300_000, at(end+time.Second))
	assert.EqualValues(t, 1_200_000, e.Target(), "reports are known to come")
	e.REMB(300_000, at(end+4*time.Second))
	assert.EqualValues(t, 300_000, e.Target(), "they came")
}

func TestNothingSentIsNoSilence(t *testing.T) {
	e := New(simple, epoch)
	end := feed(e, 100, 20, 500, 0, 20*time.Millisecond)
	for d := end; d < end+time.Minute; d += 50 * time.Millisecond {
		e.Tick(at(d))
		require.False(t, e.Congested(at(d)))
	}
	assert.EqualValues(t, 800_000, e.Target())
}

func TestDrainEndsWithoutTraffic(t *testing.T) {
	e := New(simple, epoch)
	end := feed(e, 100, 20, 500, 0, 20*time.Millisecond)
	// The next packets are each 30 ms later than the one before.
	for i := range 10 {
		e.Sent(120+uint16(i), 500, 0, at(end+time.Duration(i)*10*time.Millisecond))
	}
	end += 100 * time.Millisecond
	e.feedback(allReceived(120, 10, 420_000, 40_000), at(end))
	require.True(t, e.Congested(at(end)))
	e.Tick(at(end + 100*time.Millisecond))
	assert.True(t, e.Congested(at(end)), "too early")
	e.Tick(at(end + time.Second))
	assert.False(t, e.Congested(at(end)))
}

func TestSameReportTwice(t *testing.T) {
	e := New(simple, epoch)
	for i := range 20 {
		e.Sent(uint16(i), 1000, 0, at(time.Duration(i)*10*time.Millisecond))
	}
	fb := makeReport(0, 20, 0, func(seq uint16) (int64, bool) { return int64(seq) * 10_000, seq%4 != 3 })
	e.feedback(fb, at(250*time.Millisecond))
	once := e.Stats()
	assert.InDelta(t, 0.2, once.Loss, 0.03)
	e.feedback(fb, at(250*time.Millisecond))
	assert.Equal(t, once, e.Stats())
}

// A packet reported lost that comes after all is none.
func TestLatePacketIsNotLost(t *testing.T) {
	e := New(simple, epoch)
	for i := range 20 {
		e.Sent(uint16(i), 1000, 0, at(time.Duration(i)*10*time.Millisecond))
	}
	e.feedback(makeReport(0, 20, 0, func(seq uint16) (int64, bool) { return int64(seq) * 10_000, seq != 10 }), at(250*time.Millisecond))
	assert.InDelta(t, 0.05, e.Stats().Loss, 0.001)
	e.feedback(allReceived(10, 1, 200_000, 0), at(260*time.Millisecond))
	assert.Zero(t, e.Stats().Loss)
}

func TestNoProbeWithoutWish(t *testing.T) {
	e := New(simple, epoch)
	e.SetWish(3_000_000)
	_, ok := e.NextProbe(epoch)
	assert.False(t, ok, "no report yet")
	end := feed(e, 0, 20, 500, 0, 10*time.Millisecond)
	e.SetWish(700_000)
	_, ok = e.NextProbe(at(end))
	assert.False(t, ok, "covered")
	e.SetWish(1_000_000)
	p, ok := e.NextProbe(at(end))
	require.True(t, ok)
	assert.EqualValues(t, 1_150_000, p.Rate, "a bit above the wish")
	assert.InDelta(t, float64(p.Rate)*p.Duration.Seconds()/8, p.Bytes, 1)
	_, ok = e.NextProbe(at(end))
	assert.False(t, ok, "one at a time")
}

// Numbers wrap, and the receiver's reference time does.
func TestWrapAround(t *testing.T) {
	e := New(simple, epoch)
	clock := int64(1<<24)*64_000 - 3_000_000
	seq := uint16(65_400)
	for i := range 300 {
		d := time.Duration(i) * 20 * time.Millisecond
		e.Sent(seq, 1000, 0, at(d))
		now := clock + d.Microseconds()
		e.feedback(allReceived(seq, 1, now, 0), at(d+30*time.Millisecond))
		seq++
	}
	s := e.Stats()
	assert.InDelta(t, 400_000, s.Acked, 10_000)
	assert.Zero(t, s.Congestions)
	assert.Zero(t, s.QueueDelay)
}

// The receiver sets its clock: that is neither a queue nor an end.
func TestReceiverSetsItsClock(t *testing.T) {
	e := New(simple, epoch)
	end, seq := time.Duration(0), uint16(0)
	for i := range 100 {
		for k := range uint16(5) {
			e.Sent(seq+k, 1000, 0, at(end+time.Duration(k)*20*time.Millisecond))
		}
		shift := int64(0)
		if i >= 50 {
			shift = 3_600_000_000
		}
		e.feedback(allReceived(seq, 5, shift+end.Microseconds(), 20_000), at(end+120*time.Millisecond))
		end += 100 * time.Millisecond
		seq += 5
		require.False(t, e.Congested(at(end)))
	}
}

func TestHistoryGrowsAndIsBounded(t *testing.T) {
	var h history
	for i := range 100_000 {
		h.add(uint16(i), int64(i)*10)
	}
	assert.Len(t, h.ring, maxHistory)
	assert.NotNil(t, h.find(h.last))
	assert.NotNil(t, h.find(h.last-maxHistory+1))
	assert.Nil(t, h.find(h.last-maxHistory))

	var slow history // nothing is forgotten early, nothing kept for long
	for i := range 100_000 {
		slow.add(uint16(i), int64(i)*40_000)
	}
	assert.Len(t, slow.ring, minHistory)
}
