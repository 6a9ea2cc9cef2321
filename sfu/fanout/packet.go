package fanout

import (
	"time"

	"diemcau/sfu/codec"
)

// Packet is a received RTP packet, taken apart once for all members of a
// worker. It is valid during Forward only.
type Packet struct {
	Feed     *Feed
	Header   codec.Header
	Payload  []byte // without padding; members may patch it but not its length
	KeyFrame bool   // first packet of a key frame
	Start    bool   // first packet of a frame
	Whole    bool   // last packet of a frame, or one that stands alone
	VP8      codec.VP8
	VP8OK    bool
	VP9      codec.VP9
	VP9OK    bool
	Scalable bool // Frame is set
	// Unreadable is set for a packet whose dependency descriptor is malformed, or of a
	// structure that did not come: nobody can tell which layer it belongs to.
	Unreadable bool
	Frame      codec.Frame
	Desc       []byte    // dependency descriptor, as received; empty if there is none
	Arrival    time.Time // at the reader
	Now        time.Time // at the worker

	descriptor codec.Descriptor
}

// Temporal is the temporal layer of the packet, 0 if there are none.
func (p *Packet) Temporal() uint8 {
	switch {
	case p.Scalable:
		return uint8(max(p.Frame.Temporal, 0))
	case p.VP8OK && p.VP8.T:
		return p.VP8.TID
	}
	return 0
}

// Spatial is the spatial layer of the packet within its stream, 0 if there are
// none.
func (p *Packet) Spatial() uint8 {
	if p.Scalable {
		return uint8(max(p.Frame.Spatial, 0))
	}
	return 0
}

// Format tells how the packets of a stream are to be read.
type Format struct {
	Mime         string // lower case
	DescriptorID uint8  // header extension id of the dependency descriptor; 0 if none
}

// Parser reads the packets of one stream, mostly in order. It is not safe for
// concurrent use.
type Parser struct {
	format Format
	frames *frames // of VP9 and AV1
}

// frames are what is known of the frames of a stream that has its layers in itself: 20 KB.
type frames struct {
	dd  codec.DependencyState
	vp9 codec.VP9State
}

// NewParser makes a parser for a stream.
func NewParser(format Format) *Parser {
	r := &Parser{format: format}
	if format.Mime == codec.MimeVP9 || format.Mime == codec.MimeAV1 {
		r.frames = new(frames)
	}
	return r
}

// Parse takes buf apart; false if it is no RTP packet.
func (r *Parser) Parse(p *Packet, buf []byte) bool {
	h, ok := codec.ParseHeader(buf)
	if !ok {
		return false
	}
	*p = Packet{Feed: p.Feed, Header: h, Payload: buf[h.PayloadStart:h.PayloadEnd], Whole: h.Marker}
	if len(p.Payload) == 0 {
		p.Whole = true
		return true
	}
	switch r.format.Mime {
	case codec.MimeVP8:
		d, err := codec.ParseVP8(p.Payload)
		p.VP8, p.VP8OK = d, err == nil
		p.KeyFrame, p.Start = p.VP8OK && d.KeyFrame, p.VP8OK && d.Start
	case codec.MimeH264:
		p.KeyFrame, p.Start = codec.H264KeyFrame(p.Payload), codec.H264Start(p.Payload)
	case codec.MimeVP9, codec.MimeAV1:
		r.scalable(p, buf)
	default:
		p.KeyFrame, p.Start, p.Whole = true, true, true // every packet of audio stands alone
	}
	return true
}

// scalable reads what a packet of VP9 or AV1 says of its frame: by the
// dependency descriptor where there is one, else by VP9's own.
func (r *Parser) scalable(p *Packet, buf []byte) {
	if r.format.Mime == codec.MimeVP9 {
		d, err := codec.ParseVP9(p.Payload)
		p.VP9, p.VP9OK = d, err == nil
	}
	if r.format.DescriptorID != 0 {
		p.Desc = codec.HeaderExtension(buf, r.format.DescriptorID)
	}
	switch {
	case len(p.Desc) > 0:
		if r.frames.dd.Parse(p.Desc, &p.descriptor) != nil {
			p.Unreadable = true
			return
		}
		p.Frame = codec.DescriptorFrame(&p.descriptor, p.Header.Timestamp, p.Header.Marker)
	case p.VP9OK:
		p.Frame = r.frames.vp9.Frame(&p.VP9, p.Header.Timestamp, p.Header.Marker)
	default:
		p.Start = codec.FrameStart(r.format.Mime, p.Payload)
		p.KeyFrame = codec.KeyFrame(r.format.Mime, p.Payload)
		return
	}
	p.Scalable = true
	p.Start = p.Frame.First
	p.KeyFrame = p.Frame.First && p.Frame.Key
}
