package loadtest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/rtp/codecs"

	"diemcau/loadtest/light"
	"diemcau/loadtest/trace"
)

// Shapes of the packets that are published.
const (
	// shapeChromium: as Chromium makes them, by a recording.
	shapeChromium = "chromium"
	// shapeEven: the same frames in packets of one size each.
	shapeEven = "even"
	// shapeClip: an encoded test picture, in packets that are full but for the last.
	shapeClip = "clip"
)

// looks makes the pictures of publishers.
type looks struct {
	trace *trace.Trace
	even  bool
	clip  Clip // of shapeClip
}

func newLooks(ctx context.Context, o *Options, cast *Cast) (*looks, error) {
	cast.Codec, cast.Packets = strings.ToUpper(cast.Codec), strings.ToLower(cast.Packets)
	switch {
	case cast.Packets == shapeClip && cast.Codec != "VP8":
		return nil, fmt.Errorf("the clip is in VP8 only, not in %s", cast.Codec)
	case cast.Packets == shapeClip:
		o.progress("encoding the clip")
		clip, err := MakeSimulcastClip(ctx, o.ClipDir)
		return &looks{clip: clip}, err
	case cast.Packets != shapeChromium && cast.Packets != shapeEven:
		return nil, fmt.Errorf("packets %q: want %s, %s or %s", cast.Packets, shapeChromium, shapeEven, shapeClip)
	}
	t, err := trace.Load(strings.ToLower(cast.Codec))
	return &looks{trace: t, even: cast.Packets == shapeEven}, err
}

// layers are those of the n-th publisher, at the bitrates if there are any given. With
// VP9 there is one stream of all layers, which has the highest bitrate.
func (l *looks) layers(n int, bitrates ...int) []light.LayerOptions {
	if l.clip != nil {
		return l.clipLayers()
	}
	var made []light.LayerOptions
	for i, layer := range l.trace.Layers {
		rate := int(layer.Figures().Bitrate)
		if len(bitrates) > 0 {
			rate = bitrates[min(i, len(bitrates)-1)]
			if len(l.trace.Layers) == 1 {
				rate = bitrates[len(bitrates)-1]
			}
			layer = l.scaled(i, rate)
		} else if l.even {
			layer = layer.Even()
		}
		made = append(made, light.LayerOptions{
			Quality: livekit.VideoQuality(layer.Quality), Width: uint32(layer.Width), Height: uint32(layer.Height),
			Bitrate: uint32(rate), Source: layer.Player(n),
		})
		if len(bitrates) > 0 && i+1 == len(bitrates) {
			break
		}
	}
	return made
}

func (l *looks) scaled(i, rate int) *trace.Layer {
	layer := l.trace.Layers[i].Scaled(rate)
	if l.even {
		layer = layer.Even()
	}
	return layer
}

func (l *looks) clipLayers() []light.LayerOptions {
	var made []light.LayerOptions
	for _, c := range l.clip {
		made = append(made, light.LayerOptions{
			Quality: c.Quality, Width: c.Width, Height: c.Height, Bitrate: c.Bitrate, Source: newClipSource(c),
		})
	}
	return made
}

// clipMTU is the largest payload: that of pion/webrtc's tracks.
const clipMTU = 1188

// clipSource plays a clip in packets; it implements light.Source.
type clipSource struct {
	looper *Looper
	packer codecs.VP8Payloader
	ticks  uint32
	sample trace.Sample
}

func newClipSource(l ClipLayer) *clipSource {
	return &clipSource{looper: NewLooper(l), packer: codecs.VP8Payloader{EnablePictureID: true}, ticks: uint32(l.FrameTime * trace.ClockRate / time.Second)}
}

// vp8Lead are the bytes of a frame that a server may read, behind the descriptor.
const vp8Lead = 16

// Next implements light.Source.
func (c *clipSource) Next() *trace.Sample {
	frame, _ := c.looper.NextSample(context.Background()) // it never fails
	s := &c.sample
	s.Payloads, s.Heads, s.Offsets = c.packer.Payload(clipMTU, frame.Data), s.Heads[:0], s.Offsets[:0]
	for range s.Payloads {
		s.Heads, s.Offsets = append(s.Heads, vp8Lead), append(s.Offsets, 0)
	}
	s.Ticks, s.Key = c.ticks, frame.Data[0]&1 == 0
	return s
}

// RequestKeyFrame implements light.Source.
func (c *clipSource) RequestKeyFrame() { c.looper.RequestKeyFrame() }
