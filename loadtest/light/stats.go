package light

import "time"

// Stats are what a participant received.
type Stats struct {
	Video, Audio StreamStats
	// Streams are those that carried a packet.
	Streams int
	// Unknown packets belong to no stream that was described, Refused could not be
	// decrypted.
	Unknown, Refused uint64
	// Dropped is what the tester's own socket had no room for, in packets or trains of them.
	// The server is not to blame for that loss.
	Dropped uint64
	Bytes   uint64 // of all packets of media, headers included
	Decode  DecodeStats
}

// Stats returns the books as they stand.
func (p *Participant) Stats() Stats {
	b := &p.books
	b.mu.Lock()
	defer b.mu.Unlock()
	c := Stats{Unknown: b.unknown, Refused: b.refused, Bytes: b.bytes}
	for _, s := range b.list {
		if !s.started {
			continue
		}
		c.Streams++
		if s.video {
			c.Video.Add(s.snapshot())
		} else {
			c.Audio.Add(s.snapshot())
		}
		if s.check != nil {
			c.Decode.Add(s.check.stats)
		}
	}
	c.Decode.Refused += b.refused
	if p.sub != nil {
		c.Dropped = uint64(p.sub.sock.dropped.Load())
	}
	return c
}

// Add makes sums.
func (c *Stats) Add(o Stats) {
	c.Video.Add(o.Video)
	c.Audio.Add(o.Audio)
	c.Streams += o.Streams
	c.Unknown += o.Unknown
	c.Refused += o.Refused
	c.Dropped += o.Dropped
	c.Bytes += o.Bytes
	c.Decode.Add(o.Decode)
}

// AddDelays adds what a sample has measured.
func (p *Participant) AddDelays(to *Delays) {
	b := &p.books
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.measured != nil {
		to.Merge(b.measured)
	}
}

// ResetDelays begins the measurement anew.
func (p *Participant) ResetDelays() {
	b := &p.books
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.measured != nil {
		*b.measured = Delays{}
	}
}

// FirstFrame is when the first picture of all was whole. False if none was.
func (p *Participant) FirstFrame() (time.Time, bool) {
	b := &p.books
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Unix(0, b.firstFrame), b.firstFrame != 0
}

// FirstPacket is when the first packet of a picture came. False if none did.
func (p *Participant) FirstPacket() (time.Time, bool) {
	b := &p.books
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Unix(0, b.firstVideo), b.firstVideo != 0
}

// Seen is when the first frame of a track was whole since it was subscribed to last, or
// the first packet of sound came. False if none was.
func (p *Participant) Seen(track string) (time.Time, bool) {
	b := &p.books
	b.mu.Lock()
	defer b.mu.Unlock()
	first := int64(0)
	for _, s := range b.list {
		if at := s.frames.first; at != 0 && s.track == track && (first == 0 || at < first) && at >= b.subscribed[track] {
			first = at
		}
	}
	return time.Unix(0, first), first != 0
}
