package loadtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"github.com/spf13/cobra"

	"diemcau/loadtest/trace"
)

// CaptureOptions describe a recording of what somebody publishes.
type CaptureOptions struct {
	Options
	// Publisher is the identity of who publishes the camera to be recorded.
	Publisher string
	// Qualities are the layers wanted; one subscriber is made for each.
	Qualities []livekit.VideoQuality
	// SVC says that the layers are spatial layers of one stream, which is put together
	// again from what the subscribers are sent: all of its layers must be wanted.
	SVC bool
	// Duration is how long each layer is recorded.
	Duration time.Duration
	// KeyFrames is how often a key frame is asked for.
	KeyFrames time.Duration
	// Source tells in the trace what was recorded.
	Source string
}

const (
	captureSettle = time.Minute     // until all layers have begun
	captureMargin = time.Second     // recorded beyond the duration, for packets that come late
	svcMargin     = 6 * time.Second // and until all have a key frame
	capturePoll   = 100 * time.Millisecond
	maxCaptured   = 1 << 17 // packets of a layer
)

func captureCommand() *cobra.Command {
	var (
		o         CaptureOptions
		file      string
		qualities []string
	)
	cmd := o.command("capture", "Record the shape of somebody's camera for the load test", "",
		func(ctx context.Context, cmd *cobra.Command) error {
			for _, name := range qualities {
				q, ok := livekit.VideoQuality_value[strings.ToUpper(name)]
				if !ok || q == int32(livekit.VideoQuality_OFF) {
					return fmt.Errorf("--qualities %s: want low, medium or high", name)
				}
				o.Qualities = append(o.Qualities, livekit.VideoQuality(q))
			}
			t, err := Capture(ctx, o)
			o.line.end()
			if err != nil {
				return err
			}
			b, err := trace.Encode(t)
			if err != nil {
				return err
			}
			if err := os.WriteFile(file, b, 0o644); err != nil {
				return err
			}
			return tellTrace(cmd.OutOrStdout(), t, len(b))
		})
	cmd.Hidden = true
	cmd.Long = `A subscriber for each quality joins --room and records what --publisher sends of its
camera: sizes, times and headers of the packets, but no picture. What it writes is for
loadtest/trace/data; client/e2e has Chromium publish for it: npm run capture.

The secret may also be given as DIEMCAU_SECRET.`
	f := cmd.Flags()
	f.StringVar(&o.Publisher, "publisher", "speaker", "`IDENTITY` of the publisher")
	f.StringSliceVar(&qualities, "qualities", []string{"low", "medium", "high"}, "layers to record")
	f.BoolVar(&o.SVC, "svc", false, "the layers are spatial layers of one stream; record all of them")
	f.DurationVar(&o.Duration, "duration", 10*time.Second, "how long each layer is recorded")
	f.DurationVar(&o.KeyFrames, "key-frames", 2*time.Second, "how often to ask for a key frame")
	f.StringVar(&o.Source, "source", "", "what is recorded, in words")
	f.StringVar(&file, "out", "", "`FILE` to write")
	for _, name := range []string{"room", "out"} {
		_ = cmd.MarkFlagRequired(name) // there is such a flag
	}
	return cmd
}

// tellTrace prints the figures of a trace, one layer a line.
func tellTrace(w io.Writer, t *trace.Trace, bytes int) error {
	if _, err := fmt.Fprintf(w, "%s, %d layers, %d bytes: %s\n", t.Codec.MimeType(), len(t.Layers), bytes, t.Source); err != nil {
		return err
	}
	for _, l := range t.Layers {
		f := l.Figures()
		if _, err := fmt.Fprintf(w, "  %4d×%-4d %5.2f s %4.0f kbps %5.1f fps %2d key frames %6.1f packets/s %5.2f packets/frame %3.0f %% split %3.0f %% uneven, largest %d, cramped %d\n",
			l.Width, l.Height, f.Duration.Seconds(), f.Bitrate/1000, f.FrameRate, f.KeyFrames, f.PacketRate, f.PacketsPerFrame,
			100*f.Split, 100*f.Uneven, f.Largest, f.Cramped); err != nil {
			return err
		}
	}
	return nil
}

