package impair

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sent is a packet that left a pipe.
type sent struct {
	number byte // of the packet, as it was pushed
	at     time.Duration
}

// drain takes everything out of a pipe, each packet when it is due.
func drain(p *pipe) []sent {
	var all []sent
	for at := p.next(); at != never; at = p.next() {
		for {
			b, due, ok := p.pop(at)
			if !ok {
				break
			}
			all = append(all, sent{b[0], due})
		}
	}
	return all
}

func packet(number byte, size int) []byte {
	b := make([]byte, size)
	b[0] = number
	return b
}

const ms = time.Millisecond

func TestPipeSendsAtItsRateAlsoWhenThatChanges(t *testing.T) {
	p := newPipe(1, 0, false)
	p.set(0, Impairment{Rate: 1_000_000, Queue: Duration(40 * ms), Delay: Duration(20 * ms)})
	for i := range byte(6) { // 1250 bytes take 10 ms: four find room
		require.Equal(t, i < 4, p.push(0, packet(i, 1250)))
	}
	require.EqualValues(t, 2, p.drops.Queue)
	// The second packet is under way when the rate falls to a tenth.
	p.set(15*ms, Impairment{Rate: 100_000, Queue: Duration(40 * ms)})
	require.Equal(t, []sent{{0, 30 * ms}, {1, 30 * ms}, {2, 120 * ms}, {3, 220 * ms}}, drain(p))

	// A slow line with a short queue passes single packets.
	p.set(time.Second, Impairment{Rate: 100_000, Queue: Duration(ms)})
	require.True(t, p.push(time.Second, packet(9, 1250)))
	require.False(t, p.push(time.Second, packet(9, 1250)))
	// Without a limit the queue empties at once.
	p.set(1010*ms, Impairment{})
	require.Equal(t, []sent{{9, 1010 * ms}}, drain(p))
	require.Zero(t, p.queueBytes)
}

func TestPipeKeepsOrderUnlessToldNotTo(t *testing.T) {
	p := newPipe(1, 0, false)
	p.set(0, Impairment{Delay: Duration(50 * ms), Jitter: Duration(20 * ms)})
	for i := range byte(100) {
		p.push(time.Duration(i)*ms, packet(i, 100))
	}
	out := drain(p)
	require.Len(t, out, 100)
	for i, s := range out {
		require.EqualValues(t, i, s.number)
		delay := s.at - time.Duration(i)*ms
		require.GreaterOrEqual(t, delay, 30*ms)
		require.LessOrEqual(t, delay, 70*ms+time.Duration(100)*ms)
	}

	p = newPipe(1, 0, false)
	p.set(0, Impairment{Reorder: 0.2, ReorderBy: Duration(10 * ms)})
	for i := range byte(200) {
		p.push(time.Duration(i)*ms, packet(i, 100))
	}
	late := 0
	for _, s := range drain(p) {
		switch s.at - time.Duration(s.number)*ms {
		case 0:
		case 10 * ms:
			late++
		default:
			t.Fatalf("packet %d left at %v", s.number, s.at)
		}
	}
	require.InDelta(t, 40, late, 15)
}

func TestPipeLosses(t *testing.T) {
	const n = 100_000
	half := Share(0.5)
	for name, test := range map[string]struct {
		is    Impairment
		share float64
		runs  float64 // mean number of packets lost in a row
	}{
		"random": {Impairment{Loss: 0.15}, 0.15, 1 / 0.85},
		// A quarter of the time bad, for 4 packets in the mean.
		"Gilbert-Elliott": {Impairment{GilbertElliott: &GilbertElliott{ToBad: 1.0 / 12, ToGood: 0.25}}, 0.25, 4},
		"burst":           {Impairment{Burst: &Burst{Every: Duration(5 * time.Second), For: Duration(300 * ms)}}, 0.06, 300},
		"half a burst":    {Impairment{Burst: &Burst{Every: Duration(5 * time.Second), For: Duration(300 * ms), Loss: &half}}, 0.03, 2},
		"blackout":        {Impairment{Blackout: true}, 1, n},
		"none":            {Impairment{}, 0, 0},
	} {
		p := newPipe(3, 0, false)
		p.set(0, test.is)
		lost, runs, before := 0, 0, true
		for i := range n {
			now := time.Duration(i) * ms
			kept := p.push(now, packet(0, 100))
			if !kept {
				lost++
				if before {
					runs++
				}
			}
			before = kept
			p.pop(now)
		}
		require.InDelta(t, test.share, float64(lost)/n, 0.01*test.share+0.003, name)
		if runs > 0 {
			require.InEpsilon(t, test.runs, float64(lost)/float64(runs), 0.05, name)
		}
		d := p.drops
		require.EqualValues(t, lost, d.Random+d.GilbertElliott+d.Burst+d.Blackout, name)
	}
}

func TestPipeIsTheSameAgainAndBounded(t *testing.T) {
	run := func(seed uint64) (kept []int) {
		p := newPipe(seed, 0, false)
		p.set(0, Impairment{Loss: 0.5, Delay: Duration(time.Second)})
		for i := range 3 * maxHeld {
			if p.push(0, packet(0, 20)) {
				kept = append(kept, i)
			}
		}
		require.Len(t, kept, maxHeld)
		require.NotZero(t, p.drops.Overflow)
		return kept
	}
	require.Equal(t, run(5), run(5))
	require.NotEqual(t, run(5), run(6))
}

func TestBlocked(t *testing.T) {
	udp4 := append([]byte{0: 0x45, 9: protocolUDP, 19: 0}, 0x10, 0x00, 0x20, 0x00) // port 4096 to 8192
	tcp6 := append([]byte{0: 0x60, 6: protocolTCP, 39: 0}, 0x10, 0x00, 0x20, 0x00)
	fragment := append([]byte(nil), udp4...)
	fragment[7] = 5
	all := []rule{{protocolUDP, 0}}
	require.True(t, blocked(all, udp4, true))
	require.True(t, blocked(all, fragment, true))
	require.False(t, blocked(all, tcp6, true))
	require.False(t, blocked(all, udp4[:15], true))
	require.False(t, blocked(all, nil, true))
	port := []rule{{protocolUDP, 1}, {protocolUDP, 8192}, {protocolTCP, 4096}}
	require.True(t, blocked(port, udp4, true))
	require.False(t, blocked(port, udp4, false))
	require.False(t, blocked(port, fragment, true))
	require.True(t, blocked(port, tcp6, false))
	require.False(t, blocked(port, tcp6, true))
	require.False(t, blocked(port, tcp6[:42], false))
}
