package loadtest

import (
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"
)

// feed enters packets 20 ms apart; a packet's timestamp is 100 times its number.
func feed(a *Account, numbers ...uint16) {
	now := time.Unix(1000, 0)
	for _, n := range numbers {
		a.Add(&rtp.Header{SequenceNumber: n, Timestamp: uint32(int16(n)) * 100}, 10, now)
		now = now.Add(20 * time.Millisecond)
	}
}

func TestAccount(t *testing.T) {
	for _, c := range []struct {
		name                            string
		numbers                         []uint16
		packets, lost, late, duplicates uint64
	}{
		{"nothing", nil, 0, 0, 0, 0},
		{"in order", []uint16{1, 2, 3}, 3, 0, 0, 0},
		{"wraps", []uint16{65534, 65535, 0, 1}, 4, 0, 0, 0},
		{"a hole", []uint16{1, 2, 5}, 3, 2, 0, 0},
		{"a hole over the wrap", []uint16{65534, 1}, 2, 2, 0, 0},
		{"repaired", []uint16{1, 2, 5, 3, 4}, 5, 0, 2, 0},
		{"twice", []uint16{1, 2, 2, 1, 3}, 3, 0, 0, 2},
		{"repaired twice", []uint16{1, 3, 2, 2}, 3, 0, 1, 1},
		{"reordered at the start", []uint16{5, 3, 4, 6}, 4, 0, 2, 0},
		{"reordered at the start over the wrap", []uint16{0, 65535, 1}, 3, 0, 1, 0},
		{"too old to know", []uint16{1, 5001, 2}, 2, 4999, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var a Account
			feed(&a, c.numbers...)
			s := a.Stats()
			require.Equal(t, []uint64{c.packets, c.lost, c.late, c.duplicates}, []uint64{s.Packets, s.Lost, s.Late, s.Duplicates})
			require.Equal(t, 10*c.packets, s.Bytes)
		})
	}
}

// TestAccountLongStream goes around the numbers several times with one packet
// in a hundred missing and one in a hundred late.
func TestAccountLongStream(t *testing.T) {
	var a Account
	const n = 300_000
	now := time.Unix(0, 0)
	for i := range n {
		add := func(i int) { a.Add(&rtp.Header{SequenceNumber: uint16(i), Timestamp: uint32(i)}, 1, now) }
		switch i % 100 {
		case 50: // never
		case 60: // later
		case 70:
			add(i - 10)
			add(i)
		default:
			add(i)
		}
	}
	s := a.Stats()
	require.Equal(t, uint64(n-n/100), s.Packets)
	require.Equal(t, uint64(n/100), s.Lost)
	require.Equal(t, uint64(n/100), s.Late)
	require.Zero(t, s.Duplicates)
}

func TestAccountFreezes(t *testing.T) {
	var a Account
	at := time.Unix(1000, 0)
	add := func(number uint16, timestamp uint32, after time.Duration) {
		at = at.Add(after)
		a.Add(&rtp.Header{SequenceNumber: number, Timestamp: timestamp}, 1, at)
	}
	add(1, 0xffff_ff00, 0)
	add(2, 0xffff_ff00, 400*time.Millisecond) // the rest of the same frame
	add(3, 100, 200*time.Millisecond)         // 600 ms after the start of the frame before
	add(4, 200, 500*time.Millisecond)         // not over the limit
	add(5, 300, 40*time.Millisecond)
	s := a.Stats()
	require.Equal(t, uint64(4), s.Frames)
	require.Equal(t, uint64(1), s.Freezes)
	require.Equal(t, 600*time.Millisecond, s.MaxGap)
}