// Capture records. Error: the publisher is not there, does not send what is wanted, or
// a packet was lost; it may then be tried again. It ends at the latest when ctx does.
func Capture(ctx context.Context, o CaptureOptions) (*trace.Trace, error) {
	if err := o.check(ctx); err != nil {
		return nil, err
	}
	if len(o.Qualities) == 0 || o.Duration <= 0 || o.KeyFrames <= 0 {
		return nil, errors.New("a recording needs a quality, a duration and key frames")
	}
	o.Qualities = slices.Sorted(slices.Values(o.Qualities))
	cameras := make([]*camera, 0, len(o.Qualities))
	defer func() {
		for _, c := range cameras {
			c.leave()
		}
	}()
	for _, q := range o.Qualities {
		c := &camera{publisher: o.Publisher, quality: q, shown: q}
		if o.SVC {
			c.shown = o.Qualities[len(o.Qualities)-1]
		}
		// No feedback on bandwidth: then nothing limits the server.
		room, err := o.join(ctx, fmt.Sprintf("capture-%s", strings.ToLower(q.String())), c.callback(),
			lksdk.WithInterceptors([]interceptor.Factory{}))
		if err != nil {
			return nil, err
		}
		c.room = room
		cameras = append(cameras, c)
	}
	if err := o.record(ctx, cameras); err != nil {
		return nil, err
	}
	return o.makeTrace(cameras)
}

func (o *CaptureOptions) makeTrace(cameras []*camera) (*trace.Trace, error) {
	if o.SVC {
		var streams [][]trace.Received
		for _, c := range cameras {
			streams = append(streams, c.received())
		}
		merged, err := trace.Merge(streams)
		if err != nil {
			return nil, err
		}
		cameras = cameras[len(cameras)-1:]
		cameras[0].mu.Lock()
		cameras[0].packets = merged
		cameras[0].mu.Unlock()
	}
	t := &trace.Trace{Source: o.Source}
	for _, c := range cameras {
		l, err := c.layer(o.Duration)
		if err != nil {
			return nil, fmt.Errorf("quality %v: %w", c.quality, err)
		}
		t.Codec = l.Codec
		t.Layers = append(t.Layers, l)
	}
	return t, nil
}

// record waits until all cameras have recorded for long enough, and asks all of them
// for key frames at the same times.
func (o *CaptureOptions) record(ctx context.Context, cameras []*camera) error {
	ctx, cancel := context.WithTimeout(ctx, captureSettle+o.Duration)
	defer cancel()
	poll, ask := time.NewTicker(capturePoll), time.NewTicker(o.KeyFrames)
	defer poll.Stop()
	defer ask.Stop()
	margin := captureMargin
	if o.SVC {
		margin = svcMargin
	}
	told := time.Now()
	for {
		select {
		case <-ctx.Done():
			var states []string
			for _, c := range cameras {
				states = append(states, c.state())
			}
			return fmt.Errorf("the recording did not come about: %s: %w", strings.Join(states, "; "), ctx.Err())
		case <-ask.C:
			for _, c := range cameras {
				c.askKeyFrame()
			}
		case <-poll.C:
			least := o.Duration
			for _, c := range cameras {
				least = min(least, c.recorded()-margin)
			}
			if least == o.Duration {
				return nil
			}
			if time.Since(told) < time.Second {
				continue
			}
			told = time.Now()
			o.progress("recording, %.1f s of %v", max(0, least).Seconds(), o.Duration)
		}
	}
}

