package trace

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMakeKeepsSizesAndTimes(t *testing.T) {
	for _, codec := range []Codec{VP8, H264, VP9} {
		packets := synthesise(codec, true)
		// Neighbours change places, also over the wrap of the sequence number, and one
		// comes twice.
		disorder := slices.Clone(packets)
		for i := 1; i+1 < len(disorder); i += 5 {
			disorder[i], disorder[i+1] = disorder[i+1], disorder[i]
		}
		disorder = slices.Insert(disorder, 50, disorder[40])
		l, err := Make(codec, disorder, 1, 1280, 720, 3*time.Second)
		require.NoError(t, err, codec.MimeType())
		require.Len(t, l.Frames, 90)
		require.Equal(t, 3*time.Second, l.Duration())
		require.Equal(t, 3, l.KeyFrames())
		i := 0
		for n, f := range l.Frames {
			require.Equal(t, uint32(3000), f.Ticks)
			require.Equal(t, n%synthKeyEvery == 0, f.Key)
			for j, p := range f.Packets {
				require.Equal(t, packets[i].Size, p.Size)
				require.Equal(t, packets[i].Payload[:len(p.Head)], p.Head)
				require.Equal(t, time.Duration(j)*1500*time.Microsecond, p.Offset)
				i++
			}
			require.True(t, packets[i-1].Marker)
		}
	}
}

func TestMakeRefuses(t *testing.T) {
	good := synthesise(VP8, true)
	small := slices.Clone(good)
	for i := range small {
		if small[i].Payload[6] == 0x10 { // the tag of a key frame
			small[i].Payload = slices.Clone(small[i].Payload)
			small[i].Payload[12], small[i].Payload[13] = 0x80, 0x02 // 640
		}
	}
	noMarker := slices.Clone(good)
	noMarker[slices.IndexFunc(good, func(p Received) bool { return p.Marker })].Marker = false
	leap := slices.Clone(good)
	for i := range leap[100:] {
		p := &leap[100+i]
		p.Payload = slices.Clone(p.Payload)
		p.Payload[3] += 3
	}
	tests := map[string]struct {
		packets  []Received
		duration time.Duration
		want     string
	}{
		"nothing":                {nil, time.Second, "settle"},
		"too short":              {good, 5 * time.Second, "shorter"},
		"a packet missing":       {slices.Delete(slices.Clone(good), 60, 61), time.Second, "1 packets are missing"},
		"of another size":        {small, time.Second, "settle"},
		"ends in another size":   {slices.Concat(good, follow(good, small)), time.Second, "settle"},
		"frame without a marker": {noMarker, time.Second, "without a marker"},
		"pictures missing":       {leap, 2 * time.Second, "picture"},
		"not of the codec":       {synthesise(H264, true), time.Second, "not a VP8 payload"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Make(VP8, test.packets, 0, 1280, 720, test.duration)
			require.ErrorIs(t, err, ErrRecording)
			require.ErrorContains(t, err, test.want)
		})
	}
	l, err := Make(VP8, slices.Concat(small, follow(small, good)), 0, 1280, 720, time.Second)
	require.NoError(t, err, "begins in another size")
	require.Len(t, l.Frames, 30)
}

// follow gives the packets numbers that come after those before.
func follow(before, packets []Received) []Received {
	packets = slices.Clone(packets)
	last := before[len(before)-1]
	for i := range packets {
		packets[i].Sequence += uint16(len(before))
		packets[i].Timestamp += last.Timestamp + 3000 - before[0].Timestamp
	}
	return packets
}

func TestSPSSize(t *testing.T) {
	for _, test := range []struct {
		sps           []byte
		width, height int
	}{
		{baselineSPS, 1280, 720},
		{croppedSPS, 320, 180},
		{baselineSPS[:6], 0, 0},
		{append([]byte{0x67, 100}, baselineSPS[2:]...), 0, 0}, // high profile
	} {
		w, h := spsSize(test.sps[1:])
		require.Equal(t, [2]int{test.width, test.height}, [2]int{w, h})
	}
}
