package bwe

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/stretchr/testify/require"
)

// TestReportsAreReadAsPionReadsThem: each packet's status and arrival, whatever kinds
// of chunks a report is made of.
func TestReportsAreReadAsPionReadsThem(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		fb := &rtcp.TransportLayerCC{BaseSequenceNumber: uint16(r.Uint32()), ReferenceTime: r.Uint32() & 0xffffff}
		var want []uint16
		for range 1 + r.IntN(5) {
			switch r.IntN(3) {
			case 0:
				c := &rtcp.RunLengthChunk{Type: rtcp.TypeTCCRunLengthChunk, PacketStatusSymbol: uint16(r.IntN(3)), RunLength: uint16(1 + r.IntN(40))}
				fb.PacketChunks = append(fb.PacketChunks, c)
				for range c.RunLength {
					want = append(want, c.PacketStatusSymbol)
				}
			case 1:
				c := &rtcp.StatusVectorChunk{Type: rtcp.TypeTCCStatusVectorChunk, SymbolSize: rtcp.TypeTCCSymbolSizeOneBit}
				for range 14 {
					c.SymbolList = append(c.SymbolList, uint16(r.IntN(2)))
				}
				fb.PacketChunks, want = append(fb.PacketChunks, c), append(want, c.SymbolList...)
			default:
				c := &rtcp.StatusVectorChunk{Type: rtcp.TypeTCCStatusVectorChunk, SymbolSize: rtcp.TypeTCCSymbolSizeTwoBit}
				for range 7 {
					c.SymbolList = append(c.SymbolList, uint16(r.IntN(3)))
				}
				fb.PacketChunks, want = append(fb.PacketChunks, c), append(want, c.SymbolList...)
			}
		}
		if _, run := fb.PacketChunks[len(fb.PacketChunks)-1].(*rtcp.RunLengthChunk); !run {
			want = want[:len(want)-r.IntN(7)] // the last chunk says more
		}
		fb.PacketStatusCount = uint16(len(want))
		at := int64(fb.ReferenceTime) * 64_000
		arrivals := make(map[uint16]int64)
		for i, s := range want {
			var d int64
			switch s {
			case rtcp.TypeTCCPacketReceivedSmallDelta:
				d = int64(r.IntN(256)) * 250
			case rtcp.TypeTCCPacketReceivedLargeDelta:
				d = int64(int16(r.Uint32())) * 250
			default:
				continue
			}
			fb.RecvDeltas = append(fb.RecvDeltas, &rtcp.RecvDelta{Type: s, Delta: d})
			at += d
			arrivals[fb.BaseSequenceNumber+uint16(i)] = at
		}

		e := New(simple, epoch)
		for i := range want {
			e.Sent(fb.BaseSequenceNumber+uint16(i), 1200, 0, epoch)
		}
		rep, ok := parseReport(encode(fb))
		require.True(t, ok)
		e.history.walk(&rep, int64(rep.reference)*64_000, e)
		for i := range want {
			seq := fb.BaseSequenceNumber + uint16(i)
			p := e.history.find(e.history.at(seq))
			require.NotNil(t, p)
			require.Equal(t, want[i] != rtcp.TypeTCCPacketNotReceived, p.state == received, "packet %d", i)
		}
		if p := e.visit.newest; p != nil {
			require.Equal(t, arrivals[uint16(p.seq)], e.visit.waited+p.sent+e.delays.base, "arrival of packet %d", uint16(p.seq)-fb.BaseSequenceNumber)
		}
	}
}

func TestReportsThatAreCutShortAreIgnored(t *testing.T) {
	raw := encode(allReceived(10, 40, 64_000, 5_000))
	for n := range reportHeader + 2*6 { // 40 packets need six chunks
		_, ok := parseReport(raw[:n])
		require.False(t, ok, "%d bytes", n)
	}
	e := New(simple, epoch)
	for i := range uint16(40) {
		e.Sent(10+i, 1200, 0, epoch)
	}
	e.Feedback(raw[:reportHeader+2*6+5], epoch.Add(time.Second)) // five arrivals, then it ends
	require.Equal(t, received, e.history.find(e.history.at(14)).state)
	require.Equal(t, inFlight, e.history.find(e.history.at(15)).state)
}

func TestFeedbackDoesNotAllocate(t *testing.T) {
	e := New(simple, epoch)
	for i := range uint16(40) {
		e.Sent(10+i, 1200, 0, epoch)
	}
	raw := encode(allReceived(10, 40, 64_000, 5_000))
	require.Zero(t, testing.AllocsPerRun(100, func() { e.Feedback(raw, epoch.Add(time.Second)) }))
}
