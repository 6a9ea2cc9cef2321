package uptrack

import (
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"

	"diemcau/sfu/fanout"
)

type stream chan []byte

func (s stream) Read(b []byte) (int, interceptor.Attributes, error) {
	p, ok := <-s
	if !ok {
		return 0, nil, io.EOF
	}
	return copy(b, p), nil, nil
}

type bench struct {
	layer   *Layer
	packets stream
	asked   []time.Time // when anything was sent
	sent    []rtcp.Packet
	ended   int
	onsets  int
	found   int // times that the stream of repairs was looked for
	pool    *fanout.Pool
}

func newBench(mime string) *bench {
	b := &bench{
		packets: make(stream),
		pool:    fanout.New(1, nil, slog.New(slog.DiscardHandler)),
	}
	b.layer = Start(Config{
		SSRC: 7, Mime: mime, ClockRate: 48000, LevelID: 1, Stream: b.packets, NACK: true,
		Repairs: func() bool { b.found++; return b.found == 2 },
		WriteRTCP: func(p []rtcp.Packet) error {
			b.asked, b.sent = append(b.asked, time.Now()), append(b.sent, p...)
			return nil
		},
		Ended: func() { b.ended++ },
		Onset: func() { b.onsets++ },
		Log:   slog.New(slog.DiscardHandler),
	}, b.pool)
	return b
}

func (b *bench) close() {
	close(b.packets)
	b.layer.Wait()
	b.pool.Close()
}

func audio(t *testing.T, seq uint16, dBov uint8) []byte {
	t.Helper()
	p := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: seq, SSRC: 7}, Payload: []byte{1, 2, 3}}
	require.NoError(t, p.SetExtension(1, []byte{dBov}))
	raw, err := p.Marshal()
	require.NoError(t, err)
	return raw
}

func TestKeyFrameRequestsAreThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench("video/vp8")
		for range 100 {
			b.layer.RequestKeyFrame()
			time.Sleep(10 * time.Millisecond)
		}
		require.Len(t, b.asked, 4, "one second of requests from every subscriber")
		for i := 1; i < len(b.asked); i++ {
			require.GreaterOrEqual(t, b.asked[i].Sub(b.asked[i-1]), keyFrameIn)
		}
		b.close()
	})
}

func TestLevelsAreCollectedBetweenTwoCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench("audio/opus")
		for i, level := range []uint8{20, 30, 90, 127} {
			b.packets <- audio(t, uint16(i), level)
		}
		b.packets <- []byte("not RTP")
		synctest.Wait()
		require.Equal(t, Loudness{Packets: 4, Loud: 2, DBov: 25}, b.layer.TakeLevel())
		require.Equal(t, 1, b.onsets)
		require.Equal(t, Loudness{DBov: 127}, b.layer.TakeLevel())
		packets, bytes := b.layer.Counts()
		require.Equal(t, uint64(4), packets)
		require.Equal(t, uint64(12), bytes)
		b.close()
		require.Equal(t, 1, b.ended)
	})
}

func TestLiveReportsAndPackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench("audio/opus")
		require.False(t, b.layer.Live(time.Now()))
		require.Nil(t, b.layer.Report())
		b.packets <- audio(t, 500, 20)
		b.layer.Reported(42<<32, 9, time.Now())
		synctest.Wait()
		require.True(t, b.layer.Live(time.Now()))
		require.Equal(t, uint32(9), b.layer.Report().RTP)
		var buf [1500]byte
		require.Positive(t, b.layer.Get(500, buf[:]))
		require.Zero(t, b.layer.Get(501, buf[:]))
		time.Sleep(SilentAfter)
		require.False(t, b.layer.Live(time.Now()))
		b.close()
	})
}
