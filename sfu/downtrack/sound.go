package downtrack

import (
	"diemcau/sfu/codec"
	"diemcau/sfu/fanout"
)

// Sound is sent as the subscriber takes it: RED (RFC 2198) passes through where
// both ends have it, is taken apart for who has it not, and is made for who has it
// when packets get lost, the more redundant the more are lost. On a path that carries
// little more than what is sent, and loses nothing, it is taken apart too. What is
// encrypted end to end is none of this: it passes through, and what gets lost is sent
// again.

// Shares of lost packets, of 256, from which on RED carries one, two and three
// packets again.
var redFrom = [...]uint8{3, 10, 26}

const (
	soundKept = 64  // packets kept to be sent again, 1.3 s at 20 ms
	redAlways = 1   // redundancy that a publisher puts in by itself
	longSound = 600 // bytes; a longer payload is sent without redundancy
)

// redundancy is one audio stream's RED.
type redundancy struct {
	encoders [len(redFrom)]*codec.REDEncoder // by redundancy less one; made when needed
	kept     []soundSent                     // ring by outgoing sequence number
}

// soundSent is what an audio packet carried.
type soundSent struct {
	out     uint16
	pt      uint8
	payload []byte
}

// sound returns the payload and its type to send for packet p of an audio track;
// nil if there is nothing in it.
func (d *DownTrack) sound(e *sentPacket, p *fanout.Packet) (payload []byte, pt uint8) {
	payload, pt = p.Payload, d.out.pt
	if d.cfg.Encrypted {
		d.keepSound(e.out, payload, pt)
		return payload, pt
	}
	from := d.layers[d.current].Mime()
	opus := payload
	if from == codec.MimeRED {
		primary, err := codec.PrimaryOfRED(payload)
		if err != nil {
			return nil, 0
		}
		opus = primary
	}
	want := d.wantRED(from)
	switch {
	case from != codec.MimeRED && from != codec.MimeOpus:
	case d.out.redPT == 0 || want == 0 || len(opus) > longSound:
		payload = opus
	case want <= redAlways && from == codec.MimeRED:
		codec.SetREDPayloadType(payload, d.out.pt)
		pt = d.out.redPT
	default:
		enc := d.red.encoders[want-1]
		if enc == nil {
			enc = codec.NewREDEncoder(d.out.pt, want)
			d.red.encoders[want-1] = enc
		}
		buf := d.worker.Scratch().Sound[:]
		if n := enc.Encode(buf, e.out, e.ts, opus); n > 0 {
			payload, pt = buf[:n], d.out.redPT
		} else {
			payload = opus
		}
	}
	d.keepSound(e.out, payload, pt)
	return payload, pt
}

// wantRED is how many packets to carry again in each.
func (d *DownTrack) wantRED(from string) (n int) {
	lost := uint8(d.lost.Load())
	if d.line.poor || d.line.behind || d.line.tight && lost < redFrom[0] {
		return 0 // the picture needs it more
	}
	for n < len(redFrom) && lost >= redFrom[n] {
		n++
	}
	if from == codec.MimeRED {
		n = max(n, redAlways)
	}
	return n
}

// keepSound remembers what packet out carries, for it cannot be made again alike.
func (d *DownTrack) keepSound(out uint16, payload []byte, pt uint8) {
	if d.red.kept == nil {
		d.red.kept = make([]soundSent, soundKept)
	}
	s := &d.red.kept[int(out)%soundKept]
	*s = soundSent{out: out, pt: pt, payload: append(s.payload[:0], payload...)}
}

// soundAgain sends an audio packet once more, bit by bit the same (RFC 7714
// section 8.3); it returns its size on the wire, 0 if it is gone.
func (d *DownTrack) soundAgain(e sentPacket) int {
	if d.red.kept == nil {
		return 0
	}
	s := &d.red.kept[int(e.out)%soundKept]
	if s.out != e.out || len(s.payload) == 0 {
		return 0
	}
	return d.write(&e, s.pt, nil, s.payload)
}
