package downtrack

import (
	"testing"
	"testing/synctest"

	"github.com/pion/rtcp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"
)

// TestSentAgainNamesItsSection too: a receiver may tell streams apart by it alone.
func TestSentAgainNamesItsSection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.down.Section(func() string { return "m1" })
		_, err := b.down.Bind(named{b})
		require.NoError(t, err)
		b.feed(frame{layer: 2, seq: 10, ts: 1000, pic: 1, start: true, key: true, mk: true})
		nack, err := rtcp.Marshal([]rtcp.Packet{&rtcp.TransportLayerNack{
			MediaSSRC: testSSRC, Nacks: []rtcp.NackPair{{PacketID: b.packets()[0].SequenceNumber}},
		}})
		require.NoError(t, err)
		b.hear(nack)
		got := b.packets()
		require.Len(t, got, 2)
		require.Equal(t, uint32(testRTX), got[1].SSRC)
		for _, p := range got {
			require.Equal(t, "m1", string(p.GetExtension(4)))
		}
	})
}

// named is a bench whose receiver takes the mid.
type named struct{ *bench }

func (named) HeaderExtensions() []webrtc.RTPHeaderExtensionParameter {
	return []webrtc.RTPHeaderExtensionParameter{{URI: sdp.SDESMidURI, ID: 4}}
}
