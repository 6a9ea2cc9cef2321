package trace

// Scaled returns the layer as an encoder would send it at another bitrate, that of the
// payloads in bits a second: the same frames, each larger or smaller in the same
// proportion, and split into packets as libwebrtc does. Parameter sets keep their size.
// A payload has at least MinPayload bytes, and MinRoom behind the head, so that a very
// low bitrate is not reached; Figures tells what is.
func (l *Layer) Scaled(bitrate int) *Layer {
	want := int(float64(bitrate) / 8 * l.Duration().Seconds())
	low, high := 0.0, 1.0
	for l.bytesAt(high) < want && high < maxFactor {
		low, high = high, 2*high
	}
	for range 30 {
		if middle := (low + high) / 2; l.bytesAt(middle) < want {
			low = middle
		} else {
			high = middle
		}
	}
	return l.reshaped(high, aboutEqual)
}

const (
	// maxFactor bounds what Scaled makes of a layer.
	maxFactor = 64
	// leastLimit is what Layer.limit is at least, so that there is room behind any
	// descriptor.
	leastLimit = 64
)

// Even returns the layer as an ideal packetizer would send it: the packets of a frame
// are all of one size, for which a frame grows by less than a byte for each packet. What
// cannot be divided stays as it is: parameter sets, and the frames of the spatial layers
// of one picture, each of which is even in itself. The floor is that of Scaled.
func (l *Layer) Even() *Layer { return l.reshaped(1, equal) }

// split tells the size of the i-th of n packets that hold total bytes.
type split func(total, n, i int) int

// aboutEqual is libwebrtc's: the last packets have one byte more where it does not come
// out even.
func aboutEqual(total, n, i int) int {
	if i >= n-total%n {
		return total/n + 1
	}
	return total / n
}

func equal(total, n, _ int) int { return (total + n - 1) / n }

func (l *Layer) reshaped(factor float64, how split) *Layer {
	made := &Layer{Codec: l.Codec, Quality: l.Quality, Width: l.Width, Height: l.Height, limit: l.limit}
	made.Frames = make([]Frame, len(l.Frames))
	for i := range l.Frames {
		f := &l.Frames[i]
		packets := make([]Packet, 0, len(f.Packets))
		f.eachUnit(l.Codec, func(u *unit) { packets = u.append(packets, l.Codec, l.limit, factor, how) })
		made.Frames[i] = Frame{Ticks: f.Ticks, Key: f.Key, Packets: packets}
	}
	return made
}

// bytesAt is how many bytes of payload the layer has, scaled by the factor.
func (l *Layer) bytesAt(factor float64) int {
	sum := 0
	for i := range l.Frames {
		l.Frames[i].eachUnit(l.Codec, func(u *unit) {
			n, total := u.measure(l.limit, factor)
			for j := range n {
				sum += max(u.least(n, j), aboutEqual(total, n, j))
			}
		})
	}
	return sum
}

// unit is what is split into packets by itself: see places.first.
type unit struct {
	from []Packet
	// one, first and further are the bytes of the descriptor if there is one packet
	// only, if there are several, and of those behind the first.
	one, first, further int
	lead                int // bytes behind the first descriptor that were kept
	body                int // bytes behind the descriptors
}

func (f *Frame) eachUnit(codec Codec, do func(u *unit)) {
	begin := 0
	for i := range f.Packets {
		if i+1 < len(f.Packets) && !f.Packets[i+1].at.first {
			continue
		}
		u := newUnit(codec, f.Packets[begin:i+1])
		do(&u)
		begin = i + 1
	}
}

func newUnit(codec Codec, from []Packet) unit {
	head := &from[0]
	u := unit{from: from, one: head.at.descriptor, first: head.at.descriptor, lead: len(head.Head) - head.at.descriptor}
	u.further = u.first - head.at.structure
	if codec == H264 && !head.at.whole {
		u.one, u.first, u.further = 1, 2, 2
	}
	for i := range from {
		u.body += from[i].Size - from[i].at.descriptor
	}
	return u
}

// measure tells into how many packets the unit is split, scaled by the factor, and how
// many bytes they have in all.
func (u *unit) measure(limit int, factor float64) (n, total int) {
	if u.from[0].at.whole {
		return 1, u.from[0].Size
	}
	body := max(u.lead, 1, int(float64(u.body)*factor+0.5))
	if total = u.one + body; total <= limit {
		return 1, total
	}
	total = u.first - u.further + body
	n = max(2, (total+limit-u.further-1)/(limit-u.further))
	return n, total + n*u.further
}

// least is the size below which the j-th of n packets must not fall.
func (u *unit) least(n, j int) int {
	if u.from[0].at.whole {
		return 0
	}
	return max(MinPayload, u.headLength(n, j)+MinRoom)
}

func (u *unit) headLength(n, j int) int {
	switch {
	case n == 1:
		return u.one + u.lead
	case j == 0:
		return u.first + u.lead
	}
	return u.further
}

func (u *unit) append(packets []Packet, codec Codec, limit int, factor float64, how split) []Packet {
	if u.from[0].at.whole {
		return append(packets, u.from...)
	}
	n, total := u.measure(limit, factor)
	for j := range n {
		p := Packet{
			Size:   max(u.least(n, j), how(total, n, j)),
			Offset: u.from[j*len(u.from)/n].Offset,
			Head:   u.head(codec, n, j),
		}
		p.at, _ = inspect(codec, p.Head, p.Size) // made of a head that was inspected
		packets = append(packets, p)
	}
	return packets
}

// head makes the head of the j-th of n packets.
func (u *unit) head(codec Codec, n, j int) []byte {
	from := &u.from[0]
	head := append([]byte(nil), from.Head[:from.at.descriptor]...)
	switch codec {
	case VP8:
		if j > 0 {
			head[0] &^= 0x10 // S
		}
	case VP9:
		head[0] &^= 0x04 // E
		if j == n-1 {
			head[0] |= 0x04
		}
		if j > 0 {
			head[0] &^= 0x08 | 0x02 // B, V
			head = head[:u.further]
		}
	case H264:
		head = u.fragmentHead(n, j)
	}
	if j == 0 {
		head = append(head, from.Head[from.at.descriptor:]...)
	}
	return head
}

// fragmentHead is the header of a NAL unit, or of a fragment of it (FU-A).
func (u *unit) fragmentHead(n, j int) []byte {
	from := u.from[0].Head
	nal := from[0]
	if u.from[0].at.descriptor == 2 {
		nal = from[0]&0xE0 | from[1]&0x1F
	}
	if n == 1 {
		return []byte{nal}
	}
	fragment := nal & 0x1F
	if j == 0 {
		fragment |= 0x80 // S
	}
	if j == n-1 {
		fragment |= 0x40 // E
	}
	return []byte{nal&0xE0 | nalFUA, fragment}
}
