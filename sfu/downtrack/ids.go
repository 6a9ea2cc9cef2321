package downtrack

import (
	"diemcau/sfu/codec"
	"diemcau/sfu/fanout"
)

// ids keeps what codecs count in the open continuous over changes of the source:
// picture ids of VP8 and VP9, frame numbers of dependency descriptors; in these also
// what they say of the decode targets is made true.
type ids struct {
	vp8    codec.VP8Munger
	vp9    codec.VP9Munger
	dd     codec.DDMunger
	active uint32 // decode targets that can be decoded from what is sent
	desc   [codec.MaxDescriptorSize]byte
}

// begin is called with the first packet of another source.
func (m *ids) begin(p *fanout.Packet) {
	if p.VP8OK {
		m.vp8.Switch(p.VP8)
	}
	if p.VP9OK {
		m.vp9.Switch(&p.VP9)
	}
	if p.Scalable && p.Frame.Descriptor != nil {
		m.dd.Switch(p.Frame.Descriptor)
	}
}

// next notes in e what packet p is to bear.
func (m *ids) next(e *sentPacket, p *fanout.Packet) {
	if p.VP8OK {
		e.pic, e.tl0, e.keyIdx = m.vp8.Map(p.VP8)
	}
	if p.VP9OK {
		e.pic, e.tl0 = m.vp9.Map(&p.VP9)
	}
	if p.Scalable && p.Frame.Descriptor != nil {
		e.dd = m.dd.Map(p.Frame.Descriptor, m.active)
	}
}

// read reads the payload descriptor of a packet that is sent again.
func (m *ids) read(p *fanout.Packet, mime string) {
	var err error
	switch mime {
	case codec.MimeVP8:
		p.VP8, err = codec.ParseVP8(p.Payload)
		p.VP8OK = err == nil
	case codec.MimeVP9:
		p.VP9, err = codec.ParseVP9(p.Payload)
		p.VP9OK = err == nil
	}
}

// patch puts what e says into the payload.
func (m *ids) patch(e *sentPacket, p *fanout.Packet) {
	if p.VP8OK {
		p.VP8.Rewrite(p.Payload, p.Payload, e.pic, e.tl0, e.keyIdx)
	}
	if p.VP9OK {
		p.VP9.Rewrite(p.Payload, p.Payload, e.pic, e.tl0)
	}
}

// descriptor returns the dependency descriptor to send for the one received. It
// is valid until the next one.
func (m *ids) descriptor(e *sentPacket, received []byte) []byte {
	if len(received) == 0 {
		return nil
	}
	return m.desc[:codec.RewriteDescriptor(m.desc[:], received, e.dd)]
}
