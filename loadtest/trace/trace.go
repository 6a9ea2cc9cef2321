package trace

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// ClockRate of all video over RTP: ticks a second.
const ClockRate = 90_000

// Codec is what the packets of a trace carry. The values are those of the file.
type Codec uint8

// The codecs that can be recorded.
const (
	VP8  Codec = 1 // RFC 7741
	H264 Codec = 2 // RFC 6184, packetization mode 1
	VP9  Codec = 3 // RFC 9628
)

// MimeType is the codec's name in SDP and in Pion, "video/VP8" and so on.
func (c Codec) MimeType() string {
	switch c {
	case VP8:
		return "video/VP8"
	case H264:
		return "video/H264"
	case VP9:
		return "video/VP9"
	}
	return ""
}

// CodecOf returns the codec of a MIME type, in whatever case.
func CodecOf(mimeType string) (Codec, error) {
	for _, c := range []Codec{VP8, H264, VP9} {
		if strings.EqualFold(mimeType, c.MimeType()) {
			return c, nil
		}
	}
	return 0, fmt.Errorf("trace: %q cannot be recorded", mimeType)
}

// Trace is one publication as it was recorded. It is not changed after it was made,
// so that it may be shared, its layers and their frames too.
type Trace struct {
	Codec Codec
	// Source tells what was recorded, in words.
	Source string
	// Layers are the RTP streams, the smallest picture first: those of a simulcast
	// publication, or the one that carries all spatial layers (SVC).
	Layers []*Layer
}

// Layer is one RTP stream, or what Scaled or Even have made of one.
type Layer struct {
	Codec Codec
	// Quality is that of LiveKit: 0 low, 1 medium, 2 high.
	Quality uint8
	// Width and Height are those of the (largest) picture, in pixels.
	Width, Height int
	// Frames begin with a key frame. With spatial layers in one stream, a frame is a
	// picture: all packets of one timestamp.
	Frames []Frame

	limit int // bytes of the largest payload that the packetizer makes
}

// Frame is what is sent with one RTP timestamp. The marker is on the last packet, and
// on no other.
type Frame struct {
	// Ticks are the time since the frame before, by the RTP timestamps. Of the first
	// frame it is the mean of all others.
	Ticks   uint32
	Key     bool
	Packets []Packet
}

// Packet is one RTP packet without its header.
type Packet struct {
	// Size is that of the payload in bytes, descriptor included.
	Size int
	// Offset is when the packet came after the first of its frame, to 0.1 ms: the
	// publisher's pacing, as seen behind the SFU that was recorded.
	Offset time.Duration
	// Head is the beginning of the payload: its descriptor and, where a frame starts,
	// the first bytes of the codec's own header. What follows it was not kept.
	Head []byte

	at places
}

// Sizes that the load tester needs for the time stamp in each payload.
const (
	// MinPayload is how many bytes a payload has at least, in a layer made by Scaled
	// or Even.
	MinPayload = 32
	// MinRoom is how many bytes behind the head it has at least there. They may be
	// overwritten.
	MinRoom = 16
)

// Room tells how many bytes of the payload have no meaning: those behind the head.
func (p *Packet) Room() int { return p.Size - len(p.Head) }

// KeyFrames counts the key frames.
func (l *Layer) KeyFrames() int {
	n := 0
	for i := range l.Frames {
		if l.Frames[i].Key {
			n++
		}
	}
	return n
}

// Duration is the time from the first frame to the one that would follow the last.
func (l *Layer) Duration() time.Duration {
	var ticks uint64
	for i := range l.Frames {
		ticks += uint64(l.Frames[i].Ticks)
	}
	return time.Duration(ticks) * time.Second / ClockRate
}

// Figures describe a layer.
type Figures struct {
	Duration  time.Duration
	Frames    int
	KeyFrames int
	Packets   int
	// Bitrate is that of the payloads, in bits a second.
	Bitrate float64
	// PacketRate is in packets a second, FrameRate in frames a second.
	PacketRate, FrameRate float64
	// PacketsPerFrame is the mean.
	PacketsPerFrame float64
	// Split is the share of frames that take several packets; Uneven the share of
	// frames whose packets are not all of one size. Both are of all frames.
	Split, Uneven float64
	// Largest is the largest payload in bytes.
	Largest int
	// Cramped counts the packets with less than MinPayload bytes of payload or MinRoom
	// behind the head: no time stamp fits in.
	Cramped int
}

// Figures counts.
func (l *Layer) Figures() Figures {
	f := Figures{Duration: l.Duration(), Frames: len(l.Frames), KeyFrames: l.KeyFrames()}
	bytes, split, uneven := 0, 0, 0
	for i := range l.Frames {
		packets := l.Frames[i].Packets
		f.Packets += len(packets)
		if len(packets) > 1 {
			split++
		}
		if slices.ContainsFunc(packets, func(p Packet) bool { return p.Size != packets[0].Size }) {
			uneven++
		}
		for j := range packets {
			bytes += packets[j].Size
			f.Largest = max(f.Largest, packets[j].Size)
			if packets[j].Size < MinPayload || packets[j].Room() < MinRoom {
				f.Cramped++
			}
		}
	}
	frames, seconds := float64(f.Frames), f.Duration.Seconds()
	f.Bitrate = float64(bytes) * 8 / seconds
	f.PacketRate, f.FrameRate = float64(f.Packets)/seconds, frames/seconds
	f.PacketsPerFrame = float64(f.Packets) / frames
	f.Split, f.Uneven = float64(split)/frames, float64(uneven)/frames
	return f
}

//go:embed data
var files embed.FS

const extension = ".trace"

// Names lists the recorded traces, in alphabetical order.
func Names() []string {
	found, _ := fs.Glob(files, path.Join("data", "*"+extension)) // the pattern is a good one
	names := make([]string, 0, len(found))
	for _, file := range found {
		names = append(names, strings.TrimSuffix(path.Base(file), extension))
	}
	return names
}

var loaded struct {
	sync.Mutex
	traces map[string]*Trace // guarded by Mutex
}

// Load returns the trace of that name, see Names. It is read once and shared.
func Load(name string) (*Trace, error) {
	loaded.Lock()
	defer loaded.Unlock()
	if t := loaded.traces[name]; t != nil {
		return t, nil
	}
	if !slices.Contains(Names(), name) {
		return nil, fmt.Errorf("trace: no trace %q; there are %s", name, strings.Join(Names(), ", "))
	}
	b, err := files.ReadFile(path.Join("data", name+extension))
	if err != nil {
		return nil, err
	}
	t, err := Decode(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if loaded.traces == nil {
		loaded.traces = map[string]*Trace{}
	}
	loaded.traces[name] = t
	return t, nil
}
