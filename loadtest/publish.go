package loadtest

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

// Looper plays a clip layer for ever, in real time. As an encoder would, it
// answers a key-frame request with a key frame: it jumps to the next one.
type Looper struct {
	lksdk.BaseSampleProvider
	layer     ClipLayer
	next      int // only NextSample touches it
	keyWanted atomic.Bool
	keyAsked  atomic.Uint64
	keyFrames atomic.Uint64
}

// NewLooper returns a Looper at the start of the layer.
func NewLooper(l ClipLayer) *Looper { return &Looper{layer: l} }

// RequestKeyFrame makes the next sample a key frame.
func (p *Looper) RequestKeyFrame() {
	p.keyAsked.Add(1)
	p.keyWanted.Store(true)
}

// KeyFrameRequests returns how many key frames were asked for.
func (p *Looper) KeyFrameRequests() uint64 { return p.keyAsked.Load() }

// KeyFrames returns how many key frames were played.
func (p *Looper) KeyFrames() uint64 { return p.keyFrames.Load() }

// NextSample implements lksdk.SampleProvider; it never fails.
func (p *Looper) NextSample(context.Context) (media.Sample, error) {
	frames := p.layer.Frames
	if p.keyWanted.Swap(false) {
		for !frames[p.next].Key {
			p.next = (p.next + 1) % len(frames)
		}
	}
	f := frames[p.next]
	p.next = (p.next + 1) % len(frames)
	if f.Key {
		p.keyFrames.Add(1)
	}
	return media.Sample{Data: f.Data, Duration: p.layer.FrameTime}, nil
}

// NewClipTrack makes a track that plays the layer once it is published.
// simulcastID, if not empty, is common to the layers of one publication.
func NewClipTrack(l ClipLayer, simulcastID string) (*lksdk.LocalTrack, *Looper, error) {
	looper := NewLooper(l)
	options := []lksdk.LocalTrackOptions{lksdk.WithRTCPHandler(func(p rtcp.Packet) {
		switch p.(type) {
		case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
			looper.RequestKeyFrame()
		}
	})}
	if simulcastID != "" {
		options = append(options, lksdk.WithSimulcast(simulcastID, &livekit.VideoLayer{
			Quality: l.Quality, Width: l.Width, Height: l.Height, Bitrate: l.Bitrate,
		}))
	}
	codec := webrtc.RTPCodecCapability{MimeType: l.MimeType, ClockRate: 90000}
	if l.MimeType == webrtc.MimeTypeH264 {
		codec.SDPFmtpLine = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
	}
	track, err := lksdk.NewLocalTrack(codec, options...)
	if err != nil {
		return nil, nil, err
	}
	return track, looper, track.StartWrite(looper, nil)
}

// NewClipTracks makes one track for each layer of a simulcast publication.
func NewClipTracks(clip Clip) ([]*lksdk.LocalTrack, error) {
	id := fmt.Sprintf("clip-%d", clipSerial.Add(1))
	tracks := make([]*lksdk.LocalTrack, 0, len(clip))
	for _, l := range clip {
		track, _, err := NewClipTrack(l, id)
		if err != nil {
			return nil, err
		}
		tracks = append(tracks, track)
	}
	return tracks, nil
}

// clipSerial tells publications of one process apart.
var clipSerial atomic.Uint64

// Tone plays Opus frames of 20 ms with a constant audio level.
type Tone struct {
	lksdk.BaseSampleProvider
	// Level is the audio level in -dBov: 0 is the loudest, 127 silence (RFC 6464).
	Level atomic.Uint32
}

// opusFrame is a mono 20 ms CELT frame in one packet (RFC 6716, 3.1: config
// 31, code 0) with an arbitrary range coder payload.
var opusFrame = append([]byte{31 << 3}, make([]byte, 79)...)

// NextSample implements lksdk.SampleProvider; it never fails.
func (*Tone) NextSample(context.Context) (media.Sample, error) {
	return media.Sample{Data: opusFrame, Duration: 20 * time.Millisecond}, nil
}

// CurrentAudioLevel implements lksdk.AudioSampleProvider.
func (t *Tone) CurrentAudioLevel() uint8 { return uint8(t.Level.Load()) }

// NewToneTrack makes an Opus track with the given level in -dBov.
func NewToneTrack(level uint8) (*lksdk.LocalTrack, *Tone, error) {
	tone := &Tone{}
	tone.Level.Store(uint32(level))
	track, err := lksdk.NewLocalTrack(webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1",
	})
	if err != nil {
		return nil, nil, err
	}
	return track, tone, track.StartWrite(tone, nil)
}
