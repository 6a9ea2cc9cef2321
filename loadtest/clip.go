package loadtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media/ivfreader"
)

// Frames per second, length and key-frame distance of a clip. A looped clip
// starts again with a key frame.
const (
	clipFPS         = 25
	clipSeconds     = 4
	clipKeyInterval = 2 * clipFPS
)

// Frame is one encoded picture.
type Frame struct {
	Data []byte
	Key  bool
}

// ClipLayer is a short piece of encoded video in one size.
type ClipLayer struct {
	MimeType      string
	Quality       livekit.VideoQuality
	Width, Height uint32
	// Bitrate is the encoder's target in bit/s.
	Bitrate uint32
	// FrameTime is the duration of every frame.
	FrameTime time.Duration
	Frames    []Frame
}

// Clip is the same video in several sizes, smallest first.
type Clip []ClipLayer

func simulcastSizes() []ClipLayer {
	const t = time.Second / clipFPS
	return []ClipLayer{
		{MimeType: webrtc.MimeTypeVP8, Quality: livekit.VideoQuality_LOW, Width: 320, Height: 180, Bitrate: 150_000, FrameTime: t},
		{MimeType: webrtc.MimeTypeVP8, Quality: livekit.VideoQuality_MEDIUM, Width: 640, Height: 360, Bitrate: 500_000, FrameTime: t},
		{MimeType: webrtc.MimeTypeVP8, Quality: livekit.VideoQuality_HIGH, Width: 1280, Height: 720, Bitrate: 1_500_000, FrameTime: t},
	}
}

// MakeSimulcastClip encodes a moving test picture as VP8 in 320×180, 640×360
// and 1280×720 with ffmpeg. Its files stay in dir and are used again by the
// next call. Errors: ffmpeg is missing or failed.
func MakeSimulcastClip(ctx context.Context, dir string) (Clip, error) {
	clip := Clip(simulcastSizes())
	var files []string
	args := []string{"-filter_complex", "[0:v]split=3[a][b][high];[a]scale=320:180[low];[b]scale=640:360[medium]"}
	for i, pad := range []string{"[low]", "[medium]", "[high]"} {
		l := clip[i]
		rate := fmt.Sprint(l.Bitrate)
		args = append(args, "-map", pad, "-c:v", "libvpx", "-b:v", rate, "-minrate", rate, "-maxrate", rate,
			"-bufsize", rate, "-g", fmt.Sprint(clipKeyInterval), "-deadline", "realtime", "-cpu-used", "8",
			"-auto-alt-ref", "0", "-lag-in-frames", "0", "-threads", "1", "-f", "ivf", outputMark)
		files = append(files, clipFile(dir, "vp8", l))
	}
	return clip, clip.encodeVP8(ctx, args, files)
}

// encodeVP8 fills the layers in from the files, having ffmpeg make them if they are
// not there.
func (c Clip) encodeVP8(ctx context.Context, args, files []string) error {
	if err := encode(ctx, args, files); err != nil {
		return err
	}
	for i := range c {
		var err error
		if c[i].Frames, err = readIVF(files[i]); err != nil {
			return err
		}
	}
	return nil
}

// MakeH264Clip encodes a moving test picture as H.264 constrained baseline in
// 640×360. The rest is as for MakeSimulcastClip.
func MakeH264Clip(ctx context.Context, dir string) (ClipLayer, error) {
	l := ClipLayer{MimeType: webrtc.MimeTypeH264, Quality: livekit.VideoQuality_HIGH,
		Width: 640, Height: 360, Bitrate: 500_000, FrameTime: time.Second / clipFPS}
	file := clipFile(dir, "h264", l)
	if err := encode(ctx, []string{"-vf", "scale=640:360", "-c:v", "libx264", "-profile:v", "baseline",
		"-tune", "zerolatency", "-preset", "ultrafast", "-b:v", fmt.Sprint(l.Bitrate), "-g", fmt.Sprint(clipKeyInterval),
		"-pix_fmt", "yuv420p", "-bsf:v", "h264_metadata=aud=insert", "-f", "h264", outputMark}, []string{file}); err != nil {
		return l, err
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return l, err
	}
	l.Frames = splitAccessUnits(b)
	if len(l.Frames) == 0 {
		return l, fmt.Errorf("%s: no access unit", file)
	}
	return l, nil
}

func clipFile(dir, codec string, l ClipLayer) string {
	return filepath.Join(dir, fmt.Sprintf("%s-%dx%d-%d.clip", codec, l.Width, l.Height, l.Bitrate))
}

// outputMark stands in ffmpeg's arguments for the next output file.
const outputMark = "OUTPUT"

// encode runs ffmpeg on its test source unless all files are there; args name
// filters and outputs. A file appears under its name only when it is complete.
func encode(ctx context.Context, args, files []string) error {
	if !slices.ContainsFunc(files, missing) {
		return nil
	}
	work, err := os.MkdirTemp(filepath.Dir(files[0]), "encoding-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }() // a temporary directory may stay
	source := fmt.Sprintf("testsrc2=size=1280x720:rate=%d,noise=alls=12:allf=t", clipFPS)
	all := []string{"-hide_banner", "-loglevel", "error", "-nostdin", "-y",
		"-f", "lavfi", "-t", fmt.Sprint(clipSeconds), "-i", source}
	part := func(file string) string { return filepath.Join(work, filepath.Base(file)) }
	outputs := files
	for _, a := range args {
		if a == outputMark {
			a, outputs = part(outputs[0]), outputs[1:]
		}
		all = append(all, a)
	}
	if out, err := exec.CommandContext(ctx, "ffmpeg", all...).CombinedOutput(); err != nil {
		switch {
		case errors.Is(err, exec.ErrNotFound):
			return fmt.Errorf("a clip to publish needs ffmpeg with libvpx and libx264 (Debian: apt-get install ffmpeg): %w", err)
		case ctx.Err() != nil:
			return ctx.Err()
		}
		return fmt.Errorf("ffmpeg: %w: %s", err, bytes.TrimSpace(out))
	}
	for _, file := range files {
		if err := os.Rename(part(file), file); err != nil {
			return err
		}
	}
	return nil
}

func missing(file string) bool {
	_, err := os.Stat(file)
	return err != nil
}

func readIVF(file string) ([]Frame, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, _, err := ivfreader.NewWith(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var frames []Frame
	for {
		data, _, err := r.ParseNextFrame()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if len(data) > 0 {
			frames = append(frames, Frame{Data: data, Key: data[0]&1 == 0}) // RFC 6386, 9.1
		}
	}
	if len(frames) == 0 || !frames[0].Key {
		return nil, fmt.Errorf("%s: does not start with a key frame", file)
	}
	return frames, nil
}

// splitAccessUnits cuts an Annex B stream before every access unit delimiter
// (ITU-T H.264, 7.3.2.4).
func splitAccessUnits(b []byte) []Frame {
	delimiter := []byte{0, 0, 0, 1, 9}
	var frames []Frame
	for _, part := range bytes.Split(b, delimiter) {
		if len(part) < 2 {
			continue
		}
		unit := part[1:] // the delimiter's own payload byte
		frames = append(frames, Frame{Data: unit, Key: bytes.Contains(unit, []byte{0, 0, 1, 0x65})})
	}
	return frames
}
