package trace

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Received is a packet as a receiver gets it. Padding alone is not to be given to Make.
type Received struct {
	Sequence  uint16
	Timestamp uint32
	Marker    bool
	At        time.Time
	Size      int    // of the payload in bytes
	Payload   []byte // at least the first KeepBytes of it
}

// KeepBytes is how much of a payload Make may want to see.
const KeepBytes = maxHead

// ErrRecording is wrapped by what Make returns if the packets are not what it needs.
var ErrRecording = errors.New("trace: the recording is of no use")

// KeyFrame tells whether a packet begins a key frame, and the size of it in pixels, 0
// if it does not say.
func (c Codec) KeyFrame(payload []byte) (key bool, width, height int) {
	at, err := inspect(c, payload, len(payload))
	return err == nil && at.key, at.width, at.height
}

// Make makes a layer from what was received: from the first key frame of that size on
// after which there is no other size, for the duration. Packets may have changed
// places, but none may be missing.
func Make(codec Codec, packets []Received, quality uint8, width, height int, duration time.Duration) (*Layer, error) {
	packets = inOrder(packets)
	begin := -1
	for i, p := range packets {
		at, err := inspect(codec, p.Payload[:min(len(p.Payload), p.Size)], p.Size)
		if err != nil {
			return nil, fmt.Errorf("%w: packet %d, % x: %w", ErrRecording, i, p.Payload[:min(len(p.Payload), 8)], err)
		}
		if !at.key || at.width == 0 {
			continue
		}
		if wanted := at.width == width && at.height == height; !wanted {
			begin = -1
		} else if begin < 0 {
			begin = i
		}
	}
	if begin < 0 {
		return nil, fmt.Errorf("%w: it does not settle at %d×%d", ErrRecording, width, height)
	}
	packets = packets[begin:]
	if err := noneMissing(packets); err != nil {
		return nil, err
	}
	l := &Layer{Codec: codec, Quality: quality, Width: width, Height: height}
	span := uint32(duration.Seconds() * ClockRate)
	ended := false
	for len(packets) > 0 && !ended {
		n := 1 + slices.IndexFunc(packets, func(p Received) bool { return p.Marker })
		if n == 0 {
			break // the last frame was not there in full
		}
		f, err := makeFrame(codec, packets[:n])
		if err != nil {
			return nil, err
		}
		f.Ticks = packets[0].Timestamp // until the steps are known, below
		l.Frames = append(l.Frames, f)
		ended = f.Ticks-l.Frames[0].Ticks >= span
		packets = packets[n:]
	}
	if !ended {
		return nil, fmt.Errorf("%w: shorter than %v", ErrRecording, duration)
	}
	l.Frames = l.Frames[:len(l.Frames)-1]
	first, last := l.Frames[0].Ticks, l.Frames[len(l.Frames)-1].Ticks
	for i := len(l.Frames) - 1; i > 0; i-- {
		l.Frames[i].Ticks -= l.Frames[i-1].Ticks
	}
	l.Frames[0].Ticks = (last - first) / uint32(max(1, len(l.Frames)-1))
	if err := l.finish(); err != nil {
		return nil, err
	}
	return l, l.continuous()
}

func noneMissing(packets []Received) error {
	for i := range packets[1:] {
		if step := packets[i+1].Sequence - packets[i].Sequence; step != 1 {
			return fmt.Errorf("%w: %d packets are missing", ErrRecording, step-1)
		}
	}
	return nil
}

// inOrder sorts by sequence number, and leaves out what came twice.
func inOrder(packets []Received) []Received {
	if len(packets) == 0 {
		return nil
	}
	type numbered struct {
		Received
		n int64
	}
	list := make([]numbered, 0, len(packets))
	last := int64(packets[0].Sequence)
	for _, p := range packets {
		last += int64(int16(p.Sequence - uint16(last)))
		list = append(list, numbered{p, last})
	}
	slices.SortStableFunc(list, func(a, b numbered) int { return cmp.Compare(a.n, b.n) })
	list = slices.CompactFunc(list, func(a, b numbered) bool { return a.n == b.n })
	out := make([]Received, 0, len(list))
	for _, p := range list {
		out = append(out, p.Received)
	}
	return out
}

func makeFrame(codec Codec, packets []Received) (Frame, error) {
	var f Frame
	start := packets[0].At
	for _, p := range packets {
		if p.Timestamp != packets[0].Timestamp {
			return f, fmt.Errorf("%w: a frame without a marker", ErrRecording)
		}
		if p.At.Before(start) {
			start = p.At
		}
	}
	for _, p := range packets {
		n, err := headLength(codec, p.Payload[:min(len(p.Payload), p.Size)], p.Size)
		if err != nil {
			return f, fmt.Errorf("%w: % x: %w", ErrRecording, p.Payload[:min(len(p.Payload), 8)], err)
		}
		f.Packets = append(f.Packets, Packet{
			Size: p.Size, Offset: p.At.Sub(start).Round(offsetUnit), Head: slices.Clone(p.Payload[:n]),
		})
		key, _, _ := codec.KeyFrame(p.Payload)
		f.Key = f.Key || key
	}
	return f, nil
}

// finish fills in what follows from the heads, and checks that they make up frames.
func (l *Layer) finish() error {
	l.limit = leastLimit
	for i := range l.Frames {
		f := &l.Frames[i]
		for j := range f.Packets {
			p := &f.Packets[j]
			var err error
			if p.at, err = inspect(l.Codec, p.Head, p.Size); err != nil {
				return err
			}
			l.limit = max(l.limit, p.Size)
		}
		if !f.whole(l.Codec) {
			return errShape
		}
	}
	if !l.Frames[0].Key {
		return errors.New("trace: the first frame is no key frame")
	}
	return nil
}

// whole tells whether the packets are those of a frame: every unit begins and ends, and
// the key frame flag is that of the packets.
func (f *Frame) whole(codec Codec) bool {
	key, open := false, false
	for i := range f.Packets {
		at := &f.Packets[i].at
		key = key || at.key
		if at.first == open {
			return false
		}
		open = !at.last
		if codec == VP8 { // one unit, whose end is that of the frame
			open = i < len(f.Packets)-1
		}
	}
	return !open && key == f.Key
}

// continuous checks that the pictures are numbered without a gap: an SFU that leaves one
// out numbers the packets on.
func (l *Layer) continuous() error {
	for i := range l.Frames[1:] {
		before, p := &l.Frames[i].Packets[0], &l.Frames[i+1].Packets[0]
		id, mask := p.pictureID()
		idBefore, _ := before.pictureID()
		if mask != 0 && id != (idBefore+1)&mask {
			return fmt.Errorf("%w: picture %d follows %d", ErrRecording, id, idBefore)
		}
		if p.at.tl0 == 0 || before.at.tl0 == 0 {
			continue
		}
		want := before.Head[before.at.tl0]
		if p.at.base {
			want++
		}
		if p.Head[p.at.tl0] != want {
			return fmt.Errorf("%w: TL0PICIDX %d follows %d", ErrRecording, p.Head[p.at.tl0], before.Head[before.at.tl0])
		}
	}
	return nil
}
