package loadtest

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// LOUDEST_POINTS=100 is the long form of TestLoudest.
const (
	loudestPoints = 30
	loudestN      = 6 // the server's default
	heardWithin   = 200 * time.Millisecond
	utterances    = 20
	talkers       = 10 // the other points are silent
)

// ear hears all sound that a peer connection receives, below the SDK: a packet
// counts whoever's stream it comes in.
type ear struct {
	mu   sync.Mutex
	came []heardPacket // guarded by mu
}

type heardPacket struct {
	at   time.Time
	ssrc uint32
	mark [2]byte // of the speaker and its packet; 0, 0: silence
}

// NewInterceptor implements interceptor.Factory.
func (e *ear) NewInterceptor(string) (interceptor.Interceptor, error) {
	return &earInterceptor{ear: e}, nil
}

type earInterceptor struct {
	interceptor.NoOp
	ear *ear
}

func (i *earInterceptor) BindRemoteStream(_ *interceptor.StreamInfo, next interceptor.RTPReader) interceptor.RTPReader {
	return interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, attributes, err := next.Read(b, a)
		var p rtp.Packet
		if err == nil && p.Unmarshal(b[:n]) == nil && len(p.Payload) > 2 {
			h := heardPacket{at: time.Now(), ssrc: p.SSRC}
			copy(h.mark[:], p.Payload[len(p.Payload)-2:]) // in RED too the newest comes last
			i.ear.mu.Lock()
			i.ear.came = append(i.ear.came, h)
			i.ear.mu.Unlock()
		}
		return n, attributes, err
	})
}

// first is when the packet with that mark came, after a time.
func (e *ear) first(mark [2]byte, after time.Time) (at time.Time, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.IndexFunc(e.came, func(p heardPacket) bool { return p.mark == mark && p.at.After(after) })
	if i < 0 {
		return at, false
	}
	return e.came[i].at, true
}

// streams is the most streams that came in any second between two times.
func (e *ear) streams(from, to time.Time) (most int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for ; !from.Add(time.Second).After(to); from = from.Add(100 * time.Millisecond) {
		ssrcs := make(map[uint32]bool)
		for _, p := range e.came {
			if !p.at.Before(from) && p.at.Before(from.Add(time.Second)) {
				ssrcs[p.ssrc] = true
			}
		}
		most = max(most, len(ssrcs))
	}
	return most
}

// talker sends silence, and marked packets while it speaks.
type talker struct {
	lksdk.BaseSampleProvider
	id byte

	mu    sync.Mutex
	left  int            // packets still to speak; guarded by mu
	n     byte           // number of the last; guarded by mu
	begun chan time.Time // guarded by mu
	level uint8          // guarded by mu
}

// speak has it speak so many packets, 255 at most; it gives when the first left.
func (s *talker) speak(packets int) <-chan time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left, s.n, s.begun = packets, 0, make(chan time.Time, 1)
	return s.begun
}

// NextSample implements lksdk.SampleProvider; it never fails.
func (s *talker) NextSample(context.Context) (media.Sample, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	frame := slices.Clone(opusFrame)
	s.level = 127
	if s.left > 0 {
		if s.n == 0 {
			s.begun <- time.Now()
		}
		s.left--
		s.n++
		s.level = 20
		copy(frame[len(frame)-2:], []byte{s.id, s.n})
	}
	return media.Sample{Data: frame, Duration: 20 * time.Millisecond}, nil
}

// CurrentAudioLevel implements lksdk.AudioSampleProvider.
func (s *talker) CurrentAudioLevel() uint8 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.level
}

// TestLoudest: in a room where everybody's microphone is open, a listener is sent
// at most six streams, and every utterance from its first packet on, in time.
func TestLoudest(t *testing.T) {
	points, err := strconv.Atoi(cmp.Or(os.Getenv("LOUDEST_POINTS"), fmt.Sprint(loudestPoints)))
	require.NoError(t, err)
	room := roomName(t)
	ears := make(map[string]*ear)
	for _, m := range []mode{twoPCs, onePC} {
		ears[string(m)] = &ear{}
		join(t, room, string(m), withMode(m), withConnect(
			lksdk.WithInterceptors([]interceptor.Factory{ears[string(m)]}), lksdk.WithIncludeDefaultInterceptors(true)))
	}
	all := make([]*talker, points)
	var g errgroup.Group
	g.SetLimit(4)
	for i := range all {
		all[i] = &talker{id: byte(i + 1)}
		g.Go(func() error {
			p, err := tryJoin(t, room, fmt.Sprint("point-", i), withConnect(lksdk.WithAutoSubscribe(false)))
			if err != nil {
				return err
			}
			track, err := lksdk.NewLocalTrack(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2})
			if err != nil {
				return err
			}
			if err := track.StartWrite(all[i], nil); err != nil {
				return err
			}
			_, err = p.room.LocalParticipant.PublishTrack(track, &lksdk.TrackPublicationOptions{Source: livekit.TrackSource_MICROPHONE})
			return err
		})
	}
	require.NoError(t, g.Wait())
	for name, e := range ears {
		until(t, 10*time.Second, func() bool { return e.streams(time.Now().Add(-time.Second), time.Now()) == loudestN },
			func() string { return name + " is sent as many streams as it may be" })
	}

	t.Run("a new speaker", func(t *testing.T) {
		seed := rand.New(rand.NewPCG(1, 2))
		var took []time.Duration
		for range utterances {
			s := all[seed.IntN(talkers)*points/talkers]
			const packets = 25
			began := <-s.speak(packets)
			for name, e := range ears {
				until(t, 5*time.Second, func() bool { _, ok := e.first([2]byte{s.id, packets}, began); return ok },
					func() string { return fmt.Sprintf("%s hears point %d to the end", name, s.id) })
				for n := byte(1); n <= packets; n++ {
					_, ok := e.first([2]byte{s.id, n}, began)
					require.True(t, ok, "%s did not get packet %d of point %d", name, n, s.id)
				}
				at, _ := e.first([2]byte{s.id, 1}, began)
				took = append(took, at.Sub(began))
			}
		}
		p := percentilesOf(took)
		t.Logf("%d points: the first packet of %d utterances after p50 %v, p95 %v, max %v", points, utterances, p.P50, p.P95, p.Max)
		require.LessOrEqual(t, p.Max, heardWithin)
	})
	t.Run("ten at once", func(t *testing.T) {
		for i := range talkers {
			<-all[i*points/talkers].speak(250)
		}
		begin := time.Now().Add(time.Second) // who is loudest is settled
		until(t, 10*time.Second, func() bool { return time.Since(begin) > 3*time.Second }, func() string { return "time passes" })
		for name, e := range ears {
			n := e.streams(begin, begin.Add(3*time.Second))
			t.Logf("%s: %d streams", name, n)
			require.Equal(t, loudestN, n, name)
		}
	})
}
