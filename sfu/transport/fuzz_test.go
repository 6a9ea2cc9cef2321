package transport

import (
	"log/slog"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/transport/v4/packetio"
)

// FuzzReports takes a peer's RTCP the way it comes: the stack parses the compound
// packet and writes it to the streams it is for. Nothing is an error, and nothing is kept.
func FuzzReports(f *testing.F) {
	for _, p := range []rtcp.Packet{
		&rtcp.TransportLayerNack{MediaSSRC: 1, Nacks: []rtcp.NackPair{{PacketID: 1, LostPackets: 0xffff}}},
		&rtcp.ReceiverEstimatedMaximumBitrate{SenderSSRC: 1, Bitrate: 1e6, SSRCs: []uint32{1, 2}},
		&rtcp.FullIntraRequest{FIR: []rtcp.FIREntry{{SSRC: 1}, {SSRC: 2}}},
		&rtcp.ExtendedReport{SenderSSRC: 1, Reports: []rtcp.ReportBlock{&rtcp.DLRRReportBlock{Reports: []rtcp.DLRRReport{{SSRC: 1}}}}},
		&rtcp.SenderReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{SSRC: 2}}},
		&rtcp.Goodbye{Sources: []uint32{1}},
	} {
		raw, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{SSRC: 1}}}, p})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte{0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 7, 0, 1, 0, 0, 0, 0, 0x20, 1, 4, 0})
	f.Add([]byte{0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 7, 0xff, 0xff, 0, 0, 0, 0, 0x3f, 0xff, 0x3f, 0xff})
	rep := newReporter()
	f.Cleanup(rep.close)
	f.Fuzz(func(t *testing.T, compound []byte) {
		in := newReceiving(rep, &buffers{}, slog.New(slog.DiscardHandler))
		in.BindRemoteStream(&interceptor.StreamInfo{SSRC: 1}, nil)
		in.tellReports(1, func(uint64, uint32, time.Time) {})
		defer func() { _ = in.Close() }()
		b := &buffers{report: func(p []byte) {
			if len(p) > max(len(compound), 4*(1<<16)) {
				t.Fatalf("%d bytes of %d", len(p), len(compound))
			}
			in.reported(p, time.Now())
		}}
		buf, ok := b.make(packetio.RTCPBufferPacket, 1).(*reports)
		if !ok {
			t.Fatal("no buffer of reports")
		}
		write := func(p []byte) {
			if n, err := buf.Write(p); err != nil || n != len(p) {
				t.Fatalf("wrote %d of %d: %v", n, len(p), err)
			}
		}
		write(compound) // as it would come if the stack did not look at it
		if pkts, err := rtcp.Unmarshal(compound); err == nil {
			for _, p := range pkts {
				if raw, err := p.Marshal(); err == nil {
					write(raw)
				}
			}
		}
		in.tell(time.Now().Add(time.Hour))
	})
}
