package bwe

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// FuzzFeedback plays sends, reports and time. A report is either the bytes, or built
// from them so that it speaks of what was sent.
func FuzzFeedback(f *testing.F) {
	raw := encode(allReceived(10, 12, 64_000, 5_000))
	f.Add(append([]byte{0, 30, 1, 50, 2, byte(len(raw))}, raw...))
	f.Add([]byte{0, 200, 3, 0, 0, 255, 255, 0, 0, 1, 40, 0, 40, 3, 255, 255, 200, 9, 1, 100, 4, 1, 5, 0, 0, 0, 1})
	f.Add([]byte{0, 9, 3, 0, 0, 3, 0, 0, 0, 0, 40, 5, 255, 255, 255, 127, 1, 255, 4, 2, 6, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		cfg := Config{Min: 50_000, Start: 500_000, Max: 3_000_000}
		now := time.Unix(0, 0)
		e := New(cfg, now)
		e.SetWish(2_000_000)
		g := fuzzer{in: in[:min(len(in), 4_000)]}
		seq, probe := uint16(65_500), 0
		for len(g.in) > 0 {
			switch arg := int(g.byte()); g.op % 7 {
			case 0:
				for range arg {
					e.Sent(seq, 20+5*arg, probe, now)
					seq++
					now = now.Add(time.Millisecond)
				}
			case 1:
				now = now.Add(time.Duration(arg-20) * 10 * time.Millisecond)
			case 2:
				n := min(arg, len(g.in))
				e.Feedback(g.in[:n], now)
				g.in = g.in[n:]
			case 3:
				e.Feedback(g.report(seq), now)
			case 4:
				e.SetRTT(time.Duration(arg) * 100 * time.Millisecond)
				e.REMB(int64(g.uint16())<<arg, now)
			case 5:
				e.SetWish(int64(g.uint16()) << arg)
				seq += g.uint16()
			case 6:
				e.Tick(now)
				if p, ok := e.NextProbe(now); ok {
					probe = p.ID
					if p.Rate <= 0 || p.Bytes <= 0 || p.Duration <= 0 || p.Rate > 2*cfg.Max {
						t.Fatalf("probe %+v", p)
					}
				}
			}
			if e.Target() < cfg.Min || e.Target() > cfg.Max {
				t.Fatalf("target %d", e.Target())
			}
			s := e.Stats()
			if s.Loss < 0 || s.Loss > 1 || s.LossFloor < 0 || s.LossFloor > 1 || s.Acked < 0 || s.Capacity < 0 || s.QueueDelay < 0 {
				t.Fatalf("%+v", s)
			}
			e.Congested(now)
		}
	})
}

type fuzzer struct {
	in []byte
	op byte
}

// byte takes the next call and its argument.
func (g *fuzzer) byte() byte {
	v := g.uint16()
	g.op = byte(v >> 8)
	return byte(v)
}

func (g *fuzzer) uint16() uint16 {
	var b [2]byte
	g.in = g.in[copy(b[:], g.in):]
	return binary.BigEndian.Uint16(b[:])
}

// report is of around seq, and says of the packets what the bytes have it say.
func (g *fuzzer) report(seq uint16) []byte {
	b := make([]byte, reportHeader)
	b[0], b[1] = 0x80|rtcp.FormatTCC, uint8(rtcp.TypeTransportSpecificFeedback)
	binary.BigEndian.PutUint16(b[12:], seq-g.uint16()%300)
	binary.BigEndian.PutUint16(b[14:], g.uint16())
	binary.BigEndian.PutUint32(b[16:], uint32(g.uint16())<<(8+g.op%16))
	for range g.uint16() % 16 {
		b = binary.BigEndian.AppendUint16(b, g.uint16())
	}
	n := min(int(g.byte()), len(g.in))
	b, g.in = append(b, g.in[:n]...), g.in[n:]
	return b
}

func BenchmarkSent(b *testing.B) {
	e := New(simple, epoch)
	b.ReportAllocs()
	now := epoch
	i := 0
	for b.Loop() {
		e.Sent(uint16(i), 1200, 0, now)
		now = now.Add(time.Millisecond)
		i++
	}
}

// BenchmarkFeedback is of reports on 50 packets each, 2 of them lost.
func BenchmarkFeedback(b *testing.B) {
	e := New(simple, epoch)
	raw := encode(makeReport(0, 50, 0, func(seq uint16) (int64, bool) { return int64(seq) * 2_000, seq != 10 && seq != 30 }))
	base, now := uint16(0), epoch
	b.ReportAllocs()
	for b.Loop() {
		for k := range uint16(50) {
			e.Sent(base+k, 1200, 0, now)
			now = now.Add(2 * time.Millisecond)
		}
		binary.BigEndian.PutUint16(raw[12:], base)
		binary.BigEndian.PutUint32(raw[16:], uint32(now.Sub(epoch)/(64*time.Millisecond))<<8)
		e.Feedback(raw, now)
		base += 50
	}
}
