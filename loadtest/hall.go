package loadtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
	"github.com/pion/webrtc/v4/pkg/media/oggreader"
	"golang.org/x/sync/errgroup"
)

// HallOptions describe a hall: many points that all publish picture and sound,
// and speak when they are called.
type HallOptions struct {
	Options
	// Points is how many publish; they are called point-0, point-1 and so on.
	Points int
}

// hallOrder is a line that controls a hall: the point that is to speak, the others
// being silent; -1: none.
type hallOrder struct {
	Speak int `json:"speak"`
}

// hallAnswer is a line that the hall says: ready once, with how many points there
// are, and for every order when the first packet of the speaker left.
type hallAnswer struct {
	Ready int     `json:"ready,omitempty"`
	Speak int     `json:"speak"`
	At    float64 `json:"at,omitempty"` // ms since 1970
}

// Hall joins the points, says that it is ready, and carries out the orders read
// from in, one JSON object a line, until in or ctx ends.
func Hall(ctx context.Context, o HallOptions, in io.Reader, out io.Writer) error {
	if err := o.check(ctx); err != nil {
		return err
	}
	if o.Points < 1 {
		return errors.New("a hall needs a point")
	}
	clip, err := makeHallClip(ctx, o.ClipDir)
	if err != nil {
		return err
	}
	voice, err := makeSound(ctx, filepath.Join(o.ClipDir, "voice.opus"), "sine=frequency=440", voiceTime)
	if err != nil {
		return err
	}
	quiet, err := makeSound(ctx, filepath.Join(o.ClipDir, "quiet.opus"), "anullsrc", quietTime)
	if err != nil {
		return err
	}
	h := &hall{o: o, clip: clip, voice: voice, quiet: quiet, points: make([]*point, o.Points)}
	defer h.leave()
	if err := h.join(ctx); err != nil {
		return err
	}
	say := json.NewEncoder(out)
	if err := say.Encode(hallAnswer{Ready: o.Points, Speak: -1}); err != nil {
		return err
	}
	return h.obey(ctx, in, say)
}

type hall struct {
	o      HallOptions
	clip   Clip
	voice  [][]byte // Opus frames
	quiet  [][]byte
	points []*point
}

// point is one publisher.
type point struct {
	room  *lksdk.Room
	voice *hallVoice
}

func (h *hall) join(ctx context.Context) error {
	return h.o.joinAll(ctx, len(h.points), "points publish", func(ctx context.Context, i int) (err error) {
		if h.points[i], err = h.joinOne(ctx, fmt.Sprintf("point-%d", i)); err != nil {
			return fmt.Errorf("point %d of %d: %w", i+1, h.o.Points, err)
		}
		return nil
	})
}

// joinOne joins without receiving anything and publishes picture and sound. The
// point is to be left even if there is an error.
func (h *hall) joinOne(ctx context.Context, identity string) (*point, error) {
	room, err := h.o.join(ctx, identity, lksdk.NewRoomCallback(), lksdk.WithAutoSubscribe(false))
	if err != nil {
		return nil, err
	}
	p := &point{room: room, voice: &hallVoice{frames: h.voice, quiet: h.quiet}}
	sound, err := lksdk.NewLocalTrack(webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1",
	})
	if err != nil {
		return p, err
	}
	if err := sound.StartWrite(p.voice, nil); err != nil {
		return p, err
	}
	if _, err := p.room.LocalParticipant.PublishTrack(sound, &lksdk.TrackPublicationOptions{
		Name: "microphone", Source: livekit.TrackSource_MICROPHONE,
	}); err != nil {
		return p, err
	}
	picture, err := NewClipTracks(h.clip)
	if err != nil {
		return p, err
	}
	_, err = p.room.LocalParticipant.PublishSimulcastTrack(picture, &lksdk.TrackPublicationOptions{
		Name: "camera", Source: livekit.TrackSource_CAMERA,
	})
	return p, err
}

func (h *hall) leave() {
	var g errgroup.Group
	g.SetLimit(8)
	for _, p := range h.points {
		if p != nil {
			g.Go(func() error { p.room.Disconnect(); return nil })
		}
	}
	_ = g.Wait() // leaving does not fail
}

