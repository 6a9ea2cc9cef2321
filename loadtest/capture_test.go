package loadtest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"diemcau/loadtest/trace"
)

// TestCaptureRecordsWhatIsPlayed: a trace that is played to the server is recorded again
// behind it, packet for packet.
func TestCaptureRecordsWhatIsPlayed(t *testing.T) {
	t.Parallel()
	for _, name := range trace.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr, err := trace.Load(name)
			require.NoError(t, err)
			at := server(t)
			o := CaptureOptions{
				Options:   Options{URL: at.URL, Key: at.Key, Secret: at.Secret, Room: roomName(t), AllowRemote: true},
				Publisher: "speaker", Duration: 3 * time.Second, KeyFrames: time.Second, Source: "played",
			}
			o.Qualities = []livekit.VideoQuality{livekit.VideoQuality_LOW, livekit.VideoQuality_MEDIUM, livekit.VideoQuality_HIGH}
			o.SVC = len(tr.Layers) == 1
			playInRoom(t, &o.Options, tr)
			got, err := Capture(t.Context(), o)
			for try := 1; try < 3 && errors.Is(err, trace.ErrRecording); try++ {
				t.Logf("again: %v", err) // a server may leave pictures out on a busy machine
				got, err = Capture(t.Context(), o)
			}
			require.NoError(t, err)
			require.Equal(t, tr.Codec, got.Codec)
			require.Len(t, got.Layers, len(tr.Layers))
			for i, l := range got.Layers {
				want := tr.Layers[i]
				require.Equal(t, [2]int{want.Width, want.Height}, [2]int{l.Width, l.Height})
				require.GreaterOrEqual(t, l.KeyFrames(), 2)
				for n, f := range l.Frames {
					require.True(t, slices.ContainsFunc(want.Frames, func(of trace.Frame) bool { return sameSizes(f, of) }),
						"frame %d of %d was not played: %v", n, len(l.Frames), f)
				}
			}
		})
	}
}

func sameSizes(a, b trace.Frame) bool {
	return a.Key == b.Key && slices.EqualFunc(a.Packets, b.Packets, func(a, b trace.Packet) bool { return a.Size == b.Size })
}

// playInRoom publishes all layers of a trace until the test ends.
func playInRoom(t *testing.T, o *Options, tr *trace.Trace) {
	room, err := o.join(t.Context(), "speaker", lksdk.NewRoomCallback(), lksdk.WithAutoSubscribe(false))
	require.NoError(t, err)
	codec := webrtc.RTPCodecCapability{MimeType: tr.Codec.MimeType(), ClockRate: trace.ClockRate}
	if tr.Codec == trace.H264 {
		codec.SDPFmtpLine = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
	}
	var tracks []*lksdk.LocalTrack
	var players []*trace.Player
	for _, l := range tr.Layers {
		p := l.Player(0)
		track, err := lksdk.NewLocalTrack(codec, lksdk.WithRTCPHandler(func(packet rtcp.Packet) {
			if _, ok := packet.(*rtcp.PictureLossIndication); ok {
				p.RequestKeyFrame()
			}
		}), lksdk.WithSimulcast(t.Name(), &livekit.VideoLayer{
			Quality: livekit.VideoQuality(l.Quality), Width: uint32(l.Width), Height: uint32(l.Height),
		}))
		require.NoError(t, err)
		tracks, players = append(tracks, track), append(players, p)
	}
	_, err = room.LocalParticipant.PublishSimulcastTrack(tracks, &lksdk.TrackPublicationOptions{Source: livekit.TrackSource_CAMERA})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	var playing sync.WaitGroup
	t.Cleanup(func() {
		stop()
		playing.Wait()
		room.Disconnect()
	})
	for i := range tracks {
		playing.Go(func() { playLayer(ctx, tracks[i], players[i]) })
	}
}

// playLayer sends in real time until ctx ends or the track is closed.
func playLayer(ctx context.Context, track *lksdk.LocalTrack, p *trace.Player) {
	header := rtp.Header{Version: 2}
	due := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		s := p.Next()
		header.Timestamp += s.Ticks
		due = due.Add(time.Duration(s.Ticks) * time.Second / trace.ClockRate)
		timer.Reset(time.Until(due))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		for i, payload := range s.Payloads {
			header.SequenceNumber++
			header.Marker = i == len(s.Payloads)-1
			if track.WriteRTP(&rtp.Packet{Header: header.Clone(), Payload: payload}, nil) != nil {
				return
			}
		}
	}
}
