package trace

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// The file is gzip of:
//
//	magic "DTRC", version 1, codec                          6 bytes
//	source                                                  length and bytes
//	number of layers
//	for each layer:
//	  quality                                               1 byte
//	  width, height, number of frames, number of packets
//	  of each frame: ticks
//	  of each frame: 1 if it is a key frame, else 0         1 byte
//	  of each packet: 1 if it has the marker, else 0        1 byte
//	  of each packet: size
//	  of each packet: offset within the frame in 0.1 ms
//	  of each packet: length of the head
//	  of each packet: head                                  bytes
//
// Numbers are unsigned varints (encoding/binary) in their shortest form. Columns,
// rather than packets one after the other, make it small.
const (
	magic   = "DTRC"
	version = 1

	maxPlain   = 4 << 20 // bytes before gzip
	maxSource  = 1024    // bytes
	maxLayers  = 8
	maxSide    = 1 << 14 // pixels
	maxFrames  = 1 << 14 // of a layer
	maxPackets = 1 << 17 // of a layer
	maxSize    = 1500    // bytes of a payload
	maxTicks   = ClockRate
	offsetUnit = 100 * time.Microsecond
	maxOffset  = 10 * time.Second / offsetUnit
)

// ErrFormat is wrapped by what Decode returns for what is no trace.
var ErrFormat = errors.New("not a trace of version 1")

// Encode gives the trace the form in which it is kept.
func Encode(t *Trace) ([]byte, error) {
	plain, err := encode(t)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(plain); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func encode(t *Trace) ([]byte, error) {
	b := append([]byte(magic), version, byte(t.Codec))
	b = binary.AppendUvarint(b, uint64(len(t.Source)))
	b = append(b, t.Source...)
	b = binary.AppendUvarint(b, uint64(len(t.Layers)))
	for _, l := range t.Layers {
		b = l.append(b)
	}
	// What cannot be read is not written.
	if _, err := decode(b); err != nil {
		return nil, err
	}
	return b, nil
}

func (l *Layer) append(b []byte) []byte {
	var packets []*Packet
	var markers []byte
	for i := range l.Frames {
		for j := range l.Frames[i].Packets {
			packets = append(packets, &l.Frames[i].Packets[j])
			markers = append(markers, bit(j == len(l.Frames[i].Packets)-1))
		}
	}
	b = append(b, l.Quality)
	for _, v := range []int{l.Width, l.Height, len(l.Frames), len(packets)} {
		b = binary.AppendUvarint(b, uint64(v))
	}
	for i := range l.Frames {
		b = binary.AppendUvarint(b, uint64(l.Frames[i].Ticks))
	}
	for i := range l.Frames {
		b = append(b, bit(l.Frames[i].Key))
	}
	b = append(b, markers...)
	for _, p := range packets {
		b = binary.AppendUvarint(b, uint64(p.Size))
	}
	for _, p := range packets {
		b = binary.AppendUvarint(b, uint64(p.Offset/offsetUnit))
	}
	for _, p := range packets {
		b = binary.AppendUvarint(b, uint64(len(p.Head)))
	}
	for _, p := range packets {
		b = append(b, p.Head...)
	}
	return b
}

func bit(set bool) byte {
	if set {
		return 1
	}
	return 0
}

// Decode reads what Encode has written. Errors wrap ErrFormat.
func Decode(b []byte) (*Trace, error) {
	in := bytes.NewReader(b)
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	z.Multistream(false)
	plain, err := io.ReadAll(io.LimitReader(z, maxPlain+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if len(plain) > maxPlain || in.Len() > 0 {
		return nil, fmt.Errorf("%w: too long", ErrFormat)
	}
	return decode(plain)
}

func decode(b []byte) (*Trace, error) {
	if len(b) < 6 || string(b[:4]) != magic || b[4] != version {
		return nil, ErrFormat
	}
	t := &Trace{Codec: Codec(b[5])}
	if t.Codec.MimeType() == "" {
		return nil, fmt.Errorf("%w: unknown codec", ErrFormat)
	}
	r := reader{rest: b[6:]}
	t.Source = string(r.take(r.number(0, maxSource)))
	layers := r.number(1, maxLayers)
	for range layers {
		if r.err != nil {
			break
		}
		t.Layers = append(t.Layers, r.layer(t.Codec))
	}
	if r.err == nil && len(r.rest) > 0 {
		r.fail("bytes behind the end")
	}
	if r.err != nil {
		return nil, r.err
	}
	return t, nil
}

// reader takes numbers and bytes off rest. After an error it gives zeros.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrFormat, what)
	}
	r.rest = nil
}

func (r *reader) take(n int) []byte {
	if n > len(r.rest) {
		r.fail("cut off")
	}
	if r.err != nil {
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// number reads one from low to high.
func (r *reader) number(low, high int) int {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || n > 1 && r.rest[n-1] == 0 {
		r.fail("not a number")
		return 0
	}
	if v < uint64(low) || v > uint64(high) {
		r.fail("a number out of bounds")
		return 0
	}
	r.rest = r.rest[n:]
	return int(v)
}

// flag reads a byte that is 0 or 1.
func (r *reader) flag() bool {
	b := r.take(1)
	if len(b) == 0 {
		return false
	}
	if b[0] > 1 {
		r.fail("not a flag")
	}
	return b[0] == 1
}

func (r *reader) layer(codec Codec) *Layer {
	l := &Layer{Codec: codec}
	if b := r.take(1); len(b) == 1 {
		l.Quality = b[0]
	}
	l.Width, l.Height = r.number(1, maxSide), r.number(1, maxSide)
	frames := r.number(1, maxFrames)
	n := r.number(1, maxPackets)
	// Every frame and packet takes some bytes, so that a few bytes cannot ask for much
	// memory.
	if frames > n || frames*2+n*4 > len(r.rest) {
		r.fail("cut off")
		return l
	}
	l.Frames = make([]Frame, frames)
	for i := range l.Frames {
		l.Frames[i].Ticks = uint32(r.number(1, maxTicks))
	}
	for i := range l.Frames {
		l.Frames[i].Key = r.flag()
	}
	packets := make([]Packet, n)
	r.divide(l.Frames, packets)
	for i := range packets {
		packets[i].Size = r.number(1, maxSize)
	}
	for i := range packets {
		packets[i].Offset = time.Duration(r.number(0, int(maxOffset))) * offsetUnit
	}
	lengths := make([]int, n)
	for i := range packets {
		lengths[i] = r.number(1, min(maxHead, max(1, packets[i].Size)))
	}
	for i := range packets {
		packets[i].Head = r.take(lengths[i])
	}
	if r.err == nil {
		if err := l.finish(); err != nil {
			r.fail(err.Error())
		}
	}
	return l
}

// divide gives each frame the packets up to its marker.
func (r *reader) divide(frames []Frame, packets []Packet) {
	begin, frame := 0, 0
	for i := range packets {
		if !r.flag() {
			continue
		}
		if frame == len(frames) {
			break
		}
		frames[frame].Packets = packets[begin : i+1 : i+1]
		begin = i + 1
		frame++
	}
	if frame != len(frames) || begin != len(packets) {
		r.fail("the markers do not fit the frames")
	}
}