// obey carries out orders until there are no more.
func (h *hall) obey(ctx context.Context, in io.Reader, say *json.Encoder) error {
	lines := make(chan []byte)
	go func() { // ends with in, or at the latest with the process: a read cannot be interrupted
		defer close(lines)
		for s := bufio.NewScanner(in); s.Scan(); {
			select {
			case lines <- append([]byte(nil), s.Bytes()...):
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case line, ok := <-lines:
			if !ok {
				return nil
			}
			var order hallOrder
			if err := json.Unmarshal(line, &order); err != nil || order.Speak >= len(h.points) {
				return fmt.Errorf("%q is no order", line)
			}
			at, err := h.speak(ctx, order.Speak)
			if err != nil {
				return err
			}
			if err := say.Encode(hallAnswer{Speak: order.Speak, At: at}); err != nil {
				return err
			}
		}
	}
}

// speak has one point speak and waits until its first packet leaves.
func (h *hall) speak(ctx context.Context, who int) (at float64, err error) {
	for i, p := range h.points {
		if i != who {
			p.voice.stop()
		}
	}
	if who < 0 {
		return 0, nil
	}
	select {
	case begun := <-h.points[who].voice.start():
		return float64(begun.UnixMicro()) / 1000, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Durations of the frames of one who speaks, and of one who is silent.
const (
	voiceTime = 20 * time.Millisecond
	quietTime = 60 * time.Millisecond
)

// hallVoice plays a voice while it is to speak, and else silence.
type hallVoice struct {
	lksdk.BaseSampleProvider
	frames [][]byte
	quiet  [][]byte
	next   int // only NextSample touches it

	mu    sync.Mutex
	begun chan time.Time // guarded by mu; not nil: to speak
	told  bool           // guarded by mu
	level atomic.Uint32
}

func (v *hallVoice) start() <-chan time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.begun, v.told = make(chan time.Time, 1), false
	return v.begun
}

func (v *hallVoice) stop() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.begun = nil
}

// NextSample implements lksdk.SampleProvider; it never fails.
func (v *hallVoice) NextSample(context.Context) (media.Sample, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.begun == nil {
		v.level.Store(127)
		v.next = (v.next + 1) % len(v.quiet)
		return media.Sample{Data: v.quiet[v.next], Duration: quietTime}, nil
	}
	if !v.told {
		v.told = true
		v.begun <- time.Now()
	}
	v.level.Store(20)
	v.next = (v.next + 1) % len(v.frames)
	return media.Sample{Data: v.frames[v.next], Duration: voiceTime}, nil
}

// CurrentAudioLevel implements lksdk.AudioSampleProvider.
func (v *hallVoice) CurrentAudioLevel() uint8 { return uint8(v.level.Load()) }

// makeHallClip encodes a picture that costs little, in three sizes.
func makeHallClip(ctx context.Context, dir string) (Clip, error) {
	const fps = 10
	clip, args, files := Clip{}, []string(nil), []string(nil)
	for i, rate := range []uint32{40_000, 100_000, 250_000} {
		l := ClipLayer{
			MimeType: webrtc.MimeTypeVP8, Quality: livekit.VideoQuality(i), Width: 160 << i, Height: 90 << i,
			Bitrate: rate, FrameTime: time.Second / fps,
		}
		clip = append(clip, l)
		args = append(args, "-s", fmt.Sprintf("%dx%d", l.Width, l.Height), "-r", fmt.Sprint(fps), "-c:v", "libvpx",
			"-b:v", fmt.Sprint(rate), "-g", fmt.Sprint(fps), "-deadline", "realtime", "-cpu-used", "8",
			"-auto-alt-ref", "0", "-lag-in-frames", "0", "-threads", "1", "-f", "ivf", outputMark)
		files = append(files, clipFile(dir, "hall", l))
	}
	return clip, clip.encodeVP8(ctx, args, files)
}

// makeSound encodes two seconds of one of ffmpeg's sources as Opus frames.
func makeSound(ctx context.Context, file, source string, frame time.Duration) ([][]byte, error) {
	ms := frame.Milliseconds()
	if missing(file) {
		part := file + ".part"
		if out, err := exec.CommandContext(ctx, "ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-y",
			"-f", "lavfi", "-i", source, "-t", "2", "-ar", "48000", "-c:a", "libopus", "-b:a", "24k",
			"-frame_duration", fmt.Sprint(ms), "-page_duration", fmt.Sprint(1000*ms), "-f", "opus", part).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("a sound needs ffmpeg with libopus: %w: %s", err, out)
		}
		if err := os.Rename(part, file); err != nil {
			return nil, err
		}
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	r, _, err := oggreader.NewWith(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var frames [][]byte
	for {
		page, h, err := r.ParseNextPage()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if h.GranulePosition > 0 && len(page) < 1000 {
			frames = append(frames, page)
		}
	}
	if len(frames) < 10 {
		return nil, fmt.Errorf("%s: %d frames", file, len(frames))
	}
	return frames[:len(frames)-1], nil
}