// camera is a subscriber that records one layer.
type camera struct {
	publisher string
	quality   livekit.VideoQuality
	shown     livekit.VideoQuality // whose size the key frames tell
	room      *lksdk.Room
	reader    sync.WaitGroup

	mu            sync.Mutex
	track         *webrtc.TrackRemote      // guarded by mu, nil until it comes, as is from
	from          *lksdk.RemoteParticipant // guarded by mu
	codec         trace.Codec              // guarded by mu
	width, height int                      // guarded by mu; those of shown
	packets       []trace.Received         // guarded by mu
	begun         time.Time                // guarded by mu; since when it has the size wanted
	err           error                    // guarded by mu
}

func (c *camera) callback() *lksdk.RoomCallback {
	cb := lksdk.NewRoomCallback()
	cb.OnTrackSubscribed = func(track *webrtc.TrackRemote, pub *lksdk.RemoteTrackPublication, from *lksdk.RemoteParticipant) {
		if from.Identity() == c.publisher && pub.Source() == livekit.TrackSource_CAMERA && c.take(track, pub, from) {
			c.reader.Go(func() { c.read(track) })
		}
	}
	return cb
}

// take remembers the track; false if it is not to be read.
func (c *camera) take(track *webrtc.TrackRemote, pub *lksdk.RemoteTrackPublication, from *lksdk.RemoteParticipant) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.track != nil {
		return false
	}
	c.track, c.from = track, from
	if c.codec, c.err = trace.CodecOf(track.Codec().MimeType); c.err != nil {
		return false
	}
	for _, l := range pub.TrackInfo().GetLayers() {
		if l.GetQuality() == c.shown {
			c.width, c.height = int(l.GetWidth()), int(l.GetHeight())
		}
	}
	if c.width == 0 {
		c.err = fmt.Errorf("%s publishes no quality %v", c.publisher, c.shown)
		return false
	}
	c.err = pub.SetVideoQuality(c.quality)
	return c.err == nil
}

// read records until the track ends.
func (c *camera) read(track *webrtc.TrackRemote) {
	for {
		p, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		c.add(p, time.Now())
	}
}

func (c *camera) add(p *rtp.Packet, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(p.Payload) == 0 || len(c.packets) == maxCaptured {
		return // padding, or far more than a layer has in that time
	}
	if key, w, h := c.codec.KeyFrame(p.Payload); key && w != 0 {
		switch wanted := w == c.width && h == c.height; {
		case !wanted:
			c.begun = time.Time{}
		case c.begun.IsZero():
			c.begun = at
		}
	}
	c.packets = append(c.packets, trace.Received{
		Sequence: p.SequenceNumber, Timestamp: p.Timestamp, Marker: p.Marker, At: at,
		Size: len(p.Payload), Payload: slices.Clone(p.Payload[:min(len(p.Payload), trace.KeepBytes)]),
	})
}

// askKeyFrame sends a PLI, if there is a track.
func (c *camera) askKeyFrame() {
	c.mu.Lock()
	track, from := c.track, c.from
	c.mu.Unlock()
	if track != nil {
		from.WritePLI(track.SSRC())
	}
}

// recorded tells for how long the layer wanted has come.
func (c *camera) recorded() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.begun.IsZero() {
		return 0
	}
	return time.Since(c.begun)
}

// state tells why a recording does not come about.
func (c *camera) state() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return c.err.Error()
	case c.track == nil:
		return fmt.Sprintf("no camera of %s", c.publisher)
	}
	return fmt.Sprintf("%v: %d packets, %d×%d since %v", c.quality, len(c.packets), c.width, c.height, c.begun)
}

func (c *camera) layer(duration time.Duration) (*trace.Layer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return trace.Make(c.codec, c.packets, uint8(c.quality), c.width, c.height, duration)
}

// received gives the packets so far.
func (c *camera) received() []trace.Received {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.packets)
}

func (c *camera) leave() {
	c.room.Disconnect()
	c.reader.Wait()
}
